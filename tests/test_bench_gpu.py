"""The measuring on a card: its arithmetic, its players on the CPU and on a card of paper, and one run of all of it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.bench import BATCHES, Case, Problem, Walk
from tests import cuda
from tests.paper_card import PaperArray, PaperCard
from tests.paper_card import on_paper as paper
from tests.process import ROOT

SCRIPT = str(ROOT / "benchmarks" / "gpu.py")
TINY = Case.named("6-16-3x8")


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def script(name: str) -> Any:
    return importlib.import_module(name)


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


# The arithmetic


def test_the_floor_by_hand():
    roofline = script("roofline")
    case = Case.named("3-2-1x4")
    assert case.flops == 2 * 4 * (6 + 6 + 2 + 2 + 2)  # X W and Xᵀ dY of both layers, dY Wᵀ of the second
    assert roofline.parameters(case) == 6 + 2 + 2 + 1
    # x: 12 numbers; W and dW: 12 and 4; outputs and their gradients: 16 and 8
    assert roofline.product_bytes(case, 4) == 4 * (12 + 12 + 4 + 16 + 8) == 208
    assert roofline.product_bytes(case, 2) == 104
    adam = 28 * 11
    assert roofline.floor(case, 4, rate=36, bandwidth=104) == pytest.approx(4 + adam / 104)  # arithmetic is the longer
    assert roofline.floor(case, 4, rate=1440, bandwidth=104) == pytest.approx(2 + adam / 104)  # memory is
    assert roofline.floor(case, 2, rate=1440, bandwidth=104) == pytest.approx(1 + adam / 104)


def test_a_spread_by_hand():
    spread = script("gpu_steps").spread
    assert spread([3e-6, 1e-6, 2e-6], [1e-6, 3e-6, 2e-6]) == pytest.approx(
        {"median": 2, "least": 1, "most": 3, "device": 2, "rounds": 3}
    )
    assert spread([1e-6], [None])["device"] is None


def test_a_gradient_tells_its_precision():
    judged = script("gpu_steps").judged
    assert judged(2.0**-23, "float32") == {"roundoffs": 2.0, "is": "as its precision"}
    assert judged(2.0**-9, "tf32")["is"] == "as its precision"
    assert judged(2.0**-11, "float32")["is"] == "worse than its precision"  # TF32 where float32 was asked for
    assert "better" in judged(2.0**-23, "tf32")["is"]  # and the other way round
    relative = script("timed").relative_error
    assert relative([np.array([3.0]), np.array([[4.0]])], [np.array([0.0]), np.array([[5.0]])]) == pytest.approx(
        np.sqrt(10) / 5
    )


def invented(**medians: float) -> dict[str, Any]:
    names = {"graph": "PyTorch, the step a graph", "low": "PyTorch, reduce-overhead", "torch": "PyTorch"}
    names |= {"compile": "PyTorch, torch.compile", "jit": "JAX + optax", "scan": "JAX + optax, scan"}
    times = {names.get(name, name): {"median": us} for name, us in medians.items()}
    return {"microseconds": times, "losses": {"of": {name: {"equal": True} for name in times}}}


def reached(result: dict[str, Any]) -> dict[str, Any]:
    return {t["against"]: t["reached"] for t in script("targets").targets(result)}


def test_targets_by_hand():
    small = invented(eager=100, captured=10, epilogues=8, repeated=4, torch=40, low=16, graph=9.5, scan=3.9)
    result = {"device": "cuda", "cases": {"M": {"float32": small}}}
    assert reached(result) == {
        "PyTorch eager": True,  # 40 / 8
        "PyTorch reduce-overhead": True,  # 16 / 8
        "PyTorch, the step a graph": False,  # 9.5 / 8
        "JAX scan, many steps at once": False,  # 3.9 / 4
    }
    small["microseconds"]["PyTorch, fused Adam"] = {"median": 39}  # the faster of the two counts
    small["losses"]["of"]["PyTorch, reduce-overhead"]["equal"] = False  # what took another walk does not
    del small["microseconds"]["JAX + optax, scan"]
    assert list(reached(result).values()) == [False, None, False, None]
    found = script("targets").targets(result)
    assert found[0] == {
        "case": "M",
        "precision": "float32",
        "against": "PyTorch eager",
        "wanted": 5.0,
        "ratio": pytest.approx(39 / 8),
        "reached": False,
        "ours": "epilogues",
        "theirs": "PyTorch, fused Adam",
    }
    assert "JAX + optax, scan" in found[3]["why"]
    assert set(reached(result | {"device": "cpu"}).values()) == {None}


def test_targets_of_large_cases_by_hand():
    large = invented(epilogues=100, compile=110, jit=109)
    assert list(reached({"device": "cuda", "cases": {"XL": {"tf32": large}}}).values()) == [True, False]
    huge = invented(epilogues=100, compile=98, jit=105, products=91)
    assert list(reached({"device": "cuda", "cases": {"XL 8192": {"tf32": huge}}}).values()) == [True, True]
    huge = invented(epilogues=100, compile=97, jit=105, products=91, **{"products captured": 89})
    assert list(reached({"device": "cuda", "cases": {"XL 8192": {"tf32": huge}}}).values()) == [False, False]


def test_losses_are_held_against_the_least_stray_where_ours_are_not():
    against = script("steps").against
    found = against([2.0, 1.0], {"a": [2.0, 1.02], "b": [2.0, 1.1], "c": [2.0, 1.2]})
    assert [of["equal"] for of in found["of"].values()] == [True, True, False]
    assert found["rounding"] == pytest.approx(0.01)
    assert against([2.0, 1.0], {"eager": [2.0, 1.0], "b": [2.0, 1.1]})["of"]["b"]["equal"] is False
    assert "failed" in against([], {"a": [1.0]})


def test_the_card_as_nvidia_smi_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    card = script("card")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert card.card() is None
    program = tmp_path / "nvidia-smi"
    values = ", ".join(f"value {i}" for i in range(len(card.FIELDS)))
    asked = "--query-gpu=name,driver_version,*"
    program.write_text(f'#!/bin/sh\ncase "$1" in {asked}) echo "{values}" ;; *) exit 2 ;; esac\n')
    program.chmod(0o755)
    found = card.card()
    assert list(found) == list(card.FIELDS)
    assert found["name"] == "value 0"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert card.card() is None


# The players


def test_a_table_and_its_order_give_the_batches_again():
    problem = Problem.of(TINY)
    whole = script("whole").Whole.of(problem, 7)
    assert not np.array_equal(whole.x[: TINY.batch], problem.batches[0][0])
    for call in range(5):
        for j in range(7):
            first = whole.start(call) + j * TINY.batch
            rows = whole.order[first : first + TINY.batch]
            x, t = problem.batches[(call * 7 + j) % BATCHES]
            assert np.array_equal(whole.x[rows], x)
            assert np.array_equal(whole.t[rows], t)


def losses_of_the_formulas(steps: int, problem: Problem) -> list[float]:
    return Walk(problem, dlarray.resolve("cpu")).losses(steps)


def exact_gradient(setting: Any, problem: Problem) -> list[np.ndarray]:
    """From the formulas in float64, not from an average of Adam's."""
    (x, t), flat = problem.batches[0], [p.astype(np.float64) for pair in problem.weights for p in pair]
    model = TINY.model
    theta = model.layout.join(dict(zip(model.parameters(model.init(0)), flat, strict=True)))
    _, g = model.loss_and_gradient(theta, x.astype(np.float64), t, dlarray.SparseCategoricalCrossEntropy())
    return list(model.parameters(g).values())


