"""Chromium, spoken to through its pipe: what it complains of, asks the network for and how wide a page becomes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Self

OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]
BAD = ("error", "assert")


def installed() -> str | None:
    """The path of a Chromium, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Browser:
    """A Chromium without a window, for a ``with`` block. Messages are JSON, each ended by a zero byte."""

    program: str
    patience: float = 60.0
    _received: bytes = b""
    _numbers: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (read, self._to), (self._from, write) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write)]  # out of the way of 3 and 4
        os.close(read)
        os.close(write)
        command = [self.program, *OPTIONS, f"--user-data-dir={self._profile.name}"]
        actions = [(os.POSIX_SPAWN_DUP2, end, wanted) for end, wanted in zip(theirs, (3, 4), strict=True)]
        actions += [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
        self._process = os.posix_spawn(self.program, command, os.environ, file_actions=actions)  # reads 3, writes 4
        for end in theirs:
            os.close(end)
        os.set_blocking(self._from, False)
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._to)
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._from)
        self._profile.cleanup()

    def complaints(self, url: str, width: int) -> list[str]:
        """Open a page as wide as this and say what is wrong with it."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable", session)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", session, **size)
        self._ask("Page.navigate", session, url=url)
        self._wait("Page.loadEventFired")
        time.sleep(0.3)  # scripts that wait for the page to be there
        wide = "document.documentElement.scrollWidth"
        across = self._ask("Runtime.evaluate", session, expression=wide)["result"]["value"]
        found = [said for event in self._events if (said := _complaint(event, url))]
        self._ask("Target.closeTarget", targetId=target)
        return found + ([f"it is {across} pixels wide in a window of {width}"] if across > width else [])

    def _ask(self, method: str, session: str | None = None, /, **values: Any) -> dict[str, Any]:
        self._numbers += 1
        message = {"id": self._numbers, "method": method, "params": values} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._numbers:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._events.append(answer)

    def _wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self._events):
            self._events.append(self._next())

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + self.patience
        while b"\0" not in self._received:
            assert time.monotonic() < end, f"{self.program} has said nothing for {self.patience:g} seconds"
            try:
                said = os.read(self._from, 1 << 20)
                assert said, f"{self.program} has ended"
                self._received += said
            except BlockingIOError:
                time.sleep(0.01)
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)


def _complaint(event: dict[str, Any], url: str) -> str | None:
    """What an event says is wrong, if it does."""
    said: Any = event.get("params", {})
    match event.get("method"):
        case "Runtime.exceptionThrown":
            return said["exceptionDetails"].get("exception", {}).get("description") or said["exceptionDetails"]["text"]
        case "Runtime.consoleAPICalled" if said["type"] in BAD:
            return " ".join(str(a.get("value", a.get("description"))) for a in said["args"])
        case "Log.entryAdded" if said["entry"]["level"] == "error":
            return f"{said['entry']['text']} {said['entry'].get('url', '')}"
        case "Network.requestWillBeSent":
            asked = said["request"]["url"]
            home = "/".join(url.split("/")[:3])
            return None if asked.startswith((home, "data:", "blob:")) else f"it asks the network for {asked}"
    return None
