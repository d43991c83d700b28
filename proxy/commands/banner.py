"""What the proxy says when it starts: the base URLs to paste, and to which app requests are credited."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from proxy import __version__
from proxy.commands.program import NAME
from proxy.commands.terminal import Style, columns
from proxy.openrouter.attribution import Mode
from proxy.openrouter.identity import stored_form
from proxy.settings.addresses import Listen, in_url, ip_address
from proxy.settings.model import Settings
from proxy.settings.sources import Loaded

MEANING = {
    Mode.OVERRIDE: "it replaces what a tool sends itself",
    Mode.FILL: "only for tools that send no HTTP-Referer; one that does keeps its own set",
    Mode.PASSTHROUGH: "nothing is stamped; what a tool sends is what OpenRouter gets",
}


def app_page(referer: str) -> str:
    """The page on which OpenRouter shows what an app has used."""
    return f"https://openrouter.ai/apps?url={quote(stored_form(referer), safe='')}"


def base_url(listen: Listen) -> str:
    """The URL by which a tool on this machine reaches a proxy that listens there."""
    ip = ip_address(listen.host)
    here = ip is not None and (str(ip) == "127.0.0.1" or ip.is_unspecified)
    return f"http://{'localhost' if here else in_url(listen.host)}:{listen.port}"


def access(settings: Settings) -> list[tuple[str, str]]:
    """Whose key travels, and who may call; nothing where every client has its own key."""
    if settings.api_key is None:
        return []
    if settings.access_token is not None:
        callers = "whoever presents the access token in place of an API key"
    elif settings.listen.is_loopback:
        callers = "programs on this machine"
    else:
        callers = "whoever the network lets in (OPENROUTER_ALLOW_UNAUTHENTICATED)"
    return [("key", "a client's own OpenRouter key, else the configured one"), ("callers", callers)]


def reached(settings: Settings, sources: Mapping[str, str]) -> str:
    """How the upstream is reached, and by whose word; without user and password."""
    route = f"through {settings.outbound}" if settings.outbound else "direct"
    _, found, name = sources["outbound_proxy"].rpartition(" ")
    return f"{route} ({name})" if found else route


def banner(loaded: Loaded, port: int, style: Style | None = None) -> str:
    """The start page of a proxy that now listens on ``port``."""
    settings, warnings = loaded.settings, loaded.warnings
    style = style or Style()
    listen = replace(settings.listen, port=port)
    base = base_url(listen)
    mode = settings.attribution_mode
    credited = []
    if identity := settings.attribution:
        shown = " | ".join(filter(None, (identity.title, identity.referer, ", ".join(identity.categories))))
        credited = [("credited to", style.good(shown)), ("shown at", app_page(identity.referer))]
    lines = [
        f"{style.heading(f'{NAME} {__version__}')} listens on http://{listen}",
        "",
        *columns(
            [
                ("OpenAI-style tools", style.good(f"{base}/api/v1")),
                ("Anthropic-style tools", style.good(f"{base}/api")),
                ("tools that want /v1", style.good(f"{base}/v1")),
                ("", ""),
                *credited,
                ("mode", f"{mode}: {MEANING[mode]}"),
                *access(settings),
                ("upstream", str(settings.upstream_url)),
                ("reached", reached(settings, loaded.sources)),
            ]
        ),
    ]
    if warnings:
        lines += ["", *(style.warning(f"  warning: {warning}") for warning in warnings)]
    return "\n".join([*lines, ""])


def facts(loaded: Loaded, port: int) -> dict[str, str | None]:
    """The same for a log that programs read."""
    settings = loaded.settings
    identity = settings.attribution
    return {
        "version": __version__,
        "url": f"http://{replace(settings.listen, port=port)}",
        "upstream": str(settings.upstream_url),
        "reached": reached(settings, loaded.sources),
        "mode": str(settings.attribution_mode),
        "app": identity.referer if identity else None,
        "title": identity.title if identity else None,
        "app_page": app_page(identity.referer) if identity else None,
        **dict(access(settings)),
    }
