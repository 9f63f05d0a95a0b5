"""A headless Chromium for tests, driven by the DevTools protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
START_SECONDS = 60
ANSWER_SECONDS = 60


class Tab:
    """One tab: commands out, answers and events in. `events` keeps everything that the page made happen."""

    def __init__(self, url: str):
        # A page of ours is trusted with no origin; the browser refuses origins that it was not told of.
        self._socket = websocket.create_connection(url, timeout=ANSWER_SECONDS, suppress_origin=True)
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command. Raises RuntimeError where the browser refuses it."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return dict(message["result"])
            self.events.append(message)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited; what it throws is raised."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def open(self, path: Path, width: int, height: int) -> None:
        """Load a file in a window of this size (CSS pixels)."""
        is_phone = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        loaded = "document.readyState === 'complete' && location.protocol === 'file:'"
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.run(loaded):
            assert time.monotonic() < deadline, "the page did not load"
            time.sleep(0.05)
        self.settle()

    def settle(self) -> None:
        """Let the tasks that wait run, and two frames pass, after which what was drawn has its size."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(done))"
        self.run(f"new Promise(done => setTimeout(() => {frames}, 0))")

    def of(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every event of this name since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A browser with one tab, gone when the block ends."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        tab = Tab(_page_socket(profile / "DevToolsActivePort"))
        yield tab
        tab.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _page_socket(port_file: Path) -> str:
    """The address of the first page, once the browser has written its port down and made the page."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if port_file.exists() and port_file.read_text().strip():
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                pages = [target for target in json.load(answer) if target["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError(f"chromium did not start within {START_SECONDS} s")
