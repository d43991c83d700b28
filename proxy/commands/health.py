"""``health``: asks the proxy that runs here whether it takes requests, for a container's health check or a probe.

It runs every few seconds beside a proxy that may have little CPU, so it imports no settings and no HTTP client: either
takes a third of a second to load. `proxy.__main__` calls it without the command line's own library.
"""

import socket
import sys
import time
from collections.abc import Sequence

from proxy import runtime_file
from proxy.faults import Faulty
from proxy.host_names import in_url, ip_address
from proxy.settings.addresses import Listen
from proxy.settings.environment import read_environment
from proxy.settings.variables import variable

_VARIABLE = variable("listen")
_DEFAULT = "localhost:6767"
_WITHIN = 2.0  # seconds: an engine's own limit is 3, and it says less
_REQUEST = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_LARGEST = 65536  # bytes of an answer


def health(listen: str | None = None) -> int:
    """Print in one line whether the proxy is ready; the exit code: 0, or 1 if it is not, or does not answer.

    Args:
        listen: ``HOST:PORT`` to ask; by default where the proxy that was started with this environment listens.
    """
    try:
        address = Listen.parse(listen) if listen else _address()
    except Faulty as fault:
        return _told(f"not ready: {'--listen' if listen else _VARIABLE} {fault}", ready=False)
    url = f"http://{in_url(address.host)}:{address.port}"
    answer = _ask(_local(address.host), address.port)
    if isinstance(answer, OSError):
        return _told(f"not ready: {url} does not answer ({_reason(answer)})", ready=False)
    status, body = answer
    if status == b"200" and body == b"ready\n":
        return _told(f"ready: {url}", ready=True)
    if status == b"200" or not status:
        return _told(f"not ready: {url} is another program", ready=False)
    return _told(f"not ready: {url} answers {status.decode('ascii', 'replace')}", ready=False)


def quick(arguments: Sequence[str]) -> int | None:
    """What ``health`` with these arguments ends with; None if it takes the whole command line to understand them."""
    match arguments:
        case []:
            return health()
        case ["--listen", listen] if listen:
            return health(listen)
    return None


def _address() -> Listen:
    """Where the proxy of this environment listens; raises `Faulty`."""
    asked = read_environment(_VARIABLE)
    folders = runtime_file.folders(read_environment("XDG_RUNTIME_DIR"))
    if found := runtime_file.running(asked, folders):
        return Listen(found.host, found.port)
    return Listen.parse(asked or _DEFAULT)


def _local(host: str) -> list[str]:
    """The addresses of this machine by which a proxy that listens on ``host`` can be asked."""
    if host.rstrip(".").lower() == "localhost":  # a minimal container may have no /etc/hosts
        return ["127.0.0.1", "::1"]
    address = ip_address(host)
    if address is None or not address.is_unspecified:
        return [host]
    return ["127.0.0.1"] if address.version == 4 else ["::1", "127.0.0.1"]


def _ask(hosts: Sequence[str], port: int) -> tuple[bytes, bytes] | OSError:
    """Status and body of the answer, the former empty if it is none of HTTP's; or why there is none."""
    failed = OSError()
    ends = time.monotonic() + _WITHIN
    for host in hosts:
        try:
            with socket.create_connection((host, port), timeout=max(ends - time.monotonic(), 0.01)) as client:
                client.sendall(_REQUEST)
                answer = b""
                while len(answer) < _LARGEST:
                    client.settimeout(max(ends - time.monotonic(), 0.01))
                    if not (piece := client.recv(_LARGEST)):
                        break
                    answer += piece
        except OSError as error:
            failed = error
            continue
        head, _, body = answer.partition(b"\r\n\r\n")
        version, _, status = head.partition(b"\r\n")[0].partition(b" ")
        return (status[:3] if version.startswith(b"HTTP/1.") else b""), body
    return failed


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {_WITHIN:.0f} seconds"
    return (error.strerror or type(error).__name__).lower()


def _told(line: str, *, ready: bool) -> int:
    stream = sys.stdout if ready else sys.stderr
    if stream is not None:
        stream.write(f"{line}\n")
    return 0 if ready else 1
