"""The command line on the digits: options, devices, files, output and errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.registry import classes
from dlarray.device import backend
from tests.support.command_line import CommandLine, in_folder
from tests.support.process import ROOT, python

pytest.importorskip("typer")
pytest.importorskip("sklearn")
matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from typer.testing import CliRunner  # noqa: E402

from dlarray import cli, datasets, plot  # noqa: E402


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return in_folder(tmp_path, monkeypatch)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dl.Trained]:
    """The models that ``dlarray.fit`` returned to the command line."""
    found: list[dl.Trained] = []
    fit = dl.fit

    def spy(*args: Any, **options: Any) -> dl.Trained:
        found.append(fit(*args, **options))
        return found[-1]

    monkeypatch.setattr(dl, "fit", spy)
    return found


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take longer than an epoch, and test_plot looks at them."""
    monkeypatch.setattr(plot, "training_report", lambda *_, **__: None)
    monkeypatch.setattr(plot, "save", lambda _, path: Path(path).touch())


def builtin(kind: type) -> list[str]:
    """dlarray's classes of this kind, without those of other tests."""
    return [name for name, cls in classes(kind).items() if cls.__module__.startswith("dlarray.")]


# Training on the digits


def test_the_defaults_train_on_the_digits_and_save_a_model_and_a_picture(
    run: CommandLine, runs: list[dl.Trained], tmp_path: Path
) -> None:
    result = run("train", "digits")
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith("device: cpu\nMLP of 64 inputs\n")
    for words in ("Dense(256)", "ReLU()", "Dense(10)", "W 64×256, b 256", "19,210 parameters"):
        assert words in text
    assert "saved:         digits.safetensors, digits.png" in text
    assert {path.name for path in tmp_path.iterdir()} == {"digits.safetensors", "digits.png"}
    assert plot.pyplot().imread("digits.png").shape[:2] == (792, 1200)

    data = datasets.digits(0)
    loaded = dl.load("digits.safetensors", "cpu")
    accuracy = float(np.mean(loaded.classify(data.x_test) == data.y_test))
    assert accuracy >= 0.975
    assert f"test accuracy: {accuracy:.2%} of 359 digits" in text
    metrics = loaded.evaluate(data.x_test, data.y_test)
    assert f"{runs[0].history['loss'][-1]:.6g} in training, {metrics['loss']:.6g} in the test" in text
    np.testing.assert_array_equal(loaded.theta[0], runs[0].theta[0])


def test_the_example_is_the_same_as_the_command(run: CommandLine, tmp_path: Path) -> None:
    """In separate processes, ``python -m dlarray`` and the example file write the same bytes."""
    folders = [tmp_path / "command", tmp_path / "example"]
    outputs: list[str] = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DLARRAY")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends"))), "MPLBACKEND": "Agg"}
    for folder, words in zip(
        folders, (["-m", "dlarray", "train", "digits"], [str(ROOT / "examples" / "digits.py")]), strict=True
    ):
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-W", "error", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "a progress bar is for terminals"
        outputs.append(done.stdout)
    models = [(folder / "digits.safetensors").read_bytes() for folder in folders]
    assert models[0] == models[1]
    assert all((folder / "digits.png").stat().st_size > 50_000 for folder in folders)
    accuracy = [re.findall(r"test accuracy: .*", text) for text in outputs]
    assert accuracy[0] == accuracy[1] != []
    assert outputs[0].startswith("device: cpu\n")


# In float32 two libraries differ by 1e-7 in the first step's loss. In 1,350 steps the measured difference grew to 2e-5
# in the loss of one batch and to 1.3e-6 in an epoch's mean (torch and JAX on one x86 CPU); float32 and float64 of the
# same library differ by 1.3e-5. strict computes with NumPy, so its bits must be equal. The reference is NumPy with
# eager steps; "cpu" is NumPy with planned steps, whose last digits differ if Numba runs the kernels.
ROUNDING = {"cpu": 1e-5, "torch": 1e-5, "jax": 1e-5, "strict": 0.0}
REFERENCE: list[dl.Trained] = []


@pytest.mark.parametrize("device", ROUNDING)
def test_another_device_ends_with_numpy_s_losses(
    device: str, run: CommandLine, runs: list[dl.Trained], no_picture: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"cpu": "numpy", "strict": "array_api_strict"}.get(device, device))
    if not REFERENCE:
        with monkeypatch.context() as patch:
            patch.setattr(type(backend.get("numpy")), "compiles", False)
            assert run("train", "digits", "--device", "cpu").exit_code == 0
        REFERENCE.append(runs.pop())
    result = run("train", "digits", DLARRAY_DEVICE=device)
    assert result.exit_code == 0
    found, expected = runs[0].history, REFERENCE[0].history
    assert result.stdout.startswith(f"device: {runs[0].device}\n")
    assert runs[0].device.backend.name == {"cpu": "numpy"}.get(device, device)
    assert found.names == expected.names
    for name in ("loss", "validation_loss"):
        np.testing.assert_allclose(found[name], expected[name], rtol=ROUNDING[device])
    np.testing.assert_allclose(found.steps[0], expected.steps[0], rtol=1e-6)
    np.testing.assert_allclose(found["validation_accuracy"], expected["validation_accuracy"], atol=1.5 / 359)
    assert dl.load("digits.safetensors", "cpu").model == REFERENCE[0].model


