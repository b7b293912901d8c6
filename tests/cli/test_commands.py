"""``dlarray evaluate``, ``diagnose`` and ``plot``, options of every command, and the page of the documentation."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import plot, tables
from tests.support.command_line import CommandLine, plain
from tests.support.process import ROOT

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pl = pytest.importorskip("polars")


def test_evaluate_diagnose_and_plot_read_the_model(wine: Any, run: CommandLine) -> None:
    text = run("evaluate", "model.safetensors").stdout
    assert "task:       classification of target, 3 classes: class_0, class_1, class_2" in text
    assert re.search(r"^guess: the class frequencies +38.89% +33.33% +1.09 +0.500$", text, re.MULTILINE)
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


def test_weights_of_a_table_have_the_names_of_its_features(
    wine: Any, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plot, "save", lambda figure, path: drawn.append(figure))
    assert run("plot", "model.safetensors", "--what", "weights").exit_code == 0
    names = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels()]
    model = tables.load("model.safetensors", "cpu")
    features = model.preprocessing.features
    assert set(wine.drop("target").columns) < set(features)  # and pieces of them
    order = np.argsort(-np.linalg.norm(model.trained.parameters["0.W"], axis=1))
    for name, i in zip(names, order, strict=False):
        assert features[i].startswith(name.removesuffix("…"))  # long names are cut
    assert len(names) > 20


@pytest.mark.parametrize("command", ["evaluate", "predict", "diagnose"])
def test_a_network_without_a_table_is_refused_with_what_to_do(command: str, run: CommandLine) -> None:
    model = dl.mlp(2, 2)
    dl.fit(model, np.eye(2), np.arange(2), epochs=1, batch_size=2, progress=False).save("my digits.safetensors")
    result = run(command, "my digits.safetensors", "new.csv")
    assert result.exit_code == 1
    assert "In Python, dlarray.load('my digits.safetensors').predict(x) does" in result.stderr
    remedy = re.findall(r"`dlarray (.*?)`", result.stderr)[0]
    assert run(*shlex.split(remedy)).exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("evaluate model.safetensors other.csv", 2, "there is no column 'target'"),
        ("evaluate model.safetensors strange.csv", 1, "holds 'class_9', which is no class of this model"),
        ("plot model.safetensors --what curve", 2, "unknown plot 'curve', did you mean 'curves'"),
        ("plot model.safetensors --what confusion", 2, "--what confusion needs a TABLE with the target"),
        ("plot model.safetensors wine.csv", 2, "--what curves takes no TABLE"),
        (
            "plot model.safetensors --output c.nonsense",
            2,
            "a picture is a file such as .png, .svg or .pdf, got 'c.nonsense'",
        ),
        ("plot model.safetensors --output model", 2, "'model' is a file that this command reads"),
        (
            "diagnose model.safetensors wine.csv --output d.nonsense",
            2,
            "a picture is a file such as .png, .svg or .pdf",
        ),
        ("diagnose model.safetensors", 2, "Missing argument 'TABLE'"),
        ("evalute model.safetensors", 2, "Did you mean 'evaluate'"),
    ],
)
def test_errors_of_the_other_commands(
    words: str, code: int, message: str, wine: Any, run: CommandLine, tmp_path: Path
) -> None:
    wine.drop("target").write_csv("other.csv")
    wine.with_columns(target=pl.lit("class_9")).write_csv("strange.csv")
    Path("model").symlink_to("model.safetensors")
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


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "diagnose", "plot", "devices", "bench", "matrix"])
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


# The output on the documentation's page is true


@pytest.mark.slow
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
