"""The values of settings, in the form in which they would be written."""

from pydantic import SecretStr

from proxy.settings.model import Settings


def shown(settings: Settings, field: str) -> str:
    """The value of one setting; ``-`` if it has none, and of a secret only that it is set."""
    value = getattr(settings, field)
    if value is None and field.endswith("_timeout"):
        return "0"
    if value is None or value == ():
        return "-"
    if isinstance(value, SecretStr):
        return "(set)"
    if field == "extra_headers":
        return ", ".join(name.decode("ascii") for name, _ in value)
    match value:
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:g}"
        case tuple():
            text = ",".join(value)
        case _:
            text = str(value)
    return text


def header_lines(settings: Settings) -> list[tuple[str, str]]:
    """The headers that each stamped request gets, in order; what may be secret is hidden."""
    identity = settings.attribution
    lines = [("Authorization", "Bearer (hidden)")] if settings.api_key is not None else []
    lines += [(name.decode("ascii"), value.decode("ascii")) for name, value in (identity.headers if identity else ())]
    return [*lines, *((name.decode("ascii"), "(hidden)") for name, _ in settings.extra_headers)]
