"""Debian's Chromium, driven through its DevTools protocol over a pipe: no driver to install, no port to find.

Messages are JSON with a NUL behind each (chromium's ``--remote-debugging-pipe``): in by descriptor 3, out by 4.
"""

import asyncio
import base64
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

_PATIENCE = 15.0  # seconds
_AS_3_AND_4 = """import fcntl, os, sys
to_child, from_child = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(to_child, 3), os.dup2(from_child, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class ScriptFailed(AssertionError):
    """What a page was told to evaluate threw an error."""


class Browser:
    """One headless browser; ask it for a `Tab`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self.events: list[dict[str, Any]] = []
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                message = json.loads((await reader.readuntil(b"\0"))[:-1])
            except asyncio.IncompleteReadError:
                return
            if answer := self._answers.pop(message.get("id", 0), None):
                answer.set_result(message)
            else:
                self.events.append(message)

    async def call(self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None) -> Any:
        """The result of one command; see chromedevtools.github.io/devtools-protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": dict(parameters or {})}
        if session:
            message["sessionId"] = session
        answer = self._answers[self._count] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(_PATIENCE):
            found = await answer
        if "error" in found:
            raise AssertionError(f"{method}: {found['error']}")
        return found["result"]

    async def tab(self, width: int = 1280, height: int = 900, *, dark: bool = False, **media: str) -> "Tab":
        """A new tab of that size; ``media`` are further features, such as ``prefers_reduced_motion="reduce"``."""
        target = await self.call("Target.createTarget", {"url": "about:blank"})
        attached = await self.call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        tab = Tab(self, attached["sessionId"], target["targetId"])
        await tab.call("Page.bringToFront")
        for domain in ("Page", "Runtime", "Network", "Log"):
            await tab.call(f"{domain}.enable")
        await tab.resize(width, height)
        await tab.theme(dark=dark, **media)
        return tab

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.close()


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target

    async def call(self, method: str, **parameters: Any) -> Any:
        return await self._browser.call(method, parameters, self._session)

    def events(self, method: str) -> list[dict[str, Any]]:
        """What this tab has told so far of that kind."""
        of_this = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [event["params"] for event in of_this if event["method"] == method]

    async def resize(self, width: int, height: int, scale: float = 1) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    async def theme(self, *, dark: bool, **media: str) -> None:
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features |= {name.replace("_", "-"): value for name, value in media.items()}
        await self.call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()])

    async def open(self, url: str) -> None:
        """Go there, and wait until the page has loaded."""
        loaded = len(self.events("Page.loadEventFired"))
        found = await self.call("Page.navigate", url=url)
        assert not found.get("errorText"), f"{url}: {found['errorText']}"
        async with asyncio.timeout(_PATIENCE):
            while len(self.events("Page.loadEventFired")) == loaded:  # noqa: ASYNC110 - one list for all kinds
                await asyncio.sleep(0.01)

    async def js(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        found = await self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,  # else no window opens
        )
        if "exceptionDetails" in found:
            raise ScriptFailed(found["exceptionDetails"].get("exception", {}).get("description", expression))
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """The value of an expression, once it is true in JavaScript's sense."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while not (value := await self.js(f"((it) => it instanceof Node || it)({expression})")):  # noqa: ASYNC110 - a page announces nothing
                    await asyncio.sleep(0.03)
        except TimeoutError:
            text = await self.js("document.body.innerText")
            raise AssertionError(f"never true: {expression}\n{text}") from None
        return value

    async def text(self, selector: str = "body") -> str:
        """What a person reads there, once it has been drawn.

        A new row has no text before: in the first frame ``content-visibility: auto`` finds out what is in view.
        """
        return str(
            await self.js(
                "new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame))"
                f".then(() => document.querySelector({json.dumps(selector)}).innerText)"
            )
        )

    async def click(self, selector: str) -> None:
        """As a person does it, with the mouse, in the middle of the element."""
        await self.js(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box, before = await self._middle(selector), None
        while box != before:  # a row that comes in above moves it
            box, before = await self._middle(selector), box
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)

    async def _middle(self, selector: str) -> Any:
        """Where the element is, after the next frame has been drawn."""
        return await self.js(
            "new Promise(requestAnimationFrame).then(() => {"
            f"const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return {x: b.x + b.width / 2, y: b.y + b.height / 2}; })"
        )

    async def key(self, key: str, code: int = 0, text: str = "") -> None:
        """Press and release one key: ``Tab`` is 9, ``Enter`` 13 with the text ``\\r``."""
        common = {"key": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of what is to be seen, or of the whole page."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    async def close(self) -> None:
        await self._browser.call("Target.closeTarget", {"targetId": self._target})


@asynccontextmanager
async def chromium(profile: Path, *arguments: str) -> AsyncIterator[Browser]:
    """A browser for as long as the block lasts. No name but localhost resolves, unless ``arguments`` say so."""
    assert CHROMIUM
    to_child, from_us = os.pipe()
    to_us, from_child = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _AS_3_AND_4, str(to_child), str(from_child)),
        *(CHROMIUM, "--headless=new", "--remote-debugging-pipe"),
        "--no-sandbox",  # root in a container has no namespaces for it
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        f"--user-data-dir={profile}",
        *(arguments or ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",)),
        pass_fds=(to_child, from_child),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(to_child)
    os.close(from_child)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 28)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(to_us, "rb", 0))
    writing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(from_us, "wb", 0))
    browser = Browser(reader, asyncio.StreamWriter(writing, protocol, None, loop))
    try:
        yield browser
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await browser.close()
        reading.close()
        writing.close()