def check(place: str, setting: Any, tmp_path: Path, error: float = 1e-6) -> None:
    """The player takes the walk of the formulas, from their gradient on, and is timed."""
    problem = Problem.of(TINY)
    timed = script("players").make(place, problem, setting.written())
    assert timed.first().keys() == {"made", "first"}
    expected = losses_of_the_formulas(10, problem)
    np.testing.assert_allclose(timed.losses(10, 60), expected, rtol=max(error, 2e-6))
    np.savez(tmp_path / "g.npz", *exact_gradient(setting, problem))
    found = timed.gradient_error(str(tmp_path / "g.npz"))
    assert (found is None) == (timed.player.together > 1)
    assert found is None or found < error
    times = timed.timed(4)
    assert times["wall"] > 0
    if setting.device == "cpu":
        assert times["wall"] >= times["device"] > 0
        assert timed.about() == {} or "jax" in place


@pytest.mark.parametrize("name", ["eager", "fused"])
def test_ours_on_a_cpu(name: str, setting: Any, tmp_path: Path):
    check(f"ours_card.{name}", setting, tmp_path)


@pytest.mark.usefixtures("_jax")
@pytest.mark.parametrize("place", ["ours_card.OnJax", "ours_card.RepeatedOnJax"])
def test_ours_on_jax(place: str, setting: Any, tmp_path: Path):
    check(place, setting, tmp_path)


