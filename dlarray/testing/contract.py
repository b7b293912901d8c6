"""The contract: what dlarray relies on in a backend and in the arrays of its library.

These checks run first. A check that needs one of them does not run if that one has failed. What a backend states about
itself, such as ``int32_wraps``, is checked in ``capabilities``.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace, device, root_module
from dlarray.core.bfloat16 import decode
from dlarray.device import device_of
from dlarray.device.backend import Backend
from dlarray.testing import capabilities
from dlarray.testing.check import Check, NotApplicable
from dlarray.testing.columns import Column

__all__ = ["BASIC", "checks"]

BASIC = ("arrays", "namespace", "round trip")
"""What every check outside the contract needs: without them no number of the library can be read."""

X = np.array([[0.5, -1.25, 3.0], [-0.0, 1e-3, 7e4]])


def _usable(column: Column) -> None:
    """The device is found by its name, and a small product on it is right."""
    _ = column.target


def _arrays(column: Column) -> None:
    """``asarray`` returns arrays of the backend's library, which ``array_modules`` names, for every dtype and shape."""
    known = column.backend.array_modules
    for values in (X, 0.5, [1], [True]):
        host = column.host(values)
        found = root_module(column.array(values))
        assert found in known, f"asarray of {host.dtype} {host.shape} is of {found!r}, and array_modules is {known}"


def _namespace(column: Column) -> None:
    """Formulas get the namespace that the backend states, and always the same object."""
    stated = column.backend.namespace()
    assert stated is column.backend.namespace(), "namespace() returns another object at each call: keep the first one"
    found = array_namespace(column.array(X))
    assert found is stated, f"array_namespace(x) is {found!r}, and namespace() returns {stated!r}"


def _round_trip(column: Column) -> None:
    """Numbers, NaN and infinities come back from the device as they were."""
    there = np.concatenate([column.host(X).ravel(), column.host([np.nan, np.inf, -np.inf])])
    back = column.numpy(column.array(there))
    assert back.dtype == there.dtype, f"{there.dtype} came back as {back.dtype}"
    assert np.array_equal(back, there, equal_nan=True), f"{there} came back as {back}"


def _negative_zero(column: Column) -> None:
    """-0.0 comes back with its sign."""
    back = column.numpy(column.array([-0.0]))
    assert np.signbit(back[0]), f"-0.0 came back as {back[0]}"


def _no_axes(column: Column) -> None:
    """An array can have the shape ()."""
    _equal(column, column.array(2.5), np.float64(2.5))


def _no_examples(column: Column) -> None:
    """An array can have the shape (0, 5)."""
    _equal(column, column.array(np.zeros((0, 5))), np.zeros((0, 5)))


def _other_dtypes(column: Column) -> None:
    """int32 and bool come back as int32 and bool."""
    for host in (np.asarray([-3, 0, 2**31 - 1], dtype="int32"), np.asarray([True, False])):
        back = column.numpy(column.array(host))
        assert back.dtype == host.dtype, f"{host.dtype} came back as {back.dtype}"
        assert np.array_equal(back, host), f"{host} came back as {back}"


def _to_numpy(column: Column) -> None:
    """``to_numpy`` returns a ``numpy.ndarray``, not a subclass and not a scalar."""
    for x in (column.array(X), column.array(1.0)):
        found = column.backend.to_numpy(x)
        assert type(found) is np.ndarray, f"to_numpy returns a {type(found).__name__}, expected a numpy.ndarray"


def _shape(column: Column) -> None:
    """``x.shape`` has Python ints, and ``x.ndim`` is its length."""
    x = column.array(X)
    found = tuple(x.shape)
    assert found == (2, 3), f"the shape is {found}, expected (2, 3)"
    assert all(type(n) is int for n in found), (
        f"the shape has {', '.join(type(n).__name__ for n in found)}, expected int"
    )
    assert x.ndim == 2, f"ndim is {x.ndim}, expected 2"


def _dtypes_by_name(column: Column) -> None:
    """``xp.float32`` and the others are the dtypes that arrays have, and ``xp.isdtype`` knows them and their kinds."""
    xp = column.xp
    kinds = {column.dtype: "real floating", "int32": "integral", "bool": "bool"}
    for values, (name, kind) in zip(([0.5], [1], [True]), kinds.items(), strict=True):
        x = column.array(values)
        assert x.dtype == getattr(xp, name), f"an array of {name} has the dtype {x.dtype!r}, which is not xp.{name}"
        for other in kinds.values():
            known = bool(xp.isdtype(x.dtype, other))
            assert known == (other == kind), f"xp.isdtype({name}, {other!r}) is {known}"
        for other in kinds:
            known = bool(xp.isdtype(x.dtype, getattr(xp, other)))
            assert known == (other == name), f"xp.isdtype(x.dtype, xp.{other}) is {known}, x is {name}"


