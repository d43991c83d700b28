"""Everything that talks outward. The rest of the proxy knows `httpx.AsyncBaseTransport` and `open_transport`."""
