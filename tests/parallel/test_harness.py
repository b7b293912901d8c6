"""The harness of real ranks: results of every rank, failures by rank, jobs that hang, and launchers' variables."""

from __future__ import annotations

import time

import pytest

from dlarray.core.launcher import launched
from tests.parallel import harness_checks


@pytest.mark.parametrize("size", [2, 3, 4])
def test_every_rank_gives_its_result(checks, size):
    found = checks(harness_checks, size)
    assert found["ranks_know_each_other"].passed() == (size,) * size
    assert found["after_a_failure_all_is_as_before"].passed() == (size * (size + 1) / 2,) * size


def test_the_failure_of_one_rank_is_reported_by_its_number(checks):
    outcome = checks(harness_checks, 3)["one_rank_fails"]
    assert outcome.failure.startswith("rank 2: Traceback")
    assert "on purpose, on the last of 3" in outcome.failure
    with pytest.raises(AssertionError, match="on purpose"):
        outcome.passed()


def test_a_job_that_hangs_is_killed_and_its_output_shown(ranks, tmp_path):
    code = tmp_path / "hang.py"
    code.write_text("import time\nprint('here', flush=True)\ntime.sleep(1000)\n")
    job = ranks(2, str(code))
    job.until(lambda: "here" in job.out(0) and "here" in job.out(1), 60, "the ranks to print")
    processes = [job.pid(rank) for rank in range(2)]
    with pytest.raises(AssertionError, match=r"(?s)did not end within.*rank 0, stdout\nhere.*rank 1, stdout\nhere"):
        job.end(timeout=0)
    last = time.monotonic() + 60
    while any(_runs(pid) for pid in processes):
        assert time.monotonic() < last
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"PMI_RANK": "2", "PMI_SIZE": "4"}, (2, 4)),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "0"}, (0, 3)),
        ({"PMIX_RANK": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS": "9"}, (5, 8)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # a batch script of Slurm is one process
        ({"PMI_RANK": "1"}, None),
        ({"PMI_RANK": "x", "PMI_SIZE": "4"}, None),
        ({"PMI_RANK": "4", "PMI_SIZE": "4"}, None),
    ],
)
def test_a_launcher_is_known_by_its_variables(variables, expected):
    found = launched(variables)
    assert (found and found[:2]) == expected
