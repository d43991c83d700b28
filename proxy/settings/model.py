"""The settings: what can be set, to what, and what is wrong or doubtful together.

`Settings` is the one list of them: the command line's flags, ``config.example.env`` and the table in docs/settings.md
are made from its fields. Where their values come from is for `proxy.settings.sources` to say.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from proxy.faults import Faulty
from proxy.openrouter import identity
from proxy.openrouter.attribution import Attribution, Mode
from proxy.settings import key_rules as access
from proxy.settings import validators as values
from proxy.settings.addresses import Listen, Upstream
from proxy.settings.doubts import doubts_about
from proxy.settings.options import (
    Format,
    HeaderPairs,
    Headers,
    Level,
    LivePage,
    OnOff,
    Option,
    Outbound,
    Seconds,
    SecondsOrNone,
    Secret,
    WarmConnections,
)
from proxy.settings.outbound_proxy import OutboundProxy
from proxy.settings.variables import variable

_SHORTEST_HIDDEN = 8  # characters of a password or a header; a shorter one may be part of any word in the log


# What lets in more than is let in by default.
GUARDS = ("allow_plaintext_upstream", "allow_unauthenticated", "allowed_hosts", "allowed_origins", "allow_management")


class Settings(BaseSettings):
    """Every setting, checked and frozen. Building one reads nothing but its arguments: see `proxy.settings.sources`.

    A `BaseSettings`, and not a `BaseModel`, for two things: it checks defaults too, so that a rule like "an app needs a
    URL" holds where nothing was given; and ``settings_customise_sources`` is where a program that embeds the proxy puts
    a source of its own, such as a vault, in a subclass.
    """

    needs_identity: ClassVar[bool] = True

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    http_referer: Annotated[
        str | None,
        BeforeValidator(values.referer),
        Option("URL", also=("OPENROUTER_APP_URL", "OPENROUTER_SITE_URL", "OR_SITE_URL"), by_folder=True),
    ] = Field(
        default=None,
        description=f"The app's URL, by which OpenRouter credits requests: required, for example "
        f"{identity.EXAMPLE_REFERER}",
    )
    app_title: Annotated[
        str | None,
        BeforeValidator(values.title),
        Option("TEXT", also=("OPENROUTER_X_TITLE", "OPENROUTER_APP_NAME", "OR_APP_NAME"), by_folder=True),
    ] = Field(default=None, description="The app's display name; it renames the app that has the URL")
    app_categories: Annotated[
        tuple[str, ...],
        BeforeValidator(values.split_categories),
        AfterValidator(values.categories),
        Option("A,B", by_folder=True),
    ] = Field(
        default=(),
        description="At most two categories of OpenRouter's app ranking, for example cli-agent,programming-app",
    )
    app_visibility: Annotated[Literal["hidden"] | None, BeforeValidator(values.visibility), Option("hidden")] = Field(
        default=None,
        description='"hidden" makes a new app hidden; it counts on the app\'s first request only, and for good',
    )
    attribution_mode: Annotated[Mode, BeforeValidator(values.one_of(Mode)), Option("MODE", by_folder=True)] = Field(
        default=Mode.OVERRIDE,
        description="override: replaces what tools send; fill: only for tools that send none; passthrough: sends none",
    )
    listen: Annotated[Listen, BeforeValidator(values.listen), Option("HOST:PORT", by_folder=True)] = Field(
        default=Listen("localhost", 6767),
        description="Where the proxy listens; 0.0.0.0:6767 is every network, port 0 is any free port",
    )
    upstream_url: Annotated[Upstream, BeforeValidator(values.upstream), Option("URL")] = Field(
        default=Upstream("https", "openrouter.ai", 443),
        description="Where requests go: an origin with an optional path prefix; http only to a loopback address",
    )
    allow_plaintext_upstream: Annotated[bool, BeforeValidator(values.yes_or_no), Option("BOOL")] = Field(
        default=False,
        description="true: the upstream may be http:// beyond this machine; keys and prompts then travel unencrypted",
    )
    outbound_proxy: Annotated[Outbound, BeforeValidator(values.outbound_proxy), Option("URL", secret=True)] = Field(
        default="auto",
        description="The proxy on the way to the upstream: auto (HTTPS_PROXY, ALL_PROXY, NO_PROXY), none, "
        "or an http:// or socks5:// URL",
    )
    api_key: Annotated[Secret, Option("KEY", secret=True)] = Field(
        default=None,
        description="The OpenRouter key for clients that bring none of their own",
    )
    access_token: Annotated[Secret, Option("TOKEN", secret=True)] = Field(
        default=None,
        description="What clients must present, in place of an API key, before the key is used for them",
    )
    allow_unauthenticated: Annotated[bool, BeforeValidator(values.yes_or_no), Option("BOOL")] = Field(
        default=False,
        description="true: only those who may use the key can reach the proxy, so it needs no token beyond loopback",
    )
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(values.host_patterns), Option("HOST,...")] = Field(
        default=(),
        description="Further host names by which the proxy may be reached, for example llm.example.com,*.corp.example",
    )
    allowed_origins: Annotated[tuple[str, ...], BeforeValidator(values.origins), Option("ORIGIN,...")] = Field(
        default=(),
        description="Web pages that may use it, for example https://chat.example.com; * for all, if there is no key",
    )
    allow_management: Annotated[tuple[str, ...], BeforeValidator(values.management), Option("NAME,...")] = Field(
        default=(),
        description="Account paths to keep open although a key is set, for example keys,workspaces",
    )
    connect_timeout: SecondsOrNone = Field(
        default=10.0, description="Seconds to connect to the upstream, TLS included; 0 = no limit"
    )
    response_timeout: SecondsOrNone = Field(
        default=600.0, description="Seconds to wait for the upstream's response headers; 0 = no limit"
    )
    idle_timeout: SecondsOrNone = Field(
        default=300.0, description="Seconds of silence after which a response or an upload is cut off; 0 = no limit"
    )
    warm_connections: WarmConnections = Field(
        default="auto",
        description="TLS connections kept ready while the proxy is in use, at most 16; "
        "auto: as many as were in use at once lately; 0 = none",
    )
    workers: Annotated[int, BeforeValidator(values.whole_number(at_least=1, at_most=64)), Option("NUMBER")] = Field(
        default=1,
        description="Processes that share the address, for more than one core; each has its own warm connections",
    )
    shutdown_grace: Seconds = Field(
        default=30.0, description="Seconds for which open streams may continue after a stop signal; 0 = cut at once"
    )
    log_level: Level = Field(
        default="info", description="The lowest level that is logged: debug, info, warning or error"
    )
    log_format: Format = Field(default="auto", description="text, json, or auto: text on a terminal and JSON otherwise")
    metrics: Annotated[OnOff, BeforeValidator(values.one_of(get_args(OnOff))), Option("on|off")] = Field(
        default="on", description="Counts and times for Prometheus at /metrics: on or off"
    )
    live_page: Annotated[LivePage, BeforeValidator(values.one_of(get_args(LivePage))), Option("WHEN")] = Field(
        default="auto",
        description="The page / that shows requests as they happen: auto (while only this machine reaches it), on, off",
    )
    extra_headers: Headers = Field(
        default=(),
        repr=False,
        description='Further headers for each request, as a JSON object, for example {"X-Team": "search"}',
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments: a fault names what the user wrote, which pydantic's own sources (2.16) do not tell."""
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _on_one_line(cls, value: object, info: ValidationInfo) -> object:
        # Those tell more themselves, or less.
        own_words = {"http_referer", "app_title", "outbound_proxy", "api_key", "access_token", "extra_headers"}
        return value if info.field_name in own_words else values.on_one_line(value)

    # Checks of one setting against another stand on the later one. They run only if both are sound by themselves,
    # and beside all others, so that one start tells every fault.

    @field_validator("attribution_mode")
    @classmethod
    def _has_identity(cls, mode: Mode, info: ValidationInfo) -> Mode:
        if mode is Mode.PASSTHROUGH or "http_referer" not in info.data:
            return mode
        referer = info.data["http_referer"]
        if referer is None and not cls.needs_identity:
            return mode
        if referer is None:
            name = variable("http_referer")
            raise Faulty(
                f"is not set: it is the URL of the app that OpenRouter credits; "
                f"set it, for example {name}={identity.EXAMPLE_REFERER}",
                field="http_referer",
            )
        if "app_title" in info.data and info.data["app_title"] is None:
            faults = [f"{fault} with {variable('app_title')}" for fault in identity.untitled_faults(referer)]
            if faults:
                raise Faulty(*faults, field="http_referer")
        return mode

    @field_validator("upstream_url")
    @classmethod
    def _is_another_server(cls, upstream: Upstream, info: ValidationInfo) -> Upstream:
        listen = info.data.get("listen")
        if listen is not None and upstream.reaches(listen):
            raise Faulty(
                f"is the proxy's own address ({variable('listen')} is {listen}), and it would call itself; "
                f"leave it unset to reach https://openrouter.ai"
            )
        return upstream

    @field_validator("allow_plaintext_upstream")
    @classmethod
    def _is_encrypted(cls, in_clear: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - a validator
        upstream = info.data.get("upstream_url")
        if upstream is not None and upstream.is_in_clear and not in_clear:
            raise Faulty(
                "must start with https://: http:// would send keys and prompts unencrypted over the network; to a "
                f"loopback address it is allowed, and within a network of yours with "
                f"{variable('allow_plaintext_upstream')}=true",
                field="upstream_url",
            )
        return in_clear

    @field_validator("outbound_proxy")
    @classmethod
    def _is_another_proxy(cls, outbound: Outbound, info: ValidationInfo) -> Outbound:
        listen = info.data.get("listen")
        if isinstance(outbound, OutboundProxy) and listen is not None and listen.meets(outbound.host, outbound.port):
            raise Faulty(
                f"is this proxy's own address ({variable('listen')} is {listen}), which tools call by their base URL "
                f"and nothing else goes through: name your network's proxy, or set {variable('outbound_proxy')}=none"
            )
        return outbound

    @field_validator("access_token")
    @classmethod
    def _guards_a_key(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is not None and "api_key" in info.data:
            faults = access.token_faults(info.data["api_key"], token, variable("api_key"))
            if faults:
                raise Faulty(*faults)
        return token

    @field_validator("allow_unauthenticated")
    @classmethod
    def _somebody_guards_the_key(cls, network_guards: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - a validator
        if info.data.get("api_key") is not None and not network_guards:
            cls._refuse_unguarded(info, "api_key")
        return network_guards

    @field_validator("extra_headers")
    @classmethod
    def _are_guarded_as_a_key(cls, headers: HeaderPairs, info: ValidationInfo) -> HeaderPairs:
        found = info.data
        if headers and found.get("api_key", True) is None and found.get("allow_unauthenticated", True) is False:
            cls._refuse_unguarded(info, "extra_headers")
        pays = headers or found.get("api_key") is not None
        if found.get("access_token") is not None and not headers and found.get("api_key", True) is None:
            raise Faulty(
                f"is set without {variable('api_key')}, whose use it allows: set the key as well, or remove the token",
                field="access_token",
            )
        if pays and "*" in found.get("allowed_origins", ()):
            raise Faulty(
                'may not hold "*", which any web page can be, beside what makes you pay: name each origin',
                field="allowed_origins",
            )
        return headers

    @classmethod
    def _refuse_unguarded(cls, info: ValidationInfo, field: str) -> None:
        found = info.data
        if {"access_token", "listen"} <= found.keys() and access.is_unguarded(found["access_token"], found["listen"]):
            raise Faulty(access.unguarded_fault(found["listen"]), field=field)

    @field_validator("live_page")
    @classmethod
    def _is_not_for_everyone(cls, live_page: LivePage, info: ValidationInfo) -> LivePage:
        found = info.data
        sound = {"api_key", "access_token", "listen"} <= found.keys() and found.get("allow_unauthenticated") is False
        if live_page == "on" and sound and access.is_unguarded(found["access_token"], found["listen"]):
            raise Faulty(access.unguarded_page_fault(found["listen"], has_key=found["api_key"] is not None))
        return live_page

    @property
    def asks_for_live_page(self) -> bool:
        """What ``auto`` means is decided by where the proxy listens."""
        return self.live_page == "on" or (self.live_page == "auto" and self.listen.is_loopback)

    @property
    def shows_live_page(self) -> bool:
        """Whether there is a live page. Of several workers, each would show only its own requests."""
        return self.workers == 1 and self.asks_for_live_page

    @property
    def outbound(self) -> OutboundProxy | None:
        """The proxy through which the upstream is called, if any. `load_settings` has looked up what ``auto`` means."""
        return self.outbound_proxy if isinstance(self.outbound_proxy, OutboundProxy) else None

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """What must never be shown: keys, and what others' proxies and gateways ask for (promise 38)."""
        certain = [secret for secret in (self.api_key, self.access_token) if secret is not None]
        more = [self.outbound.password] if self.outbound and self.outbound.password else []
        for _, value in self.extra_headers:
            text = value.decode("ascii")
            # "Bearer abc" is a secret whose part is one too.
            more += [SecretStr(part) for part in {text, text.rpartition(" ")[2]}]
        return (*certain, *(secret for secret in more if len(secret) >= _SHORTEST_HIDDEN))

    @property
    def profiles(self) -> Mapping[str, "Settings"]:
        """Further identities of this process, by their names in URLs: see `proxy.settings.profiles`."""
        return {}

    @property
    def is_identity(self) -> bool:
        """Whether a request can be served by these settings; in a process with profiles the default may lack a URL."""
        return self.http_referer is not None or self.attribution_mode is Mode.PASSTHROUGH

    @property
    def pays(self) -> bool:
        """Whether requests are answered at the expense of whoever set this: by a key, or by headers (promise 38)."""
        return self.api_key is not None or bool(self.extra_headers)

    @property
    def attribution(self) -> Attribution | None:
        """The identity to stamp; None in ``passthrough``."""
        if self.attribution_mode is Mode.PASSTHROUGH or self.http_referer is None:
            return None
        return Attribution(self.http_referer, self.app_title, self.app_categories, self.app_visibility)

    @property
    def doubts(self) -> dict[str, list[str]]:
        """What may not be meant, by field. Each is a predicate, as in `Faulty`."""
        return doubts_about(self)


def option(field: str) -> Option:
    """The `Option` of a setting."""
    return next(data for data in Settings.model_fields[field].metadata if isinstance(data, Option))
