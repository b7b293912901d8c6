"""One failing rank ends all; other arguments, data and parameters on a rank are found."""

from __future__ import annotations

import pytest

from tests.parallel import failure_checks
from tests.parallel.ranks import check_names


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", check_names(failure_checks))
def test_a_failure_of_one_rank(checks, name, size):
    checks(failure_checks, size)[name].passed()


PROGRAM = """
import sys
import numpy as np
import dlarray as dl
from mpi4py import MPI

x, own = np.ones((8, 2)), MPI.COMM_WORLD.rank == int(sys.argv[1])
for _ in range(2 if own else 1):
    dl.fit(dl.mlp(2, 1), x, x[:, :1], epochs=1, batch_size=8, device="cpu", parallel="mpi", progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("longer", [0, 1])
def test_a_rank_that_trains_once_more_than_the_other(ranks, tmp_path, longer):
    """It would wait for ever."""
    (tmp_path / "train.py").write_text(PROGRAM)
    job = ranks(2, "train.py", str(longer))
    assert job.end(60) != 0
    words = (
        f"RankError: rank {1 - longer} of 2 has ended, and this rank waits for it: every rank must call fit the same"
    )
    assert words in job.err(longer)
    assert not job.err(1 - longer)
