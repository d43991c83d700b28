"""The access log: a line for each request that has ended."""

import logging

from proxy.observe.record import Record

log = logging.getLogger("proxy.access")

_PROBES = frozenset({"/healthz", "/readyz"})  # asked every few seconds by whoever keeps the process alive
# Claude Code 2.1 asks it at each start, of whatever its base URL is, and does not mind a 404.
_GREETINGS = frozenset({"/api/api/hello", "/api/hello"})


class AccessLog:
    """An `Observer` that logs; what a line holds is for `proxy.observe.formatters` to say."""

    def began(self, record: Record) -> None:
        pass

    def ended(self, record: Record) -> None:
        is_noise = record.path in _PROBES or (record.method == "HEAD" and record.path in _GREETINGS)
        log.log(logging.DEBUG if is_noise else logging.INFO, "request", extra={"record": record})
