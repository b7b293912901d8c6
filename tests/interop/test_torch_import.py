"""``from_torch``: modules as they are written for torch, in values and gradients, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray
from tests.interop.torch_cases import check_same

torch = pytest.importorskip("torch")
nn = torch.nn
d = dlarray


def net(*modules: Any) -> Any:
    """A module in eval mode and float64, with random weights and running statistics."""
    torch.manual_seed(3)
    module = nn.Sequential(*modules).double().eval()
    with torch.no_grad():
        for x in (*module.parameters(), *module.buffers()):
            if x.is_floating_point():
                x.uniform_(0.2, 1.5)
    return module


ACTIVATIONS = [
    *(nn.CELU(0.75), nn.ELU(0.7), nn.GELU(), nn.GELU("tanh"), nn.Hardshrink(0.3), nn.Hardswish(), nn.Hardtanh(-2, 0.5)),
    *(
        nn.Identity(),
        nn.LeakyReLU(0.2),
        nn.LogSigmoid(),
        nn.LogSoftmax(1),
        nn.Mish(),
        nn.PReLU(4),
        nn.ReLU(inplace=True),
    ),
    *(nn.ReLU6(), nn.SELU(), nn.SiLU(), nn.Sigmoid(), nn.Softmax(dim=-1), nn.Softshrink(0.3), nn.Softplus(2, 30)),
    *(nn.Softsign(), nn.Tanh(), nn.Threshold(0.1, -2.0)),
]


@pytest.mark.parametrize("f", ACTIVATIONS, ids=str)
def test_activations_are_read(f: Any) -> None:
    module = net(nn.Linear(3, 4), f, nn.Linear(4, 2))
    check_same(d.from_torch(module, "mse"), module)


def test_a_module_without_parameters_may_stand_at_several_places() -> None:
    relu = nn.ReLU()
    module = net(nn.Linear(3, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 2))
    trained = d.from_torch(module, "mse")
    assert [type(f).__name__ for f in trained.model.layers] == ["Dense", "ReLU", "Dense", "ReLU", "Dense"]
    check_same(trained, module)


def test_a_prelu_of_one_slope_has_one_for_each_feature() -> None:
    module = net(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 1))
    trained, x = d.from_torch(module, "mse"), -np.ones((2, 3))
    np.testing.assert_allclose(trained.outputs(x), module(torch.from_numpy(x)).numpy(force=True), rtol=1e-12)
    np.testing.assert_array_equal(trained.parameters["1.slope"], [module[1].weight.item()] * 4)


def test_layers_keep_their_numbers_also_in_nested_modules() -> None:
    class Block(nn.Sequential):
        """A subclass with the forward of Sequential."""

    inner = Block(nn.Linear(5, 5, bias=False), nn.LayerNorm(5, eps=1e-3), nn.Sequential(nn.RMSNorm(5), nn.SiLU()))
    module = net(
        nn.Flatten(), nn.Linear(3, 5), nn.BatchNorm1d(5, momentum=0.2), nn.Dropout(0.0), inner, nn.Linear(5, 2)
    )
    trained = d.from_torch(module, "mse")
    named = {name.rsplit(".", 1)[0] for name, _ in module.named_parameters()}
    assert {name.rsplit(".", 1)[0] for name in trained.parameters} == named
    assert trained.model.layers[2] == d.BatchNorm(momentum=0.2)
    check_same(trained, module)


@pytest.mark.parametrize("fields", [1, 3])
def test_an_embedding_of_several_fields_is_read(fields: int) -> None:
    module = net(nn.Embedding(4, 2), nn.Flatten(), nn.Linear(2 * fields, 3))
    trained = d.from_torch(module, "mse")
    assert trained.model.inputs == fields
    x = np.random.default_rng(0).integers(0, 4, (5, fields))
    np.testing.assert_allclose(trained.outputs(x), module(torch.from_numpy(x)).numpy(force=True), rtol=1e-12)


def test_a_last_softmax_becomes_a_part_of_the_loss() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    for last, loss in ((nn.Softmax(1), "SparseCategoricalCrossEntropy"), (nn.Sigmoid(), "BinaryCrossEntropy")):
        for module in (net(nn.Linear(3, 2), last), net(nn.Linear(3, 2), nn.Sequential(nn.Tanh(), last))):
            trained = d.from_torch(module)
            assert type(trained.loss).__name__ == loss
            assert trained.outputs(x).min() < 0 or trained.outputs(x).max() <= 1
            np.testing.assert_allclose(trained.predict(x), module(torch.from_numpy(x)).numpy(force=True), rtol=1e-12)
    alone = d.from_torch(net(nn.Softmax(1)), inputs=3)
    assert alone.model.layers == (d.Identity(),)


def test_a_last_log_softmax_stays_and_gives_the_same_probabilities() -> None:
    module = net(nn.Linear(3, 4), nn.LogSoftmax(1))
    trained, x = d.from_torch(module), np.ones((1, 3))
    expected = module(torch.from_numpy(x)).numpy(force=True)
    np.testing.assert_allclose(trained.outputs(x), expected, rtol=1e-12)
    np.testing.assert_allclose(trained.predict(x), np.exp(expected), rtol=1e-12)


def test_a_last_activation_that_the_loss_has_not_stays() -> None:
    module = net(nn.Linear(3, 1), nn.Sigmoid())
    for loss in ("mse", d.BinaryCrossEntropy(from_logits=False)):
        assert d.from_torch(module, loss).model.layers == (d.Dense(1), d.Sigmoid())


def test_the_result_is_saved_evaluated_and_trained_further(tmp_path) -> None:
    module = net(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).float()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    trained = d.from_torch(module, "sparse_categorical_cross_entropy")
    assert trained.dtype == "float32"
    trained.save(tmp_path / "model.safetensors")
    again = d.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(x), trained.predict(x))
    before = again.evaluate(x, y)["loss"]
    options: Any = {"epochs": 5, "optimizer": d.Adam(0.01), "progress": False}
    more = d.fit(again.model, x, y, loss=again.loss, theta=again.theta, buffers=again.buffers, **options)
    assert more.evaluate(x, y)["loss"] < before


def test_the_weights_are_copies_on_the_device_that_is_asked_for() -> None:
    module = net(nn.Linear(2, 1))
    trained = d.from_torch(module, "mse", device="torch")
    assert trained.device.name == d.resolve("torch").name
    before = d.to_numpy(trained.theta[0]).copy()
    with torch.no_grad():
        module[0].weight += 1
    np.testing.assert_array_equal(d.to_numpy(trained.theta[0]), before)


class Own(nn.Module):
    def forward(self, x: Any) -> Any:
        return x


class Skipped(nn.Sequential):
    def forward(self, x: Any) -> Any:
        return x + super().forward(x)


class Linear(nn.Linear):
    """A subclass with the name of torch's class may compute anything."""


