"""The access log: a line for each request that has ended."""

import logging

from proxy.observe.record import Record

log = logging.getLogger("proxy.access")

_PROBES = frozenset({"/healthz", "/readyz"})  # asked every few seconds by whoever keeps the process alive


class AccessLog:
    """An `Observer` that logs; what a line holds is for `proxy.observe.formatters` to say."""

    def began(self, record: Record) -> None:
        pass

    def ended(self, record: Record) -> None:
        level = logging.DEBUG if record.path in _PROBES else logging.INFO
        log.log(level, "request", extra={"record": record})
