"""Trained models with random weights, and their values and gradients beside those of a module of torch."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray
from dlarray.core.layer import Layer
from dlarray.model import on_device

PARTS = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias", "slope": "weight"}


def random_trained(
    inputs: int, *layers: Layer | str, loss: Any = None, dtype: str = "float64", device: str = "cpu"
) -> dlarray.Trained:
    """A model whose parameters and buffers are random, so that none has a value that it could have by default."""
    model, rng, home = dlarray.MLP(inputs, layers), np.random.default_rng(5), dlarray.resolve(device)  # pyright: ignore
    theta, buffers = (
        on_device(layout, {n: rng.uniform(0.2, 1.5, s).astype(dtype) for n, s in layout.shapes}, home)
        for layout in (model.layout, model.buffer_layout)
    )
    return dlarray.Trained(model, theta, buffers, loss or dlarray.MeanSquaredError(), home, dtype)


def examples(model: dlarray.MLP) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of numbers; inputs of an Embedding are categories below 4."""
    rng = np.random.default_rng(6)
    integers = model.layers[0].integers
    x = rng.integers(0, 4, (7, model.inputs)) if integers else rng.normal(size=(7, model.inputs))
    return x, rng.normal(size=(7, model.outputs))


def check_same(trained: dlarray.Trained, net: Any, of_first: float = 1.0) -> None:
    """Outputs, loss and the gradient of every parameter are those of torch's module, in eval mode and in training.

    torch's gradient of the first layer is multiplied by ``of_first``.
    """
    import torch

    x, t = examples(trained.model)
    inputs = torch.from_numpy(x)
    with torch.no_grad():
        close(trained.outputs(x), net(inputs).numpy(), "outputs")
    net.train()
    loss = torch.nn.MSELoss()(net(inputs), torch.from_numpy(t))
    net.zero_grad()
    loss.backward()
    value, g = trained.model.loss_and_gradient(trained.theta, x, t, dlarray.MeanSquaredError())
    close(value, loss.detach().numpy(), "loss")
    theirs = dict(net.named_parameters())
    for name, own in trained.model.parameters(g).items():
        close(own, gradient_of(theirs, name) * (of_first if name.startswith("0.") else 1), name)
    net.eval()


def gradient_of(theirs: dict[str, Any], name: str) -> np.ndarray:
    """The gradient under torch's name of a parameter. An Embedding stands in a Sequential, a Swish has a beta."""
    head, _, part = name.rpartition(".")
    if part == "W" and f"{head}.weight" in theirs:
        return theirs[f"{head}.weight"].grad.numpy().T
    known = (f"{head}.{PARTS[part]}", f"{head}.0.weight", f"{head}.{part}")
    return next(theirs[n].grad.numpy() for n in known if n in theirs)


def close(actual: Any, expected: Any, what: str) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13, err_msg=what)
