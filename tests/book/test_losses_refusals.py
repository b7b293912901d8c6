"""What losses refuse, and with which words: configurations, shapes and dtypes, and the values of targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray.layers import Dense
from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    CategoricalHinge,
    Focal,
    Gamma,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    Loss,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    MultiMargin,
    Pinball,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossEntropy,
    SquaredHinge,
    Tweedie,
)
from dlarray.model import MLP
from dlarray.testing.loss_cases import K, case
from dlarray.testing.own import own
from tests.support.matrix import On

Z = np.zeros((3, 4))
LABELS = np.array([0, 3, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Huber(0.0), ValueError, "delta must be above 0"),
        (lambda: Huber(float("nan")), ValueError, "delta must be finite"),
        (lambda: MeanSquaredError(reduction="average"), ValueError, "unknown reduction 'average'"),
        (lambda: MeanSquaredError("sum"), TypeError, "positional"),
        (lambda: RootMeanSquaredError(reduction="sum"), TypeError, "reduction"),
        (lambda: BinaryCrossEntropy(label_smoothing=1.0), ValueError, r"label_smoothing must lie in \[0, 1\)"),
        (lambda: CategoricalCrossEntropy(label_smoothing=-0.1), ValueError, "label_smoothing"),
        (lambda: BinaryCrossEntropy(class_weight=(1.0, 2.0, 3.0)), ValueError, "two weights"),
        (lambda: Hinge(class_weight=2.0), TypeError, "one number for each class, got 2.0"),
        (lambda: CategoricalCrossEntropy(class_weight=(1.0, -1.0)), ValueError, "class_weight must be at least 0"),
        (lambda: CategoricalCrossEntropy(class_weight=(0.0, 0.0)), ValueError, "weight above 0"),
        (lambda: Pinball(1.0), ValueError, r"quantile must lie in \[0, 1\)"),
        (lambda: Pinball(0.0), ValueError, "quantile must be above 0"),
        (lambda: Tweedie(2.0), ValueError, r"between 1 \(use Poisson\) and 2 \(use Gamma\), got 2\.0"),
        (lambda: Tweedie("1.5"), TypeError, "power"),
        (lambda: BinaryCrossEntropy(pos_weight=0.0), ValueError, "pos_weight must be above 0"),
        (
            lambda: BinaryCrossEntropy(pos_weight=(1.0, 2.0)).forward(Z, Z),
            ValueError,
            "pos_weight has 2 numbers for 4 outputs; give one for each",
        ),
        (lambda: MultiMargin(margin=0), ValueError, "margin must be above 0, got 0"),
        (lambda: MultiMargin(exponent=3), ValueError, "exponent must be 1 or 2, got 3"),
        (lambda: MultiMargin().forward(Z, Z), ValueError, "targets must be integer labels"),
        (lambda: CategoricalHinge().forward(Z[:, :1], LABELS), ValueError, r"two classes or more, .*use Hinge"),
        (lambda: CategoricalHinge().forward(Z, LABELS + 1), ValueError, r"labels must lie in \[0, 4\), got 4"),
        (lambda: GaussianNLL().forward(Z, Z), ValueError, r"\(3, 4\) do not match outputs of shape \(3, 2\)"),
        (
            lambda: GaussianNLL().forward(Z[:, :3], Z[:, :1]),
            ValueError,
            r"outputs must be \(n, 2k\).*two units for each",
        ),
        (
            lambda: MeanSquaredLogarithmicError().forward(Z, Z - 1),
            ValueError,
            r"targets must be above -1, got -1\.0 in row 0; for numbers of either sign use MeanSquaredError",
        ),
        (lambda: Focal(gamma=-1.0), ValueError, "gamma must be at least 0"),
        (lambda: Focal(alpha=1.5), ValueError, "alpha must lie in"),
        (
            lambda: MeanSquaredError().forward(Z, Z[:, :1]),
            ValueError,
            r"\(3, 1\) do not match outputs of shape \(3, 4\)",
        ),
        (lambda: MeanSquaredError().forward(Z[:, :1], Z[:, 0]), ValueError, r"\(3,\).*\(3, 1\); reshape .* \(3, 1\)"),
        (lambda: MeanSquaredError().forward(Z[:, 0], Z[:, :1]), ValueError, r"\(3, 1\).*\(3,\); reshape .* \(3,\)"),
        (lambda: RootMeanSquaredError().forward(Z, Z[:2]), ValueError, r"\(2, 4\) do not match"),
        (lambda: MeanSquaredError().forward(Z, Z, np.ones((3, 1))), ValueError, r"shape \(3,\), got \(3, 1\)"),
        (lambda: RootMeanSquaredError().forward(Z, Z, np.ones(4)), ValueError, r"shape \(3,\), got \(4,\)"),
        (lambda: MeanSquaredError().forward(Z, None), TypeError, "targets must be an array, got NoneType"),
        (lambda: MeanSquaredError().forward(Z, Z.tolist()), TypeError, "targets must be an array, got list"),
        (lambda: MeanSquaredError().forward(Z.astype(int), Z), ValueError, "outputs must be real floating"),
        (lambda: MeanSquaredError().forward(Z, Z * 1j), ValueError, "real numbers, got complex128"),
        (lambda: MeanSquaredError().forward(Z, Z.astype(str)), ValueError, "real numbers, got <U"),
        (lambda: MeanSquaredError().forward(Z, Z.astype(object)), TypeError, "real numbers, got object"),
        (lambda: MeanSquaredError().forward(np.array(1.0), np.array(1.0)), ValueError, "got a single number"),
        (
            lambda: CategoricalCrossEntropy().forward(Z, LABELS),
            ValueError,
            "for these use SparseCategoricalCrossEntropy",
        ),
        (lambda: KLDivergence().forward(Z, LABELS[:, None]), ValueError, "use SparseCategoricalCrossEntropy"),
        (lambda: CategoricalCrossEntropy().forward(Z, Z[:, 0]), ValueError, r"\(3,\) do not match"),
        (lambda: CategoricalCrossEntropy().forward(Z[:, :1], Z[:, :1]), ValueError, "use BinaryCrossEntropy"),
        (lambda: CategoricalCrossEntropy().forward(Z[:, 0], Z[:, 0]), ValueError, r"must be \(n, classes\)"),
        (lambda: CategoricalCrossEntropy(class_weight=(1.0, 2.0)).forward(Z, Z), ValueError, "2 weights for 4 classes"),
        (lambda: SparseCategoricalCrossEntropy().forward(Z, Z), ValueError, "use CategoricalCrossEntropy"),
        (lambda: SparseCategoricalCrossEntropy().forward(Z, Z.astype(int)), ValueError, "use CategoricalCrossEntropy"),
        (lambda: SparseCategoricalCrossEntropy().forward(Z, Z[:, 0]), ValueError, "must be integers, got float64"),
        (lambda: SparseCategoricalCrossEntropy().forward(Z, LABELS[:, None]), ValueError, r"reshape .* \(3,\)"),
        (lambda: SparseCategoricalCrossEntropy().forward(Z, LABELS[:2]), ValueError, r"\(2,\) do not match"),
        (
            lambda: SparseCategoricalCrossEntropy(class_weight=(1.0, 2.0)).forward(Z, LABELS),
            ValueError,
            "2 weights for 4 classes",
        ),
    ],
)
def test_what_is_refused_without_reading_values(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_two_libraries_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="expected arrays of one library, got numpy and torch; dlarray.to_device moves"):
        MeanSquaredError().forward(Z, torch.zeros(3, 4))


HALF = np.full((3, 4), 0.25)


def _with(base: np.ndarray, value: float) -> np.ndarray:
    t = np.array(base)
    t[(1, 0)[: t.ndim]] = value
    return t


@pytest.mark.parametrize(
    ("loss", "t", "message"),
    [
        (MeanSquaredError(), _with(Z, np.nan), "must be finite, got nan in row 1; drop or fill"),
        (RootMeanSquaredError(), _with(Z, np.inf), "must be finite, got inf in row 1"),
        (BinaryCrossEntropy(), _with(Z, 2.0), r"0, 1 or a probability.*, got 2\.0 in row 1; .*SparseCategorical"),
        (BinaryCrossEntropy(), _with(Z, -0.5), r"got -0\.5 in row 1"),
        (BinaryCrossEntropy(), _with(Z, np.nan), "must be finite"),
        (Focal(), _with(Z, 0.5), r"must be 0 or 1, got 0\.5 in row 1"),
        (Hinge(), _with(Z, 2.0), r"-1 and 1, or 0 and 1, got 2\.0 in row 1"),
        (Hinge(), _with(_with(Z, -1.0) * 1.0, -1.0), r"got 0\.0 in row 0"),
        (SquaredHinge(), _with(Z, 0.5), r"got 0\.5"),
        (Poisson(), _with(Z, -1.0), r"at least 0, got -1\.0 in row 1; .*MeanSquaredError"),
        (Tweedie(), _with(Z, -1.0), r"at least 0, got -1\.0 in row 1; .*MeanSquaredError"),
        (Gamma(), _with(Z + 1, 0.0), r"above 0, got 0\.0 in row 1; where 0 occurs use Tweedie"),
        (CategoricalCrossEntropy(), _with(HALF, 1.25), r"in \[0, 1\], got 1\.25 in row 1"),
        (CategoricalCrossEntropy(), _with(HALF, -0.25), r"in \[0, 1\], got -0\.25 in row 1"),
        (CategoricalCrossEntropy(), _with(HALF, 0.2502), "must sum to 1, got 1.0002.* in row 1"),
        (KLDivergence(), Z, r"must sum to 1, got 0\.0 in row 0; divide each row"),
        (CategoricalCrossEntropy(), LABELS, "SparseCategoricalCrossEntropy"),
        (
            SparseCategoricalCrossEntropy(),
            _with(LABELS, 4),
            r"must lie in \[0, 4\), got 4 in row 1; number the classes",
        ),
        (SparseCategoricalCrossEntropy(), _with(LABELS, -1), r"got -1 in row 1"),
        (SparseCategoricalCrossEntropy(), LABELS.astype(float), "must be integers, got float64"),
        (SparseCategoricalCrossEntropy(), HALF, "use CategoricalCrossEntropy"),
        (MeanSquaredError(), Z[:, :2], r"\(3, 2\) do not match outputs of shape \(3, 4\)"),
        (MeanSquaredError(), Z * 1j, "real numbers"),
    ],
)
def test_targets_that_are_refused(loss: Loss, t: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss.check_targets(t, 4)


def test_targets_are_read_where_they_lie(on: On) -> None:
    for loss, t, message in (
        (BinaryCrossEntropy(), _with(Z, 2.0), r"got 2\.0 in row 1"),
        (SparseCategoricalCrossEntropy(), _with(LABELS, 9), "got 9 in row 1"),
        (CategoricalCrossEntropy(), Z, r"got 0\.0 in row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            loss.check_targets(on.array(t), 4)
    SparseCategoricalCrossEntropy().check_targets(on.array(LABELS), 4)


@pytest.mark.parametrize("loss", [cls() for cls in own(Loss).values()], ids=repr)
def test_targets_that_are_fine(loss: Loss) -> None:
    _, t, _ = case(loss)
    before = np.array(t)
    loss.check_targets(t, K)
    loss.check_targets(t.astype("float32") if t.dtype.kind == "f" else t.astype("uint8"), K)
    np.testing.assert_array_equal(t, before)


def test_integer_and_boolean_targets_are_fine() -> None:
    for loss in (BinaryCrossEntropy(), Focal(), Hinge(), Poisson(), MeanSquaredError()):
        loss.check_targets(np.eye(4, dtype=int), 4)
        loss.check_targets(np.eye(4, dtype=bool), 4)
    CategoricalCrossEntropy().check_targets(np.eye(4, dtype=int), 4)
    Hinge().check_targets(2 * np.eye(4, dtype=int) - 1, 4)
    with pytest.raises(TypeError, match="object"):
        MeanSquaredError().check_targets(np.eye(4).astype(object), 4)


@pytest.mark.parametrize(
    ("loss", "t", "message"),
    [
        (SparseCategoricalCrossEntropy(), _with(LABELS, -100), r"must lie in \[0, 4\), got -100 in row 1"),
        (SparseCategoricalCrossEntropy(from_logits=False), _with(LABELS, 4), "got 4 in row 1"),
        (BinaryCrossEntropy(), _with(Z, 2.0), r"got 2\.0 in row 1; .*numbers give float .*loss='mean_squared_error'"),
        (Focal(), _with(Z, 0.5), r"must be 0 or 1, got 0\.5 in row 1"),
        (SquaredHinge(), _with(Z, 2.0), r"got 2\.0 in row 1"),
        (Poisson(), _with(Z, -1.0), r"got -1\.0 in row 1"),
        (CategoricalCrossEntropy(), _with(HALF, 1.25), r"in \[0, 1\], got 1\.25 in row 1"),
    ],
)
def test_losses_called_directly_read_their_targets(loss: Loss, t: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss.forward(Z + 0.5, t)
    with pytest.raises(ValueError, match=message):
        MLP(4, [Dense(4)]).loss_and_gradient(MLP(4, [Dense(4)]).init(0, "cpu", "float64"), Z, t, loss)
    assert loss.unchecked() == loss
    loss.unchecked().forward(Z + 0.5, t)


@pytest.mark.slow
def test_targets_of_a_direct_call_are_read_where_they_lie(on: On) -> None:
    loss, z, t = SparseCategoricalCrossEntropy(), on.array(Z), on.array(_with(LABELS, -100))
    with pytest.raises(ValueError, match="got -100 in row 1"):
        loss.forward(z, t)
    on.run(lambda z, t: loss.forward(z, t)[0], z, on.array(LABELS))


def test_masked_arrays_are_refused() -> None:
    for z, t, weight in (
        (Z, np.ma.masked_array(Z), None),
        (np.ma.masked_array(Z), Z, None),
        (Z, Z, np.ma.masked_array(np.ones(3))),
    ):
        for loss in (MeanSquaredError(), RootMeanSquaredError()):
            with pytest.raises(TypeError, match="masked array, and masks are not supported; drop or fill"):
                loss.forward(z, t, weight)
