"""Answers as Cloudflare and OpenRouter put them on the wire: headers, compression, pieces at a pace."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate

from starlette.responses import StreamingResponse

from proxy.imitation.exchange import Exchange
from proxy.imitation.scenes import Ending

Pace = Callable[[], Awaitable[object]]
"""Awaited before each piece of a body: a sleep to be watched, a semaphore to be stepped through, or nothing."""

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream"
HTML = b"text/html; charset=utf-8"

_COMPRESSED = frozenset({JSON, EVENT_STREAM, HTML})


@dataclass(frozen=True)
class Answer:
    """What an endpoint has to say. Without ``length`` it goes out chunked, as OpenRouter's answers and errors do."""

    content_type: bytes
    pieces: Sequence[bytes]
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    length: int | None = None
    ending: Ending = Ending.CLEAN


class Reply(StreamingResponse):
    """An answer on its way to the client, piece by piece. ``now`` is the Unix time in seconds."""

    def __init__(self, answer: Answer, exchange: Exchange, pace: Pace, now: float) -> None:
        compressed = answer.content_type in _COMPRESSED
        gzipped = compressed and offers_gzip(exchange.head.values(b"accept-encoding"))
        body = _played(answer, exchange, pace)
        super().__init__(_gzipped(body) if gzipped else body, answer.status)

        lines = [(b"date", formatdate(now, usegmt=True).encode()), (b"content-type", answer.content_type)]
        if answer.length is not None:
            lines.append((b"content-length", b"%d" % answer.length))
        if answer.content_type == EVENT_STREAM:
            lines.append((b"cache-control", b"no-cache"))
        if compressed:
            lines.append((b"vary", b"Accept-Encoding"))
        if gzipped:
            lines.append((b"content-encoding", b"gzip"))
        if exchange.generation_id:
            lines.append((b"x-generation-id", exchange.generation_id.encode()))
        self.raw_headers = [*lines, *answer.headers, *_edge_headers(exchange.number, now)]


def _edge_headers(number: int, now: float) -> list[tuple[bytes, bytes]]:
    """What Cloudflare and OpenRouter's front add to every answer."""
    expires = formatdate(now + 1800, usegmt=True).encode()
    cookie = b"__cf_bm=%032x; HttpOnly; Secure; Path=/; Domain=openrouter.ai; Expires=%b" % (number, expires)
    return [
        (b"access-control-allow-origin", b"*"),
        (b"set-cookie", cookie),
        (b"server", b"cloudflare"),
        (b"cf-ray", b"%016x-FRA" % number),
        (b"cf-cache-status", b"DYNAMIC"),
        (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
        (b"alt-svc", b'h3=":443"; ma=86400'),
    ]


async def _played(answer: Answer, exchange: Exchange, pace: Pace) -> AsyncIterator[bytes]:
    for piece in answer.pieces:
        await pace()
        yield piece
    if answer.ending is Ending.CUT:
        exchange.wire.abort()
    if answer.ending is not Ending.CLEAN:
        await asyncio.Event().wait()  # until Starlette, which listens for the end of the connection, cancels this


async def _gzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Compress so that each piece can be read as soon as it has arrived."""
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    async for piece in pieces:
        yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush(zlib.Z_FINISH)


def offers_gzip(accept_encoding: Iterable[bytes]) -> bool:
    """Whether a client takes gzip (RFC 9110, 12.5.3; ``*`` is not taken for an offer)."""
    for member in b",".join(accept_encoding).lower().split(b","):
        coding, _, weight = member.partition(b";")
        if coding.strip() in {b"gzip", b"x-gzip"}:
            return re.fullmatch(rb"\s*q=0(\.0*)?\s*", weight) is None
    return False
