"""The contenders of the benchmarks: on the CPU, on a GPU, and their words for a precision."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.bench import BATCHES, Case, FullStep, Workload
from tests.support.gpu import WatchedGpu, missing, to_host
from tests.support.scripts import script

TINY = Case.named("6-16-3x8")


@pytest.fixture
def setting() -> Any:
    return script("setting").Setting(together=3, graphs=2, large=16)


@pytest.fixture
def _jax() -> Generator[None]:
    jax = pytest.importorskip("jax")
    pytest.importorskip("optax")
    name = "jax_default_matmul_precision"
    before = getattr(jax.config, name)
    yield
    jax.config.update(name, before)


def test_a_table_and_its_order_give_the_batches_again():
    workload = Workload.of(TINY)
    whole = script("contenders.base").Shuffled.of(workload, 7)
    assert not np.array_equal(whole.x[: TINY.batch], workload.batches[0][0])
    for call in range(5):
        for j in range(7):
            first = whole.start(call) + j * TINY.batch
            rows = whole.order[first : first + TINY.batch]
            x, t = workload.batches[(call * 7 + j) % BATCHES]
            assert np.array_equal(whole.x[rows], x)
            assert np.array_equal(whole.t[rows], t)


def losses_of_the_formulas(steps: int, workload: Workload) -> list[float]:
    return FullStep(workload, dlarray.resolve("cpu")).losses(steps)


def exact_gradient(setting: Any, workload: Workload) -> list[np.ndarray]:
    """From the formulas in float64, not from an average of Adam's."""
    (x, t), flat = workload.batches[0], [p.astype(np.float64) for pair in workload.weights for p in pair]
    model = TINY.model
    theta = model.layout.join(dict(zip(model.parameters(model.init(0)), flat, strict=True)))
    _, g = model.loss_and_gradient(theta, x.astype(np.float64), t, dlarray.SparseCategoricalCrossEntropy())
    return list(model.parameters(g).values())


def check(place: str, setting: Any, tmp_path: Path, error: float = 1e-6) -> None:
    """The contender has the losses of the formulas and their gradient, and is contender."""
    workload = Workload.of(TINY)
    contender = script("contenders").make(place, workload, setting)
    assert contender.made > 0
    assert contender.first_calls() > 0
    expected = losses_of_the_formulas(10, workload)
    np.testing.assert_allclose(contender.losses(10, 60), expected, rtol=max(error, 2e-6))
    np.savez(tmp_path / "g.npz", *exact_gradient(setting, workload))
    found = contender.gradient_error(str(tmp_path / "g.npz"))
    assert (found is None) == (contender.together > 1)
    assert found is None or found < error
    times = contender.timed(4)
    assert times["wall"] > 0
    in_jax = "jax" in place.lower()
    assert (times["device"] is None) == in_jax  # it returns before it is done, and shows no events
    assert in_jax or times["wall"] >= times["device"] > 0
    assert setting.device != "cpu" or contender.about() == {} or in_jax


@pytest.mark.parametrize("name", ["eager", "fused"])
def test_ours_on_a_cpu(name: str, setting: Any, tmp_path: Path):
    check(f"ours.{name}", setting, tmp_path)


@pytest.mark.parametrize("name", ["fast", "fast_repeated"])
def test_ours_in_native_code(name: str, setting: Any, tmp_path: Path):
    pytest.importorskip("llvmlite")
    check(f"ours.{name}", setting, tmp_path)


@pytest.mark.usefixtures("_jax")
@pytest.mark.parametrize("place", ["ours.on_jax", "ours.repeated_on_jax"])
def test_ours_on_jax(place: str, setting: Any, tmp_path: Path):
    check(place, setting, tmp_path)


@pytest.mark.usefixtures("_jax")
@pytest.mark.parametrize("name", ["Optax", "Scanned"])
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_jax_on_a_cpu(name: str, precision: str, error: float, setting: Any, tmp_path: Path):
    check(f"jax.{name}", replace(setting, precision=precision), tmp_path, error)


@pytest.mark.parametrize("name", ["eager", "fused"])
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-6), ("bfloat16", 0.02)])
def test_torch_on_a_cpu(name: str, precision: str, error: float, setting: Any, tmp_path: Path):
    pytest.importorskip("torch")
    check(f"torch.{name}", replace(setting, precision=precision), tmp_path, error)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's compiler warns of torch's own code
def test_torch_compiled(setting: Any, tmp_path: Path):
    torch = pytest.importorskip("torch")
    with torch.compiler.set_stance("force_eager"):  # our lines, not half a minute of torch's compiler
        check("torch.compiled", setting, tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        *(f"ours.{name}" for name in ("captured", "epilogues", "repeated")),
        *(f"torch.{name}" for name in ("reduce_overhead", "Captured")),
        "limits.captured",
    ],
)
def test_what_needs_a_gpu_says_so(place: str, setting: Any):
    if "torch" in place:
        pytest.importorskip("torch")
    with pytest.raises(NotImplementedError, match="needs a GPU"):
        script("contenders").make(place, Workload.of(TINY), setting)


