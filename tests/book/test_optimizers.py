"""Optimizers against torch.optim and against the written formulas, 100 steps each, on every device."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest

from dlarray.core import registry as names
from dlarray.core.array import array_namespace, device
from dlarray.core.layout import Layout
from dlarray.core.trees import copy_tree
from dlarray.optimizers import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Clipped,
    GradientDescent,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    Optimizer,
    RMSprop,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from dlarray.schedules import CosineDecay, InverseTimeDecay, StepDecay, WarmUp
from tests.support.own import own

# A convex function whose gradient is written in operators alone, so the same lines serve every library: coupled
# neighbours, curvatures from 1e-3 to 10, a quartic term, and one number whose gradients are tiny (1e-7), where ε rules.
CURVATURE = np.array([10.0, 3.0, 1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-7])
START = np.array([1.0, -2.0, 0.5, 3.0, -1.5, 2.5, -0.7, 0.9])
MASK = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0])


def gradient(theta, curvature):
    """Of Σ c (θ²/2 + θ⁴/40), and of c_i c_j θ_i θ_j / 50 for neighbours i, j on a ring."""
    xp = array_namespace(theta)
    slope = curvature * theta
    neighbours = xp.roll(slope, 1) + xp.roll(slope, -1)
    return slope + curvature * (theta**3 / 10 + neighbours / 50)


def descend(optimizer, theta, curvature, steps=100, mask=None):
    """The path of θ: steps + 1 rows."""
    theta = np.array(theta)
    state = optimizer.init(theta, mask)
    path = [theta.copy()]
    for _ in range(steps):
        theta, state = optimizer.step(theta, gradient(theta, curvature), state)
        path.append(theta.copy())
    assert state["t"] == steps
    return np.array(path)


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


def walk_of_torch(torch, name, arguments, curvature, mask=None, schedule=None):
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
    expected = walk_of_torch(torch, name, arguments, CURVATURE * scale)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(descend(ours, START, CURVATURE * scale), expected, rtol=1e-12, atol=1e-12)
    assert (expected[-1] != START).any()


@pytest.mark.parametrize("case", ["gradient descent, decay", "adam, decay", "adamw", "nadam", "adagrad, options"])
def test_masked_decay_is_torchs_parameter_groups(torch, case):
    ours, name, arguments = TORCH[case]
    expected = walk_of_torch(torch, name, arguments, CURVATURE, mask=MASK)
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
    expected = walk_of_torch(torch, name, {"lr": 0.02, **arguments}, CURVATURE, schedule=lambda t: 0.7 ** (t // 9))
    schedule = dataclasses.replace(drops, rate=0.02)
    np.testing.assert_allclose(descend(ours(schedule), START, CURVATURE), expected, rtol=1e-12, atol=1e-12)


# -- formulas that torch does not have, written out once more ---------------------------------------------------------


def keras_adam(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    return 0.05 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["v"]) + eps)


def keras_amsgrad(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    s["w"] = np.maximum(s["w"], s["v"])
    return 0.05 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["w"]) + eps)


def inside_adam(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    return 0.05 * s["m"] / (1 - 0.9**t) / np.sqrt(s["v"] / (1 - 0.999**t) + eps)


def keras_adagrad(g, s, t, eps):
    s["v"] = s["v"] + g**2
    return 0.05 * g / np.sqrt(0.1 + s["v"] + eps)


def keras_rmsprop(g, s, t, eps):
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["w"] = 0.7 * s["w"] + g / np.sqrt(s["v"] - s["m"] ** 2 + eps)
    return 0.05 * s["w"]


def keras_adamax(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["w"] = np.maximum(0.999 * s["w"], np.abs(g))
    return 0.05 / (1 - 0.9**t) * s["m"] / (s["w"] + eps)


def lion(g, s, t, eps):
    step = 0.05 * np.sign(0.9 * s["m"] + 0.1 * g)
    s["m"] = 0.99 * s["m"] + 0.01 * g
    return step


WRITTEN = {
    "adam, hat": (Adam(0.05, eps=1e-2, eps_mode="hat"), keras_adam),
    "adam, inside": (Adam(0.05, eps=1e-2, eps_mode="inside"), inside_adam),
    "amsgrad, hat": (AMSGrad(0.05, eps=1e-2, eps_mode="hat"), keras_amsgrad),
    "adagrad, inside": (Adagrad(0.05, 1e-2, "inside", initial_accumulator=0.1), keras_adagrad),
    "rmsprop, inside": (RMSprop(0.05, 0.9, 1e-2, "inside", momentum=0.7, centered=True), keras_rmsprop),
    "adamax, outside": (Adamax(0.05, eps=1e-2, eps_mode="outside"), keras_adamax),
    "lion": (Lion(0.05), lion),
}


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8])
@pytest.mark.parametrize("case", WRITTEN)
def test_100_steps_against_the_written_formula(case, scale):
    ours, formula = WRITTEN[case]
    theta, s = START.copy(), {"m": 0.0, "v": 0.0, "w": 0.0}
    path = [theta]
    for t in range(1, 101):
        theta = theta - formula(gradient(theta, CURVATURE * scale), s, t, 1e-2)
        path.append(theta)
    np.testing.assert_allclose(descend(ours, START, CURVATURE * scale), path, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [Adagrad, RMSprop, Adam, AMSGrad, AdamW, NAdam, Adamax])
def test_the_place_of_eps_counts(cls):
    """So that none of the tests above passes whatever the place."""
    modes = ["outside", "inside", "hat"] if issubclass(cls, (Adam, AMSGrad, NAdam)) else ["outside", "inside"]
    ends = [descend(cls(0.05, eps=1e-2, eps_mode=mode), START, CURVATURE)[-1] for mode in modes]
    for i, end in enumerate(ends):
        for other in ends[:i]:
            assert np.abs(end - other).max() > 1e-4


def test_lion_decays_apart_from_the_sign():
    theta, g = np.array([2.0, -3.0]), np.array([1e-9, 5.0])
    optimizer = Lion(0.1, weight_decay=0.5)
    theta, state = optimizer.step(theta, g, optimizer.init(theta))
    np.testing.assert_allclose(theta, [2 - 0.1 * (1 + 0.5 * 2), -3 - 0.1 * (1 + 0.5 * -3)], rtol=1e-15)
    np.testing.assert_allclose(state["m"], [1e-11, 0.05], rtol=1e-14)


def test_scikit_learns_adam():
    """MLPClassifier's own optimizer is Adam with ε̂."""
    sklearn = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    theta = START.copy()
    theirs = sklearn.AdamOptimizer([theta], learning_rate_init=0.05, epsilon=1e-2)
    path = [theta.copy()]
    for _ in range(100):
        theirs.update_params([theta], [gradient(theta, CURVATURE)])
        path.append(theta.copy())
    ours = descend(Adam(0.05, eps=1e-2, eps_mode="hat"), START, CURVATURE)
    np.testing.assert_allclose(ours, path, rtol=1e-12, atol=1e-12)


