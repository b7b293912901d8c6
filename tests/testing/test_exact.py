"""The table of exact values that the kit ships: held against mpmath and torch, and complete."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from dlarray.activations import Activation, LogSoftmax, PReLU, Softmax
from dlarray.losses import Loss
from dlarray.testing import extremes
from dlarray.testing.own import own
from tests.book.test_activations import ORACLE
from tests.support import exact
from tests.support.activation_cases import OF_TORCH, torch

TABLE = extremes.exact()


def test_the_table_is_what_mpmath_computes():
    """``python -m tests.support.exact`` writes it."""
    assert exact.text() == exact.PATH.read_text(encoding="utf-8")


def oracle(name: str) -> Any:
    defaults = {repr(cls()): ORACLE[spelling] for spelling, cls in own(Activation).items()}
    return (defaults | OF_TORCH)[name]


@pytest.mark.parametrize("name", TABLE["activations"])
def test_activations_agree_with_torch(name: str):
    """torch's formulas lose digits of small values, and overflow far out: to 1e-12 beside 1, below 1e5."""
    near = np.abs(TABLE["inputs"]) < 1e5
    z = torch.tensor(np.array(TABLE["inputs"])[near], requires_grad=True)
    y = oracle(name)(z)
    y.backward(torch.ones_like(z))
    entry = TABLE["activations"][name]
    for found, key in ((y.detach(), "forward"), (z.grad, "backward")):
        expected = np.array(entry[key]["value"])[near]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", [*TABLE["functions"], *TABLE["special"]])
def test_functions_agree_with_torch(name: str):
    x = torch.tensor(TABLE["inputs"], dtype=torch.float64)
    names = {"erf": "erf", "erfc": "erfc", "normal_cdf": "ndtr"}
    if name == "normal_pdf":
        found = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    else:
        f = getattr(torch.special, names[name]) if name in names else getattr(torch, name)
        found = f(x)
    entry = TABLE["functions"].get(name) or TABLE["special"][name]
    np.testing.assert_allclose(found, entry["value"], rtol=1e-12, atol=1e-15 if name in TABLE["special"] else 1e-300)


def test_every_activation_and_loss_is_in_the_table():
    of_rows = {Softmax, LogSoftmax}
    with_parameters = {PReLU}  # its slope is an array
    rest = {cls for cls in own(Activation).values() if repr(cls()) not in TABLE["activations"]}
    assert rest == of_rows | with_parameters
    listed = {name.partition("(")[0] for name in TABLE["losses"]}
    not_of_numbers = {cls.__name__ for cls in own(Loss).values()} - listed
    assert not_of_numbers == {
        "CategoricalCrossEntropy",
        "CategoricalHinge",
        "GaussianNLL",
        "KLDivergence",
        "MultiMargin",
        "RootMeanSquaredError",
        "SparseCategoricalCrossEntropy",
    }


def test_the_table_holds_plain_json():
    assert json.loads(exact.PATH.read_text(encoding="utf-8")).keys() == TABLE.keys()
    assert exact.PATH.stat().st_size < 100_000
