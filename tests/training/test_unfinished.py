"""Training that ends early by an error or an interrupt: the model and the history of the last whole epoch are kept."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.device.errors import OutOfMemoryError
from dlarray.training import Callback, Run
from tests.support.matrix import On

pytestmark = pytest.mark.usefixtures("without_native")

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(12, 3)), rng.normal(size=(12, 1))
MODEL = dl.MLP(3, [dl.Dense(4), dl.BatchNorm(), "tanh", dl.Dense(1)])


def fit(x: Any = X, y: Any = Y, **options: Any) -> dl.Trained:
    own: dict[str, Any] = {"epochs": 5, "batch_size": 4, "progress": False, "device": "cpu", "metrics": []}
    return dl.fit(MODEL, x, y, **(own | options))


class Mine(BaseException):
    """No Exception, and none of the library's."""


class Slots(Exception):
    __slots__ = ("code",)


class Frozen(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):
            raise AttributeError(f"cannot assign to {name!r}")
        super().__setattr__(name, value)


class ReadOnly(Exception):
    @property
    def trained(self) -> str:
        return "its own"


FULL = OSError(28, "No space left on device")
ERRORS: list[Any] = [FULL, SystemExit(3), Mine(), Slots("full"), Frozen(), ValueError()]


def raising(hook: str, error: Any, epoch: int = 3, step: int = 8) -> Callback:
    """A callback that raises at its hook: in this epoch, at this step, or at once."""

    def act(self: Any, run: Run) -> None:
        if {"on_epoch": run.epoch == epoch, "on_step": run.steps == step}.get(hook, True):
            if error is signal.SIGINT:
                signal.raise_signal(error)
            raise error

    return type("Raises", (Callback,), {"abstract": True, hook: act})()


def is_model_after(trained: dl.Trained, epochs: int, **options: Any) -> None:
    """Bit for bit what a run of so many epochs gives, with the history of these."""
    if epochs:
        whole = fit(epochs=epochs, **options)
        assert trained.history == whole.history
        assert [dl.to_numpy(v).tolist() for v in trained.theta] == [dl.to_numpy(v).tolist() for v in whole.theta]
        assert [dl.to_numpy(v).tolist() for v in trained.buffers] == [dl.to_numpy(v).tolist() for v in whole.buffers]
    else:
        assert trained.history == dl.History()
        start = MODEL.init(0, options.get("device", "cpu"), "float32")
        assert [dl.to_numpy(v).tolist() for v in trained.theta] == [dl.to_numpy(v).tolist() for v in start]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("hook", "epochs"), [("on_start", 0), ("on_step", 2), ("on_epoch", 3)])
def test_what_a_callback_raises_brings_the_last_good_model(error: Any, hook: str, epochs: int) -> None:
    error = type(error)(*error.args)
    with pytest.raises(type(error)) as caught:
        fit(callbacks=[raising(hook, error)])
    assert caught.value is error
    is_model_after(error.trained, epochs)


def test_a_note_names_the_model() -> None:
    with pytest.raises(OSError, match="space") as caught:
        fit(callbacks=[raising("on_epoch", OSError(*FULL.args))])
    assert caught.value.__notes__ == [".trained of this error holds the model after 3 complete epochs"]


def test_an_error_that_takes_no_attribute_is_raised_all_the_same() -> None:
    with pytest.raises(ReadOnly) as caught:
        fit(callbacks=[raising("on_epoch", ReadOnly())])
    assert caught.value.trained == "its own"
    assert not hasattr(caught.value, "__notes__")


def batches(error: Any) -> Callable[[], Iterator[Any]]:
    passes: list[int] = []

    def make() -> Iterator[Any]:
        passes.append(1)
        for i in range(0, 12, 4):
            if len(passes) == 4 and i == 8:  # the first pass is a look at the first batch
                if error is signal.SIGINT:
                    signal.raise_signal(error)
                raise error
            yield X[i : i + 4], Y[i : i + 4]

    return make


def test_what_an_iterable_raises_brings_the_last_good_model() -> None:
    with pytest.raises(ConnectionError) as caught:
        fit(batches(ConnectionError("gone")), None)
    is_model_after(caught.value.trained, 2, shuffle=False)  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", ["iterable", "on_step", "on_epoch"])
