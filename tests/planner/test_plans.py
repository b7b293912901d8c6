"""A plan has few kernels, writes the state in place and uses little memory."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace
from dlarray.device.description import Names
from dlarray.planner.kernel.interpreter import validate
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.program import Binding, Program
from tests.support.steps import arrays


def planned(step: Any, state: Any, batch: Any) -> Program:
    program = Program(step, state, batch, ufuncs)
    for body in program.plan.bodies.values():
        validate(body.kernel)
    return program


def units(program: Program) -> list[str]:
    return [unit.op for unit in program.plan.units]


def softmax_step(state: Any, batch: Any) -> Any:
    (W, b), (x, t) = state, batch
    xp = array_namespace(W)
    z = x @ W
    z += b
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    q = e / xp.sum(e, axis=-1, keepdims=True)
    loss = -xp.mean(xp.log(xp.sum(q * t, axis=-1)))
    dz = (q - t) / x.shape[0]
    W -= 0.1 * (x.T @ dz)
    b -= 0.1 * xp.sum(dz, axis=0)
    return (W, b), loss


def test_softmax_with_its_gradient_is_one_kernel():
    program = planned(softmax_step, arrays((5, 3), (3,)), arrays((7, 5), (7, 3)))
    kernels = [body for body in program.plan.bodies.values() if body.domain == (7, 3)]
    assert len(kernels) == 1
    assert kernels[0].kernel.sweeps >= 3
    assert units(program).count("matmul") == 2
    assert all(program.plan.is_in_place(i) for i in program.plan.donated)


def test_an_optimizer_is_one_kernel_over_the_whole_vector():
    def adam(state, g):
        theta, m, v, t = state
        xp = array_namespace(theta)
        t += 1
        m *= 0.9
        m += 0.1 * g
        v *= 0.99
        v += 0.01 * g * g
        theta -= 0.1 * m / (xp.sqrt(v) + 1e-8) * xp.astype(t, theta.dtype)
        return (theta, m, v, t), xp.sum(theta)

    program = planned(adam, (*arrays((50,), (50,), (50,)), np.zeros((), np.int32)), arrays((50,))[0])
    assert units(program) == ["group"]  # the vector and the counter
    assert program.plan.buffers == [8]  # the loss


def test_a_gradient_is_computed_in_its_slice_and_padding_is_kept():
    def step(state, x):
        xp = array_namespace(x)
        (theta,) = state
        W = xp.reshape(theta[:6], (3, 2))
        y = x @ W
        g = xp.concat([xp.reshape(x.T @ y, (-1,)), xp.sum(y, axis=0), xp.zeros(4, dtype=x.dtype)])
        theta -= 0.01 * g
        return (theta,), xp.sum(y)

    program = planned(step, arrays((12,)), arrays((4, 3))[0])
    slices = [p for p in program.plan.locations.values() if p.kind == "slice"]
    assert [p.start for p in slices] == [0, 6]
    (theta,), x = arrays((12,)), arrays((4, 3))[0]
    for _ in range(3):
        (plain,), expected = step((theta.copy(),), x)
        (theta,), loss = Binding(program, [theta], [x]).run([x])
        assert loss == expected
        np.testing.assert_array_equal(theta, plain)


def test_buffers_are_used_again():
    def deep(state, x):
        xp = array_namespace(x)
        for _ in range(6):
            x = xp.tanh(x @ state[0])
        return state, xp.sum(x)

    program = planned(deep, arrays((8, 8)), arrays((16, 8))[0])
    assert sum(program.plan.buffers) < program.plan.unshared / 3


def test_a_description_tells_products_kernels_and_places():
    text = str(planned(softmax_step, arrays((5, 3), (3,)), arrays((7, 5), (7, 3))).describe(Names()))
    assert text.startswith("2 products, ")
    assert "kernel over 7 × 3" in text
    assert "of each row" in text
    assert re.search(r"→ state\[0\]′: 5 × 3 float64, 120 B in state\[0\]$", text, re.MULTILINE)
    assert "2 of 2 arrays of the state are written in place" in text