# -- every device -----------------------------------------------------------------------------------------------------


def writable(tree):
    """Copies: a step consumes its arguments, and on one device of the matrix arrays cannot be written."""
    return copy_tree(tree)


VARIANTS = {
    **{word: cls(0.03) if word != "lion" else cls(0.01) for word, cls in names.classes(Optimizer).items()},
    "rmsprop, all": RMSprop(0.03, 0.9, 1e-2, "inside", momentum=0.5, centered=True, weight_decay=0.1),
    "adam, hat, decay": Adam(0.03, eps=1e-2, eps_mode="hat", weight_decay=0.1),
    "adamw, decay": AdamW(0.03, eps=1e-2, weight_decay=0.3),
    "adam, inside, schedule": Adam(WarmUp(10, CosineDecay(0.1, 80)), eps=1e-2, eps_mode="inside"),
    "adagrad, schedule": Adagrad(InverseTimeDecay(0.3, 0.05), 1e-2, "inside", initial_accumulator=0.1),
    "adamax, outside": Adamax(0.03, eps_mode="outside"),
    "clipped": Clipped(Momentum(0.03, weight_decay=0.1), clip_by_global_norm, 0.5),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_100_steps_are_numpys_on_every_device(on, case):
    """In float32 a hundred steps of rounding, each half of 1.2e-7: well below 2e-5 of θ's size."""
    optimizer = VARIANTS[case]
    mask = on.array(MASK)
    curvature = on.array(CURVATURE)

    def one(theta, state):
        theta, state = writable((theta, state))
        g = gradient(theta, curvature)
        return optimizer.step(theta, g, state)

    theta = on.array(START)
    state = on.run(optimizer.init, theta, mask)
    for _ in range(100):
        theta, state = on.run(one, theta, state)
    expected = descend(optimizer, on.host(START).astype(float), on.host(CURVATURE).astype(float), mask=MASK)[-1]
    found = on.numpy(theta)
    assert found.dtype == on.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 if on.dtype == "float64" else 2e-5)
    assert on.numpy(state["t"]) == 100
    for name, x in state.items():
        assert on.numpy(x).dtype == ("int32" if name == "t" else on.dtype), name
        assert device(x) == device(theta)


