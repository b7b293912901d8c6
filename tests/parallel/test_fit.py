"""``fit`` on real ranks: 2, 3 and 4 processes of MPI."""

from __future__ import annotations

import pytest

from tests.parallel import fit_checks, library_checks
from tests.parallel.ranks import check_names


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("name", check_names(fit_checks))
def test_real_ranks(checks, name, size):
    checks(fit_checks, size)[name].passed()


@pytest.mark.slow
@pytest.mark.parametrize("name", check_names(library_checks))
def test_real_ranks_with_other_libraries(checks, name):
    checks(library_checks, 2)[name].passed()
