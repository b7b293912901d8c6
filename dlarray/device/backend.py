"""The interface of a backend, and how backends are found.

A backend describes one array library to dlarray: its namespace, its devices, and transfers from and to the host. It is
a package that is listed in the entry-point group ``dlarray.backends`` and has an instance named ``backend``. A backend
is imported when it is first needed, and it imports its library when it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar

import numpy as np

from dlarray.core.array import Array, is_array, root_module
from dlarray.core.check import did_you_mean
from dlarray.core.trees import leaves
from dlarray.device.description import Description, Names
from dlarray.device.timing import Timings

__all__ = ["Backend", "HostBatch", "get", "importable", "names", "of", "of_any"]

GROUP = "dlarray.backends"
HostBatch = tuple[np.ndarray | None, ...]
_logger = logging.getLogger("dlarray")


class Backend:
    """One array library. The first seven members must be defined; the others have defaults that work everywhere.

    A *handle* is the library's own object for a device, as ``handle()`` returns it.
    """

    name: ClassVar[str]
    """What users write before the colon, such as ``torch`` in ``torch:cuda:0``, and the name of its entry point."""

    array_modules: ClassVar[tuple[str, ...]]
    """The first parts of the modules of its array types, such as ``("jax", "jaxlib")``: they identify its arrays."""

    def namespace(self) -> Any:
        """The array-API namespace, which formulas get as ``xp``. Raises ImportError if the library is missing."""
        raise NotImplementedError

    def devices(self) -> list[str]:
        """The names of its devices, the default device first. The name of a CPU begins with "cpu".

        Raises what the library raises if it cannot be used.
        """
        raise NotImplementedError

    def handle(self, device: str) -> Any:
        """The handle of a device by its name. Raises ValueError if there is none."""
        raise NotImplementedError

    def asarray(self, host: np.ndarray, handle: Any) -> Array:
        """A new array on the device with the numbers of ``host``, which is contiguous and in native byte order."""
        raise NotImplementedError

    def to_numpy(self, x: Array) -> np.ndarray:
        """The numbers of an array on the host, as a copy or a view."""
        raise NotImplementedError

    # How the backend is named and found

    short_names: ClassVar[tuple[str, ...]] = ()
    """Device names that mean this backend without its name, such as "cpu" for NumPy and "cuda" for CuPy."""

    requirement: ClassVar[str] = ""
    """What ``pip install`` needs to install the library. Shown if an import fails."""

    device_hint: ClassVar[str] = ""
    """What its devices need besides the library, such as a driver. Shown if the library is there and a device fails."""

    auto_rank: ClassVar[int | None] = None
    """The order in which the device ``auto`` tries the accelerators of backends, the lowest first; None: never."""

    def version(self) -> str:
        """The version of the library, by default ``__version__`` of the namespace. Shown by ``dlarray devices``."""
        return str(getattr(self.namespace(), "__version__", "unknown"))

    # Arrays

    writes_in_place: ClassVar[bool] = True
    """Whether arrays can be written. Then θ is one vector with views, otherwise one vector for each parameter."""

    uses_numpy_arrays: ClassVar[bool] = False
    """Whether its arrays are those of NumPy, so host arrays are used without a conversion."""

    shares_host_memory: ClassVar[bool] = False
    """Whether NumPy reads its arrays on the host through ``numpy.asarray``, and refuses those on other devices.

    The estimators then take such arrays for a model on the host.
    """

    def device_of(self, x: Array) -> str:
        """The name of an array's device, as ``devices()`` writes it; by default the first device."""
        return self.devices()[0]

    def to_device(self, x: Array, handle: Any) -> Array:
        """An array on another device of this backend; the same array if it is there. By default via the host."""
        return self.asarray(self.to_numpy(x), handle)

    def csr_matrix(self, host: Any, handle: Any) -> Any:
        """A sparse matrix in CSR format on the device from one of SciPy. It has SciPy's products and slices.

        Called by the estimators for sparse inputs. Raises TypeError if the library has none, which is the default.
        """
        raise TypeError(f"{self.name} has no sparse matrices here: use the device cpu or cuda, or x.toarray()")

    def erfc(self) -> Callable[[Array], Array] | None:
        """The complementary error function of the library; None, the default, uses the formula of dlarray."""
        return None

    def view(self, x: Array, dtype: str) -> Array:
        """The bits of an array as another dtype of the same width, "int32" or "float32"; by default ``x.view``.

        Called for state in bfloat16.
        """
        return x.view(getattr(self.namespace(), dtype))

    def entered(self, handle: Any) -> AbstractContextManager[Any]:
        """A ``with`` block in which operations run on this device and compute in the dtypes of their operands.

        Entered by every function that computes on a device. By default it does nothing: arrays decide both.
        """
        return nullcontext()

    # Transfers, waiting and memory

    def upload(self, batches: Iterable[HostBatch], handle: Any) -> Iterator[tuple[Array | None, ...]]:
        """Batches of host arrays, or None, on the device, in the same order, for ``fit(data="host")``.

        A batch is taken from ``batches`` only when it is needed. The arrays of a batch are valid until the next one is
        requested; everything that reads them is queued by then: a device that works asynchronously needs two sets of
        arrays. By default each batch is sent when it is requested.
        """
        for batch in batches:
            yield tuple(None if x is None else self.asarray(np.ascontiguousarray(x), handle) for x in batch)

    def concat_to_numpy(self, arrays: Sequence[Array]) -> np.ndarray:
        """Scalars and vectors of one dtype on one device as one vector on the host, in one transfer.

        Called once an epoch for the losses. By default the arrays are concatenated on the device.
        """
        xp = self.namespace()
        return self.to_numpy(xp.concat([xp.reshape(x, (-1,)) for x in arrays]))

    def synchronize(self, handle: Any) -> None:
        """Wait until all queued work on the device is done. Called when time is measured. By default nothing."""

    def memory(self, handle: Any) -> tuple[int, int] | None:
        """The bytes that new arrays can take now, and all of the device; None, the default, if they are unknown."""
        return None

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an error of the library means too little memory; by default, whether it is a MemoryError."""
        return isinstance(error, MemoryError)

    # Faster steps

    compiles: ClassVar[bool] = False
    """Whether ``fit`` compiles its steps by default; ``compiles_on`` decides for a device."""

    half_types: ClassVar[tuple[str, ...]] = ()
    """The 16-bit dtypes with fast matrix products, "bfloat16" or "float16": those that ``fit(precision=…)`` takes."""

    compiles_half: ClassVar[bool] = False
    """Whether ``compile`` takes steps with such products."""

    compiler_note: ClassVar[str] = "its library runs every operation when it is called, and there is nothing to show"
    """Why there is no plan to show, for the error of ``explain``; read if ``describe`` is not overridden."""

    def compiles_on(self, handle: Any) -> bool:
        """Whether ``fit`` compiles its steps on this device by default."""
        return self.compiles

    def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """A faster ``step(state, batch) -> (state, loss)``, which may consume the state; by default the step itself.

        State and batch are trees of arrays: dicts, tuples and None. The result can have a method ``bind(state)``, which
        returns a function ``bound(batch) -> loss`` whose attribute ``state`` can be assigned.
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

    def __reduce__(self) -> Any:
        """A backend is copied and pickled by its name."""
        return get, (self.name,)

    def __repr__(self) -> str:
        return f"<backend {self.name}>"


