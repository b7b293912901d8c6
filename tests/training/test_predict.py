"""What a trained model is asked, on every device: the same answers at the first call and at the hundredth."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.layers import BatchNorm, Dense, Dropout, LayerNorm
from dlarray.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.model import MLP
from dlarray.training import predictor as answers_module
from dlarray.training import trained as trained_module
from dlarray.training.predictor import EAGER_CALLS, MAX_SHAPES
from tests.support.matrix import On
from tests.support.models import trained_model
from tests.support.threads import at_once

QUESTIONS = ["outputs", "predict", "classify"]
CASES: dict[str, tuple[MLP, Loss]] = {
    "classes": (dl.mlp(6, 8, 3, dropout=0.5), SparseCategoricalCrossEntropy()),
    "norms": (
        MLP(6, [Dense(8), BatchNorm(), "tanh", LayerNorm(), Dropout(0.3), Dense(4)]),
        SparseCategoricalCrossEntropy(),
    ),
    "a kernel first": (MLP(6, [BatchNorm(), Dense(5), "gelu", Dense(2)]), SparseCategoricalCrossEntropy()),
    "one output": (dl.mlp(6, 8, 1, activation="sigmoid"), BinaryCrossEntropy()),
}


def inputs(n: int = 9, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 6)).astype(dtype)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes are compiled at their third call."""
    monkeypatch.setattr(answers_module, "EAGER_CALLS", 2)


def asked(trained: dl.Trained, question: str, x: Any, **options: Any) -> Any:
    return getattr(trained, question)(x, **options)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("case", CASES)
def test_the_answers_stay_the_same_as_calls_go_on(on: On, case: str, question: str):
    model, loss = CASES[case]
    trained = trained_model(model, loss, on.target, on.dtype)
    for seed in (0, 1):
        host = on.host(inputs(seed=seed))
        z = model.predict(trained.theta, on.array(host), trained.buffers)
        p = on.numpy(loss.output_activation.predict(z))
        if question == "classify":
            expected: Any = np.argmax(p, axis=1) if p.shape[1] > 1 else (p[:, 0] > 0.5).astype(np.int32)
        else:
            expected = on.numpy(z) if question == "outputs" else p
        for _ in range(5):
            y = asked(trained, question, on.array(host))
            if question == "classify":
                np.testing.assert_array_equal(on.numpy(y), expected)
            else:
                on.close(y, expected)
            found = asked(trained, question, host)
            assert isinstance(found, np.ndarray)
            np.testing.assert_allclose(found, expected, rtol=4 * on.rtol, atol=4 * on.rtol)


@pytest.mark.usefixtures("soon")
def test_neither_weights_nor_inputs_are_consumed(on: On):
    trained = trained_model(*CASES["norms"], on.target, on.dtype)
    before = [on.numpy(v).copy() for v in (*trained.theta, *trained.buffers)]
    x = on.array(inputs())
    if on.device == "cpu":
        for array in (x, *trained.theta, *trained.buffers):
            array.flags.writeable = False
    for _ in range(4):
        y = trained.predict(x)
    if on.device == "cpu":
        y[...] = 0  # the caller's own
    for old, now in zip(before, (*trained.theta, *trained.buffers), strict=True):
        np.testing.assert_array_equal(on.numpy(now), old)
    np.testing.assert_array_equal(on.numpy(x), on.host(inputs()))


def warm(case: str = "norms", n: int = 9, dtype: str = "float32", question: str = "predict") -> dl.Trained:
    """A model whose answers to n rows are compiled."""
    trained = trained_model(*CASES[case], dtype=dtype)
    for _ in range(EAGER_CALLS + 2):
        asked(trained, question, inputs(n, dtype=dtype))
    programs = getattr(vars(trained)["_predictor"], question).fast.programs
    assert (n, 6) in {shape for _, shape, _ in programs}
    assert None not in programs.values()
    return trained


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "given",
    [
        lambda x: x.astype(np.float64),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1][::-1],
        lambda x: np.broadcast_to(x, x.shape),
        lambda x: x.astype(">f4"),
        lambda x: x.view(np.memmap),
    ],
    ids=["float64", "by columns", "sliced", "backwards", "read-only", "swapped", "memmap"],
)
def test_a_compiled_answer_to_inputs_of_any_make(given: Any, question: str):
    trained, x = warm(question=question), inputs(dtype="float32")
    expected, found = asked(trained, question, x), asked(trained, question, given(x))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_whole_numbers_are_cast():
    trained = warm()
    np.testing.assert_array_equal(trained.predict(np.ones((9, 6), int)), trained.predict(np.ones((9, 6), np.float32)))


def test_numbers_written_into_theta_count():
    trained, x = warm(dtype="float64"), inputs()
    trained.theta[0][...] *= 2
    fresh = dl.Trained(trained.model, trained.theta, trained.buffers, trained.loss, trained.device, "float64")
    np.testing.assert_allclose(trained.predict(x), fresh.predict(x), rtol=1e-12)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_hold_no_machine_code_and_answer_alike(way: Any):
    trained, x = warm(dtype="float64"), inputs()
    expected = trained.predict(x)
    other = way(trained)
    assert "_predictor" not in vars(other)
    for _ in range(EAGER_CALLS + 2):
        np.testing.assert_allclose(other.predict(x), expected, rtol=1e-12)
    assert len(pickle.dumps(trained)) < 10_000


