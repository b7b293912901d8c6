"""A saved model reads each row of a new table by itself, with the same result from any file."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402  # noqa: E402
    ClassificationTarget,
    Preprocessing,
    Table,
    TableWarning,
)
from tests.support.tables import SETTINGS, written  # noqa: E402

N = 30


def rows(columns: dict[str, list[str]], which: list[int]) -> dict[str, list[str]]:
    return {name: [cells[i] for i in which] for name, cells in columns.items()}


KINDS: dict[str, list[str]] = {
    "text that is numbers but for one": ["1.50", "2.50", "none of them"],
    "text that is whole but for one": ["1", "2", "x"],
    "text that is truth but for one": ["True", "False", "perhaps"],
    "text that is moments but for one": ["2020-01-01 10:00", "2020-02-01 11:30", "soon"],
    "text that is dates but for one": ["2020-01-01", "2020-02-01", "soon"],
    "text that is times but for one": ["10:00", "11:30", "noon"],
    "text with exponents": ["1e3", "2e3", "many"],
    "text with signs": ["+1", "-1", "none at all"],
    "text with decimal commas": ["1,5", "2,5", "viel"],
    "codes": ["001", "002", "010"],
    "codes and numbers": ["001", "2", "10"],
    "whole numbers": ["1", "2", "-30"],
    "numbers": ["1.5", "2", "1e3"],
    "numbers with other words for missing": ["1.50", "2.50", "nil"],
    "booleans with other words for missing": ["True", "False", "unknown"],
    "numbers with a unit": ["12 kg", "13.5 kg", "-"],
    "numbers of money": ["$12.50", "-$1,234.50", "($3)"],
    "percentages": ["12%", "\u221213.5 %", "0"],
    "dates with points": ["13.01.2000", "28.02.2000", "1.3.2001"],
    "dates in words": ["Jan 31, 2000", "March 3, 2001", "."],
    "dates of digits": ["20000131", "20010303", "20020405"],
    "moments in American": ["01/31/2000 1:05 PM", "12/31/2000 12:00 AM", "01/13/2001"],
    "numbers with gaps": ["1.5", "NA", "2.25"],
    "numbers with decimal commas": ["1,5", "2,25", "17"],
    "numbers with thousands": ["1,037.50", "12.25", "999.00"],
    "booleans": ["true", "FALSE", ""],
    "dates": ["2020-01-01", "2020-03-05", "?"],
    "moments": ["2020-01-01 10:00", "2020-02-01 11:30", "2020-02-01 23:59"],
    "moments with an offset": ["2020-01-01T10:00:00+02:00", "2020-02-01T11:30:00-05:00", "2020-02-01T23:59:00Z"],
    "times": ["10:00", "11:30", "23:59:59"],
    "large numbers": ["123456789012345678901234567890", "2", "3.5"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_gives_what_it_gives_among_others(kind: str, tmp_path: Path) -> None:
    """Every subset of a column's values, from a file and as a frame, gives the same inputs to the last bit."""
    values = KINDS[kind]
    columns = {
        "c": list(itertools.islice(itertools.cycle(values), N)),
        "a": [f"{v:.2f}" for v in np.random.default_rng(0).normal(size=N)],
        "y": ["p", "q", "q"] * (N // 3),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        model = tables.train(written(tmp_path / "t.csv", columns, ";"), "y", **SETTINGS)
        assert "c" in {c.name for c in model.preprocessing.columns}
        frame = tables.read_verbatim(tmp_path / "t.csv")
        full, predictions = model.inputs(frame), model.predict(frame)["p(p)"]
        for size in (1, 2):
            for which in itertools.combinations(range(3), size):
                part = written(tmp_path / "part.csv", rows(columns, list(which)), ";")
                np.testing.assert_array_equal(model.inputs(tables.read(part)), full[list(which)])  # typed anew
                np.testing.assert_array_equal(model.inputs(tables.read_verbatim(part)), full[list(which)])
                np.testing.assert_array_equal(model.inputs(frame[list(which)]), full[list(which)])
                np.testing.assert_allclose(model.predict(part)["p(p)"], predictions[list(which)], rtol=1e-5)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith(("text", "codes", "whole", "numbers", "booleans"))])
