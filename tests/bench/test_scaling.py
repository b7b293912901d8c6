"""The model of a step of several ranks: cases computed by hand, its fit, and the limits of the simulation."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from dlarray.bench import scaling
from dlarray.bench.scaling import Link, StepCost, Timing, Traffic, all_gather, all_reduce, reduce_scatter, ring

MB = 1e6
WIDTHS = (784, 256, 128, 10)
WORK = scaling.layers(WIDTHS)
COST = StepCost(fixed=2e-4, per_example=7e-6, update=1e-4)
SHARED = StepCost(fixed=2e-4, per_example=7e-6, update=1e-4, sharing=5e-5)
WIRE = Link(latency=1e-3, bandwidth=12.5e6, adding=1e-10)
BUSY = Link(latency=1e-3, bandwidth=12.5e6, adding=1e-10, overhead=2e-4)
FREE = Link(latency=0.0, bandwidth=math.inf)


@pytest.mark.parametrize(
    ("operation", "ranks", "size", "expected"),
    [
        (all_reduce, 1, MB, Traffic(0, 0, 0)),
        (all_reduce, 8, 8, Traffic(3, 24, 24)),  # recursive doubling: lg 8 rounds of all bytes
        (all_reduce, 8, 8 * MB, Traffic(6, 14 * MB, 7 * MB)),  # Rabenseifner
        (all_reduce, 6, 8, Traffic(2 + 2, 16 + 16, 8 + 16)),  # four ranks, and two that give and get
        (all_reduce, 6, 4 * MB, Traffic(2 + 4, 8 * MB + 6 * MB, 4 * MB + 3 * MB)),
        (reduce_scatter, 4, 4000, Traffic(2, 3000, 3000)),
        (reduce_scatter, 4, 4 * MB, Traffic(3, 3 * MB, 3 * MB)),
        (reduce_scatter, 3, 3000, Traffic(2 + 1, 4000 + 2000, 3000 + 2000)),
        (all_gather, 4, 4000, Traffic(2, 3000, 0)),
        (all_gather, 3, 3000, Traffic(2, 2000, 0)),
        (all_gather, 4, 4 * MB, Traffic(3, 3 * MB, 0)),
        (ring, 4, 4 * MB, Traffic(6, 6 * MB, 3 * MB)),
        (ring, 1, MB, Traffic(0, 0, 0)),
    ],
)
def test_the_traffic_of_a_collective_operation(operation, ranks, size, expected):
    found = operation(ranks, size)
    assert np.allclose((found.messages, found.sent, found.added), (expected.messages, expected.sent, expected.added))


def test_a_message_costs_latency_bytes_and_additions():
    link = Link(latency=1e-3, bandwidth=1e6, adding=1e-7, cache=500, memory_bandwidth=1e5)
    assert link.seconds(Traffic(2, 400, 100)) == pytest.approx(2e-3 + 4e-4 + 1e-5)
    assert link.seconds(Traffic(2, 700, 100)) == pytest.approx(2e-3 + 5e-4 + 2e-3 + 1e-5)
    assert FREE.seconds(all_reduce(64, MB)) == 0


def test_operations_at_once_wait_together():
    once, twice = Traffic(1, 1000, 500), Traffic(2, 3000, 0)
    assert BUSY.waiting(once, twice) == pytest.approx(2e-3)
    assert BUSY.seconds(once, twice) == pytest.approx(2e-3 + 3 * 2e-4 + 4000 / 12.5e6 + 500e-10)
    assert BUSY.seconds(once) == pytest.approx(1e-3 + 2e-4 + 1000 / 12.5e6 + 500e-10)


@pytest.mark.parametrize(
    "wrong", [{"latency": -1.0}, {"bandwidth": 0.0}, {"adding": -1e-9}, {"memory_bandwidth": 0.0}, {"overhead": -1e-6}]
)
def test_a_link_refuses_impossible_numbers(wrong):
    with pytest.raises(ValueError, match="at least 0|above 0"):
        Link(**{"latency": 1e-3, "bandwidth": 1e6} | wrong)


def test_the_layers_of_a_network():
    first, second = scaling.layers((3, 4, 2))
    assert (first.forward, first.backward, first.sizes) == (24, 24, (48, 16))  # 2 · 3 · 4 flops; no dx; 4 bytes
    assert (second.forward, second.backward, second.sizes) == (16, 32, (32, 8))


def test_a_step_by_hand():
    """Two ranks, no progress: the bytes of all sums one after the other, and the latency of the longest."""
    work = scaling.layers((250, 100, 50))
    sizes = [size for layer in work for size in layer.sizes]
    assert sizes == [100_000, 400, 20_000, 200]
    step = scaling.predict(work, COST, WIRE, batch=400, ranks=2)
    gradient = 2e-4 + 7e-6 * 200
    sent = [100_000, 400, 20_000, 200, 4]
    added = [50_000, 400, 10_000, 200, 4]
    exposed = 2 * 1e-3 + sum(sent) / 12.5e6 + sum(added) * 1e-10
    assert step.gradient == pytest.approx(gradient)
    assert step.exposed == pytest.approx(exposed)
    assert step.communication == pytest.approx(exposed + (2 + 1 + 1 + 1) * 1e-3)
    assert step.seconds == pytest.approx(gradient + exposed + 1e-4)
    assert step.speedup == pytest.approx((2e-4 + 7e-6 * 400 + 1e-4) / step.seconds)


def test_what_the_layers_below_hide():
    """The sums of the second layer advance while the first layer's gradient is computed, in the last fifth."""
    work = scaling.layers((100, 100, 100))  # forward 1 + 1, backward 2 + 1
    link = Link(latency=0.0, bandwidth=1e9)
    above, below = (sum(link.seconds(all_reduce(2, m)) for m in sizes) for sizes in ((40_000, 400, 4), (40_000, 400)))
    for seconds in (1e-4, 1.0):
        for progress in (0.0, 0.25, 1.0):
            cost = StepCost(fixed=0.0, per_example=seconds)
            step = scaling.predict(work, cost, link, batch=2, ranks=2, progress=progress)
            hidden = min(above, progress * seconds / 5)
            assert step.exposed == pytest.approx(above - hidden + below)  # below the first layer there is nothing


