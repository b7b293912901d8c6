"""What a backend is, and how one is found.

A backend tells dlarray of one array library: its namespace, its devices, the way in and out. It is a package that
announces itself through the entry-point group ``dlarray.backends`` and holds an instance named ``backend``. Nothing
here imports one until it is asked for, and a backend imports its library only when it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dlarray.core.array import Array, is_array, root_module
from dlarray.core.check import did_you_mean
from dlarray.core.trees import leaves
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings

__all__ = ["Backend", "HostBatch", "get", "host_memory", "importable", "names", "of", "of_any"]

GROUP = "dlarray.backends"
HostBatch = tuple[np.ndarray | None, ...]
_logger = logging.getLogger("dlarray")


class Backend:
    """One array library. The first seven names are required; the rest work everywhere as they stand."""

    name: ClassVar[str]
    """What users write before the colon: ``torch:cuda:0``."""

    array_modules: ClassVar[tuple[str, ...]]
    """The root modules of its array types, so that an array's backend can be told: ``("jax", "jaxlib")``."""

    def namespace(self) -> Any:
        """The array-API namespace. Raises ImportError where the library is not installed."""
        raise NotImplementedError

    def devices(self) -> list[str]:
        """The names of its devices, the default one first. Raises what the library raises where it cannot be used."""
        raise NotImplementedError

    def handle(self, device: str) -> Any:
        """The library's own object for a device of that name. Raises ValueError where there is none."""
        raise NotImplementedError

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        """A new array on the device with the numbers of a host array, contiguous and in native order: the way in."""
        raise NotImplementedError

    def upload(self, batches: Iterable[HostBatch], handle: Any) -> Iterator[tuple[Array | None, ...]]:
        """Batches of host arrays, or None, on the device, in the same order, and none fetched before it is asked for.

        What a batch holds is the caller's until the next one is asked for; by then all that reads it must be queued. So
        a backend whose device works while the program goes on may use the same memory for every other batch.
        """
        for batch in batches:
            yield tuple(None if x is None else self.asarray(np.ascontiguousarray(x), handle) for x in batch)

    def to_numpy(self, x: Array) -> np.ndarray:
        """The numbers of an array on the host: the way out."""
        raise NotImplementedError

    short_names: ClassVar[tuple[str, ...]] = ()
    """Device names that mean this backend without naming it: "cpu" is NumPy's, "cuda" CuPy's."""

    requirement: ClassVar[str] = ""
    """The argument of ``pip install`` that brings the library."""

    device_hint: ClassVar[str] = ""
    """What its devices need besides the library, in words for somebody whose device does not work."""

    auto_rank: ClassVar[int | None] = None
    """The order in which ``auto`` asks for an accelerator, the lowest first; None is never chosen."""

    writes_in_place: ClassVar[bool] = True
    """Whether arrays can be written, so that θ is one vector with views instead of a vector per parameter."""

    uses_numpy_arrays: ClassVar[bool] = False
    """Whether its arrays are NumPy's own, so that host arrays are used without a conversion."""

    shares_host_memory: ClassVar[bool] = False
    """Whether NumPy reads its arrays on the host without being asked, and refuses those on other devices."""

    compiles: ClassVar[bool] = False
    """Whether ``fit`` compiles its step without being asked to; ``compiles_on`` may say no for some devices."""

    half_types: ClassVar[tuple[str, ...]] = ()
    """The types of 16 bits whose matrix products the library computes at speed: "bfloat16", "float16"."""

    compiles_half: ClassVar[bool] = False
    """Whether ``compile`` takes steps with such products in them."""

    compiler_note: ClassVar[str] = "its library runs every operation as it is called, and there is nothing to show"
    """What runs a step where dlarray's planner does not, in words for somebody who asks for a plan."""

    def csr_matrix(self, host: Any, handle: Any) -> Any:
        """A sparse matrix by rows on the device, from SciPy's on the host. It has products and slices, as SciPy's has.

        Raises TypeError where the library has none.
        """
        raise TypeError(f"{self.name} has no sparse matrices here: use the device cpu or cuda, or x.toarray()")

    def concat_to_numpy(self, arrays: Sequence[Array]) -> np.ndarray:
        """Numbers and vectors, all of one type on one device, as one vector on the host: one transfer and one wait."""
        xp = self.namespace()
        return self.to_numpy(xp.concat([xp.reshape(x, (-1,)) for x in arrays]))

    def to_device(self, x: Array, handle: Any) -> Array:
        """An array of this backend on another of its devices; the same array where it lies there already."""
        return self.asarray(self.to_numpy(x), handle)

    def device_of(self, x: Array) -> str:
        """The name of the device on which an array lies, as ``devices()`` spells it."""
        return self.devices()[0]

    def erfc(self) -> Callable[[Array], Array] | None:
        """The library's own complementary error function; None where it has none, and dlarray's formula serves."""
        return None

    def view(self, x: Array, dtype: str) -> Array:
        """The bits of an array read as another dtype of the same width: "int32" or "float32"."""
        return x.view(getattr(self.namespace(), dtype))

    def without_autocast(self, handle: Any) -> AbstractContextManager[None]:
        """A ``with`` block in which operations compute in the types of their operands, as they do by default."""
        return nullcontext()

    def synchronize(self, handle: Any) -> None:
        """Wait until everything queued on the device is done."""

    def memory(self, handle: Any) -> tuple[int, int] | None:
        """The bytes that new arrays on a device may take now, and those that it has; None where nobody knows."""
        return None

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether this error of the library's means that memory did not suffice."""
        return isinstance(error, MemoryError)

    def compiles_on(self, handle: Any) -> bool:
        """Whether ``fit`` compiles its step on this device without being asked to."""
        return self.compiles

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """A faster ``step(state, batch) -> (state, loss)``; it may consume its first argument."""
        return step

    def repeat(self, step: Callable[..., Any], steps: int) -> Callable[..., tuple[Any, Array]] | None:
        """Up to so many steps in one call, on data that lie on the device; None where that gains nothing.

        ``(state, data, order, start, batch, count) -> (state, losses)``: ``data`` is a batch with all examples in it,
        and step i of ``count`` takes the examples ``order[start + i · batch]`` and those that follow, or where
        ``order``, an int32 vector, is None, those at these places themselves. The state is consumed, the losses are one
        vector.
        """
        return None

    def accelerate(self, function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
        """A faster ``function(fixed, x) -> y`` that consumes nothing; ``fixed`` stays from call to call, as θ does."""
        return function

    def describe(self, step: Callable[..., Any], state: Any, batch: Any, names: Names) -> Description:
        """The plan that ``compile`` makes of a step for such arrays. Raises ValueError where there is none to show."""
        raise ValueError(self._planless())

    def profile(
        self, step: Callable[..., Any], state: Any, batch: Any, names: Names, bursts: int, seconds: float
    ) -> Timings:
        """How long a planned step and each work of it take on copies of such arrays.

        ``bursts`` is how often each is measured, ``seconds`` how long each time. Raises ValueError where there is no
        plan.
        """
        raise ValueError(self._planless())

    def _planless(self) -> str:
        return (
            f"dlarray plans no steps of the backend {self.name}: {self.compiler_note}. "
            "Plans are made for arrays of NumPy: device='cpu'"
        )

    def version(self) -> str:
        """The library's version."""
        return str(getattr(self.namespace(), "__version__", "unknown"))

    def __reduce__(self) -> Any:
        """Copied, and passed to another process, by its name."""
        return get, (self.name,)

    def __repr__(self) -> str:
        return f"<backend {self.name}>"


def host_memory() -> tuple[int, int] | None:
    """``Backend.memory`` of the host: what Linux says can be had without swapping, within a container's limit.

    None on systems without /proc.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        total, free = 1024 * kilobytes["MemTotal"], 1024 * kilobytes["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))  # "max" where there is none
        used = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, StopIteration):
        return free, total
    return max(min(free, limit - used + cached), 0), min(total, limit)


_loaded: dict[str, Backend] = {}
_broken: set[str] = set()


@cache
def _announced() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """The names of the backends that are announced or have been asked for, in alphabetical order."""
    return sorted({*_announced(), *_loaded})


def get(name: str) -> Backend:
    """The backend of this name. Raises ValueError where there is none.

    Entry points are written when a package is installed, so a backend that was added since is looked for by its
    package's name, ``dlarray_<name>``.
    """
    if name not in _loaded:
        module = _announced().get(name, f"dlarray_{name}")
        try:
            _loaded[name] = import_module(module).backend
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise
            known = names()
            raise ValueError(
                f"unknown backend {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}"
            ) from None
    return _loaded[name]


def importable() -> list[Backend]:
    """Every backend but those whose own package fails: one broken plug-in takes no other backend with it."""
    for name in names():
        if name not in _loaded and name not in _broken:
            try:
                get(name)
            except Exception as error:
                _broken.add(name)
                _logger.warning("the backend %r cannot be imported: %s: %s", name, type(error).__name__, error)
    return [_loaded[name] for name in names() if name in _loaded]


def of(x: Array) -> Backend:
    """The backend that an array belongs to. Raises TypeError where no backend knows its library."""
    root = root_module(x)
    for backend in importable():
        if root in backend.array_modules:
            return backend
    given = f"{type(x).__module__}.{type(x).__qualname__}"
    raise TypeError(f"no backend knows arrays of type {given}; known are {', '.join(names())}")


def of_any(tree: Any) -> Backend | None:
    """The backend of the first array in a tree; None if there is no array."""
    return next((of(leaf) for leaf in leaves(tree) if is_array(leaf)), None)
