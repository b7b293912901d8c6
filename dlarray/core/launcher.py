"""Whether a launcher of MPI, such as mpiexec, has started this process as one of several ranks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Launched", "launched", "local_rank"]

VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "Open MPI"),
    ("PMI_RANK", "PMI_SIZE", "PMI, as MPICH uses it"),
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS", "Slurm with PMIx"),
)
"""The variables with the rank and with the number of ranks, and who sets them. Slurm sets PMI_RANK with --mpi=pmi2."""

LOCAL = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PALS_LOCAL_RANKID", "SLURM_LOCALID")
"""The variables with the rank's number on its machine: of Open MPI, of MPICH and Intel MPI, of HPE, of Slurm."""


class Launched(NamedTuple):
    """The rank of this process, the number of ranks, and the launcher in words."""

    rank: int
    size: int
    launcher: str


def launched(environment: Mapping[str, str] = os.environ) -> Launched | None:
    """What the launcher's environment variables say, without importing an MPI library; None without a launcher."""
    for of_rank, of_size, launcher in VARIABLES:
        rank, size = environment.get(of_rank, ""), environment.get(of_size, "")
        if rank.isdecimal() and size.isdecimal() and int(rank) < int(size):
            return Launched(int(rank), int(size), launcher)
    return None


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those that a launcher has started on its machine; 0 without a launcher."""
    found = (environment.get(name, "") for name in LOCAL)
    return next((int(text) for text in found if text.isdecimal()), 0)
