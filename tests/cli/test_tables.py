"""The command line on tables: predictions from a file in two commands, the other commands, and errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer")
pl = pytest.importorskip("polars")
datasets = pytest.importorskip("sklearn.datasets")
matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from typer.testing import CliRunner  # noqa: E402

import dlarray as dl  # noqa: E402
from dlarray import cli, tables  # noqa: E402
from tests.support.command_line import CommandLine, in_folder  # noqa: E402
from tests.support.flights import every  # noqa: E402
from tests.support.process import ROOT  # noqa: E402


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return in_folder(tmp_path, monkeypatch)


def frame_of(name: str, *, names: bool = True) -> Any:
    data = getattr(datasets, f"load_{name}")()
    target = data.target_names[data.target] if names and hasattr(data, "target_names") else data.target
    return pl.DataFrame({**dict(zip(data.feature_names, data.data.T, strict=True)), "target": target})


@pytest.fixture(scope="module")
def wine_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of the wines, as bytes."""
    folder = tmp_path_factory.mktemp("wine_model")
    frame_of("wine").write_csv(folder / "wine.csv")
    words = f"train {folder / 'wine.csv'} --target target --hidden 16 --epochs 40 --device cpu --output {folder}"
    result = CliRunner().invoke(cli.app, words.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def wine(run: CommandLine, wine_model: bytes) -> Any:
    """The wines as a file in the folder, with a model."""
    frame = frame_of("wine")
    frame.write_csv("wine.csv")
    Path("model.safetensors").write_bytes(wine_model)
    return frame


def plain(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


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
        " distinct values; for classification, use --task classification)",
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
    r2 = {kind: float(re.findall(rf"{kind}: +R² ([-.\de]+)", done.stdout)[0]) for kind in ("validation", "baseline")}
    assert r2["validation"] > 0.8 > 0.1 > r2["baseline"]

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


# Predictions


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
        ("network.safetensors wine.csv", 1, "a network without preprocessing: it was not trained on a table"),
        ("model.safetensors wine.csv --with ashh", 2, "no column 'ashh', did you mean 'ash'"),
        ("model.safetensors wine.csv --output p.xlsx", 2, "predictions are written to .csv or .parquet files"),
        ("model.safetensors wine.csv --output no/p.csv", 1, "no such folder: 'no'"),
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
    before = sorted(tmp_path.iterdir())
    result = run("predict", *words.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in plain(result.stderr)
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


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


# The other commands


def test_evaluate_diagnose_and_plot_read_the_model(wine: Any, run: CommandLine) -> None:
    text = run("evaluate", "model.safetensors").stdout
    assert "task:       classification of target, 3 classes (class_0, class_1, class_2)" in text
    assert "baseline:   accuracy 38.89%" in text
    assert "178 rows: accuracy" in run("evaluate", "model.safetensors", "wine.csv").stdout
    result = run("diagnose", "model.safetensors", "wine.csv", "--output", "d.png")
    assert result.exit_code == 0, result.output
    assert "verdict:" in result.stdout
    assert json.loads(run("diagnose", "model.safetensors", "wine.csv", "--json").stdout)["examples"] == 178
    for words in (
        ["--what", "curves"],
        ["--what", "metrics"],
        ["--what", "weights"],
        ["wine.csv", "--what", "confusion"],
    ):
        result = run("plot", "model.safetensors", *words)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"saved: {words[-1]}.png\n"
        assert Path(f"{words[-1]}.png").stat().st_size > 5_000
    assert json.loads(run("plot", "model.safetensors", "--json", "--output", "c.svg").stdout)["picture"] == "c.svg"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("evaluate model.safetensors other.csv", 2, "there is no column 'target'"),
        ("evaluate model.safetensors strange.csv", 1, "holds 'class_9', which is no class of this model"),
        ("plot model.safetensors --what curve", 2, "unknown plot 'curve', did you mean 'curves'"),
        ("plot model.safetensors --what confusion", 2, "--what confusion needs a TABLE with the target"),
        ("plot model.safetensors wine.csv", 2, "--what curves takes no TABLE"),
        ("plot model.safetensors --output c.nonsense", 1, "Format 'nonsense' is not supported"),
        ("diagnose model.safetensors", 2, "Missing argument 'TABLE'"),
        ("evalute model.safetensors", 2, "Did you mean 'evaluate'"),
    ],
)
def test_errors_of_the_other_commands(
    words: str, code: int, message: str, wine: Any, run: CommandLine, tmp_path: Path
) -> None:
    wine.drop("target").write_csv("other.csv")
    wine.with_columns(target=pl.lit("class_9")).write_csv("strange.csv")
    before = sorted(tmp_path.iterdir())
    result = run(*words.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in plain(result.stderr)
    assert sorted(tmp_path.iterdir()) == before


def test_json_is_alone_on_stdout(wine: Any, run: CommandLine) -> None:
    for words in (
        "train wine.csv --target target --hidden 16 --epochs 1",
        "predict model.safetensors wine.csv",
        "evaluate model.safetensors",
        "devices",
    ):
        result = run(*words.split(), "--json")
        assert result.exit_code == 0
        assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "diagnose", "plot", "devices", "bench"])
def test_help_of_every_command_has_examples(command: str, run: CommandLine) -> None:
    text = run(command, "--help").stdout
    assert "Examples:" in text
    assert f"dlarray {command}" in text
    for option in ("--json", "--debug"):
        assert option in text


def test_debug_shows_the_traceback(run: CommandLine) -> None:
    with pytest.raises(FileNotFoundError):
        run("train", "absent.csv", "--target", "y", "--debug")


def test_the_version_is_printed(run: CommandLine) -> None:
    assert run("--version").stdout == f"dlarray {dl.__version__}\n"


# Unusable tables: the exit code, a message on stderr, no files

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
    "a name twice": ("t.csv", "x,y,x\n1,2,3\n", "--target y", 1, "duplicate names in the first line, 'x'"),
    "a spreadsheet": ("t.xlsx", b"PK", "--target y", 1, "t.xlsx is a spreadsheet: save it as CSV there"),
    "an unknown kind of file": ("t.dat", "x,y\n1,2\n", "--target y", 1, "tables are read from .csv"),
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
        ("folder", "Is a directory: 'folder'", 1),
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
        "classification of sort, 2 classes (gut, sch;lecht) (text; for regression, use --task regression)",
        "id dropped looks like an identifier: a different integer in every row",
        "größe number 1",
        "huge number 1",
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


# The output on the documentation's page is true


def test_the_output_on_the_page_is_true(run: CommandLine) -> None:
    """Its Python runs, and each command prints what the page shows: numbers to 1 %, times excluded."""
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    commands = 0
    for kind, block in re.findall(r"^```(python|console)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if kind == "python":
            exec(block, namespace)
            continue
        for message in re.split(r"^\$ dlarray ", block, flags=re.MULTILINE)[1:]:
            words, _, expected = message.partition("\n")
            result = run(*words.split())
            found = (result.stdout + result.stderr).splitlines()
            assert len(found) == len(expected.splitlines()), words
            for mine, theirs in zip(found, expected.splitlines(), strict=True):
                same(mine, theirs)
            commands += 1
    assert commands >= 6


def same(found: str, expected: str) -> None:
    number = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    found, expected = (re.sub(r"[\d.]+ s\b", "", text) for text in (found, expected))
    assert re.split(number, found) == re.split(number, expected)
    numbers = [[float(n) for n in re.findall(number, text)] for text in (found, expected)]
    np.testing.assert_allclose(*numbers, rtol=0.01)
