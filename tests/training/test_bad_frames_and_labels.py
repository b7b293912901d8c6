"""Frames and labels that cannot be trained on: the error names the column or the label, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import dlarray as dl
from tests.support.named_data import COLUMNS, NUMBERS, ONE, WORDS, YES, N, X, fit


def with_nan(value: Any = np.nan) -> pd.DataFrame:
    frame = pd.DataFrame(COLUMNS)
    frame.loc[3, "height"] = value
    return frame


TEXT = pd.DataFrame(COLUMNS | {"member": WORDS})
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "text": (
        lambda: fit(TEXT),
        TypeError,
        r"the column 'member' is of type \w+: leave it out or encode it; dlarray\.tables",
    ),
    "text of polars": (
        lambda: fit(pl.DataFrame(COLUMNS | {"member": WORDS.tolist()})),
        TypeError,
        "'member' is of type Str",
    ),
    "dates": (
        lambda: fit(pd.DataFrame(COLUMNS | {"member": pd.date_range("2000-01-01", periods=N)})),
        TypeError,
        "the column 'member' is of type datetime64",
    ),
    **{
        f"{kind} of polars": (
            partial(fit, pl.DataFrame(COLUMNS | {"member": pl.Series(range(N)).cast(kind)})),
            TypeError,
            f"the column 'member' is of type {kind}.*: leave it out or encode it",
        )
        for kind in (pl.Date, pl.Datetime, pl.Time, pl.Duration)
    },
    "no whole label": (
        lambda: fit(y=pd.Series([None, *NUMBERS[1:]], dtype="Int64")),
        ValueError,
        "y: each example needs a label, got nan in row 0; drop these examples",
    ),
    "no whole label of polars": (
        lambda: fit(y=pl.Series([*NUMBERS[1:].tolist(), None])),
        ValueError,
        f"each example needs a label, got nan in row {N - 1}",
    ),
    "no nullable boolean": (
        lambda: fit(y=pd.Series([None, *YES[1:]], dtype="boolean"), model=dl.mlp(3, 2)),
        ValueError,
        "each example needs a label, got nan in row 0",
    ),
    "no rows": (
        lambda: fit(pd.DataFrame(COLUMNS)[:0], pd.Series([], dtype=str)),
        ValueError,
        "y has no examples: give at least one",
    ),
    "categories in x": (lambda: fit(TEXT.astype({"member": "category"})), TypeError, "'member' is of type category"),
    "nan": (
        lambda: fit(with_nan()),
        ValueError,
        "x must be finite, got nan in row 3 of the column 'height'; drop or fill",
    ),
    "nan later": (
        lambda: fit(pd.DataFrame(COLUMNS)).predict(with_nan(np.inf)),
        ValueError,
        "got inf in row 3 of the col",
    ),
    "missing": (
        lambda: fit(pd.DataFrame(COLUMNS | {"age": pd.array([None] * N, dtype="Int64")})),
        ValueError,
        "got nan in row 0 of the column 'age'",
    ),
    "twice": (
        lambda: fit(pd.DataFrame(X, columns=["a", "b", "a"])),
        ValueError,
        "x has two columns with the name 'a': rename one of them",
    ),
    "too many columns": (
        lambda: fit(pd.DataFrame(COLUMNS | {"more": 1})),
        ValueError,
        r"takes 3 inputs, got x with 4 features",
    ),
    "lazy": (
        lambda: fit(pl.LazyFrame(COLUMNS)),
        TypeError,
        r"x must be an array, got LazyFrame; collect\(\) makes a frame of it",
    ),
    "more classes": (
        lambda: fit(y=np.asarray([f"c{i}" for i in range(N)])),
        ValueError,
        r"y has 40 classes, 'c0', 'c1', 'c10', 'c11', 'c12' and 35 more, and the model has 3 outputs: it needs one for",
    ),
    "fewer classes": (
        lambda: fit(y=np.where(YES, "a", "b")),
        ValueError,
        "y has 2 classes, 'a', 'b', and the model has 3",
    ),
    "three for one output": (
        lambda: fit(y=WORDS, model=ONE),
        ValueError,
        "BinaryCrossEntropy with 1 outputs needs one output and two classes; give a model with 3 outputs",
    ),
    "one class": (lambda: fit(y=np.full(N, "a"), model=ONE), ValueError, "y has 1 class, 'a', and BinaryCrossEntropy"),
    "words for numbers": (
        lambda: fit(y=WORDS, loss="mse"),
        ValueError,
        "y has 3 classes, 'cat', 'dog', 'owl', and MeanSquaredError trains numbers: leave out loss=",
    ),
    "no label": (
        lambda: fit(y=pd.Series(WORDS).where(NUMBERS > 0)),
        ValueError,
        r"y has no value in row \d+, got nan: drop these examples",
    ),
    "no category": (
        lambda: fit(y=pd.Categorical.from_codes(np.where(NUMBERS == 2, -1, NUMBERS), ["cat", "dog", "ant"])),
        ValueError,
        r"y has no value in row \d+",
    ),
    "no boolean": (
        lambda: fit(y=pl.Series([None, True] * 20), model=ONE),
        ValueError,
        "y has no value in row 0, got None",
    ),
    "two kinds": (
        lambda: fit(y=np.asarray(["a", 1] * 20, dtype=object)),
        TypeError,
        "y must hold labels of one type, got int and str",
    ),
    "tuples": (
        lambda: fit(y=pd.Series([(1, 2)] * N)),
        TypeError,
        r"labels must be strings, booleans or numbers, got \(1, 2\) in row 0",
    ),
    "half a label": (
        lambda: fit(y=NUMBERS + 0.5, loss="sparse_cross_entropy"),
        ValueError,
        r"class labels must be whole numbers, got \d\.5 in row 0; for numbers give loss='mean_squared_error'",
    ),
    "another label": (
        lambda: fit(y=WORDS).evaluate(X, np.where(NUMBERS == 2, "emu", WORDS)),
        ValueError,
        r"y has the label 'emu' in row \d+, and the classes are 'cat', 'dog', 'owl'",
    ),
    "numbers for words": (
        lambda: fit(y=WORDS).evaluate(X, NUMBERS),
        ValueError,
        r"y has the label \d in row \d+, and the classes are 'cat'",
    ),
    "a weight of no class": (
        lambda: fit(y=WORDS, class_weight={"emu": 2.0}),
        ValueError,
        "class_weight has the class 'emu', and the classes are",
    ),
    "words in batches": (
        lambda: fit([(X, WORDS)], None),
        ValueError,
        "y must hold real numbers, got dtype <U3",
    ),
    "labels of numbers": (
        lambda: fit(y=X[:, 0], model=ONE).predict_labels(X),
        ValueError,
        "trains numbers, not classes",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_a_remedy(what: str) -> None:
    act, kind, words = REFUSED[what]
    with pytest.raises(kind, match=words):
        act()
