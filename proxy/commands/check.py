"""``check``: what would be sent, which settings are in force, and where each came from. Needs no network."""

from proxy.commands.banner import MEANING, access, app_page, opened, reached, upstream
from proxy.commands.terminal import Style, columns
from proxy.commands.values import shown
from proxy.settings.model import Settings
from proxy.settings.options import variable
from proxy.settings.sources import Loaded


def report(loaded: Loaded, style: Style | None = None) -> str:
    """The report on settings that are in order. Shows no secret."""
    style = style or Style()
    settings = loaded.settings
    mode, identity = settings.attribution_mode, settings.attribution
    headers = [f"{name}: {value}" for name, value in header_lines(settings)]
    lines = [
        style.heading(f"Sent with each request to {settings.upstream_url}"),
        "",
        *(style.good(f"  {line}") for line in headers or ["(no header of ours)"]),
        "",
        *columns(
            [
                (style.faint("mode"), f"{mode}: {MEANING[mode]}"),
                *([(style.faint("shown at"), app_page(identity.referer))] if identity else []),
                *((style.faint(name), text) for name, text in access(loaded)),
                (style.faint("upstream"), upstream(loaded)),
                (style.faint("reached"), reached(loaded)),
                *((style.faint("opened") if not n else "", guard) for n, guard in enumerate(opened(loaded))),
            ]
        ),
        "",
        style.heading("Settings"),
        "",
    ]
    lines += columns(
        (variable(field), shown(settings, field), style.faint(source)) for field, source in loaded.sources.items()
    )
    if loaded.warnings:
        lines += ["", style.heading("Warnings"), "", *(style.warning(f"  {warning}") for warning in loaded.warnings)]
    return "\n".join([*lines, ""])


def header_lines(settings: Settings) -> list[tuple[str, str]]:
    """The headers that each stamped request gets, in order; what may be secret is hidden."""
    identity = settings.attribution
    lines = [("Authorization", "Bearer (hidden)")] if settings.api_key is not None else []
    lines += [(name.decode("ascii"), value.decode("ascii")) for name, value in (identity.headers if identity else ())]
    return [*lines, *((name.decode("ascii"), "(hidden)") for name, _ in settings.extra_headers)]
