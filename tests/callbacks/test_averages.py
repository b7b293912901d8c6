"""Averages of a model over its training: EMA and SWA, batch norm's statistics included."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import Callback, Run
from tests.support.callbacks import (
    LABELS,
    MODEL,
    MORE,
    NORMED,
    NORMED_ALONE,
    Spy,
    X,
    equal,
    few,
    fit,
    numbers,
)
from tests.support.matrix import On


@pytest.mark.slow
def test_ema_is_the_recurrence(on: On) -> None:
    where = few(on, MORE)
    steps: list[list[np.ndarray]] = []

    class Every(Callback):
        def on_start(self, run: Run) -> None:
            steps.append(numbers(run.trained))

        on_step = on_start

    model = MODEL if on.jit else NORMED  # masks take JAX's compiler its time
    trained = fit(model, callbacks=[Every(), dl.EMA(0.8)], **where)
    expected = steps[0]
    for now in steps[1:]:
        expected = [0.8 * m + (1 - 0.8) * x for m, x in zip(expected, now, strict=True)]
    for a, b in zip(numbers(trained)[: len(trained.theta)], expected, strict=False):
        np.testing.assert_allclose(a, b, rtol=on.rtol, atol=on.rtol)
    plain = fit(model, **where)
    assert equal(numbers(plain), steps[-1])  # training itself is unchanged


@pytest.mark.parametrize("average", [dl.SWA(0.5), dl.EMA(0.8)], ids=repr)
def test_an_average_s_batch_norm_is_measured_anew(average: Callback, on: On) -> None:
    """Means over the batches of one pass, counted by their 16, 16 and 8 examples, and nothing of the run's own."""
    where = {**few(on, MORE), "shuffle": False}
    spy = Spy()
    trained = fit(NORMED_ALONE, epochs=6, callbacks=[spy, average], **where)
    if isinstance(average, dl.SWA):
        for i, found in enumerate(numbers(trained)[: len(trained.theta)]):
            mean = np.mean([model[i] for model in spy.models[3:]], axis=0)
            np.testing.assert_allclose(found, mean, rtol=5 * on.rtol, atol=5 * on.rtol)
    p = {name: dl.to_numpy(v) for name, v in trained.parameters.items()}
    z = X @ p["0.W"] + p["0.b"]
    found = {name: dl.to_numpy(v) for name, v in NORMED_ALONE.named_buffers(trained.buffers).items()}
    variances = [z[i : i + 16].var(axis=0, ddof=1) for i in range(0, 40, 16)]
    np.testing.assert_allclose(found["1.mean"], z.mean(axis=0), rtol=20 * on.rtol, atol=20 * on.rtol)
    variance = np.average(variances, axis=0, weights=[16, 16, 8])
    np.testing.assert_allclose(found["1.variance"], variance, rtol=20 * on.rtol, atol=20 * on.rtol)


@pytest.mark.parametrize("average", [dl.SWA(0.5), dl.EMA()], ids=repr)
def test_an_average_of_one_batch_has_its_mean_and_variance(average: Callback) -> None:
    x = np.arange(8.0).reshape(-1, 1)
    model = dl.MLP(1, [dl.BatchNorm(), dl.Residual([dl.BatchNorm()]), dl.Dense(1)])
    trained = fit(model, x, x, epochs=2, batch_size=None, callbacks=[average], dtype="float64", compile=False)
    kept = model.named_buffers(trained.buffers)
    assert (kept["0.mean"][0], kept["0.variance"][0]) == (3.5, 6.0)
    beta, gamma = (trained.parameters[f"0.{name}"][0] for name in ("beta", "gamma"))
    np.testing.assert_allclose(kept["1.0.mean"], [beta], atol=1e-12)
    np.testing.assert_allclose(kept["1.0.variance"], [gamma**2 * 8 / 7], rtol=1e-4)  # but for eps


@pytest.mark.parametrize("average", [dl.SWA(0.0), dl.EMA()], ids=repr)
def test_an_average_with_batch_norm_needs_a_second_pass(average: Callback) -> None:
    batches = ((X[i : i + 20], LABELS[i : i + 20]) for i in (0, 20))
    with pytest.raises(ValueError, match=f"{type(average).__name__} needs one more pass over the batches"):
        fit(NORMED, batches, None, epochs=1, batch_size=32, callbacks=[average])


def test_swa_takes_every_so_many_epochs() -> None:
    spy = Spy()
    trained = fit(epochs=7, callbacks=[spy, dl.SWA(0.4, every=2)])
    np.testing.assert_allclose(
        numbers(trained)[0], (spy.models[2][0] + spy.models[4][0] + spy.models[6][0]) / 3, rtol=1e-6, atol=1e-8
    )
