"""What ``fit`` takes: limits, weights of classes, clipping, batches from an iterable, mixed precision; rate finder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import Step
from dlarray.training.mixed_precision import mixed_precision
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 6))
LABELS = np.minimum((X @ rng.normal(size=(6, 3))).argmax(axis=1) + (rng.uniform(size=40) < 0.3), 2)
NUMBERS = np.tanh(X @ rng.normal(size=(6, 2)))
WEIGHTS = rng.uniform(0.5, 2, size=40)
MODEL = dl.mlp(6, 8, 3, activation="tanh")
FEW = {"numpy-float32", "torch-float64"}


def fit(x: Any = X, y: Any = LABELS, model: dl.MLP = MODEL, **options: Any) -> dl.Trained:
    options = {"epochs": 3, "batch_size": 16, "device": "cpu", "metrics": [], "progress": False} | options
    return dl.fit(model, x, y, **options)


def check_same(a: dl.Trained, b: dl.Trained) -> None:
    for p, q in zip(a.theta, b.theta, strict=True):
        np.testing.assert_array_equal(dl.to_numpy(p), dl.to_numpy(q))
    assert a.history == b.history


# Limits


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (3, 1), (5, 2), (9, 3), (99, 3)])
def test_a_limit_of_steps(steps: int, epochs: int) -> None:
    whole, part = fit(metrics=None), fit(metrics=None, max_steps=steps)
    assert part.history.steps == whole.history.steps[:steps]
    assert len(part.history.epochs) == epochs
    assert part.history.stopped == ("" if steps >= 9 else f"max_steps: {steps} steps are done")
    last = whole.history.steps[3 * (epochs - 1) : steps]
    assert part.history["loss"][-1] == pytest.approx(np.average(last, weights=[16, 16, 8][: len(last)]))
    assert part.history["accuracy"][-1] == np.float32(np.mean(part.classify(X) == LABELS))


# Weights of classes


BINARY = (LABELS == 1).astype(int)
CASES: dict[str, Any] = {
    "labels": (MODEL, LABELS, None, LABELS),
    "one-hot": (MODEL, np.eye(3)[LABELS], "categorical_cross_entropy", LABELS),
    "one output": (dl.mlp(6, 8, 1), BINARY, None, BINARY),
    "hinge": (dl.mlp(6, 8, 1), 2 * BINARY - 1, "hinge", BINARY),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_class_weight_is_a_weight_of_each_example(case: str, weighted: bool, on: On) -> None:
    if on.name not in FEW:
        pytest.skip("a few devices are enough: the weights are made on the host")
    model, y, loss, labels = CASES[case]
    c = np.asarray([0.5, 2.0, 3.0])[: labels.max() + 1]
    own = WEIGHTS if weighted else np.ones(40)
    where = {"model": model, "loss": loss, "device": on.device, "dtype": on.dtype}
    expected = fit(y=y, weight=on.host(own) * on.host(c[labels]), **where)
    for given in (c.tolist(), dict(enumerate(c.tolist())), c):
        check_same(fit(y=y, weight=WEIGHTS if weighted else None, class_weight=given, **where), expected)


def test_balanced_is_scikit_learn_s() -> None:
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    balanced = compute("balanced", classes=np.arange(3), y=LABELS)
    check_same(fit(class_weight="balanced"), fit(class_weight=balanced))
    with_four = dl.mlp(6, 8, 4)  # a class that has no example changes nothing
    check_same(fit(model=with_four, class_weight="balanced"), fit(model=with_four, class_weight=[*balanced, 1.0]))


def test_classes_that_a_mapping_leaves_out_weigh_one_and_validation_is_not_weighted() -> None:
    check_same(fit(class_weight={1: 2.0}), fit(class_weight=[1.0, 2.0, 1.0]))
    data = (X[:10], LABELS[:10])
    trained = fit(class_weight=[9.0, 1.0, 0.1], validation=data)
    assert trained.history["validation_loss"][-1] == pytest.approx(trained.evaluate(*data)["loss"])
    part = fit(class_weight=[9.0, 1.0, 0.1], validation=0.25)
    plain = fit(validation=0.25, epochs=1, theta=part.theta, optimizer=dl.GradientDescent(1e-12))
    assert part.history["validation_loss"][-1] == pytest.approx(plain.history["validation_loss"][-1], rel=1e-5)


# Clipping


def test_clipping_is_an_optimizer_around_the_optimizer() -> None:
    sgd = dl.GradientDescent(0.5)
    check_same(fit(optimizer=sgd, clip_norm=0.1), fit(optimizer=dl.Clipped(sgd, dl.clip_by_global_norm, 0.1)))
    check_same(fit(optimizer=sgd, clip_value=0.01), fit(optimizer=dl.Clipped(sgd, dl.clip_by_value, 0.01)))
    assert fit(optimizer=sgd, clip_norm=0.1).history != fit(optimizer=sgd).history


# Batches from an iterable


def batches(weight: Any = None, x: Any = X, y: Any = LABELS) -> list[Any]:
    parts = (x, y) if weight is None else (x, y, weight)
    return [tuple(part[i : i + 16] for part in parts) for i in range(0, 40, 16)]


class Loader:
    """What can be gone through again, batches as lists, like a data loader's."""

    def __iter__(self) -> Iterator[Any]:
        return map(list, batches())


