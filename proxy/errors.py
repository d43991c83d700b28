"""The errors that are ours: a class for each, with its status, its slug and its fixed text.

All are a `Failure`: raised where it is noticed, answered in `proxy.middleware.errors`, told to the record as it is.
A `ProxyError` is an answer; after a `ResponseCut`, which comes behind the head of one, there is none, and nor is there
for a client that has left.

Messages are fixed: they say what to do next, and hold no text from an exception, an address or a header.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from proxy.headers import HeaderList

_BASE_URLS = (
    "Set the tool's base URL to this proxy's address followed by /api/v1 (OpenAI-style tools), "
    "/api (Anthropic-style tools) or /v1 (tools that accept nothing else)."
)
_RETRIED_BY_YOU = "The proxy never repeats a request that may cost money; send it again if you want to."

# A page that is refused must not hold connections, which are few (macOS: 256 files, less than a page opens).
_CLOSE: HeaderList = [(b"Connection", b"close")]

Ender = Literal["upstream", "client", "proxy"]


class Failure(Exception):
    """Why a request did not end with the last byte of the upstream's answer."""

    slug: ClassVar[str | None]
    ended_by: ClassVar[Ender]


class ProxyError(Failure):
    """An answer that the proxy gives by itself, instead of the upstream's."""

    status: ClassVar[int]
    slug: ClassVar[str]
    ended_by = "proxy"
    message: ClassVar[str]
    headers: ClassVar[HeaderList] = []
    reason: str | None = None
    """For the log alone, which may say what clients are not told: no secret."""

    def text(self) -> str:
        return self.message


class Malformed(ProxyError):
    status, slug = 400, "malformed-request"
    message = "This is not a well-formed HTTP/1.1 request, so it was not forwarded. Is the tool speaking https to http?"


class TlsSpoken(Malformed):
    slug = "tls-to-http"
    message = "TLS to a plain HTTP port: use http:// in the base URL. The proxy speaks TLS to OpenRouter, not to tools."


class Http2Spoken(Malformed):
    slug = "http-2"
    message = "The proxy does not speak HTTP/2, so this was not forwarded. Make the tool use HTTP/1.1."


class BadTarget(ProxyError):
    status, slug = 400, "bad-target"
    message = "The path holds a '.' or '..' segment, which would make it another path on the way. Send the final path."


class UnclearCredentials(ProxyError):
    status, slug = 400, "unclear-credentials"
    message = (
        "Authorization and x-api-key hold different OpenRouter keys, or one that is not well-formed, "
        "or the access token is in the URL or in another header. Send one key, in one header, and the token by itself."
    )


class Unauthenticated(ProxyError):
    status, slug = 401, "access-token-required"
    message = (
        "This proxy asks for its access token, and this request does not have it. Put the token where the tool wants "
        "its API key: it is sent as 'Authorization: Bearer <token>' or 'x-api-key: <token>'."
    )
    headers: ClassVar[HeaderList] = [(b"WWW-Authenticate", b"Bearer")]


class Locked(ProxyError):
    status, slug = 401, "page-locked"
    message = (
        "This page asks for the proxy's access token. In a browser, give it as the password, with any user name; "
        "a program sends it as 'Authorization: Bearer <token>'."
    )
    headers: ClassVar[HeaderList] = [(b"WWW-Authenticate", b'Basic realm="openrouter-proxy", charset="UTF-8"')]


class ForeignKey(ProxyError):
    status, slug = 401, "foreign-key"
    message = (
        "This is another company's key (OpenAI's or Anthropic's, say), so it was not sent to OpenRouter. Give the tool "
        "an OpenRouter key in its place (sk-or-..., from openrouter.ai/settings/keys)."
    )
    headers: ClassVar[HeaderList] = [(b"WWW-Authenticate", b"Bearer")]


class CrossOrigin(ProxyError):
    status, slug = 403, "cross-origin"
    message = (
        "A web page of another origin may not use this proxy. "
        "If the page is yours, add its origin to OPENROUTER_ALLOWED_ORIGINS."
    )
    headers: ClassVar[HeaderList] = _CLOSE


