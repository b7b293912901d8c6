"""Every loss on every device; what holds for all of them; and what each refuses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from dlarray.core.registry import by_name, classes
from dlarray.losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Focal,
    Gamma,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Pinball,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossEntropy,
    SquaredHinge,
    Tweedie,
)
from dlarray.losses.terms import FromLogits, SumOfTerms
from dlarray.testing.loss_cases import LOSSES, K, N, case, value_and_slope
from dlarray.testing.own import own
from tests.support.matrix import On

EACH = pytest.mark.parametrize("loss", LOSSES, ids=repr)
EACH_CLASS = pytest.mark.parametrize("loss", [cls() for cls in own(Loss).values()], ids=repr)


@EACH
def test_every_device_gives_the_same_value_and_slope(on: On, loss: Loss) -> None:
    def plain_and_weighted(z: Any, t: Any, weight: Any) -> tuple[Any, ...]:
        return *value_and_slope(loss)(z, t), *value_and_slope(loss)(z, t, weight)

    given = case(loss)
    seen = [x.astype("float64") if x.dtype.kind == "f" else x for x in map(on.host, given)]
    found = on.run(plain_and_weighted, *map(on.array, given))
    for actual, expected in zip(found, plain_and_weighted(*seen), strict=True):
        on.close(actual, expected)


@EACH_CLASS
def test_logits_of_ten_thousand_are_nothing_special(on: On, loss: Loss) -> None:
    z, t, _ = case(loss)
    z = np.sign(z) * 10_000
    if isinstance(loss, (Poisson, Gamma, Tweedie)):  # finite where the mean is not further from the targets than this
        z = np.abs(z) if isinstance(loss, Gamma) else -np.abs(z)
        t = 0 * t if isinstance(loss, Tweedie) else t
    value, dz = on.run(value_and_slope(loss), on.array(z), on.array(t))
    assert np.isfinite(on.numpy(value))
    assert np.all(np.isfinite(on.numpy(dz)))


@EACH
def test_backward_leaves_what_was_saved(loss: Loss) -> None:
    z, t, weight = case(loss)
    _, saved = loss.forward(z, t, weight)
    first = np.array(loss.backward(saved))
    np.testing.assert_array_equal(loss.backward(saved), first)


@EACH
def test_equal_weights_are_no_weights(loss: Loss) -> None:
    z, t, _ = case(loss)
    found, expected = value_and_slope(loss)(z, t, np.ones(N)), value_and_slope(loss)(z, t)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@EACH_CLASS
def test_a_batch_without_weight_teaches_nothing(loss: Loss) -> None:
    z, t, weight = case(loss)
    value, dz = value_and_slope(loss)(z, t, 0 * weight)
    assert value == 0
    np.testing.assert_array_equal(dz, np.zeros_like(z))


@EACH_CLASS
def test_a_weight_of_two_is_the_example_twice(loss: Loss) -> None:
    z, t, _ = case(loss)
    weight = np.array([2.0, 1, 0, 1, 1, 1, 1])
    again = [0, 0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(loss.forward(z, t, weight)[0], loss.forward(z[again], t[again])[0], rtol=1e-13)


@EACH_CLASS
def test_reductions_agree(loss: Loss) -> None:
    if not isinstance(loss, SumOfTerms):
        pytest.skip("it has no reduction")
    z, t, weight = case(loss)
    terms, saved = type(loss)(reduction="none").forward(z, t, weight)
    total, saved_total = type(loss)(reduction="sum").forward(z, t, weight)
    mean, saved_mean = loss.forward(z, t, weight)
    columns = 1 if terms.ndim == 1 else loss.target_columns(K)
    assert terms.shape == ((N,) if terms.ndim == 1 else (N, columns))
    np.testing.assert_allclose(np.sum(terms), total, rtol=1e-13)
    np.testing.assert_allclose(total / np.sum(weight) / columns, mean, rtol=1e-13)
    np.testing.assert_allclose(loss.backward(saved), loss.backward(saved_total), rtol=1e-13)
    np.testing.assert_allclose(loss.backward(saved) / np.sum(weight) / columns, loss.backward(saved_mean))


@EACH_CLASS
def test_logits_are_predictions_through_the_link(loss: Loss) -> None:
    if not isinstance(loss, FromLogits) or isinstance(loss, Poisson):
        pytest.skip("it takes no logits, or (Poisson, as torch) adds an ε to predictions alone")
    z, t, weight = case(loss)
    value, saved = loss.forward(z, t, weight)
    y, saved_y = loss.output_activation.forward(z)
    book = type(loss)(from_logits=False)
    expected, saved_book = book.forward(y, t, weight)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    through = loss.output_activation.backward(saved_y, book.backward(saved_book))
    np.testing.assert_allclose(loss.backward(saved), through, rtol=1e-11, atol=1e-14)
    assert type(book.output_activation).__name__ == "Identity"


def test_links() -> None:
    z = np.array([[0.3, -1.0]])
    np.testing.assert_allclose(BinaryCrossEntropy().output_activation.predict(z), 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(Focal().output_activation.predict(z), 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(Poisson().output_activation.predict(z), np.exp(z))
    for loss in (CategoricalCrossEntropy(), SparseCategoricalCrossEntropy(), KLDivergence()):
        np.testing.assert_allclose(loss.output_activation.predict(z), np.exp(z) / np.sum(np.exp(z)))
    for loss in (Gamma(), Tweedie()):
        np.testing.assert_allclose(loss.output_activation.predict(z), np.exp(z))
    for loss in (MeanSquaredError(), RootMeanSquaredError(), Hinge(), SquaredHinge(), Poisson(from_logits=False)):
        np.testing.assert_array_equal(loss.output_activation.predict(z), z)


def test_sparse_labels_are_one_hot_rows() -> None:
    z, t, weight = case(SparseCategoricalCrossEntropy())
    for options in ({}, {"from_logits": False}, {"label_smoothing": 0.2, "class_weight": (1.0, 0.5, 2.0, 3.0)}):
        z = CategoricalCrossEntropy().output_activation.predict(z) if options.get("from_logits") is False else z
        found = value_and_slope(SparseCategoricalCrossEntropy(**options))(z, t, weight)
        expected = value_and_slope(CategoricalCrossEntropy(**options))(z, np.eye(K)[t], weight)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-16)  # q Σ t - t, where Σ t is 1 to rounding


@pytest.mark.parametrize("loss", [Hinge(), SquaredHinge(), Hinge(class_weight=(1.0, 5.0))], ids=repr)
def test_hinges_take_both_kinds_of_labels(loss: Loss) -> None:
    z, t, _ = case(loss)
    for a, b in zip(value_and_slope(loss)(z, t), value_and_slope(loss)(z, 2 * t - 1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_divergence_of_zeros() -> None:
    loss = KLDivergence(from_logits=False, reduction="none")
    p = np.array([[0.0, 0.5, 0.5], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    q = np.array([[0.0, 0.5, 0.5], [0.0, 0.5, 0.5], [0.25, 0.0, 0.75]])
    value, dq = value_and_slope(loss)(q, p)
    np.testing.assert_allclose(value, [0.0, np.inf, np.log(4)])
    np.testing.assert_allclose(dq, [[0.0, -1, -1], [-np.inf, -1, 0], [-4, 0, 0]])


def test_certain_and_wrong_costs_one_hundred(on: On) -> None:
    y, t = on.array([[0.0, 1.0, 0.0, 1.0]]), on.array([[1.0, 0.0, 0.0, 1.0]])
    for loss in (
        BinaryCrossEntropy(from_logits=False, reduction="none"),
        Focal(from_logits=False, reduction="none", gamma=0.5),
    ):
        value, dz = on.run(value_and_slope(loss), y, t)
        on.close(value, [[100.0, 100.0, 0.0, 0.0]])
        assert np.all(np.isfinite(on.numpy(dz)))
        assert np.all(on.numpy(dz)[0, :2] * [-1, 1] >= 1e11)
    loss = CategoricalCrossEntropy(from_logits=False)
    on.close(on.run(value_and_slope(loss), on.array([[0.0, 1.0]]), on.array([[1.0, 0.0]]))[0], 100.0)


def test_masked_classes_cost_nothing() -> None:
    z = np.array([[1.0, -np.inf, 2.0]])
    for loss in (CategoricalCrossEntropy(), KLDivergence()):
        value, dz = value_and_slope(loss)(z, np.array([[1.0, 0.0, 0.0]]))
        np.testing.assert_allclose(value, np.log1p(np.e), rtol=1e-12)
        assert dz[0, 1] == 0


def test_root_mean_squared_error_at_zero_and_beyond_the_squares(on: On) -> None:
    big = 1e-30 if on.dtype == "float32" else 1e-200
    for factor in (big, 1 / big):
        z, t = on.array([[3 * factor, 4 * factor]]), on.array([[0.0, 0.0]])
        value, dz = on.run(value_and_slope(RootMeanSquaredError()), z, t)
        seen = on.host([3 * factor, 4 * factor]).astype("float64") / factor
        on.close(value / on.array(factor), np.sqrt(np.sum(seen**2) / 2), scale=0)
        on.close(dz, [seen / np.sqrt(2 * np.sum(seen**2))], scale=0)
    value, dz = on.run(value_and_slope(RootMeanSquaredError()), on.array([[1.0, 2.0]]), on.array([[1.0, 2.0]]))
    on.close(value, 0.0)
    on.close(dz, [[0.0, 0.0]])


def test_targets_are_cast_to_the_outputs_type() -> None:
    z = np.ones((2, 3), dtype="float32")
    for t in (np.zeros((2, 3)), np.zeros((2, 3), dtype=int), np.zeros((2, 3), dtype=bool)):
        value, dz = value_and_slope(MeanSquaredError())(z, t, np.ones(2))
        assert value.dtype == dz.dtype == np.float32
    rows = np.eye(3, dtype=int)[:2]
    np.testing.assert_array_equal(
        CategoricalCrossEntropy().forward(z, rows)[0], CategoricalCrossEntropy().forward(z, rows.astype("f4"))[0]
    )


def test_vectors_are_outputs_too() -> None:
    z, t, weight = np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.0, 1.0]), np.array([1.0, 0.0, 3.0])
    np.testing.assert_allclose(MeanSquaredError().forward(z, t, weight)[0], (1 + 27) / 4)


def test_an_empty_batch_has_a_sum_but_no_mean() -> None:
    empty = np.zeros((0, 3))
    assert MeanSquaredError(reduction="sum").forward(empty, empty)[0] == 0
    assert CategoricalCrossEntropy(reduction="none").forward(empty, empty)[0].shape == (0,)
    for loss in (MeanSquaredError(), RootMeanSquaredError(), CategoricalCrossEntropy()):
        with pytest.raises(ValueError, match=r"empty batch, outputs of shape \(0, [13]\), has no mean"):
            loss.forward(empty, empty)


def test_names() -> None:
    words = {
        "l2": MeanSquaredError,
        "MSE": MeanSquaredError,
        "mean squared error": MeanSquaredError,
        "l1": MeanAbsoluteError,
        "mae": MeanAbsoluteError,
        "rmse": RootMeanSquaredError,
        "log-cosh": LogCosh,
        "bce": BinaryCrossEntropy,
        "cross_entropy": CategoricalCrossEntropy,
        "sparse_cross_entropy": SparseCategoricalCrossEntropy,
        "kl": KLDivergence,
        "kl_divergence": KLDivergence,
        "squared_hinge": SquaredHinge,
        "quantile": Pinball,
    }
    assert {word: by_name(Loss, word) for word in words} == words
    assert not {"sum_of_terms", "from_logits", "loss"} & classes(Loss).keys()
    with pytest.raises(ValueError, match="did you mean 'huber'"):
        by_name(Loss, "hubber")


def test_the_numbers_of_a_configuration_are_weak() -> None:
    z, t = np.ones((3, 2), dtype="float32"), np.eye(3, 2, dtype="float32")
    weights = np.array([0.5, 2.0])
    for loss in (
        Huber(np.float64(0.3)),
        BinaryCrossEntropy(np.float64(0.1), class_weight=weights),
        CategoricalCrossEntropy(np.float64(0.1), class_weight=weights),
        Focal(np.float64(2.0), np.float64(0.25)),
        Hinge(class_weight=[1, 2]),
    ):
        value, dz = value_and_slope(loss)(z, t)
        assert value.dtype == dz.dtype == np.float32
        assert hash(loss) == hash(type(loss)(**vars(loss)))


def test_losses_are_values() -> None:
    assert Huber(2.0) == Huber(delta=2.0) != Huber()
    assert len({Huber(), Huber(), Huber(2.0)}) == 2
    with pytest.raises(FrozenInstanceError):
        Huber().delta = 3.0  # type: ignore[misc]