def test_batches_are_the_arrays_in_parts(on: On) -> None:
    if on.name not in FEW | {"jax-float32"}:
        pytest.skip("a few devices are enough for the loop, which is the same code on all")
    where = {"device": on.device, "dtype": on.dtype}
    expected = fit(shuffle=False, **where)
    for given in (batches(), Loader(), lambda: iter(batches())) if not on.jit else (batches(),):
        check_same(fit(given, None, **where), expected)


def test_batches_bring_their_weights_and_may_have_any_size() -> None:
    check_same(fit(batches(WEIGHTS), None), fit(weight=WEIGHTS, shuffle=False))
    check_same(fit(batches(), None, class_weight=[1, 2, 3]), fit(class_weight=[1, 2, 3], shuffle=False))
    trained = fit([(X[:1], LABELS[:1]), (X[1:], LABELS[1:])], None, validation=(X, LABELS), metrics=None)
    assert trained.history.names == ["loss", "validation_loss", "validation_accuracy"]
    assert len(trained.history.steps) == 6


def test_a_generator_is_good_for_one_epoch() -> None:
    check_same(fit(iter(batches()), None, epochs=1), fit(epochs=1, shuffle=False))
    with pytest.raises(ValueError, match=r"used only once, and epochs is 3.*give a function"):
        fit(iter(batches()), None)
    trained = fit(iter(batches() * 2), None, epochs=3, steps_per_epoch=2)
    assert trained.history.steps == fit(shuffle=False, epochs=2).history.steps
    with pytest.raises(ValueError, match=r"x is exhausted after 3 batches, and more are needed"):
        fit(iter(batches()), None, epochs=2, steps_per_epoch=2)


def test_an_endless_iterable_has_epochs_of_so_many_steps() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield from batches()

    trained = fit(endless, None, epochs=3, steps_per_epoch=3)
    check_same(trained, fit(shuffle=False))
    around = fit(batches(), None, epochs=3, steps_per_epoch=2)
    assert around.history.steps == fit(shuffle=False, epochs=2).history.steps
    assert len(fit(endless, None, max_steps=7).history.steps) == 7


