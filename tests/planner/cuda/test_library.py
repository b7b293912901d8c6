"""The text of CUDA kernels: run on a GPU and compared with the interpreter, and compiled by NVIDIA's compilers."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlarray.bench import CASES, Workload
from dlarray.core.trees import flatten
from dlarray.device import resolve
from dlarray.losses import SparseCategoricalCrossEntropy
from dlarray.optimizers import Adam
from dlarray.planner.cuda import printer, spread
from dlarray.planner.cuda.prelude import PRELUDE
from dlarray.planner.cuda.printer import source
from dlarray.planner.cuda.spread import COUNT, grids, workspace
from dlarray.planner.kernel.loops import BoundKernel, Call, Input, Kernel, Operation
from dlarray.planner.schedule.lowering import Body
from dlarray.planner.schedule.memory import make_plan
from dlarray.planner.trace.trace import trace
from dlarray.training import Step
from tests import cuda_on_cpu as emulator
from tests.fuzz import exact
from tests.support import kernels, nvrtc
from tests.support.cuda_kernels import HAND, IN_PLACE, SIZES, values
from tests.support.gpu import WatchedGpu, order, to_gpu, to_host
from tests.support.gpu_kernels import bundle, prepare, run_at_edges, run_on_gpu
from tests.support.library_steps import library_steps

ARCHITECTURES = ("sm_70", "sm_80", "sm_90", "sm_100")
H100 = 132
"""Multiprocessors."""

by_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason="no nvrtc: pip install nvidia-cuda-nvrtc-cu12")
by_ptxas = pytest.mark.skipif(not nvrtc.have_ptxas(), reason="there is no nvcc with ptxas")


@pytest.fixture(scope="module")
def library() -> dict[str, list[tuple[str, Call]]]:
    """By dtype, the calls of every kernel of the library with the name of what it belongs to."""
    found: dict[str, list[tuple[str, Call]]] = {dtype: [] for dtype in kernels.FLOATS}
    for dtype, calls in found.items():
        for name, step in library_steps(dtype).items():
            kept: list[Call] = []
            kernels.through_planner(*step, keeping(kept.append))
            calls += [(name, call) for call in kept]
    return found


def keeping(keep: Callable[[Call], Any]) -> kernels.Run:
    """Runs by the interpreter, and keeps what was to be run."""

    def run(call: Call) -> None:
        keep(kernels.copied(call))
        kernels.interpreter.run(call)

    return run


# On a GPU


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "when"), [(0, "now"), (1, "7")])
def test_every_kind_and_reduction(offset: int, when: str, gpu: WatchedGpu):
    """Also with threads and blocks in a drawn order."""
    prepare(HAND.values(), gpu)
    run: kernels.Run = partial(run_on_gpu, gpu=gpu, offset=offset)
    for (_, name), kernel in HAND.items():
        for rows, cols in SIZES if kernel.sweeps else [(1, 1)]:
            given = kernels.call(kernel, rows, cols, values, IN_PLACE.get(name, {}))
            with order(when):
                kernels.check(given, run)


@pytest.mark.slow
def test_nothing_beyond_an_array_is_read(gpu: WatchedGpu):
    if not emulator.installed():
        pytest.skip("an emulated GPU alone runs kernels on memory of the host, which can end anywhere")
    prepare(HAND.values(), gpu)
    for (_, name), kernel in HAND.items():
        for rows, cols in SIZES if kernel.sweeps else [(1, 1)]:
            given = kernels.call(kernel, rows, cols, values, IN_PLACE.get(name, {}))
            kernels.check(given, lambda call: run_at_edges(call, gpu))


@pytest.mark.parametrize("processors", [1, 2, 100])
def test_gpus_of_any_size(processors: int, gpu: WatchedGpu):
    prepare(HAND.values(), gpu)
    for (dtype, name), kernel in HAND.items():
        if dtype == "float64":
            given = kernels.call(kernel, 65, 31, values, IN_PLACE.get(name, {}))
            kernels.check(given, lambda call: run_on_gpu(call, gpu, processors))


@pytest.mark.parametrize("dtype", [*kernels.FLOATS, "bool", *kernels.INTEGERS])
def test_every_exact_operation_bit_for_bit(dtype: str, gpu: WatchedGpu):
    """Without numbers that are subnormal in float32: CuPy's compiler takes them for zero."""
    small = np.array(1e-40, dtype)

    def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        made = kernels.specials(dtype, shape)
        return np.where(made == small, made.dtype.type(0), made)

    prepare(kernels.exact(dtype), gpu)
    kernels.check_exact(dtype, lambda call: run_on_gpu(call, gpu), values)


