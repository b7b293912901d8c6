"""Estimators as trained models of dlarray, and trained models as estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from dlarray.activations import Activation, Identity
from dlarray.core.array import Array
from dlarray.core.layer import Layer
from dlarray.core.layout import Layout, Theta
from dlarray.core.trees import copy_tree
from dlarray.device import device_of
from dlarray.estimators.losses import public_loss
from dlarray.estimators.network import network
from dlarray.estimators.predicting import PredictMixin
from dlarray.layers import Dense, Dropout
from dlarray.losses import CategoricalCrossEntropy, Loss, SparseCategoricalCrossEntropy
from dlarray.model import MLP
from dlarray.training.history import History
from dlarray.training.labels import Label
from dlarray.training.trained import Trained

__all__ = ["ConversionMixin"]


@dataclass(frozen=True)
class _Architecture:
    """The parameters of an estimator that give a network, as ``network`` takes them."""

    hidden: tuple[int, ...]
    outputs: int
    activations: tuple[Activation, ...]
    normalization: Layer | None
    dropout: tuple[float, ...]
    output_activation: Activation | None

    def model(self, inputs: int) -> MLP:
        """The network of an estimator with these parameters."""
        return network(
            inputs,
            self.hidden,
            self.outputs,
            self.activations,
            self.normalization,
            self.dropout,
            self.output_activation,
        )


def _architecture(model: MLP) -> _Architecture:
    """The parameters that give this network.

    An identity is added to a hidden layer without an activation. Raises ValueError that names the first layer that no
    parameter gives: for each hidden layer that is Dense, the same normalization in all of them or none, an activation
    and dropout, each at most once and in this order; for the outputs Dense and an activation.
    """
    blocks: list[list[Layer]] = []
    for i, f in enumerate(model.layers):
        if isinstance(f, Dense) and len(f.shapes(1)) == 2:
            blocks.append([f])
        elif not blocks or isinstance(f, Dense):
            raise ValueError(f"an estimator's network begins with Dense and has biases, got {f} as layer {i}")
        else:
            blocks[-1].append(f)
    parts = [_parts(block) for block in blocks]
    *hidden, last = parts
    norms = [norm for _, norm, _, _ in hidden]
    if last[1] is not None or last[3] or any(norm != norms[0] for norm in norms):
        odd = next((norm for norm in norms if norm != norms[0]), last[1] or Dropout(last[3] or 0.0))
        raise ValueError(
            f"an estimator has one normalization for all hidden layers and neither a normalization nor dropout for the "
            f"outputs; this network does not fit because of {odd}"
        )
    return _Architecture(
        tuple(units for units, _, _, _ in hidden),
        last[0],
        tuple(f or Identity() for _, _, f, _ in hidden),
        norms[0] if norms else None,
        tuple(rate for _, _, _, rate in hidden),
        last[2],
    )


def _parts(block: list[Layer]) -> tuple[int, Layer | None, Activation | None, float]:
    """Units, normalization, activation and dropout rate of Dense and the layers after it."""
    dense, *rest = block
    norm = rest.pop(0) if rest and not isinstance(rest[0], (Activation, Dropout)) else None
    activation = rest.pop(0) if rest and isinstance(rest[0], Activation) else None
    drop = rest.pop(0) if rest and isinstance(rest[0], Dropout) else Dropout(0.0)
    if rest or not isinstance(dense, Dense) or not isinstance(drop, Dropout) or not _keeps_features(norm):
        raise ValueError(
            "after Dense an estimator has a normalization, an activation and dropout, each at most once and in this "
            f"order; got {', '.join(map(str, block))}"
        )
    return dense.units, norm, activation if isinstance(activation, Activation) else None, drop.rate


def _keeps_features(norm: Layer | None) -> bool:
    """Whether this can be a normalization: of as many features as it gets."""
    try:
        return norm is None or [norm.width(n) for n in (2, 3)] == [2, 3]
    except ValueError:
        return False


def _renamed(arrays: dict[str, Array], old: Layout, new: Layout) -> dict[str, Array]:
    """Arrays under the names of another layout with the same shapes in the same order."""
    names = (name for name, _ in old.shapes)
    return {name: arrays[before] for (name, _), before in zip(new.shapes, names, strict=True)}


class ConversionMixin(PredictMixin):
    """``to_trained``, and the common part of ``from_trained``."""

    _numbers = False
    """Whether targets are numbers (regression) and not labels."""

    def to_trained(self) -> Trained:
        """The fitted model as a ``dlarray.Trained``, with a copy of the weights and the same predictions.

        It can be saved to a file, plotted and diagnosed. Its loss is dlarray's of the same kind, which may differ from
        the estimator's by a constant factor. It has the names of the features and the labels, except for labels of
        types other than strings, booleans and numbers, and for several labels. Then, and for labels 0, 1, …, its
        classes are numbers, in the order of ``classes_``.

        Returns
        -------
        trained : dlarray.Trained
            The model on the device of the estimator.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self)
        self._check_fitted()
        model, home = self._model, device_of(self.coefs_[0])
        apart = not home.backend.writes_in_place
        layout = model.layout.split_up() if apart else model.layout
        theta: Theta = copy_tree(layout.join(self._parameters()))
        curve: list[float] = getattr(self, "loss_curve_", [])
        history = History(epochs=[{"loss": float(value)} for value in curve])
        dtype = str(self.coefs_[0].dtype).rpartition(".")[2]
        loss, names = public_loss(self._loss), getattr(self, "feature_names_in_", None)
        features = None if names is None else tuple(map(str, names))
        classes = self._classes_of(loss)
        if classes is not None and loss == CategoricalCrossEntropy():
            loss = SparseCategoricalCrossEntropy()  # the same loss of labels
        return Trained(model, theta, copy_tree(self._buffers), loss, home, dtype, history, features, classes)

    def _classes_of(self, loss: Loss) -> tuple[Label, ...] | None:
        """The labels that a trained model with this loss can hold; None for numbers of classes."""
        return None

    @classmethod
    def _of_trained(cls, trained: Trained, loss: Any, given: dict[str, Any]) -> Any:
        """A fitted estimator with the weights of a trained model; without labels."""
        found = _architecture(trained.model)
        own: dict[str, Any] = {
            "hidden_layer_sizes": found.hidden,
            "activation": list(found.activations) or "relu",
            "normalization": found.normalization,
            "dropout": found.dropout if any(found.dropout) else 0.0,
            "loss": loss,
        }
        if found.output_activation is not None:
            if not (cls._numbers and isinstance(trained.loss.output_activation, Identity)):
                raise ValueError(
                    f"the network ends with {found.output_activation}, which {cls.__name__} with "
                    f"{type(trained.loss).__name__} has in its loss: leave it out, and train with from_logits=True"
                )
            own["output_activation"] = found.output_activation
        if both := sorted(own.keys() & given.keys()):
            raise ValueError(f"{', '.join(both)} cannot be given: the trained model has it already")
        estimator: Any = cls(**own, **given)
        model = estimator._model = found.model(trained.model.inputs)
        apart = not trained.device.backend.writes_in_place
        parameters = _renamed(trained.parameters, trained.model.layout, model.layout)
        estimator._set_parameters(copy_tree((model.layout.split_up() if apart else model.layout).join(parameters)))
        estimator._buffers = copy_tree(trained.buffers)
        losses = trained.history["loss"] if trained.history.epochs else []
        fitted: dict[str, Any] = estimator.__dict__
        fitted.update(
            n_features_in_=model.inputs,
            n_outputs_=model.outputs,
            n_layers_=len(found.hidden) + 2,
            n_iter_=len(losses),
            t_=0,
            loss_=losses[-1] if losses else float("nan"),
            loss_curve_=list(losses),
            best_loss_=min(losses, default=float("inf")),
            validation_scores_=None,
            best_validation_score_=None,
            _no_improvement_count=0,
            _from_host=True,
        )
        if trained.features is not None:
            fitted["feature_names_in_"] = np.asarray(trained.features, dtype=object)
        return estimator
