"""The ranks of a command: what each failure makes of the others, and which rank reports it."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

pytest.importorskip("typer")

import typer

from dlarray.cli import ranks as module
from dlarray.cli.ranks import CommandRanks, command_ranks, mute_other_ranks
from dlarray.core.ranks import RankError, Ranks
from tests.support.thread_ranks import on_ranks

ENDS: dict[str, tuple[list[BaseException | None], list[bool]]] = {
    "the same error on all ranks is rank 0's to report": ([ValueError("a"), ValueError("a")], [True, True]),
    "rank 0 reports that another has failed": ([RankError(1, 2, "failed"), ValueError("b")], [True, True]),
    "each reports an error of its own": ([ValueError("a"), ValueError("b")], [True, False]),
    "Ctrl-C": ([KeyboardInterrupt(), KeyboardInterrupt()], [True, True]),
    "an exit code": ([typer.Exit(130), typer.Exit(130)], [True, True]),
}


@pytest.mark.parametrize("name", ENDS)
def test_who_reports_an_error(name: str) -> None:
    errors, reported = ENDS[name]

    def run(ranks: Ranks) -> bool:
        error = errors[ranks.rank]
        assert error is not None
        return CommandRanks(ranks).end_with(error)

    assert on_ranks(2, run) == reported


def test_a_rank_that_has_failed_ends_those_that_wait() -> None:
    def run(ranks: Ranks) -> tuple[str, bool]:
        own = CommandRanks(ranks)
        if ranks.rank == 1:
            return "", own.end_with(OSError("no file"))
        with pytest.raises(RankError) as caught:
            own.wait()
        return str(caught.value), own.end_with(caught.value)

    message = "rank 1 of 3 failed: OSError: no file"
    assert on_ranks(3, run) == [(message, True), ("", True), (message, True)]


def test_rank_0_chooses() -> None:
    assert on_ranks(3, lambda ranks: CommandRanks(ranks).from_first(ranks.rank + 7)) == [7, 7, 7]


def test_a_rank_reports_what_rank_0_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the traceback of an error that nobody expected."""

    class Other(Ranks):
        rank, size = 1, 2

        def exchange(self, value: Any) -> list[Any]:
            return [("ValueError: another", None), value]

    monkeypatch.setattr(module, "_launched_ranks", Other)
    for error, expected in ((ValueError("own"), "rank 1: error: own\n"), (KeyError("own"), "rank 1: Traceback")):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "__stderr__", io.StringIO())
            with pytest.raises(type(error)), command_ranks(debug=False):
                raise error
            assert sys.__stderr__ is not None
            assert sys.__stderr__.getvalue().startswith(expected)  # type: ignore[attr-defined]


def test_other_ranks_are_mute(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, mute in ((0, False), (1, True)):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", printed := io.StringIO())
            patch.setattr(sys, "stderr", io.StringIO())
            patch.setenv("PMI_RANK", str(rank))
            patch.setenv("PMI_SIZE", "2")
            mute_other_ranks()
            print("text", end="")
            assert printed.getvalue() == ("" if mute else "text")
            assert not sys.stdout.isatty()
