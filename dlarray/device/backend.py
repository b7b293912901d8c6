"""The interface of a backend; ``dlarray.backend`` is its public name.

A backend describes one array library to dlarray: its namespace, its devices, and transfers from and to the host.
``core.libraries`` finds backends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, cast

import numpy as np

from dlarray.core.array import Array, is_array
from dlarray.core.libraries import get, library_of, names, version_of
from dlarray.core.libraries import importable as importable
from dlarray.core.ranks import Ranks
from dlarray.core.trees import leaves
from dlarray.device.compiling import Compiling

__all__ = ["Backend", "HostBatch", "of", "of_any"]

HostBatch = tuple[np.ndarray | None, ...]


class Backend(Compiling):
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
        """The version of the installed package that has the first of ``array_modules``. Shown by ``dlarray devices``.

        If no package has it, ``__version__`` of this module, or "unknown".
        """
        root = self.array_modules[0]
        return version_of(root) or str(getattr(sys.modules.get(root), "__version__", "unknown"))

    # What its library does; every claim has its check in ``dlarray.testing``

    standard: ClassVar[bool] = True
    """Whether its arrays have a namespace and a device by the standard, or array_api_compat knows them.

    Otherwise dlarray asks the backend: ``namespace`` for the namespace, ``device_of`` and ``handle`` for the device.
    Objects of ``array_modules`` that have a shape and a dtype are arrays. So no class of the library is patched.
    """

    lazy: ClassVar[bool] = False
    """Whether operations are only recorded, and ``settle`` computes them."""

    int32_wraps: ClassVar[bool] = True
    """Whether products of int32 wrap modulo 2³². Random numbers on the device need it, such as Dropout's masks."""

    bit_operations: ClassVar[bool] = True
    """Whether int32 arrays have ``&``, ``^``, ``<<`` and ``>>`` with arrays and Python ints. They need it too."""

    exact_float64: ClassVar[bool] = True
    """Whether float64 is computed in 64 bits."""

    def settle(self, tree: Any) -> Any:
        """The same tree of dicts, tuples and None with its arrays computed, for lazy libraries; by default itself.

        Called after each step and after metrics and predictions: a graph that grows from step to step would be computed
        again from its beginning.
        """
        return tree

    def computations(self) -> AbstractContextManager[Sequence[object]]:
        """A ``with`` block whose list gets an entry each time that a lazy library computes.

        ``dlarray.testing`` shows by it that a step only records, and that settled arrays are not computed again. By
        default it gives an empty tuple: the library cannot tell. Then only reads of values are seen.
        """
        return nullcontext(())

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
        """The bits as "int32" or "float32", of the same width, for state in bfloat16; by default ``x.view``.

        Raises TypeError if the arrays have no method ``view``.
        """
        if not hasattr(x, "view"):
            raise TypeError(f"arrays of {self.name} have no method view, and its backend defines none: give it one")
        return x.view(getattr(self.namespace(), dtype))

    def entered(self, handle: Any) -> AbstractContextManager[Any]:
        """A ``with`` block in which operations run on this device and compute in the dtypes of their operands.

        Entered by every function that computes on a device. By default it does nothing: arrays decide both.
        """
        return nullcontext()

    def allowing(self, dtype: str) -> AbstractContextManager[Any]:
        """A ``with`` block in which arrays of this floating-point dtype can be made; by default they always can.

        Entered by ``dlarray.testing`` for each column, so that one process checks both dtypes of a library whose
        float64 is a setting, such as JAX.
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

    # Several processes

    def ranks(self, host: Ranks, handle: Any) -> Ranks:
        """The ranks whose sums of arrays on this device are the fastest; by default ``host`` itself.

        ``host`` sends arrays through the memory of the host. The result can use it to exchange small data, and for all
        that it does not do itself. All ranks call this at the same time.
        """
        return host

    def __reduce__(self) -> Any:
        """A backend is copied and pickled by its name."""
        return get, (self.name,)

    def __repr__(self) -> str:
        return f"<backend {self.name}>"


def of(x: Array) -> Backend:
    """The backend of an array. Raises TypeError if no backend knows its library."""
    if (found := library_of(x)) is not None:
        return cast("Backend", found)
    given = f"{type(x).__module__}.{type(x).__qualname__}"
    raise TypeError(f"no backend knows arrays of type {given}; known are {', '.join(names())}")


def of_any(tree: Any) -> Backend | None:
    """The backend of the first array in a tree; None if there is no array."""
    return next((of(leaf) for leaf in leaves(tree) if is_array(leaf)), None)
