"""Each example runs as a reader would run it, draws its picture, and finds what it says it finds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from dlarray import Activation
from dlarray.core.registry import classes
from dlarray.testing.expectations import read
from dlarray.testing.suite import all_checks
from tests.support.process import python

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(script: Path, folder: Path, *arguments: str, **variables: str) -> str:
    """What the example prints; a warning is an error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DLARRAY")}
    environment |= {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends"))),
        "MPLBACKEND": "Agg",
        **variables,
    }
    command = [sys.executable, "-W", "error", str(script), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def perceptron(text: str) -> None:
    verdicts = dict(re.findall(r"^(AND|OR|XOR): (learnt|not learnt)", text, re.MULTILINE))
    assert verdicts == {"AND": "learnt", "OR": "learnt", "XOR": "not learnt"}
    assert re.search(r"^XOR: not learnt, loss 0\.693", text, re.MULTILINE)  # log 2: no better than a coin


def xor(text: str) -> None:
    assert "4 of 4 right with 9 parameters" in text
    found = [int(n) for n in re.findall(r"hidden nodes: (\d+) of 10", text)]
    assert len(found) == 3
    assert found == sorted(found)
    assert found[-1] == 10


def activations(text: str) -> None:
    rows = {
        name: (float(top), float(left))
        for name, top, left in re.findall(r"^(\w+) +-?[\d.]+ to -?[\d.]+ +([\d.]+) +\S+ +(-?[\d.]+)$", text, re.M)
    }
    ours = {name for name, kind in classes(Activation).items() if kind.__module__.startswith("dlarray.")}  # no test's
    assert rows.keys() == ours
    assert rows["sigmoid"][0] == 0.25
    assert rows["tanh"][0] == 1
    assert rows["relu"][1] == 0
    assert rows["leaky_relu"][1] == 0.01


def descent(text: str) -> None:
    above = {
        name.strip(): float(loss) for name, loss in re.findall(r"^(.+?) +60 steps.*loss ([\d.]+) above", text, re.M)
    }
    assert len(above) == 6
    assert all(loss < 0.1 for loss in above.values())
    assert above["stochastic"] == max(above.values())
    assert above["mini-batch of 20"] < 2 * above["batch"]  # for a tenth of the work
    assert max(above["momentum 0.9"], above["Adagrad"], above["Adam"]) < above["batch"]


def initialisation(text: str) -> None:
    lines = [line for line in text.splitlines() if line.endswith("%")]
    rows = {line[:10].strip(): [float(word.rstrip("%")) for word in line[10:].split()] for line in lines}
    gradient, accuracy = ({name: row[i] for name, row in rows.items()} for i in (2, 3))
    assert gradient["too small"] < 1e-10 < 1e-3 < gradient["He"] < 1 < 100 < gradient["too large"]
    assert min(accuracy["He"], accuracy["Glorot"]) > 90
    assert max(accuracy["too small"], accuracy["too large"], accuracy["equal"]) < 75
    inputs_apart = float(re.search(r"two inputs are up to ([\d.]+)", text)[1])
    nodes_apart = float(re.search(r"at most ([\d.e+-]+):", text)[1])
    assert nodes_apart < 1e-5 < 1e-2 < inputs_apart


def losses(text: str) -> None:
    away = {name.strip(): float(d) for name, d in re.findall(r"^(.+?) +ŷ = .* on average ([\d.]+) away", text, re.M)}
    assert away["MSE"] > 2
    assert away["MAE"] < away["Huber, δ = 1"] < away["log-cosh"] < 1


def custom_activation(text: str) -> None:
    assert float(re.search(r"at most ([\d.e-]+) apart", text)[1]) < 1e-8
    away = {name: float(d) for name, d in re.findall(r"^(\w+) +is on average ([\d.]+)", text, re.M)}
    assert away["snake"] < 0.1 < 0.3 < min(away["relu"], away["tanh"])


def custom_backend(text: str) -> None:
    assert "mynumpy:cpu" in text
    assert "the largest difference 0.0" in text
    counts = {int(layers): int(n) for layers, n in re.findall(r"^(\d) layers: (\d+) matrix products", text, re.M)}
    assert counts == {layers: 3 * layers - 1 for layers in range(1, 7)}


def early_stopping(text: str) -> None:
    assert "resumed: the same bits" in text
    epochs, best = (int(re.search(rf"{words} (\d+)", text)[1]) for words in ("stopped after", "best epoch"))
    assert epochs == best + 10
    assert float(re.search(r"accuracy ([\d.]+)%", text)[1]) > 95


def flights(text: str) -> None:
    assert "336,776 flights in 12 files" in text
    assert re.search(r"^read in blocks: .* 100 MB may be used, as requested; \d+ of \d+ blocks at a time$", text, re.M)
    errors = {name: float(e) for name, e in re.findall(r"^(whole|in blocks|partial_fit) .*error +([\d.]+)", text, re.M)}
    assert len(errors) == 3
    assert all(error < 20 for error in errors.values())  # the mean delay's is 26 minutes


def problems(text: str) -> None:
    rows = re.findall(r"^(.{20}) (.{34}) +([\d.]+)%$", text, re.M)
    verdicts = {name.strip(): verdict.strip() for name, verdict, _ in rows}
    assert verdicts == {
        "ReLU, He's weights": "healthy",
        "sigmoid": "vanishing",
        "weights too large": "exploding",
        "biases of -10": "dying",
        "tanh, biases of 5": "saturated",
        "all weights equal": "equal weights",
        "rate of 1e-7": "steps too small",
        "rate of 10": "steps too large",
    }
    accuracy = {name.strip(): float(share) for name, _, share in rows}
    assert accuracy.pop("ReLU, He's weights") > 85
    assert max(accuracy.values()) < 70
    assert "verdict: dying" in text
    assert "leaky or parametrised ReLU" in text


def digits(text: str) -> None:
    assert float(re.search(r"test accuracy: ([\d.]+)", text)[1]) >= 97.5


def text(text: str) -> None:
    columns, share = re.search(r"libraries, (\d+) words, ([\d.]+) % of them", text).groups()
    assert int(columns) > 2000
    assert float(share) < 3
    right = {name.strip(): float(share) for name, share in re.findall(r"^(.+?) +([\d.]+) % right", text, re.M)}
    assert right["the most frequent"] < 40 < 85 < right["perceptron, adam"]
    assert right["perceptron, adam"] > right["perceptron, sgd"]
    assert right["perceptron, adam"] > right["logistic regression"] - 2
    assert text.rstrip().endswith("a new sentence: matplotlib")


@pytest.mark.slow
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    pytest.importorskip("sklearn")
    text = run(script, tmp_path)
    globals()[script.stem](text)
    picture = image.imread(tmp_path / f"{script.stem}.png")
    height, width = picture.shape[:2]
    assert height >= 400
    assert width >= 900
    assert np.std(picture[..., :3]) > 0.05  # something is drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perceptron", "descent"])
def test_an_example_says_the_same_on_another_device_and_draws_to_the_path_given(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("array_api_strict")
    script = ROOT / "examples" / f"{name}.py"
    here, there = run(script, tmp_path, "here.png"), run(script, tmp_path, "there.png", DLARRAY_DEVICE="strict")
    assert here == there
    assert {path.name for path in tmp_path.iterdir()} == {"here.png", "there.png"}


def test_the_third_party_package_announces_its_backend_and_lists_checks_that_exist() -> None:
    folder = ROOT / "examples" / "dlarray-mparray"
    about = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert about["entry-points"]["dlarray.backends"] == {"mparray": "dlarray_mparray"}
    assert (folder / about["readme"]["file"]).is_file()
    script = f"import sys; sys.path.insert(0, {str(folder)!r}); from dlarray_mparray import backend; print(backend)"
    assert python(script) == "<backend mparray>"
    assert len(read(folder / "dlarray_mparray" / "mparray.xfails", all_checks())) == 10
