"""Optimizers and clipping against torch: 100 steps of each optimizer of torch.optim."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from dlarray.optimizers import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    GradientDescent,
    Momentum,
    NAdam,
    Nesterov,
    RAdam,
    RMSprop,
    Rprop,
    clip_by_global_norm,
    clip_by_value,
)
from dlarray.schedules import InverseTimeDecay, StepDecay
from tests.book.test_clipping import GRADIENTS
from tests.support.descents import CURVATURE, MASK, START, descend, gradient

# ours beside torch's name and arguments, ε large enough to count beside the tiny gradients and the others
TORCH = {
    "gradient descent": (GradientDescent(0.05), "SGD", {"lr": 0.05}),
    "gradient descent, defaults": (GradientDescent(), "SGD", {"lr": 0.01}),
    "gradient descent, decay": (GradientDescent(0.05, weight_decay=0.1), "SGD", {"lr": 0.05, "weight_decay": 0.1}),
    "momentum": (Momentum(0.02), "SGD", {"lr": 0.02, "momentum": 0.9}),
    "momentum 0.5, decay": (
        Momentum(0.02, 0.5, weight_decay=0.1),
        "SGD",
        {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1},
    ),
    "nesterov": (Nesterov(0.02), "SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
    "nesterov, decay": (
        Nesterov(0.02, 0.8, weight_decay=0.1),
        "SGD",
        {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    "adagrad, defaults": (Adagrad(), "Adagrad", {}),
    "adagrad": (Adagrad(0.3, eps=1e-2), "Adagrad", {"lr": 0.3, "eps": 1e-2}),
    "adagrad, options": (
        Adagrad(0.3, 1e-2, initial_accumulator=0.1, weight_decay=0.1),
        "Adagrad",
        {"lr": 0.3, "eps": 1e-2, "initial_accumulator_value": 0.1, "weight_decay": 0.1},
    ),
    "adagrad, falling rate": (
        Adagrad(InverseTimeDecay(0.3, 0.05), 1e-2),
        "Adagrad",
        {"lr": 0.3, "eps": 1e-2, "lr_decay": 0.05},
    ),
    "rmsprop, defaults": (RMSprop(), "RMSprop", {}),
    "rmsprop": (RMSprop(0.02, 0.9, 1e-2), "RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-2}),
    "rmsprop, momentum": (
        RMSprop(0.02, 0.9, 1e-2, momentum=0.7, weight_decay=0.1),
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7, "weight_decay": 0.1},
    ),
    "rmsprop, centered": (
        RMSprop(0.02, 0.9, 1e-2, centered=True),
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-2, "centered": True},
    ),
    "rmsprop, both": (
        RMSprop(0.02, 0.9, 1e-2, momentum=0.7, centered=True),
        "RMSprop",
        {"lr": 0.02, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7, "centered": True},
    ),
    "adadelta, defaults": (Adadelta(), "Adadelta", {}),
    "adadelta": (
        Adadelta(0.1, 0.8, 1e-2, weight_decay=0.1),
        "Adadelta",
        {"lr": 0.1, "rho": 0.8, "eps": 1e-2, "weight_decay": 0.1},
    ),
    "adam, defaults": (Adam(), "Adam", {}),
    "adam": (Adam(0.05, 0.8, 0.95, 1e-2), "Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-2}),
    "adam, beta 0": (Adam(0.05, 0.0, 0.95, 1e-2), "Adam", {"lr": 0.05, "betas": (0.0, 0.95), "eps": 1e-2}),
    "adam, decay": (
        Adam(0.05, eps=1e-2, weight_decay=0.1),
        "Adam",
        {"lr": 0.05, "eps": 1e-2, "weight_decay": 0.1},
    ),
    "amsgrad, defaults": (AMSGrad(), "Adam", {"amsgrad": True}),
    "amsgrad": (
        AMSGrad(0.05, 0.8, 0.9, 1e-2, weight_decay=0.1),
        "Adam",
        {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-2, "amsgrad": True, "weight_decay": 0.1},
    ),
    "adamw, defaults": (AdamW(), "AdamW", {}),
    "adamw": (AdamW(0.05, eps=1e-2, weight_decay=0.3), "AdamW", {"lr": 0.05, "eps": 1e-2, "weight_decay": 0.3}),
    "adamax, defaults": (Adamax(), "Adamax", {}),
    "adamax": (
        Adamax(0.05, 0.8, 0.95, 1e-2, weight_decay=0.1),
        "Adamax",
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-2, "weight_decay": 0.1},
    ),
    "radam, defaults": (RAdam(), "RAdam", {}),
    "radam": (
        RAdam(0.05, 0.8, 0.95, 1e-2, weight_decay=0.1),
        "RAdam",
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-2, "weight_decay": 0.1},
    ),
    "radam, short memory": (RAdam(0.05, 0.8, 0.5, 1e-2), "RAdam", {"lr": 0.05, "betas": (0.8, 0.5), "eps": 1e-2}),
    "rprop, defaults": (Rprop(), "Rprop", {}),
    "rprop": (
        Rprop(0.3, 1.5, 0.3, 1e-3, 0.6),
        "Rprop",
        {"lr": 0.3, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.6)},
    ),
    "nadam, defaults": (NAdam(), "NAdam", {}),
    "nadam": (
        NAdam(0.05, 0.8, 0.95, 1e-2, momentum_decay=0.1, weight_decay=0.1),
        "NAdam",
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-2, "momentum_decay": 0.1, "weight_decay": 0.1},
    ),
}


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    before = module.get_default_dtype()
    module.set_default_dtype(module.float64)  # NAdam keeps its product of μ in the default type
    yield module
    module.set_default_dtype(before)


def steps_of_torch(torch, name, arguments, curvature, mask=None, schedule=None):
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    if mask is None:
        parts = [theta]
        optimizer = getattr(torch.optim, name)(parts, foreach=False, **arguments)
    else:  # decays by group: one group of one number each
        parts = [torch.tensor([x], requires_grad=True) for x in START]
        groups = [
            {"params": [p], "weight_decay": m * arguments["weight_decay"]} for p, m in zip(parts, mask, strict=True)
        ]
        optimizer = getattr(torch.optim, name)(groups, foreach=False, **arguments)
    scheduler = schedule and torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    path = [START]
    for _ in range(100):
        now = np.concatenate([p.detach().numpy() for p in parts])
        g = torch.as_tensor(gradient(now, curvature))
        for i, p in enumerate(parts):
            p.grad = g.clone() if mask is None else g[i : i + 1].clone()
        optimizer.step()
        if scheduler:
            scheduler.step()
        path.append(np.concatenate([p.detach().numpy().copy() for p in parts]))
    return np.array(path)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8])
@pytest.mark.parametrize("case", TORCH)
def test_100_steps_against_torch(torch, case, scale):
    """At gradients of ordinary size, small and tiny."""
    ours, name, arguments = TORCH[case]
    expected = steps_of_torch(torch, name, arguments, CURVATURE * scale)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(descend(ours, START, CURVATURE * scale), expected, rtol=1e-12, atol=1e-12)
    assert (expected[-1] != START).any()


@pytest.mark.parametrize("case", ["gradient descent, decay", "adam, decay", "adamw", "nadam", "adagrad, options"])
def test_masked_decay_is_torchs_parameter_groups(torch, case):
    ours, name, arguments = TORCH[case]
    expected = steps_of_torch(torch, name, arguments, CURVATURE, mask=MASK)
    np.testing.assert_allclose(descend(ours, START, CURVATURE, mask=MASK), expected, rtol=1e-12, atol=1e-12)
    assert np.abs(expected[-1] - descend(ours, START, CURVATURE)[-1]).max() > 1e-3


@pytest.mark.parametrize(
    ("ours", "name", "arguments"),
    [
        (partial(GradientDescent), "SGD", {}),
        (partial(Momentum), "SGD", {"momentum": 0.9}),
        (partial(Adam, eps=1e-2), "Adam", {"eps": 1e-2}),
        (partial(AdamW, weight_decay=0.3), "AdamW", {"weight_decay": 0.3}),
    ],
)
def test_under_a_schedule(torch, ours, name, arguments):
    """The rate of a step is the schedule's at the steps done before it, and stays outside the velocity."""
    drops = StepDecay(1.0, every=9, factor=0.7)
    expected = steps_of_torch(torch, name, {"lr": 0.02, **arguments}, CURVATURE, schedule=lambda t: 0.7 ** (t // 9))
    schedule = dataclasses.replace(drops, rate=0.02)
    np.testing.assert_allclose(descend(ours(schedule), START, CURVATURE), expected, rtol=1e-12, atol=1e-12)


def test_clipping_against_torch(torch):
    """At a large norm, since torch adds 1e-6 to it."""
    gs = tuple(g * 1e8 for g in GRADIENTS)
    for limit in (1.0, 1e9, 1e10):
        parts = [torch.zeros(len(g)) for g in gs]
        for p, g in zip(parts, gs, strict=True):
            p.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_norm_(parts, limit)
        for one, p in zip(clip_by_global_norm(gs, limit), parts, strict=True):
            np.testing.assert_allclose(one, p.grad, rtol=1e-12)
        for p, g in zip(parts, gs, strict=True):
            p.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_value_(parts, limit)
        for one, p in zip(clip_by_value(gs, limit), parts, strict=True):
            np.testing.assert_array_equal(one, p.grad)
