"""Importing dlarray imports no other library, except NumPy, and reads no environment variable."""

from __future__ import annotations

from tests.project.test_architecture import BOOK, LIBRARIES
from tests.support.process import python
from tests.support.sources import BACKENDS, SOURCES, head

FORBIDDEN = sorted(set[str]().union(*LIBRARIES.values()) - {"numpy", "dlarray_onnx"})  # the arrays of onnx are its own
FORBIDDEN += ["onnx", "onnxruntime", "scipy", "sklearn", "matplotlib", "typer", "rich", "polars"]
REPORT = f"""
import sys
print(*[name for name in {FORBIDDEN!r} if name in sys.modules])
"""


LIGHT = {"core", "device", *BOOK, "training", "callbacks", "diagnostics", "testing"}
CORE = [module for module in SOURCES if head(module) in LIGHT]


def test_importing_dlarray_imports_no_array_library_but_numpy():
    assert python("import dlarray" + REPORT) == ""


def test_what_trains_can_be_read_without_another_library():
    assert python("".join(f"import {module}\n" for module in CORE) + REPORT) == ""


def test_reading_the_backends_imports_no_array_library():
    assert python("".join(f"import {module}\n" for module in BACKENDS) + REPORT) == ""
    assert python("from dlarray.device import backend\nfor name in backend.names(): backend.get(name)" + REPORT) == ""


def test_training_on_the_cpu_imports_no_array_library_but_numpy():
    code = """
import numpy as np
import dlarray
x = np.zeros((4, 2), dtype=np.float32)
dlarray.to_device(dlarray.asarray(x), "cpu")
"""
    assert python(code + REPORT) == ""


def test_a_first_step_imports_only_what_it_needs():
    code = """
import sys
import numpy as np
import dlarray
x = np.zeros((4, 2), dtype=np.float32)
unused = ["tqdm", *(f"dlarray.{name}" for name in ("callbacks", "diagnostics", "estimators", "plot", "tables"))]
dlarray.fit(dlarray.mlp(2, 3, 1), x, x[:, :1], batch_size=2, epochs=1)
print([name for name in unused if name in sys.modules])
dlarray.fit(dlarray.mlp(2, 3, 1), x, x[:, :1], batch_size=2, epochs=1, callbacks=["early-stopping"])
print([name for name in unused if name in sys.modules][0])
"""
    assert python(code).splitlines() == ["[]", "dlarray.callbacks"]


SPY = """
import os, sys
asked = []
environment = type(os.environ)
plain = environment.__getitem__

def spy(self, name):
    near = [sys._getframe(depth).f_globals["__name__"] for depth in (1, 2, 3)]  # environ.get, os.getenv in between
    if any(module.startswith("dlarray") for module in near):
        asked.append(name)
    return plain(self, name)

environment.__getitem__ = spy
"""


def test_importing_reads_no_environment_variable():
    code = SPY + "".join(f"import {module}\n" for module in CORE)
    code += "print(asked)\nfrom dlarray.device import current_device\nprint(current_device(), asked)"
    assert python(code, DLARRAY_DEVICE="strict").splitlines() == ["[]", "strict:cpu ['DLARRAY_DEVICE']"]
