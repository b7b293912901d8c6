"""Schedules against torch's and against the written formulas, at many t, on every device."""

import dataclasses
import math

import numpy as np
import pytest

from dlarray.core import registry as names
from dlarray.schedules import (
    ConstantRate,
    CosineDecay,
    CosineRestarts,
    Cyclic,
    ExponentialDecay,
    InverseTimeDecay,
    MultiStepDecay,
    OneCycle,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)

# each schedule beside its formula for one t in plain Python
CASES = {
    "constant": (ConstantRate(0.3), lambda t: 0.3),
    "step": (StepDecay(0.3, every=7, factor=0.5), lambda t: 0.3 * 0.5 ** (t // 7)),
    "step, every 1": (StepDecay(0.3, every=1, factor=0.99), lambda t: 0.3 * 0.99**t),
    "multi-step": (
        MultiStepDecay(0.3, (5, 40, 40, 199), 0.5),
        lambda t: 0.3 * 0.5 ** sum(t >= n for n in (5, 40, 40, 199)),
    ),
    "exponential": (ExponentialDecay(0.3, factor=0.97, every=3), lambda t: 0.3 * 0.97 ** (t / 3)),
    "inverse time": (InverseTimeDecay(0.3, decay=0.5, every=4), lambda t: 0.3 / (1 + 0.5 * t / 4)),
    "polynomial": (PolynomialDecay(0.3, 50, power=2.5, end=0.01), lambda t: 0.01 + 0.29 * (1 - min(t, 50) / 50) ** 2.5),
    "line": (PolynomialDecay(0.3, 50), lambda t: 0.3 * (1 - min(t, 50) / 50)),
    "rising line": (PolynomialDecay(0.1, 50, end=0.3), lambda t: 0.3 - 0.2 * (1 - min(t, 50) / 50)),
    "cosine": (CosineDecay(0.3, 60, end=0.02), lambda t: 0.02 + 0.14 * (1 + math.cos(math.pi * min(t, 60) / 60))),
    "restarts": (CosineRestarts(0.3, 10, end=0.1), lambda t: 0.1 + 0.1 * (1 + math.cos(math.pi * (t % 10) / 10))),
    "restarts, growing": (CosineRestarts(0.3, 5, growth=3), lambda t: 0.15 * (1 + math.cos(math.pi * cycle(t, 5, 3)))),
    "cycles": (Cyclic(0.1, 0.3, 10), lambda t: 0.1 + 0.2 * triangle(t, 10, 10)),
    "cycles, shrinking": (
        Cyclic(0.05, 0.3, 7, 13, factor=0.5),
        lambda t: 0.05 + 0.25 * 0.5 ** (t // 20) * triangle(t, 7, 13),
    ),
    "warm-up": (WarmUp(20, ConstantRate(0.3), start=0.1), lambda t: 0.3 * (0.1 + 0.9 * min(t / 20, 1))),
    "warm-up, then": (
        WarmUp(20, CosineDecay(0.3, 60)),
        lambda t: 0.3 * t / 20 if t < 20 else 0.15 * (1 + math.cos(math.pi * min(t - 20, 60) / 60)),
    ),
    "one cycle": (OneCycle(0.3, 100), lambda t: one_cycle(t, 0.3, 100, 0.3, 25, 1e4)),
    "one cycle, late": (OneCycle(2.0, 50, 0.9, 4.0, 10.0), lambda t: one_cycle(t, 2.0, 50, 0.9, 4, 10)),
}


def cycle(t, length, growth):
    """The fraction of its cycle that is done at step t, counted cycle by cycle."""
    while t >= length:
        t, length = t - length, length * growth
    return t / length


def triangle(t, up, down):
    s = t % (up + down)
    return s / up if s <= up else (up + down - s) / down


def one_cycle(t, peak, steps, warm_up, div, final_div):
    top = warm_up * steps - 1
    if t <= top:
        return peak / div + (peak - peak / div) * (1 - math.cos(math.pi * t / top)) / 2
    p = min((t - top) / (steps - 1 - top), 1)
    return peak / div / final_div + (peak - peak / div / final_div) * (1 + math.cos(math.pi * p)) / 2


STEPS = [*range(131), 199, 200, 201, 1000, 1814, 1815, 19999, 20000]


@pytest.mark.parametrize("case", CASES)
def test_the_written_formula_on_every_device(on, case):
    schedule, formula = CASES[case]
    t = np.array(STEPS, dtype=np.float64)
    expected = [formula(n) for n in STEPS]
    on.close(on.run(schedule, on.array(t)), expected, scale=schedule_scale(schedule))


def schedule_scale(schedule):
    """The size to which rounding is relative: where a schedule subtracts, that of its largest rate."""
    return getattr(schedule, "rate", 0.3) if not isinstance(schedule, OneCycle) else schedule.peak


@pytest.mark.parametrize("case", CASES)
def test_a_0d_t_gives_a_0d_rate_of_its_type(on, case):
    schedule, formula = CASES[case]
    for n in (0, 3, 49):
        rate = on.run(schedule, on.array(np.array(float(n))))
        on.close(rate, np.array(formula(n)), scale=schedule_scale(schedule))


@pytest.mark.parametrize("every", [3, 7, 10, 49, 1000])
def test_drops_and_restarts_come_at_the_very_step_in_float32(on, every):
    """A quotient t / n, or t times a rounded 1 / n, that falls short of a whole number would delay them by a step."""
    cycles = np.arange(1, 40)
    before, at = on.array(cycles * every - 1.0), on.array(cycles * float(every))
    drops = StepDecay(1.0, every, factor=0.5)
    np.testing.assert_array_equal(on.numpy(on.run(drops, at)), 0.5**cycles)
    np.testing.assert_array_equal(on.numpy(on.run(drops, before)), 0.5 ** (cycles - 1))
    restarts = CosineRestarts(1.0, every)
    np.testing.assert_array_equal(on.numpy(on.run(restarts, at)), 1.0)
    assert (on.numpy(on.run(restarts, before)) < 0.9).all()


@pytest.mark.parametrize("growth", [2, 3, 5])
def test_growing_cycles_restart_at_the_very_step(on, growth):
    starts = [s for k in range(1, 20) if (s := 10 * (growth**k - 1) // (growth - 1)) < 100_000]
    schedule = CosineRestarts(1.0, 10, growth)
    t = np.array(starts, dtype=float)
    on.close(on.run(schedule, on.array(t)), np.ones(len(starts)))
    assert (on.numpy(on.run(schedule, on.array(t - 1))) < 0.1).all()


def test_the_ends_are_kept_in_float32():
    """(1 + cos) / 2 alone would leave an error of 6e-8 of the peak, a hundredth of one-cycle's last rates."""
    t = np.array([*range(990, 1000), 5000])
    expected = [one_cycle(n, 1.0, 1000, 0.3, 25, 1e4) for n in t]
    np.testing.assert_allclose(OneCycle(1.0, 1000)(t.astype(np.float32)), expected, rtol=2e-4)
    np.testing.assert_array_equal(WarmUp(7, ConstantRate(0.1), start=1 / 3)(np.float32([7, 9])), np.float32(0.1))


def rates_of_torch(make, steps, rate):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=rate)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make", "steps"),
    [
        (StepDecay(0.1, 30, 0.3), lambda s, o: s.StepLR(o, 30, 0.3), 200),
        (ExponentialDecay(0.1, 0.98), lambda s, o: s.ExponentialLR(o, 0.98), 200),
        (PolynomialDecay(0.1, 150, 1.7), lambda s, o: s.PolynomialLR(o, 150, 1.7), 200),
        (CosineDecay(0.1, 150, 0.01), lambda s, o: s.CosineAnnealingLR(o, 150, 0.01), 150),
        (MultiStepDecay(0.1, (20, 90, 91), 0.3), lambda s, o: s.MultiStepLR(o, [20, 90, 91], 0.3), 200),
        (Cyclic(0.02, 0.1, 13), lambda s, o: s.CyclicLR(o, 0.02, 0.1, 13, cycle_momentum=False), 200),
        (Cyclic(0.02, 0.1, 9, 14, 0.5), lambda s, o: s.CyclicLR(o, 0.02, 0.1, 9, 14, "triangular2",
                                                                cycle_momentum=False), 200),
        (CosineRestarts(0.1, 13), lambda s, o: s.CosineAnnealingWarmRestarts(o, 13), 200),
        (CosineRestarts(0.1, 13, 2, 0.01), lambda s, o: s.CosineAnnealingWarmRestarts(o, 13, 2, 0.01), 600),
        (OneCycle(0.1, 150), lambda s, o: s.OneCycleLR(o, 0.1, 150, cycle_momentum=False), 150),
        (OneCycle(0.1, 77, 0.41, 9, 31), lambda s, o: s.OneCycleLR(o, 0.1, 77, None, None, 0.41, "cos", False,
                                                                  div_factor=9, final_div_factor=31), 77),
        (WarmUp(40, ConstantRate(0.1), 0.2), lambda s, o: s.LinearLR(o, 0.2, 1.0, 40), 100),
    ],
)  # fmt: skip
def test_against_torch(schedule, make, steps):
    expected = rates_of_torch(make, steps, 0.1)
    found = [float(schedule(np.array(float(t)))) for t in range(steps)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * 0.1)


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # some of torch's versions use what they have deprecated
def test_warm_up_then_another_as_torch_chains_them():
    def make(s, o):
        return s.SequentialLR(o, [s.LinearLR(o, 0.25, 1.0, 30), s.CosineAnnealingLR(o, 90)], [30])

    expected = rates_of_torch(make, 120, 0.1)
    found = WarmUp(30, CosineDecay(0.1, 90), start=0.25)(np.arange(120.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_steps_of_an_exponential_as_optax_takes_them():
    optax = pytest.importorskip("optax")
    theirs = optax.exponential_decay(0.1, transition_steps=7, decay_rate=0.6, staircase=True)
    piecewise = optax.piecewise_constant_schedule(0.1, {20: 0.3, 50: 0.3})
    t = np.arange(100)
    np.testing.assert_allclose(StepDecay(0.1, 7, 0.6)(t * 1.0), [float(theirs(n)) for n in t], rtol=1e-5)
    np.testing.assert_allclose(MultiStepDecay(0.1, (20, 50), 0.3)(t * 1.0), [float(piecewise(n)) for n in t], rtol=1e-6)


def test_every_schedule_is_in_the_table():
    assert {type(schedule) for schedule, _ in CASES.values()} == set(names.classes(Schedule).values())


@pytest.mark.parametrize("word", ["constant", "step", "exponential", "inverse-time", "polynomial", "cosine", "warm-up"])
def test_short_names(word):
    assert names.by_name(Schedule, word).__module__.startswith("dlarray.schedules.")


@pytest.mark.parametrize("case", CASES)
def test_frozen_hashable_and_equal_by_value(case):
    schedule = CASES[case][0]
    assert hash(schedule) == hash(dataclasses.replace(schedule))
    assert schedule == dataclasses.replace(schedule)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.steps = 3


@pytest.mark.parametrize("make", [StepDecay, CosineDecay])
def test_numpy_numbers_do_not_promote(make):
    schedule = make(np.float64(0.1), np.int64(10))
    assert schedule(np.ones(3, dtype=np.float32)).dtype == np.float32


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf])
def test_a_rate_is_a_number_above_0(rate):
    for make in (ConstantRate, lambda r: StepDecay(r, 3), lambda r: CosineDecay(r, 3), lambda r: OneCycle(r, 30)):
        with pytest.raises(ValueError, match=r"rate|peak"):
            make(rate)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ConstantRate("fast"), TypeError, "rate"),
        (lambda: StepDecay(0.1, 0), ValueError, "every"),
        (lambda: StepDecay(0.1, 2.5), TypeError, "every"),
        (lambda: StepDecay(0.1, 2, factor=0), ValueError, "factor"),
        (lambda: ExponentialDecay(0.1, -0.5), ValueError, "factor"),
        (lambda: InverseTimeDecay(0.1, -1), ValueError, "decay"),
        (lambda: PolynomialDecay(0.1, 0), ValueError, "steps"),
        (lambda: PolynomialDecay(0.1, 5, power=0), ValueError, "power"),
        (lambda: CosineDecay(0.1, 5, end=-1), ValueError, "end"),
        (lambda: MultiStepDecay(0.1, ()), ValueError, "at must hold a number of steps or more"),
        (lambda: MultiStepDecay(0.1, (0, 5)), ValueError, "at must be at least 1, got 0"),
        (lambda: MultiStepDecay(0.1, 5), TypeError, "at must hold numbers of steps, such as .30, 80., got 5"),
        (lambda: MultiStepDecay(0.1, milestones=(5,)), TypeError, "it is called at"),
        (lambda: Cyclic(0.1, 0.1, 5), ValueError, "peak must be above rate, got 0.1 and 0.1"),
        (lambda: Cyclic(0.1, 0.2, 0), ValueError, "up must be at least 1"),
        (lambda: Cyclic(0.1, 0.2, 5, 0), ValueError, "down must be at least 1"),
        (lambda: Cyclic(0.1, 0.2, 5, factor=0), ValueError, "factor must be above 0"),
        (lambda: CosineRestarts(0.1, 5, growth=0), ValueError, "growth"),
        (lambda: WarmUp(0, ConstantRate(0.1)), ValueError, "steps"),
        (lambda: WarmUp(5, 0.1), TypeError, "then"),
        (lambda: WarmUp(5, ConstantRate(0.1), start=1.5), ValueError, "start"),
        (lambda: OneCycle(0.1, 3), ValueError, "warm_up"),
        (lambda: OneCycle(0.1, 100, warm_up=1.0), ValueError, "warm_up"),
        (lambda: OneCycle(0.1, 100, div=0), ValueError, "div"),
    ],
)
def test_bad_configuration(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_schedule_itself_is_abstract():
    with pytest.raises(TypeError):
        Schedule()


LONG = 3 * 2**31
"""Steps: more than the integers of a device may count."""


@pytest.mark.parametrize(
    "schedule",
    [
        StepDecay(0.3, LONG),
        ExponentialDecay(0.3, 0.1, LONG),
        InverseTimeDecay(0.3, 0.5, LONG),
        PolynomialDecay(0.3, LONG, end=0.1),
        CosineDecay(0.3, LONG),
        CosineRestarts(0.3, LONG),
        MultiStepDecay(0.3, (LONG,)),
        Cyclic(0.1, 0.3, LONG),
        CosineRestarts(0.3, LONG, growth=LONG),
        WarmUp(LONG, ConstantRate(0.3)),
        OneCycle(0.3, LONG),
    ],
    ids=repr,
)
def test_lengths_beyond_the_integers_of_a_device(on, schedule):
    if on.name not in ("numpy-float64", "torch-float32", "strict-no_x64", "jax-float32", "jax-x64", "numpy-planned"):
        pytest.skip("one of each library is enough")
    t = on.host([0.0, 1e3, 1e9, 5e9, 7e9, 2e10])
    on.close(on.run(schedule, on.array(t)), schedule(t.astype("float64")), scale=0.1)
