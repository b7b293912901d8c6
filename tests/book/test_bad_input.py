"""What a user gets for bad input: one table, each row one bad thing and the words that help.

Every refusal leaves the weights, the optimizer's state and the random state that were given as they were, bit for bit,
and the examples too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import metrics
from dlarray.core.random import key_words
from dlarray.core.registry import classes
from dlarray.training import DivergedError
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 4))
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
NUMBERS = rng.normal(size=(8, 2))
ONE_HOT = np.eye(3)[LABELS]

MODEL = dl.mlp(4, 5, 3)
REGRESSION = dl.mlp(4, 5, 2)
SINGLE = dl.mlp(4, 5, 1)
NORMED = dl.MLP(4, [dl.Dense(5), dl.BatchNorm(), "relu", dl.Dense(3)])
CATEGORIES = dl.MLP(2, [dl.Embedding(5, 2), dl.Dense(3)])


def with_one(x: np.ndarray, value: float, place: tuple[int, ...] = (2, 1)) -> np.ndarray:
    x = x.astype(float)
    x[place[: x.ndim]] = value
    return x


def fit(x: Any = X, y: Any = LABELS, model: Any = MODEL, **options: Any) -> dl.Trained:
    return dl.fit(model, x, y, **({"epochs": 1, "batch_size": 4, "progress": False} | options))


def torch(x: Any) -> Any:
    return pytest.importorskip("torch").asarray(x)


def strict(x: Any, device: str = "cpu") -> Any:
    pytest.importorskip("array_api_strict")
    return dl.asarray(x, f"strict:{device}")


@dataclass
class Given:
    """Weights, optimizer state and examples of the array-level interface, to be looked at again after a refusal."""

    theta: tuple[np.ndarray, ...]
    state: tuple[dict[str, np.ndarray], ...]
    key: np.ndarray
    x: np.ndarray
    t: np.ndarray

    @classmethod
    def fresh(cls) -> Given:
        theta = REGRESSION.init(0, "cpu")
        optimizer = dl.Adam(weight_decay=0.1)
        state = optimizer.init_all(theta)
        g = tuple(0.1 * np.ones_like(v) for v in theta)
        theta, state = optimizer.step_all(theta, g, state)  # so that no moment is 0
        return cls(theta, state, key_words(0, "masks"), X.astype("f4"), NUMBERS.astype("f4"))

    def bits(self) -> list[bytes]:
        arrays = [*self.theta, *(a for s in self.state for a in s.values()), self.key, self.x, self.t]
        return [np.asarray(a).tobytes() for a in arrays]


class Forgotten:
    """Has no shape and is no array."""


@dataclass(frozen=True)
class Wide(dl.Layer):
    """A layer that takes five inputs and no other number."""

    def width(self, inputs: int) -> int:
        if inputs != 5:
            raise ValueError(f"it takes 5 inputs, got {inputs}")
        return 5


Case = tuple[Callable[[], Any], type[Exception], str]

TRAINING: dict[str, Case] = {
    # What x and y are
    "x a list": (lambda: fit(X.tolist()), TypeError, "x must be an array, got list; numpy.asarray makes one"),
    "x None": (lambda: fit(None), TypeError, "x must be an array, got NoneType"),
    "x nothing known": (lambda: fit(Forgotten()), TypeError, "x must be an array, got Forgotten"),
    "y a list": (lambda: fit(y=LABELS.tolist()), TypeError, "y must be an array, got list; numpy.asarray makes one"),
    "y missing": (lambda: fit(y=None), ValueError, "y is missing: training needs the targets"),
    "weight a list": (lambda: fit(weight=[1.0] * 8), TypeError, "weight must be an array, got list"),
    "x objects": (lambda: fit(X.astype(object)), TypeError, "x must hold real numbers, got dtype object"),
    "y objects": (lambda: fit(y=LABELS.astype(object)), TypeError, "y must hold real numbers, got dtype object"),
    "x strings": (lambda: fit(X.astype(str)), ValueError, "x must hold real numbers, got dtype <U"),
    "y strings": (lambda: fit(y=LABELS.astype(str)), ValueError, "y must hold real numbers, got dtype <U"),
    "x complex": (lambda: fit(X + 0j), ValueError, "x must hold real numbers, got dtype complex128"),
    "y complex": (lambda: fit(y=NUMBERS + 0j, model=REGRESSION), ValueError, "y must hold real numbers, got .*complex"),
    "x complex on a device": (lambda: fit(strict(X + 0j), strict(LABELS)), ValueError, "x must hold real .*complex128"),
    "x dates": (lambda: fit(X.astype("M8[s]")), ValueError, r"x must hold real numbers, got dtype datetime64\[s\]"),
    "x masked": (lambda: fit(np.ma.masked_less(X, 0)), TypeError, "x is a masked array.*drop or fill"),
    "y masked": (lambda: fit(y=np.ma.masked_equal(LABELS, 0)), TypeError, "y is a masked array.*drop or fill"),
    "values masked": (lambda: dl.asarray(np.ma.masked_less(X, 0)), TypeError, "is a masked array.*drop or fill"),
    # Their shapes
    "x 1-D": (lambda: fit(X[0]), ValueError, r"x must have two axes, \(examples, inputs\), got shape \(4,\)"),
    "x 3-D": (lambda: fit(X[None]), ValueError, r"x must have two axes.*got shape \(1, 8, 4\)"),
    "rows differ": (lambda: fit(X[:5]), ValueError, r"x and y must have as many rows, got shapes \(5, 4\) and \(8,\)"),
    "y a single number": (lambda: fit(y=np.array(1)), ValueError, r"as many rows, got shapes \(8, 4\) and \(\)"),
    "no rows": (lambda: fit(X[:0], LABELS[:0]), ValueError, r"x has no examples: its shape is \(0, 4\)"),
    "no features": (lambda: fit(X[:, :0]), ValueError, r"x has no features: its shape is \(8, 0\)"),
    "other features": (lambda: fit(X[:, :3]), ValueError, r"takes 4 inputs, got x with 3 features, shape \(8, 3\)"),
    "(n,) to two outputs": (
        lambda: fit(y=NUMBERS[:, 0], model=REGRESSION),
        ValueError,
        r"targets of shape \(8,\) do not match outputs of shape \(8, 2\)",
    ),
    "weights of the wrong shape": (
        lambda: fit(weight=np.ones((8, 1))),
        ValueError,
        r"weight must hold one number per example, shape \(8,\), got \(8, 1\)",
    ),
    # Their numbers
    "nan in x": (
        lambda: fit(with_one(X, np.nan)),
        ValueError,
        "x must be finite, got nan in row 2, column 1; drop or fill",
    ),
    "inf in x": (lambda: fit(with_one(X, np.inf, (7, 3))), ValueError, "must be finite, got inf in row 7, column 3"),
    "-inf in x": (lambda: fit(with_one(X, -np.inf, (0, 0))), ValueError, "must be finite, got -inf in row 0, column 0"),
    "too large for float32": (
        lambda: fit(with_one(X, 1e300)),
        ValueError,
        r'x must fit into float32, got 1e\+300 in row 2, column 1; scale it, or give dtype="float64"',
    ),
    "y too large for float32": (
        lambda: fit(y=with_one(NUMBERS, -1e39), model=REGRESSION),
        ValueError,
        r"y must fit into float32, got -1e\+39 in row 2, column 1",
    ),
    "nan in y": (
        lambda: fit(y=with_one(NUMBERS, np.nan), model=REGRESSION),
        ValueError,
        "targets must be finite, got nan in row 2; drop or fill these examples",
    ),
    "nan in the weights": (
        lambda: fit(weight=with_one(LABELS, np.nan)),
        ValueError,
        "weight must be finite, got nan in row 2",
    ),
    "a negative weight": (lambda: fit(weight=LABELS - 1.0), ValueError, "weight must be at least 0"),
    "all weights 0": (lambda: fit(weight=0.0 * LABELS), ValueError, "not 0 everywhere"),
    "float labels": (
        lambda: fit(y=LABELS * 1.0, loss="sparse_cross_entropy"),
        ValueError,
        "class labels must be integers, got float64; convert them with astype",
    ),
    "a label too large": (
        lambda: fit(y=LABELS + 1),
        ValueError,
        r"labels must lie in \[0, 3\), got 3 in row 2; number the",
    ),
    "a negative label": (lambda: fit(y=LABELS - 1), ValueError, r"labels must lie in \[0, 3\), got -1 in row 0"),
    "labels to a one-hot loss": (
        lambda: fit(loss="cross_entropy"),
        ValueError,
        r"one-hot rows .* of shape \(8, 3\), got integer labels.*use SparseCategoricalCrossEntropy",
    ),
    "one-hot rows to a sparse loss": (
        lambda: fit(y=ONE_HOT.astype(int)),
        ValueError,
        r"integer labels of shape \(8,\), got rows of shape \(8, 3\).*use CategoricalCrossEntropy",
    ),
    "rows that do not sum to 1": (
        lambda: fit(y=0.9 * ONE_HOT, loss="cross_entropy"),
        ValueError,
        r"must sum to 1, got 0\.9.* in row 0; divide each row by its sum",
    ),
    "a probability above 1": (lambda: fit(y=2 * ONE_HOT, loss="kl"), ValueError, r"in \[0, 1\], got 2\.0 in row 0"),
    "a binary target of 2": (
        lambda: fit(y=LABELS, model=SINGLE),
        ValueError,
        r"0, 1 or a probability.*got 2 in row 2; for more than two classes use SparseCategorical",
    ),
    "a hinge label of 2": (
        lambda: fit(y=LABELS, model=SINGLE, loss="hinge"),
        ValueError,
        "-1 and 1, or 0 and 1, got 2 in row 2",
    ),
    "a category too large": (
        lambda: fit(np.full((8, 2), 5), model=CATEGORIES),
        ValueError,
        r"x holds categories outside \[0, 5\)",
    ),
    "a negative category": (lambda: fit(np.full((8, 2), -1), model=CATEGORIES), ValueError, r"outside \[0, 5\)"),
    "categories that are no integers": (
        lambda: fit(np.ones((8, 2)), model=CATEGORIES),
        ValueError,
        "takes the numbers of categories, integers, got x of type float64",
    ),
    # Where they are
    "x on torch, y on NumPy": (
        lambda: fit(torch(X)),
        TypeError,
        "x and y must be of one library, got torch and numpy; dlarray.to_device moves arrays",
    ),
    "x on NumPy, y on torch": (lambda: fit(y=torch(LABELS)), TypeError, "of one library, got numpy and torch"),
    "weight on torch": (lambda: fit(weight=torch(np.ones(8))), TypeError, "x and weight must be of one library"),
    "two devices": (
        lambda: fit(strict(X, "device1"), strict(LABELS, "device2")),
        ValueError,
        "x and y must be on one device, got strict:device1 and strict:device2; dlarray.to_device moves",
    ),
    "weight on another device": (
        lambda: fit(strict(X, "device1"), strict(LABELS, "device1"), weight=strict(np.ones(8), "device2")),
        ValueError,
        "x and weight must be on one device, got strict:device1 and strict:device2",
    ),
    "an unknown device": (
        lambda: fit(device="cdua"),
        dl.DeviceError,
        "device='cdua' names an unknown device, did you mean 'cuda'",
    ),
    "a device that is no name": (lambda: fit(device=0), TypeError, "given by its name, such as 'cpu' or 'jax', got 0"),
    "a device without float64": (
        lambda: fit(device="strict:no_float64", dtype="float64") if strict(X) is not None else None,
        ValueError,
        "no_float64.*float64",
    ),
    # How to train
    "a model that is none": (lambda: fit(model=[dl.Dense(3)]), TypeError, "model must be an MLP, such as .*, got list"),
    "arguments in the wrong order": (lambda: dl.fit(X, LABELS, MODEL), TypeError, "model must be an MLP.*got ndarray"),
    "an unknown keyword": (lambda: fit(learning_rate=0.1), TypeError, "unexpected keyword argument 'learning_rate'"),
    "an unknown loss": (lambda: fit(loss="hubre"), ValueError, "unknown loss 'hubre', did you mean 'huber'.*known are"),
    "an unknown optimizer": (
        lambda: fit(optimizer="adamm"),
        ValueError,
        "unknown optimizer 'adamm', did you mean 'adam'",
    ),
    "an unknown metric": (
        lambda: fit(metrics=["acuracy"]),
        ValueError,
        "unknown metric 'acuracy', did you mean 'accuracy'",
    ),
    "a metric that is no list": (
        lambda: fit(metrics="accuracy"),
        TypeError,
        "metrics must be a list.*between brackets",
    ),
    "two metrics of one name": (
        lambda: fit(metrics=[lambda y, p: y[0], lambda y, p: y[1]]),
        ValueError,
        "two metrics have the name '<lambda>'",
    ),
    "a metric that is a number": (lambda: fit(metrics=[5]), TypeError, "a name or a function.*got 5"),
    "a loss that is a class": (lambda: fit(loss=dl.Huber), TypeError, "loss must be a name or an instance, got <class"),
    "a loss without reduction": (
        lambda: fit(loss=dl.SparseCategoricalCrossEntropy(reduction="none")),
        ValueError,
        "reduction must be 'mean' or 'sum', got 'none'",
    ),
    "an unknown dtype": (lambda: fit(dtype="flaot32"), ValueError, "unknown dtype 'flaot32', did you mean 'float32'"),
    "half precision": (lambda: fit(dtype="float16"), ValueError, "choose from float32, float64"),
    "whole numbers for weights": (lambda: fit(dtype="int32"), ValueError, "choose from float32, float64"),
    "no epochs": (lambda: fit(epochs=0), ValueError, "epochs must be at least 1, got 0"),
    "half an epoch": (lambda: fit(epochs=0.5), TypeError, r"epochs must be a whole number, got 0\.5"),
    "batch size 0": (lambda: fit(batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    "batch size -1": (lambda: fit(batch_size=-1), ValueError, "batch_size must be at least 1, got -1"),
    "batch size 2.5": (lambda: fit(batch_size=2.5), TypeError, r"batch_size must be a whole number, got 2\.5"),
    "batch size True": (lambda: fit(batch_size=True), TypeError, "batch_size must be a whole number, got True"),
    "accumulate 0": (lambda: fit(accumulate=0), ValueError, "accumulate must be at least 1, got 0"),
    "a negative seed": (lambda: fit(seed=-1), ValueError, r"seed must lie in \[0, 2\*\*63\), got -1"),
    "a seed of 2**64": (
        lambda: fit(seed=2**64),
        ValueError,
        r"seed must lie in \[0, 2\*\*63\), got 18446744073709551616",
    ),
    "a float for a seed": (lambda: fit(seed=1.0), TypeError, r"seed must be a whole number, got 1\.0"),
    "a bool for a seed": (lambda: fit(seed=True), TypeError, "seed must be a whole number, got True"),
    "a seed that nothing draws from": (
        lambda: fit(seed=-1, theta=MODEL.init(), shuffle=False, batch_size=None),
        ValueError,
        "seed must lie in",
    ),
    "validation of 0": (
        lambda: fit(validation=0),
        ValueError,
        "leaves no examples in one of the two parts of 8 examples",
    ),
    "validation of 1": (lambda: fit(validation=1.0), ValueError, r"validation must lie in \[0, 1\), got 1\.0"),
    "validation of too little": (
        lambda: fit(validation=0.01),
        ValueError,
        r"fraction of 0\.01 leaves no examples in one",
    ),
    "validation a list": (
        lambda: fit(validation=[X, LABELS]),
        TypeError,
        r"a fraction or examples \(x, y\), got a list",
    ),
    "validation of three": (lambda: fit(validation=(X, LABELS, X)), TypeError, r"examples \(x, y\), got 3 items"),
    "validation that does not fit": (
        lambda: fit(validation=(X[:, :2], LABELS)),
        ValueError,
        "takes 4 inputs, got x with 2",
    ),
    # Where to begin
    "theta a list": (lambda: fit(theta=list(MODEL.init())), TypeError, "theta must be a tuple of vectors.*got list"),
    "theta an array": (lambda: fit(theta=MODEL.init()[0]), TypeError, "theta must be a tuple of vectors.*got ndarray"),
    "theta of lists": (
        lambda: fit(theta=([0.0] * 256,)),
        TypeError,
        "theta must be a tuple of vectors.*got a list in it",
    ),
    "theta of another model": (
        lambda: fit(theta=dl.mlp(4, 99, 3).init()),
        ValueError,
        r"theta must hold vectors of lengths \[256\], got shapes \[\(\d+,\)\]",
    ),
    "theta with nan": (lambda: fit(theta=(MODEL.init()[0] * np.nan,)), ValueError, "theta must be finite"),
    # Layers that cannot work
    "softmax twice": (
        lambda: fit(model=dl.MLP(4, [dl.Dense(3), "softmax"])),
        ValueError,
        r"applies Softmax itself.*drop the layer \(better\) or use SparseCategoricalCrossEntropy\(from_logits=False\)",
    ),
    "softmax twice, deeper": (
        lambda: fit(model=dl.MLP(4, [dl.Chain([dl.Dense(3), "softmax"])])),
        ValueError,
        "applies Softmax itself",
    ),
    "sigmoid twice": (
        lambda: fit(y=LABELS > 0, model=dl.MLP(4, [dl.Dense(1), "sigmoid"])),
        ValueError,
        "BinaryCrossEntropy applies Sigmoid itself",
    ),
    "batch norm of one row": (
        lambda: fit(X[:1], LABELS[:1], NORMED, batch_size=None),
        ValueError,
        "BatchNorm needs at least 2 examples.*with 1 examples.*has 1: there are too few examples",
    ),
    "batch norm, stochastic": (
        lambda: fit(model=NORMED, batch_size=1),
        ValueError,
        "with 8 examples, batch_size 1 .*the smallest batch or part has 1: use batch_size=2",
    ),
    "batch norm, a last batch of one": (
        lambda: fit(X[:7], LABELS[:7], NORMED, batch_size=3),
        ValueError,
        "with 7 examples, batch_size 3 .*the smallest batch or part has 1: use batch_size=4",
    ),
    "batch norm in parts of one": (
        lambda: fit(model=NORMED, accumulate=4),
        ValueError,
        "batch_size 4 and accumulate 4 the smallest batch or part has 1: use batch_size=8",
    ),
    "batch norm in too many parts": (lambda: fit(model=NORMED, accumulate=8), ValueError, "or too many parts"),
    "batch norm inside": (
        lambda: fit(model=dl.MLP(4, [dl.Residual([dl.Chain([dl.BatchNorm()])]), dl.Dense(3)]), batch_size=1),
        ValueError,
        "BatchNorm needs at least 2 examples",
    ),
    "widths that do not meet": (
        lambda: dl.MLP(4, [dl.Dense(6), "relu", Wide()]),
        ValueError,
        r"layer 2, Wide\(\), cannot take 6 inputs: it takes 5 inputs, got 6",
    ),
    "widths that do not meet inside": (
        lambda: dl.MLP(4, [dl.Dense(6), dl.Residual([dl.Dense(5)])]),
        ValueError,
        "layer 1, Residual.*cannot take 6 inputs: the layers inside give 5 outputs",
    ),
    "an embedding behind": (
        lambda: dl.MLP(4, [dl.Dense(2), dl.Embedding(3, 2)]),
        ValueError,
        "must be the first layer",
    ),
    "an embedding behind, deeper": (
        lambda: dl.MLP(4, [dl.Dense(2), dl.Chain([dl.Embedding(3, 2)])]),
        ValueError,
        "must be the first layer",
    ),
    "no layers": (lambda: dl.MLP(4, []), ValueError, "at least one layer"),
    "a layer without brackets": (
        lambda: dl.MLP(4, dl.Dense(3)),
        TypeError,
        r"must be a list of layers, got Dense\(.*brackets",
    ),
    "a name without brackets": (lambda: dl.MLP(4, "relu"), TypeError, "must be a list of layers, got 'relu'"),
    "a layer that is a class": (lambda: dl.MLP(4, [dl.Dense]), TypeError, "a name or an instance, got <class"),
    "an unknown activation": (
        lambda: dl.mlp(4, 3, 2, activation="rely"),
        ValueError,
        "unknown activation 'rely', did you mean 'relu'",
    ),
    "an unknown initializer": (
        lambda: dl.Dense(3, weight="he_unifrom"),
        ValueError,
        "unknown initializer 'he_unifrom', did you mean 'he_uniform'",
    ),
    "more weights than memory": (lambda: fit(model=dl.mlp(4, 10**15, 3)), MemoryError, r"allocate .* (T|P|E)iB|memory"),
    "zero units": (lambda: dl.mlp(4, 0, 2), ValueError, "units must be at least 1, got 0"),
    "units that are no number": (lambda: dl.mlp(4, "3"), TypeError, "units must be a whole number, got '3'"),
    "a dropout rate of 1": (lambda: dl.mlp(4, 3, 2, dropout=1.0), ValueError, r"rate must lie in \[0, 1\), got 1\.0"),
    "a learning rate of 0": (lambda: dl.Adam(0.0), ValueError, r"learning_rate must be above 0, got 0\.0"),
    "a learning rate of nan": (lambda: dl.Adam(float("nan")), ValueError, "learning_rate must be finite, got nan"),
    "beta of 1": (lambda: dl.Adam(beta1=1.0), ValueError, r"beta1 must lie in \[0, 1\), got 1\.0"),
    "momentum of 1": (lambda: dl.Momentum(momentum=1.0), ValueError, r"momentum must lie in \[0, 1\)"),
    "eps of 0": (lambda: dl.RMSprop(eps=0), ValueError, "eps must be above 0, got 0"),
    "delta of 0": (lambda: dl.Huber(0), ValueError, "delta must be above 0, got 0"),
}


@pytest.mark.parametrize("what", TRAINING)
def test_training_refuses(what: str) -> None:
    act, error, words = TRAINING[what]
    x, labels, numbers = X.copy(), LABELS.copy(), NUMBERS.copy()
    random = repr(np.random.get_state())  # noqa: NPY002 - nobody's state may move, the legacy one included
    with pytest.raises(error, match=re.compile(words, re.DOTALL)) as caught:
        act()
    assert isinstance(caught.value, error)
    for now, before in ((X, x), (LABELS, labels), (NUMBERS, numbers)):
        np.testing.assert_array_equal(now, before)
    assert repr(np.random.get_state()) == random  # noqa: NPY002


MSE = dl.MeanSquaredError()

ARRAYS: dict[str, tuple[Callable[[Given], Any], type[Exception], str]] = {
    "x a list": (
        lambda a: REGRESSION.predict(a.theta, a.x.tolist()),
        TypeError,
        "x must be an array, got list; dlarray.asarray",
    ),
    "x None": (lambda a: REGRESSION.forward(a.theta, None), TypeError, "x must be an array, got NoneType"),
    "t a list": (
        lambda a: REGRESSION.loss_and_gradient(a.theta, a.x, a.t.tolist(), MSE),
        TypeError,
        "targets must be an array, got list",
    ),
    "x 1-D": (lambda a: REGRESSION.predict(a.theta, a.x[0]), ValueError, r"two axes, .*got shape \(4,\)"),
    "x 3-D": (lambda a: REGRESSION.predict(a.theta, a.x[None]), ValueError, r"two axes, .*got shape \(1, 8, 4\)"),
    "other features": (lambda a: REGRESSION.predict(a.theta, a.x[:, :3]), ValueError, "takes 4 inputs, got x with 3"),
    "whole numbers": (
        lambda a: REGRESSION.predict(a.theta, a.x.astype(int)),
        TypeError,
        "takes floating-point numbers, got x of type int",
    ),
    "strings": (
        lambda a: REGRESSION.predict(a.theta, a.x.astype(str)),
        TypeError,
        "floating-point numbers, got x of type <U",
    ),
    "objects": (lambda a: REGRESSION.predict(a.theta, a.x.astype(object)), TypeError, "got x of type object"),
    "complex": (lambda a: REGRESSION.predict(a.theta, a.x + 0j), TypeError, "got x of type complex64"),
    "an empty batch": (
        lambda a: REGRESSION.loss_and_gradient(a.theta, a.x[:0], a.t[:0], MSE),
        ValueError,
        "MeanSquaredError: an empty batch.*has no mean",
    ),
    "(n,) against (n, 1)": (
        lambda a: MSE.forward(a.t[:, :1], a.t[:, 0]),
        ValueError,
        r"targets of shape \(8,\) do not match outputs of shape \(8, 1\); reshape the targets to \(8, 1\)",
    ),
    "x on torch": (
        lambda a: REGRESSION.predict(a.theta, torch(a.x)),
        TypeError,
        "x and theta must be of one library, got torch and numpy",
    ),
    "theta on torch": (
        lambda a: REGRESSION.loss_and_gradient(tuple(torch(v) for v in a.theta), a.x, a.t, MSE),
        TypeError,
        "x and theta must be of one library, got numpy and torch; dlarray.to_device moves arrays",
    ),
    "t on torch": (
        lambda a: REGRESSION.loss_and_gradient(a.theta, a.x, torch(a.t), MSE),
        TypeError,
        "(?i)namespace|library",
    ),
    "two devices": (
        lambda a: REGRESSION.predict(tuple(strict(v, "device1") for v in a.theta), strict(a.x, "device2")),
        ValueError,
        "device1.*can not be combined",
    ),
    "t on another device": (
        lambda a: MSE.forward(strict(a.t, "device1"), strict(a.t, "device2")),
        ValueError,
        "device1.*can not be combined",
    ),
    "theta a number": (
        lambda a: REGRESSION.predict(5, a.x),
        TypeError,
        "tuple of vectors, as init.. returns it, got int",
    ),
    "theta an array": (lambda a: REGRESSION.predict(a.theta[0], a.x), TypeError, "tuple of vectors.*got ndarray"),
    "theta of lists": (lambda a: REGRESSION.predict((a.theta[0].tolist(),), a.x), TypeError, "got a list in it"),
    "theta too short": (
        lambda a: REGRESSION.predict((a.theta[0][:-1],), a.x),
        ValueError,
        r"lengths \[256\], got shapes \[\(255,\)\]",
    ),
    "theta with two axes": (
        lambda a: REGRESSION.predict((a.theta[0][None],), a.x),
        ValueError,
        r"got shapes \[\(1, 256\)\]",
    ),
    "theta empty": (lambda a: REGRESSION.predict((), a.x), ValueError, r"lengths \[256\], got shapes \[\]"),
    "no buffers": (
        lambda a: NORMED.predict(NORMED.init(0, "cpu"), a.x),
        ValueError,
        "give buffers=, from init_buffers",
    ),
    "other buffers": (
        lambda a: NORMED.predict(NORMED.init(0, "cpu"), a.x, (a.theta[0],)),
        ValueError,
        r"lengths \[128\]",
    ),
    "batch norm of one row": (
        lambda a: NORMED.forward(NORMED.init(0, "cpu"), a.x[:1]),
        ValueError,
        "at least 2 examples in a batch of training, got 1: use a larger batch",
    ),
    "no key": (
        lambda a: dl.mlp(4, 3, 2, dropout=0.5).forward(dl.mlp(4, 3, 2).init(0, "cpu"), a.x),
        ValueError,
        "give key=, from dlarray.core.random.key_words",
    ),
    "g a list": (
        lambda a: dl.Adam().step(a.theta[0], a.theta[0].tolist(), a.state[0]),
        TypeError,
        "one library, got ndarray and list",
    ),
    "theta a list to an optimizer": (
        lambda a: dl.Adam().step(a.theta[0].tolist(), a.theta[0], a.state[0]),
        TypeError,
        "one library, got list and ndarray",
    ),
    "g on torch": (
        lambda a: dl.Adam().step(a.theta[0], torch(a.theta[0]), a.state[0]),
        TypeError,
        "one library, got ndarray and Tensor",
    ),
    "g of another shape": (
        lambda a: dl.Adam().step(a.theta[0], a.theta[0][:-1], a.state[0]),
        ValueError,
        r"g must have the shape of theta, \(256,\), got \(255,\)",
    ),
    "a number for g": (lambda a: dl.Adam().step(a.theta[0], np.array(1.0), a.state[0]), ValueError, r"got \(\)"),
    "a list to a schedule": (lambda a: dl.CosineDecay(0.1, 10)([1.0, 2.0]), TypeError, "list"),
    "a list to an activation": (lambda a: dl.ReLU().forward([1.0]), TypeError, "list"),
    "a list to be moved": (
        lambda a: dl.to_device([1.0], "cpu"),
        TypeError,
        "takes an array, got list; dlarray.asarray makes one",
    ),
    "a list to be brought home": (lambda a: dl.to_numpy([1.0]), TypeError, "list"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_the_array_level_refuses_and_changes_nothing(what: str) -> None:
    act, error, words = ARRAYS[what]
    given = Given.fresh()
    before = given.bits()
    with pytest.raises(error, match=re.compile(words, re.DOTALL)) as caught:
        act(given)
    assert type(caught.value) is error
    assert given.bits() == before


@pytest.mark.parametrize("name", metrics.__all__)
def test_metrics_refuse_lists(name: str) -> None:
    with pytest.raises(TypeError, match="list"):
        getattr(metrics, name)([0, 1], [0, 1])


@pytest.mark.parametrize("name", [n for n, c in classes(dl.Optimizer).items() if c.__module__.startswith("dlarray.")])
def test_an_optimizer_refuses_a_read_only_theta_before_it_writes_anything(name: str) -> None:
    optimizer = classes(dl.Optimizer)[name](weight_decay=0.1)
    theta, g = np.linspace(1, 2, 5), np.ones(5)
    state = optimizer.init(theta)
    theta, state = optimizer.step(theta, g, state)
    theta.flags.writeable = False
    given, before = state | {"theta": theta, "g": g}, {}
    before = {key: value.tobytes() for key, value in given.items()}
    with pytest.raises(ValueError, match="theta is read-only.*give it a copy"):
        optimizer.step(theta, g, state)
    assert {key: value.tobytes() for key, value in given.items()} == before


TRAINED = fit()

ASKED: dict[str, Case] = {
    "a list": (lambda: TRAINED.predict(X.tolist()), TypeError, "x must be an array, got list"),
    "other features": (
        lambda: TRAINED.predict(X[:, :3]),
        ValueError,
        "the model takes 4 inputs, got x with 3 features",
    ),
    "x 1-D": (lambda: TRAINED.classify(X[0]), ValueError, r"x must have two axes.*\(4,\)"),
    "no rows": (lambda: TRAINED.predict(X[:0]), ValueError, "x has no examples"),
    "nan": (lambda: TRAINED.outputs(with_one(X, np.nan)), ValueError, "must be finite, got nan in row 2, column 1"),
    "too large": (
        lambda: TRAINED.predict(with_one(X, 1e40)),
        ValueError,
        r"must fit into float32, got 1e\+40 in row 2",
    ),
    "objects": (lambda: TRAINED.predict(X.astype(object)), TypeError, "real numbers, got dtype object"),
    "another library": (
        lambda: TRAINED.predict(torch(X)),
        TypeError,
        r"the model is on cpu, got x on torch:cpu: dlarray.to_device\(x, 'cpu'\) moves it",
    ),
    "another library to be measured": (
        lambda: TRAINED.evaluate(torch(X), torch(LABELS)),
        TypeError,
        "got x on torch:cpu",
    ),
    "another device": (
        lambda: fit(device="strict:device1").predict(strict(X, "device2")),
        ValueError,
        "the model is on strict:device1, got x on strict:device2: dlarray.to_device",
    ),
    "batch size 0": (lambda: TRAINED.predict(X, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
    "batch size 0 to measure": (lambda: TRAINED.evaluate(X, LABELS, batch_size=0), ValueError, "at least 1, got 0"),
    "rows differ": (lambda: TRAINED.evaluate(X, LABELS[:5]), ValueError, "as many rows"),
    "an unknown metric": (
        lambda: TRAINED.evaluate(X, LABELS, ["recal"]),
        ValueError,
        "unknown metric 'recal', did you mean 'recall'",
    ),
    "classes of numbers": (
        lambda: fit(y=NUMBERS, model=REGRESSION).classify(X),
        ValueError,
        "MeanSquaredError trains numbers, not classes: use predict",
    ),
    "an unknown figure": (lambda: TRAINED.history["los"], KeyError, "no metric is named 'los'; there are loss"),
}


@pytest.mark.parametrize("what", ASKED)
def test_a_trained_model_refuses_and_stays_as_it_was(what: str) -> None:
    if "strict" in ASKED[what][2]:
        pytest.importorskip("array_api_strict")
    before = TRAINED.theta[0].tobytes()
    with pytest.raises(ASKED[what][1], match=ASKED[what][2]):
        ASKED[what][0]()
    assert TRAINED.theta[0].tobytes() == before


def test_bad_numbers_are_found_where_they_lie(on: On) -> None:
    """On every device, by row and column, in x and in y."""
    if not on.device.startswith("cpu"):
        with pytest.raises(ValueError, match="x must be finite, got inf in row 2, column 1"):
            fit(on.array(with_one(X, np.inf)), on.array(LABELS))
        with pytest.raises(ValueError, match="targets must be finite, got nan in row 2"):
            fit(on.array(X), on.array(with_one(NUMBERS, np.nan)), REGRESSION)
    with pytest.raises(ValueError, match="x must be finite, got nan in row 2, column 1"):
        fit(with_one(X, np.nan), device=on.device, dtype=on.dtype)
    with pytest.raises(ValueError, match=r"weight must be finite, got inf in row 2"):
        fit(weight=with_one(LABELS, np.inf), device=on.device, dtype=on.dtype)


# What is no error


def test_a_read_only_theta_is_copied(on: On) -> None:
    theta = tuple(on.array(dl.to_numpy(v)) for v in MODEL.init(3, on.device, on.dtype))
    for vector in theta:
        if isinstance(vector, np.ndarray):
            vector.flags.writeable = False
    before = [on.numpy(v).copy() for v in theta]
    trained = fit(theta=theta, device=on.device, dtype=on.dtype)
    for vector, old in zip(theta, before, strict=True):
        np.testing.assert_array_equal(on.numpy(vector), old)
    assert any(not np.array_equal(on.numpy(a), b) for a, b in zip(trained.theta, before, strict=True))


def test_training_leaves_its_examples_alone(on: On) -> None:
    x, y, w = on.array(X), on.array(LABELS), on.array(np.linspace(1, 2, 8))
    fit(x, y, NORMED, weight=w, dtype=on.dtype, device=on.device, validation=(x, y))
    for now, before in ((x, on.host(X)), (y, LABELS), (w, on.host(np.linspace(1, 2, 8)))):
        np.testing.assert_array_equal(on.numpy(now), before)


def same(a: dl.Trained, b: dl.Trained) -> bool:
    return a.history == b.history and all(np.array_equal(v, w) for v, w in zip(a.theta, b.theta, strict=True))


@pytest.mark.parametrize(
    ("x", "cast"),
    [
        (X, X.astype("f4")),
        (X.astype(">f8"), X.astype("f4")),
        (X.astype("f2"), X.astype("f2").astype("f4")),
        ((9 * X).astype(int), (9 * X).astype(int).astype("f4")),
        (abs(9 * X).astype("u1"), abs(9 * X).astype("u1").astype("f4")),
        (X > 0, (X > 0).astype("f4")),
    ],
    ids=["float64", "big-endian", "float16", "int64", "uint8", "bool"],
)
def test_inputs_are_cast_to_the_model_s_type(x: np.ndarray, cast: np.ndarray) -> None:
    trained = fit(x)
    assert same(trained, fit(cast))
    np.testing.assert_array_equal(trained.predict(x), trained.predict(cast))
    assert trained.predict(x).dtype == trained.theta[0].dtype == np.float32


def test_targets_are_cast_too() -> None:
    for y in (LABELS.astype("u1"), LABELS.astype(">i8"), LABELS.astype("i2")):
        assert same(fit(y=y), TRAINED)
    numbers = fit(y=NUMBERS.astype("f4"), model=REGRESSION)
    assert same(fit(y=NUMBERS, model=REGRESSION), numbers)
    yes = fit(y=LABELS > 0, model=SINGLE)
    assert same(yes, fit(y=(LABELS > 0).astype(int), model=SINGLE))
    assert same(yes, fit(y=(LABELS > 0)[:, None] * 1.0, model=SINGLE, loss="binary_cross_entropy"))


def test_a_double_precision_model_keeps_double_precision() -> None:
    trained = fit(with_one(X, 1e39), dtype="float64", model=dl.MLP(4, [dl.LayerNorm(), dl.Dense(3)]))
    assert trained.predict(X).dtype == trained.theta[0].dtype == np.float64
    assert trained.dtype == "float64"


def test_views_of_any_kind_work(on: On) -> None:
    """Negative strides, columns, a step; on the host, from where they go to the device."""
    wide = np.zeros((16, 8))
    wide[::2, ::2] = X
    weights = np.linspace(1, 2, 8)
    straight = fit(weight=weights, device=on.device, dtype=on.dtype)
    for x in (X[::-1].copy()[::-1], X[:, ::-1].copy()[:, ::-1], np.asfortranarray(X), wide[::2, ::2]):
        again = fit(x, LABELS[::-1].copy()[::-1], weight=weights[::-1].copy()[::-1], device=on.device, dtype=on.dtype)
        assert again.history.steps == straight.history.steps
        np.testing.assert_array_equal(straight.predict(x), straight.predict(X))


def test_a_batch_larger_than_all_examples_is_a_warning_and_all_of_them() -> None:
    with pytest.warns(UserWarning, match="batch_size 100 is more than the 8 examples: all of them are used") as warned:
        large = fit(batch_size=100)
    assert warned[0].filename == __file__  # where the user wrote it, not inside dlarray
    assert same(large, fit(batch_size=None))
    with pytest.warns(UserWarning, match="more than the 6 examples"):
        fit(batch_size=7, validation=0.25)


def test_batch_norm_and_a_last_batch_of_two_is_fine() -> None:
    assert len(fit(model=NORMED, batch_size=3).history.steps) == 3
    assert len(fit(model=NORMED, accumulate=2).history.steps) == 2


def test_the_batch_size_that_is_recommended_would_do() -> None:
    for n in range(2, 9):
        for size in range(1, n + 1):
            for parts in (1, 2, 3):
                try:
                    fit(X[:n], LABELS[:n], NORMED, batch_size=size, accumulate=parts, metrics=[])
                except ValueError as error:
                    if advised := re.search(r"use batch_size=(\d+)", str(error)):
                        fit(X[:n], LABELS[:n], NORMED, batch_size=int(advised[1]), accumulate=parts, metrics=[])
                    else:
                        assert n < 2 * parts


def test_a_batch_whose_weights_are_all_0_teaches_nothing() -> None:
    weight = np.array([0.0] * 4 + [1.0] * 4)
    for parts in (1, 2, 3):
        trained = fit(weight=weight, shuffle=False, accumulate=parts)
        assert trained.history.steps[0] == 0
        assert np.isfinite(trained.history.steps[1])
        assert trained.history.steps[1] > 0


@pytest.mark.parametrize(
    "kind", [dl.BatchNorm, dl.LayerNorm, dl.RMSNorm, dl.Dropout, dl.ELU, dl.LeakyReLU, dl.Swish, dl.CELU]
)
def test_numpy_s_numbers_in_a_configuration_do_not_promote(kind: type[dl.Layer]) -> None:
    layer = kind(np.float64(0.5))
    trained = fit(model=dl.MLP(4, [dl.Dense(4), layer, dl.Dense(3)]))
    assert trained.theta[0].dtype == trained.predict(X).dtype == np.float32
    assert layer == kind(0.5)


def test_tensors_that_ask_for_gradients_are_numbers_like_others() -> None:
    x = torch(X).requires_grad_()
    trained = fit(x, torch(LABELS))
    assert not trained.theta[0].requires_grad
    assert not trained.predict(x).requires_grad
    assert x.requires_grad
    assert trained.history == fit(torch(X), torch(LABELS)).history


# Divergence


def diverging(device: str = "cpu", scale: float = 1.0, **options: Any) -> DivergedError:
    with pytest.raises(DivergedError) as caught:
        fit(
            scale * X,
            scale * NUMBERS,
            REGRESSION,
            optimizer=dl.GradientDescent(options.pop("rate", 30.0)),
            epochs=options.pop("epochs", 60),
            device=device,
            **options,
        )
    return caught.value


def test_divergence_names_the_step_and_keeps_the_last_good_weights(on: On) -> None:
    """NumPy's own warnings of overflow do not come before it: the error says it once."""
    error = diverging(on.device, dtype=on.dtype, epochs=400)
    good = error.trained
    assert re.match(
        r"the loss became (inf|nan) at step \d+: the weights have diverged\. A smaller learning rate", str(error)
    )
    assert f"at step {error.step}:" in str(error)
    assert all(np.all(np.isfinite(on.numpy(v))) for v in good.theta)
    assert np.all(np.isfinite(good.history.steps))
    assert len(good.history.steps) == 2 * len(good.history.epochs) < error.step <= len(good.history.steps) + 2