def test_latency_is_hidden_like_bytes():
    link = Link(latency=1e-3, bandwidth=math.inf)
    work = scaling.layers((100, 1, 100))  # the second layer's sums are one round, the first layer's two
    cost = StepCost(fixed=0.0, per_example=1.0)
    for progress in (0.0, 1.0):
        step = scaling.predict(work, cost, link, batch=2, ranks=2, progress=progress)
        assert step.exposed == pytest.approx(1e-3)
    long = scaling.layers((1000, 1, 1))
    assert scaling.predict(long, cost, link, batch=2, ranks=2).exposed == pytest.approx(2e-3)


def test_a_sharded_step_updates_a_part_of_theta():
    step = scaling.predict(WORK, COST, WIRE, batch=128, ranks=4, shard=True)
    size = sum(sum(layer.sizes) for layer in WORK)
    assert step.update == COST.update / 4
    loss = 2 * (1e-3 + 4 / 12.5e6 + 4e-10)
    assert step.exposed == pytest.approx(6 * 1e-3 + 1.5 * size / 12.5e6 + 0.75 * size * 1e-10 + loss)


def test_ranks_share_the_cores_and_the_memory_of_a_machine():
    cost = StepCost(1e-3, 0.0, contention=0.2)
    assert cost.slowdown(1, 2) == 1
    assert cost.slowdown(2, 2) == pytest.approx(1.2)
    assert cost.slowdown(4, 2) == pytest.approx(2.4)
    assert cost.slowdown(4, 8) == pytest.approx(1.6)
    four = scaling.predict(WORK, cost, FREE, batch=128, ranks=4, on_one_machine=4, cores=2)
    assert four.seconds == pytest.approx(2.4e-3)
    assert scaling.predict(WORK, cost, FREE, batch=128, ranks=4).seconds == pytest.approx(1e-3)


@pytest.mark.parametrize("shard", [False, True])
def test_one_rank_takes_the_step_itself(shard):
    step = scaling.predict(WORK, COST, WIRE, batch=128, ranks=1, shard=shard)
    assert step.seconds == pytest.approx(2e-4 + 7e-6 * 128 + 1e-4) == step.alone
    assert step.communication == 0
    assert step.speedup == 1
    assert scaling.simulate(WORK, COST, WIRE, 128, 1, shard=shard) == pytest.approx(step.seconds)


