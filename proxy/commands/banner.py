"""What the proxy says when it starts: the base URLs to paste, and to which app requests are credited."""

from dataclasses import replace
from typing import Any

from proxy import __version__
from proxy.commands.profiles import identity_text, table
from proxy.commands.program import NAME
from proxy.commands.terminal import Style, columns
from proxy.commands.values import shown
from proxy.host_names import in_url
from proxy.openrouter.attribution import MEANING
from proxy.openrouter.identity import app_page
from proxy.settings.addresses import Listen
from proxy.settings.model import GUARDS, Settings
from proxy.settings.sources import Loaded
from proxy.settings.variables import variable


def base_url(listen: Listen) -> str:
    """The URL by which a tool on this machine reaches a proxy that listens there."""
    return f"http://{in_url(listen.reached_at)}:{listen.port}"


def from_where(source: str) -> str:
    """A source in short: the name of a flag or variable says enough; a file is told with it."""
    return source.removeprefix("environment ").removeprefix("flag ")


def access(loaded: Loaded) -> list[tuple[str, str]]:
    """Whose key travels and where it came from, and who may call; nothing where every client has its own key."""
    settings, sources = loaded.settings, loaded.sources
    unguarded = [name for name, each in settings.profiles.items() if each.pays and each.access_token is None]
    if not settings.pays and not unguarded:
        return []
    rows = []
    if settings.api_key is not None:
        rows.append(("key", f"used for callers without one of their own; {_origin(sources['api_key'])}"))
    if settings.extra_headers:
        rows.append(("headers", f"further ones for every caller; {_origin(sources['extra_headers'])}"))
    if settings.access_token is not None and not unguarded:
        callers = "whoever presents the access token in place of an API key"
    elif settings.listen.is_loopback:
        callers = f"programs on this machine, of its other users too ({variable('access_token')} keeps those out)"
    else:
        callers = f"whoever the network lets in ({variable('allow_unauthenticated')})"
    return [*rows, ("callers", callers)]


def _origin(source: str) -> str:
    """Where a secret came from; and for a shell that has had it all along, how to start without."""
    place, _, name = source.partition(" ")
    if place != "environment":
        return f"from {source}"
    return f"from the environment (env -u {name} starts without)"


def opened(loaded: Loaded) -> list[str]:
    """The guards that somebody has opened, and by whose word."""
    settings = loaded.settings
    return [
        f"{variable(field)}={shown(settings, field)} ({loaded.sources[field]})"
        for field in GUARDS
        if getattr(settings, field)
    ]


def upstream(loaded: Loaded) -> str:
    """Where requests go, and by whose word if that is not the default."""
    source = loaded.sources["upstream_url"]
    said = "" if source == "default" else f" ({from_where(source)})"
    return f"{loaded.settings.upstream_url}{said}"


def reached(loaded: Loaded) -> str:
    """How the upstream is reached, and by whose word; without user and password."""
    settings, source = loaded.settings, loaded.sources["outbound_proxy"]
    route = f"through {settings.outbound}" if settings.outbound else "direct"
    nobody_said = source == "default" or settings.outbound_proxy == "auto"
    return route if nobody_said else f"{route} ({from_where(source)})"


def watched(settings: Settings, base: str, style: Style) -> str:
    """Where requests can be seen as they happen; or why nowhere, although that is asked for."""
    if settings.shows_live_page:
        return style.good(f"{base}/")
    return f"no live page: of {settings.workers} workers each would show only its own ({variable('workers')})"


def banner(loaded: Loaded, port: int, style: Style | None = None) -> str:
    """The start page of a proxy that now listens on ``port``."""
    settings, warnings = loaded.settings, loaded.warnings
    style = style or Style()
    listen = replace(settings.listen, port=port)
    base = base_url(listen)
    mode = settings.attribution_mode
    credited = []
    if identity := settings.attribution:
        credited = [("credited to", style.good(identity_text(identity))), ("shown at", app_page(identity.referer))]
    named = base if settings.is_identity else f"{base}/PROFILE"
    lines = [
        f"{style.heading(f'{NAME} {__version__}')} listens on http://{listen}",
        "",
        *columns(
            [
                ("OpenAI-style tools", style.good(f"{named}/api/v1")),
                ("Anthropic-style tools", style.good(f"{named}/api")),
                ("tools that want /v1", style.good(f"{named}/v1")),
                *([("watch requests", watched(settings, base, style))] if settings.asks_for_live_page else []),
                ("", ""),
                *credited,
                *([("mode", f"{mode}: {MEANING[mode]}")] if settings.is_identity else []),
                *access(loaded),
                ("upstream", upstream(loaded)),
                ("reached", reached(loaded)),
                *(("opened" if not n else "", guard) for n, guard in enumerate(opened(loaded))),
            ]
        ),
        *table(loaded, base, style),
    ]
    if warnings:
        lines += ["", *(style.warning(f"  warning: {warning}") for warning in warnings)]
    return "\n".join([*lines, ""])


def facts(loaded: Loaded, port: int) -> dict[str, Any]:
    """The same for a log that programs read."""
    settings = loaded.settings
    listen = replace(settings.listen, port=port)
    identity = settings.attribution
    return {
        "version": __version__,
        "url": f"http://{listen}",
        "upstream": upstream(loaded),
        "reached": reached(loaded),
        "mode": str(settings.attribution_mode),
        "app": identity.referer if identity else None,
        "title": identity.title if identity else None,
        "app_page": app_page(identity.referer) if identity else None,
        "live_page": watched(settings, base_url(listen), Style()) if settings.asks_for_live_page else None,
        **dict(access(loaded)),
        **({"profiles": sorted(loaded.profiles)} if loaded.profiles else {}),
        **({"opened": "; ".join(guards)} if (guards := opened(loaded)) else {}),
    }