def test_what_a_device_has_not_says_so(setting: Any):
    make, workload = script("contenders").make, Workload.of(TINY)
    with pytest.raises(NotImplementedError, match="TF32"):
        make("ours.eager", workload, replace(setting, precision="tf32"))
    half = replace(setting, precision="bfloat16")
    with pytest.raises(NotImplementedError, match="bfloat16"):
        make("ours.eager", workload, half)
    with pytest.raises(NotImplementedError, match="bfloat16"):
        make("limits.OneByOne", workload, half)


@pytest.mark.parametrize(("library", "precision"), [("", "float32"), ("torch", "float32"), ("torch", "bfloat16")])
def test_the_limits_on_a_cpu(library: str, precision: str, setting: Any):
    if library:
        pytest.importorskip("torch")
    products, rates = ("torch.Products", "torch.rates") if library else ("limits.OneByOne", "limits.rates")
    make, setting = script("contenders").make, replace(setting, precision=precision)
    limit = make(products, Workload.of(TINY), setting)
    assert limit.timed(3)["wall"] > 0
    operands = [a for a, *_ in getattr(limit, "triples", None) or limit._pairs]
    assert all(precision in str(a.dtype) for a in operands)
    assert [tuple(a.shape) for a in operands] == [(8, 6), (6, 8), (8, 16), (16, 8), (8, 3)]
    device = make(rates, Workload.of(TINY), setting)
    found = device.measured()
    assert found.keys() == {"rate", "bandwidth"}
    assert all(rate > 0 for rate in found.values())
    assert device.device.asarray([1.0], device.dtype).dtype.itemsize == (2 if precision == "bfloat16" else 4)


# On a GPU


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> WatchedGpu:
    """The GPU that steps use."""
    if why := missing():
        pytest.skip(why)
    made = WatchedGpu()
    monkeypatch.setattr("dlarray_cupy.planned._gpus", {0: made})
    return made


@pytest.mark.parametrize("name", ["eager", "fused", "captured", "epilogues", "repeated"])
def test_ours_on_a_gpu(name: str, setting: Any, gpu: WatchedGpu, tmp_path: Path):
    check(f"ours.{name}", replace(setting, device="cuda"), tmp_path)
    with_epilogues = any(what[0] == "product" and what[1] for what in gpu.queued)
    assert ("graph" in gpu.queued) == (name not in ("eager", "fused"))
    assert with_epilogues == (name in ("epilogues", "repeated"))


def test_the_products_on_a_gpu(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    limits, device = script("contenders.limits"), dlarray.resolve("cuda")
    limit = limits.Captured(TINY, device, gpu)
    assert gpu.queued.count("graph") == 0
    sizes = [(*a.shape, b.shape[1]) for a, b, _ in limit.triples]
    assert sizes == [(8, 6, 16), (6, 8, 16), (8, 16, 3), (16, 8, 3), (8, 3, 16)]
    for _, _, out in limit.triples:
        out[...] = 0
    limit.step(0)
    for a, b, out in limit.triples:
        np.testing.assert_allclose(to_host(out), to_host(a) @ to_host(b), rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(gpu, "algorithms", lambda product, most: [])
    with pytest.raises(NotImplementedError, match="nvmath-python"):
        limits.Captured(TINY, device, gpu)


def test_the_step_of_torch_as_a_graph_that_only_remembers(
    setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch = pytest.importorskip("torch")
    contenders = script("contenders.torch")

    class Stream:
        def wait_stream(self, other: Any) -> None:
            pass

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass

    class Graph:
        """Replays by doing it again, into the loss that it has recorded."""

        def replay(self) -> None:
            with torch.no_grad():
                contender.recorded.copy_(contender.one_step(*contender.given))

    monkeypatch.setattr(contenders, "prepare", lambda setting: torch.device("cpu"))
    for name, what in {"Stream": Stream, "current_stream": Stream, "CUDAGraph": Graph}.items():
        monkeypatch.setattr(torch.cuda, name, what)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: Stream())
    monkeypatch.setattr(contenders.Captured, "one_step", detached(contenders.Captured.one_step))
    workload = Workload.of(TINY)
    contender = contenders.Captured(workload, replace(setting, device="cuda"))
    for _ in range(2):
        np.testing.assert_allclose(contender.losses(10), losses_of_the_formulas(10, workload), rtol=2e-6)
    exact = exact_gradient(setting, workload)
    assert script("contenders.base").relative_error(contender.gradient(), exact) < 1e-6


def detached(step: Any) -> Any:
    """A step whose loss can be written."""

    def run(self: Any, *batch: Any) -> Any:
        import torch

        with torch.enable_grad():
            return step(self, *batch).detach().clone()

    return run


@pytest.mark.usefixtures("_jax")
def test_every_library_takes_its_word_for_a_precision():
    import jax

    torch = pytest.importorskip("torch")
    setting = script("setting")
    before = torch.get_float32_matmul_precision()
    for precision in setting.PRECISIONS:
        jax.config.update("jax_default_matmul_precision", setting.JAX[precision])
        torch.set_float32_matmul_precision(setting.TORCH[precision])
        assert torch.get_float32_matmul_precision() == setting.TORCH[precision]
    torch.set_float32_matmul_precision(before)
    by = {p: setting.Setting("cuda", p).variables() for p in setting.PRECISIONS}
    assert {p: of["CUPY_TF32"] for p, of in by.items()} == {"float32": "0", "tf32": "1", "bfloat16": "0"}
    assert all(of["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" and of["JAX_PLATFORMS"] == "cuda" for of in by.values())
