"""Contenders in processes of their own, which work in turns: ``program --work kind …`` answers each line with JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["in_turns"]


class _Worker:
    def __init__(self, program: str, *words: str) -> None:
        command = [sys.executable, program, "--work", *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        if not (line := self.process.stdout.readline()):
            raise RuntimeError("a contender has ended with an error: see above")
        return json.loads(line)


def in_turns(
    program: str, kinds: Sequence[str], words: Sequence[str], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """What each kind of worker has found in each round; every other round goes backwards.

    Raises RuntimeError if a worker ends with an error.
    """
    workers = {kind: _Worker(program, kind, *words) for kind in kinds}
    turns: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    try:
        for i in range(rounds):
            for kind in sorted(kinds, reverse=bool(i % 2)):
                turns[kind].append(workers[kind].turn())
    finally:
        for worker in workers.values():
            worker.process.communicate()
    return turns
