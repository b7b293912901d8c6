"""Training in half precision: its products and gradients are torch's autocast, and the loss is scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import Step
from dlarray.training.mixed_precision import mixed_precision
from tests.support.fits import MODEL, NUMBERS, X, fit


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


def test_a_layer_without_biases_multiplies_in_half_precision() -> None:
    torch = pytest.importorskip("torch")
    device = dl.device.resolve("torch")
    model, loss = dl.MLP(6, [dl.Dense(2, bias=False)]), dl.MeanSquaredError()
    step = mixed_precision(Step(model, loss, dl.Adam()), "bfloat16", device, "float32")
    theta = model.init(3, device)
    x, t = (torch.tensor(a, dtype=torch.float32) for a in (X, NUMBERS))
    value, g, _ = step.gradient(step.init(theta, (), 0, device), (x, t, None))
    W = model.parameters(theta)["0.W"].clone().requires_grad_()
    expected = (((x.bfloat16() @ W.bfloat16()).float() - t) ** 2).mean()
    expected.backward()
    torch.testing.assert_close(value, expected.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(model.parameters(g)["0.W"], W.grad, rtol=1e-6, atol=0)


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