def test_an_interrupt_on_every_library(each: On, place: str) -> None:
    """On JAX a step consumes its state."""
    looked: list[Any] = []

    class Looks(Callback):
        def on_end(self, run: Run) -> None:
            looked.append(run.trained)

    epochs = 3 if place == "on_epoch" else 2
    given: Any = (batches(signal.SIGINT), None) if place == "iterable" else (X, Y)
    callbacks = [Looks()] if place == "iterable" else [raising(place, signal.SIGINT), Looks()]
    with pytest.raises(dl.Interrupted, match=f"after {epochs} complete epochs") as caught:
        fit(*given, device=each.device, shuffle=False, callbacks=callbacks)
    trained = caught.value.trained
    is_model_after(trained, epochs, device=each.device, shuffle=False)
    assert looked[0].theta is trained.theta
    assert trained.predict(each.array(X)).shape == (12, 1)


def test_memory_that_ends_brings_the_last_good_model() -> None:
    with pytest.raises(OutOfMemoryError) as caught:
        fit(callbacks=[raising("on_epoch", MemoryError("no room"))])
    is_model_after(caught.value.trained, 3)


def test_history_is_true_of_the_model_where_measuring_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of an epoch are there before its model is, for a moment."""
    copies = Run._model
    count = iter(range(100))

    def fails(self: Run, theta: Any, buffers: Any) -> Any:
        if next(count) == 2:
            raise KeyboardInterrupt
        return copies(self, theta, buffers)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_model", fails)
        with pytest.raises(dl.Interrupted) as caught:
            fit()
    is_model_after(caught.value.trained, 2)


def test_every_on_end_is_called_and_the_first_error_counts() -> None:
    ended: list[Any] = []

    class Ends(Callback):
        def on_end(self, run: Run) -> None:
            ended.append(run.error)

    first, second, third = OSError("the first"), ValueError("the second"), Mine("the third")
    with pytest.raises(OSError, match="the first") as caught:
        fit(
            callbacks=[
                raising("on_end", second), Ends(), raising("on_epoch", first), raising("on_end", third), Ends()
            ]
        )  # fmt: skip
    assert ended == [first, first]
    assert caught.value.__notes__ == [
        ".trained of this error holds the model after 3 complete epochs",
        "then Raises.on_end raised ValueError('the second')",
        "then Raises.on_end raised Mine('the third')",
    ]


def test_a_failing_on_end_leaves_the_result_to_the_error() -> None:
    class HandsBack(Callback):
        def on_end(self, run: Run) -> None:
            assert run.error is None  # training has ended well
            run.set_result(tuple(0 * v for v in run.theta))

    with pytest.raises(OSError, match="full") as caught:
        fit(callbacks=[raising("on_end", OSError("full")), HandsBack()])
    trained: dl.Trained = caught.value.trained  # type: ignore[attr-defined]
    assert len(trained.history.epochs) == 5
    assert not np.any(trained.theta[0])
    with pytest.raises(dl.Interrupted) as interrupted:
        fit(callbacks=[raising("on_end", signal.SIGINT)])
    is_model_after(interrupted.value.trained, 5)


def test_the_outer_fit_s_model_goes_with_what_an_inner_one_raises() -> None:
    class Probes(Callback):
        def on_epoch(self, run: Run) -> None:
            dl.fit(dl.mlp(3, 1), 1e9 * X, Y, batch_size=4, optimizer=dl.GradientDescent(1e30), progress=False)

    with pytest.raises(dl.DivergedError) as caught:
        fit(callbacks=[Probes()])
    is_model_after(caught.value.trained, 1)


def test_the_model_before_the_step_that_made_a_nan_is_kept() -> None:
    start = MODEL.init(0, "cpu", "float32")
    with pytest.raises(dl.NonFiniteError) as caught, np.errstate(all="ignore"):
        fit(callbacks=["stop_on_non_finite"], optimizer=dl.GradientDescent(1e38), epochs=2)
    assert caught.value.step > 1
    assert np.isfinite(caught.value.trained.theta[0]).all()
    assert (caught.value.trained.theta[0] != start[0]).any()
    assert caught.value.trained.history == dl.History()