# Options


def test_every_option_reaches_the_training(run: CommandLine, runs: list[dl.Trained], no_picture: None) -> None:
    pytest.importorskip("array_api_strict")
    words = "--device strict:device1 --epochs 2 --hidden 12,8 --activation GELU --optimizer rms-prop --batch-size 500"
    result = run("train", "digits", *words.split(), "--seed", "5", "--output", "some/where")
    assert result.exit_code == 0
    (trained,) = runs
    assert trained.device.name == "strict:device1"
    assert trained.model == dl.mlp(64, 12, 8, 10, activation="gelu")
    assert (len(trained.history.epochs), len(trained.history.steps)) == (2, 6)
    assert Path("some/where/digits.safetensors").exists()
    assert Path("some/where/digits.png").exists()

    data = datasets.digits(5)
    again = dl.fit(
        trained.model,
        data.x_train,
        data.y_train,
        optimizer="rmsprop",
        epochs=2,
        batch_size=500,
        validation=(data.x_test, data.y_test),
        seed=5,
        device="strict:device1",
        progress=False,
    )
    assert again.history == trained.history


def test_json_is_alone_on_stdout(run: CommandLine, no_picture: None) -> None:
    result = run("train", "digits", "--epochs", "1", "--hidden", "4", "--json")
    found = json.loads(result.stdout)
    assert found["rows"] == {"training": 1438, "test": 359}
    assert found["metrics"]["accuracy"] == dl.load("digits.safetensors").history["validation_accuracy"][-1]
    assert "test accuracy:" in result.stderr


def test_a_batch_size_of_0_is_batch_descent(run: CommandLine, runs: list[dl.Trained], no_picture: None) -> None:
    assert run("train", "digits", "--epochs", "3", "--batch-size", "0").exit_code == 0
    assert len(runs[0].history.steps) == 3


def test_the_argument_overrides_the_variable(run: CommandLine, runs: list[dl.Trained], no_picture: None) -> None:
    words = ("train", "digits", "--epochs", "1", "--hidden", "4", "--device", "cpu")
    assert run(*words, DLARRAY_DEVICE="nonsense").exit_code == 0
    assert runs[0].device.name == "cpu"


def loss_fell(trained: dl.Trained) -> bool:
    """Whether the loss fell within one epoch."""
    steps = trained.history.steps
    return bool(np.isfinite(trained.history["validation_loss"][0]) and np.mean(steps[-5:]) < np.mean(steps[:5]))


@pytest.mark.parametrize("name", builtin(dl.Activation))
def test_every_activation_is_accepted(name: str, run: CommandLine, runs: list[dl.Trained], no_picture: None) -> None:
    result = run("train", "digits", "--epochs", "1", "--hidden", "16", "--activation", name)
    assert result.exit_code == 0
    assert type(runs[0].model.layers[1]) is classes(dl.Activation)[name]
    assert loss_fell(runs[0])


@pytest.mark.parametrize("name", builtin(dl.Optimizer))
def test_every_optimizer_is_accepted(name: str, run: CommandLine, runs: list[dl.Trained], no_picture: None) -> None:
    result = run("train", "digits", "--epochs", "1", "--hidden", "16", "--optimizer", name)
    assert result.exit_code == 0
    assert loss_fell(runs[0])


# Help, and the table of devices


def test_help_names_every_choice_and_default(run: CommandLine) -> None:
    whole = run("--help")
    assert whole.exit_code == 0
    assert "train" in whole.stdout
    assert "devices" in whole.stdout
    text = run("train", "digits", "--help").stdout
    for option in (
        "--device",
        "--epochs",
        "--hidden",
        "--activation",
        "--optimizer",
        "--batch-size",
        "--seed",
        "--output",
    ):
        assert option in text
    plain = re.sub(r"[\s│]+", " ", text)
    for name in builtin(dl.Activation) + builtin(dl.Optimizer):
        assert re.search(rf"\b{name}\b", plain), name
    assert "By default 32, more for a large table." in plain
    for default in ("30", "256", "relu", "adam"):
        assert f"[default: {default}]" in plain


@pytest.mark.parametrize("words", [(), ("train",)])
def test_without_a_command_it_helps(words: tuple[str, ...], run: CommandLine) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_the_table_shows_every_device_with_its_reason_and_remedy(run: CommandLine) -> None:
    result = run("devices")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    for status in dl.devices():
        row = rows[status.name]
        assert ("yes" if status.usable else "no") in row.split()
        for part in (status.library, status.reason, status.remedy):
            assert part in row
    assert next(iter(rows)) == "device"


