"""Ranks that are killed at random times: the job ends, and another number of ranks resumes it without losing work."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import numpy as np
import pytest

from tests.parallel import killed_run
from tests.support.short_run import ROUNDING


@pytest.mark.slow
def test_each_rank_is_killed_and_the_run_ends_as_if_undisturbed(ranks, tmp_path):
    def noted(name: str) -> list[int]:
        file = tmp_path / name
        return [int(line) for line in file.read_text().split()] if file.is_file() else []

    dice = random.Random(16)
    for size, victim in ((2, 0), (3, 1), (4, 3), (2, 1), (3, 2)):
        job = ranks(size, killed_run.__file__, str(tmp_path))
        starts, before = len(noted("began")), noted("written")
        job.until(lambda: len(noted("began")) > starts, 120, "training to begin")  # noqa: B023 - called at once
        assert noted("began")[-1] >= max(before, default=0), "work from before the last checkpoint was lost"
        process = job.pid(victim)
        until = len(before) + dice.randint(1, 2)
        job.until(lambda: len(noted("written")) >= until, 120, "checkpoints")  # noqa: B023
        time.sleep(dice.uniform(0, 0.03))
        os.kill(process, signal.SIGKILL)
        killed = time.monotonic()
        assert job.end() != 0
        assert time.monotonic() - killed < 60
    job = ranks(4, killed_run.__file__, str(tmp_path))
    assert job.end() == 0, job.words
    assert noted("began")[-1] >= 25
    expected = killed_run.train(None).history.steps
    found = json.loads((tmp_path / "losses.json").read_text())
    assert len(found) == len(expected) == killed_run.EPOCHS * 9
    np.testing.assert_allclose(found, expected, rtol=ROUNDING["float64"], atol=ROUNDING["float64"])