@pytest.mark.parametrize("word", names.classes(Optimizer))
def test_every_optimizer_descends(on, word):
    """On the bowl ½ |θ|² with its defaults, each of 20 steps goes down; momentum overshoots after some 30."""
    optimizer = names.make(Optimizer, word)

    def loss_and_move(theta, states):
        theta, states = writable((theta, states))
        xp = array_namespace(*theta)
        losses = [xp.sum(x * x) / 2 for x in theta]
        theta, states = optimizer.step_all(theta, writable(theta), states)
        return losses[0] + losses[1], theta, states

    theta = (on.array(START[:5]), on.array(START[5:]))
    states = optimizer.init_all(theta)
    losses = []
    for _ in range(20):
        loss, theta, states = on.run(loss_and_move, theta, states)
        losses.append(float(on.numpy(loss)))
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("word", names.classes(Optimizer))
def test_the_state_is_made_of_arrays_on_the_device_of_theta(on, word):
    optimizer = names.make(Optimizer, word)
    state = optimizer.init(on.array(START))
    assert state["t"].shape == ()
    for name, x in state.items():
        assert x.shape in ((), (8,)), name
        assert device(x) == device(on.array(START))
        assert on.numpy(x).dtype == ("int32" if name == "t" else on.dtype)


def test_a_0d_mask_decays_all_or_nothing(on):
    """As on devices that keep each parameter in a vector of its own."""
    optimizer = AdamW(0.1, weight_decay=0.5)
    theta, g = on.array(START), on.array(np.zeros(8))

    def step(theta, g, mask):
        return optimizer.step(*writable((theta, g)), optimizer.init(theta, mask))[0]

    on.close(on.run(step, theta, g, on.array(np.array(0.0))), on.host(START))
    on.close(on.run(step, theta, g, on.array(np.array(1.0))), on.host(START).astype(float) * (1 - 0.05))


def test_a_mask_is_kept_where_there_is_decay_alone():
    assert "mask" not in Adam().init(START, MASK)
    assert "mask" not in AdamW().init(START)
    np.testing.assert_array_equal(AdamW().init(START, MASK > 0)["mask"], MASK)


def test_a_step_writes_in_place_where_it_can():
    """Steps allocate nothing that stays: a flat θ and its state are reused."""
    for word in names.classes(Optimizer):
        optimizer = names.make(Optimizer, word)
        theta, g = START.copy(), START.copy()
        state = optimizer.init(theta)
        after, following = optimizer.step(theta, g, state)
        assert after is theta, word
        assert following["t"] is state["t"], word
        assert isinstance(following["t"], np.ndarray), word


def test_a_read_only_theta_is_an_error():
    theta = START.copy()
    theta.flags.writeable = False
    for word in names.classes(Optimizer):
        optimizer = names.make(Optimizer, word)
        with pytest.raises(ValueError, match="read-only"):
            optimizer.step(theta, START.copy(), optimizer.init(theta))


