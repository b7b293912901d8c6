"""Examples that stay on the host: the same numbers, brought to the device batch by batch, in the right order."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.device import backend as backends
from tests.support.process import ROOT

R = np.random.default_rng(0)
X = R.normal(size=(70, 4))
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int)
WEIGHT = R.uniform(0.5, 2.0, 70)
PLAIN = dlarray.mlp(4, 8, 2)
RICH = dlarray.MLP(4, [dlarray.Dense(6), dlarray.BatchNorm(), "gelu", dlarray.Dropout(0.2), dlarray.Dense(2)])
DEVICES = {"cpu": "numpy", "torch": "torch", "jax": "jax", "strict": "array_api_strict"}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "in order": {"shuffle": False},
    "all at once": {"batch_size": None},
    "weights": {"weight": WEIGHT, "class_weight": "balanced"},
    "a fraction to validate": {"validation": 0.3},
    "others to validate": {"validation": (X[:20], LABELS[:20]), "accumulate": 2},
    "layers with buffers": {"model": RICH, "callbacks": ["swa"]},
    "float64": {"dtype": "float64"},
}


def fit(device: str, **options: Any) -> dlarray.Trained:
    model = options.pop("model", PLAIN)
    settings = {"batch_size": 16, "epochs": 3, "progress": False} | options
    return dlarray.fit(model, X, LABELS, device=device, **settings)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(DEVICES[request.param])
    return request.param


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the backends that have been asked to upload."""
    asked: list[str] = []
    for name in ("torch", "jax", "strict"):
        backend = backends.get(name)

        def upload(batches: Any, place: Any, plain: Any = backend.upload, name: str = name) -> Any:
            asked.append(name)
            return plain(batches, place)

        monkeypatch.setattr(backend, "upload", upload)
    return asked


@pytest.mark.slow
@pytest.mark.parametrize("what", OPTIONS)
def test_the_numbers_are_those_of_examples_on_the_device(what: str, device: str, uploads: list[str]) -> None:
    options = OPTIONS[what]
    if options.get("dtype") == "float64" and device == "jax":
        pytest.skip("JAX has no float64 by default")
    if device == "jax" and what not in ("plain", "a fraction to validate"):
        pytest.skip("the same lines; compiling takes its time")
    there = fit(device, data="device", **options)
    assert not uploads
    here = fit(device, data="host", **options)
    assert len(uploads) >= (0 if device == "cpu" else 3)  # one for each epoch
    assert here.history == there.history
    for a, b in zip(here.theta + here.buffers, there.theta + there.buffers, strict=True):
        np.testing.assert_array_equal(dlarray.to_numpy(a), dlarray.to_numpy(b))
    assert type(here.theta[0]) is type(there.theta[0])


def test_a_run_may_go_on_with_its_examples_elsewhere(tmp_path: Any) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "run.safetensors"
    fit("torch", data="device", max_steps=7, callbacks=[dlarray.Checkpoint(path, steps=1)])
    resumed = fit("torch", data="host", resume=path)
    assert resumed.history == fit("torch").history


def test_measuring_takes_the_inputs_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("array_api_strict")
    trained = fit("strict")
    expected = trained.evaluate(X, LABELS)
    sizes: list[int] = []
    plain = trained.device.backend.asarray

    def asarray(host: np.ndarray, place: Any) -> Any:
        sizes.append(host.size)
        return plain(host, place)

    monkeypatch.setattr(trained.device.backend, "asarray", asarray)
    examples = dlarray.training.Examples.on(dlarray.resolve("cpu"), PLAIN, trained.loss, X, LABELS)
    metrics = {"accuracy": dlarray.metrics.accuracy}
    assert trained.measure(examples, metrics, batch_size=16) == trained.measure(examples, metrics, batch_size=70)
    assert trained.measure(examples, metrics) == pytest.approx(expected, rel=1e-6)
    assert max(size for size in sizes if size != 70 * 4) == 70  # the labels, and else 16 rows of 4
    assert 16 * 4 in sizes


# Where they go by default


