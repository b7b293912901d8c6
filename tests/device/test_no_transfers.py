"""A step copies nothing between host and device: tested without a GPU, on devices where such a copy is an error.

torch's device meta has shapes and no numbers, so reading a number fails; modes of torch see every operation on an array
of another device, and every array made from host numbers. JAX's transfer guard refuses transfers to the device in a
compiled step, and a tracer refuses to be read. NumPy cannot read arrays of array-api-strict's artificial device and of
dpnp's CPU. And a subclass of NumPy's array refuses an index by a mask, for which CuPy would wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.core.array import device as place_of
from dlarray.core.trees import leaves, map_leaves
from dlarray.device import Device
from dlarray.device import backend as backends
from dlarray.training import Step
from tests.support.families import batches, halves, start, steps
from tests.support.matrix import ASKED, MATRIX

STEPS = steps()
GRADIENT = dl.GradientDescent(0.1)
SLIPS: dict[str, Callable[[Any], Any]] = {
    "float": lambda x: x * float(x[0, 0]),
    "if": lambda x: x if x[0, 0] > 0 else -x,
    "item": lambda x: x * x[0, 0].item(),
    "NumPy": lambda x: x + np.asarray(x).sum(),
    "list": lambda x: x + sum(x[0, :].tolist()),
}
"""Ways in which a formula could read numbers."""


class Slip(dl.Activation):
    """The identity, nearly."""

    abstract = True  # no name of its own

    def __init__(self, slip: Callable[[Any], Any]) -> None:
        self._slip = slip

    def forward(self, z: Any) -> tuple[Any, Any]:
        return self._slip(z), z

    def backward(self, z: Any, dy: Any) -> Any:
        return dy


def slipping(slip: Callable[[Any], Any]) -> Step:
    return Step(dl.MLP(6, [dl.Dense(4), Slip(slip), dl.Dense(4)]), dl.MeanSquaredError(), GRADIENT)


def taken(step: Step, device: Device, within: Any, times: int = 2, compile: Any = None) -> Any:  # noqa: A002 - the field's word
    """Steps on a device, and predictions, within ``within``; state and batches are transferred before."""
    state, run = start(step, device, "float32"), compile(step) if compile else step
    given = batches(step, device, "float32", times)
    results: list[Any] = []
    with within:
        for batch in given:
            state, loss = run(state, batch)
            results.append(loss)
        if compile is None:
            results.append(step.model.predict(state["theta"], given[0][0], state["buffers"] or None))
    return state, results


# torch, where arrays have no numbers


def meta() -> Device:
    torch = pytest.importorskip("torch")
    dl.device.resolve("torch")  # formulas take torch's own erfc, and its namespace from its backend
    return Device("torch:meta", backends.get("torch"), torch.device("meta"))


@contextmanager
def watched(tables: bool = False) -> Iterator[None]:
    """Every operation within has only arrays of the device, and none is made from host numbers.

    With ``tables`` a tuple of numbers may be sent.
    """
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Places(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            touched = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
            where = {x.device.type for x in touched}
            assert where <= {"meta"}, f"{func} has arrays on {', '.join(sorted(where))}"
            return result

    class Makers(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.tensor, torch.asarray, torch.as_tensor, torch.from_numpy, torch.scalar_tensor):
                allowed = isinstance(args[0], torch.Tensor) or (tables and isinstance(args[0], tuple))
                assert allowed, f"{func.__name__} sends {args[0]!r}"
            return func(*args, **(kwargs or {}))

    with Places(), Makers():
        yield


@pytest.mark.parametrize("name", STEPS, ids=str)
def test_a_step_reads_no_number_and_sends_none(name: str) -> None:
    """Except the class weights: a table of the loss, which each step sends again unless a compiler keeps it."""
    step, device = STEPS[name], meta()
    of_classes = isinstance(step.loss, dl.CategoricalCrossEntropy) and step.loss.class_weight is not None
    weighs = of_classes or isinstance(getattr(step.loss, "pos_weight", None), tuple)
    state, results = taken(step, device, watched(tables=weighs))
    assert {x.device.type for x in leaves((state, results))} == {"meta"}


def test_nor_does_a_step_in_16_bits() -> None:
    device = meta()
    assert len(halves(device)) == 2
    for step in halves(device).values():
        state, results = taken(step, device, watched())
        assert {x.device.type for x in leaves((state, results))} == {"meta"}


@pytest.mark.parametrize("slip", SLIPS)
def test_reading_a_number_fails_there(slip: str) -> None:
    device = meta()
    with pytest.raises((RuntimeError, NotImplementedError, TypeError), match=r"(?i)meta"):
        taken(slipping(SLIPS[slip]), device, watched())


@pytest.mark.parametrize(
    "slip",
    [
        lambda x: x * array_namespace(x).asarray([0.5] * 4, device=place_of(x)),
        lambda x: x * array_namespace(x).asarray(0.5),
        lambda x: array_namespace(x).logaddexp(x, 0.5),  # array_api_compat makes a tensor of the number
        lambda x: x * array_namespace(x).zeros((4,)),
    ],
)
def test_sending_an_array_fails_there(slip: Callable[[Any], Any]) -> None:
    device = meta()
    with pytest.raises((AssertionError, RuntimeError), match=r"sends|has arrays on cpu|cpu!"):
        taken(slipping(slip), device, watched())


# JAX, whose transfer guard refuses implicit transfers to the device


COMPILED = {
    "all layers": Step(
        dl.MLP(6, [dl.Dense(5), dl.BatchNorm(), "gelu", dl.Dropout(0.3), dl.LayerNorm(), dl.RMSNorm(), dl.Dense(4)]),
        dl.MeanSquaredError(),
        dl.Clipped(dl.AdamW(dl.WarmUp(2, dl.CosineDecay(0.1, 9))), dl.clip_by_global_norm, 0.1),
    ),
    **{
        name: STEPS[name]
        for name in ("layer Residual", "layer Embedding", "optimizer of 16 bits", "accumulate in 3 parts")
    },
    **{name: step for name, step in STEPS.items() if name.startswith("loss SparseCategorical") and "(0.5," in name},
}


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_step_sends_nothing(name: str) -> None:
    """Constants of a formula are in the compiled step. That it compiles shows that no number is read."""
    jax = pytest.importorskip("jax")
    device = dl.device.resolve("jax")
    _, results = taken(COMPILED[name], device, jax.transfer_guard("disallow"), 3, device.backend.compile)
    assert all(np.isfinite(float(loss)) for loss in results)


def test_sending_fails_there() -> None:
    jax = pytest.importorskip("jax")
    device = dl.device.resolve("jax")
    step = STEPS["optimizer adam"]
    state, ((x, t, _),) = start(step, device, "float32"), batches(step, device, "float32")
    run = device.backend.compile(step)
    with jax.transfer_guard("disallow"), pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        run(state, (np.asarray(x), t, None))
    with pytest.raises(jax.errors.ConcretizationTypeError):
        taken(slipping(SLIPS["float"]), device, nullcontext(), 1, device.backend.compile)


# Libraries whose arrays NumPy cannot read


@pytest.fixture(params=["strict-device1", "dpnp-float32"])
def aloof(request: pytest.FixtureRequest) -> Any:
    """A device whose arrays NumPy cannot read."""
    on = next((on for on in MATRIX + ASKED if on.name == request.param), None)
    if on is None:
        pytest.skip(f"no backend has the row {request.param}")
    if why := on.missing():
        pytest.skip(why)
    with on.context():
        yield on.target


def test_no_step_needs_numpy_to_look_at_its_arrays(aloof: Device) -> None:
    with pytest.raises((RuntimeError, TypeError), match=r"(?i)numpy array"):
        np.asarray(aloof.asarray([1.0, 2.0]))
    with pytest.raises((RuntimeError, TypeError), match=r"(?i)numpy array"):
        taken(slipping(SLIPS["NumPy"]), aloof, nullcontext())
    for name, step in STEPS.items():
        state, results = taken(step, aloof, nullcontext())
        assert all(place_of(x) == place_of(aloof.asarray(0.0)) for x in leaves((state, results))), name


# NumPy's arrays, with the refusals of CuPy's


class Aloof(np.ndarray):
    """An array that refuses to be read, number by number or by a mask."""

    def _refuse(self, *_: Any) -> Any:
        raise TypeError("the host would wait for the device")

    __float__ = __int__ = __bool__ = __index__ = item = tolist = _refuse  # type: ignore[assignment]

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return np.asarray(array).view(Aloof)  # also without axes

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, np.ndarray) and key.dtype.kind == "b":
            self._refuse()
        return np.asarray(super().__getitem__(key)).view(Aloof)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, np.ndarray) and key.dtype.kind == "b":
            self._refuse()
        super().__setitem__(key, value)


def aloof_ones(tree: Any) -> Any:
    return map_leaves(tree, lambda x: x.view(Aloof) if isinstance(x, np.ndarray) else x)


MAKERS = ("arange", "asarray", "empty", "empty_like", "eye", "full", "full_like", "linspace", "ones", "ones_like")
MAKERS += ("zeros", "zeros_like", "concat", "stack", "where", "astype")


@pytest.fixture
def all_aloof(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formulas' namespace is array_api_compat's for CuPy, and all arrays that it makes are aloof too."""
    import array_api_compat.numpy as xp
    from array_api_compat.common import _aliases

    # CuPy's namespace needs CuPy; NumPy's has its own clip instead of this function.
    monkeypatch.setattr(xp, "clip", partial(_aliases.clip, xp=np))

    def made(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kw: np.asarray(make(*args, **kw)).view(Aloof)

    for name in MAKERS:
        monkeypatch.setattr(xp, name, made(getattr(xp, name)))


@pytest.mark.usefixtures("all_aloof")
@pytest.mark.parametrize(
    "slip",
    [
        *[slip for name, slip in SLIPS.items() if name != "NumPy"],
        lambda x: x[x > 0],
        lambda x: array_namespace(x).clip(x, -1.0, 1.0),  # an index by a mask
    ],
)
def test_a_mask_is_refused(slip: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="would wait"):
        slip(np.ones((2, 2)).view(Aloof))


@pytest.mark.usefixtures("all_aloof")
@pytest.mark.parametrize("name", STEPS, ids=str)
def test_no_step_indexes_by_a_mask(name: str) -> None:
    step, device = STEPS[name], dl.device.resolve("cpu")
    state, batch = (aloof_ones(tree) for tree in (start(step, device, "float32"), batches(step, device, "float32")[0]))
    for _ in range(2):
        state, loss = step(state, batch)
    assert isinstance(loss, Aloof)
    assert all(isinstance(x, Aloof) for x in leaves(state))