SHARED = nn.Linear(3, 3)
HOOKED = nn.Linear(3, 3)
HOOKED.register_forward_hook(lambda module, inputs, y: 2 * y)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            [nn.Linear(3, 2), nn.Conv1d(1, 1, 1)],
            "module 1, Conv1d: dlarray has no such layer; it has BatchNorm1d, CELU",
        ),
        ([nn.Linear(3, 2), nn.Sequential(nn.Tanhshrink())], "module 1.0, Tanhshrink: dlarray has no such layer"),
        ([nn.Linear(3, 2), nn.Sequential(nn.Tanh(), Own())], "module 1.1, Own: dlarray has no such layer"),
        ([Linear(3, 2)], "module 0, Linear: dlarray has no such layer"),
        ([nn.Linear(3, 3), Skipped(nn.Linear(3, 3))], "module 1, Skipped: dlarray has no such layer"),
        ([nn.Linear(3, 4), nn.Linear(3, 2)], r"module 1, Linear: its W has shape \(3, 2\), and 4 inputs need \(4, 2\)"),
        ([SHARED, nn.Tanh(), SHARED], "module 2, Linear: it shares arrays with module 0"),
        ([HOOKED], "module 0, Linear: it has hooks"),
        ([nn.BatchNorm1d(3, momentum=None)], "module 0, BatchNorm1d: dlarray has no cumulative average, momentum=None"),
        ([nn.BatchNorm1d(3, track_running_stats=False)], "track_running_stats=False is not possible"),
        ([nn.LayerNorm((2, 3))], r"dlarray normalizes one axis, got normalized_shape=\(2, 3\)"),
        ([nn.Linear(3, 2), nn.Softmax(dim=0)], r"dlarray's Softmax is over the features, dim=1, got dim=0"),
        ([nn.Linear(3, 2), nn.Softplus(threshold=5)], "dlarray's Softplus has no threshold; one below 20 changes it"),
        ([nn.Flatten(0), nn.Linear(3, 2)], "only start_dim=1 and end_dim=-1 keep the examples, got 0, -1"),
        ([nn.Embedding(3, 2, padding_idx=0), nn.Flatten(), nn.Linear(4, 1)], "no padding_idx and no max_norm"),
        ([nn.Linear(3, 2), nn.Dropout(1.0)], "module 1, Dropout: rate must lie in"),
        ([nn.Tanh(), nn.ReLU()], "no module states the number of inputs: give inputs="),
        ([nn.Linear(3, 2).bfloat16()], "module 0, Linear: weights must be float32 or float64, got torch.bfloat16"),
        (
            [torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))],
            "module 0, ParametrizedLinear: dlarray has no",
        ),
        ([nn.Linear(3, 2), nn.Linear(2, 2).double()], "got float32 and float64: convert the network first"),
        ([], "a network needs at least one layer"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_named(modules: list[Any], message: str) -> None:
    inputs = None if modules else 3
    with pytest.raises(ValueError, match=message):
        d.from_torch(nn.Sequential(*modules), "mse", inputs=inputs)


def test_a_sequential_with_hooks_is_refused() -> None:
    module = net(nn.Linear(3, 2))
    module.register_forward_pre_hook(lambda module, inputs: None)
    with pytest.raises(ValueError, match="module itself, Sequential: it has hooks"):
        d.from_torch(module, "mse")


@pytest.mark.parametrize("device", ["strict", "jax"])
def test_a_model_may_lie_on_any_library(device: str) -> None:
    pytest.importorskip({"strict": "array_api_strict"}.get(device, device))
    module = net(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GELU(), nn.Linear(4, 2)).float()
    trained = d.from_torch(module, "mse", device=device)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(trained.outputs(x), module(torch.from_numpy(x)).numpy(force=True), rtol=2e-6)
    again = d.to_torch(trained)
    assert all(torch.equal(p, q) for p, q in zip(again.parameters(), module.parameters(), strict=True))


@pytest.mark.parametrize("module", [Own(), nn.Linear(3, 2), Skipped(nn.Linear(3, 3)), object()])
def test_only_a_sequential_is_taken(module: Any) -> None:
    with pytest.raises(TypeError, match=f"takes an nn.Sequential, got {type(module).__name__}: the forward of another"):
        d.from_torch(module, "mse")


def test_a_loss_is_needed_where_the_last_layer_names_none() -> None:
    with pytest.raises(
        ValueError, match=r"ends with Dense\(.*\), which does not tell what it was trained for: give loss="
    ):
        d.from_torch(net(nn.Linear(3, 2)))
