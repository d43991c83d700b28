"""How this proxy is set up, as the live page shows it. No secret is in it."""

import secrets
from typing import Any

from proxy import __version__
from proxy.observe.feed import KINDS, SLOT
from proxy.openrouter.attribution import MEANING
from proxy.openrouter.identity import app_page
from proxy.pages.live.advice import advice
from proxy.settings.model import Settings
from proxy.settings.variables import variable

_BASES = (("OpenAI-style tools", "/api/v1"), ("Anthropic-style tools", "/api"), ("Tools that want /v1", "/v1"))
_BODY = '{"model": "openrouter/auto", "messages": [{"role": "user", "content": "Hello"}]}'


def setup(settings: Settings) -> dict[str, Any]:
    """What the page is told first. ``run`` differs for each process: numbers of requests begin anew with it."""
    return {
        "run": secrets.token_hex(8),
        "version": __version__,
        "upstream": str(settings.upstream_url),
        "apps": [
            *([_app("", settings)] if settings.is_identity or not settings.profiles else []),
            *(_app(name, profile) for name, profile in settings.profiles.items()),
        ],
        "bases": _BASES,
        "curl": _curl(settings),
        "warnings": [f"{variable(field)} {doubt}" for field, doubts in settings.doubts.items() for doubt in doubts],
        "advice": advice(),
        "kinds": KINDS,
        "slot": SLOT,
    }


def _app(profile: str, settings: Settings) -> dict[str, Any]:
    """Whom requests of a profile are credited to; the one without a name is the default's."""
    identity, mode = settings.attribution, settings.attribution_mode
    return {
        "profile": profile,
        "title": identity.title if identity else None,
        "url": identity.referer if identity else None,
        "categories": identity.categories if identity else (),
        "hidden": bool(identity and identity.visibility),
        "mode": str(mode),
        "meaning": MEANING[mode],
        "page": app_page(identity.referer) if identity else None,
        "stamp": [
            [name.decode("ascii"), value.decode("ascii")] for name, value in (identity.headers if identity else ())
        ],
        "can_ask": settings.api_key is not None,
    }


def _curl(settings: Settings) -> str:
    """A line to try; ``BASE`` stands for the origin of the page."""
    if settings.access_token is not None:
        key = "$OPENROUTER_ACCESS_TOKEN"
    elif settings.api_key is not None:
        key = ""
    else:
        key = "$OPENROUTER_API_KEY"
    lines = [
        "curl BASE/api/v1/chat/completions",
        *([f'  -H "Authorization: Bearer {key}"'] if key else []),
        '  -H "Content-Type: application/json"',
        f"  -d '{_BODY}'",
    ]
    return " \\\n".join(lines)