@pytest.mark.parametrize("shard", [False, True])
def test_what_sharing_costs(shard):
    for ranks, sharing in ((1, 0.0), (2, 5e-5)):
        with_, without = (scaling.predict(WORK, cost, WIRE, 128, ranks, shard=shard) for cost in (SHARED, COST))
        assert with_.seconds - without.seconds == pytest.approx(sharing) == with_.sharing
        assert scaling.simulate(WORK, SHARED, WIRE, 128, ranks, shard=shard) == pytest.approx(with_.seconds)
    crowded = StepCost(1e-3, 0.0, contention=0.2, sharing=1e-4)
    four = scaling.predict(WORK, crowded, FREE, batch=128, ranks=4, on_one_machine=4, cores=2, shard=shard)
    assert four.seconds == pytest.approx(2.4 * 1.1e-3)


def test_predict_refuses_impossible_numbers():
    with pytest.raises(ValueError, match="ranks"):
        scaling.predict(WORK, COST, WIRE, batch=128, ranks=0)
    with pytest.raises(ValueError, match="progress must be between 0 and 1, got 2"):
        scaling.predict(WORK, COST, WIRE, batch=128, ranks=2, progress=2)


@pytest.mark.parametrize("shard", [False, True])
@pytest.mark.parametrize("ranks", [2, 6, 64, 1024])
def test_without_a_spread_the_simulation_is_the_prediction(ranks, shard):
    for progress in (0.0, 0.6):
        step = scaling.predict(WORK, COST, WIRE, 4096, ranks, progress=progress, shard=shard)
        drawn = scaling.simulate(WORK, COST, WIRE, 4096, ranks, steps=3, progress=progress, shard=shard)
        assert drawn == pytest.approx([step.seconds] * 3)


def test_with_a_link_that_costs_nothing_only_computing_is_left():
    for ranks in (2, 1024):
        expected = COST.gradient(4096 / ranks) + COST.update
        assert scaling.simulate(WORK, COST, FREE, 4096, ranks) == pytest.approx(expected)


def test_a_step_waits_for_the_slowest_rank():
    """One step in ten is twice as long: rare with one rank, in nearly every step with 64."""
    spread = [1.0] * 9 + [2.0]
    means = [scaling.simulate(WORK, COST, FREE, 64 * n, n, spread, steps=2000).mean() for n in (1, 8, 64)]
    step = COST.gradient(64) + COST.update
    expected = [step * (2 - 0.9**n) for n in (1, 8, 64)]
    assert means == pytest.approx(expected, rel=0.02)
    again = scaling.simulate(WORK, COST, WIRE, 4096, 8, spread, seed=3)
    assert np.array_equal(again, scaling.simulate(WORK, COST, WIRE, 4096, 8, spread, seed=3))


def test_the_fit_of_a_step_recovers_its_constants():
    batches = [16, 32, 64, 128]
    fit = scaling.fit_cost(batches, [COST.gradient(b) + COST.update for b in batches], COST.update)
    assert (fit.value.fixed, fit.value.per_example, fit.value.update) == pytest.approx((2e-4, 7e-6, 1e-4))
    assert fit.largest < 1e-9
    with pytest.raises(ValueError, match=r"two batch sizes at least, got \[8, 8\]"):
        scaling.fit_cost([8, 8], [1.0, 1.1])


def test_a_fit_reports_its_errors():
    """Relative errors count: the fit of 1, 2.2 and 2.8 for 1, 2 and 3 examples."""
    fit = scaling.fit_cost([1, 2, 3], [1.0, 2.2, 2.8])
    found = [fit.value.gradient(b) for b in (1, 2, 3)]
    assert fit.deviations == pytest.approx([(f - t) / t for f, t in zip(found, [1.0, 2.2, 2.8], strict=True)])
    assert fit.largest == pytest.approx(max(map(abs, fit.deviations)))
    assert fit.typical == pytest.approx(math.sqrt(sum(d * d for d in fit.deviations) / 3))
    worse = [StepCost(fit.value.fixed + a, fit.value.per_example + b) for a in (-0.01, 0.01) for b in (-0.01, 0.01)]
    for cost in worse:
        off = [(cost.gradient(b) - t) / t for b, t in zip((1, 2, 3), [1.0, 2.2, 2.8], strict=True)]
        assert math.sqrt(sum(d * d for d in off) / 3) > fit.typical


