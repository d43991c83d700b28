"""`python -m benchmarks.strictness`: where this proxy is stricter than others, and where it is laxer."""

import asyncio
import json
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.fetch import Missing
from benchmarks.peers import Peer, Place
from benchmarks.peers.caddy import Caddy
from benchmarks.peers.envoy import Envoy
from benchmarks.peers.haproxy import HAProxy
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.ours import Ours
from benchmarks.processes import Cores, Process
from benchmarks.strictness import report, rows
from benchmarks.strictness.probe import Upstream, send_answers, send_requests

_PEERS: list[type[Peer]] = [Ours, Caddy, Nginx, HAProxy, Envoy]
_UP_WITHIN = 20.0  # seconds


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", type=click.Path(path_type=Path, dir_okay=False), help="Write every outcome there.")
def main(as_json: Path | None) -> None:
    """Send the tables of the tests through this proxy and others, and print where they differ.

    Takes about five minutes. The first run fetches the others into benchmarks/.cache; one that cannot be had is left
    out, and said to be.
    """
    versions: dict[str, str] = {}
    peers = []
    for kind in _PEERS:
        peer = kind()
        try:
            versions[peer.name] = peer.fetch()
        except Missing as missing:
            click.echo(f"without {peer.name}: {missing}", err=True)
        else:
            peers.append(peer)
    outcomes = asyncio.run(_all(peers))
    if as_json:
        as_json.write_text(json.dumps({"versions": versions, "outcomes": outcomes}, indent=1) + "\n")
    click.echo(report.as_markdown(versions, outcomes))


async def _all(peers: list[Peer]) -> dict[str, list[str]]:
    async with asyncio.TaskGroup() as group:
        tasks = {peer.name: group.create_task(_probe(peer)) for peer in peers}
    return {name: task.result() for name, task in tasks.items()}


async def _probe(peer: Peer) -> list[str]:
    upstream = Upstream()
    async with await upstream.start():
        with TemporaryDirectory() as name, socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            place = Place(Path(name), holder.getsockname()[1], upstream.port, None)
            holder.close()
            with Process(peer.command(place), place.folder, Cores.available().measured) as process:
                await _until_up(place.port, process)
                click.echo(f"{peer.name} is up", err=True)
                outcomes = await send_requests(place.port, upstream, list(rows.requests()))
                outcomes += await send_answers(place.port, upstream, list(rows.answers()))
                if process.ended:
                    raise click.ClickException(f"{peer.name} has ended: {process.last_words}")
    click.echo(f"{peer.name} is done", err=True)
    return outcomes


async def _until_up(port: int, process: Process) -> None:
    async with asyncio.timeout(_UP_WITHIN):
        while True:
            if process.ended:
                raise click.ClickException(f"it does not start: {process.last_words}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.strictness")
