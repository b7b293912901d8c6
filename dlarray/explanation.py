"""``explain``: what happens in a step, as text, as a table in a notebook and as a picture.

print(dlarray.explain(*dlarray.first_step(model, x, y, batch_size=128)))
dlarray.explain(step, state, batch).plot()
dlarray.explain(compiled)                       what a compiled step that has run is doing
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from dlarray.device import backend as backends
from dlarray.device.description import Description, Names, bytes_text, flops_text
from dlarray.training import Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """The plan of a step. ``print`` shows it, a notebook draws it as a table, ``plot`` as a picture."""

    description: Description
    """The same as data."""

    def __str__(self) -> str:
        return str(self.description)

    def _repr_html_(self) -> str:
        plan = self.description
        head = ("", "work", "formulas", "arithmetic", "bytes", "flop/B", "into")
        rows = ["".join(f"<th>{word}</th>" for word in head)]
        for i, work in enumerate(plan.works):
            cells = (
                str(i + 1),
                escape(work.title),
                "<br>".join(f"<code>{escape(formula)}</code>" for formula in work.formulas),
                flops_text(work.flops),
                bytes_text(work.nbytes),
                f"{work.intensity:.3g}",
                "<br>".join(escape(plan.placed(value)) for value in plan.values if value.written == i),
            )
            rows.append("".join(f'<td style="text-align: left">{cell}</td>' for cell in cells))
        table = "\n".join(f"<tr>{row}</tr>" for row in rows)
        return f"<p>{'<br>'.join(map(escape, plan.summary().splitlines()))}</p>\n<table>\n{table}\n</table>"

    def plot(self) -> Figure:
        """A picture: the work in order, its bytes, and from when to when each value lies in which memory.

        ``dlarray.plot.save`` writes it to a file. Raises ImportError with the remedy where matplotlib is missing.
        """
        from dlarray.plot.plan import plan_picture

        return plan_picture(self.description)


def explain(step: Callable[..., Any], state: Any = None, batch: Any = None) -> Explanation:
    """What is done in ``step(state, batch)``: its products and kernels with their formulas, its memory and its traffic.

    Nothing is run, and nothing in state or batch changes. Operations are counted as two for each term of a product and
    as one for each number that an operation of a kernel computes; bytes are of every array that is read or written,
    once for each product or kernel, whether or not a cache holds it.

    Parameters
    ----------
    step
        Any ``step(state, batch) -> (state, loss)`` in array operations, a ``Step``, or a compiled one.
    state, batch
        The arrays that it would be given. A compiled step that has run may be explained without them.

    Raises
    ------
    ValueError
        Where dlarray does not plan the steps of these arrays' library (JAX has a compiler of its own), or
        where a step cannot be planned.
    TypeError
        Where there is no array in state and batch.
    """
    plain = getattr(step, "step", step)
    if state is None and batch is None:
        describe: Callable[[Names], Description] | None = getattr(step, "describe", None)
        if describe is None:
            raise TypeError("explain needs the state and the batch of a step that dlarray has not compiled")
        return Explanation(describe(_names(plain)))
    backend = backends.of_any((state, batch))
    if backend is None:
        raise TypeError("explain needs arrays in the state or the batch: they say how large all is, and whose it is")
    return Explanation(backend.describe(step, state, batch, _names(plain)))


def _names(step: Any) -> Names:
    return step.names if isinstance(step, Step) else Names()