_loaded: dict[str, Backend] = {}
_broken: set[str] = set()


@cache
def _announced() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """The names of the backends that are installed or have been used, in alphabetical order."""
    return sorted({*_announced(), *_loaded})


def get(name: str) -> Backend:
    """The backend of this name. Raises ValueError if there is none.

    Entry points are written when a package is installed. A backend without one is found by the name of its package,
    ``dlarray_<name>``.
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
    """Every backend whose package can be imported; a warning is logged for each of the others, once."""
    for name in names():
        if name not in _loaded and name not in _broken:
            try:
                get(name)
            except Exception as error:
                _broken.add(name)
                _logger.warning("the backend %r cannot be imported: %s: %s", name, type(error).__name__, error)
    return [_loaded[name] for name in names() if name in _loaded]


def of(x: Array) -> Backend:
    """The backend of an array. Raises TypeError if no backend knows its library."""
    root = root_module(x)
    for backend in importable():
        if root in backend.array_modules:
            return backend
    given = f"{type(x).__module__}.{type(x).__qualname__}"
    raise TypeError(f"no backend knows arrays of type {given}; known are {', '.join(names())}")


def of_any(tree: Any) -> Backend | None:
    """The backend of the first array in a tree; None if there is no array."""
    return next((of(leaf) for leaf in leaves(tree) if is_array(leaf)), None)
