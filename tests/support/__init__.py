"""The wire test kit.

    client ──raw bytes──► proxy ──raw bytes──► upstream
    (client.py)         (proxies.py)         (upstream.py)

Both ends are a `Connection` (connection.py): exact bytes out, everything that came in, and how the other side ended.
`http1.py` reads messages strictly and never repairs one. Nothing sleeps to wait for something: every wait is
for an event, has a bound, and says what it waited for.
"""