def test_text_in_brackets_is_shown_unchanged(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """rich, which draws the table, would read them as styles."""
    status = dl.device.DeviceStatus(
        "odd", "odd", False, "lib [red]1[/]", "[Errno 2] no [/dev/odd]", 'pip install "dlarray[odd]"'
    )
    monkeypatch.setattr(import_module("dlarray.cli.devices"), "devices", lambda: [status])
    text = run("devices").stdout
    for words in ("lib [red]1[/]", "[Errno 2] no [/dev/odd]", 'pip install "dlarray[odd]"'):
        assert words in text


# Wrong input: one line of error, exit code 2 (1 for a failure), no training and no files


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--activation rely", "error: unknown activation 'rely', did you mean 'relu'?; known are"),
        ("--optimizer adamm", "error: unknown optimizer 'adamm', did you mean 'adam'?; known are adadelta"),
        ("--device cdua", "error: device='cdua' asks for an unknown device, did you mean 'cuda'?"),
        ("--hidden many", "error: --hidden takes integers separated by commas, got 'many'"),
        ("--hidden 12,,8", "error: --hidden takes integers separated by commas, got '12,,8'"),
        ("--hidden 0", "error: --hidden needs at least 1 unit in each layer, got 0"),
        ("--epochs 0", "error: epochs must be at least 1, got 0"),
        ("--batch-size -1", "error: batch_size must be at least 1, got -1"),
        ("--seed -1", "error: seed must lie in [0, 2**63), got -1"),
        ("--epochs many", "Invalid value for '--epochs'"),
        ("--learning-rat 1", "No such option: --learning-rat (Possible options: --learning-rate)"),
        ("--learning-rate -1", "error: learning_rate must be above 0, got -1"),
        ("--target digit", "error: the digits have a fixed target and split: remove --target"),
        ("--output occupied", "Not a directory: 'occupied'"),
        ("--output occupied/below", "Not a directory: 'occupied'"),
        ("--output m.st", "error: --output must be a folder or a file that ends in .safetensors, got 'm.st'; to use a"),
    ],
)
def test_wrong_options_are_errors_of_one_line(
    words: str, message: str, run: CommandLine, runs: list[dl.Trained], tmp_path: Path
) -> None:
    (tmp_path / "occupied").write_text("")
    result = run("train", "digits", *words.split())
    assert result.exit_code == (1 if "occupied" in words else 2)
    assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
    assert "Traceback" not in result.output
    assert not runs
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


def test_a_wrong_variable_is_named_in_the_error(run: CommandLine) -> None:
    result = run("train", "digits", DLARRAY_DEVICE="nonsense")
    assert result.exit_code == 2
    assert "error: the environment variable DLARRAY_DEVICE='nonsense' asks for an unknown device" in result.stderr


def test_a_diverged_training_is_an_error_of_one_line(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise dl.DivergedError("the loss became nan", 7, None)  # type: ignore[arg-type]

    monkeypatch.setattr(dl, "fit", diverge)
    result = run("train", "digits")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the loss became nan at step 7: the weights have diverged.")


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("matplotlib.pyplot", 'error: pictures are drawn by matplotlib: pip install "dlarray[plot]"'),
        ("sklearn", 'error: the digits come with scikit-learn: pip install "dlarray[data]"'),
    ],
)
def test_a_missing_library_is_an_error_before_the_training(
    library: str,
    message: str,
    run: CommandLine,
    runs: list[dl.Trained],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    call = CliRunner()
    monkeypatch.setitem(sys.modules, library, None)
    result = call.invoke(cli.app, ["train", "digits"], catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stderr.strip() == message
    assert not runs
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_without_its_libraries_the_command_says_what_to_install(library: str) -> None:
    code = f"""
import runpy, sys
sys.modules["{library}"] = None  # as if it were not installed
sys.modules.pop("typer", None) if "{library}" == "rich" else None
sys.argv = ["dlarray", "devices"]
try: runpy.run_module("dlarray", run_name="__main__")
except SystemExit as error: print(error.code)
"""
    assert python(code) == f'the command line needs {library}: pip install "dlarray[cli]"'


def test_another_module_that_is_missing_is_not_called_typer() -> None:
    code = """
import sys
sys.modules["dlarray.core.registry"] = None
from dlarray.__main__ import main
try: main()
except ModuleNotFoundError as error: print(error.name)
"""
    assert python(code) == "dlarray.core.registry"


def test_a_terminal_without_unicode_is_no_error(tmp_path: Path) -> None:
    code = f"""
import sys
from dlarray.__main__ import main
sys.argv = ["dlarray", "train", "digits", "--epochs", "1", "--hidden", "4", "--output", {str(tmp_path)!r}]
main()
"""
    text = python(code, PYTHONIOENCODING="ascii", MPLBACKEND="Agg")
    assert "W 64?4" in text
    assert "saved:" in text