@pytest.mark.usefixtures("_jax")
@pytest.mark.parametrize("name", ["jitted", "scanned"])
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_jax_on_a_cpu(name: str, precision: str, error: float, setting: Any, tmp_path: Path):
    check(f"rivals_jax_card.{name}", replace(setting, precision=precision), tmp_path, error)


@pytest.mark.parametrize("name", ["eager", "fused"])
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-6), ("bfloat16", 0.02)])
def test_torch_on_a_cpu(name: str, precision: str, error: float, setting: Any, tmp_path: Path):
    pytest.importorskip("torch")
    check(f"rivals_torch_card.{name}", replace(setting, precision=precision), tmp_path, error)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's compiler warns of torch's own code
def test_torch_compiled(setting: Any, tmp_path: Path):
    torch = pytest.importorskip("torch")
    with torch.compiler.set_stance("force_eager"):  # our lines, not half a minute of torch's compiler
        check("rivals_torch_card.compiled", setting, tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        *(f"ours_card.{name}" for name in ("captured", "epilogues", "repeated")),
        *(f"rivals_torch_card.{name}" for name in ("reduce_overhead", "captured")),
        "limits_card.captured_products",
    ],
)
def test_what_needs_a_card_says_so(place: str, setting: Any):
    if "torch" in place:
        pytest.importorskip("torch")
    with pytest.raises(NotImplementedError, match="needs a card"):
        script("players").make(place, Problem.of(TINY), setting.written())


def test_what_a_device_has_not_says_so(setting: Any):
    make, problem = script("players").make, Problem.of(TINY)
    with pytest.raises(NotImplementedError, match="TF32"):
        make("ours_card.eager", problem, replace(setting, precision="tf32").written())
    half = replace(setting, precision="bfloat16").written()
    with pytest.raises(NotImplementedError, match="bfloat16"):
        make("ours_card.eager", problem, half)
    with pytest.raises(NotImplementedError, match="bfloat16"):
        make("limits_card.products", problem, half)


@pytest.mark.parametrize("place", ["limits_card.products", "limits_card.large_product", "limits_card.Copy"])
@pytest.mark.parametrize("library", ["", "torch"])
def test_the_limits_on_a_cpu(place: str, library: str, setting: Any):
    if library:
        pytest.importorskip("torch")
        place = place.replace("limits_card", "rivals_torch_card")
    timed = script("players").make(place, Problem.of(TINY), setting.written())
    assert timed.timed(3)["wall"] > 0
    player = timed.player
    shapes = [tuple(a.shape) for a, *_ in getattr(player, "_pairs", getattr(player, "triples", []))]
    expected = {"products": [(8, 6), (6, 8), (8, 16), (16, 8), (8, 3)], "large_product": [(16, 16)], "Copy": []}
    assert shapes == expected[place.rpartition(".")[2]]


# On a card of paper


@dataclass(frozen=True)
class PaperDevice(dlarray.device.Device):
    def asarray(self, values: Any, dtype: str | None = None) -> Any:
        return super().asarray(values, dtype).view(PaperArray)


on_paper = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")