def test_centered_rmsprop_stays_finite_where_rounding_takes_the_variance_below_0(on):
    """A constant gradient has variance 0, and v - m² comes out at some -1e-17 of it."""
    optimizer = RMSprop(0.1, 0.5, 1e-10, centered=True)
    theta = on.array(np.array([1.0, 2.0, 3.0]))

    def descend(theta, g):
        theta = writable(theta)
        state = optimizer.init(theta)
        for _ in range(60):
            theta, state = optimizer.step(theta, writable(g), state)
        return theta

    assert np.isfinite(on.numpy(on.run(descend, theta, on.array(np.array([0.1, 0.3, 0.7]))))).all()


def test_bias_corrections_keep_their_digits_in_float32():
    """1 - 0.999 in float32 is off by 5e-5 of itself; the first step of Adam is the rate, to rounding."""
    theta, g = np.zeros(3, dtype=np.float32), np.array([1e-3, 1.0, 1e3], dtype=np.float32)
    optimizer = Adam(0.5, beta1=0.999, beta2=0.9999, eps=1e-30)
    theta, _ = optimizer.step(theta, g, optimizer.init(theta))
    np.testing.assert_allclose(theta, -0.5, rtol=5e-7)


def test_a_tuple_moves_as_its_arrays_one_by_one():
    optimizer = AdamW(0.1)
    thetas, gs, masks = (START[:3], START[3:]), (CURVATURE[:3], CURVATURE[3:]), (MASK[:3], MASK[3:])
    moved, states = optimizer.step_all(writable(thetas), writable(gs), optimizer.init_all(thetas, masks))
    whole, state = optimizer.step(START.copy(), CURVATURE.copy(), optimizer.init(START, MASK))
    np.testing.assert_array_equal(np.concatenate(moved), whole)
    np.testing.assert_array_equal(np.concatenate([s["v"] for s in states]), state["v"])
    with pytest.raises(ValueError, match="zip"):
        optimizer.step_all(writable(thetas), writable(gs), states[:1])


@pytest.mark.parametrize("word", names.classes(Optimizer))
def test_the_arrays_of_a_tuple_share_one_count_of_steps(on, word):
    """Step after step they move as each would by itself, and a state made array by array is taken as it is."""
    optimizer = names.make(Optimizer, word)
    parts = (START[:3], START[3:], START[:2])

    def descend(thetas, states):
        for _ in range(3):
            thetas, states = optimizer.step_all(writable(thetas), writable(thetas), writable(states))
        return thetas, states

    thetas = tuple(map(on.array, parts))
    shared, states = on.run(descend, thetas, optimizer.init_all(thetas))
    assert ["t" in state for state in states] == [True, False, False]
    assert on.numpy(states[0]["t"]) == 3
    apart, counted = on.run(descend, thetas, tuple(map(optimizer.init, thetas)))
    for x, y in zip(shared, apart, strict=True):
        np.testing.assert_array_equal(on.numpy(x), on.numpy(y))
    assert [int(on.numpy(state["t"])) for state in counted[:1]] == [3]
    assert optimizer.init_all(()) == ()
    assert optimizer.step_all((), (), ()) == ((), ())


# -- clipping ---------------------------------------------------------------------------------------------------------

GRADIENTS = (np.array([3.0, -4.0, 0.5]), np.array([12.0, 1e-3]))


@pytest.mark.parametrize("limit", [0.1, 5.0, 1e3])
@pytest.mark.parametrize("clip", [clip_by_value, clip_by_global_norm])
def test_clipping_by_its_formula(on, clip, limit):
    gs = tuple(on.host(g).astype(float) for g in GRADIENTS)
    if clip is clip_by_value:
        expected = [np.minimum(np.maximum(g, -limit), limit) for g in gs]
    else:
        norm = math.sqrt(sum((g**2).sum() for g in gs))
        expected = [g * min(1, limit / norm) for g in gs]
    found = on.run(partial(clip, limit=limit), tuple(on.array(g) for g in GRADIENTS))
    assert isinstance(found, tuple)
    for one, other in zip(found, expected, strict=True):
        on.close(one, other, scale=0)


