"""Communicators after failures: they are given back, refused or used again, and messages of old ones do no harm."""

from __future__ import annotations

import re
from typing import Any

import pytest

import dlarray as dl
from dlarray.core.ranks import RankError
from dlarray.parallel import joined
from tests.parallel.failure_checks import Broken, Raises
from tests.parallel.option_checks import NUMBERS, T, train


def check_more_failures_than_communicators(comm: Any) -> None:
    """MPICH has 2,048 communicators: a failed training gives its own back."""
    for _ in range(2100):
        with pytest.raises(Broken), joined(comm):
            raise Broken
    train(parallel=comm)


def check_training_again_after_a_failure_alone(comm: Any) -> None:
    """Every rank has the reason, also those whose own work was complete."""
    own = comm.Dup()
    with pytest.raises(Broken if comm.rank == 0 else RankError):
        train(callbacks=[Raises("on_epoch", comm.rank == 0)], parallel=own)
    words = f"this communicator cannot be used again: rank 0 of {comm.size} failed: Broken"
    with pytest.raises(RuntimeError, match=re.escape(words)):
        train(parallel=own)


def check_communicators_that_have_been_freed(comm: Any) -> None:
    """MPI gives their handle to the next one, which has not failed."""
    for _ in range(3):
        own = comm.Dup()
        with pytest.raises(Broken if comm.rank == 0 else RankError):
            train(callbacks=[Raises("on_epoch", comm.rank == 0)], parallel=own)
        own.Free()
    own = comm.Dup()
    train(parallel=own)
    own.Free()


def check_messages_of_a_communicator_that_has_been_freed(comm: Any) -> None:
    """All ranks fail, so nobody receives the messages; MPI gives the number of the communicator to the next one."""
    for _ in range(3):
        own = comm.Dup()
        with pytest.raises(Broken), joined(own):
            raise Broken
        own.Free()
        own = comm.Dup()
        train(parallel=own)
        own.Free()


def check_state_read_after_a_failure_of_all(comm: Any) -> None:
    """No rank knows whether the others are still there."""
    refused: list[str] = []

    class Reads(dl.Callback):
        def on_end(self, run: dl.Run) -> None:
            with pytest.raises(RuntimeError, match="after a failure the ranks cannot compute anything together"):
                assert run.optimizer_state
            refused.append("on_end")

    options = {"optimizer": dl.Momentum(1e80), "model": NUMBERS, "y": T, "epochs": 9, "shard": True}
    with pytest.raises(dl.DivergedError):
        train(**options, callbacks=[Reads()], parallel=comm)
    assert refused == ["on_end"]