class ForeignPage(ProxyError):
    status, slug = 403, "foreign-page"
    message = "What goes on in this proxy is for whoever runs it, not for web pages of other origins."


class ManagementClosed(ProxyError):
    status, slug = 403, "management-closed"
    message = (
        "This path manages the account (its keys, members, budgets), or writes and is not known to do nothing of the "
        "kind, so it is closed while the proxy pays. Call openrouter.ai directly, or open the path by name with "
        "OPENROUTER_ALLOW_MANAGEMENT."
    )


class WrongProfile(ProxyError):
    status, slug = 403, "wrong-profile"
    message = (
        "The access token belongs to another profile than the one in the URL. "
        "Take the base URL of the token's profile, or one without a profile, or the token of this profile."
    )


class ProfileRequired(ProxyError):
    status, slug = 404, "profile-required"
    message = (
        "This proxy serves profiles only. Put the profile into the base URL (/<profile>/api/v1, /<profile>/api or "
        "/<profile>/v1), or send its access token where the tool wants its API key."
    )


class UnknownProfile(ProxyError):
    """``known`` are the names of those that there are, for a caller who may know them."""

    status, slug = 404, "unknown-profile"
    message = "The URL begins with the name of a profile that this proxy does not have."

    def __init__(self, known: Sequence[str] = ()) -> None:
        super().__init__()
        self.known = known

    def text(self) -> str:
        if not self.known:
            return f"{self.message} Ask whoever runs it for the base URL."
        return f"{self.message} It has {', '.join(self.known)}: the base URL is /<profile>/api/v1, for example."


class UnknownPath(ProxyError):
    status, slug = 404, "unknown-path"
    message = f"This path is not part of the API. {_BASE_URLS}"