@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1e15, 1e200, 2**1020])
def test_clipping_by_norm_at_any_size(scale):
    """The squares would underflow or overflow; the direction and the norm must be right nevertheless."""
    gs = tuple(g * scale for g in (np.array([3.0, -4.0]), np.array([12.0])))
    for limit in (1.0, 1e-3 * scale, 12.9 * min(scale, 1e307), 13.1 * min(scale, 1e306)):
        factor = min(1.0, limit / 13 / scale)
        for one, other in zip(clip_by_global_norm(gs, limit), gs, strict=True):
            np.testing.assert_allclose(one, other * factor, rtol=1e-14)


def test_clipping_float32_near_its_largest():
    (g,) = clip_by_global_norm((np.array([3e38, -2e38], dtype=np.float32),), 1.0)
    assert g.dtype == np.float32
    np.testing.assert_allclose(g, np.array([3, -2]) / math.sqrt(13), rtol=1e-6)


def test_zero_gradients_stay_zero(on):
    zeros = (on.array(np.zeros(3)), on.array(np.zeros(2)))
    for g in on.run(partial(clip_by_global_norm, limit=1.0), zeros):
        np.testing.assert_array_equal(on.numpy(g), 0)


def test_gradients_within_the_limit_keep_their_bits():
    for one, other in zip(clip_by_global_norm(GRADIENTS, 13.02), GRADIENTS, strict=True):
        np.testing.assert_array_equal(one, other)


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


@pytest.mark.parametrize("apart", [False, True])
def test_clipping_each_parameter_on_its_own(on, apart):
    """The same whether θ is one vector or one per parameter; the padding stays zero."""
    layout = Layout((("W", (2, 3)), ("b", (3,)), ("c", (1,))), per_parameter=apart)
    parts = {"W": np.arange(6.0).reshape(2, 3), "b": np.array([0.3, -0.4, 0.0]), "c": np.array([-7.0])}
    expected = {
        name: g * min(1, 2 / np.linalg.norm(g)) for name, g in ((n, on.host(g).astype(float)) for n, g in parts.items())
    }
    gs = layout.join({name: on.array(g) for name, g in parts.items()})
    found = on.run(partial(clip_by_norm, limit=2.0, layout=layout), gs)
    for name, g in layout.split(found).items():
        on.close(g, expected[name])
    assert sum(float(np.abs(on.numpy(g)).sum()) for g in found) == pytest.approx(
        sum(np.abs(g).sum() for g in expected.values()), rel=1e-6
    )


