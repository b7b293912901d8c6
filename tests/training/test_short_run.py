"""The program for checkers of memory runs here, where nothing is to be found, and says so by its exit code."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import dlarray as dl
from dlarray.testing.own import own
from tests.support import short_run
from tests.support.families import steps


def test_every_family_is_tried() -> None:
    names = " ".join(steps())
    assert all(name in names for name in own(dl.Activation, dl.Optimizer, dl.Schedule))
    assert all(cls.__name__ in names for cls in own(dl.Loss).values())
    layers = {type(layer).__name__ for step in steps().values() for layer in step.model.layers}
    assert layers >= {"Dense", "Dropout", "BatchNorm", "LayerNorm", "RMSNorm", "Residual", "Embedding"}


@pytest.mark.usefixtures("without_native")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--dtype", "float64"],
        ["--plain"],
        ["--device", "torch"],
        ["--device", "strict:device1", "--dtype", "float64", "--steps", "2"],
        ["--device", "jax", "--only", "precision"],
        ["--device", "jax", "--only", "optimizer clipped by norm"],
    ],
    ids=" ".join,
)
def test_all_is_well_on_a_cpu(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if (device := arguments[1] if arguments[0] == "--device" else "cpu") != "cpu":
        pytest.importorskip({"strict:device1": "array_api_strict"}.get(device, device))
    assert short_run.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert f"{len(lines) - 1} steps on " in lines[-1]
    assert lines[-1].endswith(", 0 bad")


def test_a_wrong_number_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Off(dl.GradientDescent):
        """Descent that is off by a little on one of the two devices."""

        abstract = True  # no name of its own

        def step(self, theta, g, state):
            theta, state = super().step(theta, g, state)
            return (theta * 1.001 if str(theta.dtype) == "float32" else theta), state

    step = steps()["optimizer gradient_descent"]
    monkeypatch.setattr(
        "tests.support.short_run.steps", lambda: {"off": type(step)(step.model, step.loss, Off(0.1)), "on": step}
    )
    assert short_run.main(["--plain"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["BAD off", "ok  on"]
    assert lines[-1] == "2 steps on cpu in float32, 1 bad"


def test_what_cannot_be_tried_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert short_run.main(["--only", "nonsense"]) == 2
    assert short_run.main(["--device", "cudda"]) == 2
    message = capsys.readouterr().err
    assert "no step is named 'nonsense'" in message
    assert "did you mean 'cuda'" in message
