"""The coordinator's end of a worker: a contender that steps in another process."""

from __future__ import annotations

import json
import math
import os
import selectors
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlarray.bench import Case
from setting import Setting

HERE = Path(__file__).resolve().parent
PAUSE = 0.03
"""Seconds between bursts: the waiting threads of a BLAS and of XLA spin for a while before they sleep."""


class WorkerError(RuntimeError):
    """A worker could not be made, has failed, or did not answer in time."""


class Remote:
    """A worker process. Raises WorkerError, with the reason, where it is not ready in ``patience`` seconds."""

    def __init__(self, factory: str, case: Case, setting: Setting, patience: float = 300.0) -> None:
        self.patience = patience
        self.bursts: list[dict[str, Any]] = []
        """Of each call of ``run`` the seconds of a step by the wall and by the device, and the number of steps."""
        self.failure: str | None = None
        self.pending: bytes = b""
        words = [json.dumps(asdict(case)), json.dumps(asdict(setting))]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), factory, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | setting.variables(),
        )
        self.made: float = self._listen()["made"]
        """The seconds that making the contender took."""

    def run(self, steps: int) -> float:
        """The seconds of so many steps; infinity from the moment on that the worker is gone."""
        time.sleep(PAUSE)
        burst = self.get("timed", steps=steps)
        if burst is None:
            return math.inf
        self.bursts.append(burst)
        return burst["wall"] * steps

    def get(self, do: str, **order: Any) -> Any:
        """What a method of the contender returns; None where it fails, and ``failure`` says why."""
        try:
            return self.ask(do, **order)
        except WorkerError:
            return None

    def ask(self, do: str, **order: Any) -> Any:
        """What a method of the contender returns. Raises WorkerError where it fails."""
        if self.failure:
            raise WorkerError(self.failure)
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            self._give_up(f"ended with exit code {self.process.wait()}")
        return self._listen().get("answer")

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()

    def _listen(self) -> dict[str, Any]:
        """The next answer."""
        answer = json.loads(self._line())
        for word in ("absent", "failed"):
            if word in answer:
                self._give_up(answer[word])
        return answer

    def _line(self) -> bytes:
        assert self.process.stdout
        end = time.monotonic() + self.patience
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.pending:
                if not selector.select(max(0.0, end - time.monotonic())):
                    self._give_up(f"no answer in {self.patience:g} s")
                part = os.read(self.process.stdout.fileno(), 2**16)
                if not part:
                    self._give_up(f"ended with exit code {self.process.wait()}")
                self.pending += part
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def _give_up(self, reason: str) -> None:
        self.failure = reason
        self.close()
        raise WorkerError(reason)