class MethodNotAllowed(ProxyError):
    status, slug = 405, "method-not-allowed"
    message = "This method is not forwarded."
    headers: ClassVar[HeaderList] = [(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]


class RequestTimedOut(ProxyError):
    status, slug = 408, "request-timeout"
    message = "The request did not arrive completely in time. Send it again."


class TargetTooLong(ProxyError):
    status, slug = 414, "target-too-long"
    message = "The path and query are over 16 KiB. Send such data in a request's body."


class FormBody(ProxyError):
    status, slug = 415, "form-body"
    message = (
        "A plain text or form body is not accepted while the proxy holds a key: any web page could send it. "
        "Send JSON with 'Content-Type: application/json'."
    )


class UnknownExpectation(ProxyError):
    status, slug = 417, "unknown-expectation"
    message = "The only expectation that the proxy supports is 'Expect: 100-continue'. Leave the header out."


class UntrustedHost(ProxyError):
    status, slug = 421, "untrusted-host"
    message = (
        "The name in the Host header is not one of this proxy's names. If the name is right, add it to "
        "OPENROUTER_ALLOWED_HOSTS; else reach the proxy by its IP address or as localhost."
    )
    headers: ClassVar[HeaderList] = _CLOSE


class WebSocketRefused(ProxyError):
    status, slug = 426, "websocket"
    message = "OpenRouter has no WebSockets. Send the request over HTTP: its answer streams as events."
    # RFC 9110, 15.5.22 and 7.8: what to speak in its place, and that this is about the connection.
    headers: ClassVar[HeaderList] = [(b"Upgrade", b"HTTP/1.1"), (b"Connection", b"upgrade, close")]


class HeadTooLarge(ProxyError):
    status, slug = 431, "head-too-large"
    message = "The request has over 64 KiB of headers, or over 128 of them. Send fewer."


class InternalError(ProxyError):
    status, slug = 500, "internal-error"
    message = "The proxy failed on this request. Please report it, with the log line that has this id"

    def __init__(self, error_id: str) -> None:
        super().__init__(error_id)
        self.error_id = error_id

    def text(self) -> str:
        return f"{self.message}: {self.error_id}"


class UnknownCoding(ProxyError):
    status, slug = 501, "unknown-coding"
    message = "The only transfer coding that the proxy relays is exactly 'chunked'. Use Content-Encoding to compress."


class UnknownMethod(ProxyError):
    status, slug = 501, "unknown-method"
    message = "This method is not one of HTTP's. Methods are written in capitals."


class UpstreamUnreachable(ProxyError):
    status, slug = 502, "upstream-unreachable"
    message = (
        "OpenRouter could not be reached. Check this machine's network and OPENROUTER_UPSTREAM_URL, then try again."
    )


class UpstreamUnknown(UpstreamUnreachable):
    slug = "upstream-unknown"
    message = (
        "The name of the upstream could not be resolved. Check this machine's DNS and OPENROUTER_UPSTREAM_URL, "
        "then try again."
    )


class UpstreamUntrusted(UpstreamUnreachable):
    slug = "upstream-untrusted"
    message = (
        "No trusted TLS connection to the upstream could be made. If a company proxy signs certificates here, "
        "point SSL_CERT_FILE at its CA; check this machine's clock as well."
    )


class OutboundProxyFailed(ProxyError):
    status, slug = 502, "outbound-proxy"
    message = (
        "The outbound proxy of this network could not be reached, or did not let the connection through. Check its "
        "address, user and password in HTTPS_PROXY or OPENROUTER_OUTBOUND_PROXY ('none' goes without), then try again."
    )


class UpstreamBroken(ProxyError):
    status, slug = 502, "upstream-broken"
    message = (
        f"The upstream gave no valid answer: it closed the connection or did not speak HTTP/1.1. {_RETRIED_BY_YOU}"
    )


class Overloaded(ProxyError):
    status, slug = 503, "overloaded"
    message = "The proxy has no file descriptor left for another connection. Try again, or raise its limit (ulimit -n)."
    headers: ClassVar[HeaderList] = [(b"Retry-After", b"1")]
    no_thread: ClassVar = (
        "The proxy could start no thread for this. Try again, or let it have more of them (ulimit -u; a container's "
        "limit of pids)."
    )

    def __init__(self, message: str = message) -> None:
        super().__init__()
        self._message = message

    def text(self) -> str:
        return self._message


class Starting(ProxyError):
    status, slug = 503, "starting"
    message = "The proxy is starting: not all of its OPENROUTER_WORKERS serve yet. Try again in a moment."
    headers: ClassVar[HeaderList] = [(b"Retry-After", b"1")]


class Stopping(ProxyError):
    status, slug = 503, "stopping"
    message = "The proxy is shutting down. Try again when it is back."
    headers: ClassVar[HeaderList] = [(b"Retry-After", b"5"), (b"Connection", b"close")]


class ConnectTimedOut(ProxyError):
    status, slug = 504, "connect-timeout"
    message = (
        "No connection to the upstream within OPENROUTER_CONNECT_TIMEOUT. Check this machine's network, "
        "and its outbound proxy if there is one, then try again."
    )


class UploadTimedOut(ProxyError):
    status, slug = 504, "upload-timeout"
    message = f"The upstream took none of the request's body for OPENROUTER_IDLE_TIMEOUT. {_RETRIED_BY_YOU}"


class ResponseTimedOut(ProxyError):
    status, slug = 504, "response-timeout"
    message = f"The upstream did not answer within OPENROUTER_RESPONSE_TIMEOUT. {_RETRIED_BY_YOU}"


class ResponseCut(Failure):
    """The response has begun and cannot be completed; the server must cut the client's connection, visibly."""

    slug = "response-cut"
    ended_by: ClassVar[Ender] = "upstream"


class IdleTimedOut(ResponseCut):
    """The upstream has been silent for too long in the middle of its answer."""

    slug = "idle-timeout"
    ended_by = "proxy"


class ClientLeft(Failure):
    """The client is gone."""

    slug = None
    ended_by = "client"


class Answered(Exception):
    """No error: the proxy answers this request by itself, with a status and headers, and no body."""

    def __init__(self, status: int, headers: HeaderList) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
