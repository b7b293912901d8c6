"""``dlarray train digits``: files, devices and options."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.registry import classes
from dlarray.device import backend
from tests.support.command_line import CommandLine
from tests.support.process import ROOT

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


from dlarray import datasets, plot


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
    assert text.endswith("next:          dlarray plot digits.safetensors --what weights\n")
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


@pytest.mark.slow
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
# eager steps; "cpu" is NumPy with planned steps, whose last digits differ if its kernels are native code.
ROUNDING = {"cpu": 1e-5, "torch": 1e-5, "jax": 1e-5, "strict": 0.0}
REFERENCE: list[dl.Trained] = []


@pytest.mark.slow
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
