"""The steps of every optimizer on every device, and the state that it keeps."""

import numpy as np
import pytest

from dlarray.core import registry as names
from dlarray.core.array import array_namespace, device
from dlarray.optimizers import (
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Clipped,
    Momentum,
    Optimizer,
    RMSprop,
    clip_by_global_norm,
)
from dlarray.schedules import CosineDecay, InverseTimeDecay, WarmUp
from tests.support.descents import CURVATURE, MASK, START, descend, gradient, writable

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


@pytest.mark.slow
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