def test_subnormal_float32_are_zero(gpu: WatchedGpu):
    """As in CuPy's own kernels."""
    kernel = kernels.together([("sign", "float32"), ("add", "float32")], "float32")
    call = kernels.call(kernel, 1, 2, lambda dtype, shape: np.full(shape, 1e-40, dtype), {})
    run_on_gpu(call, gpu)
    np.testing.assert_array_equal(call.outputs, np.zeros((2, 1, 2)))
    np.testing.assert_array_equal(to_host(to_gpu(call.inputs[0]) + to_gpu(call.inputs[0])), np.zeros((1, 2)))


@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kernel_of_the_library(dtype: str, gpu: WatchedGpu, library: dict[str, list[tuple[str, Call]]]):
    prepare((call.kernel for _, call in library[dtype]), gpu)
    for name, call in library[dtype]:
        try:
            kernels.check(kernels.copied(call), lambda call: run_on_gpu(call, gpu))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def fuzz(seeds: range, gpu: WatchedGpu) -> tuple[list[str], dict[str, int]]:
    """Random programs, eager against planned with these kernels: what failed, and how many ran."""
    met: list[Kernel] = []
    for seed in seeds:
        program = exact.generate(seed)
        state, batches = program.start()
        with suppress(Exception), np.errstate(all="ignore"):  # some are no programs, or cannot be traced
            kernels.through_planner(program, state, batches[0], keeping(lambda call: met.append(call.kernel)))
    prepare(met, gpu)

    def executor(call: Call) -> BoundKernel:
        kernels.interpreter.validate(call.kernel)
        return BoundKernel([(run_on_gpu, (call, gpu))])

    exact.COMPILED["cuda"] = executor
    try:
        return exact.fuzz(seeds, ["cuda"])
    finally:
        del exact.COMPILED["cuda"]


def test_random_programs(gpu: WatchedGpu):
    reports, counts = fuzz(range(20), gpu)
    assert not reports, "\n".join(reports)
    assert counts["equal"] > 10, counts


# How work is spread


@pytest.mark.parametrize(("rows", "cols"), [(8192, 3), (5000, 40)])
def test_sums_of_columns_are_as_exact_as_documented(rows: int, cols: int, gpu: WatchedGpu):
    square = Operation("square", (0,), "E", "float32", 0)
    kernel = Kernel((Input("E", "float32"),), (), (square, Operation("sum", (1,), "R", "float32", 0, "column")), (2,))
    x = np.random.default_rng(2).uniform(size=(rows, cols)).astype(np.float32)
    call = Call(kernel, rows, cols, [], [x], [np.zeros((1, cols), np.float32)])
    run_on_gpu(call, gpu, H100)
    exact = np.sum(np.square(x).astype(np.float64), axis=0)
    lines = workspace(kernel, rows, cols, H100) / 8 / cols
    assert lines < rows / 8
    bound = (rows / lines + lines / 4 + 2) * np.finfo(np.float32).eps
    assert np.all(abs(call.outputs[0][0] - exact) <= bound * exact)
    assert bound < rows / 8 * np.finfo(np.float32).eps