def test_no_constant_is_negative():
    fit = scaling.fit_cost([1, 2, 4], [0.9, 2.0, 4.4])  # a line through them would begin below 0
    assert fit.value.fixed == 0
    assert fit.value.per_example > 0.9


def test_the_fit_of_contention_recovers_it():
    cost = StepCost(2e-4, 7e-6, 1e-4, contention=0.3)
    measured = [(k, b, cost.slowdown(k, 2) * (cost.gradient(b) + cost.update)) for k, b in ((1, 64), (2, 64), (4, 32))]
    fit = scaling.fit_contention(COST, 2, measured)
    assert fit.value == StepCost(2e-4, 7e-6, 1e-4, pytest.approx(0.3))


def timings(link: Link, sizes: list[float], at_once: int = 1) -> list[Timing]:
    single = [(f(n, m),) for f in (all_reduce, reduce_scatter, all_gather) for n in (2, 4, 6) for m in sizes]
    several = [(all_reduce(n, m),) * at_once for n in (2, 4, 6) for m in sizes]
    return [Timing(of, link.seconds(*of)) for of in (*single, *several)]


def test_the_fit_of_a_link_recovers_its_constants():
    fit = scaling.fit_link(timings(WIRE, [1e3, 1e5, 1e7]))
    assert (fit.value.latency, fit.value.bandwidth, fit.value.adding) == pytest.approx((1e-3, 12.5e6, 1e-10))
    assert fit.value.overhead == 0
    assert fit.value.cache == math.inf
    assert fit.largest < 1e-9


def test_operations_at_once_show_the_overhead():
    fit = scaling.fit_link(timings(BUSY, [1e3, 1e5, 1e7], at_once=8))
    assert (fit.value.latency, fit.value.overhead) == pytest.approx((1e-3, 2e-4))
    alone = scaling.fit_link(timings(BUSY, [1e3, 1e5, 1e7]))
    assert (alone.value.latency, alone.value.overhead) == pytest.approx((1.2e-3, 0.0))


def test_the_fit_finds_the_cache():
    link = Link(latency=1e-5, bandwidth=5e9, adding=1e-10, cache=1e6, memory_bandwidth=1e9)
    measured = [
        Timing((t,), link.seconds(t)) for m in (1e4, 1e5, 1e6, 4e6, 4e7) for t in (all_reduce(2, m), all_gather(2, m))
    ]
    fit = scaling.fit_link(measured, two_bandwidths=True)
    assert fit.value.cache == 1e6
    assert (fit.value.bandwidth, fit.value.memory_bandwidth) == pytest.approx((5e9, 1e9))
    one = scaling.fit_link(measured)
    assert one.typical > 0.05 > fit.typical


def test_memory_is_not_faster_than_the_cache():
    """Times in which large messages are cheaper give one bandwidth."""
    traffic = [Traffic(1, m, 0) for m in (1e4, 1e5, 1e6, 1e7)]
    link = Link(latency=1e-5, bandwidth=1e8, cache=1e5, memory_bandwidth=1e9)
    fit = scaling.fit_link([Timing((t,), link.seconds(t)) for t in traffic], two_bandwidths=True)
    assert fit.value.cache == math.inf


def test_noise_changes_the_constants_little():
    draw = np.random.default_rng(0)
    noisy = [Timing(t, s * (1 + 0.05 * draw.standard_normal())) for t, s in timings(WIRE, [1e3, 1e4, 1e5, 1e6, 1e7])]
    fit = scaling.fit_link(noisy)
    assert fit.value.latency == pytest.approx(1e-3, rel=0.05)
    assert fit.value.bandwidth == pytest.approx(12.5e6, rel=0.05)
    assert fit.typical == pytest.approx(0.05, rel=0.5)


def test_the_example_of_the_docstring():
    assert doctest.testmod(scaling).failed == 0
