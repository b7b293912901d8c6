"""``explain``: what one training step computes, as text, as a table in a notebook and as a picture.

print(dlarray.explain(*dlarray.first_step(model, x, y, batch_size=128)))
dlarray.explain(step, state, batch).plot()
dlarray.explain(compiled)                       the plan of a compiled step that has run
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlarray.core.html import html_table
from dlarray.core.keywords import explains_keywords
from dlarray.device import backend as backends
from dlarray.device.backend import Backend
from dlarray.device.description import Description, Names, bytes_text, flops_text
from dlarray.training import Step, Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explanation", "backend_and_names", "explain"]

FIRST_STEP = "that of a model is dlarray.explain(*dlarray.first_step(model, x, y))"
COLUMNS = ("", "work", "formulas", "arithmetic", "bytes", "flop/B", "results")


@dataclass(frozen=True)
class Explanation:
    """The plan of a step. ``print`` shows it as text, a notebook as a table, ``plot`` draws a picture."""

    description: Description
    """The plan as data."""

    def __repr__(self) -> str:
        return f"Explanation({self.description.summary().splitlines()[0]})"

    def __str__(self) -> str:
        return str(self.description)

    def _repr_html_(self) -> str:
        plan = self.description
        rows = [
            (
                str(i + 1),
                work.title,
                "\n".join(work.formulas),
                flops_text(work.flops),
                bytes_text(work.nbytes),
                f"{work.intensity:.3g}",
                "\n".join(plan.placed(value) for value in plan.values if value.written == i),
            )
            for i, work in enumerate(plan.works)
        ]
        return html_table(plan.summary(), COLUMNS, rows)

    def plot(self) -> Figure:
        """A picture: each product and kernel in order, the bytes it moves, and when each memory holds which value.

        ``dlarray.plot.save`` writes it to a file. Raises ImportError, with the remedy, if matplotlib is missing.
        """
        from dlarray.plot.plan import plan_picture

        return plan_picture(self.description)


@explains_keywords(dict.fromkeys(("model", "x", "y"), FIRST_STEP))
def explain(step: Callable[..., Any], state: Any = None, batch: Any = None) -> Explanation:
    """What ``step(state, batch)`` computes: its products and kernels with their formulas, its memory and its traffic.

    The step is not run, and state and batch do not change. An operation of a kernel counts one flop for each number
    that it computes; a product counts two for each term. Bytes are those of every array that is read or written, once
    for each product or kernel, whether or not a cache holds the array.

    Parameters
    ----------
    step
        Any ``step(state, batch) -> (state, loss)`` in array operations, a ``Step``, or a compiled step.
    state, batch
        The arguments of the step. They may be left out for a compiled step that has run.

    Raises
    ------
    ValueError
        If dlarray does not plan the steps of these arrays' library (JAX has its own compiler), or if this step cannot
        be planned.
    TypeError
        If ``step`` is a model or no function, and if there is no array in state and batch.
    """
    if not callable(step):
        remedy = FIRST_STEP.replace("model,", "trained.model,") if isinstance(step, Trained) else FIRST_STEP
        raise TypeError(f"explain takes a step, got {type(step).__name__}: {remedy}")
    if state is None and batch is None:
        describe: Callable[[Names], Description] | None = getattr(step, "describe", None)
        if describe is None:
            raise TypeError("explain needs the state and the batch of a step that dlarray has not compiled")
        return Explanation(describe(_names(step)))
    backend, names = backend_and_names("explain", step, state, batch)
    return Explanation(backend.describe(step, state, batch, names))


def backend_and_names(function: str, step: Callable[..., Any], state: Any, batch: Any) -> tuple[Backend, Names]:
    """The backend of these arrays, and the names of the step's values. Raises TypeError if there is no array."""
    backend = backends.of_any((state, batch))
    if backend is None:
        raise TypeError(f"{function} needs arrays in the state or the batch: they tell the shapes and the library")
    return backend, _names(step)


def _names(step: Callable[..., Any]) -> Names:
    eager = getattr(step, "step", step)  # a compiled step holds the step that it was compiled from
    return eager.names if isinstance(eager, Step) else Names()
