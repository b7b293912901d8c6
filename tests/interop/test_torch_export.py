"""``to_torch``: values, gradients and round trips of every layer, in float64."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest

import dlarray
from dlarray.core.layer import Activation, Layer
from dlarray.core.registry import classes
from tests.interop.torch_cases import check_same, close, random_trained

torch = pytest.importorskip("torch")
nn = torch.nn
d = dlarray

OWN = [cls() for name, cls in classes(Activation).items() if cls.__module__.startswith("dlarray.activations")]
VARIANTS = [  # torch rounds CELU's α, Softplus's β and the slope 1/6 of HardSigmoid to float32
    *(d.CELU(0.75), d.ELU(0.7), d.GELU("tanh"), d.HardShrink(0.2), d.HardTanh(-0.5, 0.25), d.LeakyReLU(0.3)),
    *(d.PReLU(0.1), d.Softplus(2.5), d.SoftShrink(0.2), d.Swish(1.7), d.Swish(-0.6), d.Swish(trainable=True)),
    d.Threshold(-0.5, 2.0),
]
STACKS: list[list[Layer | str]] = [
    [d.Dense(4), d.BatchNorm(eps=1e-3, momentum=0.3), "relu", d.Dense(2)],
    [d.Dense(4, bias=False), d.BatchNorm(scale=False), "tanh", d.Dense(2, bias=False)],
    [d.BatchNorm(shift=False), d.Dense(4), d.BatchNorm(scale=False, shift=False), "tanh", d.Dense(2)],
    [d.LayerNorm(eps=1e-2), d.Dense(4), d.LayerNorm(scale=False), "tanh", d.LayerNorm(shift=False), d.Dense(2)],
    [d.LayerNorm(scale=False, shift=False), d.Dense(2)],
    [d.RMSNorm(), d.Dense(4), d.RMSNorm(1e-3, scale=False), "tanh", d.Dense(2)],
    [d.RMSNorm(shift=True), d.Dense(4), d.RMSNorm(scale=False, shift=True), d.Dense(2)],
    [d.Embedding(4, 5), d.Dense(4), "relu", d.Dense(2)],
    [d.Dense(4), d.Dropout(0.0), d.Residual([d.Dense(3), "gelu", d.Chain([d.Dense(4), "tanh"])]), d.Dense(2)],
    [d.Chain([d.Dense(4), d.BatchNorm()]), d.Residual([d.RMSNorm(), d.Residual([d.Dense(4)]), d.PReLU()]), d.Dense(2)],
]


@pytest.mark.parametrize("f", OWN + VARIANTS, ids=str)
def test_an_activation_has_the_values_and_gradients_of_its_module_and_comes_back(f: Activation) -> None:
    trained = random_trained(3, d.Dense(5), f, d.Dense(2))
    net = d.to_torch(trained)
    check_same(trained, net, of_first=1 / 6 / np.float64(np.float32(1 / 6)) if f == d.HardSigmoid() else 1)
    check_round_trip(trained, net)


@pytest.mark.parametrize("layers", STACKS, ids=lambda layers: " ".join(type(f).__name__ for f in layers))
def test_layers_have_the_values_and_gradients_of_their_modules_and_come_back(layers: list[Layer | str]) -> None:
    trained = random_trained(3, *layers)
    net = d.to_torch(trained)
    check_same(trained, net)
    check_round_trip(trained, d.to_torch(trained))


def check_round_trip(trained: dlarray.Trained, net: object) -> None:
    again = d.from_torch(net, trained.loss, inputs=trained.model.inputs)
    assert [type(f) for f in again.model.layers] == [type(f) for f in trained.model.layers]
    own = trained.parameters | trained.model.named_buffers(trained.buffers)
    for name, x in (again.parameters | again.model.named_buffers(again.buffers)).items():
        np.testing.assert_array_equal(x, own.pop(name))
    assert not own
    x = np.ones((2, trained.model.inputs), int if trained.model.layers[0].integers else float)
    np.testing.assert_array_equal(again.outputs(x), trained.outputs(x))


def test_batch_norm_moves_its_running_statistics_as_in_torch() -> None:
    trained = random_trained(3, d.Dense(4), d.BatchNorm(momentum=0.3), d.Dense(1))
    net = d.to_torch(trained)
    net.train()
    x = np.random.default_rng(1).normal(size=(6, 3))
    net(torch.from_numpy(x))
    _, saved = trained.model.forward(trained.theta, x)
    buffers = trained.model.named_buffers(trained.model.update_buffers(saved, trained.buffers))
    close(buffers["1.mean"], net[1].running_mean.numpy(), "mean")
    close(buffers["1.variance"], net[1].running_var.numpy(), "variance")


def test_the_module_is_in_eval_mode_and_its_weights_are_copies() -> None:
    trained = random_trained(2, d.Dense(3), d.BatchNorm(), d.Dropout(0.4), d.Dense(1))
    net = d.to_torch(trained)
    assert not net.training
    assert net[2].p == 0.4
    before = trained.outputs(np.ones((1, 2)))
    with torch.no_grad():
        for p in (*net.parameters(), *net.buffers()):
            p += 1
    np.testing.assert_array_equal(trained.outputs(np.ones((1, 2))), before)
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_the_module_has_the_dtype_of_the_model_on_any_device(device: str, dtype: str) -> None:
    trained = random_trained(2, d.Dense(3), d.BatchNorm(), "silu", d.Dense(1), dtype=dtype, device=device)
    net = d.to_torch(trained)
    assert {str(p.dtype) for p in net.parameters()} == {f"torch.{dtype}"}
    x = np.asarray([[0.5, -1.0]], dtype)
    rtol = 1e-12 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(net(torch.from_numpy(x)).numpy(force=True), trained.outputs(x), rtol=rtol)


def test_converting_draws_no_random_numbers_of_torch() -> None:
    trained = random_trained(2, d.Dense(3), d.PReLU(), d.Dense(1))
    before = torch.random.get_rng_state()
    d.to_torch(trained)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_module_is_saved_and_read_by_torch() -> None:
    trained = random_trained(2, d.Dense(3), d.Swish(trainable=True), d.Residual([d.RMSNorm(shift=True)]), d.Dense(1))
    net, file, whole = d.to_torch(trained), io.BytesIO(), io.BytesIO()
    torch.save(net.state_dict(), file)
    torch.save(net, whole)
    other = d.to_torch(random_trained(2, *trained.model.layers))
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    x = torch.ones(1, 2, dtype=torch.float64)
    assert torch.equal(other(x), net(x))
    assert torch.equal(torch.load(io.BytesIO(whole.getvalue()), weights_only=False)(x), net(x))


@dataclass(frozen=True)
class Cube(Activation):
    """a = z³."""

    def forward(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return z * z * z, z

    def backward(self, z: np.ndarray, da: np.ndarray) -> np.ndarray:
        return 3 * z * z * da


def test_layers_that_torch_has_not_are_named() -> None:
    trained = random_trained(2, Cube(), d.Residual([d.Dense(2), Cube()]))
    with pytest.raises(ValueError, match=r"no module for layer 0, Cube\(\), layer 1\.1, Cube\(\): write an nn\.Module"):
        d.to_torch(trained)


def test_only_a_trained_model_is_taken() -> None:
    with pytest.raises(TypeError, match="takes a trained model, as fit returns it, got MLP"):
        d.to_torch(d.mlp(2, 1))


def test_of_an_estimator_the_remedy_is_named() -> None:
    from dlarray.estimators import MLPRegressor

    with pytest.raises(TypeError, match=r"got MLPRegressor; its to_trained\(\) is one"):
        d.to_torch(MLPRegressor())
