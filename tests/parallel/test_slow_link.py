"""Ranks on two machines that are connected by a slow link; here the machines are network namespaces."""

from __future__ import annotations

import sys

import pytest

from tests.parallel import link_checks
from tests.parallel.ranks import launcher, run_checks
from tests.support.process import ROOT
from tests.support.scripts import script

DELAY = 0.02  # seconds


@pytest.mark.slow
def test_training_over_a_slow_link_is_right_and_slower(mpiexec, tmp_path):
    if reason := script("scaling_link").available():
        pytest.skip(f"no slow link can be made here: {reason}")
    own = ["unshare", "--user", "--map-root-user", "--net"]
    link = [sys.executable, str(ROOT / "benchmarks" / "scaling_link.py"), "--machines", "2", "--mbit", "100"]
    link += ["--delay-us", str(DELAY * 1e6), "--mpiexec", str(launcher()), "--"]
    found = run_checks(link_checks, 2, tmp_path / "slow", starter=[*own, *link])["training"].passed()
    for seconds, steps in found:
        assert seconds >= steps * DELAY  # each step needs a message in each direction
    fast = run_checks(link_checks, 2, tmp_path / "fast")["training"].passed()
    assert min(seconds for seconds, _ in found) > max(seconds for seconds, _ in fast)
