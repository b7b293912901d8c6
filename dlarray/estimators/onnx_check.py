"""What skl2onnx can convert: it reads an estimator as scikit-learn's, and does not see what scikit-learn's lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.validation import check_is_fitted

from dlarray.core.layer import Activation
from dlarray.device import device_of
from dlarray.estimators.predicting import PredictMixin
from dlarray.layers import Dense, Dropout

__all__ = ["OnnxCheckMixin"]

ACTIVATIONS = ("identity", "logistic", "relu", "tanh")
OUTPUTS = ("identity", "logistic", "softmax")


class OnnxCheckMixin(PredictMixin):
    """An estimator that skl2onnx converts correctly or not at all."""

    activation: Any
    loss: Any

    def onnx_parser(self) -> Callable[..., Any] | None:
        """Check that a converter for scikit-learn's estimator gives the same predictions; called by skl2onnx.

        Returns
        -------
        parser : None
            None: skl2onnx uses the parser, and the converter, that are registered for this class.

        Raises
        ------
        NotImplementedError
            If the network has what such a converter does not read, with the remedy.
        """
        check_is_fitted(self)
        self._check_fitted()
        if why := self._not_in_onnx():
            raise NotImplementedError(
                f"a converter for scikit-learn's {type(self).__name__} would give other predictions: {why}; "
                "dlarray.onnx.register_converters() lets skl2onnx convert all of it"
            )
        return None

    def _not_in_onnx(self) -> str:
        """What a converter does not read; an empty text if it reads everything."""
        if not device_of(self.coefs_[0]).backend.uses_numpy_arrays:
            return f"the weights are on {device_of(self.coefs_[0])}; call to_device('cpu') before"
        for f in self._model.layers:
            if not isinstance(f, (Dense, Dropout, Activation)):
                return f"it leaves {f} out"
        if not isinstance(self.activation, str) or self.activation not in ACTIVATIONS:
            return f"it knows the activations {', '.join(ACTIVATIONS)} by name, and this is {self.activation!r}"
        if self.out_activation_ not in OUTPUTS:
            return f"it knows the output activations {', '.join(OUTPUTS)}, and this is {self.out_activation_!r}"
        labels = getattr(self, "_labels", None)
        if labels is None:
            return "" if self.n_outputs_ == 1 else f"it expects one output, and this has {self.n_outputs_}"
        if not self._loss.output_activation.gives_probabilities:
            return f"it expects probabilities, and loss={self.loss!r} trains scores"
        if labels.kind == "binary" and self.n_outputs_ == 2:
            return f"it expects one output for two classes, and loss={self.loss!r} has two; use 'log_loss'"
        if labels.kind == "multilabel-indicator" and self.n_outputs_ == 2:
            return "it takes two labels for two classes"
        return ""
