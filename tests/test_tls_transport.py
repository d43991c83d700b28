"""The TLS transport, where OpenSSL wants to read before it writes: it waits, without burning CPU for it."""

import asyncio
import ctypes
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from proxy.upstream.tls import Secured, TlsTransport, shake_hands
from proxy.upstream.trust import tls_context
from tests.support.tls import bundle, server_context


class Heard(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = asyncio.Event()
        self.news = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


class Renegotiates:
    """OpenSSL in the middle of a renegotiation (TLS 1.2): it writes nothing until the other side has gone on."""

    def __init__(self, tls: ssl.SSLObject) -> None:
        self.tls = tls
        self.blocked = False
        self.tried = 0

    def read(self, length: int) -> bytes:
        return self.tls.read(length)

    def write(self, data: bytes) -> int:
        self.tried += 1
        if self.blocked:
            raise ssl.SSLWantReadError
        return self.tls.write(data)

    def unwrap(self) -> None:
        self.tls.unwrap()


@pytest.fixture
async def pair(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Secured, Secured]:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle(authority, tmp_path)))
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.settimeout(0)
    client, server = await asyncio.gather(
        shake_hands(ours, tls_context(), "localhost"),
        shake_hands(theirs, server_context(authority), None, server_side=True),
    )
    return client, server


async def test_a_write_that_wants_to_read(pair: tuple[Secured, Secured]) -> None:
    """It waits until something was read, and is sent then, in order; nothing runs meanwhile."""
    client, server = pair
    held = Renegotiates(client.tls)
    ours, theirs = Heard(), Heard()
    transport = TlsTransport(client._replace(tls=held), ours)  # type: ignore[arg-type]  # of it, what is used
    other = TlsTransport(server, theirs)
    held.blocked = True
    transport.write(b"one ")
    transport.write(b"two ")
    assert transport.get_write_buffer_size() == len(b"one two ")
    await asyncio.sleep(0.1)
    assert held.tried <= 3  # the first time, and when session tickets have come
    held.blocked = False
    other.write(b"go on")
    await ours.news.wait()
    await theirs.news.wait()
    transport.write(b"three")
    while bytes(theirs.data) != b"one two three":
        theirs.news.clear()
        await theirs.news.wait()
    assert transport.get_write_buffer_size() == 0
    transport.close()
    await asyncio.gather(ours.ended.wait(), theirs.ended.wait())


def test_no_renegotiation() -> None:
    """The context refuses what would lead there."""
    assert tls_context().options & ssl.OP_NO_RENEGOTIATION


def test_an_end_without_close_notify_is_none() -> None:
    """Python 3.11.2 would have OpenSSL take it for one."""
    assert not tls_context().options & ssl.OP_IGNORE_UNEXPECTED_EOF


class Outgoing:
    """Where OpenSSL puts its records; the most that was there at once."""

    def __init__(self, memory: ssl.MemoryBIO) -> None:
        self.memory = memory
        self.most = 0

    @property
    def pending(self) -> int:
        return self.memory.pending

    def read(self) -> bytes:
        self.most = max(self.most, self.memory.pending)
        return self.memory.read()


async def test_a_large_request_is_sent_record_by_record(pair: tuple[Secured, Secured]) -> None:
    """All of it arrives, in order, and the memory for records, which never gets smaller, has never held two."""
    client, server = pair
    outgoing = Outgoing(client.outgoing)
    ours, theirs = Heard(), Heard()
    transport = TlsTransport(client._replace(outgoing=outgoing), ours)  # type: ignore[arg-type]  # of it, what is used
    other = TlsTransport(server, theirs)
    sent = bytes(range(256)) * 1000
    transport.write(sent)
    while len(theirs.data) < len(sent):
        theirs.news.clear()
        await theirs.news.wait()
    assert theirs.data == sent
    assert 16 * 1024 < outgoing.most < 17 * 1024
    for each in transport, other:
        each.abort()
    await asyncio.gather(ours.ended.wait(), theirs.ended.wait())


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO >= (3, 2), reason="later versions keep their buffers in other ways")
async def test_memory_for_writing_is_given_back(pair: tuple[Secured, Secured]) -> None:
    """What OpenSSL takes to read a session ticket, it gives back; nothing is sent for that, and writing goes on."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("only glibc tells what is allocated")
    libc.mallinfo2.restype = _Allocated
    ours, theirs = Heard(), Heard()
    transport, other = TlsTransport(pair[0], ours), TlsTransport(pair[1], theirs)
    transport.write(b"question")
    await theirs.news.wait()
    theirs.news.clear()
    other.write(b"answer")
    await ours.news.wait()
    before = libc.mallinfo2().used
    transport.release_buffer()
    assert before - libc.mallinfo2().used > 16_000
    assert not pair[0].outgoing.pending
    transport.write(b" and more")
    await theirs.news.wait()
    assert theirs.data == b"question and more"
    for each in transport, other:
        each.abort()
    await asyncio.gather(ours.ended.wait(), theirs.ended.wait())


class _Allocated(ctypes.Structure):
    """``struct mallinfo2`` (malloc(3)), of which ``used`` is what is allocated from the heap."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in ("a", "b", "c", "d", "e", "f", "g", "used", "h", "i"))
