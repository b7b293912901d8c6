"""A trained model: its θ, predictions and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace, size
from dlarray.core.check import at_least_one, count
from dlarray.core.html import html_table
from dlarray.core.layout import Theta
from dlarray.core.ranks import ALONE, Ranks
from dlarray.device import Device, to_device, to_numpy
from dlarray.layers import Dense
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.training.checkpoint import write_model
from dlarray.training.conversion import as_finite, inputs_on, is_ready
from dlarray.training.data import Examples, check_device, counted
from dlarray.training.data_names import DataNames
from dlarray.training.history import History
from dlarray.training.labels import Label
from dlarray.training.named_metrics import Metric, as_floats, named_metrics, weighted_metrics
from dlarray.training.predictor import Inference, Point, Predictor, flat

__all__ = ["Trained"]

MAX_LAYERS = 10
"""The layers that a ``repr`` lists."""
CHUNK_BYTES = 2**24
"""Bytes of host inputs, in float64, that are checked and predicted at a time: they are then still in the cache."""


@dataclass(frozen=True)
class Trained:
    """A model with its trained θ on a device. ``fit`` and ``load`` return it.

    Predictions for host arrays and frames are host arrays; predictions for arrays on the model's device stay there.
    Inputs are cast to the model's dtype. Raises ValueError for inputs that are not finite, have another number of
    features or are on another device; TypeError for objects that are not arrays and for arrays of another library;
    OutOfMemoryError, a MemoryError, if the device has too little memory.
    """

    model: MLP
    theta: Theta
    buffers: Theta
    loss: Loss
    device: Device
    dtype: str = "float32"
    history: History = field(default_factory=History, compare=False)
    features: tuple[str, ...] | None = None
    """The names of the columns of x, if ``fit`` was given a frame. Of other frames these columns are used, by name."""
    classes: tuple[Label, ...] | None = None
    """The labels of the classes in the order of the outputs, if ``fit`` was given labels; None for class numbers."""

    def __post_init__(self) -> None:
        """Raise ValueError if θ or the buffers belong to another model."""
        for own, vectors in ((self.model.layout_of, self.theta), (self.model.buffers_layout_of, self.buffers)):
            layout = own(vectors)
            layout.check(vectors)
            layout.register(vectors)

    def __repr__(self) -> str:
        parts = [f"{value} {name}" if name == "parameters" else value for name, value in self._summary()]
        last = self.history.epochs[-1] if self.history.epochs else {}
        return f"Trained({', '.join([*parts, *(f'{name}={value:.4g}' for name, value in last.items())])})"

    def _repr_html_(self) -> str:
        last = self.history.epochs[-1] if self.history.epochs else {}
        rows = [*self._summary(), *((name, f"{value:.4g}") for name, value in last.items())]
        return html_table("Trained", ("", "value"), rows)

    def _summary(self) -> list[tuple[str, str]]:
        kinds = [
            f"{type(f).__name__}({f.units})" if isinstance(f, Dense) else type(f).__name__ for f in self.model.layers
        ]
        if len(kinds) > MAX_LAYERS:
            kinds[MAX_LAYERS - 2 : -1] = [f"{len(kinds) - MAX_LAYERS + 1} more"]
        return [
            ("layers", " → ".join([str(self.model.inputs), *kinds])),
            ("parameters", f"{sum(size(shape) for _, shape in self.model.layout.shapes):,}"),
            ("device", f"{self.dtype} on {self.device}"),
            ("epochs", count(len(self.history.epochs), "epoch")),
        ]

    @property
    def _names(self) -> DataNames:
        return DataNames(self.features, self.classes)

    @property
    def parameters(self) -> dict[str, Array]:
        """The trained parameters by name, "0.W", "0.b", …: views of θ if the library has views."""
        return self.model.parameters(self.theta)

    def outputs(self, x: Array, *, batch_size: int = 4096) -> Array:
        """The outputs of the last layer, (examples, outputs): logits if the loss has an output activation."""
        return self._forward(x, batch_size, self._predictor.outputs)

    def predict(self, x: Array, *, batch_size: int = 4096) -> Array:
        """The predictions, (examples, outputs): outputs after the output activation; probabilities for cross-entropies.

        Examples
        --------
        >>> import numpy as np
        >>> import dlarray
        >>> x = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> y, adam = np.asarray([0, 1, 1, 1]), dlarray.Adam(0.1)
        >>> trained = dlarray.fit(dlarray.mlp(2, 2), x, y, optimizer=adam, epochs=200, batch_size=4, progress=False)
        >>> p = trained.predict(x)  # the softmax of the outputs: each row sums to 1
        >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
        ((4, 2), True)
        >>> trained.classify(x).tolist()
        [0, 1, 1, 1]
        """
        return self._forward(x, batch_size, self._predictor.predict)

    def classify(self, x: Array, *, batch_size: int = 4096) -> Array:
        """The predicted class of each example, (examples,), int32: the most probable one, or 0 and 1 for one output.

        For a binary loss with several outputs it is (examples, outputs) of 0 and 1. Raises ValueError for a regression
        loss.
        """
        if self.loss.task == "regression":
            raise ValueError(f"{type(self.loss).__name__} trains numbers, not classes: use predict")
        return self._forward(x, batch_size, self._predictor.classify)

    def predict_labels(self, x: Array, *, batch_size: int = 4096) -> np.ndarray:
        """The predicted label of each example, (examples,): ``classify`` in the words of ``classes``, on the host.

        Without ``classes`` these are the numbers of the classes. Raises as ``classify`` does.

        Examples
        --------
        >>> import numpy as np
        >>> import dlarray
        >>> x, y = np.asarray([[-1.0], [-2.0], [1.0], [2.0]]), np.asarray(["no", "no", "yes", "yes"])
        >>> trained = dlarray.fit(dlarray.mlp(1, 2), x, y, epochs=100, batch_size=4, progress=False)
        >>> trained.classes, trained.predict_labels(x).tolist()
        (('no', 'yes'), ['no', 'no', 'yes', 'yes'])
        """
        numbers = to_numpy(self.classify(x, batch_size=batch_size))
        return numbers if self.classes is None else np.asarray(self.classes)[numbers]

    def evaluate(
        self,
        x: Array,
        y: Array,
        metrics: Sequence[str | Metric] | None = None,
        *,
        weight: Array | None = None,
        batch_size: int = 4096,
    ) -> dict[str, float]:
        """The loss and the metrics by name on these examples. Default: accuracy for classes, R² for numbers.

        ``weight`` weights each example, in the loss and in the metrics. Raises ValueError if a metric takes no weight.
        """
        measured = named_metrics(metrics, self.loss, self.model.outputs)
        x, y, weight = self._names.arrays(x, y, weight)
        check_device(x, self.device)
        with self.device.entered():
            examples = Examples.on(self.device, self.model, self.loss, x, y, weight, self.dtype)
            examples = Examples(*counted(self.loss, examples.x, examples.t, examples.weight))
            return self.measure(examples, weighted_metrics(measured, examples.weight), batch_size=batch_size)

    def measure(
        self,
        examples: Examples | Iterable[Examples],
        metrics: Mapping[str, Metric],
        *,
        batch_size: int = 4096,
        ranks: Ranks = ALONE,
    ) -> dict[str, float]:
        """``evaluate`` for examples on the device, or on the host: these inputs are moved batch by batch.

        They can come in parts, of which only outputs and targets are kept. Each of the ranks computes the outputs of
        its rows; then every one has all outputs.
        """
        with self.device.entered():
            parts = [
                (self._outputs_by_ranks(part.x, batch_size, ranks), *self._there(part))
                for part in ([examples] if isinstance(examples, Examples) else examples)
            ]
            z, t, weight = (_joined([part[i] for part in parts]) for i in range(3))
            z, t, weight = counted(self.loss, z, t, weight)
            xp = array_namespace(z)
            measured = {"loss": self.loss.unchecked().forward(z, t, weight)[0]}
            t, y = flat(t), flat(self.loss.point(self.loss.output_activation.predict(z)))
            if self.loss.threshold != 0.5:  # scores around another threshold become 0 and 1, and so do targets
                t, y = (xp.astype(a > self.loss.threshold, z.dtype) for a in (t, y))
            measured |= {name: metric(t, y) for name, metric in metrics.items()}
            return as_floats(measured, self.device.backend)

    def _outputs_by_ranks(self, x: Array, batch_size: int, ranks: Ranks) -> Array:
        """The outputs for all rows of x: each rank computes those of its own, unless there are fewer than ranks."""
        ranks = ranks if x.shape[0] >= ranks.size else ALONE
        return ranks.gather(self._in_batches(ranks.piece(x), batch_size, self._outputs_of), x.shape[0])

    def _there(self, examples: Examples) -> tuple[Array, Array | None]:
        """Targets and weights on the device."""
        weight = examples.weight
        return to_device(examples.t, self.device), None if weight is None else to_device(weight, self.device)

    def save(self, path: str | PathLike[str], *, notes: Mapping[str, Any] | None = None) -> None:
        """Write the model to a file that ``dlarray.load`` reads: safetensors, with the configuration as metadata.

        It also holds the history (means of neighbouring steps if it is long) and ``notes``, a JSON object that
        ``load_with_notes`` returns. An existing file is replaced completely or stays unchanged; it keeps its mode, and
        symbolic links to it stay. Raises OSError with the path if it cannot be written, and TypeError for notes that
        JSON cannot represent exactly.
        """
        write_model(path, self.model, self.theta, self.buffers, self.loss, self.dtype, self.history, notes, self._names)

    def at(self, theta: Theta, buffers: Theta) -> Trained:
        """The same model with another θ and other buffers. It shares the compiled functions."""
        moved = replace(self, theta=theta, buffers=buffers)
        vars(moved)["_predictor"] = self._predictor
        return moved

    def __copy__(self) -> Trained:
        return replace(self)

    def __getstate__(self) -> dict[str, Any]:
        """The fields, with host arrays. Compiled functions are not pickled; they are compiled again when needed."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return state | {name: tuple(map(to_numpy, state[name])) for name in ("theta", "buffers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        home: Device = state["device"]
        arrays = {name: tuple(to_device(x, home) for x in state[name]) for name in ("theta", "buffers")}
        vars(self).update(state | arrays)
        self.__post_init__()

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self.model, self.loss, self.device.backend)

    def _outputs_of(self, point: Point, x: Array) -> Array:
        """The outputs for inputs on the device or on the host."""
        return self._predictor.outputs(point, to_device(x, self.device))

    @cached_property
    def _point(self) -> Point:
        return self.theta, self.buffers

    def _forward(self, x: Array, batch_size: int, answer: Inference) -> Array:
        try:
            ready = type(batch_size) is int and batch_size > 0 and is_ready(self.device, self.model, x)
            if ready and (y := self._predict_on_host(x, batch_size, answer)) is not None:
                return y
            x = self._names.inputs(x)
            check_device(x, self.device)
            with self.device.entered():
                y = self._in_batches(inputs_on(self.device, self.model, x, self.dtype), batch_size, answer)
                return self.device.backend.to_numpy(y) if isinstance(x, np.ndarray) else y
        except Exception as error:
            self.device.raise_if_out_of_memory(error, "to predict", "A smaller batch_size takes less")
            raise

    def _predict_on_host(self, x: np.ndarray, batch_size: int, answer: Inference) -> Array | None:
        """Predictions in chunks that are still in the cache after their check; None if the full check must decide."""
        n, most = x.shape[0], CHUNK_BYTES // (8 * x.shape[1])
        if n <= batch_size and n <= most:
            ready = as_finite(x, self.dtype)
            return None if ready is None else answer(self._point, ready)
        rows = min(batch_size, 1 << max(most.bit_length() - 1, 0))
        parts: list[Array] = []
        for i in range(0, n, rows):
            if (ready := as_finite(x[i : i + rows], self.dtype)) is None:
                return None
            parts.append(answer(self._point, ready))
        return array_namespace(x).concat(parts)

    def _in_batches(self, x: Array, batch_size: int, answer: Inference) -> Array:
        at_least_one("batch_size", batch_size)
        if (n := x.shape[0]) <= batch_size:
            return answer(self._point, x)
        parts = [answer(self._point, x[i : min(i + batch_size, n), ...]) for i in range(0, n, batch_size)]
        return array_namespace(parts[0]).concat(parts)


def _joined(parts: Sequence[Any]) -> Any:
    """The parts as one array; None if they are None."""
    return parts[0] if len(parts) == 1 or parts[0] is None else array_namespace(parts[0]).concat(list(parts))
