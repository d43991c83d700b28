"""The access log: a line for each request that has ended."""

import logging

from proxy.observe.record import Record

log = logging.getLogger("proxy.access")

_PROBES = frozenset({"/healthz", "/readyz"})  # asked every few seconds by whoever keeps the process alive
_ICON = "/favicon.ico"  # asked by each browser that shows any answer
# Claude Code 2.1 asks it at each start, of whatever its base URL is, and does not mind a 404.
_GREETINGS = frozenset({"/api/api/hello", "/api/hello"})


class AccessLog:
    """An `Observer` that logs; what a line holds is for `proxy.observe.formatters` to say."""

    def began(self, record: Record) -> None:
        pass

    def ended(self, record: Record) -> None:
        is_quiet = record.attribution is None and _is_noise(record)
        log.log(logging.DEBUG if is_quiet else logging.INFO, "request", extra={"record": record})


def _is_noise(record: Record) -> bool:
    """Whether a request that was not forwarded is nothing to tell of: for a page of ours, or asked out of habit."""
    path = record.path
    is_for_a_page = (
        record.is_for_us and record.method != "OPTIONS"
    )  # which asks about the server, or for a page's leave
    return is_for_a_page or path in _PROBES or path == _ICON or (record.method == "HEAD" and path in _GREETINGS)
