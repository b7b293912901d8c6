"""One failing rank ends all; other arguments, data and parameters on a rank are found."""

from __future__ import annotations

import pytest

from tests.parallel import communicator_checks, failure_checks
from tests.parallel.ranks import check_names


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", check_names(failure_checks))
def test_a_failure_of_one_rank(checks, name, size):
    checks(failure_checks, size)[name].passed()


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", check_names(communicator_checks))
def test_a_communicator_after_a_failure(checks, name, size):
    checks(communicator_checks, size)[name].passed()


PROGRAM = """
import sys
import numpy as np
import dlarray as dl
from mpi4py import MPI

x, own = np.ones((8, 2)), MPI.COMM_WORLD.rank == int(sys.argv[1])
try:
    for _ in range(2 if own else 1):
        dl.fit(dl.mlp(2, 1), x, x[:, :1], epochs=1, batch_size=8, device="cpu", parallel="mpi", progress=False)
except RuntimeError as error:
    print(type(error).__name__, error)
"""
FINALIZE = """
import sys
import numpy as np
import dlarray as dl
from mpi4py import MPI

x = np.ones((8, 2))
dl.fit(dl.mlp(2, 1), x, x[:, :1], epochs=1, batch_size=8, device="cpu", parallel="mpi", progress=False)
if MPI.COMM_WORLD.rank == int(sys.argv[1]):
    MPI.Finalize()
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("longer", [0, 1])
def test_a_rank_that_trains_once_more_than_the_other(ranks, tmp_path, longer):
    """It would wait for ever."""
    (tmp_path / "train.py").write_text(PROGRAM)
    job = ranks(2, "train.py", str(longer))
    assert job.end(60) != 0
    words = f"RankError rank {1 - longer} of 2 has ended, and this rank waits for it: every rank must call fit the same"
    assert words in job.out(longer)
    assert "Traceback" not in job.words


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
def test_a_program_that_ends_mpi_itself(ranks, tmp_path, first):
    (tmp_path / "train.py").write_text(FINALIZE)
    job = ranks(2, "train.py", str(first))
    assert job.end(60) == 0, job.words
    assert job.out(0) == job.out(1) == "done\n"
    assert not job.err(0) + job.err(1)