@on_paper
@pytest.mark.parametrize("name", ["fused", "captured", "epilogues", "repeated"])
def test_the_stages_on_paper(name: str, setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    planned = importlib.import_module("dlarray_cupy.planned")
    ours, cpu = script("ours_card"), dlarray.resolve("cpu")
    card = PaperCard(tmp_path)
    monkeypatch.setattr(planned, "_card", lambda number: card)
    monkeypatch.setattr(planned, "_number", lambda state: 0)
    monkeypatch.setattr(type(cpu.backend), "arrays", (*cpu.backend.arrays, PaperArray.__module__.partition(".")[0]))
    monkeypatch.setattr(ours, "resolve", lambda name: PaperDevice(cpu.name, cpu.backend, cpu.place))
    monkeypatch.setattr(ours, "clock_of", lambda setting: script("timed").HostClock())
    plainly = ours.Ours.restart

    def restart(self: Any) -> None:
        plainly(self)
        self._state = paper(self._state)

    monkeypatch.setattr(ours.Ours, "restart", restart)
    check(f"ours_card.{name}", replace(setting, device="cuda"), tmp_path)
    with_epilogues = any(isinstance(kind, tuple) and kind[0] == "product" and kind[1] for kind in card.queued)
    assert ("graph" in card.queued) == (name != "fused")
    assert with_epilogues == (name in ("epilogues", "repeated"))


@on_paper
def test_the_products_on_paper(tmp_path: Path):
    limits = script("limits_card")
    card = PaperCard(tmp_path)
    player = limits.CapturedProducts(TINY, card, lambda host: host.view(PaperArray))
    assert card.queued.count("graph") == 0
    triples = [player.arrays[i : i + 3] for i in range(0, len(player.arrays), 3)]
    sizes = [(*a.shape, b.shape[1]) for a, b, _ in triples]
    assert sizes == [(8, 6, 16), (6, 8, 16), (8, 16, 3), (16, 8, 3), (8, 3, 16)]
    for _, _, out in triples:
        out[...] = 0
    player.step(0)
    for a, b, out in triples:
        np.testing.assert_allclose(out, np.asarray(a) @ np.asarray(b), rtol=1e-5, atol=1e-5)
    bare = type("Bare", (PaperCard,), {"algorithms": lambda self, product, most: []})
    with pytest.raises(NotImplementedError, match="nvmath-python"):
        limits.CapturedProducts(TINY, bare(tmp_path), lambda host: host.view(PaperArray))


def test_the_whole_step_of_torch_as_a_graph_that_only_remembers(
    setting: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch = pytest.importorskip("torch")
    rivals = script("rivals_torch_card")

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
                player.recorded.copy_(player.whole_step())

    monkeypatch.setattr(rivals, "prepare", lambda setting: torch.device("cpu"))
    for name, what in {"Stream": Stream, "current_stream": Stream, "CUDAGraph": Graph}.items():
        monkeypatch.setattr(torch.cuda, name, what)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: Stream())
    monkeypatch.setattr(rivals.Captured, "whole_step", detached(rivals.Captured.whole_step))
    problem = Problem.of(TINY)
    player = rivals.captured(problem, replace(setting, device="cuda"))
    for _ in range(2):
        np.testing.assert_allclose(player.losses(10), losses_of_the_formulas(10, problem), rtol=2e-6)
    exact = exact_gradient(setting, problem)
    assert script("timed").relative_error(player.gradient(), exact) < 1e-6


def detached(step: Any) -> Any:
    """A step whose loss can be written."""

    def run(self: Any) -> Any:
        import torch

        with torch.enable_grad():
            return step(self).detach().clone()

    return run


# The names of what has never run


def test_the_names_of_torch_that_only_a_card_runs():
    torch = pytest.importorskip("torch")
    for name in ("Event", "CUDAGraph", "graph", "Stream", "stream", "current_stream", "synchronize", "is_available"):
        assert hasattr(torch.cuda, name), name
    assert {"record", "synchronize", "elapsed_time"} <= set(dir(torch.cuda.Event))
    assert "enable_timing" in inspect.signature(torch.cuda.Event.__new__).parameters
    assert "replay" in dir(torch.cuda.CUDAGraph)
    assert "wait_stream" in dir(torch.cuda.Stream)
    assert callable(torch.compiler.cudagraph_mark_step_begin)
    assert {"fused", "capturable"} <= inspect.signature(torch.optim.Adam).parameters.keys()
    assert "mode" in inspect.signature(torch.compile).parameters
    assert {"default", "reduce-overhead"} <= torch._inductor.list_mode_options().keys()


def test_the_names_of_cupy_that_only_a_card_runs():
    cupy = pytest.importorskip("cupy")
    assert {"record", "synchronize"} <= set(dir(cupy.cuda.Event))
    assert callable(cupy.cuda.get_elapsed_time)
    assert callable(cupy.cuda.device.get_cublas_handle)
    assert callable(cupy.cuda.runtime.runtimeGetVersion)
    assert callable(cupy.cuda.runtime.driverGetVersion)
    try:
        cublas = cupy.cuda.cublas
    except ImportError as error:
        pytest.skip(str(error))
    assert callable(cublas.getVersion)


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
    told = {p: setting.Setting("cuda", p).variables() for p in setting.PRECISIONS}
    assert {p: of["CUPY_TF32"] for p, of in told.items()} == {"float32": "0", "tf32": "1", "bfloat16": "0"}
    assert all(of["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" and of["JAX_PLATFORMS"] == "cuda" for of in told.values())


# All of it


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, "--quick", "--threads", "1", *words]
    environment = os.environ | {"NVIDIA_TF32_OVERRIDE": "1", "MPLBACKEND": "agg"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_whole_run_on_a_cpu(tmp_path: Path):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "gpu.json", tmp_path / "gpu.png"
    words = ["--device", "cpu", "--ours", "eager,fused,captured", "--rivals", "none", "--precisions", "float32,tf32"]
    done = run(*words, "--json", str(file), "--png", str(picture))
    assert done.returncode == 0, done.stderr
    assert "NVIDIA_TF32_OVERRIDE removed" in done.stdout
    assert "without dlarray, one graph: a CUDA graph needs a card" in done.stdout
    result = json.loads(file.read_text())
    case, absent = result["cases"]["S"]["float32"], result["cases"]["S"]["tf32"]
    assert set(case["microseconds"]) == {"products", "eager", "fused"}
    for name, us in case["microseconds"].items():
        assert us["most"] >= us["median"] >= us["least"] > 0, name
        assert us["rounds"] == 2
        assert us["steps"] >= 3
    assert case["floor"] > 0
    assert {name: of["is"] for name, of in case["gradients"]["of"].items()} == dict.fromkeys(
        ("eager", "fused"), "as its precision"
    )
    assert all(of["equal"] and of["steps"] == 5 for of in case["losses"]["of"].values())
    assert set(case["first_seconds"]["fused"]) == {"made", "first"}
    assert set(absent["absent"]) == {"products", "eager", "fused", "captured"}
    assert all("TF32" in why for name, why in absent["absent"].items())
    assert {t["why"] for t in result["targets"]} == {"a target for a card"}
    assert set(result["peaks"]["float32"]) >= {"rate", "bandwidth"}
    assert {"card", "machine", "cards", "settings"} <= result.keys()
    assert picture.stat().st_size > 10_000
    shown = subprocess.run([sys.executable, SCRIPT, "--show", str(file)], capture_output=True, text=True, check=True)
    assert "dlarray, fused kernels" in shown.stdout


def test_without_a_card_nothing_is_measured_on_one():
    if importlib.util.find_spec("cupy"):
        pytest.skip("there may be a card")
    done = run("--ours", "eager", "--rivals", "none", "--precisions", "float32")
    assert done.returncode == 1
    assert "without dlarray, run plainly: failed: DeviceError" in done.stdout
    assert "--device cpu needs no card" in done.stderr


def test_what_is_asked_for_must_exist():
    gpu, players = script("gpu"), script("players")
    assert [(case.name, case.batch) for case in gpu.chosen_cases("S, XL 8192,4-3x2")] == [
        ("S", 32),
        ("XL 8192", 8192),
        ("4-3x2", 2),
    ]
    with pytest.raises(SystemExit, match="unknown case 'XXL'"):
        gpu.chosen_cases("S,XXL")
    with pytest.raises(SystemExit, match="unknown precisions float8; choose from float32, tf32, bfloat16"):
        gpu.chosen_precisions("tf32,float8")
    with pytest.raises(SystemExit, match="unknown players fast; choose from products, products captured, eager"):
        players.chosen_ours("fast", players.OURS_ON_A_CARD)
    with pytest.raises(SystemExit, match="unknown rivals keras; choose from torch, jax, all, none"):
        players.chosen_rivals("keras", players.RIVALS_ON_A_CARD)