def test_another_point_of_the_same_model_shares_what_is_compiled():
    trained, x = warm(dtype="float64"), inputs()
    theta = tuple(-v for v in trained.theta)
    moved = trained.at(theta, trained.buffers)
    fresh = dl.Trained(trained.model, theta, trained.buffers, trained.loss, trained.device, "float64")
    expected = trained.predict(x)
    for _ in range(3):
        np.testing.assert_allclose(moved.predict(x), fresh.predict(x), rtol=1e-12)
        np.testing.assert_array_equal(trained.predict(x), expected)
    assert vars(moved)["_predictor"] is vars(trained)["_predictor"]


# Rows


def test_many_rows_in_parts_of_any_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trained_module, "CHUNK_BYTES", 7 * 6 * 8)
    monkeypatch.setattr(answers_module, "EAGER_CALLS", 2)
    trained = trained_model(*CASES["norms"], dtype="float64")
    x = inputs(45)
    expected = trained.model.predict(trained.theta, x, trained.buffers)
    for batch_size in (4096, 45, 44, 7, 6, 1):
        for _ in range(4):
            np.testing.assert_allclose(trained.outputs(x, batch_size=batch_size), expected, rtol=1e-12, atol=1e-14)
    shapes = {shape[0] for _, shape, _ in vars(trained)["_predictor"].outputs.fast.programs}
    assert shapes == {4, 1}


def test_a_server_with_batches_of_any_size():
    trained = trained_model(*CASES["norms"], dtype="float64")
    x = inputs(MAX_SHAPES + 40)
    expected = trained.model.predict(trained.theta, x, trained.buffers)
    for _ in range(EAGER_CALLS + 1):
        for n in range(1, MAX_SHAPES + 41):
            np.testing.assert_allclose(trained.outputs(x[:n]), expected[:n], rtol=1e-12, atol=1e-14)
    assert len(vars(trained)["_predictor"].outputs.fast.programs) == MAX_SHAPES


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 8, 40])
def test_a_number_that_is_not_finite_is_found_in_any_part(bad: float, row: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trained_module, "CHUNK_BYTES", 7 * 6 * 8)
    trained, x = warm(n=7), inputs(45, dtype="float32")
    x[row, 3] = bad
    with pytest.raises(ValueError, match=f"x must be finite, got {bad} in row {row}, column 3"):
        trained.predict(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 9])
def test_numbers_whose_squares_overflow_are_finite(dtype: str, n: int):
    trained = warm(n=n, dtype=dtype)
    x = inputs(n, dtype=dtype)
    x[0, 0] = 1e30 if dtype == "float32" else 1e200
    for given in (x, np.asfortranarray(x)):
        assert np.all(np.isfinite(trained.predict(given)))


def test_rows_are_refused_as_before_once_it_is_compiled():
    trained = warm()
    for x, kind, words in (
        (inputs(9)[:, :5], ValueError, "takes 6 inputs, got x with 5 features"),
        (inputs(9)[:0], ValueError, "x has no examples"),
        (inputs(9)[0], ValueError, "two axes"),
        (inputs(9).tolist(), TypeError, "x must be an array"),
        (np.ma.masked_array(inputs(9)), TypeError, "masked"),
        (inputs(9).astype(np.float32) + 0j, ValueError, "real numbers"),
    ):
        with pytest.raises(kind, match=words):
            trained.predict(x)
    for size in (0, -1):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            trained.predict(inputs(9), batch_size=size)


# Threads, and training


def test_threads_ask_at_once():
    trained = trained_model(*CASES["norms"])
    xs = [inputs(n, seed=n, dtype="float32") for n in (1, 9, 9, 300, 300, 300)]
    expected = [
        trained.loss.output_activation.predict(trained.model.predict(trained.theta, x, trained.buffers)) for x in xs
    ]
    wrong = []

    def work(k: int) -> None:
        for i in range(100):
            x, right = xs[(i + k) % 6], expected[(i + k) % 6]
            if not np.allclose(trained.predict(x), right, rtol=2e-6, atol=1e-7):
                wrong.append((k, i))

    at_once(work)
    assert not wrong
    assert len(vars(trained)["_predictor"].predict.fast.programs) == 3


def test_validation_in_training_is_compiled_once_for_all_epochs():
    x, y = inputs(40), np.arange(40) % 3
    trained = dl.fit(CASES["classes"][0], x, y, epochs=EAGER_CALLS + 4, validation=0.25, batch_size=10, progress=False)
    programs = vars(trained)["_predictor"].outputs.fast.programs
    assert [shape for _, shape, _ in programs] == [(10, 6)]
    assert None not in programs.values()
    values = [epoch["validation_loss"] for epoch in trained.history.epochs]
    assert len(set(values)) == len(values)  # each epoch's own weights
    plain = dl.fit(
        *(CASES["classes"][0], x, y),
        epochs=EAGER_CALLS + 4,
        validation=0.25,
        batch_size=10,
        progress=False,
        compile=False,
    )
    np.testing.assert_allclose(values, [epoch["validation_loss"] for epoch in plain.history.epochs], rtol=1e-4)


def test_models_that_predict_numbers():
    trained = trained_model(dl.mlp(6, 4, 2), MeanSquaredError())
    x = inputs(dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(EAGER_CALLS + 2):
            np.testing.assert_allclose(
                trained.predict(x), trained.model.predict(trained.theta, x), rtol=2e-6, atol=1e-7
            )