def _host_not_shared(column: Column) -> None:
    """``asarray`` copies: a later change of the host's array changes nothing on the device."""
    host = column.host(X)
    x = column.backend.asarray(host, column.target.handle)
    host.fill(7)
    _equal(column, x, X)


def _devices(column: Column) -> None:
    """``devices`` has names that ``handle`` knows; for any other name ``handle`` raises an error."""
    names = column.backend.devices()
    assert names, "devices() is empty"
    for name in names:
        column.backend.handle(name)
    try:
        found = column.backend.handle("no such device")
    except Exception:
        return
    raise AssertionError(f"handle('no such device') returns {found!r}, expected a ValueError")


def _device_of_array(column: Column) -> None:
    """``device_of`` is the device that the array was sent to; the array's own object for it is the handle."""
    x = column.array(X)
    found = device_of(x)
    assert found == column.target, f"device_of(x) is {found}, the array was sent to {column.target}"
    own = device(x)
    assert own == column.target.handle, f"the device of x is {own!r}, the handle is {column.target.handle!r}"


def _results_on_the_device(column: Column) -> None:
    """Results of operations, and arrays made with ``device=``, are on the device of their operands."""
    x, xp = column.array(X), column.xp
    here = device(x)
    made = {
        "x + x": x + x,
        "xp.exp(x)": xp.exp(x),
        "x @ xp.matrix_transpose(x)": x @ xp.matrix_transpose(x),
        "xp.sum(x)": xp.sum(x),
        "xp.zeros(2, dtype=x.dtype, device=device(x))": xp.zeros(2, dtype=x.dtype, device=here),
        "xp.arange(3, dtype=xp.int32, device=device(x))": xp.arange(3, dtype=xp.int32, device=here),
    }
    for formula, y in made.items():
        assert array_namespace(y) is xp, f"{formula} is an array of another library, {type(y)!r}"
        assert device_of(y) == column.target, f"{formula} is on {device_of(y)}, its operands are on {column.target}"


def _dtype_kept(column: Column) -> None:
    """A Python number and a 0-d array of the same dtype do not change the dtype of an array."""
    x, i = column.array(X), column.array([1, 2])
    half, two = column.array(0.5), column.array(2)
    made = {
        "x * 2.0": (x * 2.0, x),
        "2 - x": (2 - x, x),
        "x * 0.5 as a 0-d array": (x * half, x),
        "x / 3": (x / 3, x),
        "-x": (-x, x),
        "i * 3": (i * 3, i),
        "i + 2 as a 0-d array": (i + two, i),
    }
    for formula, (y, like) in made.items():
        assert y.dtype == like.dtype, f"{formula} has the dtype {y.dtype}, expected {like.dtype}"


def _comparisons(column: Column) -> None:
    """A comparison is an array of bool, and ``bool`` and ``float`` read single numbers."""
    x, xp = column.array(X), column.xp
    _equal(column, x > 0, X > 0)
    _equal(column, (x == x) & ~(x < 0), ~(X < 0))
    assert bool(xp.all(x == x)) is True, "bool(xp.all(x == x)) is not True"
    assert bool(xp.any(x != x)) is False, "bool(xp.any(x != x)) is not False"
    assert float(x[0, 1]) == -1.25, f"float(x[0, 1]) is {float(x[0, 1])!r}, expected -1.25"


def _copy_is_apart(column: Column) -> None:
    """``+=`` on a copy, and on a result, leaves the argument as it was."""
    x, xp = column.array(X), column.xp
    for y in (xp.asarray(x, copy=True), x * 1.0, xp.reshape(x + 0.0, (-1,))):
        before = column.numpy(y).copy()
        y += 1
        _equal(column, y, before.astype(np.float64) + 1, "after y += 1")
        _equal(column, x, X, "x after y += 1, where y is a copy of it or a result,")


