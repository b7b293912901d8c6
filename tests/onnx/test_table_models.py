"""Models of tables as ONNX files: preprocessing in the graph, one input for each column, decoded targets."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for library in ("onnx", "onnxruntime", "polars"):
    pytest.importorskip(library)

import polars as pl  # noqa: E402

from dlarray import onnx, tables  # noqa: E402
from tests.support.flights import every  # noqa: E402
from tests.support.onnx import metadata, run  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::dlarray.tables.TableWarning"),
    pytest.mark.usefixtures("without_native"),
]

N = 120
SETTINGS: dict[str, Any] = {"hidden": [8], "epochs": 2, "seeds": 1, "device": "cpu"}
START = datetime.datetime(2024, 1, 1)
RANDOM = np.random.default_rng(0)
NUMBER = [None if i % 17 == 3 else float(x) for i, x in enumerate(RANDOM.normal(1e5, 10, N))]
EVERY_KIND = pl.DataFrame(
    {
        "number (cm)": NUMBER,
        "whole": RANDOM.integers(0, 9, N),
        "flag": [None if i % 5 == 0 else bool(i % 3) for i in range(N)],
        "text": [("red", "Blue", "NA", " green", "ünï.[x]")[i % 5] for i in range(N)],
        "rare": [f"c{int(x)}" for x in RANDOM.exponential(8, N)],
        "code": [float(1 + i % 4) for i in range(N)],
        "when": [None if i % 11 == 0 else START + datetime.timedelta(hours=31 * i) for i in range(N)],
        "day": [(START + datetime.timedelta(days=i % 60)).date() for i in range(N)],
        "time": [datetime.time(i % 24, i % 60) for i in range(N)],
        "yes": [bool(i % 2) for i in range(N)],
        "label": RANDOM.normal(size=N),
        "span": [datetime.timedelta(minutes=i % 50) for i in range(N)],
    }
)
Y = (EVERY_KIND["number (cm)"].fill_null(1e5) - 1e5) / 10 + EVERY_KIND["text"].is_in(["red"]).cast(pl.Float64)
TARGETS: dict[str, pl.Series] = {
    "number": Y,
    "text": pl.Series([("no", "yes", "maybe")[int(v > 0) + int(v > 1)] for v in Y]),
    "boolean": Y > 0,
    "integer": (Y > 0).cast(pl.Int64) * 3 + 2,
    "date": pl.Series([datetime.date(2020, 1, 1) + datetime.timedelta(days=int(100 * v)) for v in Y]),
}


def trained(target: str, **options: Any) -> tables.TableModel:
    frame = EVERY_KIND.with_columns(TARGETS[target].alias("y"))
    settings = SETTINGS | {"categorical": ["code", "yes"], "keep": ["time"], "max_categories": 8} | options
    return tables.train(frame, "y", **settings)


@pytest.mark.parametrize("target", TARGETS)
def test_every_kind_of_column_and_of_target(target: str, tmp_path: Path) -> None:
    model = trained(target)
    exported = onnx.export(model, tmp_path / "m.onnx")
    kinds = {name: form.partition(" ")[0] for name, form in exported.inputs.items()}
    text = {"text", "rare"}
    names = [c if c != "label" else "label_" for c in EVERY_KIND.columns]
    assert kinds == {name: "text" if name in text else "float64" for name in names}
    got = run(tmp_path / "m.onnx", onnx.table_inputs(model, EVERY_KIND))
    wanted = model.predict(EVERY_KIND)
    found = metadata(tmp_path / "m.onnx")
    assert json.loads(found["columns"])["label_"] == {"column": "label", "values": "a number"}
    assert found["target"] == "y"
    if target in ("number", "date"):
        y = wanted["prediction"]
        values = y.to_numpy() if target == "number" else (y.dt.timestamp("us") / 86400e6).to_numpy()
        assert (got["variable"].shape, got["variable"].dtype) == ((N, 1), np.float64)
        np.testing.assert_allclose(got["variable"][:, 0], values, rtol=1e-6, atol=1e-5)
        assert found["unit"] == ("" if target == "number" else "days since 1970-01-01")
        return
    assert got["label"].tolist() == wanted["prediction"].to_list()
    assert got["label"].dtype == ("O" if target == "text" else "int64")
    np.testing.assert_allclose(got["probabilities"], wanted.drop("prediction").to_numpy(), atol=1e-6)


def test_text_is_read_as_a_new_file_is(tmp_path: Path) -> None:
    """White space, case, words for missing values and unknown words: what predict makes of them, from plain text."""
    frame = pl.DataFrame({"c": ["red", "Blue", "n/a", "über", "None", "a.b"] * 9, "y": [1.0, 2, 3, 4, 5, 6] * 9})
    words = [
        "red",
        " RED\t",
        "blue",
        "bLUE ",
        "NA",
        "n/A",
        "",
        "  ",
        "ÜBER",
        "a.b",
        "axb",
        "none",
        "green",
        "-",
        "NULL",
    ]
    new = pl.DataFrame({"c": words})
    for options in ({}, {"match_case": True, "not_missing": ["None"], "missing": ["red"]}):
        model = tables.train(frame, "y", task="regression", reading=tables.ReadOptions(**options), **SETTINGS)
        onnx.export(model, tmp_path / "m.onnx")
        got = run(tmp_path / "m.onnx", {"c": np.asarray(words, dtype=object).reshape(-1, 1)})["variable"]
        np.testing.assert_allclose(got[:, 0], model.predict(new)["prediction"].to_numpy(), rtol=1e-6)


def test_missing_infinite_and_unknown_numbers(tmp_path: Path) -> None:
    values = [None, np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 1.0, 2.0, 7.0]
    new = EVERY_KIND[: len(values)].with_columns(
        *(pl.Series(name, values, dtype=pl.Float64) for name in ("number (cm)", "whole", "label")),
        pl.Series("code", values[:2] + values[6:] + [1.5, 99.0, 1e300, 3.0], dtype=pl.Float64),
    )
    model = trained("number")
    onnx.export(model, tmp_path / "m.onnx", examples=new)
    feeds = onnx.table_inputs(model, new)
    raw = {"number (cm)": "number (cm)", "whole": "whole", "label_": "label", "code": "code"}
    feeds |= {name: new[column].cast(pl.Float64).to_numpy().reshape(-1, 1) for name, column in raw.items()}
    wanted = model.predict(new)["prediction"].to_numpy()
    np.testing.assert_allclose(run(tmp_path / "m.onnx", feeds)["variable"][:, 0], wanted, rtol=1e-6, atol=1e-6)


def test_a_threshold_decides_between_two_classes(tmp_path: Path) -> None:
    from dataclasses import replace

    model = trained("boolean")
    for threshold in (0.1, 0.9):
        chosen = replace(model, target=replace(model.target, threshold=threshold))
        onnx.export(chosen, tmp_path / "m.onnx")
        got = run(tmp_path / "m.onnx", onnx.table_inputs(chosen, EVERY_KIND))
        np.testing.assert_array_equal(got["label"], got["probabilities"][:, 1] >= threshold)


def test_dates_and_times_as_categories(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "day": [datetime.date(2024, 1, 1 + i % 3) for i in range(60)],
            "time": [datetime.time(6 * (i % 4)) for i in range(60)],
            "y": [float(i % 12) for i in range(60)],
        }
    )
    model = tables.train(frame, "y", task="regression", categorical=["day", "time"], **SETTINGS)
    onnx.export(model, tmp_path / "m.onnx")
    days = np.asarray([[19723.0], [19724.0], [np.nan], [0.0]])
    got = run(tmp_path / "m.onnx", {"day": days, "time": np.asarray([[0.25], [0.0], [0.5], [0.1]])})["variable"]
    new = pl.DataFrame(
        {
            "day": [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2), None, datetime.date(1970, 1, 1)],
            "time": [datetime.time(6), datetime.time(0), datetime.time(12), datetime.time(2, 24)],
        }
    )
    np.testing.assert_allclose(got[:, 0], model.predict(new)["prediction"].to_numpy(), rtol=1e-6)


def test_categories_that_float64_does_not_tell_apart(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [9007199254740992 + i % 2 for i in range(40)], "y": [i % 2 / 2 for i in range(40)]})
    model = tables.train(frame, "y", task="regression", categorical=["id"], **SETTINGS)
    with pytest.raises(onnx.ExportError, match="column 'id' are numbers that float64 does not tell apart"):
        onnx.export(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["iris", "wine", "diabetes"])
def test_real_tables(name: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from tests.support.command_line import frame_of

    frame = frame_of(name)
    model = tables.train(frame, "target", **SETTINGS)
    model.save(tmp_path / "model.safetensors")
    again = tables.load(tmp_path / "model.safetensors", "cpu")
    assert onnx.export(again, tmp_path / "m.onnx", examples=frame, dtype="float64").deviation < 1e-6
    got = run(tmp_path / "m.onnx", onnx.table_inputs(model, frame))
    wanted = model.predict(frame)["prediction"]
    if name == "diabetes":
        np.testing.assert_allclose(got["variable"][:, 0], wanted.to_numpy(), rtol=1e-6)
    else:
        assert got["label"].tolist() == wanted.to_list()


def test_real_flights_with_dates_and_airports(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_bytes(every(400))
    frame = tables.read_verbatim(tmp_path / "flights.csv")
    model = tables.train(tmp_path / "flights.csv", "arr_delay", **SETTINGS)
    exported = onnx.export(model, tmp_path / "m.onnx", examples=tmp_path / "flights.csv")
    assert {"carrier", "dest", "origin"} <= {name for name, form in exported.inputs.items() if form.startswith("text")}
    got = run(tmp_path / "m.onnx", onnx.table_inputs(model, frame))["variable"][:, 0]
    np.testing.assert_allclose(got, model.predict(frame)["prediction"].to_numpy(), rtol=1e-5, atol=1e-4)


def test_names_that_a_graph_has_already_and_no_rows(tmp_path: Path) -> None:
    names = ["", "label", "label_", "output_label", "network.0.W", "variable", "c 1"]
    frame = pl.DataFrame({name: RANDOM.normal(size=N) for name in names[:-1]} | {"c 1": ["u", "v"] * (N // 2)})
    model = tables.train(frame.with_columns(y=pl.Series(["a", "b"] * (N // 2))), "y", **SETTINGS)
    exported = onnx.export(model, tmp_path / "m.onnx", zipmap=True)
    assert list(exported.inputs) == ["_", "label_", "label__", "output_label_", "network.0.W_", "variable_", "c 1"]
    got = run(tmp_path / "m.onnx", onnx.table_inputs(model, frame))
    assert got["output_label"].tolist() == model.predict(frame)["prediction"].to_list()
    onnx.export(model, tmp_path / "m.onnx")
    got = run(tmp_path / "m.onnx", {name: x[:0] for name, x in onnx.table_inputs(model, frame).items()})
    assert (got["label"].shape, got["probabilities"].shape) == ((0,), (0, 2))


def test_inputs_from_a_table_name_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="the table lacks columns of the training table: 'when'"):
        onnx.table_inputs(trained("number"), EVERY_KIND.drop("when"))
