"""Starts real tools by ``run`` against the imitation of OpenRouter, and tells what arrived: ``scripts/try-tools``.

Each runs twice: with an empty home, and with a home, a folder and an environment that say otherwise (a settings file, a
login, a ``.env``, variables, whatever that tool reads), all of which lead to a second server that must get nothing.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import click

from proxy.imitation import Exchange, create_imitation, serving
from tests.real_tools.trials import REAL, TRIALS, Place, Trial
from tests.support.proxies import ROOT

STAMP = {
    b"http-referer": b"https://app.example",
    b"x-openrouter-title": b"Example App",
    b"x-title": b"Example App",
    b"x-openrouter-categories": b"cli-agent",
}
OURS = {
    "OPENROUTER_HTTP_REFERER": "https://app.example",
    "OPENROUTER_APP_TITLE": "Example App",
    "OPENROUTER_APP_CATEGORIES": "cli-agent",
    "OPENROUTER_API_KEY": REAL,
}
INSTALLATIONS = Path("~/.cache/openrouter-proxy/tools").expanduser()
RESULTS = ROOT / "docs/tools.md"


async def main() -> int:
    parser = argparse.ArgumentParser(description="Start real tools by `run` against the imitation of OpenRouter.")
    parser.add_argument("names", nargs="*", help="the tools to try, or parts of their names; by default all")
    parser.add_argument("--folder", type=Path, default=INSTALLATIONS)
    parser.add_argument("--write", action="store_true", help="write the results into docs/tools.md")
    parser.add_argument("--show", action="store_true", help="show what each tool printed")
    options = parser.parse_args()
    chosen = [
        trial for trial in TRIALS if not options.names or any(name in trial.name.lower() for name in options.names)
    ]
    rows = []
    for trial in chosen:
        click.echo(f"{trial.name:24} ", nl=False)
        place = options.folder / re.sub(r"[^\w.@-]", "-", trial.packages[0])
        if not await installed(place, trial.packages):
            click.echo("cannot be installed")
            rows.append((trial, "not installed", "not installed"))
            continue
        empty = await tried(trial, place, astray=False, show=options.show)
        astray = await tried(trial, place, astray=True, show=options.show)
        rows.append((trial, empty, astray))
        click.echo(f"{empty:34} {astray}")
    if options.write:
        write(rows)
    return 0 if all("FAILED" not in outcome for _, *both in rows for outcome in both) else 1


async def installed(place: Path, packages: Sequence[str]) -> bool:
    """Whether the packages are in ``place`` now; a place that is whole has a mark."""
    mark = place / ".complete"
    if mark.exists():
        return True
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    managers, names = zip(*(package.split(":", 1) for package in packages), strict=True)
    if managers[0] == "npm":
        (place / "package.json").write_text('{"private": true}')
        steps = [["npm", "install", "--no-audit", "--no-fund", "--silent", *names]]
    else:
        steps = [["uv", "venv", "-q", "."], ["uv", "pip", "install", "-q", "--python", "bin/python", *names]]
    for step in steps:
        process = await asyncio.create_subprocess_exec(*step, cwd=place)
        if await process.wait() != 0:
            return False
    mark.touch()
    return True


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that must get nothing, and the first line of whatever it gets. As a proxy, it sees who else is asked."""
    lines: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readline()).decode(errors="replace").strip())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lines


async def tried(trial: Trial, installation: Path, *, astray: bool, show: bool) -> str:
    """The outcome of one try, in a few words."""
    imitation = create_imitation(record_delay=0)
    with tempfile.TemporaryDirectory() as temporary:
        async with serving(imitation) as upstream, listener() as (elsewhere, wrong), listener() as (outside, asked):
            place = Place(Path(temporary, "home"), Path(temporary, "folder"), elsewhere)
            place.home.mkdir()
            place.folder.mkdir()
            if astray:
                trial.astray(place)
            command = list(trial.command)
            if command[0] == "node":
                script = installation / "try.mjs"
                script.write_text(command[1])
                command = ["node", str(script)]
            elif command[0] == "python":
                command[0] = str(installation / "bin/python")
            environment = {
                "PATH": f"{installation}/node_modules/.bin:{installation}/bin:{os.environ['PATH']}",
                "HOME": str(place.home),
                "TERM": "dumb",
                "HTTPS_PROXY": outside,  # shows whom else it calls, and lets it reach nobody
                "NO_PROXY": "127.0.0.1",
                "PYTHONPATH": "",
                **dict(trial.variables),
                **place.variables,
                **OURS,
                "OPENROUTER_UPSTREAM_URL": upstream,
            }
            output = await ran(command, place.folder, environment, trial.seconds)
        told = next((line for line in reversed(output.splitlines()) if line.startswith("openrouter-proxy: ")), "")
        if show:
            click.echo(f"\n{output}\n{[str(exchange.head.target) for exchange in imitation.exchanges]}\n{asked}")
        return outcome(imitation.exchanges, wrong, told, trial.told if astray else "")


def outcome(exchanges: Sequence[Exchange], wrong: Sequence[str], told: str, expected: str) -> str:
    """What became of it: what arrived, what went astray, or what `run` said."""
    if wrong:
        return f"FAILED: {len(wrong)} requests went elsewhere"
    for exchange in exchanges:
        if exchange.head.values(b"authorization") != [f"Bearer {REAL}".encode()]:
            return "FAILED: another key arrived"
        if {name: exchange.head.values(name) for name in STAMP} != {name: [value] for name, value in STAMP.items()}:
            return "FAILED: another stamp arrived"
    posts = [exchange for exchange in exchanges if exchange.head.method == b"POST"]
    if expected and not posts:
        return f"refused, and told: {expected}" if expected in told else "FAILED: not told"
    return f"arrived ({len(posts)})" if posts else f"FAILED: nothing arrived ({told})"


async def ran(command: Sequence[str], folder: Path, environment: dict[str, str], seconds: float) -> str:
    """All that `run` and the tool printed."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from proxy.__main__ import main; main()",
        ),
        *("run", "--", *command),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    reading = asyncio.get_running_loop().create_task(process.stdout.read())
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            await asyncio.sleep(1)
    return (await reading).decode(errors="replace")


def write(rows: Sequence[tuple[Trial, str, str]]) -> None:
    """Put the table of results into the page."""
    lines = ["| Tool | Versions | Empty home | Home, folder and environment that say otherwise |", "|---|---|---|---|"]
    for trial, empty, spoilt in rows:
        versions = ", ".join(f"`{package.split(':', 1)[1]}`" for package in trial.packages)
        lines.append(f"| {trial.name} | {versions} | {empty} | {spoilt} |")
    text = RESULTS.read_text(encoding="utf-8")
    start, end = "<!-- results -->\n", "<!-- /results -->\n"
    head, _, rest = text.partition(start)
    RESULTS.write_text(head + start + "\n".join([*lines, ""]) + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
