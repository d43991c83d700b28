"""The application, as any ASGI server takes it: its pages, and all that happens to a request as one list."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import httpx2 as httpx
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy import __version__
from proxy.forward.forwarder import Forwarder
from proxy.lifecycle import Lifecycle
from proxy.middleware.attribution import stamp_identity
from proxy.middleware.credentials import put_credentials, refuse_foreign_keys
from proxy.middleware.cross_origin import refuse_foreign_pages, refuse_forms
from proxy.middleware.end_to_end import clean_answer, clean_request
from proxy.middleware.errors import ErrorMiddleware
from proxy.middleware.guard import (
    answer_about_server,
    refuse_dot_segments,
    refuse_methods,
    refuse_unknown_paths,
    refuse_websockets,
    refuse_when_stopping,
)
from proxy.middleware.management import refuse_management
from proxy.middleware.profile import Profiles, choose_profile, refuse_stray_tokens
from proxy.middleware.record import RecordMiddleware
from proxy.middleware.rules import AnswerRule, Rule, RulesMiddleware
from proxy.middleware.sharing import answer_preflights, readable, sandbox, share_answer
from proxy.middleware.trusted_hosts import refuse_untrusted_hosts
from proxy.observe.access_log import AccessLog
from proxy.observe.feed import Feed
from proxy.observe.handler import lost_lines
from proxy.observe.metrics import Metrics, Reading
from proxy.observe.record import UnderWay
from proxy.observe.redaction import Redaction
from proxy.observe.rows import COUNTER, GAUGE
from proxy.pages.health import health
from proxy.pages.live import live_page
from proxy.pages.metrics import metrics_page
from proxy.settings.model import Settings
from proxy.upstream.opening import open_transport
from proxy.upstream.readings import readings as upstream_readings

T = TypeVar("T", Rule, AnswerRule)


@dataclass(frozen=True, slots=True)
class App:
    """The proxy as an ASGI application, which `create_app` makes; with what its server has a part in.

    Our own server calls its ``handler``, which is a frame less for each piece of each stream. ``lifecycle`` is how the
    server tells it that it is stopping, ``metrics`` which worker it is; ``feed`` is what the live page shows.
    """

    handler: ASGIApp
    lifecycle: Lifecycle
    feed: Feed | None
    metrics: Metrics | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.handler(scope, receive, send)


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> App:
    """Put the application together.

    ``transport`` defaults to the one that the settings ask for; it is opened and closed with the app's lifespan. It
    keeps the timeouts: those that each request has in its extension ``timeout``.
    """
    lifecycle = Lifecycle()
    opened = transport if transport is not None else open_transport(settings)
    timeouts = {
        "connect": settings.connect_timeout,
        "write": settings.idle_timeout,
        "response": settings.response_timeout,  # from the request's last byte to the answer's head
        "read": settings.idle_timeout,
    }
    forwarder = Forwarder(opened, settings.upstream_url, timeouts)
    redaction = Redaction(settings.secrets)
    under_way: UnderWay = {}
    feed = Feed(under_way, redaction.decoded_too) if settings.shows_live_page else None
    metrics = _metrics(settings, lifecycle, opened, under_way) if settings.metrics == "on" else None

    async def ask_ourselves(scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the live page asks OpenRouter, as any other request."""
        await app(scope, receive, send)

    probes = health(lifecycle)
    pages = [
        *probes,
        *(live_page(settings, feed, lifecycle, ask_ourselves) if feed else []),
        *(metrics_page(metrics, settings) if metrics else []),
    ]
    observers = [each for each in (AccessLog(), feed, metrics) if each is not None]
    somebody_pays = any(each.pays for each in (settings, *settings.profiles.values()))
    profiles = Profiles(settings)

    # What happens to a request that is not for a page, in this order; and then to the head of the upstream's answer.
    # A rule that no request can be a case for, with these settings, is left out: it would cost each of them.
    refuse_hosts = refuse_untrusted_hosts(settings.allowed_hosts, beyond_loopback=not settings.listen.is_loopback)
    rules: Sequence[Rule] = [
        refuse_methods,
        refuse_hosts,
        answer_about_server,
        refuse_dot_segments,
        choose_profile(profiles),
        refuse_unknown_paths,
        refuse_when_stopping(lifecycle),
        refuse_foreign_pages(settings.allowed_origins),
        refuse_websockets,
        *_where(somebody_pays, refuse_forms, refuse_management(settings.allow_management), answer_preflights),
        clean_request,
        *_where(somebody_pays, put_credentials),
        *_where(profiles.by_name, refuse_stray_tokens(profiles)),
        *_where(settings.upstream_url.host == "openrouter.ai", refuse_foreign_keys),
        stamp_identity,
    ]
    answer_rules: Sequence[AnswerRule] = [
        clean_answer,
        *_where(somebody_pays, share_answer(settings.allowed_origins)),
        sandbox,
    ]
    page_rules: Sequence[Rule] = [refuse_methods, refuse_hosts]
    # Whoever probes may call the process by any name, and learns nothing but that it runs.
    rules_of_pages = {page.path: page_rules for page in pages} | {probe.path: [refuse_methods] for probe in probes}

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with opened, metrics.told_to_others() if metrics else nullcontext():
            yield

    # Pages and lifespan are for Starlette's router. A Starlette application would be around all of this, and handle
    # errors a second time: for each event of a stream, two more frames.
    handler: ASGIApp = Router(routes=pages, lifespan=lifespan)
    handler = RulesMiddleware(handler, rules, answer_rules, forwarder, rules_of_pages)
    handler = ErrorMiddleware(handler, readable(settings.allowed_origins, by_anyone=not somebody_pays))
    handler = RecordMiddleware(handler, redaction, observers, under_way)
    app = App(handler, lifecycle, feed, metrics)
    return app


def _where(applies: object, *rules: T) -> Sequence[T]:
    """Those ``rules``, if the condition applies; else none."""
    return rules if applies else ()


def _metrics(
    settings: Settings, lifecycle: Lifecycle, transport: httpx.AsyncBaseTransport, under_way: UnderWay
) -> Metrics:
    """The counts of requests, with those that other parts keep."""
    turned_away = "Connections of clients for which there was no room."
    lost = "Log lines that nobody has read in time."
    return Metrics(
        __version__,
        [
            Reading(GAUGE, "requests_in_progress", "Requests under way.", lambda: len(under_way)),
            *upstream_readings(transport),
            Reading(COUNTER, "clients_turned_away", turned_away, lambda: lifecycle.turned_away),
            Reading(COUNTER, "log_lines_lost", lost, lost_lines),
        ],
        workers=settings.workers,
        profiles=len(settings.profiles),
    )
