"""How a client sees an error of ours: in the shape that OpenRouter, or Anthropic, gives its own."""

import json

from proxy.errors import ProxyError
from proxy.headers import NOT_EMBEDDABLE, HeaderList

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    421: "invalid_request_error",
    426: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_body(error: ProxyError, path: bytes) -> bytes:
    """``error`` as JSON in the shape that clients of ``path`` parse: Anthropic's or OpenRouter's."""
    if b"messages" in path.split(b"/"):
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
        shape: dict[str, object] = {"type": "error", "error": {"type": kind, "message": error.text()}}
    else:
        metadata = {"proxy_error": error.slug}
        shape = {"error": {"code": error.status, "message": error.text(), "metadata": metadata}}
    return json.dumps(shape).encode()


def error_response(error: ProxyError, path: bytes) -> tuple[HeaderList, bytes]:
    """Headers and body of the answer to a request for ``path`` (raw, without query)."""
    body = error_body(error, path)
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(body)).encode()),
        (b"X-Proxy-Error", error.slug.encode()),
        *error.headers,
        *NOT_EMBEDDABLE,
    ]
    return headers, body
