"""What is told of a setting beside its type, and what is common to the types of several."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, SecretStr

from proxy.settings import validators as values
from proxy.settings.outbound_proxy import OutboundProxy


@dataclass(frozen=True)
class Option:
    """What a setting is called outside, beyond its name: its value in ``--help``, and names that users know already.

    A ``secret`` has no flag, because every program on a machine can read the command lines of all others; it may stand
    in a file instead. ``by_folder``: whether the ``.env`` of a folder that nobody has vouched for may say it (promise
    37). It may not where requests go, whose key pays, and who may call.
    """

    metavar: str
    also: tuple[str, ...] = ()
    secret: bool = False
    by_folder: bool = False


LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]
OnOff = Literal["on", "off"]
LivePage = Literal["auto", "on", "off"]
Outbound = Literal["auto", "none"] | OutboundProxy

# pydantic runs the last of several `BeforeValidator`s first.
Seconds = Annotated[
    float,
    BeforeValidator(values.limited_seconds),
    BeforeValidator(values.seconds),
    Option("SECONDS", by_folder=True),
]
SecondsOrNone = Annotated[
    float | None,
    BeforeValidator(values.zero_is_none),
    BeforeValidator(values.limited_seconds),
    BeforeValidator(values.seconds),
    Option("SECONDS", by_folder=True),
]

WarmConnections = Annotated[
    int | Literal["auto"],
    BeforeValidator(values.whole_number(at_most=16, or_auto=True)),
    Option("NUMBER", by_folder=True),
]
Level = Annotated[LogLevel, BeforeValidator(values.one_of(get_args(LogLevel))), Option("LEVEL", by_folder=True)]
Format = Annotated[LogFormat, BeforeValidator(values.one_of(get_args(LogFormat))), Option("FORMAT", by_folder=True)]
Secret = Annotated[SecretStr | None, BeforeValidator(values.secret)]
HeaderPairs = tuple[tuple[bytes, bytes], ...]
Headers = Annotated[HeaderPairs, BeforeValidator(values.extra_headers), Option("JSON", secret=True)]