def test_sums_of_long_rows_are_as_exact_as_numpys(gpu: WatchedGpu):
    kernel = Kernel((Input("E", "float32"),), (), (Operation("sum", (0,), "C", "float32", 0, "row"),), (1,))
    x = (0.1 + 1e-3 * np.random.default_rng(2).random((2, 300_001))).astype(np.float32)
    call = Call(kernel, *x.shape, [], [x], [np.zeros((2, 1), np.float32)])
    run_on_gpu(call, gpu, H100)
    np.testing.assert_allclose(call.outputs[0][:, 0], np.sum(x.astype(np.float64), axis=1), rtol=4 * 2.0**-23)


def test_no_array_of_all_elements_is_kept():
    """Without row reductions, columns need a line for each group of rows; elements need no workspace."""
    assert workspace(HAND["float32", "relu of a sum"], 8192, 4096, H100) == 0
    assert workspace(HAND["float32", "slopes and their sums"], 8192, 4096, H100) < 8192 * 4096 * 8 / 50
    assert workspace(HAND["float32", "norm by columns"], 8192, 4096, H100) < 8192 * 4096 * 8 / 7


def test_small_problems_reach_every_multiprocessor():
    for kernel in (HAND["float32", "relu of a sum"], HAND["float32", "norm by columns"]):
        grid = grids(kernel, 128, 256, H100)[0]
        assert grid.blocks >= 128
        assert grids(kernel, 8192, 4096, H100)[0].threads == 256
    assert grids(HAND["float32", "all of everything"], 8192, 4096, H100)[0].warps <= 16 * H100, "one warp adds them up"
    assert grids(HAND["float32", "scalars"], 1, 1, H100)[0].warps == 1


def bodies(case: str, **varied: Any) -> list[Body]:
    """The kernels of a step of the benchmark."""
    chosen = CASES[case].varied("", **varied)
    device = resolve("cpu")
    step = Step(chosen.model, SparseCategoricalCrossEntropy(), Adam(1e-3))
    state = step.init(chosen.model.init(0, device, chosen.dtype), (), 0, device)
    x, t = Workload.of(chosen, 1, weights=False).batches[0]
    graph, inputs, _, outputs, moving = trace(step, state, (x, t, None))
    leaves: list[Any] = []
    flatten(state, leaves)
    plan = make_plan(graph, outputs, {i: inputs[i] for i in range(moving) if outputs[i].shape == inputs[i].shape})
    return [plan.bodies[unit] for unit in plan.units if unit.is_group]


def traffic(kernel: Kernel, rows: int, cols: int, processors: int) -> int:
    """The bytes that the kernels move to and from memory: arrays once in each sweep, and the workspace twice."""
    sizes = {"E": rows * cols, "R": cols, "C": rows, "S": 1}
    read = [n for n, given in enumerate(kernel.inputs) if given.kind in "CS"]
    for sweep in range(kernel.sweeps):
        args = {a for v in kernel.evaluated(sweep) for a in kernel.operations[v - kernel.first].args}
        read += [a for a in args if a < len(kernel.inputs) and kernel.inputs[a].kind in "ER"]
    arrays = sum(sizes[kernel.kind(v)] * np.dtype(kernel.dtype(v)).itemsize for v in (*read, *kernel.outputs))
    return arrays + 2 * max(workspace(kernel, rows, cols, processors) - COUNT, 0)


@pytest.mark.parametrize(
    ("case", "launches", "nbytes"), [("S", 6, 105_332), ("M", 9, 7_810_228), ("L", 9, 63_819_188)], ids="SML"
)
def test_launches_and_traffic_of_a_step(case: str, launches: int, nbytes: int):
    found = bodies(case)
    assert sum(len(grids(body.kernel, *body.domain, H100)) for body in found) == launches
    moved = [traffic(body.kernel, *body.domain, H100) for body in found]
    theta = found[-1].domain[1]
    assert moved[-1] == 7 * 4 * theta + 16, "θ, g, m and v are read once, θ, m and v written once, and two counters"
    assert sum(moved) <= nbytes


# By NVIDIA's compilers


def optimizer() -> Kernel:
    return bodies("M")[-1].kernel


