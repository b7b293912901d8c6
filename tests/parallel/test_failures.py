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
