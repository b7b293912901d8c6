"""The picture of a plan: its work from top to bottom, the bytes moved, and the lifetime of each value in memory.

Each kind of work has a hatch and a name as well as a colour, so colour is not needed to understand the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlarray.device.description import Description, Value, Work, bytes_text, flops_text
from dlarray.plot.canvas import BLUE, GREEN, GREY, ORANGE, PINK, SKY, pyplot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plan_picture"]

_COLOURS = {"product": BLUE, "kernel": ORANGE, "concatenation": GREY, "communication": PINK, "call": GREEN}
_HATCHES = {"product": "", "kernel": "//", "concatenation": "..", "communication": "\\\\", "call": "xx"}
_ROW = 0.52  # inches
_CHARACTERS, _SHORT = 62, 10


def plan_picture(plan: Description) -> Figure:
    """The plan's work in order, the bytes that each work moves, and the lifetime of each value in its memory.

    A lifetime begins with a dot, at the work that writes the value; arguments of the step begin at the top. A triangle
    marks each work that reads the value. Single numbers are not drawn.
    """
    plt = pyplot()
    values = [value for value in plan.values if value.nbytes > 8]
    columns = sorted({value.memory for value in values})
    n = len(plan.works)
    sizes = (5.6, 2.6, 0.66 * max(len(columns), 3))
    figure: Any = plt.figure(figsize=(sum(sizes) + 0.4, _ROW * n + 2.0), layout="constrained")
    work, traffic, memory = figure.subplots(1, 3, sharey=True, width_ratios=sizes)
    _draw_work(work, plan)
    _draw_traffic(traffic, plan)
    for column, number in enumerate(columns):
        held = [value for value in values if value.memory == number]
        _draw_memory(memory, column, plan.memories[number].name, held, n)
    memory.set_xlim(-0.6, max(len(columns), 3) - 0.4)
    labels = [f"{plan.memories[i].name}\n{bytes_text(plan.memories[i].nbytes)}" for i in columns]
    memory.set_xticks(range(len(columns)), labels, rotation=90, fontsize=8)
    memory.set_title("Memory: ● written, ▸ read", fontsize=10)
    work.set_ylim(n - 0.4, -0.6)
    figure.suptitle("\n".join(plan.summary().splitlines()[:4]), fontsize=10)
    return figure


def _draw_work(axes: Any, plan: Description) -> None:
    """A box for each work, with its number, its title and one formula."""
    for i, work in enumerate(plan.works):
        colour = _COLOURS[work.kind]
        axes.add_patch(_box(0, i - 0.42, 1, 0.84, facecolor="white", edgecolor=colour, linewidth=1.2))
        axes.add_patch(_box(0, i - 0.42, 0.02, 0.84, facecolor=colour, edgecolor=colour))
        axes.text(0.035, i - 0.16, f"{i + 1}  {work.title}", fontsize=8, va="center", weight="bold")
        written = [value for value in plan.values if value.written == i]
        axes.text(0.035, i + 0.2, _formula(work, written), fontsize=8, va="center", family="monospace")
    axes.set_xlim(0, 1)
    axes.set_title("The plan, in order", fontsize=10)
    axes.set_axis_off()


def _formula(work: Work, written: list[Value]) -> str:
    """The formula that is shown for a work: that of its largest result, the last one if several are equal."""
    if not written:
        return work.formulas[0]
    result = max(reversed(written), key=lambda value: value.nbytes)
    formula = next(line for line in reversed(work.formulas) if line.startswith(f"{result.name} = "))
    more = f"  … {len(work.formulas)} formulas" if len(work.formulas) > 1 else ""
    room = _CHARACTERS - len(more)
    return (formula if len(formula) <= room else formula[: room - 1] + "…") + more


def _draw_traffic(axes: Any, plan: Description) -> None:
    """A bar for the bytes that each work moves, and its operations as text."""
    most = max((work.nbytes for work in plan.works), default=1) or 1
    seen: set[str] = set()
    for i, work in enumerate(plan.works):
        label = "" if work.kind in seen else work.kind
        seen.add(work.kind)
        axes.barh(
            i + 0.12,
            work.nbytes / most,
            0.34,
            color=_COLOURS[work.kind],
            hatch=_HATCHES[work.kind],
            edgecolor="white",
            linewidth=0,
            label=label,
        )
        words = f"{bytes_text(work.nbytes)}, {flops_text(work.flops)}: {work.intensity:.3g} flop/B"
        axes.text(0, i - 0.22, words, fontsize=8, va="center")
    axes.set_xlim(0, 1.02)
    axes.set_title("Bytes read and written", fontsize=10)
    axes.set_xticks([0, 1], ["0", bytes_text(most)], fontsize=8)
    axes.tick_params(left=False, labelleft=False)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.03), ncols=2, fontsize=8, frameon=False)


def _draw_memory(axes: Any, column: int, name: str, values: list[Value], n: int) -> None:
    """The lifetimes of the values in one memory."""
    for k, value in enumerate(sorted(values, key=_start)):
        start = _start(value)
        stop = n - 0.5 if value.leaves else max(value.read, default=start)
        colour = SKY if k % 2 else BLUE
        axes.plot([column, column], [start, stop], color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt")
        if value.written is not None:
            axes.plot(column, value.written, "o", color=colour, markersize=5)
        axes.plot(
            [column + 0.1] * len(value.read), list(value.read), ">", color="black", markersize=4, linestyle="none"
        )
    for start in {_start(value) for value in values}:
        words = [value.name for value in values if _start(value) == start and value.name.rstrip("′") != name]
        if words:
            text = words[0] if len(words) == 1 else f"{words[0]} +{len(words) - 1}"
            text = text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"
            axes.text(column - 0.12, start + 0.28, text, fontsize=8, ha="right", va="center")
    axes.axvline(column, color=GREY, linewidth=0.4, zorder=0)
    axes.tick_params(left=False, labelleft=False)
    axes.spines[["left", "right", "top"]].set_visible(False)


def _start(value: Value) -> float:
    return -0.5 if value.written is None else value.written


def _box(*args: Any, **options: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(args[:2], *args[2:], **options)
