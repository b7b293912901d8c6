"""Without llvmlite, or with one that does not work, steps run through NumPy's ufuncs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlarray.planner import PlannerWarning, fastest
from dlarray.planner import compile as compile_step
from dlarray.planner.native import executor, module
from dlarray.planner.run import executors
from tests.support.process import python

TRAIN = """
import sys, warnings
import numpy as np
{before}
import dlarray
from dlarray.planner import fastest
x, y = np.random.default_rng(0).normal(size=(64, 6)), np.arange(64) % 3
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for seed in range(2):
        trained = dlarray.fit(dlarray.mlp(6, 8, 3), x, y, epochs=3, batch_size=16, seed=seed, progress=False)
    for _ in range(20):
        trained.predict(x)
    print(fastest(), *(str(w.message) for w in caught), sep="|")
print(trained.history["loss"][-1] < trained.history["loss"][0])
"""


def test_without_llvmlite_steps_are_ufuncs_and_nothing_is_said() -> None:
    out = python(TRAIN.format(before="sys.modules['llvmlite'] = None"))
    assert out.splitlines() == ["ufuncs", "True"]


@pytest.mark.parametrize("error", ["ImportError", "OSError", "RuntimeError"])
def test_an_llvmlite_that_cannot_be_imported_is_said_once(error: str, tmp_path: Path) -> None:
    package = tmp_path / "llvmlite"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "binding.py").write_text(f"raise {error}('no such library')")
    first, second = python(TRAIN.format(before=""), tmp_path).splitlines()
    name, *warnings = first.split("|")
    assert (name, second) == ("ufuncs", "True")
    assert len(warnings) == 1
    assert "llvmlite is installed, and cannot be used" in warnings[0]
    assert "no such library" in warnings[0]
    assert "NumPy's ufuncs, which is slower" in warnings[0]


def test_an_llvmlite_that_is_too_old_is_said_once() -> None:
    pytest.importorskip("llvmlite")
    before = "import llvmlite.binding\ndel llvmlite.binding.create_new_function_pass_manager"
    first, second = python(TRAIN.format(before=before)).splitlines()
    name, *warnings = first.split("|")
    assert (name, second) == ("ufuncs", "True")
    assert len(warnings) == 1
    assert "llvmlite is installed, and cannot be used" in warnings[0]
    assert "create_new_function_pass_manager" in warnings[0]


def test_the_executor_by_name_without_llvmlite_says_what_to_install() -> None:
    code = """
import sys, warnings
sys.modules["llvmlite"] = None
import numpy as np
from dlarray.planner import compile
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    step = compile(lambda state, x: (state - 0.1 * x, np.sum(state)), "native")
    state = np.ones(3)
    for _ in range(3):
        state, loss = step(state, np.ones(3))
print(state.tolist(), *(str(w.message) for w in caught), sep="|")
"""
    values, warning = python(code).split("|")
    assert values == str((np.ones(3) - 0.1 - 0.1 - 0.1).tolist())
    assert "the step runs eagerly" in warning
    assert "pip install 'dlarray[fast]'" in warning


def test_a_python_with_other_structures_has_no_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "is_understood", lambda: False)
    assert fastest() == "ufuncs"


def test_a_failure_of_llvm_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")

    def fail() -> None:
        raise RuntimeError("no target for this CPU")

    monkeypatch.setattr(executors, "_llvm_works", executors._llvm_works.__wrapped__)
    monkeypatch.setattr(module, "host", fail)
    monkeypatch.setattr(executors, "host", fail)
    with pytest.warns(PlannerWarning, match="no target for this CPU"):
        assert fastest() == "ufuncs"


def test_a_step_that_llvm_refuses_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")

    def fail(*args: object) -> None:
        raise RuntimeError("LLVM refuses this text")

    monkeypatch.setattr("dlarray.planner.native.joined.compiled", fail)
    step = compile_step(lambda state, x: (state * 0.5, np.sum(state * x)), "native")
    state = np.ones(3)
    with pytest.warns(PlannerWarning, match="LLVM refuses this text"):
        state, _ = step(state, np.ones(3))
    state, loss = step(state, np.ones(3))
    assert (state[0], loss) == (0.25, 1.5)
