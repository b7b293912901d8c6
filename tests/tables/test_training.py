"""Training on a table, and the model's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

import dlarray as dl  # noqa: E402
from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402  # noqa: E402
    TableWarning,
    UnknownColumnError,
)

rng = np.random.default_rng(5)


@pytest.fixture(scope="module")
def flowers() -> Any:
    """Two kinds of flowers that differ in size; their colour is almost no information."""
    own = np.random.default_rng(1)
    kind = np.array(["rose"] * 10 + ["lily"] * 110)
    length = np.where(kind == "rose", 3.0, 1.0) + own.normal(scale=0.3, size=120)
    colour = own.choice(["red", "white"], 120)
    return pl.DataFrame(
        {"length": [None if i % 30 == 29 else v for i, v in enumerate(length)], "colour": colour, "kind": kind}
    )


@pytest.fixture(scope="module")
def garden(flowers: Any) -> tables.TableModel:
    return tables.train(flowers, "kind", hidden=[8], batch_size=8, progress=False)


def test_a_model_of_a_table_beats_the_baseline(garden: tables.TableModel, flowers: Any) -> None:
    facts = garden.facts
    assert facts["rows"] == {"training": 96, "validation": 24}
    assert facts["metrics"]["log_loss"] < 0.8 * facts["baseline"]["log_loss"]
    assert facts["baseline"]["balanced_accuracy"] == 0.5
    assert "'lily' has" in facts["imbalance"]
    predictions = garden.predict(flowers)
    assert predictions.height == 120
    np.testing.assert_allclose(predictions["p(lily)"] + predictions["p(rose)"], 1, rtol=1e-5)
    right = (predictions["prediction"] == flowers["kind"]).mean()
    assert garden.evaluate(flowers)["accuracy"] == pytest.approx(right)


def test_the_file_brings_all_of_it(garden: tables.TableModel, flowers: Any, tmp_path: Path) -> None:
    path = tmp_path / "garden.safetensors"
    garden.save(path)
    again = tables.load(path, "cpu")
    assert (again.preprocessing, again.target, again.facts) == (garden.preprocessing, garden.target, garden.facts)
    assert again.trained.history == garden.trained.history
    assert again.predict(flowers).equals(garden.predict(flowers))
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert np.array_equal(dl.load(path, "cpu").theta[0], garden.trained.theta[0])  # the network alone, as any other


def test_a_changed_file_is_found(garden: tables.TableModel, tmp_path: Path) -> None:
    path = tmp_path / "garden.safetensors"
    garden.save(path)
    path.write_bytes(path.read_bytes().replace(b"lily", b"tulp"))
    with pytest.raises(dl.CheckpointError, match="do not match its SHA-256"):
        tables.load(path)


def test_a_network_without_a_table_says_so(tmp_path: Path) -> None:
    x = rng.normal(size=(8, 2))
    dl.fit(dl.mlp(2, 1), x, x[:, 0], epochs=1, batch_size=8, progress=False).save(tmp_path / "m")
    with pytest.raises(dl.CheckpointError, match="without preprocessing, because it was not trained on a table"):
        tables.load(tmp_path / "m")


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    "no columns": lambda d: d["preprocessing"].update(columns=[]),
    "an unknown kind": lambda d: d["preprocessing"]["columns"][0].update(kind="eval"),
    "a word for a number": lambda d: d["preprocessing"]["columns"][0].update(mean="1"),
    "a scale of 0": lambda d: d["preprocessing"]["columns"][0].update(scale=0),
    "another field": lambda d: d["preprocessing"]["columns"][0].update(path="x"),
    "one column less": lambda d: d["preprocessing"]["columns"].pop(),
    "another class": lambda d: d["target"].update(labels=["lily", "rose", "tulip"]),
    "no target": lambda d: d.pop("target"),
    "a target without a name": lambda d: d["target"].update(name=1.5),
    "a target that is none": lambda d: d["target"].update(kind="column"),
    "categories that are numbers": lambda d: d["preprocessing"]["columns"][1].update(categories=[1, 2]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_preprocessing_that_cannot_be_is_refused(change: str, garden: tables.TableModel, tmp_path: Path) -> None:
    """A file with a valid digest, as an attacker would write it."""
    data: dict[str, Any] = {
        "preprocessing": garden.preprocessing.as_data(),
        "target": garden.target.as_data(),
        "facts": {},
    }
    data = json.loads(json.dumps(data))
    CHANGES[change](data)
    garden.trained.save(tmp_path / "m", notes={"table": data})
    with pytest.raises(dl.CheckpointError, match="is not a dlarray model"):
        tables.load(tmp_path / "m")


def test_weights_balance_the_classes(flowers: Any) -> None:
    colours = flowers.select("colour", "kind")  # what remains is how frequent the classes are
    plain, balanced = (
        tables.train(colours, "kind", hidden=[4], batch_size=8, balanced=b, progress=False).predict(colours)
        for b in (False, True)
    )
    assert np.mean(plain["p(rose)"].to_numpy()) < 0.2
    assert 0.35 < np.mean(balanced["p(rose)"].to_numpy()) < 0.65


def test_rows_without_a_target_are_dropped_and_counted(flowers: Any, garden: tables.TableModel) -> None:
    holes = flowers.with_columns(kind=pl.when(pl.int_range(120) >= 110).then(None).otherwise("kind"))
    with pytest.warns(TableWarning, match="10 of 120 rows have no target 'kind' and are dropped"):
        model = tables.train(holes, "kind", hidden=[2], epochs=1, progress=False)
    assert sum(model.facts["rows"].values()) == 110
    numbers = pl.DataFrame({"x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [0.5, float("nan"), float("inf"), 2.5, 3.5]})
    with pytest.warns(TableWarning, match="2 of 5 rows"):
        tables.train(numbers, "y", hidden=[2], epochs=1, validation=0, progress=False)


def test_extra_columns_are_reported_and_not_used(flowers: Any, garden: tables.TableModel) -> None:
    extra = flowers.drop("kind").with_columns(smell=pl.lit("sweet"))
    with pytest.warns(TableWarning, match="columns that training did not have are not used: 'smell'"):
        predictions = garden.predict(extra)
    assert predictions.equals(garden.predict(flowers))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"target": "kinds"}, UnknownColumnError, "no column 'kinds', did you mean 'kind'"),
        ({"target": "KIND"}, UnknownColumnError, "did you mean 'kind'"),
        ({"target": "kind", "activation": "rely"}, ValueError, "did you mean 'relu'"),
        ({"target": "kind", "optimizer": "adamm"}, ValueError, "did you mean 'adam'"),
        ({"target": "kind", "device": "cdua"}, dl.DeviceError, "did you mean 'cuda'"),
        ({"target": "kind", "validation": 1.5}, ValueError, r"\[0, 1\)"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], kind: type, message: str, flowers: Any) -> None:
    with pytest.raises(kind, match=message):
        tables.train(flowers, progress=False, **arguments)


def test_unusable_tables_are_refused(flowers: Any) -> None:
    with pytest.raises(ValueError, match="has only the column 'kind'"):
        tables.train(flowers.select("kind"), "kind")
    with pytest.raises(ValueError, match="the table has no rows"):
        tables.train(flowers.head(0), "kind")
    with pytest.raises(TypeError, match="a table must be a path or a polars DataFrame, got list"):
        tables.train([1], "kind")  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cpu", "strict", "torch", "jax"])
def test_it_is_the_same_on_every_device(device: str, flowers: Any, garden: tables.TableModel) -> None:
    pytest.importorskip({"cpu": "numpy", "strict": "array_api_strict"}.get(device, device))
    found = tables.train(flowers, "kind", hidden=[8], batch_size=8, device=device, progress=False)
    assert found.preprocessing == garden.preprocessing
    np.testing.assert_allclose(found.predict(flowers)["p(rose)"], garden.predict(flowers)["p(rose)"], atol=1e-4)
    assert found.evaluate(flowers)["accuracy"] == garden.evaluate(flowers)["accuracy"]
