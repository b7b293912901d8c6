"""The options of ``dlarray train`` for tables, what it shows before and after, and Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command_line import CommandLine, plain
from tests.support.process import ROOT
from tests.support.terminal import on_terminal

pytest.importorskip("typer")
pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.cli.options import class_weights, duration  # noqa: E402
from dlarray.cli.output import UsageError  # noqa: E402

N = 200
SHORT = ("--hidden", "8", "--epochs", "4", "--seeds", "1", "--device", "cpu")


@pytest.fixture
def shop(run: CommandLine) -> Any:
    own = np.random.default_rng(7)
    price = own.normal(10, 3, N)
    frame = pl.DataFrame(
        {
            "order_id": np.arange(N) + 1,
            "customer": own.integers(0, 25, N),
            "day": [f"2020-03-{int(d):02d}" for d in own.integers(1, 29, N)],
            "price": price,
            "kind": own.choice(["toy", "book"], N),
            "back": np.where(price + own.normal(0, 1.5, N) > 10, "yes", "no"),
            "spent": 2 * price + own.normal(0, 0.5, N),
        }
    )
    frame.write_csv("shop.csv")
    return frame


def found(run: CommandLine, *words: str) -> dict[str, Any]:
    result = run("train", "shop.csv", "--target", "back", *SHORT, *words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_dry_run_shows_all_and_trains_and_saves_nothing(
    shop: Any, run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a dry run must not train")

    monkeypatch.setattr(tables.Prepared, "train", refuse)
    result = run("train", "shop.csv", "--target", "back", "--dry-run", "--max-time", "2m")
    assert result.exit_code == 0, result.stderr
    for message in (
        "task:       classification of back, 2 classes: no, yes (text)",
        "in every row; to use it: --keep order_id",
        "rows:       160 for training, 40 for validation, stratified by class, seed 0",
        "network:    ",
        "time limit: 120 s",
        "dry run:    nothing has been trained or saved",
    ):
        assert message in result.stdout, message
    as_json = run("train", "shop.csv", "--target", "back", "--dry-run", "--json")
    data = json.loads(as_json.stdout)
    assert data["task"] == "classification"
    assert data["rows"] == {"training": 160, "validation": 40}
    assert [entry["name"] for entry in data["dropped"]] == ["order_id"]
    assert {entry["name"] for entry in data["columns"]} == {"customer", "day", "price", "kind", "spent"}
    assert data["plan"]["rows"].startswith("160 for training")
    assert "metrics" not in data
    assert "model" not in data
    assert [path.name for path in tmp_path.iterdir()] == ["shop.csv"]


def test_the_report_has_a_linear_model_classes_and_importance(shop: Any, run: CommandLine) -> None:
    result = run("train", "shop.csv", "--target", "back", "--drop", "spent", *SHORT)
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    head, rest = text.split("trained:    4 epochs in ")
    assert "network:    " in head
    assert re.search(r"^validation, 40 rows +accuracy +balanced accuracy +log loss +AUC$", rest, re.MULTILINE)
    for row in ("this model", "linear model", "guess: the class frequencies"):
        assert re.search(rf"^{row} +[\d.]+% +[\d.]+% +[\d.]+ +[\d.]+$", rest, re.MULTILINE), row
    assert re.search(r"^yes +\d+ +[\d.]+% +[\d.]+%$", rest, re.MULTILINE)
    assert re.search(r"^log loss grows by, if a column is shuffled:\nprice +[\d.]+ +█{24}$", rest, re.MULTILINE)
    numbers = run("train", "shop.csv", "--target", "spent", "--drop", "price", *SHORT).stdout
    assert re.search(r"^quantile +5% +25% +50% +75% +95%$", numbers, re.MULTILINE)
    assert re.search(r"^prediction - truth( +-?[\d.]+){5}$", numbers, re.MULTILINE)
    assert "guess: the mean " in numbers
    assert "R² falls by, if a column is shuffled:" in numbers


def test_nothing_wraps_within_an_option_at_80_columns(shop: Any, tmp_path: Path) -> None:
    pytest.importorskip("pty")
    long = "the id of an order"
    shop.rename({"order_id": long}).write_csv("shop.csv")
    code = "from dlarray.cli import app; app()"
    text = on_terminal(code, 80, "train", "shop.csv", "--target", "back", *SHORT, folder=tmp_path)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in re.split(r"[\r\n]+", text)]
    assert [line for line in lines if f"--keep '{long}'" in line]
    for line in lines:
        assert len(line) <= 80 or line.startswith("next:"), line
    (command,) = [line for line in lines if line.startswith("next:")]
    assert command.endswith("dlarray predict model.safetensors NEW.csv --output predictions.csv")
    assert [line for line in lines if re.search(r"^epoch 4/4: loss .*accuracy [.\d]+, 00:0", line)]


def test_a_leak_is_a_remark(shop: Any, run: CommandLine) -> None:
    shop.with_columns(code=pl.col("back").replace_strict({"yes": 7, "no": 8})).write_csv("shop.csv")
    result = run("train", "shop.csv", "--target", "back", *SHORT)
    assert "remark:     the column 'code' alone predicts 'back' almost exactly." in result.stdout
    assert "leave it out with --drop code\n" in result.stdout


def test_features_are_the_only_columns_used(shop: Any, run: CommandLine) -> None:
    data = found(run, "--features", "price,kind")
    assert [entry["name"] for entry in data["columns"]] == ["price", "kind"]
    assert {entry["reason"] for entry in data["dropped"]} == {"not among the features"}


def test_a_group_or_a_time_splits_the_rows(shop: Any, run: CommandLine) -> None:
    data = found(run, "--group", "customer", "--validation", "0.3")
    assert "whole groups of 'customer', seed 0" in data["plan"]["rows"]
    assert {"name": "customer", "reason": "splits the rows"} in data["dropped"]
    data = found(run, "--time", "day")
    assert "the latest by 'day'" in data["plan"]["rows"]
    result = run("train", "shop.csv", "--target", "back", "--time", "day", "--group", "customer")
    assert result.exit_code == 2
    assert "by group or by time, not both" in result.stderr


def test_folds_give_means_and_deviations(shop: Any, run: CommandLine) -> None:
    result = run("train", "shop.csv", "--target", "back", "--folds", "3", *SHORT)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"^cross-validation, 200 rows +accuracy ", result.stdout, re.MULTILINE)
    assert re.search(r"^± between parts +[\d.]+% +[\d.]+% +[\d.]+ +[\d.]+$", result.stdout, re.MULTILINE)
    assert run("train", "shop.csv", "--target", "back", "--folds", "1").exit_code == 2


def test_a_second_file_measures_the_model(shop: Any, run: CommandLine) -> None:
    shop.head(50).write_csv("test.csv")
    data = found(run, "--test", "test.csv")
    assert (data["measured_on"], data["rows_measured"]) == ("test", 50)
    assert data["metrics"] == json.loads(run("evaluate", "model.safetensors", "test.csv", "--json").stdout)["metrics"]
    same = run("train", "shop.csv", "--target", "back", "--test", "./shop.csv", "--dry-run")
    assert "note: the test file is the training file: the model learns from the rows on which it is" in same.stderr
    missing = run("train", "shop.csv", "--target", "back", "--test", "absent.csv")
    assert (missing.exit_code, missing.stdout.count("trained:")) == (1, 0)
    assert "No such file or directory: 'absent.csv'" in missing.stderr


def test_weights_and_thresholds_move_the_decision(shop: Any, run: CommandLine) -> None:
    def predicted(*words: str) -> int:
        found(run, *words, "--epochs", "15")
        return run("predict", "model.safetensors", "shop.csv").stdout.count("\nyes,")

    usual = predicted()
    assert predicted("--threshold", "0.9") < usual < predicted("--threshold", "0.1")
    assert predicted("--class-weight", "no=30") < usual < predicted("--class-weight", "yes=30, no=1")
    balanced = found(run, "--class-weight", "balanced")
    assert balanced["metrics"] == found(run, "--balanced")["metrics"]
    for words, code, message in (
        (("--class-weight", "yess=2"), 1, "did you mean 'yes'"),
        (("--class-weight", "yes"), 2, "--class-weight takes balanced or weights such as yes=3,no=1, got 'yes'"),
        (("--class-weight", "yes=2", "--balanced"), 2, "--balanced is --class-weight balanced: give one of them"),
        (("--threshold", "1.5"), 1, "threshold must lie"),
        (("--max-time", "soon"), 2, "--max-time takes a time such as 30s, 5m or 1h, got 'soon'"),
        (("--seeds", "0"), 2, "seeds must be at least 1"),
        (("--jobs", "0"), 2, "jobs must be at least 1"),
    ):
        result = run("train", "shop.csv", "--target", "back", *words)
        assert (result.exit_code, message in plain(result.stderr)) == (code, True), (words, result.stderr)


def test_times_and_weights_are_read_from_text() -> None:
    assert [duration(text) for text in ("30s", "5m", "1h", "90", "1.5 m")] == [30, 300, 3600, 90, 90]
    assert class_weights("a=1,b=2.5") == {"a": 1.0, "b": 2.5}
    assert class_weights("x=y=2") == {"x=y": 2.0}
    assert class_weights("balanced") == "balanced"
    assert class_weights(None) is None
    for text in ("0s", "m", "-3s", "3d"):
        with pytest.raises(UsageError, match="--max-time takes a time"):
            duration(text)
    for text in ("a", "=2", "a=b", ""):
        with pytest.raises(UsageError, match="--class-weight takes"):
            class_weights(text)


def test_early_stopping_and_time_limits_end_the_training(shop: Any, run: CommandLine) -> None:
    words = ("train", "shop.csv", "--target", "back", "--json", "--hidden", "8", "--seeds", "1", "--epochs", "400")
    stopped = json.loads(run(*words, "--early-stopping", "--learning-rate", "0.05").stdout)
    assert stopped["epochs"] < 400
    whole = json.loads(run(*words, "--no-early-stopping", "--learning-rate", "0.05").stdout)
    assert (whole["epochs"], whole["stopped"]) == (400, "")
    limited = json.loads(run(*words[:-1], "1000000", "--no-early-stopping", "--max-time", "0.3s").stdout)
    assert limited["stopped"].startswith("time limit: 0.")


def test_seeds_are_networks_that_are_averaged(shop: Any, run: CommandLine) -> None:
    one, three = (found(run, "--seeds", seeds)["network"]["parameters"] for seeds in ("1", "3"))
    assert three > 2 * one


@pytest.mark.slow
def test_jobs_are_processes_that_give_the_same_model(shop: Any, run: CommandLine) -> None:
    pytest.importorskip("joblib")
    alone, two = (found(run, "--seeds", "2", "--folds", "2", "--jobs", jobs) for jobs in ("1", "2"))
    assert two["metrics"] == alone["metrics"]
    assert two["importance"] == alone["importance"]
    assert two["plan"]["jobs"] == "2 workers train networks or folds at the same time"


def test_a_picture_shows_predictions_beside_the_truth(shop: Any, run: CommandLine) -> None:
    assert found(run, "--plot", "confusion.png")["picture"] == "confusion.png"
    result = run("train", "shop.csv", "--target", "spent", *SHORT, "--plot", "truth.svg")
    assert "picture:    truth.svg" in result.stdout
    assert Path("confusion.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path("truth.svg").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--plot x.xyz", 2, "a picture is a file such as .png, .svg or .pdf, got 'x.xyz'"),
        ("--plot no/x.png", 1, "no such folder: 'no'"),
        ("--plot shop", 2, "'shop' is a file that this command reads: give another file for the output"),
        ("--test t.safetensors --output t.safetensors", 2, "'t.safetensors' is a file that this command reads"),
        ("--folds 201", 1, "201 folds need at least 201 rows, got 200"),
        ("--folds 40 --time day", 1, "40 folds by time need at least 41 different times, got 28"),
        ("--folds 3 --test t.safetensors", 2, "give folds or test, not both"),
        ("--group back", 2, "the target 'back' cannot be the group"),
        ("--time back", 2, "the target 'back' cannot be the time"),
        ("--features price,kind --drop kind", 2, "the column 'kind' is among features and among drop: remove it from"),
        ("--keep kind --drop kind", 2, "the column 'kind' is among keep and among drop: remove it from one of them"),
        ("--features price --keep kind", 2, "the column 'kind' is among keep and not among features"),
    ],
)
def test_what_cannot_be_done_is_an_error_before_the_training(
    words: str, code: int, message: str, shop: Any, run: CommandLine, tmp_path: Path
) -> None:
    shop.write_csv("shop")
    shop.head(20).write_csv("t.safetensors")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("train", "shop", "--target", "back", "--dry-run", *words.split())
    assert result.exit_code == code, result.output
    assert message in plain(result.stderr)
    assert "dry run" not in result.stdout
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_digits_take_no_options_of_tables(run: CommandLine) -> None:
    result = run("train", "digits", "--folds", "3", "--dry-run", "--epochs", "2")
    assert result.exit_code == 2
    assert "the digits have a fixed target and split: remove --folds, --dry-run" in plain(result.stderr)


# Ctrl-C


def interrupted(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a training that is interrupted in its first minute, once epochs have passed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DLARRAY")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends"))), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "dlarray", "train", "shop.csv", "--target", "back", *words]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True) as process:
        shown = process.stderr if "--json" in words else process.stdout
        assert shown is not None
        head = ""
        while "network:" not in head:
            head += shown.readline()
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent to a process")
def test_an_interrupt_saves_the_best_model_so_far(shop: Any, run: CommandLine, tmp_path: Path) -> None:
    endless = ("--hidden", "8", "--seeds", "1", "--epochs", "1000000", "--no-early-stopping")
    code, text, errors = interrupted(tmp_path, *endless)
    assert code == 130, errors
    assert "note: the training was interrupted: the model is the best one so far" in errors
    assert "Traceback" not in errors
    epochs = int(re.findall(r"trained: +([\d,]+) epochs", text)[0].replace(",", ""))
    assert 0 < epochs < 1000000
    assert "this model" in text
    assert "saved:      model.safetensors" in text
    model = tables.load("model.safetensors", "cpu")
    assert len(model.trained.history.epochs) == epochs
    assert model.predict("shop.csv").height == N
    code, text, _ = interrupted(tmp_path, *endless, "--json")
    assert code == 130
    assert json.loads(text)["interrupted"] is True


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent to a process")
def test_an_interrupt_of_the_folds_alone_says_so(shop: Any, run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(tables.Prepared, "_fold", interrupt)
    result = run("train", "shop.csv", "--target", "back", "--folds", "3", *SHORT)
    assert result.exit_code == 130, result.output
    assert "note: the cross-validation was interrupted: the model is complete, and not measured by it" in result.stderr
    assert "best one so far" not in result.stderr
    assert Path("model.safetensors").exists()


def test_an_interrupt_without_a_model_is_one_line(shop: Any, run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "prepare", interrupt)
    result = run("train", "shop.csv", "--target", "back")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("imported", ["typer", "dlarray.cli"])
def test_an_interrupt_while_libraries_are_imported_is_one_line(imported: str) -> None:
    """The import of a library, and what dlarray imports by itself, end as Ctrl-C would end them."""
    code = f"""
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {imported!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from dlarray.__main__ import main
main()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends")))}
    done = subprocess.run(
        [sys.executable, "-c", code, "devices"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