def test_classes_keep_the_text_of_the_file(kind: str, tmp_path: Path) -> None:
    values = [v for v in KINDS[kind] if v not in {"", "NA", "nil", "-", "unknown"}]
    columns = {"a": [str(i) for i in range(N)], "y": list(itertools.islice(itertools.cycle(values), N))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        path = written(tmp_path / "t.csv", columns, ";")
        model = tables.train(path, "y", task="classification", keep=["a"], **SETTINGS)
        model.save(tmp_path / "m")
        model = tables.load(tmp_path / "m", "cpu")
        target = model.target
        assert isinstance(target, ClassificationTarget)
        assert set(target.names) == set(values)
        assert set(model.predict(path)["prediction"].cast(pl.String)) <= set(values)
        _, codes = model.examples(path)
        for i in range(len(values)):
            x, t = model.examples(written(tmp_path / "part.csv", rows(columns, [i]), ";"))
            assert (len(x), target.names[t[0]]) == (1, columns["y"][i])
            assert t[0] == codes[i]


def test_infinite_numbers_are_no_classes(tmp_path: Path) -> None:
    columns = {"a": [str(i % 7) for i in range(N)], "y": ["1.5", "2.5", "inf"] * (N // 3)}
    path = written(tmp_path / "t.csv", columns)
    with pytest.warns(TableWarning, match="10 of 30 rows have no target 'y' and are dropped"):
        model = tables.train(path, "y", task="classification", **SETTINGS)
    assert model.target.as_data()["labels"] == ("1.5", "2.5")
    with pytest.warns(TableWarning, match="10 of 30 rows have no target 'y' and are dropped"):
        assert len(model.examples(path)[1]) == 20


def test_whole_numbers_as_classes_are_numbers_and_in_their_order(tmp_path: Path) -> None:
    columns = {"a": [str(i % 7) for i in range(N)], "y": ["2", "10", "-1"] * (N // 3)}
    model = tables.train(written(tmp_path / "t.csv", columns), "y", **SETTINGS)
    assert model.target.as_data()["labels"] == (-1, 2, 10)
    assert model.predict(tmp_path / "t.csv")["prediction"].dtype == pl.Int64


TOKENS: dict[str, list[str]] = {
    "whole": ["1", "-2", "30", "+4", "0"],
    "number": ["1.5", "-0.25", "1e3", "2.", " .5", " 7 "],
    "comma": ["1,5", "0,25", "-7,125"],
    "thousand": ["1,234", "1.234", "1,234.5", "1.234,5", "1 234", "1'234.5", "998", "12.000"],
    "boolean": ["true", "FALSE", "True"],
    "date": ["2020-01-01", "2020-02-29"],
    "moment": ["2020-01-01 10:00", "2020-01-01T10:00:00Z", "2020-01-01 10:00:00+02:00", "2020-01-01T10:00:00.5-0500"],
    "time": ["10:00", "23:59:59"],
    "code": ["001", "010", "00"],
    "missing": ["", "NA", "?", "nan", "None"],
    "unit": ["12 kg", "13.5kg", "7 lb", "$3", "$1,234.5", "12 %", "5%"],
    "sign": ["(1.5)", "\u22122", "(1,234)", "-3"],
    "other date": [
        "31.01.2020",
        "01/02/2000",
        "13/02/2000",
        "Jan 31, 2000",
        "20000131",
        "1/2/99",
        "2000-01",
        "5 May 2001",
    ],
    "other moment": ["31.01.2020 10:00", "1/2/2000 1:05 PM", "20000131 23:59"],
    "word": ["-", ".", "unknown", "<na>", "#DIV/0!", "NULL"],
    "case": ["Red", "red", "RED", "blue"],
    "text": ["soon", "nil", "a,b", "a;b", 'q "q"'],
    "odd": ["inf", "-inf", "1e400", "0x10", "1_000", "12345678901234567890123", "2020-13-01", "25:00"],
}


@pytest.mark.filterwarnings("ignore::dlarray.tables.TableWarning")
@pytest.mark.parametrize("seed", range(40))
def test_values_of_random_columns_are_read_alone(seed: int, tmp_path: Path) -> None:
    """Fitted to a mixture of kinds: other values give the same result alone and together, or raise the same error."""
    random = np.random.default_rng(seed)
    kinds = random.choice(list(TOKENS), random.integers(1, 4), replace=False)
    pool = [token for kind in kinds for token in TOKENS[kind]]
    cells = [str(c) for c in random.choice(random.choice(pool, 3), 20)]
    if seed % 2:  # nearly all values of one kind, which decides
        cells = [*map(str, random.choice(TOKENS[kinds[0]], 57)), *cells[:3]]
    others = [*dict.fromkeys(cells), *random.choice([t for tokens in TOKENS.values() for t in tokens], 6)]
    path = written(
        tmp_path / "t.csv", {"c": [c.replace('"', '""') for c in cells], "a": ["x", "y"] * (len(cells) // 2)}, ";"
    )
    table = Table.of(path)
    categorical, most = ["c"] * int(random.integers(2)), int(random.choice([2, 100]))
    p = Preprocessing.fit(table, keep=["c"], categorical=categorical, max_categories=most)
    np.testing.assert_array_equal(p.transform(table.typed), p.transform(table.raw))
    alone: list[np.ndarray] = []
    refused: list[str] = []
    for value in others:
        try:
            alone.append(p.transform(pl.DataFrame({"c": [value], "a": ["x"]})))
        except ValueError:
            refused.append(value)
    together = pl.DataFrame({"c": [v for v in others if v not in refused]}).with_columns(a=pl.lit("x"))
    np.testing.assert_array_equal(p.transform(together), np.concatenate(alone))
    for value in refused:
        with pytest.raises(ValueError, match="column 'c' held"):
            p.transform(pl.DataFrame({"c": [*together["c"], value]}).with_columns(a=pl.lit("x")))
