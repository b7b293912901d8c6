"""How a column measures deviations."""

from __future__ import annotations

import numpy as np
import pytest

from dlarray.testing.check import Check
from dlarray.testing.columns import Column, columns
from dlarray.testing.runner import run
from tests.support.own_library import OwnArray, OwnBackend, installed
from tests.testing import narrow

ONE, HALF = columns("cpu")
EPS = np.finfo("float32").eps


def test_the_columns_of_a_device():
    assert columns("torch", ("float32",)) == [Column("torch-float32", "torch", "float32")]
    assert (ONE.name, ONE.dtype, HALF.dtype) == ("cpu-float64", "float64", "float32")
    assert ONE.target.name == "cpu"
    assert HALF.eps == EPS
    assert ONE.missing() is None
    assert "unknown device" in str(Column("no-float64", "no_such_library").missing())


def test_deviations_are_in_ulp_of_the_larger_of_expected_and_scale():
    x = np.asarray([1 + 3 * EPS, 4.0], "float32")
    assert HALF.ulp(x, [1.0, 4.0]) == pytest.approx(3)
    assert HALF.ulp(x, [1.0, 4 - 4 * float(EPS)]) == pytest.approx(3)
    assert HALF.ulp(np.asarray([1e-3 * (1 + 2 * EPS)], "float32"), [1e-3], scale=0.0) == pytest.approx(2, rel=0.3)
    assert HALF.ulp(np.asarray([1e-3 * (1 + 2 * EPS)], "float32"), [1e-3]) < 0.01
    assert HALF.ulp(np.zeros(0, "float32"), np.zeros(0)) == 0


def test_what_is_not_a_deviation_is_refused_in_words():
    with pytest.raises(AssertionError, match=r"the shape \(2,\), expected \(3,\)"):
        ONE.ulp(np.zeros(2), np.zeros(3))
    with pytest.raises(AssertionError, match="the dtype float64, the input has float32"):
        HALF.ulp(np.zeros(2), np.zeros(2))
    for found, expected in (
        ([1, np.nan], [1, 2]),
        ([1, 2], [1, np.nan]),
        ([1, -np.inf], [1, np.inf]),
        ([1, np.inf], [1, 2]),
    ):
        with pytest.raises(AssertionError, match=r"at \(1,\) it is .*, expected "):
            ONE.ulp(np.asarray(found, "float64"), np.asarray(expected, "float64"))
    assert ONE.ulp(np.asarray([np.nan, np.inf, -np.inf]), [np.nan, np.inf, -np.inf]) == 0
    with pytest.raises(AssertionError, match=r"at \(0, 1\) it is 3, expected 2"):
        ONE.ulp(np.asarray([[1, 3]], "int32"), [[1, 2]])
    with pytest.raises(AssertionError, match="the dtype float64, expected bool"):
        ONE.ulp(np.zeros(1), [True])


def test_a_result_of_another_library_is_refused():
    column = columns("own")[0]
    with installed(OwnBackend()):
        assert column.ulp(column.array([1.0, 2.0]), [1.0, 2.0]) == 0
        for wrong, name in ((np.ones(2), "numpy.ndarray"), (np.float64(1), "numpy.float64"), (1.0, "builtins.float")):
            with pytest.raises(
                AssertionError, match=rf"^returned {name}, expected an array of own_library \(array_mod"
            ):
                column.ulp(wrong, np.ones(np.shape(wrong)))
    assert ONE.ulp(np.float64(1.0), 1.0) == 0  # a full sum of NumPy's


def test_numpy_s_numbers_are_results_of_a_library_whose_arrays_are_a_subclass_of_its():
    with installed(narrow.backend):
        column = columns("narrow")[0]
        assert column.ulp(column.array([1.0]), [1.0]) == 0
        assert column.ulp(np.float64(1.0), 1.0) == 0
        with pytest.raises(AssertionError, match=r"own_library.OwnArray, expected an array of narrow_library"):
            column.ulp(OwnArray(1.0), 1.0)


def test_a_float64_that_is_known_to_be_less_exact_is_measured_in_ulp_of_float32():
    class Short(OwnBackend):
        exact_float64 = False

    wrong = Check("functions", "exp", lambda column: column.ulp(column.array([1 + 3e-7]), [1.0]), limit=4.0)
    column = columns("own")[0]
    with installed(Short()):
        assert (column.dtype, column.eps) == ("float64", EPS)
        (found,) = run(column, [wrong])
        assert (found.outcome, round(found.ulp or 0, 1)) == ("pass", 2.5)
    with installed(OwnBackend()):
        (found,) = run(column, [wrong])
        assert found.outcome == "fail"
