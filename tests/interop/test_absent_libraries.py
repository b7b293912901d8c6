"""Without the other library the error names what to install, and importing dlarray imports none of them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import dlarray
from tests.interop.torch_cases import random_trained
from tests.support.process import python


@pytest.mark.parametrize(
    ("library", "call", "message"),
    [
        ("torch", lambda: dlarray.to_torch(random_trained(2, dlarray.Dense(1))), r'pip install "dlarray\[torch\]"'),
        ("torch", lambda: dlarray.from_torch(object(), "mse"), r'pip install "dlarray\[torch\]"'),
        ("keras", lambda: dlarray.from_keras(object()), "needs Keras 3: pip install keras"),
        ("onnx", lambda: dlarray.onnx.load("model.onnx"), r'pip install "dlarray\[onnx\]"'),
    ],
    ids=["to_torch", "from_torch", "from_keras", "load"],
)
def test_the_error_says_what_to_install(library: str, call: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=message):
        call()


def test_the_names_can_be_imported_without_the_libraries() -> None:
    code = """
import sys
from dlarray import from_keras, from_torch, to_torch
from dlarray.onnx import load
print(*[name for name in ("torch", "keras", "onnx", "onnxruntime") if name in sys.modules])
"""
    assert python(code) == ""
