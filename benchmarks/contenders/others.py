"""Keras on JAX, and scikit-learn, thinc and tinygrad with what these three have: ReLU, float32, no norm, no dropout."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from typing import Any

import numpy as np

from contenders.base import Measured
from dlarray.bench import Workload
from setting import Setting


def plain(workload: Workload) -> Workload:
    """The workload, if it is one that these libraries are measured on."""
    case = workload.case
    if case.activation != "relu" or case.dropout or case.norm or case.dtype != "float32":
        raise NotImplementedError("measured on the plain cases only")
    return workload


def one_hot(t: np.ndarray, classes: int, dtype: str = "float32") -> np.ndarray:
    """Labels as rows of 0 and 1."""
    return (t[:, None] == np.arange(classes)).astype(dtype)


class Sklearn(Measured):
    """MLPClassifier: the body of its loop over batches, without the checks and shuffles around it."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        sklearn: Any = import_module("sklearn.neural_network")
        case, self.workload = plain(workload).case, workload
        self.batches = [(x, one_hot(t, case.widths[-1])) for x, t in workload.batches]
        self.model = sklearn.MLPClassifier(case.widths[1:-1], alpha=0.0, batch_size=case.batch, shuffle=False)
        x, t = workload.batches[0]
        self.model.partial_fit(x, t, classes=np.arange(case.widths[-1]))
        self.restart()

    def restart(self) -> None:
        optimizers = import_module("sklearn.neural_network._stochastic_optimizers")
        self.model.coefs_ = [w.copy() for w, _ in self.workload.weights]
        self.model.intercepts_ = [b.copy() for _, b in self.workload.weights]
        self.parameters = self.model.coefs_ + self.model.intercepts_
        self.optimizer = optimizers.AdamOptimizer(self.parameters, 1e-3)
        self.gradients: list[Any] = [np.empty_like(p) for p in self.parameters]

    def step(self, i: int) -> Any:
        x, t = self.batches[i % len(self.batches)]
        n = len(self.model.coefs_)
        self.model.n_layers_ = n + 1
        activations: list[Any] = [x] + [None] * n
        deltas: list[Any] = [None] * n
        weights, biases = self.gradients[:n], self.gradients[n:]
        loss, weights, biases = self.model._backprop(x, t, None, activations, deltas, weights, biases)
        self.optimizer.update_params(self.parameters, weights + biases)
        return loss


class Thinc(Measured):
    """A chain of Relu layers and Softmax, CategoricalCrossentropy and Adam, as in thinc's own examples."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        thinc: Any = import_module("thinc.api")
        case, self.workload, self.adam = plain(workload).case, workload, thinc.Adam
        sizes = [(a, b) for (a, b) in (w.shape for w, _ in workload.weights)]
        layers = [thinc.Relu(nO=m, nI=n) for n, m in sizes[:-1]] + [thinc.Softmax(nO=sizes[-1][1], nI=sizes[-1][0])]
        self.model: Any = thinc.chain(*layers) if len(layers) > 1 else layers[0]
        self.batches = [(x, one_hot(t, case.widths[-1])) for x, t in workload.batches]
        x, t = self.batches[0]
        self.model.initialize(X=x, Y=t)
        self.layers, self.loss = layers, thinc.CategoricalCrossentropy(normalize=True)
        self.restart()

    def restart(self) -> None:
        for layer, (w, b) in zip(self.layers, self.workload.weights, strict=True):
            layer.set_param("W", np.ascontiguousarray(w.T))
            layer.set_param("b", b.copy())
        self.optimizer = self.adam(1e-3, L2=0.0, grad_clip=0.0, use_averages=False)

    def step(self, i: int) -> Any:
        x, t = self.batches[i % len(self.batches)]
        p, back = self.model.begin_update(x)
        back(self.loss.get_grad(p, t))
        self.model.finish_update(self.optimizer)
        return p, t

    def value(self, loss: Any) -> float:
        p, t = loss  # thinc's own loss is a sum of squares
        return -float(np.log((p * t).sum(axis=1)).mean())


class Tinygrad(Measured):
    """tinygrad on the CPU, the whole step in a TinyJit."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        tinygrad: Any = import_module("tinygrad")
        Tensor = tinygrad.Tensor
        if shutil.which(compiler := os.environ.get("CC", "clang")) is None:
            raise NotImplementedError(f"tinygrad compiles by {compiler}, which is not installed")
        self.workload, self.tensor, self.context = plain(workload), Tensor, tinygrad.Context
        self.parameters: list[Any] = [Tensor(p).realize().is_param_() for pair in workload.weights for p in pair]
        self.optimizer: Any = tinygrad.nn.optim.Adam(self.parameters, lr=1e-3, eps=1e-8)
        self.batches = [(Tensor(x).realize(), Tensor(t).realize()) for x, t in workload.batches]

        @tinygrad.TinyJit
        def step(x: Any, t: Any) -> Any:
            self.optimizer.zero_grad()
            for i in range(0, len(self.parameters), 2):
                x = x.linear(self.parameters[i], self.parameters[i + 1])
                x = x.relu() if i + 2 < len(self.parameters) else x
            loss = x.sparse_categorical_crossentropy(t).backward()
            return loss.realize(*self.optimizer.schedule_step())

        self.jitted = step
        self.restart()

    def restart(self) -> None:
        initial = [p for pair in self.workload.weights for p in pair]
        for tensor, p in zip(self.parameters, initial, strict=True):
            tensor.assign(self.tensor(p)).realize()
        for tensor in [*self.optimizer.m, *self.optimizer.v]:
            tensor.assign(tensor.zeros_like()).realize()
        for tensor in (self.optimizer.b1_t, self.optimizer.b2_t):
            tensor.assign(tensor.ones_like()).realize()

    def step(self, i: int) -> Any:
        with self.context(TRAINING=1):
            return self.jitted(*self.batches[i % len(self.batches)])

    def value(self, loss: Any) -> float:
        return float(loss.item())


class Keras(Measured):
    """Keras 3 on JAX: ``train_on_batch``, which compiles its step; ε is dlarray's, where Keras puts it."""

    def __init__(self, workload: Workload, setting: Setting) -> None:
        keras: Any = import_module("keras")
        case = workload.case
        keras.config.set_floatx(case.dtype)
        self.keras, self.workload = keras, workload
        layers: list[Any] = [keras.Input((case.widths[0],))]
        for i, (_, b) in enumerate(workload.weights):
            layers.append(keras.layers.Dense(len(b)))
            if i < len(workload.weights) - 1:
                layers += [keras.layers.LayerNormalization(epsilon=1e-5)] if case.norm else []
                layers += [keras.layers.Activation(case.activation)]
                layers += [keras.layers.Dropout(case.dropout)] if case.dropout else []
        self.model: Any = keras.Sequential(layers)
        self.model.compile(
            optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        self.restart()

    def restart(self) -> None:
        dense = [layer for layer in self.model.layers if isinstance(layer, self.keras.layers.Dense)]
        for layer, (w, b) in zip(dense, self.workload.weights, strict=True):
            layer.set_weights([w, b])
        for variable in self.model.optimizer.variables:
            if variable.path.rpartition("/")[2] != "learning_rate":
                variable.assign(0 * variable)

    def step(self, i: int) -> Any:
        self.model.reset_metrics()  # or it reports the mean of all losses so far
        return self.model.train_on_batch(*self.workload.batches[i % len(self.workload.batches)])
