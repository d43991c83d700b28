"""What people hang on the metrics (deploy/prometheus) is sound, and asks for nothing that there is not."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.observe.exposition import PREFIX
from tests.support.client import get
from tests.support.fixtures import Through
from tests.support.http1 import message
from tests.support.proxies import ROOT

HERE = ROOT / "deploy/prometheus"
DASHBOARD: dict[str, Any] = json.loads((HERE / "grafana-dashboard.json").read_text())


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine: apt-get install prometheus")
@pytest.mark.parametrize(
    "arguments",
    [["check", "config", "prometheus.yml"], ["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]],
    ids=" ".join,
)
def test_promtool(arguments: list[str]) -> None:
    """Prometheus's own tool finds no fault, and each alert fires when it should and only then."""
    done = subprocess.run(
        [shutil.which("promtool") or "", *arguments], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_each_alert_is_tested() -> None:
    """No rule without a test of it."""
    alerts = re.findall(r"- alert: (\w+)", (HERE / "rules.yml").read_text())
    tests = (HERE / "rules_test.yml").read_text()
    assert len(alerts) > 5
    assert [alert for alert in alerts if tests.count(f"alertname: {alert}") < 2] == []


async def test_each_name_exists(through: Through) -> None:
    """Every metric that a panel, an alert or a document asks for is one that the proxy has."""
    client, _, _ = await through()
    await client.ask(get())
    response = await client.ask(message("GET /metrics HTTP/1.1", "Host: localhost"))
    there = set(re.findall(r"^([a-z_]+)(?=[{ ])", bytes(response.body).decode(), re.MULTILINE))
    asked = "\n".join([*queries(), (HERE / "rules.yml").read_text()])
    names = set(re.findall(rf"\b(?:{PREFIX}|process_)[a-z_]+\b(?!:)", asked))
    assert names
    assert names - there == set()
    documented = {
        PREFIX + name for name in re.findall(r"^\| `([a-z_]+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    }
    ours = {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in there if name.startswith(PREFIX)}
    assert {name for name in ours if name not in documented} <= {
        f"{PREFIX}response_body_bytes_total",
        f"{PREFIX}upstream_failed_handshakes_total",
    }