def test_bad_batches_are_refused_as_arrays_are() -> None:
    bad = X.copy()
    bad[20, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite, got nan in row 4, column 1"):
        fit(batches(x=bad), None)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got 7"):
        fit(batches(y=np.where(np.arange(40) == 39, 7, LABELS)), None)
    with pytest.raises(TypeError, match=r"each batch must be a tuple \(x, y\) or \(x, y, weight\), got a ndarray"):
        fit(lambda: iter([X]), None)


# Mixed precision


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_products_in_half_precision_are_torch_s_autocast(precision: str) -> None:
    """Value and gradient against torch's own derivative of the same roundings."""
    torch = pytest.importorskip("torch")
    half = getattr(torch, precision)
    device = dl.device.resolve("torch")
    model = dl.MLP(6, [dl.Dense(8), "relu", dl.Residual([dl.Dense(8), "relu"]), dl.Dense(2)])
    loss = dl.MeanSquaredError()
    step = mixed_precision(Step(model, loss, dl.Adam()), precision, device, "float32")
    theta = model.init(3, device)
    x, t = (torch.tensor(a, dtype=torch.float32) for a in (X, NUMBERS))
    scale = torch.tensor(1024.0) if precision == "float16" else None
    state = step.init(theta, (), 0, device)
    value, g, _ = step.gradient(state, (x, t, None), scale)

    p = {name: w.clone().requires_grad_() for name, w in model.parameters(theta).items()}

    def dense(a: Any, name: str) -> Any:
        return (a.to(half) @ p[f"{name}.W"].to(half)).to(torch.float32) + p[f"{name}.b"]

    a = dense(x, "0").relu()
    z = dense(a + dense(a, "2.0").relu(), "3")
    expected = ((z - t) ** 2).mean()
    (expected * (1.0 if scale is None else scale)).backward()
    torch.testing.assert_close(value, expected.detach(), rtol=1e-6, atol=0)
    for name, own in model.parameters(g).items():
        torch.testing.assert_close(own, p[name].grad, rtol=1e-6, atol=0, msg=lambda m, name=name: f"{name}: {m}")
    exact = model.loss_and_gradient(theta, x, t, loss)[0]
    assert value != exact  # something was rounded
    assert value == pytest.approx(float(exact), rel=1e-2)


@pytest.mark.parametrize("device", ["torch", "jax", "cuda", "torch:cuda:0", "jax:cuda:0"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_training_in_half_precision_goes_where_float32_does(device: str, precision: str) -> None:
    try:
        able = dl.resolve(device).backend.half_types
    except dl.DeviceError as error:
        pytest.skip(str(error).partition("\n")[0])
    if precision not in able:
        pytest.skip(f"{device} multiplies in {', '.join(able)} alone")
    where = {"device": device, "epochs": 10, "optimizer": dl.Adam(0.02)}
    half, whole = fit(precision=precision, **where), fit(**where)
    np.testing.assert_allclose(half.history["loss"], whole.history["loss"], rtol=0.02)
    assert half.history != whole.history
    assert all(str(v.dtype).endswith("float32") for v in half.theta)
    assert half.model == MODEL


def test_the_scale_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halved where a gradient overflows, and that step is not taken; doubled after two thousand good ones."""
    torch = pytest.importorskip("torch")
    device = dl.device.resolve("torch")
    loss = dl.MeanSquaredError()
    step = mixed_precision(Step(MODEL, loss, dl.Adam(0.1)), "float16", device, "float32")
    batch = (torch.tensor(X, dtype=torch.float32), torch.ones(40, 3), None)
    state: Any = step.init(MODEL.init(0, device), (), 0, device)
    state["scaling"]["scale"] = torch.tensor(2.0**40)
    before = [v.clone() for v in state["theta"]], {k: v.clone() for k, v in state["optimizer"][0].items()}
    state, _ = step(state, batch)
    assert float(state["scaling"]["scale"]) == 2.0**39
    assert all(torch.equal(a, b) for a, b in zip(state["theta"], before[0], strict=True))
    assert all(torch.equal(v, before[1][k]) for k, v in state["optimizer"][0].items())
    state["scaling"] = {"scale": torch.tensor(1024.0), "finite_steps": torch.tensor(1998, dtype=torch.int32)}
    state, _ = step(state, batch)
    assert (float(state["scaling"]["scale"]), int(state["scaling"]["finite_steps"])) == (1024.0, 1999)
    state, _ = step(state, batch)
    assert (float(state["scaling"]["scale"]), int(state["scaling"]["finite_steps"])) == (2048.0, 0)
    assert not torch.equal(state["theta"][0], before[0][0])


def test_small_gradients_survive_float16_by_the_scale() -> None:
    torch = pytest.importorskip("torch")
    device = dl.device.resolve("torch")
    step = mixed_precision(Step(MODEL, dl.MeanSquaredError(), dl.Adam()), "float16", device, "float32")
    state = step.init(MODEL.init(0, device), (), 0, device)
    x = torch.tensor(X, dtype=torch.float32)
    t = step.model.forward(state["theta"], x)[0] + 1e-6
    lost, kept = (
        MODEL.parameters(step.gradient(state, (x, t, None), s)[1])["2.W"] for s in (None, torch.tensor(2.0**16))
    )
    assert not bool(lost.any())
    assert bool(kept.any())


# The learning-rate finder


def test_the_finder_walks_with_growing_rates_and_changes_nothing() -> None:
    model, loss = dl.mlp(6, 4, 2, activation="tanh"), dl.MeanSquaredError()
    theta = model.init(0, "cpu", "float64")
    before = theta[0].copy()
    options = {"optimizer": dl.GradientDescent(), "batch_size": None, "dtype": "float64", "device": "cpu"}
    found = dl.find_learning_rate(model, X, NUMBERS, lowest=1e-3, highest=1e3, steps=25, theta=theta, **options)
    np.testing.assert_array_equal(theta[0], before)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-3, 1e3, 25), rtol=1e-12)
    losses: list[float] = []
    for rate in np.geomspace(1e-3, 1e3, 25):
        value, (g,) = model.loss_and_gradient(theta, X, NUMBERS, loss)
        losses.append(float(value))
        theta = (theta[0] - rate * g,)
    np.testing.assert_allclose(found.losses[:15], losses[:15], rtol=1e-9)
    smooth = [
        sum(0.1 * 0.9 ** (i - j) * found.losses[j] for j in range(i + 1)) / (1 - 0.9 ** (i + 1)) for i in range(25)
    ]
    np.testing.assert_allclose(found.smoothed, smooth, rtol=1e-12)
    assert 1e-3 < found.suggestion < 1e3
    inside = dl.Clipped(dl.GradientDescent(), dl.clip_by_global_norm, 1e9)
    again = dl.find_learning_rate(
        model, X, NUMBERS, lowest=1e-3, highest=1e3, steps=25, **(options | {"optimizer": inside})
    )
    np.testing.assert_allclose(again.losses[:10], found.losses[:10], rtol=1e-9)


def test_the_suggestion_is_where_the_loss_falls_most_steeply() -> None:
    rates = np.geomspace(1e-5, 1, 101)
    losses = 1 / (1 + np.exp(4 * (np.log10(rates) + 3))) + 1  # steepest at 1e-3
    found = dl.LRFinderResult(rates, losses, smoothing=0.0)
    assert found.suggestion == pytest.approx(1e-3, rel=0.06)
    assert found.end == 101
    blown = replace(found, losses=np.where(np.arange(101) < 80, losses, 100.0))
    assert blown.end == 80
    assert blown.suggestion == found.suggestion
    with pytest.raises(ValueError, match="the loss falls at no rate between 1e-05 and 1"):
        _ = dl.LRFinderResult(rates, np.linspace(1, 2, 101)).suggestion
    with pytest.raises(ValueError, match="the loss falls at no rate"):
        _ = dl.LRFinderResult(rates, np.full(101, np.nan)).suggestion


def test_the_finder_on_a_device(on: On) -> None:
    if on.name not in {"torch-float32", "jax-float32"}:
        pytest.skip("NumPy has it above")
    here, there = (
        dl.find_learning_rate(MODEL, X, LABELS, steps=12, lowest=1e-4, highest=1e-2, device=d)
        for d in ("cpu", on.device)
    )
    np.testing.assert_allclose(here.losses, there.losses, rtol=1e-4)
