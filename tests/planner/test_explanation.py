"""``explain`` is right about a step: counted by hand, and read from the picture."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.core.array import array_namespace
from dlarray.core.trees import flatten
from dlarray.device.description import Names, bytes_text, flops_text
from dlarray.explanation import explain
from dlarray.planner import PlannerWarning
from dlarray.planner import compile as plan
from tests.support.explained import T, X, array, layer, layers

F = 4  # bytes of a float32


# The facts


def test_a_step_s_work_is_counted_as_by_hand() -> None:
    n, k, m = 8, 5, 3
    found = explain(layer, {"W": array(k, m), "b": array(m)}, (X, array(n, m))).description
    forward, backward = found.of("product")
    assert forward.flops == backward.flops == 2 * n * k * m
    assert forward.nbytes == backward.nbytes == F * (n * k + k * m + n * m)
    assert (forward.formulas, backward.formulas) == (("v1 = batch[0] @ W",), ("v6 = batch[0].T @ v4",))
    kernel, *descent = found.of("kernel")
    assert kernel.formulas == (
        "v2 = v1 + b",
        "v3 = max(v2, 0) - batch[1]",
        "v4 = v3 * float32(v2 > 0)",
        "v5 = sum(v4 of each column)",
        "loss = 0.5 * sum(v3 * v3)",
    )
    assert kernel.nbytes == F * (n * m + m + n * m) + F * (n * m + m + 1)  # in: x W, b, t; out: dz, db, the loss
    assert kernel.flops == 7 * n * m + 2 * n * m + 1  # +, max, -, >, float32, *, *; two sums; a half
    assert kernel.operations == 10
    assert kernel.intensity == kernel.flops / kernel.nbytes
    for work, name, size in zip(descent, ("W", "b"), (k * m, m), strict=True):
        assert work.formulas[0].startswith(f"{name}′ = {name} - 0.5 * v")
        assert (work.flops, work.nbytes) == (2 * size, F * 3 * size)
    assert (found.in_place, found.state) == (2, 2)
    assert found.flops == sum(work.flops for work in found.works)
    assert found.nbytes == sum(work.nbytes for work in found.works)


def test_the_whole_of_a_training_step_is_counted_as_by_hand() -> None:
    widths, n = (5, 4, 3), 8
    found = layers(optimizer=dlarray.GradientDescent(0.1)).description
    products = found.of("product")
    assert [work.formulas for work in products] == [
        ("0.xW = x @ 0.W",),
        ("2.xW = v1 @ 2.W",),
        ("2.dx = v7 @ 2.W.T",),
        ("2.dW = v1.T @ v7",),
        ("0.dW = x.T @ v8",),
    ]
    sizes = [a * b for a, b in pairwise(widths)]
    assert sum(work.flops for work in products) == 2 * n * (3 * sum(sizes) - sizes[0])
    theta = next(value for value in found.values if value.name == "theta′")
    (length,) = dlarray.mlp(*widths).layout.lengths
    assert (theta.shape, theta.nbytes, theta.leaves) == ((length,), F * length, True)
    move = found.works[theta.written or 0]
    assert "theta′ = theta - 0.1 * gradient" in move.formulas
    # The same kernel updates the two counters: each is an int32 that is read and written.
    assert (move.flops, move.nbytes) == (2 * length + 2, 3 * F * length + 2 * 2 * F)
    (whole,) = found.of("concatenation")
    assert (whole.nbytes, whole.flops) == (0, 0)  # all parts are computed in their slices
    assert found.in_place == found.state


def test_a_part_that_is_copied_costs_twice_its_bytes() -> None:
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(batch)
        return xp.concat([batch, batch]), xp.sum(batch)

    (whole,) = explain(step, array(8), array(4)).description.of("concatenation")
    assert whole.nbytes == 2 * 2 * 4 * F
    assert whole.title == "concatenation of 2 parts, of which 2 are copied"


def test_a_value_is_kept_from_its_writer_to_its_last_reader() -> None:
    found = layers().description
    by_name = {value.name: value for value in found.values}
    for value in found.values:
        reading = [i for i, work in enumerate(found.works) if i in value.read]
        for i in reading:
            assert value.written is None or i > value.written
        assert value.nbytes <= found.memories[value.memory].nbytes
    for i, work in enumerate(found.works):
        if work.kind == "product":
            left, right = work.formulas[0].partition(" = ")[2].split(" @ ")
            assert i in by_name[left.removesuffix(".T")].read
            assert i in by_name["theta" if ".W" in right else right].read
    assert by_name["optimizer.m′"].memory == by_name["optimizer.m"].memory
    assert by_name["2.dW"].memory == by_name["gradient"].memory
    spans = sorted((v.memory, v.written, max(v.read)) for v in found.values if v.written is not None and v.read)
    spans = [s for s in spans if s[0] not in {by_name["gradient"].memory}]
    for (memory, _, end), (other, start, _) in pairwise(spans):
        assert memory != other or start >= end  # no buffer holds two values at once


# The formulas


def test_formulas_are_written_as_people_write_them() -> None:
    def step(state: Any, batch: Any) -> Any:
        a, b = batch
        xp = array_namespace(a)
        return a - (b - a) * -(a + b) / xp.maximum(xp.abs(a), b * 2.0) + (a / (b / a)) ** 2, xp.sum(xp.exp(-b))

    (work,) = explain(step, array(3), (array(3), array(3))).description.works
    assert work.formulas == (
        "v1 = batch[0] - (batch[1] - batch[0]) * -(batch[0] + batch[1]) / max(abs(batch[0]), batch[1] * 2)",
        "state′ = v1 + (batch[0] / (batch[1] / batch[0]))²",
        "loss = sum(exp(-batch[1]))",
    )


def test_a_formula_computes_what_the_step_does() -> None:
    """The text of the kernel that updates θ, run as Python, gives the next θ."""
    model = dlarray.mlp(5, 4, 3)
    step, state, batch = dlarray.first_step(model, X, T, batch_size=8)
    work = next(work for work in explain(step, state, batch).description.works if "theta′ = " in str(work.formulas))
    known = {"theta": state["theta"][0], **{f"optimizer.{k}": v for k, v in state["optimizer"][0].items()}}
    known["steps"] = state["steps"]
    known["gradient"] = model.loss_and_gradient(state["theta"], X, T, step.loss)[1][0]
    functions: dict[str, Any] = {"float32": np.float32, "expm1": np.expm1, "sqrt": np.sqrt}

    def python_of(word: re.Match[str]) -> str:
        return word[0] if word[0] in functions else f"known[{word[0]!r}]"

    for line in work.formulas:
        target, _, formula = line.partition(" = ")
        known[target] = eval(re.sub(r"(?<![\d.])[A-Za-z][\w.]*′?", python_of, formula), functions | {"known": known})
    expected = step(state, batch)[0]["theta"][0]
    # The text has numbers with six digits, 5e-6 of each; the two logarithms do not increase that error.
    np.testing.assert_allclose(known["theta′"], expected, rtol=1e-5)


def test_parts_and_next_values_of_buffers_have_names_of_their_own() -> None:
    model = dlarray.MLP(5, [dlarray.Dense(4), dlarray.BatchNorm(), "tanh", dlarray.Dense(3)])
    lines = [f for a in (1, 2) for w in _of(model, a).works for f in w.formulas]
    assert "buffers′ = concat(1.mean′, 1.variance′)" in lines
    assert any(line.startswith("gradient#2 = concat(0.dW#2, ") for line in lines)
    assert any(line.startswith("0.xW = x[0:4] @ 0.W") for line in lines)
    assert not any("dmean" in line for line in lines)


def _of(model: dlarray.MLP, accumulate: int) -> Any:
    return explain(*dlarray.first_step(model, X, T, batch_size=8, accumulate=accumulate)).description


# Ways to call it


def test_a_compiled_step_is_explained_with_and_without_arrays() -> None:
    step, state, batch = dlarray.first_step(dlarray.mlp(5, 4, 3), X, T, batch_size=8)
    plain = str(explain(step, state, batch))
    compiled = plan(step)
    with pytest.raises(ValueError, match="has not run yet: run it once"):
        explain(compiled)
    assert str(explain(compiled, state, batch)) == plain
    assert not compiled.programs, "explaining runs nothing"
    compiled(state, batch)
    assert str(explain(compiled)) == plain
    assert str(compiled.describe(Names())).startswith(plain.splitlines()[0])


def test_explaining_changes_nothing() -> None:
    step, state, batch = dlarray.first_step(dlarray.mlp(5, 4, 3), X, T)
    leaves: list[np.ndarray] = []
    flatten((state, batch), leaves)
    before = [leaf.copy() for leaf in leaves]
    explain(step, state, batch)
    assert all(np.array_equal(a, b) for a, b in zip(before, leaves, strict=True))


def test_what_has_no_plan_is_an_error_with_a_remedy() -> None:
    def by_value(state: Any, batch: Any) -> Any:
        return state, batch if batch[0] > 0 else -batch

    with pytest.raises(ValueError, match="runs eagerly, because it cannot be traced: .*use where"):
        explain(by_value, (), array(3))
    compiled = plan(by_value)
    with pytest.warns(PlannerWarning):
        compiled((), array(3))
    with pytest.raises(ValueError, match="has no plan and runs eagerly; the PlannerWarning"):
        explain(compiled)
    with pytest.raises(TypeError, match="needs the state and the batch"):
        explain(layer)
    with pytest.raises(TypeError, match="needs arrays in the state or the batch: they tell the shapes"):
        explain(layer, (), ())


def test_tensors_on_the_cpu_have_the_plan_of_numpy() -> None:
    torch = pytest.importorskip("torch")
    model = dlarray.mlp(5, 4, 3)
    numpy, tensors = (dlarray.first_step(model, X, T, device=device) for device in ("cpu", "torch"))
    assert isinstance(tensors[1]["theta"][0], torch.Tensor)
    assert str(explain(*tensors)) == str(explain(*numpy))
    compiled = dlarray.device.backend.get("torch").compile(tensors[0])
    compiled(*tensors[1:])
    assert str(explain(compiled)) == str(explain(*numpy))


@pytest.mark.parametrize(
    ("device", "why"),
    [("strict", "when it is called"), ("jax", r"XLA compiles them.*as_text\(\)")],
)
def test_a_library_without_dlarray_s_planner_says_what_compiles_instead(device: str, why: str) -> None:
    pytest.importorskip({"strict": "array_api_strict"}.get(device, device))
    given = dlarray.first_step(dlarray.mlp(5, 4, 3), X, T, device=device)
    with pytest.raises(ValueError, match=f"no steps of the backend {device}: .*{why}.*device='cpu'"):
        explain(*given)


def test_first_step_is_the_one_that_fit_begins_with() -> None:
    model = dlarray.mlp(5, 4, 3)
    step, state, batch = dlarray.first_step(model, X, T, optimizer="momentum", batch_size=8, seed=3)
    one = dlarray.fit(
        model, X, T, optimizer="momentum", batch_size=8, seed=3, epochs=1, shuffle=False, compile=False, progress=False
    )
    state, loss = step(state, batch)
    np.testing.assert_array_equal(state["theta"][0], one.theta[0])
    assert float(loss) == one.history.steps[0]
    assert dlarray.first_step(model, X, T, batch_size=None)[2][0].shape == (8, 5)
    with pytest.raises(ValueError, match="batch_size"):
        dlarray.first_step(model, X, T, batch_size=-1)


def test_units() -> None:
    assert [bytes_text(n) for n in (0, 999, 1000, 1_234_567, 10**9)] == ["0 B", "999 B", "1 kB", "1.235 MB", "1 GB"]
    assert flops_text(2_500_000) == "2.5 Mflop"


# Text, HTML and data


def test_an_explanation_is_one_line_and_a_table_in_a_notebook() -> None:
    found = layers()
    assert repr(found) == f"Explanation({str(found).splitlines()[0]})"
    assert repr(found).startswith("Explanation(5 products, ")
    html = found._repr_html_()
    assert html.count("<tr>") == len(layers().description.works) + 1
    assert ">0.xW = x @ 0.W</td>" in html
    assert "target" in html
    assert "== column" in html
    assert "v2 < 0" not in html  # signs are escaped
