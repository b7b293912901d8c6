"""``from_keras``: values and gradients of Keras's models, and what is refused.

Keras runs on torch here, whose gradients are the oracle; any other backend of Keras only gives its numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.losses import Loss

torch = pytest.importorskip("torch")
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras has another backend already", allow_module_level=True)
L = keras.layers
d = dlarray
pytestmark = pytest.mark.filterwarnings(  # Keras reads tensors of torch in the way of NumPy 1
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def filled(model: Any) -> Any:
    """The model in float64 with random weights and moving statistics."""
    rng = np.random.default_rng(2)
    for variable in model.variables:
        if variable.path.startswith("seed") or "int" in variable.dtype:
            continue
        variable.assign(rng.uniform(0.2, 1.5, variable.shape))
    return model


def stack(*layers: Any, inputs: tuple[int, ...] = (3,), dtype: str = "float32") -> Any:
    return filled(keras.Sequential([L.Input(inputs, dtype=dtype), *layers]))


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def close(actual: Any, expected: Any) -> None:
    """Equal to the rounding of float32, in which Keras computes products also of float64."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 2e-6 * np.abs(expected).max()


NAMES = (
    *("celu", "elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "linear", "mish"),
    *("log_sigmoid", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus"),
    *("softsign", "tanh"),
)
LAYERS: dict[str, Any] = {
    "ELU": lambda: L.ELU(0.7),
    "LeakyReLU": lambda: L.LeakyReLU(0.15),
    "PReLU": lambda: L.PReLU(),
    "ReLU": lambda: L.ReLU(),
    "ReLU6": lambda: L.ReLU(6.0),
    "ReLU with a maximum": lambda: L.ReLU(0.5),
    "ReLU with a slope": lambda: L.ReLU(negative_slope=0.3),
    "ReLU with a threshold": lambda: L.ReLU(threshold=0.4),
    "Softmax": lambda: L.Softmax(),
    "Activation": lambda: L.Activation("swish"),
    "Activation of a layer": lambda: L.Activation(L.LeakyReLU(0.4)),
    "Identity": lambda: L.Identity(),
    "BatchNormalization": lambda: L.BatchNormalization(momentum=0.8),
    "BatchNormalization without scale": lambda: L.BatchNormalization(epsilon=1e-2, scale=False),
    "LayerNormalization": lambda: L.LayerNormalization(center=False),
    "RMSNormalization": lambda: L.RMSNormalization(),
    "Dropout": lambda: L.Dropout(0.3),
    "Sequential": lambda: keras.Sequential([L.Dense(5, use_bias=False), L.Dense(5, activation="tanh")]),
}


@pytest.mark.parametrize("name", NAMES)
def test_activations_have_kerass_values(name: str) -> None:
    check_outputs(stack(L.Dense(5, activation=name), L.Dense(2)))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_kerass_values(name: str) -> None:
    check_outputs(stack(L.Dense(5), LAYERS[name](), L.Dense(2)))


def check_outputs(model: Any) -> None:
    x = numbers(6, 3)
    close(d.from_keras(model, "mse").outputs(x), model.predict(x, verbose=0))


def test_the_gradients_are_those_of_kerass_torch() -> None:
    inner = [L.BatchNormalization(), L.PReLU(), L.LayerNormalization(), L.Dense(4, activation="gelu")]
    model = stack(L.Dense(5), *inner, L.Dense(2))
    trained = d.from_keras(model, "mse")
    x, t = numbers(6, 3), numbers(6, 2)
    value, g = trained.model.loss_and_gradient(trained.theta, x, t, trained.loss)
    theirs = torch.nn.MSELoss()(model(torch.from_numpy(x), training=True), torch.from_numpy(t))
    theirs.backward()
    close(value, theirs.detach().numpy())
    own = np.concatenate([p.ravel() for p in trained.model.parameters(g).values()])
    close(own, np.concatenate([v.value.grad.numpy(force=True).ravel() for v in model.trainable_variables]))


def test_weights_in_float64_stay_as_they_are() -> None:
    model = stack(L.Dense(2, dtype="float64"), dtype="float64")
    trained = d.from_keras(model, "mse")
    assert trained.dtype == "float64"
    np.testing.assert_array_equal(trained.parameters["0.W"], model.layers[0].get_weights()[0])


def test_batch_normalization_keeps_momentum_the_other_way_round() -> None:
    trained = d.from_keras(stack(L.Dense(2), L.BatchNormalization(momentum=0.99)), "mse")
    assert trained.model.layers[1] == d.BatchNorm(eps=1e-3, momentum=0.01)


def test_a_functional_model_of_layers_in_a_row_is_read() -> None:
    x = inputs = L.Input((2, 3))
    for layer in (L.Flatten(), L.Dense(4, activation="relu"), L.Dropout(0.2), L.Dense(1, activation="sigmoid")):
        x = layer(x)
    model = filled(keras.Model(inputs, x))
    trained = d.from_keras(model)
    assert trained.loss == d.BinaryCrossEntropy()
    assert trained.model.layers == (d.Dense(4), d.ReLU(), d.Dropout(0.2), d.Dense(1))
    pictures = numbers(4, 2, 3)
    close(trained.predict(pictures.reshape(4, 6)), model.predict(pictures, verbose=0))


def test_an_embedding_is_read() -> None:
    model = stack(L.Embedding(7, 2), L.Flatten(), L.Dense(3, activation="softmax"), inputs=(4,))
    trained = d.from_keras(model)
    x = np.random.default_rng(0).integers(0, 7, (5, 4))
    close(trained.predict(x), model.predict(x, verbose=0))


LOGITS: Any = {"from_logits": True}


@pytest.mark.parametrize(
    ("compiled", "expected"),
    [
        ("mse", d.MeanSquaredError()),
        ("mean_absolute_error", d.MeanAbsoluteError()),
        (keras.losses.MeanSquaredError(), d.MeanSquaredError()),
        (keras.losses.LogCosh(), d.LogCosh()),
        (keras.losses.SparseCategoricalCrossentropy(**LOGITS), d.SparseCategoricalCrossEntropy()),
        (keras.losses.CategoricalCrossentropy(**LOGITS), d.CategoricalCrossEntropy()),
        (keras.losses.BinaryCrossentropy(**LOGITS), d.BinaryCrossEntropy()),
    ],
    ids=lambda loss: loss if isinstance(loss, str) else type(loss).__name__,
)
def test_the_loss_of_a_compiled_model_is_taken(compiled: Any, expected: Loss) -> None:
    model = stack(L.Dense(2))
    model.compile(loss=compiled)
    assert d.from_keras(model).loss == expected


def test_the_result_is_saved_and_trained_further(tmp_path: Any) -> None:
    model = stack(L.Dense(8, activation="relu"), L.Dense(2, activation="softmax"))
    x = numbers(64, 3)
    y = (x[:, 0] > 0).astype(int)
    d.from_keras(model).save(tmp_path / "model.safetensors")
    again = d.load(tmp_path / "model.safetensors")
    close(again.predict(x), model.predict(x, verbose=0))
    more = d.fit(again.model, x, y, theta=again.theta, epochs=3, optimizer=d.Adam(0.01), progress=False)
    assert more.evaluate(x, y)["loss"] < again.evaluate(x, y)["loss"]


def two_ways() -> Any:
    inputs = L.Input((3,))
    x = L.Dense(3)(inputs)
    return keras.Model(inputs, L.Add()([inputs, x]))


def twice() -> Any:
    inputs, dense = L.Input((3,)), L.Dense(3, name="shared")
    return keras.Model(inputs, dense(dense(inputs)))


def two_outputs() -> Any:
    inputs = L.Input((3,))
    x = L.Dense(2)(inputs)
    return keras.Model(inputs, [x, L.Dense(2)(x)])


def with_operation() -> Any:
    inputs = L.Input((3,))
    return keras.Model(inputs, L.Dense(2)(inputs * 2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: stack(L.Dense(3), L.GaussianNoise(0.1, name="noise")), "layer 'noise', GaussianNoise: dlarray has no"),
        (
            lambda: stack(L.Dense(3, activation="exponential", name="e")),
            "layer 'e', Dense: dlarray has no activation 'exp",
        ),
        (lambda: stack(L.Dense(3, activation=lambda z: z)), "dlarray has no activation '<lambda>'"),
        (lambda: stack(L.Dense(3), inputs=(2, 3)), "its inputs have 3 axes, and dlarray's have two"),
        (lambda: stack(L.Embedding(3, 2), L.Dense(3)), "its inputs have 3 axes, and dlarray's have two"),
        (
            lambda: stack(L.Dense(3), L.ReLU(4.0, 0.1)),
            "no ReLU with negative_slope=0.1, threshold=0.0 and max_value=4.0",
        ),
        (lambda: stack(L.Dense(3), L.BatchNormalization(momentum=0.0)), "momentum must lie in"),
        (lambda: stack(L.Dense(3)), "does not tell what it was trained for: give loss="),
        (two_ways, "takes the outputs of '.*', '.*', not only those of"),
        (twice, "'shared' takes the outputs of 'input_layer.*', 'shared', not only those of"),
        (with_operation, "layer 'multiply.*', Multiply: dlarray has no such layer"),
        (lambda: keras.Sequential([L.Dense(2)]), r"no weights yet: call model.build\(\(None, inputs\)\) first"),
        (
            lambda: stack(L.Dropout(0.1), inputs=(None,)),
            r"inputs of a known size, \(None, inputs\), got \(None, None\)",
        ),
        (two_outputs, "models with one output, got 2"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_named(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        d.from_keras(model())


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize("model", [Subclassed, L.Dense, object])
def test_only_sequential_and_functional_models_are_taken(model: Any) -> None:
    given = model(2) if model is L.Dense else model()
    with pytest.raises(
        TypeError, match=f"takes a keras.Sequential or a functional model of Keras 3, got {model.__name__}"
    ):
        d.from_keras(given)
