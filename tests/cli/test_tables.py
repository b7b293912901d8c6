"""The command line on tables, as a newcomer meets it: a file to predictions in two commands, and what is refused."""

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
def cellar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of the wines."""
    folder = tmp_path_factory.mktemp("cellar")
    frame_of("wine").write_csv(folder / "wine.csv")
    words = f"train {folder / 'wine.csv'} --target target --hidden 16 --epochs 40 --device cpu --output {folder}"
    result = CliRunner().invoke(cli.app, words.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def wine(run: CommandLine, cellar: bytes) -> Any:
    """The wines in the folder, and a model of them."""
    frame = frame_of("wine")
    frame.write_csv("wine.csv")
    Path("model.safetensors").write_bytes(cellar)
    return frame


def plain(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


# A table to predictions in two commands


def test_a_newcomer_comes_from_a_table_to_predictions_in_two_commands(tmp_path: Path) -> None:
    """Real flights, in processes of their own: holes, categories, identifiers, dates; some come without their delay."""
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
    for told in (
        "table:      flights.csv, 3,368 rows, 19 columns",
        "regression of arr_delay: mean",
        " different values; --task classification overrules)",
        "constant: always 2013",
        "categories, one-hot",
        "days, scaled; sin and cos of the year; sin and cos of the week; sin and cos of the day",
        "for validation, at random, seed 0",
        "saved:      model.safetensors",
        "next:       dlarray predict model.safetensors NEW.csv --output predictions.csv",
    ):
        assert told in done.stdout, told
    assert "rows have no target 'arr_delay' and are left out" in done.stderr
    assert "Traceback" not in done.stderr
    r2 = {kind: float(re.findall(rf"{kind}: +R² ([-.\de]+)", done.stdout)[0]) for kind in ("validation", "baseline")}
    assert r2["validation"] > 0.8 > 0.1 > r2["baseline"]

    done = dlarray("predict", "model.safetensors", "new.csv", "--output", "predictions.csv", "--with", "flight")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "saved: predictions.csv, 337 predictions of arr_delay\n"
    predictions, flown = pl.read_csv(tmp_path / "predictions.csv"), tables.read(tmp_path / "new.csv")
    assert predictions.columns == ["flight", "prediction"]
    assert predictions["flight"].to_list() == flown["flight"].to_list()
    there = flown["arr_delay"].is_not_null()
    errors = (predictions["prediction"] - flown["arr_delay"]).filter(there)
    assert np.std(errors.to_numpy()) < 0.6 * np.std(flown["arr_delay"].filter(there).to_numpy())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "flights.csv",
        "model.safetensors",
        "new.csv",
        "predictions.csv",
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(("name", "least"), [("wine", 0.9), ("breast_cancer", 0.93), ("diabetes", 0.3)])
def test_real_tables_are_learnt_far_beyond_the_baseline(name: str, least: float, ending: str, run: CommandLine) -> None:
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


def test_the_same_words_in_python_are_three_lines(wine: Any, run: CommandLine) -> None:
    model = tables.train("wine.csv", "target", hidden=[16], epochs=40, progress=False)
    model.save("python.safetensors")
    assert Path("python.safetensors").read_bytes() == Path("model.safetensors").read_bytes()
    assert run("predict", "model.safetensors", "wine.csv").stdout == model.predict("wine.csv").write_csv()


# Predictions


def test_order_extra_columns_and_unknown_values_are_no_trouble_and_said(wine: Any, run: CommandLine) -> None:
    plainly = run("predict", "model.safetensors", "wine.csv")
    shuffled = wine.drop("target").select(reversed(wine.drop("target").columns)).with_columns(shop=pl.lit("north"))
    shuffled.write_parquet("new.parquet")
    result = run("predict", "model.safetensors", "new.parquet")
    assert (result.exit_code, result.stdout) == (0, plainly.stdout)
    assert result.stderr == "note: columns that training did not know are not used: 'shop'\n"
    wine.with_columns(
        ash=pl.when(pl.int_range(178) < 3).then(pl.lit("grey")).otherwise(pl.col("ash").cast(str))
    ).write_csv("new.csv")
    result = run("predict", "model.safetensors", "new.csv", "--output", "p.parquet")
    assert result.exit_code == 0
    assert "note: column 'ash': 3 values are no number, taken as missing" in result.stderr
    assert pl.read_parquet("p.parquet").columns == ["prediction", "p(class_0)", "p(class_1)", "p(class_2)"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("model.safetensors short.csv", 1, "lacks columns of the training: 'ash', 'hue'; it has 'ASH' instead"),
        ("model.safetensors absent.csv", 1, "No such file or directory"),
        ("model.safetensor wine.csv", 1, "No such file or directory: 'model.safetensor'"),
        ("wine.csv wine.csv", 1, "wine.csv is not a dlarray model"),
        ("network.safetensors wine.csv", 1, "no preprocessing of tables: it was not trained from a table"),
        ("model.safetensors wine.csv --with ashh", 2, "no column 'ashh', did you mean 'ash'"),
        ("model.safetensors wine.csv --output p.xlsx", 2, "predictions are written to .csv or .parquet files"),
        ("model.safetensors wine.csv --output no/p.csv", 1, "there is no such folder: 'no'"),
        ("model.safetensors wine.csv --outptu p.csv", 2, "No such option: --outptu"),
        ("model.safetensors", 2, "Missing argument 'TABLE'"),
        ("model.safetensors wine.csv --device cdua", 1, "did you mean 'cuda'"),
    ],
)
def test_predictions_that_cannot_be_made_leave_nothing(
    words: str, code: int, told: str, wine: Any, run: CommandLine, tmp_path: Path
) -> None:
    wine.drop("hue").rename({"ash": "ASH"}).write_csv("short.csv")
    x = np.zeros((4, 2))
    dl.fit(dl.mlp(2, 1), x, x[:, 0], epochs=1, batch_size=4, progress=False).save("network.safetensors")
    before = sorted(tmp_path.iterdir())
    result = run("predict", *words.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in plain(result.stderr)
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def shop(run: CommandLine) -> Any:
    """A table whose text is more than its values, and a model of it."""
    lines = ["ticket,price,prediction,y"]
    lines += [f'{10**24 + i},{i % 7}.50,"a ""b"", {i}",{"TRUE" if i % 2 else "False"}' for i in range(30)]
    Path("shop.csv").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    result = run("train", "shop.csv", "--target", "y", "--hidden", "4", "--epochs", "1", "--drop", "ticket,prediction")
    assert result.exit_code == 0, result.output
    return lines


def test_columns_beside_the_predictions_keep_the_file_s_text(shop: Any, run: CommandLine) -> None:
    words = ["predict", "model.safetensors", "shop.csv", "--with", "price", "--with", "ticket", "--with", "price,y"]
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    names, *lines = result.stdout.splitlines()
    assert names == "price,ticket,y,prediction,p(False),p(TRUE)"
    assert len(lines) == 30  # the blank line is none
    expected = [[line.split(",")[i] for i in (1, 0, -1)] for line in shop[1:]]
    assert [line.split(",")[:3] for line in lines] == expected
    assert {line.split(",")[3] for line in lines} <= {"False", "TRUE"}
    found = json.loads(run(*words, "--json").stdout)["predictions"]
    assert [[row["price"], row["ticket"], row["y"]] for row in found] == expected
    assert run(*words, "--output", "p.parquet").exit_code == 0
    assert pl.read_parquet("p.parquet")["ticket"].to_list() == [ticket for _, ticket, _ in expected]


@pytest.mark.parametrize("more", [(), ("--json",), ("--output", "p.csv")])
def test_a_column_of_the_predictions_name_is_refused_beside_them(
    more: tuple[str, ...], shop: Any, run: CommandLine
) -> None:
    result = run("predict", "model.safetensors", "shop.csv", "--with", "prediction", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the predictions have a column 'prediction' of their own; rename the table's" in plain(result.stderr)


def test_columns_of_every_type_stand_beside_the_predictions(shop: Any, run: CommandLine) -> None:
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


def test_evaluate_diagnose_and_plot_know_the_model(wine: Any, run: CommandLine) -> None:
    text = run("evaluate", "model.safetensors").stdout
    assert "classification of target: 3 classes (class_0, class_1, class_2)" in text
    assert "baseline: accuracy 38.89%" in text
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
    ("words", "code", "told"),
    [
        ("evaluate model.safetensors other.csv", 2, "there is no column 'target'"),
        ("evaluate model.safetensors strange.csv", 1, "holds 'class_9', which is no class of this model"),
        ("plot model.safetensors --what curve", 2, "unknown picture 'curve', did you mean 'curves'"),
        ("plot model.safetensors --what confusion", 2, "the confusion matrix needs a TABLE with the target"),
        ("plot model.safetensors wine.csv", 2, "curves needs no TABLE"),
        ("plot model.safetensors --output c.nonsense", 1, "Format 'nonsense' is not supported"),
        ("diagnose model.safetensors", 2, "Missing argument 'TABLE'"),
        ("evalute model.safetensors", 2, "Did you mean 'evaluate'"),
    ],
)
def test_what_the_other_commands_refuse(
    words: str, code: int, told: str, wine: Any, run: CommandLine, tmp_path: Path
) -> None:
    wine.drop("target").write_csv("other.csv")
    wine.with_columns(target=pl.lit("class_9")).write_csv("strange.csv")
    before = sorted(tmp_path.iterdir())
    result = run(*words.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in plain(result.stderr)
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


def test_a_traceback_is_shown_where_it_is_asked_for(run: CommandLine) -> None:
    with pytest.raises(FileNotFoundError):
        run("train", "absent.csv", "--target", "y", "--debug")


def test_the_version_is_told(run: CommandLine) -> None:
    assert run("--version").stdout == f"dlarray {dl.__version__}\n"


# Tables that cannot be learnt from: the exit code, words on stderr, nothing written

REFUSED: dict[str, tuple[str, str | bytes, str, int, str]] = {
    "empty": ("t.csv", "", "--target y", 1, "t.csv is empty"),
    "no rows": ("t.csv", "x,y\n", "--target y", 1, "has names of columns and no rows"),
    "one column": ("t.csv", "y\n1\n2\n", "--target y", 1, "has the column 'y' alone"),
    "no target": (
        "t.csv",
        "x,y\n1,2\n",
        "",
        2,
        "--target says which column is to be told from the others; t.csv has x, y",
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
    "a name twice": ("t.csv", "x,y,x\n1,2,3\n", "--target y", 1, "the names 'x' stand twice"),
    "a spreadsheet": ("t.xlsx", b"PK", "--target y", 1, "t.xlsx is a spreadsheet: save it as CSV there"),
    "an unknown kind of file": ("t.dat", "x,y\n1,2\n", "--target y", 1, "tables are read from .csv"),
    "a bad task": ("t.csv", "x,y\n1,2\n", "--target y --task regresion", 2, "did you mean 'regression'"),
    "a bad share": ("t.csv", "x,y\n1,2\n", "--target y --validation 1", 2, "validation must lie in [0, 1)"),
    "a bad activation": ("t.csv", "x,y\n1,2\n", "--target y --activation rely", 2, "did you mean 'relu'"),
    "text for regression": ("t.csv", "x,y\n1,a\n2,b\n", "--target y --task regression", 1, "regression needs numbers"),
    "output below a file": ("t.csv", "x,y\n1,2\n2,3\n", "--target y --output t.csv/m", 1, "Not a directory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learnt_is_refused_in_a_line(case: str, run: CommandLine, tmp_path: Path) -> None:
    name, text, options, code, told = REFUSED[case]
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("train", name, *options.split(), "--json")
    assert (result.exit_code, result.stdout) == (code, ""), result.stderr
    assert told in plain(result.stderr)
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_folder_and_names_that_are_not_there_are_refused(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for what, told, code in (
        ("folder", "Is a directory: 'folder'", 1),
        ("absent.csv", "No such file or directory: 'absent.csv'", 1),
        ("digit", "there is no file or data set 'digit', did you mean 'digits'?", 2),
    ):
        result = run("train", what, "--target", "y")
        assert (result.exit_code, result.stdout) == (code, "")
        assert told in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    (tmp_path / "t.csv").chmod(0)
    result = run("train", "t.csv", "--target", "y")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Permission denied: 't.csv'" in result.stderr


# Tables that are odd and can be learnt from


def test_odd_tables_are_learnt_and_what_is_odd_is_said(run: CommandLine) -> None:
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
    for told in (
        "classification of sort: 2 classes (gut, sch;lecht) (text; --task regression overrules)",
        "id left out looks like an identifier: every row has a number of its own",
        "größe number 1",
        "huge number 1",
        "void left out empty: every value is missing",
        "flag boolean 1 0 and 1",
        "name left out looks like an identifier",
        "for validation, stratified by class, seed 0",
    ):
        assert told in text, told
    for told in (
        "note: 1 of 61 rows have no target 'sort' and are left out",
        "note: column 'wild': 1 value is infinite, taken as missing",
        "note: classes are imbalanced: 'gut' has 55 rows, 'sch;lecht' 5",
    ):
        assert told in result.stderr, told
    assert run("predict", "model.safetensors", "odd.csv").stdout.splitlines()[0] == "prediction,p(gut),p(sch;lecht)"


# The page of the documentation shows what is really told


def test_the_page_of_the_command_line_is_true(run: CommandLine) -> None:
    """Its Python is run, and each of its commands must say what stands below it; times aside, figures to 1 %."""
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    commands = 0
    for kind, block in re.findall(r"^```(python|console)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if kind == "python":
            exec(block, namespace)
            continue
        for told in re.split(r"^\$ dlarray ", block, flags=re.MULTILINE)[1:]:
            words, _, expected = told.partition("\n")
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
