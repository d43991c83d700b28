"""What the server side makes of requests of every kind: bytes in, answers and forwarded requests out.

The table holds what the test suites of llhttp, h11 and uvicorn ask of a parser, in our words and with our answers.
Each row is sent whole and byte by byte, and must come out the same.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from tests.support.fixtures import Through
from tests.support.http1 import chunk, chunked, message
from tests.support.marks import reaches_no_upstream
from tests.support.memory import assert_stamped, in_memory
from tests.support.pieces import cut
from tests.support.proxies import STAMP
from tests.support.upstream import OK, reply

HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET /api/v1/a HTTP/1.1\r\n" + HOST
POST = b"POST /api/v1/a HTTP/1.1\r\n" + HOST
NEXT = b"GET /api/v1/next HTTP/1.1\r\n" + HOST + b"\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"

Forwarded = tuple[bytes, bytes]  # method and target, body


class Row(NamedTuple):
    """What is sent, and what comes of it."""

    sent: bytes
    statuses: list[int]
    forwarded: Sequence[Forwarded] = ()
    closed: bool = False
    """Whether the proxy ends the connection; else it waits for more."""
    complete: bool = True
    """Whether the last request that leaves is ever whole."""


A: Forwarded = (b"GET /api/v1/a", b"")
N: Forwarded = (b"GET /api/v1/next", b"")
P = b"POST /api/v1/a"


def one(request: bytes, start: bytes = b"GET /api/v1/a", body: bytes = b"") -> Row:
    """A request that is served, and another one behind it that is served too."""
    return Row(request + NEXT, [200, 200], [(start, body), N])


def last(request: bytes, start: bytes = b"GET /api/v1/a", body: bytes = b"") -> Row:
    """A request that is served, and what is behind it no more."""
    return Row(request + NEXT, [200], [(start, body)], closed=True)


def refused(request: bytes, status: int = 400) -> Row:
    return Row(request + NEXT, [status], closed=True)


def waits(request: bytes) -> Row:
    return Row(request, [])


def cut_off(request: bytes, body: bytes = b"") -> Row:
    """A body that turns out to be bad: its request may have left already, but is never completed."""
    return Row(request + NEXT, [400], [(P, body)], closed=True, complete=False)


ROWS: dict[str, Row] = {
    # Heads
    "curl": one(GET + b"User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"),
    "a browser": one(
        GET + b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\nAccept: text/html,*/*;q=0.8\r\n"
        b"Accept-Language: en-us,en;q=0.5\r\nAccept-Charset: ISO-8859-1,utf-8;q=0.7,*;q=0.7\r\nKeep-Alive: 300\r\n"
        b"Connection: keep-alive\r\n\r\n"
    ),
    "no blank after the colon": one(b"GET /api/v1/a HTTP/1.1\r\nHost:localhost\r\n\r\n"),
    "many blanks after the colon": one(b"GET /api/v1/a HTTP/1.1\r\nHost: \t  localhost \t \r\n\r\n"),
    "empty values": one(GET + b"X-A:\r\nX-B: \r\nX-C:\t\r\n\r\n"),
    "an empty value at the end": one(GET + b"X-A:\r\n\r\n"),
    "colons in a value": one(GET + b"X-A: b: c::\r\n\r\n"),
    "high bytes in a value": one(GET + b"X-A: \x80\xe9\xff\r\n\r\n"),
    "every token byte in a name": one(GET + b"!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n"),
    "quotes in a value": one(GET + b'X-A: "b\\"c"\r\n\r\n'),
    "a tab in a value": one(GET + b"X-A: b\tc\r\n\r\n"),
    "an empty line before": one(b"\r\n" + GET + b"\r\n"),
    "empty lines before": one(b"\r\n" * 10 + GET + b"\r\n"),
    "an empty line between": one(GET + b"\r\n\r\n"),
    "LF before": refused(b"\n" + GET + b"\r\n"),
    "CR before": refused(b"\r" + GET + b"\r\n"),
    "a blank before": refused(b" " + GET + b"\r\n"),
    "NUL before": refused(b"\0" + GET + b"\r\n"),
    "nothing": waits(b""),
    "half a request line": waits(b"GET /api/v1/a HT"),
    "half a head": waits(GET),
    "a head but for its end": waits(GET + b"\r"),
    "TLS": refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60)),
    "the beginning of TLS": Row(b"\x16", [400], closed=True),
    "SSH": refused(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    "SMTP": refused(b"EHLO localhost\r\n"),
    "HTTP/2": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a response": refused(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "a PROXY line": refused(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"),
    # Request lines
    "HTTP/0.9": refused(b"GET /api/v1/a\r\n"),
    "HTTP/0.9 by number": refused(b"GET /api/v1/a HTTP/0.9\r\n" + HOST + b"\r\n"),
    "HTTP/1.2": refused(b"GET /api/v1/a HTTP/1.2\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": refused(b"GET /api/v1/a HTTP/2.0\r\n" + HOST + b"\r\n"),
    "HTTP/9.9": refused(b"GET /api/v1/a HTTP/9.9\r\n" + HOST + b"\r\n"),
    "HTTP/11.1": refused(b"GET /api/v1/a HTTP/11.1\r\n" + HOST + b"\r\n"),
    "HTTP/1.01": refused(b"GET /api/v1/a HTTP/1.01\r\n" + HOST + b"\r\n"),
    "HTTP/1": refused(b"GET /api/v1/a HTTP/1\r\n" + HOST + b"\r\n"),
    "http/1.1": refused(b"GET /api/v1/a http/1.1\r\n" + HOST + b"\r\n"),
    "HTP/1.1": refused(b"GET /api/v1/a HTP/1.1\r\n" + HOST + b"\r\n"),
    "ICE": refused(b"SOURCE /api/v1/a ICE/1.0\r\n" + HOST + b"\r\n"),
    "RTSP": refused(b"DESCRIBE /api/v1/a RTSP/1.0\r\n" + HOST + b"\r\n"),
    "RTSP with a method of HTTP": refused(b"OPTIONS /api/v1/a RTSP/1.0\r\n" + HOST + b"\r\n"),
    "HTTP/5.6": refused(b"GET /api/v1/a HTTP/5.6\r\n" + HOST + b"\r\n"),
    "a version that overflows": refused(b"GET /api/v1/a HTTP/4294967297.4294967297\r\n" + HOST + b"\r\n"),
    "CRs in the version": refused(b"GET /api/v1/a HTTP/\r\r1.1\r\n" + HOST + b"\r\n"),
    "a comma in the version": refused(b"GET /api/v1/a HTTP/1,1\r\n" + HOST + b"\r\n"),
    "IHTTP": refused(b"GET /api/v1/a IHTTP/1.1\r\n" + HOST + b"\r\n"),
    "no version and a blank": refused(b"GET /api/v1/a \r\n" + HOST + b"\r\n"),
    "no target": refused(b"GET HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no target and two blanks": refused(b"GET  HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no method": refused(b" /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "only a line end": refused(b" \r\n\r\n"),
    "blanks behind the version": refused(b"GET /api/v1/a HTTP/1.1  \r\n" + HOST + b"\r\n"),
    "two blanks": refused(b"GET  /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a tab for a blank": refused(b"GET\t/api/v1/a\tHTTP/1.1\r\n" + HOST + b"\r\n"),
    "a blank in the target": refused(b"GET /api/v1/a b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "LF for a blank": refused(b"GET /api/v1/a\nHTTP/1.1\r\n" + HOST + b"\r\n"),
    "CR for a blank": refused(b"GET /api/v1/a\rHTTP/1.1\r\n" + HOST + b"\r\n"),
    "a vertical tab for a blank": refused(b"GET\x0b/api/v1/a\x0bHTTP/1.1\r\n" + HOST + b"\r\n"),
    "a target that is no path": refused(b"GET ! HTTP/1.1\r\n" + HOST + b"\r\n"),
    "NUL in the target": refused(b"GET /api/v1/a\0b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "DEL in the target": refused(b"GET /api/v1/a\x7fb HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a tab in the target": refused(b"GET /api/v1/a\tb HTTP/1.1\r\n" + HOST + b"\r\n"),
    "UTF-8 in the target": refused(b"GET /api/v1/\xce\xb4 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a fragment": refused(b"GET /api/v1/a#b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "quotes in the target": one(
        b'GET /api/v1/"a"?b="c" HTTP/1.1\r\n' + HOST + b"\r\n", b'GET /api/v1/"a"?b="c"'
    ),
    "a query with question marks": one(b"GET /api/v1/a?b??c? HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /api/v1/a?b??c?"),
    "absolute-form": one(b"GET http://localhost/api/v1/a?b HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /api/v1/a?b"),
    "absolute-form of a stranger": refused(b"GET http://evil.example/api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n", 421),
    "absolute-form over a stranger's Host": one(
        b"GET http://localhost/api/v1/a HTTP/1.1\r\nHost: evil.example\r\n\r\n"  # RFC 9112, 3.2.2: Host does not count
    ),
    "absolute-form with a query and no path": Row(
        b"GET http://localhost?a HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, [200, 200], [N]  # the live page
    ),
    "absolute-form with a user": refused(b"GET http://a@localhost/api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "asterisk-form": Row(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, [204, 200], [N]),
    "asterisk-form with another method": refused(b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    "authority-form": refused(b"GET localhost:6767 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT": Row(
        b"CONNECT openrouter.ai:443 HTTP/1.0\r\nUser-agent: Mozilla\r\n\r\nsome data\r\nyet even more data", [405], [], True
    ),
    "CONNECT that would keep the connection": refused(b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "CONNECT with a body": refused(
        b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nGET", 405
    ),
    "TRACE": Row(b"TRACE /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, [405, 200], [N]),
    **{
        method.decode(): one(method + b" /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n", method + b" /api/v1/a")
        for method in (b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"REPORT", b"M-SEARCH", b"PURGE", b"QUERY")
    },
    **{
        f"{method.decode()}, which is not of HTTP": refused(method + b" /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n", 501)
        for method in (b"get", b"Get", b"GETT", b"FETCH", b"PROPPATCHA", b"HELLO", b"G-T", b"X")
    },
    "a method and more": refused(b"MKCOLA /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "ANNOUNCE": refused(b"ANNOUNCE /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a method of signs": refused(b'G=":<>(e),[T];?" /api/v1/a HTTP/1.1\r\n' + HOST + b"\r\n"),
    "a method of RTSP": refused(b"DESCRIBE /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a method that is no token": refused(b"G(T /api/v1/a HTTP/1.1\r\n" + HOST + b"\r\n"),
    # Header lines
    "a blank before the colon": refused(GET + b"X-A : b\r\n\r\n"),
    "a tab before the colon": refused(GET + b"X-A\t: b\r\n\r\n"),
    "a blank before the length's colon": refused(POST + b"Content-Length : 5\r\n\r\nhello"),
    "no colon": refused(GET + b"X-A\r\n\r\n"),
    "no colon, and a blank": refused(GET + b"X-A b\r\n\r\n"),
    "no name": refused(GET + b": b\r\n\r\n"),
    "a blank in a name": refused(GET + b"X A: b\r\n\r\n"),
    "a folded line": refused(GET + b"X-A: b\r\n c\r\n\r\n"),
    "a line folded with a tab": refused(GET + b"X-A: b\r\n\tc\r\n\r\n"),
    "a folded Host": refused(b"GET /api/v1/a HTTP/1.1\r\nHost:\r\n localhost\r\n\r\n"),
    "a fold before the first line": refused(b"GET /api/v1/a HTTP/1.1\r\n " + HOST + b"\r\n"),
    "a blank line for an end": refused(GET + b" \r\n\r\n"),
    "a folded name": refused(GET + b"X-A\r\n : b\r\n\r\n"),
    "a name in two lines": refused(GET + b"X-\r\nA: b\r\n\r\n"),
    "a name in two LF lines": refused(GET + b"X-\nA: b\r\n\r\n"),
    "a corrupted Connection": refused(GET + b"Connection\r\x1b5\xd5eep-Alive\r\nAccept: a\r\n\r\n"),
    "only a colon, then more": refused(GET + b":\r\nX-A: b\r\n\r\n"),
    "an empty value, then LFs": refused(GET + b"X-A:\n\n" + NEXT[:-2] + b"\r\n"),
    "an empty value, then CR": refused(GET + b"X-A:\rX-B: c\r\n\r\n"),
    "CR and a letter at the end": refused(GET + b"\rZGET /api/v1/evil: HTTP/1.1\r\n" + HOST + b"\r\n"),
    "NUL CR in a value": refused(GET + b"X-A: b\0\rc\r\n\r\n"),
    "a percent sign in a name": one(GET + b"Transfer-%45ncoding: chunked\r\n\r\n"),
    "high bytes around a value": one(GET + b"X-A: \xa0b\x85\r\n\r\n"),
    "LF for line ends": refused(b"GET /api/v1/a HTTP/1.1\nHost: localhost\n\n"),
    "LF for one line end": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n"),
    "LF for the last line end": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost\r\n\n"),
    "LF CR": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost\n\rX-A: b\r\n\r\n"),
    "CR for a line end": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost\rX-A: b\r\n\r\n"),
    "CR CR LF": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost\r\r\n\r\n"),
    "CR in a value": refused(GET + b"X-A: b\rc\r\n\r\n"),
    "CR in a name": refused(GET + b"X\r-A: b\r\n\r\n"),
    **{
        f"byte {byte:#04x} in a name": refused(GET + b"X%cA: b\r\n\r\n" % byte)
        for byte in b'\0\x01\x08\x0b\x0c\x0e\x1f\x7f\x80\x85\xa0\xff"(),/;<=>?@[\\]{}'
    },
    **{
        f"byte {byte:#04x} in a value": refused(GET + b"X-A: b%cc\r\n\r\n" % byte)
        for byte in b"\0\x01\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f"
    },
    "128 fields": one(GET + b"X: 1\r\n" * 127 + b"\r\n"),
    "129 fields": refused(GET + b"X: 1\r\n" * 128 + b"\r\n", 431),
    "many headers, but not too large": one(GET + b"".join(b"X-%d: %b\r\n" % (n, b"x" * 400) for n in range(100)) + b"\r\n"),
    # Host
    "no Host": refused(b"GET /api/v1/a HTTP/1.1\r\n\r\n"),
    "two Hosts": refused(GET + HOST + b"\r\n"),
    "two Hosts in other cases": refused(GET + b"HOST: localhost\r\n\r\n"),
    "an empty Host": refused(b"GET /api/v1/a HTTP/1.1\r\nHost:\r\n\r\n"),
    "a Host with a path": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost/a\r\n\r\n"),
    "a Host with a user": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: a@localhost\r\n\r\n"),
    "a Host with NUL": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost\0.evil.example\r\n\r\n"),
    "a Host between high bytes": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: \xfflocalhost\xff\r\n\r\n"),
    "a Host that is folded and hidden": refused(b"GET /api/v1/a HTTP/1.1\r\nX-A: b\r\n Host: localhost\r\n\r\n"),
    "a Host with a comma": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n"),
    "a Host of a stranger": refused(b"GET /api/v1/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    # HTTP/1.0
    "HTTP/1.0": last(b"GET /api/v1/a HTTP/1.0\r\n\r\n"),
    "HTTP/1.0 with Host": last(b"GET /api/v1/a HTTP/1.0\r\n" + HOST + b"\r\n"),
    "HTTP/1.0 with two Hosts": refused(b"GET /api/v1/a HTTP/1.0\r\n" + HOST + HOST + b"\r\n"),
    "HTTP/1.0 that would keep the connection": last(b"GET /api/v1/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    "HTTP/1.0 with a body": last(b"POST /api/v1/a HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", P, b"hello"),
    "HTTP/1.0 with an expectation": last(
        b"POST /api/v1/a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", P, b"hello"
    ),
    "HTTP/1.0 with chunks": refused(b"POST /api/v1/a HTTP/1.0\r\n" + CHUNKED + b"\r\n" + chunked(b"hello")),
    "HTTP/1.0 with an upgrade": last(b"GET /api/v1/a HTTP/1.0\r\n" + UPGRADE + b"\r\n"),
    # The connection
    "close": last(GET + b"Connection: close\r\n\r\n"),
    "close in other words": last(GET + b"connection: Keep-Alive, CLOSE\r\n\r\n"),
    "close in a second line": last(GET + b"Connection: keep-alive\r\nConnection: close\r\n\r\n"),
    "close with a body": last(POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", P, b"hello"),
    "close, then garbage": Row(GET + b"Connection: close\r\n\r\n\0\1\2", [200], [A], closed=True),
    "everything named by Connection": one(
        POST + b"Connection: host, content-length, content-type, http-referer, x-title, connection, te\r\n"
        b"Content-Length: 5\r\n\r\nhello",
        P,
        b"hello",
    ),
    "an empty Connection": one(GET + b"Connection:\r\n\r\n"),
    "commas in Connection": one(GET + b"Connection: ,, ,\r\n\r\n"),
    # Bodies
    "a length": one(POST + b"Content-Length: 5\r\n\r\nhello", P, b"hello"),
    "a length of 0": one(POST + b"Content-Length: 0\r\n\r\n", P),
    "a length with zeros before": one(POST + b"Content-Length: 0005\r\n\r\nhello", P, b"hello"),
    "a length that is octal to some": one(POST + b"Content-Length: 010\r\n\r\n0123456789", P, b"0123456789"),
    "a length and letters": refused(POST + b"Content-Length: 5Z\r\n\r\nhello"),
    "a length with a low line": refused(POST + b"Content-Length: +1_0\r\n\r\n0123456789"),
    "a length of nothing, then one": refused(POST + b"Content-Length:\r\nContent-Length: 5\r\n\r\nhello"),
    "a length in a name without a colon": refused(POST + b"Content-Length 5\r\n\r\nhello"),
    "the same length twice": refused(POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "the same length twice in one": refused(POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "a length between blanks": one(POST + b"Content-Length: \t 5 \t\r\n\r\nhello", P, b"hello"),
    "a length with GET": one(GET + b"Content-Length: 5\r\n\r\nhello", body=b"hello"),
    "no length with POST": one(POST + b"\r\n", P),
    "a length that is not reached": Row(POST + b"Content-Length: 5\r\n\r\nhell", [], [(P, b"hell")], complete=False),
    "NUL and line breaks in a body": one(POST + b"Content-Length: 6\r\n\r\n\0\r\n\r\n\xff", P, b"\0\r\n\r\n\xff"),
    "a request in a body": one(POST + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT, P, NEXT),
    "chunks": one(POST + CHUNKED + b"\r\n" + chunked(b"hello", b" world"), P, b"hello world"),
    "chunks in capitals": one(POST + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n" + chunked(b"hello"), P, b"hello"),
    "chunks with a tab behind their name": refused(
        POST + b"Transfer-Encoding:chunked\t\r\n\r\n" + chunked(b"hello")
    ),
    "sizes in either case": one(POST + CHUNKED + b"\r\na\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", P, b"0123456789" * 2),
    "sizes with zeros before": one(POST + CHUNKED + b"\r\n0005\r\nhello\r\n000\r\n\r\n", P, b"hello"),
    "escapes in an extension": one(
        POST + CHUNKED + b'\r\n5;a="b \\"c\\"; \\\\d\\\\";e="f";g;h=i\r\nhello\r\n0\r\n\r\n', P, b"hello"
    ),
    "a request line in a trailer": one(POST + CHUNKED + b"\r\n0\r\nX:GET /api/v1/evil HTTP/1.1\r\n\r\n", P),
    "no chunk": one(POST + CHUNKED + b"\r\n0\r\n\r\n", P),
    "chunk extensions": one(POST + CHUNKED + b'\r\n5;a;b=c;d="e;\r"\r\n'.replace(b'\r"', b'"') + b"hello\r\n0;f\r\n\r\n", P, b"hello"),
    "trailers": one(POST + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n", P, b"hello"),
    "trailers that would frame or stamp": one(
        POST + CHUNKED + b"\r\n0\r\nContent-Length: 90\r\nTransfer-Encoding: x\r\nHTTP-Referer: https://evil.example\r\n\r\n", P
    ),
    "a request in a chunk": one(POST + CHUNKED + b"\r\n" + chunked(NEXT), P, NEXT),
    "chunks that do not end": Row(POST + CHUNKED + b"\r\n" + chunk(b"hello"), [], [(P, b"hello")], complete=False),
    "a trailer that does not end": Row(POST + CHUNKED + b"\r\n0\r\nX-A: 1\r\n", [], [(P, b"")], complete=False),
    "words for a chunk size": cut_off(POST + CHUNKED + b"\r\nxyz\r\n"),
    "a chunk that is too long": cut_off(POST + CHUNKED + b"\r\n5\r\nhello!\r\n", b"hello"),
    "a chunk that is too short": cut_off(POST + CHUNKED + b"\r\n6\r\nhello\r\n", b"hello\r"),
    "LF after a chunk": cut_off(POST + CHUNKED + b"\r\n5\r\nhello\n0\r\n\r\n", b"hello"),
    "LF after a size": cut_off(POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n"),
    "a blank after a size": cut_off(POST + CHUNKED + b"\r\n5 \r\nhello\r\n0\r\n\r\n"),
    "no size, but an end": cut_off(POST + CHUNKED + b"\r\n3\r\nfoo\r\n\r\n", b"foo"),
    "blanks and LF after a size": cut_off(POST + CHUNKED + b"\r\n3 \n  \r\nfoo\r\n0\r\n\r\n"),
    "words after a size": cut_off(POST + CHUNKED + b"\r\n2 abc\r\naa\r\n0 abc\r\n\r\n"),
    "an unbalanced quote": cut_off(POST + CHUNKED + b'\r\n5;a="b;c\r\nhello\r\n0\r\n\r\n'),
    "a huge size": cut_off(POST + CHUNKED + b"\r\n12345678123456789\r\n"),
    "an extension without a name": cut_off(POST + CHUNKED + b"\r\n5;\r\nhello\r\n0\r\n\r\n"),
    "an endless extension": cut_off(POST + CHUNKED + b"\r\n5;" + b"a" * 5000),
    "endless trailers": cut_off(POST + CHUNKED + b"\r\n0\r\n" + b"X-A: b\r\n" * 2500),
    "a folded trailer": cut_off(POST + CHUNKED + b"\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
    # Expectations
    "an expectation": one(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", P, b"hello"),
    "an expectation without a body": one(GET + b"Expect: 100-continue\r\n\r\n"),
    "another expectation": refused(POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    # Upgrades
    "an upgrade": one(GET + UPGRADE + b"\r\n"),
    "an upgrade with a body": one(POST + UPGRADE + b"Content-Length: 5\r\n\r\nhello", P, b"hello"),
    "an upgrade with chunks": one(POST + UPGRADE + CHUNKED + b"\r\n" + chunked(b"hello"), P, b"hello"),
    "an upgrade with a request for a body": one(
        POST + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT, P, NEXT
    ),
    "an upgrade with a request in a chunk": one(POST + UPGRADE + CHUNKED + b"\r\n" + chunked(NEXT), P, NEXT),
    "an upgrade to WebSocket": refused(
        GET + b"Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        426,
    ),
    "an upgrade that is not asked for": one(GET + b"Upgrade: h2c\r\n\r\n"),
    "an upgrade to nothing": one(GET + b"Connection: upgrade\r\n\r\n"),
    "an upgrade with a bad coding": refused(POST + UPGRADE + b"Transfer-Encoding: x\r\n\r\n", 501),
    "an upgrade with two framings": refused(POST + UPGRADE + b"Content-Length: 5\r\n" + CHUNKED + b"\r\nhello"),
    "CONNECT with an upgrade": refused(
        b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT, 405
    ),
    "CONNECT with chunks": refused(
        b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + chunked(NEXT), 405
    ),
    # Pipelines
    "three at once": Row(GET + b"\r\n" + NEXT + GET + b"\r\n", [200, 200, 200], [A, N, A]),
    "bodies at once": Row(
        POST + b"Content-Length: 5\r\n\r\nhello" + POST + CHUNKED + b"\r\n" + chunked(b"world") + NEXT,
        [200, 200, 200],
        [(P, b"hello"), (P, b"world"), N],
    ),
    "garbage behind a request": Row(GET + b"\r\n\0\1\2", [200, 400], [A], closed=True),
    "garbage behind a body": Row(
        POST + b"Content-Length: 5\r\n\r\nhello, world\r\n\r\n", [200, 400], [(P, b"hello")], closed=True
    ),
    "half a request behind one": Row(GET + b"\r\n" + NEXT[:-2], [200], [A]),
    "a request behind a refusal of ours": Row(
        b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, [404, 200], [N]
    ),
    "a fault behind a refusal of ours": Row(
        b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\nGET /api/v1/a HTTP/1.1\r\n\r\n" + NEXT, [404, 400], closed=True
    ),
    "a body behind a refusal of ours": Row(
        b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT + NEXT, [404, 200], [N]
    ),
}  # fmt: skip


def is_outcome(forwarded: list[Forwarded], row: Row) -> bool:
    """Whether that is what the row promises; of a request that is never completed, any beginning will do."""
    if row.complete or not forwarded:
        return forwarded == list(row.forwarded) or not row.complete
    [(start, body)] = forwarded
    [(promised, promised_body)] = row.forwarded
    return start == promised and promised_body.startswith(body)


@pytest.mark.parametrize("pieces", [lambda data: [data], cut], ids=["whole", "bytes"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_row(row: Row, pieces: Callable[[bytes], list[bytes]]) -> None:
    """Promise 9: the same bytes have the same outcome, however they are cut, and it is the one in the table."""
    async with in_memory() as proxy:
        exchange = await proxy.send(pieces(row.sent))
    assert (exchange.statuses, exchange.closed) == (row.statuses, row.closed)
    assert is_outcome([(seen.method + b" " + seen.target, seen.body) for seen in exchange.seen], row)
    for seen in exchange.seen:
        assert_stamped(seen)
        assert seen.complete == (row.complete or seen is not exchange.seen[-1])


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=name, marks=() if row.forwarded else reaches_no_upstream) for name, row in ROWS.items()],
)
async def test_row_over_sockets(through: Through, row: Row) -> None:
    """Promise 9: it comes out the same over real sockets, at both ends."""
    client, upstream, _ = await through(reply(OK))
    client.write(row.sent)
    for status in row.statuses:
        response = await client.answer(row.sent.split(b" ")[0])
        assert (response.status, response.ending) == (status, "complete")
        assert bool(response.values("x-proxy-error")) == (status >= 400)
    if row.closed:
        assert await client.rest() == b""
    else:
        assert client.end is None
    for n in range(len(row.forwarded) if row.complete else 0):
        await (await upstream.request(n)).read(until=row.forwarded[n][1] or None)
    requests = [(request.method + b" " + request.target, bytes(request.body)) for request in upstream.requests]
    assert is_outcome(requests, row)
    for request in upstream.requests:
        assert request.headers[-len(STAMP) :] == STAMP


def test_the_table_is_about_what_it_says() -> None:
    assert len(ROWS) > 150
    assert message("GET /api/v1/next HTTP/1.1", "Host: localhost") == NEXT
