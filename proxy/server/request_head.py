"""What a request's head may say, beyond what llhttp checks: pure functions on the bytes and the header list.

llhttp, in its strict mode, holds the grammar of header lines. It knows no limits, keeps neither ``Host`` nor
``Transfer-Encoding`` to what RFC 9112 demands, and reads RTSP, ICE and HTTP/0.9 as well.
"""

import re
from typing import NamedTuple

from proxy.errors import (
    HeadTooLarge,
    Http2Spoken,
    Malformed,
    ProxyError,
    TargetTooLong,
    TlsSpoken,
    UnknownCoding,
    UnknownExpectation,
    UnknownMethod,
)
from proxy.headers import Fields, HeaderList, list_members
from proxy.server.request_body import Body, Chunked, Sized

MAX_TARGET = 16 * 1024  # bytes
MAX_FIELDS = 128
MAX_FIELDS_SIZE = 64 * 1024  # bytes of header lines, their line ends included
_MAX_LINE = MAX_TARGET + 64  # with the method, the version and the line end

# The longest method that is registered has 17 letters (UPDATEREDIRECTREF): ours end at 32.
_METHOD_TOO_LONG = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{33}")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} (?P<target>[!-~]+) HTTP/1\.[01]\r\n")
_HTTP_2_PREFACE = b"PRI * HTTP/2.0\r\n"  # RFC 9113, 3.4
_TLS_HANDSHAKE = b"\x16"  # RFC 8446, 5.1: the type of the first record of every TLS connection

# RFC 9112, 3.2.2
_ABSOLUTE_FORM = re.compile(
    rb"[hH][tT][tT][pP][sS]?://(?P<authority>[^/?#]*)(?P<path>(?:/[^?#]*)?)(?:\?(?P<query>[^#]*))?"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")  # more digits overflow somewhere
# RFC 3986, 3.2.2 and 3.2.3, without user information (RFC 9110, 4.2.4). Empty is for targets without an authority
# (RFC 9112, 3.2), and ours has one.
_AUTHORITY = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]++|%[0-9A-Fa-f]{2})++)(?::[0-9]{0,5})?"
)
# By which servers behind a CGI-like gateway mean `Content-Length` and `Transfer-Encoding`.
_MEANT_FOR_FRAMING = frozenset({b"content_length", b"transfer_encoding"})
_USUAL_OPTIONS = [b"keep-alive"]


class Head(NamedTuple):
    """A request's head, understood."""

    method: bytes
    version: str  # "1.1" or "1.0"
    headers: HeaderList  # names in lower case
    fields: Fields  # the same, by name
    path: bytes  # as it stands on the wire; ``*`` if there is none
    query: bytes
    body: Body | None  # how the body comes, if there is one
    expects_continue: bool  # whether the client waits for a 100 (Continue) before it sends its body
    keep_alive: bool  # whether another request may follow on the connection


def head_length(data: bytes, seen: int = 0) -> int:
    """How many bytes of ``data`` are the head that it begins with, or 0 while the head is not complete.

    ``seen`` of them were there at an earlier call, which found the head incomplete.
    Raises `Malformed` for a bad request line, `UnknownMethod`, `TargetTooLong` and `HeadTooLarge`. What it says about
    some bytes does not depend on how they were cut into pieces.
    """
    line_end = data.find(b"\r\n", 0, _MAX_LINE)
    if line_end < 0:
        if data.startswith(_TLS_HANDSHAKE) or _METHOD_TOO_LONG.match(data):
            raise _refusal(data)
        if len(data) >= _MAX_LINE:
            raise TargetTooLong
        return 0
    if seen < line_end + 2:
        line = _REQUEST_LINE.match(data)
        if line is None:
            raise _refusal(data)
        if len(line["target"]) > MAX_TARGET:
            raise TargetTooLong
    limit = line_end + MAX_FIELDS_SIZE + 4
    end = data.find(b"\r\n\r\n", max(line_end, seen - 3), limit)
    if end < 0:
        if len(data) >= limit:
            raise HeadTooLarge
        return 0
    return end + 4


def _refusal(data: bytes) -> ProxyError:
    """What is to be said of ``data`` that begins with no request line."""
    if data.startswith(_TLS_HANDSHAKE):
        return TlsSpoken()
    if data.startswith(_HTTP_2_PREFACE):
        return Http2Spoken()
    if _METHOD_TOO_LONG.match(data):
        return UnknownMethod()  # RFC 9112, 3
    return Malformed()


def read_head(method: bytes, target: bytes, version: str, headers: HeaderList) -> Head:
    """What llhttp has parsed, understood. ``headers`` have names in lower case, and ``version`` is "1.1" or "1.0".

    Raises `Malformed`, `UnknownCoding` and `UnknownExpectation`.
    """
    fields = Fields(headers)
    _check_host(fields[b"host"], version)
    body = _body(fields, version)
    expects_continue = _expects_continue(fields[b"expect"], version)
    path, query, authority = _targeted(method, target)
    if authority is not None:  # RFC 9112, 3.2.2: it replaces what `Host` says
        _check_host([authority], version)
        headers = [(b"host", authority), *(line for line in headers if line[0] != b"host")]
        fields = Fields(headers)
    keep_alive = _keep_alive(fields[b"connection"], method, version)
    return Head(method, version, headers, fields, path, query, body, expects_continue, keep_alive)


def _targeted(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """The target's path, its query, and its authority if it has one."""
    if target.startswith(b"/") and method != b"CONNECT":  # RFC 9112, 3.2.1: origin-form; a fragment is never sent
        if target.count(b"#"):  # `in` costs more, see `proxy.headers.serialized`
            raise Malformed
        path, _, query = target.partition(b"?")
        return path, query, None
    if method == b"CONNECT" or (target == b"*" and method == b"OPTIONS"):
        return b"*", b"", None
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise Malformed
    return match["path"] or b"/", match["query"] or b"", match["authority"]


def _check_host(hosts: list[bytes], version: str) -> None:
    """RFC 9112, 3.2: exactly one, and valid; only HTTP/1.0 may lack it."""
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        raise Malformed
    for host in hosts:
        if not _AUTHORITY.fullmatch(host):
            raise Malformed


def _body(fields: Fields, version: str) -> Body | None:
    """RFC 9112, 6.3. Only exactly ``chunked`` is known: the header is hop-by-hop, so another coding would be lost."""
    if not _MEANT_FOR_FRAMING.isdisjoint(fields.names):
        raise Malformed
    codings = fields[b"transfer-encoding"]
    lengths = fields[b"content-length"]
    if codings:
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise UnknownCoding
        if lengths or version == "1.0":  # RFC 9112, 6.1: faulty framing
            raise Malformed
        return Chunked()
    if not lengths:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise Malformed
    length = int(lengths[0])
    return Sized(length) if length else None


def _expects_continue(expectations: list[bytes], version: str) -> bool:
    """RFC 9110, 10.1.1. HTTP/1.0 knows no expectations."""
    if not expectations or version == "1.0":
        return False
    if any(expectation.lower() != b"100-continue" for expectation in expectations):
        raise UnknownExpectation
    return True


def _keep_alive(options: list[bytes], method: bytes, version: str) -> bool:
    """RFC 9112, 9.3; but HTTP/1.0 gets a connection for each request, as it knows no chunks.

    Behind a CONNECT there may be bytes for the tunnel that it does not get: they are not read as requests.
    """
    if version == "1.0" or method == b"CONNECT":
        return False
    return not options or options == _USUAL_OPTIONS or b"close" not in list_members(options)
