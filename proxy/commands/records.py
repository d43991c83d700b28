"""What OpenRouter's answers mean for ``verify``: records of generations, and errors. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from proxy.commands.terminal import Style, columns
from proxy.faults import escaped
from proxy.observe.redaction import Redaction
from proxy.openrouter.identity import app_page, stored_form
from proxy.settings.model import Settings

MODEL = "openai/gpt-4o-mini"
"""Which model answers, if none is named: one that is cheap, and that OpenRouter has had for years."""

_WHAT_TO_DO = {
    400: "OpenRouter does not take the request: name another model with --model",
    401: "OpenRouter does not know the key: check it at https://openrouter.ai/settings/keys",
    402: "the account has no credits: add some at https://openrouter.ai/settings/credits",
    403: "the key may not do this (a guardrail, or its limits): see https://openrouter.ai/settings/keys",
    404: f"no provider has this model at that price: name another with --model (the default is {MODEL})",
    408: "the model took too long: try again, or name another with --model",
    429: "there were too many requests: try again",
}


_LONGEST = 300  # characters that are shown of a record's text


@dataclass(frozen=True)
class Record:
    """What OpenRouter has recorded of a generation."""

    app_id: int | None
    origin: str
    title: str | None
    model: str
    provider: str
    cost: float | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Record":
        """From the ``data`` of an answer of ``/generation``; what is missing or of another kind counts as not there."""

        def text(*names: str) -> str:
            found = next((value for name in names if isinstance(value := data.get(name), str) and value), "")
            return escaped(found[:_LONGEST])  # it is the upstream's word, and goes to a terminal

        app_id, cost = data.get("app_id"), data.get("total_cost")
        return cls(
            app_id if isinstance(app_id, int) else None,
            text("origin"),
            text("app_title", "app_name", "title") or None,
            text("model") or "-",
            text("provider_name") or "-",
            float(cost) if isinstance(cost, int | float) else None,
        )

    def credits(self, referer: str) -> bool:
        """Whether it is credited to the app with this URL."""
        return self.app_id is not None and self.origin == stored_form(referer)


def verdict(record: Record, settings: Settings, style: Style) -> str:
    """What was configured and what was recorded, side by side if they differ."""
    referer = settings.http_referer or ""
    credited = record.credits(referer)
    cost = "-" if record.cost is None else f"${record.cost:.6f}".rstrip("0").rstrip(".")
    if credited:
        rows = [("credited to", f"{style.good(record.origin)} (app {record.app_id})")]
    else:
        whom = (
            f"{record.origin or 'an app without a URL'} (app {record.app_id})"
            if record.app_id is not None
            else "nobody"
        )
        rows = [("configured", stored_form(referer)), ("credited to", style.error(whom))]
    if record.title:
        rows.append(("title", record.title))
    rows += [("model", f"{record.model}, by {record.provider}"), ("cost", cost)]
    if credited:
        rows.append(("shown at", app_page(referer)))
    head = (
        style.good("OpenRouter credits this app.") if credited else style.error("OpenRouter does not credit this app.")
    )
    told = "\n".join([head, "", *columns((style.faint(name), text) for name, text in rows)])
    return Redaction(settings.secrets)(told)  # an upstream that is not OpenRouter has seen the key, and may repeat it


def complaint(response: httpx.Response, body: str) -> str:
    """An answer that is no answer, as one line that says what to do. Shows nothing of OpenRouter's text."""
    if "x-proxy-error" in response.headers:
        error = json_object(body).get("error")
        return str(error.get("message")) if isinstance(error, dict) else "the proxy refused the request"
    if is_page(response):
        return (
            f"a web page came in place of the API's answer (status {response.status_code}): a firewall or CDN is in "
            "between; try again, from another network, or check OPENROUTER_UPSTREAM_URL"
        )
    return by_status(response.status_code, retry_after(response))


def by_status(status: object, retry_after: float = 0.0) -> str:
    """What an error of OpenRouter's means, by its code, and what to do."""
    known = _WHAT_TO_DO.get(status if isinstance(status, int) else 0)
    shown = status if isinstance(status, int) else "no code"
    told = known or f"OpenRouter or the model's provider failed ({shown}): try again, or name another with --model"
    return f"{told} in {retry_after:.0f} s" if retry_after and told.endswith("try again") else told


def why_not(response: httpx.Response) -> str:
    """Why an answer holds no record, in a few words."""
    match response.status_code:
        case 404:
            return "no record yet"
        case 429:
            return "OpenRouter asks to wait"
        case status:
            return f"OpenRouter answered with {'a web page' if is_page(response) else f'status {status}'}"


def is_page(response: httpx.Response) -> bool:
    """Whether it is for a browser, and so not from the API."""
    return bool(response.headers.get("content-type", "").startswith("text/html"))


def retry_after(response: httpx.Response) -> float:
    """Seconds (RFC 9110, 10.2.3); a date is not worth its parsing here."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 0.0


def json_object(text: str) -> dict[str, Any]:
    """The object, or an empty one for whatever is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
