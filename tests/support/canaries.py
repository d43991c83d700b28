"""Finds made-up secrets in whatever the whole suite prints, logs or answers.

Every request of the kit carries some (client.py), every made-up key is one (secrets.py). As a plugin (conftest.py
imports the hooks) this fails each test in whose captured output one turns up; the kit hands it what pytest does not
see: the output of processes, access lines as they would be printed, the proxy's own answers.
"""

import logging
import re
from collections.abc import Generator

import pytest

from proxy.observe.formatters import JsonFormatter, TextFormatter

_MARK = re.compile(r"CANARY|sk-or-v1-canary")


def leaks(text: str) -> list[str]:
    """The lines of ``text`` in which a made-up secret stands."""
    return [line for line in text.splitlines() if _MARK.search(line)]


def assert_none(text: str, where: str) -> None:
    """Fails if ``text`` shows a made-up secret."""
    assert not leaks(text), f"a secret is shown in {where}: {leaks(text)}"


class _LogReader(logging.Handler):
    """Reads what every logger of the process is told, at every level, in the forms in which it would be printed."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        printed = [logging.Formatter().format(record)]
        if record.name.startswith("proxy"):
            printed += [JsonFormatter().format(record), TextFormatter(colour=False).format(record)]
        self.leaks += leaks("\n".join(printed))


_log_reader = _LogReader()


def pytest_configure(config: pytest.Config) -> None:
    # Loggers of the libraries that see requests, not only the root: a test may replace the root's handlers.
    for name in ("proxy", "uvicorn", "httpx2", "httpcore2", "asyncio", "starlette"):
        logging.getLogger(name).addHandler(_log_reader)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # A report has the sections of the phases before it as well.
    sections = [(title, content) for title, content in report.sections if title.endswith(f" {report.when}")]
    found = [f"{title}: {line}" for title, content in sections for line in leaks(content)]
    found += [f"log: {line}" for line in _log_reader.leaks]
    _log_reader.leaks.clear()
    if found and not report.failed:
        report.outcome = "failed"
        report.longrepr = "a made-up secret turned up in the output of this test:\n" + "\n".join(found)
    return report
