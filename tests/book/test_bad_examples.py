"""Training refuses bad examples, targets and weights of examples, and names the remedy."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl
from tests.support.bad_input import (
    CATEGORIES,
    LABELS,
    NUMBERS,
    ONE_HOT,
    REGRESSION,
    SINGLE,
    Case,
    X,
    check_refusal,
    fit,
    strict,
    torch,
    with_one,
)
from tests.support.matrix import On


class Forgotten:
    """Has no shape and is no array."""


EXAMPLES: dict[str, Case] = {
    # What x and y are
    "x a list": (lambda: fit(X.tolist()), TypeError, "x must be an array, got list; numpy.asarray makes one"),
    "x None": (lambda: fit(None), TypeError, "x must be an array, got NoneType"),
    "x nothing known": (lambda: fit(Forgotten()), TypeError, "x must be an array, got Forgotten"),
    "y a list": (lambda: fit(y=LABELS.tolist()), TypeError, "y must be an array, got list; numpy.asarray makes one"),
    "y missing": (lambda: fit(y=None), ValueError, "y is missing: training needs the targets"),
    "weight a list": (lambda: fit(weight=[1.0] * 8), TypeError, "weight must be an array, got list"),
    "x objects": (lambda: fit(X.astype(object)), TypeError, "x must hold real numbers, got dtype object"),
    "y objects": (lambda: fit(y=ONE_HOT.astype(object)), TypeError, "y must hold real numbers, got dtype object"),
    "x strings": (lambda: fit(X.astype(str)), ValueError, "x must hold real numbers, got dtype <U"),
    "y strings": (lambda: fit(y=ONE_HOT.astype(str)), ValueError, "y must hold real numbers, got dtype <U"),
    "x complex": (lambda: fit(X + 0j), ValueError, "x must hold real numbers, got dtype complex128"),
    "y complex": (lambda: fit(y=NUMBERS + 0j, model=REGRESSION), ValueError, "y must hold real numbers, got .*complex"),
    "x complex on a device": (lambda: fit(strict(X + 0j), strict(LABELS)), ValueError, "x must hold real .*complex128"),
    "x dates": (lambda: fit(X.astype("M8[s]")), ValueError, r"x must hold real numbers, got dtype datetime64\[s\]"),
    "x masked": (lambda: fit(np.ma.masked_less(X, 0)), TypeError, "x is a masked array.*drop or fill"),
    "y masked": (lambda: fit(y=np.ma.masked_equal(LABELS, 0)), TypeError, "y is a masked array.*drop or fill"),
    "values masked": (lambda: dl.asarray(np.ma.masked_less(X, 0)), TypeError, "is a masked array.*drop or fill"),
    # Their shapes
    "x 1-D": (lambda: fit(X[0]), ValueError, r"x must have two axes, \(examples, inputs\), got shape \(4,\)"),
    "x 3-D": (lambda: fit(X[None]), ValueError, r"x must have two axes.*got shape \(1, 8, 4\)"),
    "rows differ": (lambda: fit(X[:5]), ValueError, r"x and y must have as many rows, got shapes \(5, 4\) and \(8,\)"),
    "y a single number": (lambda: fit(y=np.array(1)), ValueError, r"as many rows, got shapes \(8, 4\) and \(\)"),
    "no rows": (lambda: fit(X[:0], LABELS[:0]), ValueError, r"x has no examples: its shape is \(0, 4\)"),
    "no features": (lambda: fit(X[:, :0]), ValueError, r"x has no features: its shape is \(8, 0\)"),
    "other features": (lambda: fit(X[:, :3]), ValueError, r"takes 4 inputs, got x with 3 features, shape \(8, 3\)"),
    "(n,) to two outputs": (
        lambda: fit(y=NUMBERS[:, 0], model=REGRESSION),
        ValueError,
        r"targets of shape \(8,\) do not match outputs of shape \(8, 2\)",
    ),
    "weights of the wrong shape": (
        lambda: fit(weight=np.ones((8, 1))),
        ValueError,
        r"weight must hold one number per example, shape \(8,\), got \(8, 1\)",
    ),
    # Their numbers
    "nan in x": (
        lambda: fit(with_one(X, np.nan)),
        ValueError,
        "x must be finite, got nan in row 2, column 1; drop or fill",
    ),
    "inf in x": (lambda: fit(with_one(X, np.inf, (7, 3))), ValueError, "must be finite, got inf in row 7, column 3"),
    "-inf in x": (lambda: fit(with_one(X, -np.inf, (0, 0))), ValueError, "must be finite, got -inf in row 0, column 0"),
    "too large for float32": (
        lambda: fit(with_one(X, 1e300)),
        ValueError,
        r'x must fit into float32, got 1e\+300 in row 2, column 1; scale it, or give dtype="float64"',
    ),
    "y too large for float32": (
        lambda: fit(y=with_one(NUMBERS, -1e39), model=REGRESSION),
        ValueError,
        r"y must fit into float32, got -1e\+39 in row 2, column 1",
    ),
    "nan in y": (
        lambda: fit(y=with_one(NUMBERS, np.nan), model=REGRESSION),
        ValueError,
        "targets must be finite, got nan in row 2; drop or fill these examples",
    ),
    "nan in the weights": (
        lambda: fit(weight=with_one(LABELS, np.nan)),
        ValueError,
        "weight must be finite, got nan in row 2",
    ),
    "a negative weight": (
        lambda: fit(weight=LABELS - 1.0),
        ValueError,
        "weights must be at least 0, got -1.0 in row 0",
    ),
    "all weights 0": (lambda: fit(weight=0.0 * LABELS), ValueError, "not 0 everywhere"),
    "float labels": (
        lambda: fit(y=LABELS + 0.5, loss="sparse_cross_entropy"),
        ValueError,
        r"class labels must be whole numbers, got 0\.5 in row 0; for numbers give loss='mean_squared_error'",
    ),
    "a label too large": (
        lambda: fit(y=LABELS + 1),
        ValueError,
        r"labels must lie in \[0, 3\), got 3 in row 2; number the",
    ),
    "a negative label": (lambda: fit(y=LABELS - 1), ValueError, r"labels must lie in \[0, 3\), got -1 in row 0"),
    "labels to a one-hot loss": (
        lambda: fit(loss="cross_entropy"),
        ValueError,
        r"one-hot rows .* of shape \(8, 3\), got integer labels.*use SparseCategoricalCrossEntropy",
    ),
    "one-hot rows to a sparse loss": (
        lambda: fit(y=ONE_HOT.astype(int)),
        ValueError,
        r"integer labels of shape \(8,\), got rows of shape \(8, 3\).*use CategoricalCrossEntropy",
    ),
    "rows that do not sum to 1": (
        lambda: fit(y=0.9 * ONE_HOT, loss="cross_entropy"),
        ValueError,
        r"must sum to 1, got 0\.9.* in row 0; divide each row by its sum",
    ),
    "a probability above 1": (lambda: fit(y=2 * ONE_HOT, loss="kl"), ValueError, r"in \[0, 1\], got 2\.0 in row 0"),
    "a binary target of 2": (
        lambda: fit(y=LABELS, model=SINGLE),
        ValueError,
        r"0, 1 or a probability.*got 2 in row 2; for more than two classes use SparseCategorical",
    ),
    "a hinge label of 2": (
        lambda: fit(y=LABELS, model=SINGLE, loss="hinge"),
        ValueError,
        "-1 and 1, or 0 and 1, got 2 in row 2",
    ),
    "a category too large": (
        lambda: fit(np.full((8, 2), 5), model=CATEGORIES),
        ValueError,
        r"x holds categories outside \[0, 5\)",
    ),
    "a negative category": (lambda: fit(np.full((8, 2), -1), model=CATEGORIES), ValueError, r"outside \[0, 5\)"),
    "categories that are no integers": (
        lambda: fit(np.ones((8, 2)), model=CATEGORIES),
        ValueError,
        "takes the numbers of categories, integers, got x of type float64",
    ),
    # Where they are
    "x on torch, y on NumPy": (
        lambda: fit(torch(X)),
        TypeError,
        "x and y must be of one library, got torch and numpy; dlarray.to_device moves arrays",
    ),
    "x on NumPy, y on torch": (lambda: fit(y=torch(LABELS)), TypeError, "of one library, got numpy and torch"),
    "weight on torch": (lambda: fit(weight=torch(np.ones(8))), TypeError, "x and weight must be of one library"),
    "two devices": (
        lambda: fit(strict(X, "device1"), strict(LABELS, "device2")),
        ValueError,
        "x and y must be on one device, got strict:device1 and strict:device2; dlarray.to_device moves",
    ),
    "weight on another device": (
        lambda: fit(strict(X, "device1"), strict(LABELS, "device1"), weight=strict(np.ones(8), "device2")),
        ValueError,
        "x and weight must be on one device, got strict:device1 and strict:device2",
    ),
    "an unknown device": (
        lambda: fit(device="cdua"),
        dl.DeviceError,
        "device='cdua' names an unknown device, did you mean 'cuda'",
    ),
    "a device that is no name": (
        lambda: fit(device=0),
        TypeError,
        "given by its name, such as 'cpu' or 'jax', or .*got 0",
    ),
    "a device without float64": (
        lambda: fit(device="strict:no_float64", dtype="float64") if strict(X) is not None else None,
        ValueError,
        "no_float64.*float64",
    ),
}


@pytest.mark.parametrize("what", EXAMPLES)
def test_training_refuses(what: str) -> None:
    check_refusal(EXAMPLES[what])


def test_bad_numbers_are_found_where_they_lie(on: On) -> None:
    """On every device, by row and column, in x and in y."""
    if not on.device.startswith("cpu"):
        with pytest.raises(ValueError, match="x must be finite, got inf in row 2, column 1"):
            fit(on.array(with_one(X, np.inf)), on.array(LABELS))
        with pytest.raises(ValueError, match="targets must be finite, got nan in row 2"):
            fit(on.array(X), on.array(with_one(NUMBERS, np.nan)), REGRESSION)
    with pytest.raises(ValueError, match="x must be finite, got nan in row 2, column 1"):
        fit(with_one(X, np.nan), device=on.device, dtype=on.dtype)
    with pytest.raises(ValueError, match=r"weight must be finite, got inf in row 2"):
        fit(weight=with_one(LABELS, np.inf), device=on.device, dtype=on.dtype)
