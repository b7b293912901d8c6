"""Checks that two real ranks run with arrays of other libraries, whose imports take longer than the checks."""

from __future__ import annotations

from typing import Any

from dlarray.parallel import MPIRanks
from tests.parallel.fit_checks import compare_fit, exchange_arrays
from tests.parallel.test_equality import WEIGHT


def check_exchanges(comm: Any) -> None:
    ranks = MPIRanks(comm)
    exchange_arrays(ranks, "torch", "jax")
    ranks.close()


def check_fit_torch(comm: Any) -> None:
    compare_fit(comm, device="torch", weight=WEIGHT)


def check_fit_torch_from_the_host(comm: Any) -> None:
    compare_fit(comm, device="torch", data="host", compile=False)
