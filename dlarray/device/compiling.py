"""The part of a backend that makes steps faster: compiling, several steps in one call, plans to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from dlarray.core.array import Array
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings

__all__ = ["Compiling"]


class Compiling:
    """What a backend may say of faster steps; by default steps run as they are."""

    name: ClassVar[str]

    compiles: ClassVar[bool] = False
    """Whether ``fit`` compiles its steps by default; ``compiles_on`` decides for a device."""

    half_types: ClassVar[tuple[str, ...]] = ()
    """The 16-bit dtypes with fast matrix products, "bfloat16" or "float16", for ``fit(precision=…)``."""

    compiles_half: ClassVar[bool] = False
    """Whether ``compile`` takes steps with such products."""

    compiler_note: ClassVar[str] = "its library runs every operation when it is called, and there is nothing to show"
    """Why there is no plan to show, for the error of ``explain``; read if ``describe`` is not overridden."""

    sums_in_plans: ClassVar[bool] = False
    """Whether ``compile`` takes steps with sums over ranks, ``core.ranks.Ranks.sum``; else they run eagerly."""

    def compiles_on(self, handle: Any) -> bool:
        """Whether ``fit`` compiles its steps on this device by default."""
        return self.compiles

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """A faster ``step(state, batch) -> (state, loss)``, which may consume the state; by default the step itself.

        State and batch are trees of arrays: dicts, tuples and None. The result can have a method ``bind(state)`` that
        returns ``bound(batch) -> loss``, whose attribute ``state`` can be assigned. Estimators keep it for the next
        training if it has ``release()``, which lets go of the latest batches and returns the bytes that stay.
        """
        return step

    def repeat(self, step: Callable[..., Any], steps: int) -> Callable[..., tuple[Any, Array]] | None:
        """A function for up to ``steps`` steps in one call, on data on the device; None, the default, if it has none.

        ``step`` can be what ``compile`` has made of it. The function is ``(state, data, order, start, batch, count) ->
        (state, losses)``: ``data`` is a batch of all examples, ``order`` a vector of int32 or None. Step i of ``count``
        takes the ``batch`` examples ``order[start + i · batch]`` and following, without an order the examples at these
        positions. It consumes the state. It does as many steps as there are losses in the vector: at most ``count``,
        and none if they must be done one by one.
        """
        return None

    def steps_per_execution(self, handle: Any) -> int:
        """How many compiled steps ``fit`` does in one call of ``repeat`` by default; 1, the default: each alone."""
        return 1

    def accelerate(self, function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
        """A faster ``function(fixed, x) -> y``, for predictions; by default the function itself.

        It consumes nothing. ``fixed``, such as θ, is the same from call to call.
        """
        return function

    def describe(self, step: Callable[..., Any], state: Any, batch: Any, names: Names) -> Description:
        """The plan that ``compile`` makes of a step for such arrays. Raises ValueError if there is none.

        Called by ``explain``, and by ``memory_estimate`` on devices where steps are compiled.
        """
        raise ValueError(self._planless())

    def profile(
        self, step: Callable[..., Any], state: Any, batch: Any, names: Names, bursts: int, seconds: float
    ) -> Timings:
        """The times of a planned step and of each part of it on copies of such arrays, for ``dlarray bench --profile``.

        Each is measured ``bursts`` times, for ``seconds`` each time. Raises ValueError if there is no plan.
        """
        raise ValueError(self._planless())

    def _planless(self) -> str:
        return (
            f"dlarray plans no steps of the backend {self.name}: {self.compiler_note}. "
            "Steps are planned on device='cpu' and device='torch'"
        )
