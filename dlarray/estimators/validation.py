"""Validation examples for early stopping and curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from dlarray.device import Device, to_numpy
from dlarray.estimators.inputs import Rows

__all__ = ["Validation"]


@dataclass(frozen=True)
class Validation:
    """Returns the validation score of a training state, and records the validation loss."""

    estimator: Any
    rows: Rows
    t: np.ndarray
    weight: np.ndarray | None

    @classmethod
    def split(cls, estimator: Any, rows: Rows, t: np.ndarray, device: Device) -> tuple[Rows, Validation]:
        """Training and validation examples, drawn as scikit-learn draws them.

        For two classes the split is stratified. Raises ValueError for fewer than two validation examples.
        """
        stratified = hasattr(estimator, "classes_") and estimator.n_outputs_ == 1
        train, seen = train_test_split(
            np.arange(len(rows)),
            random_state=estimator._random_state,
            test_size=estimator.validation_fraction,
            stratify=t if stratified else None,
        )
        if len(seen) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        first, second = (rows.take(device.asarray(part.astype(np.int32))) for part in (train, seen))
        weight = None if second.weight is None else to_numpy(second.weight)
        return first, cls(estimator, second, t[seen], weight)

    def __call__(self, state: dict[str, Any]) -> float:
        estimator = self.estimator
        named = estimator._model.parameters(state["theta"])
        z = estimator._outputs(self.rows.x, named, state["buffers"])
        value, _ = estimator._loss.unchecked().forward(z, self.rows.t, self.rows.weight)
        estimator.validation_loss_curve_.append(float(to_numpy(value)))
        if not np.isfinite(to_numpy(z)).all():
            return float("nan")
        return float(estimator._score_of(z, self.t, self.weight))
