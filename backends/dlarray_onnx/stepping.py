"""Steps and predictions as graphs that onnxruntime runs, one for each structure and shape of the arguments.

The state of a bound step stays in two sets of arrays: each step reads one and writes the other, so nothing is copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from dlarray.core.trees import flatten, unflatten
from dlarray_onnx.arrays import OnnxArray, numbers
from dlarray_onnx.graph import graph

__all__ = ["BoundStep", "CompiledFunction", "CompiledStep", "Program"]


class Program:
    """A session of onnxruntime for a function of several trees.

    ``names`` are its inputs, in the order of the arrays of the trees; ``structure`` is that of its result. ``places``
    has for each array of the result the name of the output that it is, or of the input that it has not changed.
    """

    def __init__(self, function: Callable[..., Any], structures: Sequence[Any], arrays: Sequence[Any]) -> None:
        """``arrays`` are, for each tree, the types and shapes of its arrays."""
        import onnxruntime

        inputs = {f"{k}.{i}": kind for k, kinds in enumerate(arrays) for i, kind in enumerate(kinds)}
        self.structure: Any = None
        self.places: list[str] = []

        def outputs(given: dict[str, OnnxArray]) -> dict[str, OnnxArray]:
            left, results = iter(given.values()), list[OnnxArray]()
            self.structure = flatten(function(*(unflatten(s, left) for s in structures)), results, (OnnxArray,))
            unchanged = {id(x.node): name for name, x in given.items()}
            self.places = [unchanged.get(id(x.node), f"result.{i}") for i, x in enumerate(results)]
            return {name: x for name, x in zip(self.places, results, strict=True) if name not in given}

        model = graph(outputs, inputs)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names = list(inputs)
        self.outputs = [output.name for output in model.graph.output]

    def __call__(self, arrays: Sequence[np.ndarray]) -> Any:
        """The result for these arrays, as a tree."""
        given = dict(zip(self.names, arrays, strict=True))
        found = given | dict(zip(self.outputs, self.session.run(self.outputs, given), strict=True))
        return unflatten(self.structure, (OnnxArray(found[name]) for name in self.places))


class _Programs:
    """The programs of a function, made when they are first needed.

    The arrays of the last tree are the batch: a program takes any number of examples, if the
    formulas do not need to know it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._programs: dict[Hashable, Program] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._programs)

    def get(self, structures: Sequence[Any], arrays: Sequence[Sequence[np.ndarray]]) -> Program:
        *fixed, batch = ([(x.dtype.name, x.shape) for x in tree] for tree in arrays)
        n = batch[0][1][:1] if batch else ()
        any_size = [(dtype, ("N", *shape[1:]) if n and shape[:1] == n else shape) for dtype, shape in batch]
        sized = (*structures, *map(tuple, fixed), tuple(batch))
        key = (*structures, *map(tuple, fixed), tuple(any_size))
        if (found := self._programs.get(key) or self._programs.get(sized)) is None:
            with self._lock:
                try:
                    found = self._programs[key] = Program(self._function, structures, [*fixed, any_size])
                except (TypeError, ValueError):
                    found = self._programs[sized] = Program(self._function, structures, [*fixed, batch])
        return found


class CompiledFunction:
    """A function of two trees, such as ``function(fixed, x) -> y``, by onnxruntime. Several threads can call it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.programs = _Programs(function)

    def __call__(self, first: Any, second: Any) -> Any:
        structures, arrays = _flat(first, second)
        return self.programs.get(structures, arrays)([*arrays[0], *arrays[1]])


class CompiledStep(CompiledFunction):
    """``step(state, batch) -> (state, loss)`` by onnxruntime."""

    def bind(self, state: Any) -> BoundStep:
        """``bound(batch) -> loss``; the state stays in memory that the graph is bound to."""
        return BoundStep(self.programs, state)


@dataclass(frozen=True)
class _Bound:
    """A program bound to the two sets of arrays: from the first to the second, and back."""

    program: Program
    bindings: tuple[Any, Any]
    names: Sequence[str]
    """The inputs for the batch."""
    loss: np.ndarray


class BoundStep:
    """A step with its state. ``state`` is that after the latest step, valid until the next one."""

    def __init__(self, programs: _Programs, state: Any) -> None:
        self._programs = programs
        self._structure: Any = None
        self._arrays: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._current = 0
        self._bindings: dict[Hashable, _Bound] = {}
        self.state = state

    @property
    def state(self) -> Any:
        return unflatten(self._structure, map(OnnxArray, self._arrays[self._current]))

    @state.setter
    def state(self, state: Any) -> None:
        (structure,), (arrays,) = _flat(state)
        own = self._arrays[self._current]
        if structure != self._structure or [_kind(x) for x in arrays] != [_kind(x) for x in own]:
            self._structure, self._current, self._bindings = structure, 0, {}
            self._arrays = [np.array(x, order="C") for x in arrays], [np.array(x, order="C") for x in arrays]
            return
        for x, mine, other in zip(arrays, own, self._arrays[1 - self._current], strict=True):
            if x is not mine:
                np.copyto(mine, x)
                np.copyto(other, x)  # what a step does not change is read from both

    def __call__(self, batch: Any) -> OnnxArray:
        from onnxruntime import OrtValue

        (structure,), (arrays,) = _flat(batch)
        key = (structure, *map(_kind, arrays))
        if (found := self._bindings.get(key)) is None:
            found = self._bindings[key] = self._bind(structure, arrays)
        binding = found.bindings[self._current]
        for name, x in zip(found.names, arrays, strict=True):
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x)))
        found.program.session.run_with_iobinding(binding)
        self._current = 1 - self._current
        return OnnxArray(found.loss.copy())

    def release(self) -> int:
        """Let go of the latest batches; the bytes that stay."""
        self._bindings.clear()
        return sum(x.nbytes for arrays in self._arrays for x in arrays)

    def _bind(self, structure: Any, batch: list[np.ndarray]) -> _Bound:
        state = self._arrays[self._current]
        program = self._programs.get((self._structure, structure), (state, batch))
        kind = next(output.type for output in program.session.get_outputs() if output.name == program.places[-1])
        loss = np.zeros((), dtype={"tensor(float)": "float32", "tensor(double)": "float64"}[kind])
        there, back = (self._binding(program, a, b, loss) for a, b in (self._arrays, self._arrays[::-1]))
        return _Bound(program, (there, back), program.names[len(state) :], loss)

    def _binding(self, program: Program, before: list[np.ndarray], after: list[np.ndarray], loss: np.ndarray) -> Any:
        from onnxruntime import OrtValue

        binding = program.session.io_binding()
        for name, x in zip(program.names, before, strict=False):
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(x))
        for name, x in zip(program.places, [*after, loss], strict=True):
            if name not in program.names:
                binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(x))
        return binding


def _threads() -> int:
    """The threads that OMP_NUM_THREADS says, as for NumPy's BLAS and torch; 0, for onnxruntime's choice, without it."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def _kind(x: np.ndarray) -> tuple[Any, ...]:
    return x.dtype, x.shape


def _flat(*trees: Any) -> tuple[list[Any], list[list[np.ndarray]]]:
    """The structures and the arrays of trees."""
    structures, arrays = list[Any](), list[list[np.ndarray]]()
    for tree in trees:
        leaves: list[OnnxArray] = []
        structures.append(flatten(tree, leaves, (OnnxArray,)))
        arrays.append([numbers(x) for x in leaves])
    return structures, arrays
