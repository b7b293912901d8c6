"""LAMB and Muon: each parameter's own norm or singular values, against optax, torch and the written formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.optimizers import LAMB, AdamW, Muon, Optimizer
from tests.support.descents import writable
from tests.support.fits import LABELS, X, fit
from tests.support.matrix import On

rng = np.random.default_rng(8)
WIDE, HIGH, BIAS = rng.normal(size=(4, 7)), rng.normal(size=(6, 3)), np.zeros(7)
TARGET = {"wide": rng.normal(size=(4, 7)), "high": rng.normal(size=(6, 3)), "bias": rng.normal(size=7)}
START = {"wide": WIDE, "high": HIGH, "bias": BIAS}


def path(optimizer: Optimizer, steps: int = 30) -> dict[str, np.ndarray]:
    """Parameters after so many steps down ½ |θ - target|², each in its own shape."""
    names = list(START)
    thetas = tuple(START[name].copy() for name in names)
    masks = tuple(np.full(x.shape, float(x.ndim == 2)) for x in thetas)
    states = optimizer.init_all(thetas, masks)
    for _ in range(steps):
        gs = tuple(theta - TARGET[name] for name, theta in zip(names, thetas, strict=True))
        thetas, states = optimizer.step_all(thetas, gs, states)
    return dict(zip(names, thetas, strict=True))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lamb_is_optax_s(decay: float) -> None:
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    with jax.enable_x64(True):
        theirs = optax.lamb(0.02, weight_decay=decay, mask={"wide": True, "high": True, "bias": False})
        theta = {name: jax.numpy.asarray(x) for name, x in START.items()}
        state = theirs.init(theta)
        for _ in range(30):
            g = {name: theta[name] - TARGET[name] for name in theta}
            updates, state = theirs.update(g, state, theta)
            theta = optax.apply_updates(theta, updates)
    found = path(LAMB(0.02, weight_decay=decay))
    for name, expected in theta.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-12)


def test_lamb_is_the_paper_s_formula() -> None:
    theta, m, v = WIDE.copy(), 0 * WIDE, 0 * WIDE
    ours, optimizer = WIDE.copy(), LAMB(0.05, 0.8, 0.95, 1e-3, weight_decay=0.1)
    state = optimizer.init(ours)
    for t in range(1, 21):
        g = theta - TARGET["wide"]
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        r = m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3) + 0.1 * theta
        theta = theta - 0.05 * np.linalg.norm(theta) / np.linalg.norm(r) * r
        ours, state = optimizer.step(ours, ours - TARGET["wide"], state)
    np.testing.assert_allclose(ours, theta, rtol=1e-12)


def newton_schulz(u: np.ndarray) -> np.ndarray:
    """The same polynomial on the singular values: x ← a x + b x³ + c x⁵."""
    left, s, right = np.linalg.svd(u, full_matrices=False)
    s = s / np.sqrt(np.sum(s**2))
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    return (left * s) @ right


@pytest.mark.parametrize("scaling", ["matched", "original"])
def test_muon_is_the_written_formula(scaling: Any) -> None:
    optimizer = Muon(0.02, scaling=scaling)
    found = path(optimizer)
    for name in ("wide", "high"):
        theta, m = START[name], 0 * START[name]
        inputs, units = theta.shape
        k = 0.2 * np.sqrt(max(theta.shape)) if scaling == "matched" else np.sqrt(max(1, units / inputs))
        for _ in range(30):
            g = theta - TARGET[name]
            m = 0.95 * m + 0.05 * g
            theta = theta * (1 - 0.02 * 0.1) - 0.02 * k * newton_schulz(0.95 * m + 0.05 * g)
        np.testing.assert_allclose(found[name], theta, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(found["bias"], path(AdamW(0.02, weight_decay=0.1))["bias"])


@pytest.mark.parametrize("scaling", ["match_rms_adamw", "original"])
def test_muon_is_torch_s_to_the_digits_of_bfloat16(scaling: str) -> None:
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    ours = path(Muon(0.02, scaling="matched" if scaling == "match_rms_adamw" else "original"))
    for name in ("wide", "high"):
        theta = torch.tensor(START[name].T.copy(), requires_grad=True)  # torch's weights are (units, inputs)
        theirs = torch.optim.Muon([theta], lr=0.02, weight_decay=0.1, adjust_lr_fn=scaling)
        for _ in range(30):
            theta.grad = theta.detach() - torch.tensor(TARGET[name].T)
            theirs.step()
        expected = theta.detach().numpy().T
        moved = np.linalg.norm(expected - START[name])
        assert np.linalg.norm(ours[name] - expected) < 0.02 * moved


def test_muon_s_directions_are_near_one() -> None:
    for shape in ((5, 5), (3, 9), (9, 3)):
        theta = np.zeros(shape)
        after, _ = Muon(1.0, scaling="original", weight_decay=0.0).step(
            theta, rng.normal(size=shape), Muon().init(theta)
        )
        s = np.linalg.svd(after, compute_uv=False) / np.sqrt(max(1, shape[1] / shape[0]))
        assert np.all((s > 0.5) & (s < 1.5))
    still, _ = Muon(1.0).step(np.ones((2, 3)), np.zeros((2, 3)), Muon(1.0).init(np.ones((2, 3))))
    np.testing.assert_allclose(still, 0.9)


@pytest.mark.parametrize("optimizer", [LAMB(0.02, weight_decay=0.1), Muon(0.02)], ids=repr)
def test_a_parameter_moves_alike_on_every_device(optimizer: Optimizer, on: On) -> None:
    def step(theta: Any, g: Any, state: Any) -> Any:
        return optimizer.step(*writable((theta, g, state)))

    for name, start in START.items():
        theta, g = on.array(start), on.array(start - TARGET[name])
        state = on.run(optimizer.init, theta)
        expected, state_64 = start.copy(), optimizer.init(start)
        for _ in range(3):
            theta, state = on.run(step, theta, g, state)
            expected, state_64 = optimizer.step(expected, (start - TARGET[name]).copy(), state_64)
        tolerance = 1e-11 if on.dtype == "float64" else 2e-4
        np.testing.assert_allclose(on.numpy(theta), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("optimizer", [LAMB(0.02, weight_decay=0.1), Muon(0.02)], ids=repr)
def test_the_vectors_of_theta_are_taken_apart_by_their_layout(optimizer: Optimizer) -> None:
    layout = dl.mlp(6, 8, 3).layout
    parameters = {name: rng.normal(size=shape) for name, shape in layout.shapes}
    gradients = {name: rng.normal(size=shape) for name, shape in layout.shapes}
    one_by_one = {
        name: optimizer.step(p.copy(), gradients[name].copy(), optimizer.init(p, np.ones(p.shape)))[0]
        for name, p in parameters.items()
    }
    for own in (layout, layout.split_up()):
        theta = own.join({name: p.copy() for name, p in parameters.items()})
        states = optimizer.init_all(theta, own.mask(lambda name: True, theta))
        found, after = optimizer.step_parameters(theta, own.join(gradients), states, own)
        for name, p in own.split(found).items():
            np.testing.assert_array_equal(p, one_by_one[name])
        assert [set(s) for s in after] == [set(s) for s in states]
        assert int(after[0]["t"]) == 1
    assert optimizer.step_parameters((), (), (), dl.MLP(3, ["relu"]).layout) == ((), ())


@pytest.mark.parametrize("optimizer", [LAMB(0.02, weight_decay=0.1), Muon(0.02), AdamW(0.02)], ids=repr)
def test_the_loop_of_the_quick_start_is_fit(optimizer: Optimizer) -> None:
    text = (Path(__file__).parents[2] / "docs" / "quick_start.md").read_text(encoding="utf-8")
    loop = text[text.index("theta = model.init(seed=0)\n") : text.index("\nprint(float(value) < 0.1")]
    model, loss = dl.mlp(6, 8, 3), dl.SparseCategoricalCrossEntropy()
    names: dict[str, Any] = {"model": model, "loss": loss, "optimizer": optimizer, "inputs": X.astype("float32")}
    with dl.use_device("cpu"):
        exec(loop.replace("range(100)", "range(5)"), names | {"targets": LABELS}, found := {})
    expected = fit(model=model, optimizer=optimizer, epochs=5, batch_size=len(X), compile=False)
    for ours, theirs in zip(found["theta"], expected.theta, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [LAMB(0.02), Muon(0.01), dl.Clipped(Muon(), dl.clip_by_global_norm, 1.0)],
    ids=["LAMB", "Muon", "clipped Muon"],
)
def test_they_train_planned_and_eagerly_and_are_resumed(optimizer: Optimizer, on: On, tmp_path: Any) -> None:
    few = ("numpy-float32", "torch-float32", "strict-2025.12", "jax-float32")
    if on.name not in few or (on.jit and not isinstance(optimizer, Muon)):
        pytest.skip("a few devices are enough: each step is tested on all")
    where = {"device": on.device, "dtype": on.dtype, "optimizer": optimizer}
    whole = fit(**where, epochs=4)
    assert whole.history["loss"][-1] < whole.history["loss"][0]
    eager = fit(**where, epochs=4, compile=False)
    tolerance = 1e-9 if on.dtype == "float64" else 5e-3
    np.testing.assert_allclose(whole.history["loss"], eager.history["loss"], rtol=tolerance)
    file = tmp_path / "run"
    fit(**where, epochs=2, callbacks=[dl.Checkpoint(file)])
    resumed = fit(**where, epochs=4, resume=file)
    for a, b in zip(resumed.theta, whole.theta, strict=True):
        np.testing.assert_array_equal(dl.to_numpy(a), dl.to_numpy(b))


def test_their_state_may_have_16_bits() -> None:
    trained = fit(X, LABELS, optimizer=dl.BFloat16State(Muon(0.01)), epochs=4)
    assert trained.history["loss"][-1] < trained.history["loss"][0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Muon(momentum=1.0), "momentum"),
        (lambda: Muon(iterations=0), "iterations must be at least 1"),
        (lambda: Muon(scaling="matchd"), "unknown scaling 'matchd', did you mean 'matched'"),  # type: ignore[arg-type]
        (lambda: LAMB(eps=0), "eps must be above 0"),
    ],
)
def test_bad_configuration(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
