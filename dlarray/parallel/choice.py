"""The ranks that the argument ``parallel`` of ``fit`` names."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from dlarray.core.ranks import ALONE, Ranks
from dlarray.device import Device
from dlarray.parallel.mpi import MPIRanks, is_communicator, world

__all__ = ["joined"]


@contextmanager
def joined(parallel: Any) -> Generator[Callable[[Device], Ranks]]:
    """A ``with`` block for ranks that work together: an error in it ends the other ranks too.

    It gives a function of the device on which all ranks train, because a backend may have its own way between its
    devices. ``parallel`` is a communicator of mpi4py, "mpi" for all processes that ``mpiexec`` has started, ``Ranks``,
    or None for one rank alone. Raises TypeError or ValueError for anything else, and ImportError if mpi4py or MPI is
    missing.
    """
    if parallel is None:
        yield lambda device: ALONE
        return
    host = parallel if isinstance(parallel, Ranks) else MPIRanks(_communicator(parallel))
    used = [host]

    def on(device: Device) -> Ranks:
        if host is not parallel and host.size > 1 and (own := device.backend.ranks(host, device.handle)) is not host:
            used.append(own)
        return used[-1]

    try:
        yield on
        for ranks in reversed(used):
            if ranks is not parallel:
                ranks.close()
    except BaseException as error:
        for ranks in reversed(used):
            ranks.fail(error)
        raise


def _communicator(parallel: Any) -> Any:
    if isinstance(parallel, str):
        if parallel != "mpi":
            raise ValueError(f"parallel must be 'mpi' or a communicator of mpi4py, got {parallel!r}")
        return world()
    if not is_communicator(parallel):
        raise TypeError(f"parallel must be 'mpi', a communicator of mpi4py or Ranks, got {type(parallel).__name__}")
    if not parallel:  # what Split and Create give to processes that are left out
        raise ValueError("parallel is COMM_NULL: this process is no part of the communicator and must not call fit")
    return parallel
