"""What is allowed, and may not be meant: the warnings of the start and of ``check``."""

from typing import TYPE_CHECKING

from proxy.openrouter import identity
from proxy.openrouter.attribution import Mode
from proxy.settings import key_rules
from proxy.settings.variables import variable

if TYPE_CHECKING:
    from proxy.settings.model import Settings  # which asks here about itself


def doubts_about(settings: "Settings") -> dict[str, list[str]]:
    """What is doubtful about each setting, by field. Each is a predicate, as in `Faulty`."""
    return {
        **_about_the_app(settings),
        "upstream_url": _about_the_upstream(settings),
        **_about_access(settings),
    }


def _about_the_app(settings: "Settings") -> dict[str, list[str]]:
    app = settings.http_referer
    if settings.attribution_mode is Mode.PASSTHROUGH and app is not None:
        return {"attribution_mode": ["is passthrough: the identity that is set as well will not be sent"]}
    return {
        "http_referer": [] if app is None else [*identity.placeholder_warnings(app), *identity.referer_warnings(app)],
        "app_title": identity.title_warnings(settings.app_title) if settings.app_title else [],
        "app_categories": identity.category_warnings(settings.app_categories),
    }


def _about_the_upstream(settings: "Settings") -> list[str]:
    found = settings.upstream_url.warnings()
    if settings.upstream_url.is_in_clear:
        found.append("is http:// beyond this machine: keys and prompts travel unencrypted")
    return found


def _about_access(settings: "Settings") -> dict[str, list[str]]:
    if not any(each.pays for each in (settings, *settings.profiles.values())):
        page_is_open = settings.live_page == "on" and not settings.listen.is_loopback
        idle = ("allow_management", *(() if page_is_open else ("allow_unauthenticated",)))
        return {field: [f"has no effect without {variable('api_key')}"] for field in idle if getattr(settings, field)}
    doubts = {"api_key": key_rules.key_warnings(settings.api_key) if settings.api_key else []}
    if settings.access_token is not None and settings.allow_unauthenticated:
        doubts["allow_unauthenticated"] = [f"has no effect beside {variable('access_token')}, which is asked for"]
    return doubts
