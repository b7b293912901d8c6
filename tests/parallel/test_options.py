"""Every option of ``fit`` on 2, 3 and 4 ranks, on NumPy in both precisions and on PyTorch."""

from __future__ import annotations

import inspect

import pytest

import dlarray as dl
from tests.parallel import option_checks
from tests.parallel.ranks import check_names

LIBRARIES = {
    "float64 on 3": (3, {}),
    "float32 on 4": (4, {"RANKS_DTYPE": "float32"}),
    "torch on 2": (2, {"RANKS_DEVICE": "torch"}),
}


def test_every_option_of_fit_has_a_check():
    assert set(inspect.signature(dl.fit).parameters) <= set(check_names(option_checks))


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", check_names(option_checks))
def test_an_option_means_the_same_on_ranks(checks, name, library):
    size, variables = LIBRARIES[library]
    if "RANKS_DEVICE" in variables:
        pytest.importorskip("torch")
    checks(option_checks, size, **variables)[name].passed()
