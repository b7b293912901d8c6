"""Networks that are trained on different rows and merged into one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("polars")

import dlarray as dl
from dlarray.device import resolve
from dlarray.tables import members, network
from dlarray.tables.network import train_network
from dlarray.tables.network_plan import NetworkOptions, plan_network
from dlarray.tables.targets import ClassificationTarget, RegressionTarget
from tests.support.matrix import On

rng = np.random.default_rng(3)
x = rng.normal(size=(60, 3)).astype(np.float32)
t = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.int32)
NUMBER = RegressionTarget("y", 0.0, 1.0)
LABELS = ClassificationTarget("y", ("no", "yes"))
HELD_OUT = np.arange(60) % 5 == 0


def options(**given: Any) -> NetworkOptions:
    return NetworkOptions(device=resolve("cpu"), progress=False, **given)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5), (4, 3, 5)])
def test_the_merged_network_gives_the_mean_of_the_outputs(on: On, hidden: tuple[int, ...]) -> None:
    model = dl.mlp(3, *hidden, 2, activation="prelu")
    networks = [
        dl.fit(model, x, t, epochs=1, batch_size=20, seed=k, device=on.device, dtype=on.dtype, progress=False)
        for k in range(3)
    ]
    merged = members.merge(networks)
    on.close(merged.outputs(on.array(x)), np.mean([np.asarray(one.outputs(x)) for one in networks], axis=0))
    assert merged.history == networks[0].history
    assert members.merge(networks[:1]) is networks[0]


@pytest.mark.parametrize(
    ("activation", "possible"), [("relu", True), ("gelu", True), ("prelu", True), ("softmax", False)]
)
def test_only_activations_of_single_numbers_can_be_merged(activation: str, possible: bool) -> None:
    assert members.can_be_merged(dl.mlp(3, 4, 2, activation=activation)) is possible
    assert plan_network(60, 3, LABELS, options(activation=activation)).networks == (5 if possible else 1)
    assert not members.can_be_merged(dl.mlp(3, 4, 2, dropout=0.5))


def test_every_row_is_left_out_by_one_network() -> None:
    fold = members.member_folds(t, HELD_OUT, 4, None, 0)
    assert fold is not None
    assert np.array_equal(fold == 0, HELD_OUT)
    assert set(fold) == {0, 1, 2, 3}
    for k in (1, 2, 3):
        assert np.sum(fold == k) == 16
        assert abs(np.mean(t[fold == k]) - np.mean(t[~HELD_OUT])) < 0.1
    without = members.member_folds(t, np.zeros(60, dtype=bool), 4, None, 0)
    assert without is not None
    assert np.bincount(without).tolist() == [15] * 4


def test_rows_of_a_group_are_left_out_together() -> None:
    groups = np.arange(60) // 4
    fold = members.member_folds(t, groups < 3, 5, groups, 0)
    assert fold is not None
    assert all(len(set(fold[groups == g])) == 1 for g in range(15))
    assert members.member_folds(t, groups < 12, 5, groups, 0) is None  # three groups for four networks


@pytest.mark.parametrize("target", [NUMBER, LABELS])
def test_networks_are_trained_on_all_rows_and_measured_on_those_that_the_first_left_out(target: Any) -> None:
    found = train_network(x, t.astype(np.float32) if target is NUMBER else t, HELD_OUT, target, options(epochs=3))
    assert found.facts["networks"] == 5
    assert np.array_equal(found.measured, HELD_OUT)
    alone = train_network(
        x, t.astype(np.float32) if target is NUMBER else t, HELD_OUT, target, options(epochs=3, seeds=1)
    )
    assert found.outputs.shape == (12, target.outputs)
    linear = 0 if found.facts["linear_share"] == 0 else 2 * target.outputs
    assert found.trained.model.layers[0] == dl.Dense(5 * 128 + linear)
    assert alone.trained.model.layers[0] == dl.Dense(128)


def test_without_rows_held_out_each_network_predicts_the_rows_that_it_left_out() -> None:
    none = np.zeros(60, dtype=bool)
    found = train_network(x, t, none, LABELS, options(epochs=2))
    assert found.measured.all()
    assert found.outputs.shape == (60, 2)
    assert train_network(x, t, none, LABELS, options(epochs=2, seeds=1)).facts["networks"] == 1


def test_a_seed_gives_one_model() -> None:
    one, other, another = (train_network(x, t, HELD_OUT, LABELS, options(epochs=3, seed=s)).trained for s in (1, 1, 2))
    assert np.array_equal(one.theta[0], other.theta[0])
    assert not np.array_equal(one.theta[0], another.theta[0])


def test_the_best_weights_are_kept() -> None:
    found = train_network(x, t, HELD_OUT, LABELS, options(seeds=1, epochs=200, optimizer=dl.Adam(0.05)))
    losses = found.trained.history["validation_loss"]
    assert len(losses) < 200
    best = found.trained.evaluate(x[HELD_OUT], t[HELD_OUT])["loss"]
    assert best == pytest.approx(min(losses), rel=1e-5)
    assert best < losses[-1]
    full = train_network(x, t, HELD_OUT, LABELS, options(seeds=1, epochs=40, early_stopping=False))
    assert len(full.trained.history.epochs) == 40


def test_stopping_looks_at_the_weights_of_the_classes() -> None:
    rare = (np.arange(400) % 10 == 0).astype(np.int32)
    noise = np.ones((400, 1), dtype=np.float32)
    held_out = np.arange(400) % 50 < 10
    for weights in ("balanced", {1: 9.0}):
        found = train_network(noise, rare, held_out, LABELS, options(class_weight=weights, batch_size=8))
        assert 0.4 < float(np.asarray(found.trained.predict(noise))[0, 1]) < 0.6
    plain = train_network(noise, rare, held_out, LABELS, options(batch_size=8))
    assert float(np.asarray(plain.trained.predict(noise))[0, 1]) < 0.2


def test_time_is_shared_by_the_networks() -> None:
    found = train_network(x, t, HELD_OUT, LABELS, replace(options(early_stopping=False), epochs=10**6, max_time=0.5))
    assert found.facts["networks"] in range(1, 6)
    assert "time limit" in str(found.facts["stopped"])


@pytest.mark.parametrize("rows", [200, 461, 3000, 12345])
def test_batches_leave_no_row_over(rows: int) -> None:
    plan = plan_network(rows, 3, LABELS, options())
    assert plan.most_rows is not None
    assert plan.most_rows % plan.batch_size == 0
    assert 0.97 * rows < plan.most_rows < rows
    for asked in (options(batch_size=30), options(seeds=1)):
        assert plan_network(rows, 3, LABELS, asked).most_rows is None
    assert plan_network(rows, 3, LABELS, options(batch_size=30)).batch_size == 30


def test_a_linear_model_is_added_exactly(on: On) -> None:
    fitted = dl.fit(dl.mlp(3, 6, 2), x, t, epochs=1, batch_size=20, device=on.device, dtype=on.dtype, progress=False)
    w, b = rng.normal(size=(3, 2)), rng.normal(size=2)
    both = members.add_linear(fitted, w, b, 0.3)
    on.close(both.outputs(on.array(x)), 0.7 * np.asarray(fitted.outputs(x)) + 0.3 * (x @ w + b))
    assert members.takes_linear(fitted.model)
    assert not members.takes_linear(dl.mlp(3, 6, 2, activation="gelu"))
    assert not members.takes_linear(dl.mlp(3, 6, 5, 2))


def test_a_small_table_has_as_much_of_a_linear_model_as_is_best_on_rows_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = np.random.default_rng(0)
    inputs = own.normal(size=(120, 6)).astype(np.float32)
    number = (inputs @ np.arange(6.0) / 7 + own.normal(size=120)).astype(np.float32)
    held_out = np.arange(120) % 5 == 0
    found = train_network(inputs, number, held_out, NUMBER, options())
    assert found.facts["linear_share"] in np.linspace(0.5, 1, 6)
    np.testing.assert_allclose(found.outputs, np.asarray(found.first.predict(inputs[held_out])), atol=1e-5)
    new = own.normal(size=(400, 6)).astype(np.float32)
    truth = new @ np.arange(6.0) / 7
    monkeypatch.setattr(network, "SMALL", 0)
    without = train_network(inputs, number, held_out, NUMBER, options())
    monkeypatch.undo()
    error, larger = (np.mean((np.asarray(f.trained.predict(new))[:, 0] - truth) ** 2) for f in (found, without))
    assert error < 0.8 * larger
    bent = np.abs(inputs[:, 0]).astype(np.float32)
    plain = np.asarray([False, True, True, True, True, True])  # the column that matters is not linear
    assert train_network(inputs, bent, held_out, NUMBER, options(), plain=plain).facts["linear_share"] in (0, 0.1, 0.2)
    assert "linear_share" not in train_network(inputs, bent, held_out, NUMBER, options(seeds=1, epochs=2)).facts