@pytest.mark.parametrize("word", names.classes(Optimizer))
def test_clipped_is_the_optimizer_on_clipped_gradients(word):
    optimizer = names.make(Optimizer, word)
    clipped = Clipped(optimizer, clip_by_global_norm, 2.0)
    thetas, gs = (START[:3], START[3:5]), GRADIENTS
    moved, states = clipped.step_all(writable(thetas), writable(gs), clipped.init_all(thetas))
    expected, _ = optimizer.step_all(writable(thetas), clip_by_global_norm(gs, 2.0), optimizer.init_all(thetas))
    for one, other in zip(moved, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    alone, _ = clipped.step(thetas[0].copy(), gs[0].copy(), clipped.init(thetas[0]))
    by_itself, _ = optimizer.step(thetas[0].copy(), clip_by_global_norm(gs[:1], 2.0)[0], optimizer.init(thetas[0]))
    np.testing.assert_array_equal(alone, by_itself)
    assert states[0]["t"] == 1


def test_clipping_comes_before_weight_decay_and_composes():
    optimizer = Clipped(Clipped(GradientDescent(1.0, weight_decay=0.1), clip_by_value, 0.5), clip_by_global_norm, 1.0)
    theta = optimizer.step(np.array([10.0, 10.0]), np.array([30.0, 40.0]), optimizer.init(np.zeros(2)))[0]
    np.testing.assert_allclose(theta, [10 - 1 - 0.5, 10 - 1 - 0.5], rtol=1e-15)  # (30, 40) -> (0.6, 0.8) -> (0.5, 0.5)
    assert optimizer.rate(np.array(0.0)) == 1.0


def test_clipped_with_the_places_of_a_layout():
    layout = Layout((("W", (2,)), ("b", (1,))))
    optimizer = Clipped(GradientDescent(1.0), partial(clip_by_norm, layout=layout), 1.0)
    gs = layout.join({"W": np.array([3.0, 4.0]), "b": np.array([0.5])})
    theta = layout.join({"W": np.zeros(2), "b": np.zeros(1)})
    moved, _ = optimizer.step_all(theta, gs, optimizer.init_all(theta))
    np.testing.assert_allclose(layout.split(moved)["W"], [-0.6, -0.8], rtol=1e-15)
    np.testing.assert_array_equal(layout.split(moved)["b"], [-0.5])


# -- configuration ----------------------------------------------------------------------------------------------------


def test_every_optimizer_has_an_oracle():
    assert {type(ours) for ours, *_ in (*TORCH.values(), *WRITTEN.values())} == set(own(Optimizer).values())


def test_names():
    assert names.by_name(Optimizer, "SGD") is GradientDescent
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        names.make(Optimizer, "adan")


@pytest.mark.parametrize("case", VARIANTS)
def test_frozen_hashable_and_equal_by_value(case):
    optimizer = VARIANTS[case]
    assert hash(optimizer) == hash(dataclasses.replace(optimizer))
    assert optimizer == dataclasses.replace(optimizer)
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.learning_rate = 1.0


@pytest.mark.parametrize("number", [np.float64, np.float32, np.array])
def test_numpys_numbers_do_not_promote(number):
    if number is np.array:
        with pytest.raises(TypeError, match="learning_rate"):
            Adam(number(0.1))
        return
    optimizer = Adam(number(0.125), beta1=number(0.5), weight_decay=number(0.5))
    theta = np.ones(3, dtype=np.float32)
    theta, state = optimizer.step(theta, np.ones(3, dtype=np.float32), optimizer.init(theta))
    assert theta.dtype == state["m"].dtype == state["v"].dtype == np.float32
    assert optimizer == Adam(0.125, beta1=0.5, weight_decay=0.5)


@pytest.mark.parametrize("word", names.classes(Optimizer))
@pytest.mark.parametrize("rate", [0, -1e-3, math.nan, math.inf])
def test_a_learning_rate_is_a_number_above_0(word, rate):
    with pytest.raises(ValueError, match="learning_rate"):
        names.classes(Optimizer)[word](rate)
    with pytest.raises(ValueError, match="weight_decay"):
        names.classes(Optimizer)[word](weight_decay=-0.1)
    with pytest.raises(TypeError, match="learning_rate"):
        names.classes(Optimizer)[word]("fast")


@pytest.mark.parametrize("word", names.classes(Optimizer))
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("momentum", (1.0, -0.1, math.nan)),
        ("beta1", (1.0, -0.1, math.nan)),
        ("beta2", (1.0, 1.1, math.nan)),
        ("rho", (1.0, -0.1)),
        ("eps", (0, -1e-8, math.nan)),
        ("eps_mode", ("beside", None)),
        ("initial_accumulator", (-1.0,)),
        ("momentum_decay", (-1.0,)),
    ],
)
def test_bad_configuration(word, field, values):
    cls = names.classes(Optimizer)[word]
    if field not in {f.name for f in dataclasses.fields(cls)}:
        with pytest.raises(TypeError, match=field):
            cls(**{field: 0.5})
        return
    for value in values:
        with pytest.raises(ValueError, match=field):
            cls(**{field: value})


def test_bad_clipping():
    with pytest.raises(ValueError, match="limit"):
        Clipped(Adam(), clip_by_value, 0)
    with pytest.raises(ValueError, match="limit"):
        clip_by_global_norm(GRADIENTS, -1.0)
    with pytest.raises(ValueError, match="limit"):
        clip_by_value(GRADIENTS, math.nan)
    with pytest.raises(TypeError, match="optimizer"):
        Clipped("adam", clip_by_value, 1.0)
    with pytest.raises(TypeError, match="clip"):
        Clipped(Adam(), "norm", 1.0)


def test_an_optimizer_itself_is_abstract():
    with pytest.raises(TypeError):
        Optimizer()