@pytest.mark.parametrize(
    ("free", "host"),
    [(None, False), (10**9, False), (100_000, False), (70 * 4 * 5 - 1, True), (20_000, True)],
)
def test_by_default_what_does_not_fit_beside_a_step_stays(
    free: int | None, host: bool, uploads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backends.get("strict")
    monkeypatch.setattr(backend, "memory", lambda place: None if free is None else (free, 10**9))
    model = dlarray.mlp(4, 200, 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained = fit("strict", model=model)
    assert bool(uploads) == host
    assert bool(caught) == host
    if host:
        words = str(caught[0].message)
        assert words.startswith("the examples need 1.4 kB and a step ")
        assert "strict:cpu has" in words
        assert "data='host' does this without a warning" in words
        assert caught[0].filename == __file__
    assert trained.history == fit("strict", model=model, data="device").history


def test_nobody_asks_where_everything_is_the_host_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.get("numpy"), "memory", lambda place: 1 / 0)
    fit("cpu", data=None)
    fit("cpu", data="host")


def test_arrays_on_a_device_stay_there() -> None:
    pytest.importorskip("torch")
    x, y = (dlarray.asarray(a, "torch") for a in (X, LABELS))
    trained = dlarray.fit(PLAIN, x, y, batch_size=16, epochs=3, progress=False)
    assert trained.history == fit("torch", data="host").history
    with pytest.raises(ValueError, match=r"data='host' is for host arrays, and x is on torch:cpu.*to_numpy"):
        dlarray.fit(PLAIN, x, y, data="host", progress=False)
    with pytest.raises(ValueError, match="unknown data 'hots', did you mean 'host'"):
        fit("cpu", data="hots")


def test_batches_of_an_iterable_are_brought_too(device: str, uploads: list[str]) -> None:
    def batches() -> Iterator[tuple[Any, Any]]:
        for i in range(0, 70, 16):
            yield X[i : i + 16], LABELS[i : i + 16]

    trained = dlarray.fit(PLAIN, batches, epochs=3, device=device, progress=False)
    assert trained.history["loss"] == fit(device, shuffle=False, metrics=[]).history["loss"]
    assert bool(uploads) == (device != "cpu")


def test_no_batch_is_fetched_before_it_is_asked_for(device: str) -> None:
    """Who breaks off may go on with the rest of the iterator."""
    left = iter([(X[i : i + 10], LABELS[i : i + 10]) for i in range(0, 70, 10)])
    dlarray.fit(PLAIN, left, epochs=1, max_steps=3, device=device, progress=False)
    assert len(list(left)) == 4


# Backend.upload


def test_every_backend_brings_batches_in_their_order(device: str) -> None:
    target = dlarray.resolve(device)
    given = [(np.full((3, 2), i, np.float32), None, np.asfortranarray(np.full((2, 3), i))) for i in range(4)]
    for i, (x, none, f) in enumerate(target.backend.upload(iter(given), target.handle)):
        assert none is None
        np.testing.assert_array_equal(dlarray.to_numpy(x), given[i][0])
        np.testing.assert_array_equal(dlarray.to_numpy(f), given[i][2])
        assert dlarray.device_of(x) == target
    assert i == 3


def test_torch_copies_from_pinned_memory_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    seen: list[Any] = []

    class Cuda:
        type = "cuda"

    class Pinned:
        def __init__(self, tensor: Any) -> None:
            self.tensor = tensor

        def to(self, place: Any, non_blocking: bool) -> Any:
            seen.append((type(place), non_blocking))
            return self.tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: Pinned(tensor))
    found = list(backends.get("torch").upload([(X, None)], Cuda()))
    assert seen == [(Cuda, True)]
    assert found[0][1] is None
    np.testing.assert_array_equal(found[0][0].numpy(), X)


# What it costs


@pytest.mark.parametrize("device", ["strict", "torch"])
def test_the_cost_is_measured(device: str, tmp_path: Path) -> None:
    pytest.importorskip(DEVICES[device])
    file = tmp_path / "streaming.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "streaming.py"), "--device", device, "--widths", "4,8,3"]
    command += ["--batch", "8", "--examples", "60", "--bursts", "2", "--seconds", "0.001", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["device"] == f"{device}:cpu"
    assert set(report["milliseconds"]) == {"device", "host", "way"}
    assert all(t > 0 for t in report["milliseconds"].values())
    t = report["milliseconds"]
    assert report["hidden"] == pytest.approx((t["device"] + t["way"] - t["host"]) / min(t["device"], t["way"]))
    assert report["megabytes"] == pytest.approx(8 * 5 * 4e-6)
    assert "hidden" in done.stdout
