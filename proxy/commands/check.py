"""``check``: what would be sent, which settings are in force, and where each came from. Needs no network."""

from proxy.commands.banner import access, base_url, opened, reached, upstream, watched
from proxy.commands.profiles import details
from proxy.commands.terminal import Style, columns
from proxy.commands.values import header_lines, shown
from proxy.openrouter.attribution import MEANING
from proxy.openrouter.identity import app_page
from proxy.settings.sources import Loaded
from proxy.settings.variables import variable


def report(loaded: Loaded, style: Style | None = None) -> str:
    """The report on settings that are in order. Shows no secret."""
    style = style or Style()
    settings = loaded.settings
    base = base_url(settings.listen)
    mode, identity = settings.attribution_mode, settings.attribution
    headers = [f"{name}: {value}" for name, value in header_lines(settings)]
    unsaid = "(nothing is added)" if settings.is_identity else "(nothing: each request needs a profile)"
    lines = [
        style.heading(f"Sent with each request to {settings.upstream_url}"),
        "",
        *(style.good(f"  {line}") for line in headers if settings.is_identity),
        *([] if headers and settings.is_identity else [f"  {unsaid}"]),
        "",
        *columns(
            [
                (style.faint("mode"), f"{mode}: {MEANING[mode]}"),
                *([(style.faint("shown at"), app_page(identity.referer))] if identity else []),
                *((style.faint(name), text) for name, text in access(loaded)),
                (style.faint("upstream"), upstream(loaded)),
                (style.faint("reached"), reached(loaded)),
                *([(style.faint("watch at"), watched(settings, base, Style()))] if settings.asks_for_live_page else []),
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
    lines.append("")
    for name, profile in loaded.profiles.items():
        lines += details(name, profile, base, style)
    lines.pop()
    if loaded.warnings:
        lines += ["", style.heading("Warnings"), "", *(style.warning(f"  {warning}") for warning in loaded.warnings)]
    return "\n".join([*lines, ""])


def report_on(name: str, loaded: Loaded, style: Style | None = None) -> str:
    """The report on one profile, which there is."""
    style = style or Style()
    profile = loaded.profiles[name]
    lines = details(name, profile, base_url(loaded.settings.listen), style)
    if profile.warnings:
        lines += [style.heading("Warnings"), "", *(style.warning(f"  {warning}") for warning in profile.warnings), ""]
    return "\n".join(lines)
