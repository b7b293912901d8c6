"""The examples of CONTRIBUTING.md do what the page says."""

from __future__ import annotations

import re

import pytest

from tests.support.process import ROOT, python

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
HEADER = """
from dataclasses import dataclass
import numpy as np
from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Activation
from dlarray.losses.terms import SumOfTerms
from dlarray.core.registry import make
from dlarray.optimizers import Optimizer
from dlarray.optimizers.base import FirstOrder, State
import dlarray
"""
CHECKS = {
    "Cauchy": """
f = make(Activation, "cauchy")
z, h = np.linspace(-3, 3, 13), 1e-6
y, saved = f.forward(z)
slope = (f.predict(z + h) - f.predict(z - h)) / (2 * h)
print(np.max(np.abs(f.backward(saved, np.ones(13)) - slope)) < 1e-9)
print(dlarray.mlp(2, 3, 1, activation="cauchy").layers[1] == f)
""",
    "MeanQuarticError": """
loss = make(dlarray.Loss, "mean_quartic_error")
z, t, h = np.linspace(-1, 1, 12).reshape(6, 2), np.zeros((6, 2)), 1e-6
value, saved = loss.forward(z, t)
print(np.isclose(value, np.mean(z**4)), np.allclose(loss.backward(saved), 4 * z**3 / 12))
""",
    "SignDescent": """
optimizer = make(Optimizer, "sign_descent")
theta = np.asarray([1.0, -2.0, 0.0])
theta, state = optimizer.step(theta, 2 * theta, optimizer.init(theta))
print(theta.tolist() == [0.99, -1.99, 0.0], int(state["t"]))
""",
    "MyBackend": """
import sys
sys.modules["mylibrary"] = np
handle = backend.handle(backend.devices()[0])
x = backend.asarray(np.arange(3.0), handle)
print(backend.to_numpy(x).tolist(), backend.device_of(x), backend.version() == np.__version__)
""",
}
SAID = {
    "Cauchy": "True\nTrue",
    "MeanQuarticError": "True True",
    "SignDescent": "True 1",
    "MyBackend": "[0.0, 1.0, 2.0] cpu True",
}


def class_of(example: str) -> str:
    return re.findall(r"class (\w+)", example)[-1]


def test_every_example_is_checked():
    assert [class_of(example) for example in EXAMPLES] == list(CHECKS)


@pytest.mark.parametrize("example", EXAMPLES, ids=class_of)
def test_the_examples_work(example):
    name = class_of(example)
    assert python(HEADER + example + CHECKS[name]) == SAID[name]


def test_the_files_it_names_exist():
    for path in re.findall(r"`((?:tests|examples|dlarray|backends)/[\w/.]*)`", PAGE):
        assert (ROOT / path).exists(), path
