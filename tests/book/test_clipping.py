"""Clipping of gradients, by its formulas and as a part of an optimizer."""

import math
from functools import partial

import numpy as np
import pytest

from dlarray.core import registry as names
from dlarray.core.layout import Layout
from dlarray.optimizers import (
    Adam,
    Clipped,
    GradientDescent,
    Optimizer,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from tests.support.descents import START, writable

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