@by_nvrtc
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_optimizer_is_one_pass_of_16_byte_accesses(architecture: str):
    entry = nvrtc.entry(nvrtc.compile_for(source(optimizer()), architecture), "rows_kernel")
    assert entry.count("ld.global.v4.f32") == 4
    assert entry.count("st.global.v4.f32") == 3
    together = entry[entry.index("ld.global.v4.f32") : entry.rindex("ld.global.v4.f32")]
    assert "bra" not in together, "the loads wait for something"
    assert entry.rindex("ld.global.v4.f32") < entry.index("st.global"), "an output may be an input's memory"
    assert "ld.local" not in entry
    met = re.findall(r"membar.gl|bar.sync|atom.", entry)
    assert met == ["membar.gl", "bar.sync", "atom.", "bar.sync", "membar.gl"], "blocks count themselves"
    assert {"div.rn.ftz.f32", "sqrt.rn.ftz.f32"} <= set(entry.split()), "quotients and roots are those of IEEE"
    assert not any(fast in entry for fast in ("div.full", "div.approx", "sqrt.approx"))


@by_ptxas
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nothing_is_spilled(architecture: str, tmp_path: Path):
    """With 64 registers a thread, a multiprocessor holds half as many warps as it ever can."""
    wanted = [optimizer(), *(body.kernel for body in bodies("M", norm=True))]
    found = nvrtc.resources(bundle(wanted), architecture, tmp_path)
    for i, kernel in enumerate(wanted):
        most = 128 if spread.columns(kernel) and spread.way(kernel) == "rows" else 64  # so many warps are not wanted
        for grid in grids(kernel, 1, 1, 1):
            registers, spilled = found[f"{grid.name}_{i}"]
            assert spilled == 0, grid.name
            assert registers <= most, grid.name


@by_nvrtc
def test_nvrtc_compiles_every_operation():
    """What differs between architectures is the compiler's part, so each text meets one or two of them."""
    wanted = [kernel for d in (*kernels.FLOATS, "bool", *kernels.INTEGERS) for kernel in kernels.exact(d)]
    compiled_in_turns([*wanted, *HAND.values()])


@by_nvrtc
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_nvrtc_compiles_every_kernel_of_the_library(dtype: str, library: dict[str, list[tuple[str, Call]]]):
    texts = {source(call.kernel): call.kernel for _, call in library[dtype]}
    compiled_in_turns([texts[text] for text in sorted(texts)], kernels.FLOATS.index(dtype))


def compiled_in_turns(wanted: list[Kernel], first: int = 0) -> None:
    """Compile each kernel for one of the architectures that this nvrtc knows."""
    known = [a for a in ARCHITECTURES if a in nvrtc.known()]
    assert known
    for i, architecture in enumerate(known):
        mine = wanted[(i + first) % len(known) :: len(known)]
        ptx = nvrtc.compile_for(bundle(mine), architecture, optimized=False)
        for k, kernel in enumerate(mine):
            for grid in grids(kernel, 1, 1, 1):
                assert f".entry {grid.name}_{k}(" in ptx


@by_nvrtc
def test_what_is_no_cuda_does_not_compile():
    with pytest.raises(AssertionError, match="error"):
        nvrtc.compile_for("__global__ void k() { no such thing; }", "sm_90")


def test_the_ways_to_spread_work():
    ways = {name: spread.way(kernel) for (_, name), kernel in HAND.items()}
    assert ways["descent"] == ways["relu of a sum"] == ways["columns in"] == ways["index"] == "elements"
    assert ways["slopes and their sums"] == ways["columns of everything"] == "tiles"
    assert ways["softmax"] == ways["norm by columns"] == ways["strided"] == "rows"


def test_the_readme_has_the_text_of_its_kernel():
    e, r, f = Input("E", "float32"), Input("R", "float32"), "float32"
    operations = Operation("add", (0, 1), "E", f, 0), Operation("maximum", (3, 2), "E", f, 0)
    text = source(Kernel((e, r), (f,), operations, (4,)))
    page = (Path(printer.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert page.split("```cuda\n")[1].split("```")[0] == text.removeprefix(PRELUDE)
