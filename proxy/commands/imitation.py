"""``imitation``: OpenRouter played on its own, so that a set-up of Compose or Kubernetes can be tried without a key."""

import asyncio
import hashlib
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import click

from proxy.commands.signals import until_signal
from proxy.commands.terminal import Style, wants_colour
from proxy.faults import escaped
from proxy.imitation import Exchange, Head, create_imitation, serving_on
from proxy.server.sockets import CannotListen, open_sockets
from proxy.settings.addresses import Listen

_LONGEST_SHOWN = 200  # characters of what a client has sent


class CannotImitate(Exception):
    """The address or the certificate cannot be used; the text is one line that says what to do."""


def run_imitation(listen: Listen, *, pace: float, certificate: str | None = None, key: str | None = None) -> int:
    """Answer as OpenRouter does until SIGINT or SIGTERM; the exit code. Raises `CannotImitate`.

    Args:
        listen: where; port 0 is any free one.
        pace: seconds before each piece of an answer.
        certificate: a file with a chain in PEM, to speak TLS with.
        key: the file of its private key, unless the chain's file has it.
    """
    tls = _tls(certificate, key) if certificate or key else None
    with ExitStack() as stack:
        try:
            sockets = [stack.enter_context(each) for each in open_sockets(listen)]
        except CannotListen as error:
            reason = str(error).partition(": ")[2].partition(", or set ")[0]  # it names a variable of the proxy's
            raise CannotImitate(f"cannot listen on {listen}: {reason}, or give another --listen") from None
        return asyncio.run(until_signal(_imitate(sockets, _url(listen, sockets, tls), pace, tls), ends_well=True))


async def _imitate(sockets: Sequence[socket.socket], url: str, pace: float, tls: ssl.SSLContext | None) -> int:
    style = Style(wants_colour(sys.stdout))
    imitation = create_imitation(
        pace=lambda: asyncio.sleep(pace), on_end=lambda exchange: _print(_line(exchange, style))
    )
    async with serving_on(imitation, sockets, tls):
        _print(style.heading(f"An imitation of OpenRouter listens on {url}"))
        await asyncio.Event().wait()
    return 0


def _tls(certificate: str | None, key: str | None) -> ssl.SSLContext:
    if certificate is None:
        raise CannotImitate("--tls-key needs --tls-certificate beside it")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:  # its text is of OpenSSL's sources
        raise CannotImitate(
            "--tls-certificate and --tls-key hold no certificate with its private key: give both as PEM"
        ) from None
    except OSError as error:
        raise CannotImitate(f"--tls-certificate or --tls-key cannot be read ({error.strerror})") from None
    return context


def _url(listen: Listen, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> str:
    return f"{'https' if tls else 'http'}://{Listen(listen.reached_at, sockets[0].getsockname()[1])}"


def _line(exchange: Exchange, style: Style) -> str:
    """One request: how it was answered, and to whom it is credited; never a key."""
    head = exchange.head
    status = str(exchange.status or "-") + ("" if exchange.finished else " cut")
    title = _joined(head, b"x-openrouter-title") or _joined(head, b"x-title")
    referer = _joined(head, b"http-referer")
    app = " | ".join(filter(None, (title, referer, _joined(head, b"x-openrouter-categories"))))
    request = _shown(f"{head.method.decode('latin-1')} {head.target.partition(b'?')[0].decode('latin-1')}")
    credited = f"credited to {style.good(_shown(app))}" if referer else style.warning("credited to nobody")
    return f"{status} {request}  {credited}  {_key(head)}"


def _joined(head: Head, name: bytes) -> str:
    return ", ".join(value.decode("latin-1") for value in head.values(name))


def _key(head: Head) -> str:
    """Which key came along, so that two can be told apart."""
    for value in (*head.values(b"authorization"), *head.values(b"x-api-key")):
        if key := value.removeprefix(b"Bearer ").strip():
            return f"key {hashlib.sha256(key).hexdigest()[:8]}"
    return "no key"


def _shown(text: str) -> str:
    text = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    return escaped(text)


def _print(line: str) -> None:
    click.echo(line, color=True)
