"""Which kernels can be computed in the epilogue of a product by cublasLt.

    y = max(x @ W + b, 0)                   the kernel after a product that adds a bias and applies ReLU
    dW = xᵀ @ dz,  db = Σ dz                the sum over the examples of dz, which the product reads anyway
    dz = (y > 0) · (dy @ Wᵀ),  db = Σ dz    the kernel after a product that masks it, and the sum

Whether an epilogue is faster is not known beforehand: each is an ``Option`` that tuning.py measures. Options are found
by the operations of the kernels, so they work for a user's layers too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dlarray.planner.cuda.gpu import Epilogue
from dlarray.planner.schedule.lowering import Body, lower
from dlarray.planner.schedule.memory import Plan
from dlarray.planner.schedule.order import Unit
from dlarray.planner.trace.node import Node, is_dense, root, without_reshapes

__all__ = ["Fused", "Option", "options"]


@dataclass(frozen=True)
class Fused:
    """A product with an epilogue: it has the operands of the unit, and writes ``out``."""

    unit: Unit
    out: Node
    epilogue: Epilogue
    bias: Node | None = None
    """The bias that is added, or the sum that is written."""
    mask: Node | None = None
    """The output of the ReLU whose mask is written or read."""


@dataclass(frozen=True)
class Option:
    """Another way to compute some units: each by what is in ``instead``; by nothing if that is None."""

    name: str
    instead: dict[Unit, Fused | Body | None]


def options(plan: Plan) -> Iterator[Option]:
    """All options, in the order in which they are decided."""
    finder = _Finder(plan)
    yield from finder.forward()
    yield from finder.rectified()
    yield from finder.bias_gradients()


class _Finder:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._position = {unit: i for i, unit in enumerate(plan.units)}
        self._producer = {node: unit for unit in plan.units for node in unit.outputs}
        self._readers: dict[Node, list[Unit]] = {}
        for unit in plan.units:
            for node in plan.reads(unit):
                self._readers.setdefault(node, []).append(unit)
        self._leaving = {root(node) for node in plan.outputs}

    def forward(self) -> Iterator[Option]:
        """x @ W + b, and max(x @ W + b, 0)."""
        for unit, behind, body in self._pairs():
            if (found := _biased(body, unit.outputs[0])) is not None:
                epilogue, bias = found
                fused = Fused(unit, body.outputs[0], epilogue, bias)
                yield Option(f"{epilogue} in the product before it", {unit: None, behind: fused})

    def rectified(self) -> Iterator[Option]:
        """A ReLU whose mask is written by the product of the forward pass and read by that of the backward pass."""
        rectifiers = {
            body.outputs[0]: (unit, behind, found[1])
            for unit, behind, body in self._pairs()
            if (found := _biased(body, unit.outputs[0])) is not None and found[0] == "relu"
        }
        for unit, behind, body in self._pairs():
            if (found := _masked(body, unit.outputs[0])) is None or found[0] not in rectifiers:
                continue
            y, total = found
            there, kernel, bias = rectifiers[y]
            fused = Fused(there, y, "relu with mask", bias, y)
            back = Fused(unit, body.outputs[0], "relu gradient", total, y)
            yield Option(
                "relu and its gradient in the products", {there: None, kernel: fused, unit: None, behind: back}
            )

    def bias_gradients(self) -> Iterator[Option]:
        """db in the product dW = xᵀ @ dz."""
        for unit in self._plan.units:
            if unit.op != "matmul":
                continue
            left, right = unit.outputs[0].args
            dz = without_reshapes(right)
            behind = self._producer.get(dz)
            if behind is None or not behind.is_group or left.op != "permute" or right.op == "permute":
                continue
            body = self._plan.bodies[behind]
            sums = [node for node in body.outputs if _sums(node, dz)]
            if len(sums) != 1 or not self._can_wait(sums[0], unit) or len(body.outputs) == 1:
                continue
            rest = self._without(behind, sums[0])
            fused = Fused(unit, unit.outputs[0], "bias gradient", sums[0])
            yield Option("bias gradient in the product of the weights' gradient", {behind: rest, unit: fused})

    def _pairs(self) -> Iterator[tuple[Unit, Unit, Body]]:
        """Products with the one kernel that reads each, if the product can be computed as late as the kernel."""
        for unit in self._plan.units:
            node = unit.outputs[0]
            readers = self._readers.get(node, [])
            if unit.op != "matmul" or len(readers) != 1 or not readers[0].is_group or node in self._leaving:
                continue
            behind = readers[0]
            body = self._plan.bodies[behind]
            between = self._plan.units[self._position[unit] + 1 : self._position[behind] + 1]
            written = {self._memory(n) for u in between for n in u.outputs}
            if body.domain == node.shape and not written & {self._memory(root(a)) for a in node.args}:
                yield unit, behind, body

    def _memory(self, node: Node) -> object:
        """A key for the memory of a value: equal keys may be the same memory."""
        found = self._plan.locations.get(node)
        if found is None:
            return ("input", int(node.attribute)) if node.op == "input" else node
        return (found.kind, found.number, found.start) if found.kind == "slice" else (found.kind, found.number)

    def _can_wait(self, node: Node, unit: Unit) -> bool:
        """Whether a value can be written as late as by this unit."""
        return all(self._position[reader] > self._position[unit] for reader in self._readers.get(node, []))

    def _without(self, unit: Unit, node: Node) -> Body:
        """A kernel without one of its outputs."""
        fewer = replace(unit, outputs=[n for n in unit.outputs if n is not node])
        return lower(fewer, lambda n: n in self._producer)


def _biased(body: Body, product: Node) -> tuple[Epilogue, Node] | None:
    """The epilogue and the bias of a kernel that computes only product + bias, or max(product + bias, 0)."""
    if len(body.outputs) != 1 or len(body.inputs) != 2:
        return None
    out = body.outputs[0]
    is_relu = out.op == "maximum" and any(_is_zero(a) for a in out.args)
    added = without_reshapes(next((a for a in out.args if not _is_zero(a)), out)) if is_relu else out
    if added.op != "add" or len(body.operations) != (2 if is_relu else 1):
        return None
    operands = [without_reshapes(a) for a in added.args]
    if product not in operands:
        return None
    bias = operands[1 - operands.index(product)]
    if bias.size != product.shape[1] or bias.form[0] != 1 or not is_dense(bias):
        return None
    return ("relu" if is_relu else "bias"), bias


def _masked(body: Body, product: Node) -> tuple[Node, Node | None] | None:
    """(y, db or None) of a kernel that computes only dz = (y > 0) · product, and db, its sum over the rows."""
    dz = body.outputs[0]
    total = next((n for n in body.outputs[1:] if _sums(n, dz)), None)
    if len(body.outputs) != (1 if total is None else 2) or dz.op != "multiply":
        return None
    operands = [without_reshapes(a) for a in dz.args]
    if product not in operands:
        return None
    mask = operands[1 - operands.index(product)]
    asked = without_reshapes(mask.args[0]) if mask.op == "astype" else mask
    if asked.op != "greater" or not _is_zero(asked.args[1]):
        return None
    y = without_reshapes(asked.args[0])
    return (y, total) if y.shape == product.shape and set(body.inputs) == {y, product} else None


def _sums(node: Node, of: Node) -> bool:
    """Whether a value is the sum over the rows of another."""
    return node.op == "sum" and node.attribute == "column" and without_reshapes(node.args[0]) is of


def _is_zero(node: Node) -> bool:
    return without_reshapes(node).op == "full" and without_reshapes(node).attribute == 0
