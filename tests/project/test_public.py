"""What ``import dlarray`` gives, and what it costs."""

from __future__ import annotations

import copy
import pickle
from importlib import import_module
from inspect import isabstract

import pytest

import dlarray
from dlarray.core.layer import Layer
from dlarray.core.registry import classes
from dlarray.initializers import Initializer
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule
from tests.support.process import python

FOLDERS = ("activations", "callbacks", "initializers", "layers", "losses", "optimizers", "schedules")


@pytest.mark.parametrize("module", FOLDERS)
def test_all_that_a_folder_of_classes_offers_is_found_at_the_top(module: str) -> None:
    offered = set(import_module(f"dlarray.{module}").__all__)
    assert offered <= set(dlarray.__all__)
    assert offered


@pytest.mark.parametrize("kind", [Layer, Loss, Optimizer, Initializer, Schedule])
def test_every_class_that_a_name_finds_can_be_imported_from_the_top(kind: type) -> None:
    own = {c for c in classes(kind).values() if c.__module__.partition(".")[0] == "dlarray"}
    assert {c.__name__ for c in own} <= set(dlarray.__all__)
    assert all(getattr(dlarray, c.__name__) is c and not isabstract(c) for c in own)


def test_names_can_be_listed_before_they_are_used() -> None:
    code = "import dlarray; listed = dir(dlarray); print(set(dlarray.__all__) <= set(listed), 'losses' in listed)"
    assert python(code) == "True True"
    assert dir(dlarray) == sorted(set(dir(dlarray)))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dlarray' has no attribute 'Adamm'"):
        _ = dlarray.Adamm
    with pytest.raises(ImportError, match="Adamm"):
        exec("from dlarray import Adamm")
    assert not hasattr(dlarray, "_nothing")


def test_a_star_import_brings_every_public_name() -> None:
    found: dict[str, object] = {}
    exec("from dlarray import *", found)
    assert set(dlarray.__all__) <= found.keys()
    assert found["Adam"] is dlarray.Adam


def test_a_name_is_looked_up_once() -> None:
    first = dlarray.HeNormal
    assert vars(dlarray)["HeNormal"] is first


def test_importing_dlarray_reads_none_of_its_modules() -> None:
    code = """
import sys
before = set(sys.modules)
import dlarray
print(*sorted(name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names))
"""
    assert python(code) == "dlarray"


LIBRARIES = "torch jax jaxlib cupy array_api_strict scipy sklearn matplotlib typer rich dask pandas"
TRAIN = """
import sys
import numpy as np
import dlarray
x = np.arange(12, dtype=np.float32).reshape(6, 2)
trained = dlarray.fit(
    dlarray.mlp(2, 3, 2), x, np.array([0, 1] * 3), epochs=1, batch_size=3, progress=False
)
trained.save({path!r})
print(dlarray.load({path!r}).predict(x).shape, *[name for name in {libraries!r}.split() if name in sys.modules])
"""


def test_training_saving_and_loading_on_the_cpu_import_no_other_library(tmp_path) -> None:
    code = TRAIN.format(path=str(tmp_path / "model.safetensors"), libraries=LIBRARIES)
    assert python(code) == "(6, 2)"


def test_using_one_name_imports_no_more_than_it_needs() -> None:
    code = (
        "import sys, dlarray; dlarray.ReLU; print('dlarray.training' in sys.modules, 'dlarray.losses' in sys.modules)"
    )
    assert python(code) == "False False"


@pytest.mark.parametrize(
    "value",
    [
        dlarray.mlp(4, 8, 3, activation="gelu", dropout=0.1),
        dlarray.Clipped(dlarray.AdamW(dlarray.CosineDecay(0.1, 10)), dlarray.clip_by_global_norm, 1.0),
        dlarray.BinaryCrossEntropy(class_weight=(1.0, 2.0)),
        dlarray.TruncatedNormal(0.1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_configuration_can_be_pickled_copied_and_compared(value: object) -> None:
    for other in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert other == value
        assert hash(other) == hash(value)
        assert repr(other) == repr(value)
