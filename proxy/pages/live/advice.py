"""What is in the way, and what to do about it: one title and one or two sentences for each kind of trouble."""

from proxy import errors

_TITLES = {
    "malformed-request": "Not HTTP",
    "bad-target": "A path with dots in it",
    "unclear-credentials": "Which key is meant?",
    "access-token-required": "The access token is missing",
    "cross-origin": "A web page of another origin was refused",
    "management-closed": "An account path is closed",
    "unknown-path": "A tool has a wrong base URL",
    "method-not-allowed": "A method that is not forwarded",
    "request-timeout": "A request never became complete",
    "untrusted-host": "Called by a name that is not trusted",
    "internal-error": "A bug in the proxy",
    "upstream-unreachable": "OpenRouter cannot be reached",
    "upstream-unknown": "The name of OpenRouter does not resolve",
    "upstream-untrusted": "The connection to OpenRouter is not trusted",
    "outbound-proxy": "The outbound proxy is in the way",
    "upstream-broken": "OpenRouter hung up before it answered",
    "overloaded": "Too many connections",
    "stopping": "Came while the proxy was stopping",
    "connect-timeout": "No connection to OpenRouter in time",
    "upload-timeout": "OpenRouter stopped taking a request",
    "response-timeout": "OpenRouter did not answer in time",
}

_SEVERE = frozenset(
    {
        *("upstream-unreachable", "upstream-unknown", "upstream-untrusted", "outbound-proxy", "connect-timeout"),
        *("internal-error", "overloaded", "response-cut", "status-401", "status-402"),
    }
)

# What has no error class of ours: cuts, and statuses that OpenRouter itself gives.
_OTHERS = {
    "response-cut": ("An answer was cut", "The upstream ended it half-way, and the tool saw that too. Ask again."),
    "idle-timeout": (
        "An answer fell silent",
        "The upstream sent nothing for OPENROUTER_IDLE_TIMEOUT, so the answer was cut. Ask again, or allow it longer.",
    ),
    "status-401": (
        "OpenRouter refuses the key",
        "It says 401: the key is missing, mistyped, revoked, or another provider's. Give one of openrouter.ai/keys.",
    ),
    "status-402": (
        "The account has no credit",
        "OpenRouter says 402: add credit at openrouter.ai/settings/credits, or raise the key's limit.",
    ),
    "status-403": ("OpenRouter refuses this request", "It says 403: moderation, or a limit of the key or its region."),
    "status-404": (
        "OpenRouter does not know what was asked for",
        "It says 404: the model's name, the path behind the base URL, or a privacy setting that leaves no provider.",
    ),
    "status-429": ("Too many requests", "OpenRouter or the provider says 429: wait as long as Retry-After tells."),
}


def advice() -> dict[str, dict[str, object]]:
    """By an error's slug, or ``status-<code>`` of OpenRouter's: what to tell whoever looks."""
    kinds = [kind for kind in _kinds(errors.ProxyError) if isinstance(getattr(kind, "slug", None), str)]
    own = {
        kind.slug: (_TITLES.get(kind.slug, kind.slug.replace("-", " ").capitalize()), kind.message) for kind in kinds
    }
    return {
        slug: {"title": title, "text": text, "severe": slug in _SEVERE}
        for slug, (title, text) in {**own, **_OTHERS}.items()
    }


def _kinds(base: type[errors.ProxyError]) -> list[type[errors.ProxyError]]:
    below = base.__subclasses__()
    return below + [deeper for kind in below for deeper in _kinds(kind)]
