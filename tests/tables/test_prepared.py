"""What is decided before training, and each option of ``tables.train``."""

from __future__ import annotations

import inspect
import pickle
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

import dlarray as dl  # noqa: E402
from dlarray import tables  # noqa: E402
from dlarray.tables import network as network_module  # noqa: E402
from dlarray.tables import prepared as prepared_module  # noqa: E402
from dlarray.tables.prepared import Prepared  # noqa: E402
from dlarray.training import Callback, Run  # noqa: E402
from tests.support.tables import messages  # noqa: E402

N = 240
SHORT: dict[str, Any] = {"hidden": [6], "epochs": 4, "seeds": 1, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def shop() -> Any:
    """Purchases: whether a customer comes back depends on the price and the kind; an identifier, a group, a time."""
    rng = np.random.default_rng(2)
    price = rng.normal(10, 3, N)
    kind = rng.choice(["toy", "book"], N)
    back = (price + 4 * (kind == "book") + rng.normal(0, 1.5, N) > 12).astype(int)
    return pl.DataFrame(
        {
            "order_id": np.arange(N) + 1,
            "customer": rng.integers(0, 30, N),
            "day": rng.integers(0, 50, N),
            "price": price,
            "kind": kind,
            "note": [f"text {i}" for i in range(N)],
            "back": np.where(back == 1, "yes", "no"),
            "spent": price * 2 + (kind == "book") + rng.normal(0, 0.5, N),
        }
    )


def test_the_plan_says_what_will_be_done(shop: Any) -> None:
    plan = str(tables.prepare(shop, "back", **SHORT | {"seeds": 3, "max_time": 90, "folds": 4}))
    lines = plan.splitlines()
    assert lines[0] == "task:       classification of back, 2 classes: no, yes (text)"
    for begin, end in (
        ("order_id ", "looks like an identifier: a different integer in every row; to use it: keep=['order_id']"),
        ("price ", "(x - "),
        ("kind ", "2 categories, one-hot"),
        ("note ", "distinct values in 192 rows; to use it: keep=['note']"),
        ("rows:       192 for training, 48 for validation, stratified by class, seed 0", ""),
        ("folds:      4 more models measure the metrics", ""),
        ("network:    ", "on cpu"),
        ("time limit: 90 s", ""),
    ):
        assert [line for line in lines if line.startswith(begin) and end in line], (begin, end, plan)
    numbers = str(tables.prepare(shop, "day", task="regression", **SHORT))
    assert "regression of day, mean" in numbers
    assert "(as requested)" in numbers
    assert "; for classification: task='classification')" in str(tables.prepare(shop, "spent", **SHORT))
    assert repr(tables.prepare(shop, "back", **SHORT)) == str(tables.prepare(shop, "back", **SHORT))


def test_preparing_trains_nothing_and_training_follows_the_plan(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("prepare must not train")

    with monkeypatch.context() as patched:
        patched.setattr(prepared_module, "train_network", refuse)
        prepared = tables.prepare(shop, "back", **SHORT)
    model, same = prepared.train(), tables.train(shop, "back", **SHORT)
    assert isinstance(prepared, Prepared)
    assert prepared.preprocessing == model.preprocessing == same.preprocessing
    assert model.facts == same.facts
    assert prepared.facts.items() <= model.facts.items()
    assert np.array_equal(model.trained.theta[0], same.trained.theta[0])


def test_train_has_the_parameters_of_prepare() -> None:
    assert list(inspect.signature(tables.train).parameters) == list(inspect.signature(tables.prepare).parameters)
    assert inspect.signature(tables.train).return_annotation == "TableModel"
    assert tables.train.__name__ == "train"
    assert "``prepare(…).train()``" in (tables.train.__doc__ or "")


def test_features_are_the_only_columns(shop: Any) -> None:
    prepared = tables.prepare(shop, "back", features=["price", "order_id"], **SHORT)
    assert [c.name for c in prepared.preprocessing.columns] == [
        "order_id",
        "price",
    ]  # chosen: no identifier is left out
    assert dict(prepared.preprocessing.dropped)["kind"] == "not among the features"
    assert re.search(r"^5 others +dropped +not among the features$", str(prepared), re.MULTILINE)
    with pytest.raises(ValueError, match="the target 'back' cannot be one of the features"):
        tables.prepare(shop, "back", features=["price", "back"], **SHORT)
    with pytest.raises(tables.UnknownColumnError, match="did you mean 'price'"):
        tables.prepare(shop, "back", features=["prise"], **SHORT)


@pytest.mark.parametrize("option", ["group", "time"])
def test_a_column_that_splits_the_rows_is_no_feature_unless_asked_for(option: str, shop: Any) -> None:
    name = {"group": "customer", "time": "day"}[option]
    choice: dict[str, Any] = {option: name}
    prepared = tables.prepare(shop, "back", **choice, **SHORT)
    values = shop[name].to_numpy()
    inside, outside = values[prepared.held_out], values[~prepared.held_out]
    assert not set(inside) & set(outside)
    assert option == "group" or inside.min() > outside.max()
    assert dict(prepared.preprocessing.dropped)[name] == "splits the rows"
    assert f"splits the rows; to use it: keep=['{name}']" in str(prepared)
    assert {"group": "whole groups of 'customer', seed 0", "time": "the latest by 'day'"}[option] in str(prepared)
    kept = tables.prepare(shop, "back", **choice, keep=[name], **SHORT)
    assert name in [c.name for c in kept.preprocessing.columns]
    model = prepared.train()
    assert model.facts["rows"]["validation"] == prepared.held_out.sum()


def test_the_network_hears_which_rows_belong_together(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    train = prepared_module.train_network

    def listen(*arguments: Any) -> Any:
        heard.append(arguments[-2])
        return train(*arguments)

    monkeypatch.setattr(prepared_module, "train_network", listen)
    tables.train(shop, "back", **SHORT)
    tables.train(shop, "back", group="customer", **SHORT)
    tables.train(shop, "back", group="customer", folds=2, **SHORT)
    assert heard[0] is None
    assert len(np.unique(heard[1])) == 30
    assert [len(groups) for groups in heard[2:]] == [N, *(len(groups) for groups in heard[3:])]
    assert len(heard) == 5
    assert sum(map(len, heard[3:])) == N


def test_folds_measure_rows_that_their_models_have_not_seen(shop: Any) -> None:
    options = SHORT | {"epochs": 12}
    model = tables.train(shop, "spent", drop=["back", "note"], folds=3, **options)
    facts = model.facts
    assert facts["measured_on"] == "folds"
    assert facts["rows_measured"] == N
    assert set(facts["deviations"]) == set(facts["metrics"]) == {"r2", "rmse", "mae"}
    assert 0 < facts["deviations"]["r2"] < 1
    assert facts["linear"]["r2"] > 0.98
    assert abs(facts["baseline"]["r2"]) < 0.1
    plain = tables.train(shop, "spent", drop=["back", "note"], **options)
    assert np.array_equal(plain.trained.theta[0], model.trained.theta[0])  # the model itself is the same
    assert "deviations" not in plain.facts
    assert model.measured is not None
    assert len(model.measured[0]) == N


def test_without_validation_each_network_measures_the_rows_that_it_has_left_out(shop: Any) -> None:
    options = SHORT | {"validation": 0, "epochs": 30}
    facts = tables.train(shop, "spent", drop=["back", "note"], **options | {"seeds": 3}).facts
    assert (facts["measured_on"], facts["rows_measured"], facts["networks"]) == ("folds", N, 3)
    assert set(facts["deviations"]) == {"r2", "rmse", "mae"}
    alone = tables.train(shop, "spent", drop=["back", "note"], **options).facts
    assert (alone["measured_on"], alone["rows_measured"]) == ("training", N)
    assert "deviations" not in alone


def test_the_importance_is_that_of_a_network_that_has_not_seen_the_rows(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Any] = []
    first: list[Any] = []
    train, measure = prepared_module.train_network, prepared_module.importance

    def training(*arguments: Any) -> Any:
        found = train(*arguments)
        first.append(found.first)
        return found

    def measuring(predict: Any, *arguments: Any) -> Any:
        used.append(predict.__self__)
        return measure(predict, *arguments)

    monkeypatch.setattr(prepared_module, "train_network", training)
    monkeypatch.setattr(prepared_module, "importance", measuring)
    model = tables.train(shop, "back", **SHORT | {"seeds": 3})
    assert used == first
    assert used[0] is not model.trained


def test_a_second_table_measures_the_model(shop: Any) -> None:
    test = shop.tail(60)
    model = tables.train(shop.head(180), "back", test=test, **SHORT)
    assert "test:       60 rows of another table" in str(tables.prepare(shop.head(180), "back", test=test, **SHORT))
    assert model.facts["measured_on"] == "test"
    assert model.facts["rows_measured"] == 60
    assert model.facts["metrics"] == model.evaluate(test)
    assert sum(model.facts["rows"].values()) == 180
    with pytest.raises(tables.UnknownColumnError, match="no column 'back'"):
        tables.prepare(shop, "back", test=shop.drop("back"), **SHORT)
    with pytest.raises(ValueError, match="the table lacks columns of the training table"):
        tables.prepare(shop, "back", test=shop.drop("price"), **SHORT)


def test_weights_of_classes_by_their_label(shop: Any) -> None:
    options = SHORT | {"epochs": 20, "early_stopping": False}
    shares = {
        name: np.mean(tables.train(shop, "back", class_weight=weight, **options).predict(shop)["p(yes)"].to_numpy())
        for name, weight in {"none": None, "yes": {"yes": 20}, "no": {"no": 20}}.items()
    }
    assert shares["no"] + 0.1 < shares["none"] < shares["yes"] - 0.1
    balanced = tables.train(shop, "back", balanced=True, **SHORT)
    named = tables.train(shop, "back", class_weight="balanced", **SHORT)
    assert np.array_equal(balanced.trained.theta[0], named.trained.theta[0])
    weights = tables.prepare(shop, "back", class_weight={"yes": 20}, **SHORT).network.class_weight
    assert weights == {1: 20.0}
    for wrong, message in (
        ({"yess": 2}, "class_weight has the class 'yess', which 'back' has not, did you mean 'yes'"),
        ({"yes": -1}, "the weight of 'yes' must be at least 0"),
        ("balance", "must be 'balanced' or a weight for each class"),
    ):
        with pytest.raises(ValueError, match=message):
            tables.prepare(shop, "back", class_weight=wrong, **SHORT)
    with pytest.raises(ValueError, match="class_weight is for classes, and the target 'spent' is a number"):
        tables.prepare(shop, "spent", class_weight={"yes": 2}, **SHORT)


def test_a_threshold_moves_the_decision(shop: Any) -> None:
    low, high = (tables.train(shop, "back", threshold=p, **SHORT) for p in (0.1, 0.9))
    counts = [(model.predict(shop)["prediction"] == "yes").sum() for model in (low, high)]
    assert counts[0] > counts[1] + 20
    assert low.facts["classes"][1]["recall"] > high.facts["classes"][1]["recall"]
    assert low.facts["metrics"]["auc"] == high.facts["metrics"]["auc"]
    assert "threshold:  yes is predicted if its probability is at least 0.1" in str(
        tables.prepare(shop, "back", threshold=0.1, **SHORT)
    )
    with pytest.raises(ValueError, match="a threshold is for two classes, and the target 'spent' is a number"):
        tables.prepare(shop, "spent", threshold=0.5, **SHORT)


def test_a_time_limit_ends_the_training(shop: Any) -> None:
    model = tables.train(shop, "spent", max_time=0.3, **SHORT | {"epochs": 10**6, "early_stopping": False})
    assert "time limit" in model.facts["stopped"]
    assert model.facts["epochs"] < 10**6
    with pytest.raises(ValueError, match="max_time must be above 0"):
        tables.prepare(shop, "spent", max_time=0, **SHORT)


def test_early_stopping_can_be_chosen(shop: Any) -> None:
    options = SHORT | {"epochs": 400, "optimizer": dl.Adam(0.05)}
    stopped, whole = (tables.train(shop, "back", early_stopping=choice, **options) for choice in (True, False))
    assert stopped.facts["epochs"] < 400 == whole.facts["epochs"]
    assert "has not improved" in stopped.facts["stopped"]
    assert "at most 400 epochs, early stopping" in str(tables.prepare(shop, "back", early_stopping=True, **options))


class At(Callback):
    """A SIGINT after some epochs."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch(self, run: Run) -> None:
        if run.epoch == self.epoch:
            signal.raise_signal(signal.SIGINT)


def interrupted_at(monkeypatch: pytest.MonkeyPatch, epoch: int, call: int = 1) -> None:
    """Interrupt the training of a table in this call of ``fit``, after so many epochs."""
    fit, calls = network_module.fit, [0]

    def spy(*arguments: Any, callbacks: Any = (), **options: Any) -> Any:
        calls[0] += 1
        return fit(*arguments, callbacks=[*callbacks, *([At(epoch)] if calls[0] == call else [])], **options)

    monkeypatch.setattr(network_module, "fit", spy)


def test_an_interrupt_brings_the_best_model_so_far(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupted_at(patched, 3)
        with pytest.raises(KeyboardInterrupt) as caught:
            tables.train(shop, "back", **SHORT | {"epochs": 50, "early_stopping": False})
    error = caught.value
    assert isinstance(error, tables.TableInterrupted)
    assert "interrupted; .model holds the best model so far" in str(error)
    assert not error.complete
    whole = tables.train(shop, "back", **SHORT | {"epochs": 3, "early_stopping": False})
    assert error.model.facts["epochs"] == 3
    assert error.model.facts["metrics"] == whole.facts["metrics"]
    assert error.model.predict(shop).height == N
    again = pickle.loads(pickle.dumps(tables.TableInterrupted(error.model)))
    assert again.model.facts == error.model.facts


def test_a_remark_says_how_many_of_the_planned_networks_the_model_has(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = SHORT | {"seeds": 3}
    assert not [text for text in tables.train(shop, "back", **three).facts["remarks"] if "networks" in text]
    interrupted_at(monkeypatch, 2, call=2)
    with pytest.raises(tables.TableInterrupted) as caught:
        tables.train(shop, "back", **three)
    facts = caught.value.model.facts
    assert facts["networks"] == 1
    assert "the model has 1 of the 3 planned networks: the training was interrupted" in facts["remarks"]
    monkeypatch.undo()
    clock = iter([0, 0, 100])  # at the start, and before the first and the second network
    monkeypatch.setattr(network_module, "monotonic", lambda: next(clock))
    limited = tables.train(shop, "back", max_time=60, **three)
    remark = "the model has 1 of the 3 planned networks: the time limit ended the training"
    assert remark in limited.facts["remarks"]
    monkeypatch.undo()
    few = tables.train(shop.head(6).drop("order_id"), "spent", validation=0, **SHORT | {"seeds": 7})
    assert "the model has 1 of the 7 planned networks: there are too few rows for more" in few.facts["remarks"]


def test_an_interrupt_before_the_first_epoch_ends_brings_no_model(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class AtStart(Callback):
        def on_start(self, run: Run) -> None:
            signal.raise_signal(signal.SIGINT)

    fit = network_module.fit
    monkeypatch.setattr(network_module, "fit", lambda *a, callbacks=(), **o: fit(*a, callbacks=[AtStart()], **o))
    with pytest.raises(KeyboardInterrupt) as caught:
        tables.train(shop, "back", **SHORT)
    assert not isinstance(caught.value, tables.TableInterrupted)


def test_an_interrupt_in_a_fold_leaves_the_metrics_of_the_validation_part(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tables.train(shop, "back", **SHORT)
    interrupted_at(monkeypatch, 2, call=3)
    with pytest.raises(tables.TableInterrupted) as caught:
        tables.train(shop, "back", folds=3, **SHORT)
    assert caught.value.complete
    assert "the cross-validation was interrupted; .model holds the complete model" in str(caught.value)
    assert caught.value.model.facts == plain.facts
    assert np.array_equal(caught.value.model.trained.theta[0], plain.trained.theta[0])


def test_folds_do_not_repeat_the_warnings_about_values(shop: Any) -> None:
    rare = shop.with_columns(kind=pl.when(pl.int_range(N) == 7).then(pl.lit("rare")).otherwise("kind"))
    expected = messages(lambda: tables.train(rare, "back", **SHORT))
    assert messages(lambda: tables.train(rare, "back", folds=4, **SHORT)) == expected


def test_options_of_reading_can_be_given_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a|b\n" + "\n".join(f"{i if i % 5 else 'gap'}|{i / 2}" for i in range(40)))
    own = {"separator": "|", "missing": ["gap"]}
    prepared = tables.prepare(path, "b", **own, **SHORT)
    assert prepared.preprocessing.columns[0].missing > 0
    same = tables.prepare(path, "b", reading=tables.ReadOptions(**own), **SHORT)  # type: ignore[arg-type]
    assert same.preprocessing == prepared.preprocessing
    with pytest.raises(TypeError, match="there is no argument 'epoch', did you mean 'epochs'"):
        tables.train(path, "b", epoch=3)
