"""Rows that are measured although the model was trained on copies of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402

SHORT: dict[str, Any] = {"hidden": [4], "epochs": 2, "seeds": 1, "progress": False, "device": "cpu"}
rng = np.random.default_rng(4)
NOISE = pl.DataFrame({"a": rng.normal(size=100), "b": rng.normal(size=100), "y": rng.normal(size=100)})


def copies(frame: Any, **options: Any) -> list[str]:
    remarks = tables.train(frame, "y", **SHORT | options).facts["remarks"]
    return [remark for remark in remarks if "also occur" in remark]


def test_copies_of_training_rows_among_the_measured_ones_are_counted() -> None:
    (remark,) = copies(pl.concat([NOISE] * 4))
    assert "of the 80 measured rows also occur among the training rows, target included" in remark
    assert "--group COLUMN" in remark
    assert copies(NOISE) == []
    classes = pl.concat([NOISE] * 4).with_columns(y=pl.Series(np.tile(rng.choice(["p", "q"], 100), 4)))
    assert len(copies(classes)) == 1


def test_a_test_table_that_is_the_training_table_is_noted() -> None:
    (remark,) = copies(NOISE, test=NOISE)
    assert remark.startswith("100 of the 100 measured rows also occur")


def test_rows_of_few_different_values_may_coincide() -> None:
    few = {"a": rng.choice(["k", "l", "m"], 300), "b": rng.integers(0, 4, 300), "y": rng.choice(["p", "q"], 300)}
    assert copies(pl.DataFrame(few)) == []


def test_without_validation_nothing_is_a_copy() -> None:
    assert copies(NOISE, validation=0) == []