def test_what_is_kept_is_the_model_of_the_epoch_before() -> None:
    error = diverging(metrics=[])
    epochs = len(error.trained.history.epochs)
    assert epochs > 0
    again = fit(X, NUMBERS, REGRESSION, optimizer=dl.GradientDescent(30.0), epochs=epochs, metrics=[])
    assert same(error.trained, again)
    np.testing.assert_array_equal(error.trained.predict(X), again.predict(X))


def test_weights_that_overflow_behind_a_finite_loss_are_no_good_ones(on: On) -> None:
    """The step's loss is that before the step; what came out of it was never measured."""
    scale = 1e15 if on.dtype == "float32" else 1e150
    for epochs in (1, 3):
        error = diverging(on.device, scale, rate=scale, epochs=epochs, batch_size=None, dtype=on.dtype, metrics=[])
        assert "a weight became infinite or NaN at step 1: the weights have diverged" in str(error)
        start = REGRESSION.init(0, on.device, on.dtype)
        for kept, first in zip(error.trained.theta, start, strict=True):
            np.testing.assert_array_equal(on.numpy(kept), on.numpy(first))
        assert error.trained.history == dl.History()


def test_divergence_leaves_the_theta_that_was_given() -> None:
    theta = REGRESSION.init(5, "cpu")
    before = theta[0].tobytes()
    diverging(theta=theta)
    assert theta[0].tobytes() == before