def _bits(column: Column) -> None:
    """``view`` reads the bits of float32 as int32, and back. Arrays without it cannot hold state in bfloat16."""
    host = np.asarray([1.0, -2.5, 0.0], dtype="float32")
    x = column.target.asarray(host)
    if type(column.backend).view is Backend.view and not hasattr(x, "view"):
        raise NotApplicable("its arrays have no method view, and the backend defines none")
    seen = column.backend.view(x, "int32")
    _equal(column, seen, host.view("int32"))
    back = column.numpy(column.backend.view(seen, "float32"))
    assert np.array_equal(back, host), f"{host} came back as {back}"
    if column.backend.bit_operations:
        code = column.numpy(decode(column.target.asarray(np.asarray([0x3F80], dtype="int16")), column.xp.float32))
        assert code.tolist() == [1.0], f"the bits 0x3F80 of bfloat16 are {code}, expected 1"


def _concat_to_numpy(column: Column) -> None:
    """``concat_to_numpy`` brings scalars and vectors to the host as one vector."""
    parts = [column.array(1.5), column.array([2.5, 3.5])]
    found = column.backend.concat_to_numpy(parts)
    assert type(found) is np.ndarray, f"concat_to_numpy returns a {type(found).__name__}, expected a numpy.ndarray"
    assert found.tolist() == [1.5, 2.5, 3.5], f"concat_to_numpy returns {found}, expected [1.5, 2.5, 3.5]"


def _upload(column: Column) -> None:
    """``upload`` sends batches in their order, and leaves None as it is."""
    batches = [(column.host(X + i), None) for i in range(3)]
    number = -1
    for number, (x, nothing) in enumerate(column.backend.upload(iter(batches), column.target.handle)):
        assert nothing is None, f"upload made {nothing!r} of None"
        _equal(column, x, X + number, f"batch {number}")
    assert number == 2, f"upload sent {number + 1} batches, expected 3"


def _to_device(column: Column) -> None:
    """``to_device`` to the array's own device keeps the numbers."""
    x = column.array(X)
    _equal(column, column.backend.to_device(x, column.target.handle), X)


def _facts(column: Column) -> None:
    """Name, requirement, version, memory and errors are as dlarray reads them."""
    backend: Any = column.backend
    version = backend.version()
    assert isinstance(version, str), f"version() is {version!r}, expected a text"
    assert any(c.isdigit() for c in version), f"version() is {version!r}, which has no digit"
    backend.synchronize(column.target.handle)
    memory = backend.memory(column.target.handle)
    assert memory is None or 0 <= memory[0] <= memory[1], f"memory() is {memory}, expected (free, all) in bytes or None"
    assert not backend.is_out_of_memory(ValueError("x")), "is_out_of_memory(ValueError('x')) must be False"


def _copied_by_name(column: Column) -> None:
    """A copy of the backend is the backend itself: it is pickled by its name."""
    assert deepcopy(column.backend) is column.backend, f"the name {column.backend.name!r} finds another backend"


def _equal(column: Column, x: Any, expected: Any, what: str = "") -> None:
    """Assert that an array has exactly these numbers, rounded to the column's dtype."""
    host = column.host(expected)
    found = column.numpy(x)
    assert found.shape == host.shape, f"{what} the shape is {found.shape}, expected {host.shape}".strip()
    assert found.dtype == host.dtype, f"{what} the dtype is {found.dtype}, expected {host.dtype}".strip()
    assert np.array_equal(found, host), f"{what} it is {found.tolist()}, expected {host.tolist()}".strip()


def checks() -> list[Check]:
    """The checks of this part."""
    first = [
        Check("contract", "device", _usable),
        Check("contract", "arrays", _arrays, ("device",)),
        Check("contract", "namespace", _namespace, ("arrays",)),
        Check("contract", "round trip", _round_trip, ("arrays",)),
    ]
    then = {
        "negative zero": _negative_zero,
        "no axes": _no_axes,
        "no examples": _no_examples,
        "other dtypes": _other_dtypes,
        "to_numpy": _to_numpy,
        "shape": _shape,
        "dtypes by name": _dtypes_by_name,
        "host not shared": _host_not_shared,
        "devices": _devices,
        "device of an array": _device_of_array,
        "results on the device": _results_on_the_device,
        "dtype kept": _dtype_kept,
        "comparisons": _comparisons,
        "copy is apart": _copy_is_apart,
        "bits": _bits,
        "concat_to_numpy": _concat_to_numpy,
        "upload": _upload,
        "to_device": _to_device,
        "version, memory, errors": _facts,
        "copied by name": _copied_by_name,
    }
    return [
        *first,
        *(Check("contract", name, run, BASIC) for name, run in (then | capabilities.CHECKS).items()),
    ]
