"""Kernels of many elements on two of OpenBLAS's threads have the bits of one thread."""

from __future__ import annotations

import json
from functools import cache

import pytest

from dlarray.planner.native.pool import find
from tests.support.process import python

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')
pytestmark = pytest.mark.skipif(find() is None, reason="NumPy has no OpenBLAS whose threads are known")


@cache
def digests(threads: int, arguments: str = "") -> tuple[dict[str, str], int]:
    """The results of kernels in a process of so many threads, and the number of those with code for two."""
    code = "import json\nfrom tests.support.shared_kernels import digests\n"
    if "threadpoolctl" in arguments:
        code += "import threadpoolctl\n"
    code += f"print(json.dumps(digests({arguments})))"
    found, shared = json.loads(python(code, OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads)))
    return found, shared


@pytest.mark.slow
def test_one_thread_and_two_give_the_same_bits() -> None:
    (one, shared_by_one), (two, shared_by_two) = digests(1), digests(2)
    assert shared_by_one == 0
    assert shared_by_two > 60
    assert len(one) > 100
    assert two == one


@pytest.mark.slow
def test_two_threads_compute_what_the_interpreter_computes() -> None:
    assert digests(2, "check=True")[0] == digests(2)[0]


@pytest.mark.slow
def test_a_limit_set_later_gives_the_same_bits() -> None:
    """The code is that for two threads, which asks at each call how many may run."""
    pytest.importorskip("threadpoolctl")
    found, shared = digests(2, "lambda: threadpoolctl.threadpool_limits(1)")
    assert shared > 60
    assert found == digests(2)[0]


def test_a_step_with_shared_kernels_agrees_with_the_eager_step() -> None:
    """The planner's own check finds no difference, also 8 and 200 steps later."""
    code = """
import numpy as np
import dlarray as dl
from dlarray.planner import compile
from tests.support.native_targets import printed
x = np.random.default_rng(0).standard_normal((128, 96)).astype(np.float32)
model = dl.mlp(96, 256, 10, activation="gelu", dropout=0.1)
step, state, batch = dl.first_step(model, x, np.arange(128) % 10, batch_size=128)
compiled = compile(step, "native")
modules = printed(lambda: compiled(state, batch))
print(any("dlarray_run" in "".join(declared) for _, declared in modules))
for _ in range(201):
    state, loss = compiled(state, batch)
print(None not in compiled.programs.values(), loss < 0.1)
"""
    assert python(code, OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2").split() == ["True", "True", "True"]


def test_a_pool_that_fails_its_test_is_not_used() -> None:
    code = """
import numpy as np
import dlarray as dl
from dlarray.planner import compile
from dlarray.planner.native import joined
from tests.support.native_targets import printed
joined.works = lambda pool: False
x = np.random.default_rng(0).standard_normal((128, 96)).astype(np.float32)
step, state, batch = dl.first_step(dl.mlp(96, 256, 10), x, np.arange(128) % 10, batch_size=128)
compiled = compile(step, "native")
modules = ["dlarray_run" in "".join(declared) for _, declared in printed(lambda: compiled(state, batch))]
print(*modules[:2], None not in compiled.programs.values())
"""
    assert python(code, OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2").split() == ["True", "False", "True"]
