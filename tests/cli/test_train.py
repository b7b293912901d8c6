"""``dlarray train`` on tables: from a table to predictions, unusable and unusual tables."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command_line import CommandLine, frame_of, plain
from tests.support.flights import every
from tests.support.process import ROOT

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pl = pytest.importorskip("polars")


from dlarray import tables  # noqa: E402

# From a table to predictions in two commands


def test_two_commands_lead_from_a_table_to_predictions(tmp_path: Path) -> None:
    """Real flights, in separate processes: missing values, categories, identifiers, dates, rows without a target."""
    (tmp_path / "flights.csv").write_bytes(every(100))
    (tmp_path / "new.csv").write_bytes(every(1000, 7))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DLARRAY")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends")))}

    def dlarray(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "dlarray", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
        )

    done = dlarray("train", "flights.csv", "--target", "arr_delay", "--epochs", "10")
    assert done.returncode == 0, done.stderr
    for message in (
        "table:      flights.csv, 3,368 rows, 19 columns",
        "regression of arr_delay, mean",
        " distinct values; for classification: --task classification)",
        "constant: always 2013",
        "categories, one-hot",
        "days, scaled; sin and cos of the year; sin and cos of the week; sin and cos of the day",
        "for validation, at random, seed 0",
        "saved:      model.safetensors",
        "next:       dlarray predict model.safetensors NEW.csv --output predictions.csv",
    ):
        assert message in done.stdout, message
    assert "rows have no target 'arr_delay' and are dropped" in done.stderr
    assert "Traceback" not in done.stderr
    rows = ("this model", "linear model", "guess: the mean")
    model, linear, guess = (float(re.findall(rf"^{row} +([-.\d]+)", done.stdout, re.MULTILINE)[0]) for row in rows)
    assert model > 0.8 > 0.1 > guess
    assert linear > 0.8

    done = dlarray("predict", "model.safetensors", "new.csv", "--output", "predictions.csv", "--with", "flight")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "saved: predictions.csv, 337 predictions of arr_delay\n"
    predictions, flown = pl.read_csv(tmp_path / "predictions.csv"), tables.read(tmp_path / "new.csv")
    assert predictions.columns == ["flight", "prediction"]
    assert predictions["flight"].to_list() == flown["flight"].to_list()
    present = flown["arr_delay"].is_not_null()
    errors = (predictions["prediction"] - flown["arr_delay"]).filter(present)
    assert np.std(errors.to_numpy()) < 0.6 * np.std(flown["arr_delay"].filter(present).to_numpy())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "flights.csv",
        "model.safetensors",
        "new.csv",
        "predictions.csv",
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("name", "least"), [("wine", 0.9), ("breast_cancer", 0.93), ("diabetes", 0.3)])
def test_models_of_real_tables_are_far_above_the_baseline(
    name: str, least: float, ending: str, run: CommandLine
) -> None:
    frame = frame_of(name)
    getattr(frame, f"write_{ending}")(f"table.{ending}")
    result = run("train", f"table.{ending}", "--target", "target", "--json", "--output", "out/m.safetensors")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    best = "r2" if name == "diabetes" else "accuracy"
    assert found["metrics"][best] > least > found["baseline"][best] + 0.2
    assert found["model"] == "out/m.safetensors"
    evaluated = json.loads(run("evaluate", "out/m.safetensors", f"table.{ending}", "--json").stdout)
    assert evaluated["rows"] == frame.height
    assert evaluated["metrics"] == tables.load("out/m.safetensors").evaluate(frame)
    predicted = json.loads(run("predict", "out/m.safetensors", f"table.{ending}", "--json").stdout)
    assert len(predicted["predictions"]) == frame.height
    if name != "diabetes":
        right = np.mean([p["prediction"] == t for p, t in zip(predicted["predictions"], frame["target"], strict=True)])
        assert evaluated["metrics"]["accuracy"] == pytest.approx(right)


def test_three_lines_of_python_do_the_same(wine: Any, run: CommandLine) -> None:
    model = tables.train("wine.csv", "target", hidden=[16], epochs=40, progress=False)
    model.save("python.safetensors")
    assert Path("python.safetensors").read_bytes() == Path("model.safetensors").read_bytes()
    assert run("predict", "model.safetensors", "wine.csv").stdout == model.predict("wine.csv").write_csv()


# Unusable tables: the exit code, a message on stderr, no files


def _archive(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "x,y\n1,2\n")
    return data.getvalue()


REFUSED: dict[str, tuple[str, str | bytes, str, int, str]] = {
    "empty": ("t.csv", "", "--target y", 1, "t.csv is empty"),
    "no rows": ("t.csv", "x,y\n", "--target y", 1, "has column names but no rows"),
    "one column": ("t.csv", "y\n1\n2\n", "--target y", 1, "has only the column 'y'"),
    "no target": (
        "t.csv",
        "x,y\n1,2\n",
        "",
        2,
        "--target COLUMN is missing, the column to predict; the columns of t.csv are x, y",
    ),
    "a typo in the target": (
        "t.csv",
        "x,price\n1,2\n",
        "--target prise",
        2,
        "there is no column 'prise', did you mean 'price'",
    ),
    "a typo in a column": ("t.csv", "x,y\n1,2\n2,3.5\n", "--target y --drop xx", 2, "no column 'xx'"),
    "a constant target": ("t.csv", "x,y\n1,2\n2,2\n", "--target y", 1, "is 2 in every row: there is nothing to learn"),
    "an empty target": ("t.csv", "x,y\n1,\n2,\n", "--target y", 1, "the target 'y' is missing in every row"),
    "nothing to learn from": ("t.csv", "x,y\n1,a\n1,b\n1,a\n1,b\n", "--target y", 1, "no column is left to learn from"),
    "a line that is too long": ("t.csv", "x,y\n1,2\n1,2,3\n", "--target y", 1, "t.csv: line 3 has 3 fields"),
    "an archive of two tables": (
        "t.zip",
        _archive("a.csv", "b.csv"),
        "--target y",
        1,
        "has several files, 'a.csv', 'b.csv': choose",
    ),
    "a picture": ("t.png", b"\x89PNG\r\n\x1a\n\0\0", "--target y", 1, "t.png contains NUL bytes"),
    "a bad task": ("t.csv", "x,y\n1,2\n", "--target y --task regresion", 2, "did you mean 'regression'"),
    "a bad share": ("t.csv", "x,y\n1,2\n", "--target y --validation 1", 2, "validation must lie in [0, 1)"),
    "a bad activation": ("t.csv", "x,y\n1,2\n", "--target y --activation rely", 2, "did you mean 'relu'"),
    "text for regression": ("t.csv", "x,y\n1,a\n2,b\n", "--target y --task regression", 1, "regression needs numbers"),
    "output with another ending": (
        "t.csv",
        "x,y\n1,2\n2,3\n",
        "--target y --output m.st",
        2,
        "got 'm.st'; to use a folder",
    ),
    "output below a file": ("t.csv", "x,y\n1,2\n2,3\n", "--target y --output t.csv/m", 1, "Not a directory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_tables_are_errors_of_one_line(case: str, run: CommandLine, tmp_path: Path) -> None:
    name, text, options, code, message = REFUSED[case]
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("train", name, *options.split(), "--json")
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert message in plain(result.stderr)
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_output_with_an_ending_can_be_a_folder_that_exists(wine: Any, run: CommandLine) -> None:
    Path("run.2").mkdir()
    result = run("train", "wine.csv", "--target", "target", "--hidden", "4", "--epochs", "1", "--output", "run.2")
    assert result.exit_code == 0, result.output
    assert Path("run.2/model.safetensors").exists()
    Path("m.safetensors").mkdir()
    result = run("train", "wine.csv", "--target", "target", "--output", "m.safetensors")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Is a directory: 'm.safetensors'" in result.stderr


def test_counts_of_one_are_singular(wine: Any, run: CommandLine) -> None:
    wine.head(1).write_csv("one.csv")
    assert run("evaluate", "model.safetensors", "one.csv").stdout.startswith("1 row: accuracy")
    result = run("predict", "model.safetensors", "one.csv", "--output", "p.csv")
    assert result.stdout == "saved: p.csv, 1 prediction of target\n"


def test_a_folder_and_missing_files_are_refused(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for what, message, code in (
        ("folder", "folder is a folder without Parquet or CSV files: it is empty", 1),
        ("absent.csv", "No such file or directory: 'absent.csv'", 1),
        ("digit", "there is no file or data set 'digit', did you mean 'digits'?", 2),
    ):
        result = run("train", what, "--target", "y")
        assert (result.exit_code, result.stdout) == (code, "")
        assert message in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser can read everything")
def test_an_unreadable_file_is_refused(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    (tmp_path / "t.csv").chmod(0)
    result = run("train", "t.csv", "--target", "y")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Permission denied: 't.csv'" in result.stderr


# Unusual tables


def test_unusual_tables_are_trained_on_with_notes(run: CommandLine) -> None:
    rng = np.random.default_rng(0)
    lines = ["id;größe;huge;wild;void;flag;name;sort"]
    for i in range(60):
        kind = "gut" if i % 12 else "sch;lecht"
        size = f"{1.5 * i:.1f}".replace(".", ",")
        wild = "inf" if i == 3 else "NA" if i == 4 else str(rng.normal())
        lines.append(f'{i};{size};{10**25 + i * 10**23};{wild};;{"true" if i % 2 else "false"};"Nr ""{i}""";"{kind}"')
    Path("odd.csv").write_text("\n".join(lines) + "\n;;;;;;;\n", encoding="utf-8")
    result = run("train", "odd.csv", "--target", "sort", "--hidden", "4", "--epochs", "2")
    assert result.exit_code == 0, result.stderr
    text = plain(result.stdout)
    for message in (
        "classification of sort, 2 classes: gut, sch;lecht (text)",
        "id dropped looks like an identifier: a different integer in every row",
        "größe number 9",
        "huge number 9",
        "void dropped empty: every value is missing",
        "flag boolean 1 0 and 1",
        "name dropped looks like an identifier",
        "for validation, stratified by class, seed 0",
    ):
        assert message in text, message
    for message in (
        "note: 1 of 61 rows have no target 'sort' and are dropped",
        "note: column 'wild': 1 infinite value, treated as missing",
        "note: classes are imbalanced: 'gut' has 55 rows, 'sch;lecht' has 5",
    ):
        assert message in result.stderr, message
    assert run("predict", "model.safetensors", "odd.csv").stdout.splitlines()[0] == "prediction,p(gut),p(sch;lecht)"


def test_the_quantiles_of_a_date_are_dates(run: CommandLine) -> None:
    days = [f"2020-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(90)]
    frame = pl.DataFrame({"x": np.random.default_rng(1).normal(size=90), "y": days})
    frame.write_csv("t.csv")
    text = run("train", "t.csv", "--target", "y", "--epochs", "1").stdout
    truth, predicted, error = (line for line in text.splitlines() if re.match(r"y  |prediction", line))
    assert re.fullmatch(r"y( +2020-\d\d-\d\d){5}", truth)
    assert re.fullmatch(r"prediction( +20\d\d-\d\d-\d\d){5}", predicted)
    assert re.fullmatch(r"prediction - truth, days( +-?[\d.,]+){5}", error)
