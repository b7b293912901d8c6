"""Training: the same losses on every device, the sizes of a batch, weights, accumulation, validation, divergence."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.random import Bits
from dlarray.training import Step
from dlarray.training.data import Examples
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 6))
LABELS = (X @ rng.normal(size=(6, 3))).argmax(axis=1)
NUMBERS = np.tanh(X @ rng.normal(size=(6, 2)))
WEIGHTS = rng.uniform(0.5, 2, size=64)

CASES = {
    "tanh, Adam": (dl.mlp(6, 16, 3, activation="tanh"), dl.Adam(1e-2), "sparse_categorical_cross_entropy", LABELS),
    "dropout, AdamW": (
        dl.mlp(6, 16, 3, activation="gelu", dropout=0.2),
        dl.AdamW(1e-2, weight_decay=0.1),
        None,
        LABELS,
    ),
    "batch norm, Nesterov": (
        dl.MLP(6, [dl.Dense(16), dl.BatchNorm(), "swish", dl.Residual([dl.Dense(16), "tanh"]), dl.Dense(2)]),
        dl.Nesterov(dl.CosineDecay(1e-2, 100)),
        "huber",
        NUMBERS,
    ),
    "layer norm, clipped RMSprop": (
        dl.MLP(6, [dl.Dense(16), dl.LayerNorm(), "mish", dl.Dense(16), dl.RMSNorm(), "softplus", dl.Dense(2)]),
        dl.Clipped(dl.RMSprop(1e-3, momentum=0.5), dl.clip_by_global_norm, 0.5),
        "log_cosh",
        NUMBERS,
    ),
}


def _hundred_steps(case: str, device: str, dtype: str, compile: bool | None = None) -> dl.Trained:  # noqa: A002
    model, optimizer, loss, y = CASES[case]
    return dl.fit(
        model,
        X,
        y,
        loss=loss,
        optimizer=optimizer,
        epochs=25,
        batch_size=16,
        device=device,
        dtype=dtype,
        compile=compile,
        metrics=[],
        progress=False,
    )


@pytest.mark.parametrize("case", CASES)
def test_a_hundred_steps_have_the_losses_of_numpy(case: str, on: On) -> None:
    """Loss by loss. Rounding errors grow during training: by 1e3 at most in these smooth networks, measured."""
    found = np.asarray(_hundred_steps(case, on.device, on.dtype).history.steps)
    expected = np.asarray(_hundred_steps(case, "cpu", "float64", compile=False).history.steps)
    assert len(found) == 100
    assert found[-1] < 0.8 * found[0]
    first, all_along = (1e-13, 1e-11) if on.dtype == "float64" else (1e-6, 2e-4)
    np.testing.assert_allclose(found[0], expected[0], rtol=first)
    np.testing.assert_allclose(found, expected, rtol=all_along)


def test_float32_runs_of_two_libraries_differ_by_rounding_alone(on: On) -> None:
    if on.dtype != "float32":
        pytest.skip("float64 devices have it in the test above")
    found = _hundred_steps("tanh, Adam", on.device, "float32").history.steps
    np.testing.assert_allclose(found, _hundred_steps("tanh, Adam", "cpu", "float32").history.steps, rtol=1e-5)


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (64, 1), (1, 64), (10, 7), (32, 2)])
def test_batch_mini_batch_and_stochastic_descent(batch_size: int | None, steps: int) -> None:
    trained = dl.fit(dl.mlp(6, 4, 3), X, LABELS, epochs=2, batch_size=batch_size, device="cpu", progress=False)
    assert len(trained.history.steps) == 2 * steps
    assert len(trained.history.epochs) == 2


def test_batch_descent_is_the_formula() -> None:
    """θ - η dL/dθ of all examples, by hand."""
    model, loss = dl.mlp(6, 4, 2, activation="tanh"), dl.MeanSquaredError()
    theta = model.init(0, "cpu", "float64")
    trained = dl.fit(
        model,
        X,
        NUMBERS,
        optimizer=dl.GradientDescent(0.1),
        epochs=3,
        batch_size=None,
        device="cpu",
        dtype="float64",
        progress=False,
    )
    for _ in range(3):
        _, (g,) = model.loss_and_gradient(theta, X, NUMBERS, loss)
        theta = (theta[0] - 0.1 * g,)
    np.testing.assert_allclose(trained.theta[0], theta[0], rtol=1e-13, atol=1e-15)


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    data = Examples(X, LABELS)
    bits = Bits(0, "order 0").permutation(64), Bits(0, "order 1").permutation(64)
    assert not np.array_equal(*bits)
    for order in (*bits, None):
        seen = np.concatenate([x for x, _, _ in data.batches(10, order)])
        np.testing.assert_array_equal(np.sort(seen[:, 0]), np.sort(X[:, 0]))
    kept = dl.fit(dl.mlp(6, 3), X, LABELS, epochs=1, batch_size=16, shuffle=False, device="cpu", progress=False)
    first = dl.mlp(6, 3).loss_and_gradient(
        dl.mlp(6, 3).init(0, "cpu"), X[:16].astype("f4"), LABELS[:16].astype("i4"), dl.SparseCategoricalCrossEntropy()
    )[0]
    np.testing.assert_allclose(kept.history.steps[0], first, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_accumulating_gradients_is_the_same_step(reduction: str, weighted: bool, on: On) -> None:
    loss = dl.MeanSquaredError(reduction=reduction)
    runs = [
        dl.fit(
            dl.mlp(6, 8, 2, activation="tanh"),
            X,
            NUMBERS,
            loss=loss,
            optimizer=dl.GradientDescent(1e-3),
            weight=WEIGHTS if weighted else None,
            epochs=2,
            batch_size=32,
            accumulate=parts,
            device=on.device,
            dtype=on.dtype,
            metrics=[],
            progress=False,
        )
        for parts in (1, 5)
    ]
    rtol = 1e-12 if on.dtype == "float64" else 1e-5
    np.testing.assert_allclose(runs[1].history.steps, runs[0].history.steps, rtol=rtol)
    np.testing.assert_allclose(dl.to_numpy(runs[1].outputs(X)), dl.to_numpy(runs[0].outputs(X)), rtol=rtol, atol=rtol)


def test_an_example_of_weight_two_is_two_examples() -> None:
    doubled = np.concatenate([X, X[:10]]), np.concatenate([NUMBERS, NUMBERS[:10]])
    weight = np.where(np.arange(64) < 10, 2.0, 1.0)
    kw = {
        "optimizer": dl.GradientDescent(0.1),
        "epochs": 5,
        "batch_size": None,
        "device": "cpu",
        "dtype": "float64",
        "metrics": [],
        "progress": False,
    }
    a = dl.fit(dl.mlp(6, 8, 2), X, NUMBERS, weight=weight, **kw)
    b = dl.fit(dl.mlp(6, 8, 2), *doubled, **kw)
    np.testing.assert_allclose(a.history.steps, b.history.steps, rtol=1e-12)


def test_validation_by_fraction_and_by_examples() -> None:
    model = dl.mlp(6, 16, 3)
    part = dl.fit(model, X, LABELS, validation=0.25, epochs=3, batch_size=16, device="cpu", progress=False)
    assert part.history.names == ["loss", "validation_loss", "validation_accuracy"]
    assert len(part.history.steps) == 3 * 3  # 48 examples are left
    given = dl.fit(model, X[:48], LABELS[:48], validation=(X[48:], LABELS[48:]), epochs=3, device="cpu", progress=False)
    values = given.evaluate(X[48:], LABELS[48:])
    assert given.history["validation_loss"][-1] == pytest.approx(values["loss"], rel=1e-6)
    assert given.history["validation_accuracy"][-1] == values["accuracy"]
    assert values["accuracy"] == np.mean(given.classify(X[48:]) == LABELS[48:])


def test_predictions_go_through_the_link_and_come_back_the_way_they_went_in(on: On) -> None:
    trained = dl.fit(dl.mlp(6, 8, 3), X, LABELS, epochs=1, device=on.device, dtype=on.dtype, progress=False)
    p = trained.predict(X)
    assert isinstance(p, np.ndarray)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    on_device = trained.predict(on.array(X), batch_size=10)
    assert dl.device_of(on_device).backend is on.target.backend
    np.testing.assert_allclose(on.numpy(on_device), p, rtol=1e-5)
    np.testing.assert_array_equal(trained.classify(X), p.argmax(axis=1))
    np.testing.assert_array_equal(trained.outputs(X).argmax(axis=1), p.argmax(axis=1))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge", "focal", dl.BinaryCrossEntropy(from_logits=False)])
def test_two_classes_by_one_output(loss: str | dl.Loss) -> None:
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    end = ["sigmoid"] if isinstance(loss, dl.BinaryCrossEntropy) else []
    model = dl.MLP(6, [dl.Dense(8), "tanh", dl.Dense(1), *end])
    trained = dl.fit(model, X, y, loss=loss, optimizer=dl.Adam(3e-2), epochs=40, device="cpu", progress=False)
    assert trained.history["accuracy"][-1] == np.mean(trained.classify(X) == y) > 0.95
    if loss == "hinge":
        signed = dl.fit(
            model, X, 2 * y - 1, loss=loss, optimizer=dl.Adam(3e-2), epochs=40, device="cpu", progress=False
        )
        assert signed.history.steps == trained.history.steps
        assert signed.history["accuracy"] == trained.history["accuracy"]


def test_answers_to_several_questions_at_once() -> None:
    y = (X[:, :2] > 0).astype(float)
    trained = dl.fit(
        dl.mlp(6, 16, 2),
        X,
        y,
        loss="binary_cross_entropy",
        optimizer=dl.Adam(3e-2),
        epochs=40,
        device="cpu",
        progress=False,
    )
    assert trained.history.names == ["loss"]  # accuracy would ask for one class
    assert np.mean(trained.classify(X) == y) > 0.95


@pytest.mark.slow
def test_embedding_learns_categories(on: On) -> None:
    categories = np.random.default_rng(1).integers(0, 5, size=(60, 2))
    y = (categories.sum(axis=1) % 2).astype(np.int64)
    model = dl.MLP(2, [dl.Embedding(5, 4), dl.Dense(16), "relu", dl.Dense(2)])
    trained = dl.fit(
        model, categories, y, optimizer=dl.Adam(2e-2), epochs=40, device=on.device, dtype=on.dtype, progress=False
    )
    assert trained.history["accuracy"][-1] > 0.95


def test_training_begins_at_a_given_theta_and_does_not_change_it() -> None:
    model = dl.mlp(6, 8, 2)
    first = dl.fit(model, X, NUMBERS, epochs=2, device="cpu", progress=False)
    before = first.theta[0].copy()
    more = dl.fit(model, X, NUMBERS, epochs=2, theta=first.theta, device="cpu", progress=False)
    np.testing.assert_array_equal(first.theta[0], before)
    assert more.history["loss"][0] < first.history["loss"][0]


def test_training_continues_with_the_given_buffers_and_does_not_change_them() -> None:
    model = dl.MLP(6, [dl.Dense(8), dl.BatchNorm(momentum=1e-9), "relu", dl.Dense(2)])
    buffers = model.buffer_layout.join({"1.mean": np.full(8, 3.0), "1.variance": np.full(8, 2.0)})
    more = dl.fit(model, X, NUMBERS, buffers=buffers, epochs=1, device="cpu", progress=False)
    named = model.named_buffers(more.buffers)
    np.testing.assert_allclose(named["1.mean"], 3.0, rtol=1e-6)
    np.testing.assert_allclose(named["1.variance"], 2.0, rtol=1e-6)
    np.testing.assert_array_equal(model.named_buffers(buffers)["1.mean"], 3.0)
    with pytest.raises(ValueError, match="buffers must be finite, got a number that is infinite or NaN"):
        dl.fit(model, X, NUMBERS, buffers=(np.full_like(buffers[0], np.inf),), epochs=1, progress=False)


def test_two_runs_are_bit_for_bit_the_same() -> None:
    runs = [_hundred_steps("dropout, AdamW", "cpu", "float32") for _ in range(2)]
    np.testing.assert_array_equal(runs[0].theta[0], runs[1].theta[0])
    assert runs[0].history == runs[1].history


def test_divergence_stops_with_the_step_and_the_last_good_weights() -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(dl.DivergedError, match=r"step \d+: the weights have diverged") as caught,
    ):
        dl.fit(
            dl.mlp(6, 32, 2),
            10 * X,
            NUMBERS,
            optimizer=dl.GradientDescent(10.0),
            epochs=50,
            batch_size=16,
            device="cpu",
            progress=False,
        )
    good = caught.value.trained
    assert np.all(np.isfinite(good.theta[0]))
    assert len(good.history.steps) < caught.value.step <= len(good.history.steps) + 4


def test_the_step_is_a_function_of_arrays_alone() -> None:
    """What every compiler relies on: the state that comes out is a nest of the same shapes and types."""
    model, loss = dl.mlp(6, 4, 2), dl.MeanSquaredError()
    step = Step(model, loss, dl.Adam())
    cpu = dl.current_device()
    state = step.init(model.init(0, cpu), model.init_buffers(cpu), 0, cpu)
    old = {name: [a.shape for a in state[name]] for name in ("theta", "buffers")}
    after, value = step(state, (X.astype("f4"), NUMBERS.astype("f4"), None))
    assert {name: [a.shape for a in after[name]] for name in ("theta", "buffers")} == old
    assert int(after["steps"]) == 1
    assert value.shape == ()


@pytest.mark.parametrize(("progress", "drawn"), [(True, True), (None, False), (False, False)])
def test_the_bar_is_drawn_where_it_is_asked_for(
    progress: bool | None, drawn: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    dl.fit(dl.MLP(1, [dl.Dense(1)]), np.ones((4, 1)), np.ones((4, 1)), epochs=1, batch_size=4, progress=progress)
    assert ("epoch 1/1: |" in capsys.readouterr().err) == drawn
