"""``dlarray predict``."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import tables
from tests.support.command_line import CommandLine, plain

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pl = pytest.importorskip("polars")


def test_column_order_extra_columns_and_unreadable_values_are_handled_with_notes(wine: Any, run: CommandLine) -> None:
    ordered = run("predict", "model.safetensors", "wine.csv")
    shuffled = wine.drop("target").select(reversed(wine.drop("target").columns)).with_columns(shop=pl.lit("north"))
    shuffled.write_parquet("new.parquet")
    result = run("predict", "model.safetensors", "new.parquet")
    assert (result.exit_code, result.stdout) == (0, ordered.stdout)
    assert result.stderr == "note: columns that training did not have are not used: 'shop'\n"
    wine.with_columns(
        ash=pl.when(pl.int_range(178) < 3).then(pl.lit("grey")).otherwise(pl.col("ash").cast(str))
    ).write_csv("new.csv")
    result = run("predict", "model.safetensors", "new.csv", "--output", "p.parquet")
    assert result.exit_code == 0
    assert "note: column 'ash': 3 values cannot be read as a number, treated as missing" in result.stderr
    assert pl.read_parquet("p.parquet").columns == ["prediction", "p(class_0)", "p(class_1)", "p(class_2)"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("model.safetensors short.csv", 1, "lacks columns of the training table: 'ash', 'hue'; it has 'ASH' instead"),
        ("model.safetensors absent.csv", 1, "No such file or directory"),
        ("model.safetensor wine.csv", 1, "No such file or directory: 'model.safetensor'"),
        ("wine.csv wine.csv", 1, "wine.csv is not a dlarray model"),
        ("network.safetensors wine.csv", 1, "a network without preprocessing, because it was not trained on a table"),
        ("model.safetensors wine.csv --with ashh", 2, "no column 'ashh', did you mean 'ash'"),
        ("model.safetensors wine.csv --output p.xlsx", 2, "predictions are written to .csv or .parquet files"),
        ("model.safetensors wine.csv --output no/p.csv", 1, "no such folder: 'no'"),
        ("model.safetensors wine.csv --output ./wine.csv", 2, "'wine.csv' is a file that this command reads"),
        ("model.csv wine.csv --output model.csv", 2, "'model.csv' is a file that this command reads"),
        ("model.safetensors wine.csv --outptu p.csv", 2, "No such option: --outptu"),
        ("model.safetensors", 2, "Missing argument 'TABLE'"),
        ("model.safetensors wine.csv --device cdua", 1, "did you mean 'cuda'"),
    ],
)
def test_a_failed_prediction_writes_nothing(
    words: str, code: int, message: str, wine: Any, run: CommandLine, tmp_path: Path
) -> None:
    wine.drop("hue").rename({"ash": "ASH"}).write_csv("short.csv")
    x = np.zeros((4, 2))
    dl.fit(dl.mlp(2, 1), x, x[:, 0], epochs=1, batch_size=4, progress=False).save("network.safetensors")
    Path("model.csv").write_bytes(Path("model.safetensors").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("predict", *words.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in plain(result.stderr)
    assert "Traceback" not in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture
def shop(run: CommandLine) -> Any:
    """A table whose text must be kept, such as 1.50, and a model of it."""
    lines = ["ticket,price,prediction,y"]
    lines += [f'{10**24 + i},{i % 7}.50,"a ""b"", {i}",{"TRUE" if i % 2 else "False"}' for i in range(30)]
    Path("shop.csv").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    result = run("train", "shop.csv", "--target", "y", "--hidden", "4", "--epochs", "1", "--drop", "ticket,prediction")
    assert result.exit_code == 0, result.output
    return lines


def test_included_columns_keep_the_file_s_text(shop: Any, run: CommandLine) -> None:
    words = ["predict", "model.safetensors", "shop.csv", "--with", "price", "--with", "ticket", "--with", "price,y"]
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    names, *lines = result.stdout.splitlines()
    assert names == "price,ticket,y,prediction,p(False),p(TRUE)"
    assert len(lines) == 30  # the blank line is skipped
    expected = [[line.split(",")[i] for i in (1, 0, -1)] for line in shop[1:]]
    assert [line.split(",")[:3] for line in lines] == expected
    assert {line.split(",")[3] for line in lines} <= {"False", "TRUE"}
    found = json.loads(run(*words, "--json").stdout)["predictions"]
    assert [[row["price"], row["ticket"], row["y"]] for row in found] == expected
    assert run(*words, "--output", "p.parquet").exit_code == 0
    assert pl.read_parquet("p.parquet")["ticket"].to_list() == [ticket for _, ticket, _ in expected]


@pytest.mark.parametrize("more", [(), ("--json",), ("--output", "p.csv")])
def test_an_included_column_with_the_name_of_a_prediction_is_refused(
    more: tuple[str, ...], shop: Any, run: CommandLine
) -> None:
    result = run("predict", "model.safetensors", "shop.csv", "--with", "prediction", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the predictions have a column 'prediction' too; rename that of the table" in plain(result.stderr)


def test_columns_of_every_type_can_be_included(shop: Any, run: CommandLine) -> None:
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC)
    columns: dict[str, tuple[Any, str]] = {
        "list": ([1.5, None, float("nan")], '"[1.5, null, null]"'),
        "struct": ({"a": moment.date(), "b": b"\xff"}, '"{""a"": ""2024-01-01"", ""b"": ""ff""}"'),
        "bytes": (b"\x01\xff", '"""01ff"""'),
        "length": (timedelta(minutes=1), "60.0"),
        "date": (moment.date(), "2024-01-01"),
        "time": (moment.time(), "12:00:00.000000000"),
        "decimal": (Decimal("1.50"), "1.50"),
    }
    table = pl.DataFrame({"price": [1.5, 2.5], **{name: [cell, cell] for name, (cell, _) in columns.items()}})
    table.with_columns(empty=pl.Series([[1], None])).write_parquet("new.parquet")
    words = ["predict", "model.safetensors", "new.parquet"]
    for name, (_, text) in columns.items():
        result = run(*words, "--with", name)
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[1].startswith(f"{text},")
    everything = [*words, "--with", ",".join([*columns, "empty"])]
    found = json.loads(run(*everything, "--json").stdout)["predictions"]
    shown = [[1.5, None, None], {"a": "2024-01-01", "b": "ff"}, "01ff", 60, "2024-01-01", "12:00:00", "1.50", [1]]
    assert list(found[0].values())[:8] == shown
    assert found[1]["empty"] is None
    assert run(*everything, "--output", "p.parquet").exit_code == 0
    assert pl.read_parquet("p.parquet")["list"].dtype == pl.List(pl.Float64)


def test_json_is_written_row_by_row_and_equals_the_whole_prediction(
    shop: Any, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("dlarray.cli.predict")
    monkeypatch.setattr(module, "ROWS", 8)
    whole = tables.load("model.safetensors", "cpu").predict("shop.csv")
    result = run("predict", "model.safetensors", "shop.csv", "--json")
    found = json.loads(result.stdout)
    assert list(found) == ["model", "target", "rows", "predictions", "notes"]
    assert found["rows"] == whole.height == 30
    assert found["predictions"] == json.loads(json.dumps(whole.to_dicts()))
    rows = [line.strip().removesuffix(",") for line in result.stdout.splitlines() if line.startswith("  {")]
    assert [json.loads(row) for row in rows] == found["predictions"]


def test_a_row_is_written_before_the_next_block_is_computed(
    shop: Any, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("dlarray.cli.predict")
    monkeypatch.setattr(module, "ROWS", 8)
    compute, computed = tables.TableModel.predictions, 0

    def failing(model: tables.TableModel, x: Any) -> Any:
        nonlocal computed
        computed += 1
        if computed == 4:  # the first call asks for the names of the columns
            raise OSError("the third block is lost")
        return compute(model, x)

    monkeypatch.setattr(tables.TableModel, "predictions", failing)
    for words in (["--json"], []):
        computed = 0
        result = run("predict", "model.safetensors", "shop.csv", *words)
        assert result.exit_code == 1
        assert sum(line.startswith("  {") for line in result.stdout.splitlines()) == (16 if words else 0)
        assert len(result.stdout.splitlines()) >= 17
