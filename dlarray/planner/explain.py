"""What a plan does, in words: products, kernels with their formulas, eager calls, memory, bytes and operations."""

from __future__ import annotations

from collections.abc import Iterator

from dlarray.planner.compiled import Program
from dlarray.planner.grouping import Unit
from dlarray.planner.lowering import Body
from dlarray.planner.memory import Plan
from dlarray.planner.node import Node, root
from dlarray.planner.notation import INFIX

__all__ = ["explain", "flops", "formulas", "traffic"]

_AXIS = {"row": "of each row", "column": "of each column", "all": "of all"}


def explain(program: Program) -> str:
    """A program as a text: what is done, in order, and where everything lies."""
    plan = program.plan
    lines = [_summary(plan), ""]
    for i, unit in enumerate(plan.units, 1):
        lines.append(f"{i:3}. {_title(plan, unit)}")
        if unit.is_group:
            lines += [f"       {line}" for line in formulas(plan.bodies[unit])]
        lines += [
            f"       → {_name(node)} {node.dtype}{list(node.shape)} {_where(plan, node)}" for node in unit.outputs
        ]
    return "\n".join(lines)


def flops(plan: Plan, unit: Unit) -> int:
    """Arithmetic operations of a unit: two for each multiply and add of a product, one for each of a kernel."""
    node = unit.outputs[0]
    if unit.op == "matmul":
        return 2 * node.args[0].size * node.shape[1]
    if not unit.is_group:
        return 0
    return sum(max(n.size, n.args[0].size if n.args else 0) for n in plan.bodies[unit].operations)


def traffic(plan: Plan, unit: Unit) -> int:
    """The bytes that a unit reads and writes, each array once."""
    read = plan.bodies[unit].inputs if unit.is_group else unit.outputs[0].args
    return sum(n.nbytes for n in (*read, *unit.outputs))


def formulas(body: Body) -> list[str]:
    """One line for each output, and for each value that is used more than once."""
    kernel = body.kernel
    uses = [0] * (kernel.first + len(kernel.operations))
    for op in kernel.operations:
        for a in op.args:
            uses[a] += 1
    names = [_name(n) for n in body.inputs] + [f"{c:.6g}" if isinstance(c, float) else str(c) for c in body.constants]
    lines: list[str] = []
    for value, (op, node) in enumerate(zip(kernel.operations, body.operations, strict=True), kernel.first):
        args = [names[a] for a in op.args]
        if op.over:
            text = f"{op.name}({_bare(args[0])} {_AXIS[op.over]})"
        elif op.name in INFIX:
            text = f"({args[0]} {INFIX[op.name]} {args[1]})"
        else:
            text = f"{op.dtype if op.name == 'astype' else op.name}({', '.join(map(_bare, args))})"
        if uses[value] > 1 or value in kernel.outputs or len(text) > 100:
            lines.append(f"{_name(node)} = {_bare(text)}")
            text = _name(node)
        names.append(text)
    return lines


def _bare(text: str) -> str:
    """An expression without the parentheses around the whole of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text


def _summary(plan: Plan) -> str:
    groups = [u for u in plan.units if u.is_group]
    products = [u for u in plan.units if u.op == "matmul"]
    calls = [u for u in plan.units if u.op == "call"]
    fused = sum(len(plan.bodies[u].operations) for u in groups)
    moved = sum(traffic(plan, u) for u in plan.units)
    work = sum(flops(plan, u) for u in plan.units)
    in_products = sum(flops(plan, u) for u in products)
    in_place = sum(plan.written(i) for i in plan.donated)
    return "\n".join(
        [
            f"{len(products)} products, {len(groups)} kernels of {fused} operations together, {len(calls)} eager calls",
            f"{work / 1e6:.4g} million operations, {in_products / max(work, 1):.1%} of them in products",
            f"{_bytes(moved)} read and written",
            f"{len(plan.buffers)} buffers of {_bytes(sum(plan.buffers))}, where one for each value would need "
            f"{_bytes(plan.unshared + _wholes(plan))}",
            f"{in_place} of {len(plan.donated)} arrays of the state are written where they lie, the others are copied",
        ]
    )


def _wholes(plan: Plan) -> int:
    return sum(u.outputs[0].nbytes for u in plan.units if u.op == "concat")


def _title(plan: Plan, unit: Unit) -> str:
    node = unit.outputs[0]
    cost = f"{flops(plan, unit) / 1e6:.3g} Mflop, {_bytes(traffic(plan, unit))}"
    if unit.is_group:
        body = plan.bodies[unit]
        rows, cols = body.domain
        again = f", {body.kernel.sweeps} sweeps" if body.kernel.sweeps > 1 else ""
        return f"kernel over {rows} × {cols}{again}: {len(body.operations)} operations in one, {cost}"
    arguments = ", ".join(f"{_name(a)} {list(a.shape)}" for a in node.args)
    if unit.op == "matmul":
        return f"product {arguments}, {cost}"
    if unit.op == "concat":
        return f"concatenation of {len(node.args)} parts, of which {sum(_copied(plan, node))} are copied"
    return f"eager call of {getattr(node.attribute.function, '__name__', 'a function')} with {arguments}"


def _copied(plan: Plan, whole: Node) -> Iterator[bool]:
    for part in whole.args:
        place = plan.places.get(root(part))
        yield part.op not in ("full", "index") and (
            place is None or (place.kind, place.number) != ("slice", whole.number)
        )


def _where(plan: Plan, node: Node) -> str:
    place = plan.places[node]
    if place.kind == "input":
        return f"in place, in input {place.number}"
    return f"in slice {place.start} of %{place.number}" if place.kind == "slice" else f"in buffer {place.number}"


def _name(node: Node) -> str:
    """A value's number, or what it is a view of: the step's inputs have no names."""
    base = root(node)
    return f"{'input ' if base.op == 'input' else '%'}{base.attribute if base.op == 'input' else base.number}" + (
        "" if base is node else "[…]"
    )


def _bytes(n: int) -> str:
    return f"{n / 1e6:.4g} MB" if n >= 1e6 else f"{n / 1e3:.4g} kB"
