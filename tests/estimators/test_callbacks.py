"""Callbacks of the estimators: functions, objects with hooks, dlarray's and scikit-learn's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlarray.callbacks import EMA, CSVLog, EarlyStopping, ReduceLROnPlateau
from dlarray.estimators import MLPClassifier
from tests.support.estimators import SMALL, classes

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("without_native"),
]


def test_functions_are_called_after_each_epoch_and_may_stop() -> None:
    seen: list[tuple[int, float]] = []

    def watch(model: MLPClassifier) -> bool:
        seen.append((model.n_iter_, model.score(*classes())))
        return len(seen) == 3

    model = MLPClassifier(6, random_state=0, max_iter=50, callbacks=watch).fit(*classes())
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert model.n_iter_ == 3
    assert seen[-1][1] == model.score(*classes())


class Patience:
    """A callback with hooks: it stops, and gives the best weights back."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, run: Any) -> None:
        run.memory(self)["best"] = np.inf
        self.seen.append((run.names, run.epochs, run.steps))

    def on_step(self, run: Any) -> None:
        self.seen.append(run.steps)

    def on_epoch(self, run: Any) -> None:
        mine, value = run.memory(self), run.metrics["validation_loss"]
        if value < mine["best"]:
            mine |= {"best": value, "theta": run.trained.theta, "epoch": run.epoch}
        if run.epoch == 8:
            run.stop("eight are enough")

    def on_end(self, run: Any) -> None:
        run.set_result(run.memory(self)["theta"])
        self.seen.append((run.stopped, run.memory(self)["epoch"], run.rate))


def test_callbacks_with_the_hooks_of_fit() -> None:
    x, y = classes(120)
    callback = Patience()
    own = {**SMALL, "max_iter": 30, "batch_size": 40, "learning_rate_init": 0.3, "callbacks": [callback]}
    model = MLPClassifier(**own).fit(x[:80], y[:80], X_val=x[80:], y_val=y[80:])
    assert callback.seen[0] == (("loss", "validation_loss", "validation_score"), 30, 0)
    assert callback.seen[1:-1] == list(range(1, 17))
    stopped, best, rate = callback.seen[-1]
    assert (stopped, rate, model.n_iter_) == ("eight are enough", 0.3, 8)
    assert best < 8
    assert model.score(x[80:], y[80:]) == model.validation_scores_[best - 1]
    with pytest.raises(ValueError, match="lbfgs calls no callbacks with hooks"):
        MLPClassifier(**{**own, "solver": "lbfgs"}).fit(x, y)


def test_callbacks_of_dlarray(tmp_path: Path) -> None:
    x, y = classes(120)
    own = {**SMALL, "max_iter": 60, "learning_rate_init": 0.2}
    seen = {"X_val": x[80:], "y_val": y[80:]}
    stop, log = EarlyStopping(patience=3), CSVLog(tmp_path / "log.csv")
    model = MLPClassifier(**own, callbacks=[stop, log]).fit(x[:80], y[:80], **seen)
    losses = model.validation_loss_curve_
    assert model.n_iter_ == int(np.argmin(losses)) + 4 < 60
    p = model.predict_proba(x[80:])[np.arange(40), y[80:]]
    assert min(losses) == pytest.approx(-np.log(p).mean())  # the best weights are back
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,seconds,rate,loss,validation_loss,validation_score"
    assert len(lines) == model.n_iter_ + 1
    with pytest.raises(TypeError, match="learning_rate='plateau' or a schedule"):
        MLPClassifier(**own, callbacks=ReduceLROnPlateau()).fit(x, y)


def test_callbacks_by_name_and_what_is_none() -> None:
    x, y = classes(60)
    assert MLPClassifier(**SMALL, callbacks=["ema"]).fit(x, y).predict(x).shape == y.shape
    assert MLPClassifier(**SMALL, callbacks="ema").fit(x, y).predict(x).shape == y.shape
    for wrong in (EMA, 3):
        with pytest.raises(TypeError, match="callbacks must be names, objects with hooks such as on_epoch"):
            MLPClassifier(**SMALL, callbacks=[wrong]).fit(x, y)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver: str) -> None:
    from sklearn.callback import ScoringMonitor

    x, y = classes()
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**{**SMALL, "solver": solver}, learning_rate_init=0.05).set_callbacks(monitor).fit(x, y)
    log = monitor.get_logs()
    rows = [row for row in log.data if row["task_name"] == "epoch"]
    assert len(rows) == model.n_iter_ == 4
    assert rows[-1]["accuracy"] == model.score(x, y)
    assert len({row["accuracy"] for row in rows}) > 1

    class Count:
        begun = ended = 0

        def setup(self, estimator: Any, context: Any) -> None: ...
        def teardown(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            self.begun += 1

        def on_fit_task_end(self, estimator: Any, context: Any) -> None:
            self.ended += 1

    early = {"tol": 0.9, "n_iter_no_change": 1, "max_iter": 50}
    model = MLPClassifier(**{**SMALL, "solver": solver, **early}).set_callbacks(count := Count()).fit(x, y)
    assert model.n_iter_ < 50
    assert count.begun == count.ended >= model.n_iter_ + 1

    class Stop:
        def setup(self, estimator: Any, context: Any) -> None: ...
        def teardown(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
            return context.task_name == "epoch" and context.task_id == 1

    model = MLPClassifier(**{**SMALL, "solver": solver}).set_callbacks(Stop()).fit(x, y)
    assert model.n_iter_ == 2
