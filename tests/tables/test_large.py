"""Training on a table in blocks: what is decided is what is decided with the whole table in memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import memory  # noqa: E402
from dlarray.tables.kept_rows import KeptRows, row_numbers_as_uniform  # noqa: E402
from dlarray.tables.large import distinct, sample  # noqa: E402
from dlarray.tables.large.distinct import Distinct, ValueCounts  # noqa: E402
from dlarray.tables.large.moments import Moments  # noqa: E402
from tests.support.process import python  # noqa: E402
from tests.support.tables import SETTINGS, messages, mixed_frame, with_warnings  # noqa: E402

SMALL = 20_000  # bytes, so that a few hundred rows are many blocks


@pytest.fixture(autouse=True)
def tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LEAST", 1)


def awkward_frame(n: int = 400) -> Any:
    """Columns of every kind, also those that are dropped."""
    rng = np.random.default_rng(7)
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2025, 1, 1), eager=True)
    frame = mixed_frame(n)
    return frame.with_columns(
        pl.Series("day", [days[int(i)] for i in rng.integers(0, len(days), n)]),
        pl.Series("moment", [1e6 * int(i) for i in rng.integers(0, 10**9, n)]).cast(pl.Int64).cast(pl.Datetime("us")),
        pl.Series("constant", [3] * n),
        pl.Series("empty", [None] * n, dtype=pl.Float64),
        pl.Series("row", range(n)),
        pl.Series("name", [f"person {i}" for i in range(n)]),
        pl.Series("customer_id", rng.permutation(n) * 7),
        pl.Series("far", [1e300, -1e300, *rng.normal(size=n - 2)]),
        pl.Series("case", rng.choice(["Yes", "yes", "no"], n)),
        pl.Series("zeros", np.where(rng.random(n) < 0.995, 0.0, 1.0)),
    )


def assert_close(a: Any, b: Any, path: str = "") -> None:
    """Equal, numbers up to rounding."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_close(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_close(*pair, f"{path}[{i}]")
    elif isinstance(a, float):
        assert math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12), (path, a, b)
    else:
        assert a == b, path


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("target", ["whole", "gaps", "colour", "flag", "day", "case"])
@pytest.mark.parametrize("options", [{}, {"categorical": ["count", "row"], "keep": ["customer_id"], "drop": ["far"]}])
def test_the_preprocessing_is_that_of_the_whole_table(
    kind: str, target: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path, frame = tmp_path / f"t.{kind}", awkward_frame()
    _ = frame.write_parquet(path, row_group_size=50) if kind == "parquet" else frame.write_csv(path)
    given = {"validation": 0, "progress": False, **options}
    whole, notes = with_warnings(lambda: tables.prepare(path, target, memory="1GB", **given))
    large, large_notes = with_warnings(lambda: tables.prepare(path, target, memory=SMALL * 20, **given))
    assert isinstance(large, tables.LargePrepared)
    assert len(large.blocks) > 3
    assert_close(whole.preprocessing.as_data(), large.preprocessing.as_data())
    assert_close(whole.target.as_data(), large.target.as_data())
    assert whole.task_reason == large.task_reason
    assert sorted(set(notes)) == sorted(set(large_notes))
    parts = [large.blocks.read(i) for i in range(len(large.blocks))]
    np.testing.assert_allclose(np.concatenate([x for x, _, _ in parts]), whole.x, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([t for _, t, _ in parts]), whole.t, atol=1e-6)
    assert [len(t) for _, t, _ in parts] == list(large.blocks.lengths)
    if large.class_counts is not None:
        assert large.class_counts.tolist() == np.bincount(whole.t).tolist()


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def late(path: Path, value: str, name: str = "x", rows: int = 3000) -> Path:
    """A CSV with a value that its kind does not have, in a late line that no sample of few rows has."""
    lines = [f"{i % 17},{i % 5}.5,w{i % 3}" for i in range(rows)]
    lines[rows - 20] = lines[rows - 20].replace(f"{(rows - 20) % 5}.5", value)
    return written(path, [f"y,{name},c", *lines])


@pytest.mark.parametrize("value", ["soon", "2020-01-01"])
def test_a_late_value_of_another_kind_is_missing_and_reported(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "BLOCKS", 2)
    monkeypatch.setattr("dlarray.tables.large.preparing.LEAST_ROWS", 100)
    path = late(tmp_path / "t.csv", value)
    large, notes = with_warnings(lambda: tables.prepare(path, "y", task="classification", memory=SMALL, progress=False))
    assert len(large.blocks) > 10
    assert notes == [f"column 'x': '{value}' in line 2,982 is no number; taken as missing"]
    column = next(c for c in large.preprocessing.columns if c.name == "x")
    assert column.missing == 1
    assert column.format.missing == (value,)
    features = np.concatenate([large.blocks.read(i)[0] for i in range(len(large.blocks))])
    assert features[:, list(large.preprocessing.features).index("x missing")].sum() == 1


def test_a_column_whose_values_do_not_fit_the_sample_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "BLOCKS", 2)
    monkeypatch.setattr("dlarray.tables.large.preparing.LEAST_ROWS", 20)
    lines = [f"{i % 2},{i}" if not 500 < i < 1500 else f"{i % 2},w{i}" for i in range(2000)]
    path = written(tmp_path / "t.csv", ["y,x", *lines])
    with pytest.raises(ValueError, match=r"column 'x' has numbers in the sample .* first 'w501' in line 503: read it"):
        tables.prepare(path, "y", memory=SMALL, progress=False)


def test_an_unknown_class_in_a_late_block_is_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BLOCKS", 2)
    lines = [f"{'rare' if i == 1990 else 'ab'[i % 2]},{i % 7}" for i in range(2000)]
    path = written(tmp_path / "t.csv", ["y,x", *lines])
    large = tables.prepare(path, "y", memory=SMALL, validation=0, progress=False)
    assert large.target.names == ("a", "b", "rare")
    assert large.class_counts.tolist() == [999, 1000, 1] or large.class_counts.tolist() == [1000, 999, 1]


@pytest.mark.parametrize(
    ("options", "word"), [({"folds": 5}, "folds are for tables that fit"), ({"seeds": 3}, "3 networks would read")]
)
def test_what_would_read_the_table_many_times_is_refused(options: dict[str, Any], word: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame().write_parquet(path)
    with pytest.raises(ValueError, match=word):
        tables.prepare(path, "whole", memory=SMALL, **options)


def rows_of(large: tables.LargePrepared, name: str) -> tuple[list[Any], list[Any]]:
    """The values of a column in the rows for training and for validation."""
    frame = pl.concat(large.blocks.table.frames())
    numbers = np.concatenate([b.first + np.arange(b.most_rows) for b in large.blocks.table.blocks])
    out = large.split.held_out(frame, numbers)
    return frame[name].filter(~out).to_list(), frame[name].filter(out).to_list()


def test_groups_and_times_are_on_one_side(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = awkward_frame(2000).with_columns(pl.Series("group", [f"g{i % 50}" for i in range(2000)]))
    frame.write_parquet(path, row_group_size=100)
    given = {"memory": SMALL * 40, "progress": False, "features": ["gaps", "size"]}
    training, validation = rows_of(tables.prepare(path, "whole", group="group", **given), "group")
    assert not set(training) & set(validation)
    assert 0 < len(validation) < 1000
    training, validation = rows_of(tables.prepare(path, "whole", time="day", **given), "day")
    assert max(training) < min(validation)
    assert abs(len(validation) - 400) < 150  # the time is a quantile of a sample of 500 rows


def test_the_split_does_not_depend_on_the_blocks(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    awkward_frame(2000).write_parquet(path, row_group_size=100)
    given = {"progress": False, "features": ["gaps", "size"]}
    found = [rows_of(tables.prepare(path, "whole", memory=m, **given), "row") for m in (SMALL * 40, SMALL * 100)]
    assert found[0] == found[1]
    assert abs(len(found[0][1]) - 400) < 60


@pytest.mark.parametrize("target", ["whole", "colour"])
def test_a_model_learns_from_blocks(target: str, tmp_path: Path) -> None:
    path, test = tmp_path / "t.parquet", tmp_path / "test.parquet"
    rng = np.random.default_rng(0)
    frame = mixed_frame(3000).with_columns(whole=pl.col("count") * 3.0 + pl.Series(rng.normal(0, 0.1, 3000)))
    frame = frame.with_columns(colour=pl.when(pl.col("count") > 2).then(pl.lit("red")).otherwise(pl.lit("blue")))
    frame.head(2500).write_parquet(path, row_group_size=100)
    frame.tail(500).write_parquet(test)
    options = {**SETTINGS, "epochs": 20, "hidden": (16,), "optimizer": "adam", "class_weight": None}
    if target == "colour":
        options["balanced"] = True
    options["features"] = ["count", "gaps", "size"]
    model = tables.train(path, target, memory=SMALL * 10, test=test, **options)
    name, least = ("r2", 0.95) if target == "whole" else ("accuracy", 0.97)
    assert model.facts["metrics"][name] > least
    assert model.facts["measured_on"] == "test"
    assert model.facts["rows_measured"] == 500
    assert model.facts["blocks"]["number"] > 5
    assert model.evaluate(test)[name] == pytest.approx(model.facts["metrics"][name])
    assert model.facts["importance"][0]["column"] == "count"


def test_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame(600).write_parquet(path, row_group_size=50)
    found = [tables.train(path, "whole", memory=SMALL * 10, **SETTINGS).predict(path) for _ in range(2)]
    assert found[0].equals(found[1])


def test_predictions_of_a_large_table_are_those_of_the_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = mixed_frame(600)
    model = tables.train(frame.head(300), "size", **SETTINGS)
    frame.with_columns(colour=pl.lit("new"), extra=1).write_parquet(path, row_group_size=50)
    whole, notes = with_warnings(lambda: model.predict(path))
    parts, large_notes = with_warnings(lambda: list(model.parts(path, memory=SMALL)))
    assert len(parts) > 5
    probabilities = pl.concat([model.predictions(x) for _, x in parts]).drop("prediction").to_numpy()
    np.testing.assert_allclose(probabilities, whole.drop("prediction").to_numpy(), atol=1e-6)
    assert len(large_notes) == len(notes)
    assert any("600 in all blocks" in note for note in large_notes)
    (exact, rows, measured), _ = with_warnings(lambda: model.measure(path))
    assert rows == measured == 600
    assert with_warnings(lambda: model.measure(path, memory=SMALL * 10))[0][0] == pytest.approx(exact, rel=1e-6)


def test_a_resumed_training_gives_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame(600).write_parquet(path, row_group_size=50)
    given = {**SETTINGS, "memory": SMALL * 10, "early_stopping": False}
    whole = tables.train(path, "whole", **{**given, "epochs": 3})
    tables.train(path, "whole", checkpoints=tmp_path / "c", **{**given, "epochs": 1})
    resumed = tables.train(path, "whole", checkpoints=tmp_path / "c", resume=True, **{**given, "epochs": 3})
    assert resumed.predict(path).equals(whole.predict(path))


def test_a_table_whose_features_are_cached_is_read_in_the_first_epoch_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame(400).write_parquet(path, row_group_size=50)
    given: dict[str, Any] = {"memory": SMALL, "hidden": (8,), "progress": False, "early_stopping": False}
    expected = tables.train(path, "whole", **given, epochs=3)
    prepared = tables.prepare(path, "whole", **given, epochs=3, cache=tmp_path)
    assert isinstance(prepared, tables.LargePrepared)
    assert dict(prepared.lines("{}={}".format))["cache"].endswith(f" in {tmp_path}")
    without = str(tables.prepare(path, "whole", **given))
    assert "none: each epoch reads the table again; cache='FOLDER' keeps the features, " in " ".join(without.split())
    reads, read = [], type(prepared.blocks).read
    monkeypatch.setattr(type(prepared.blocks), "read", lambda self, i: reads.append(i) or read(self, i))
    found = prepared.train()
    assert found.trained.history.steps == expected.trained.history.steps
    assert len(reads) <= len(prepared.blocks) + 1  # and one row for its types
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_missing_folder_for_the_cache_is_an_error_before_the_table_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame(400).write_parquet(path, row_group_size=50)
    monkeypatch.setattr("dlarray.tables.large.preparing.sample_of", lambda *given: pytest.fail("the table was read"))
    for folder, error in ((tmp_path / "none", FileNotFoundError), (path, NotADirectoryError)):
        with pytest.raises(error) as found:
            tables.prepare(path, "whole", memory=SMALL, cache=folder)
        assert found.value.filename == str(folder)


def test_moments_are_those_of_all_numbers() -> None:
    x = np.random.default_rng(0).normal(1e6, 1.0, 1000)
    found = Moments()
    for part in np.split(x, [3, 3, 500, 999]):
        found.add(part)
    assert found.mean == pytest.approx(np.mean(x), rel=1e-15)
    assert found.deviation == pytest.approx(np.std(x), rel=1e-9)
    filled = found.with_copies(100, 1e6)
    assert filled.deviation == pytest.approx(np.std(np.append(x, [1e6] * 100)), rel=1e-9)


@pytest.mark.parametrize("number", [0, 1, 1000, 200_000])
def test_the_number_of_different_values(number: int) -> None:
    found = Distinct()
    values = pl.Series(range(number), dtype=pl.Int64)
    for part in (values, values.head(10), values.reverse()):
        found.add(part)
    assert found.number == pytest.approx(number, rel=0.015)
    assert found.number == number or found.full


def test_frequent_values_are_kept_if_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "PENDING", 100)
    counts = ValueCounts(200)
    for part in range(50):
        values = pl.Series(["often"] * 30 + [f"once {part} {i}" for i in range(20)])
        counts.add(values, values)
    frame = counts.frame()
    assert not counts.exact
    assert frame.height <= 220
    assert dict(frame.select("value", "rows").iter_rows())["often"] == 1500


def test_kept_rows_are_those_with_the_smallest_numbers() -> None:
    numbers = np.arange(200_000)
    keys = row_numbers_as_uniform(numbers, 0, "test")
    assert keys[70_000] == row_numbers_as_uniform(np.array([70_000]), 0, "test")[0]
    kept = KeptRows(100)
    for part in np.array_split(numbers, 40):
        kept.add(pl.DataFrame({"row": part}), keys[part])
    assert kept.frame()["row"].to_list() == sorted(np.argsort(keys)[:100].tolist())


LIMITED = """
import resource, warnings
warnings.simplefilter("ignore")
from dlarray import tables
import polars as pl
path = {path!r}
small = pl.DataFrame({{"x": [i * i % 97 / 8 for i in range(500)], "y": [i % 7 / 3 for i in range(500)]}})
tables.train(small, "y", hidden=(4,), epochs=1, seeds=1, progress=False)
def now():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
limit = now() + {room}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
model = tables.train(path, "y", memory={memory}, hidden=(4,), epochs=1, batch_size=4096, progress=False)
print(model.facts["rows"]["training"] + model.facts["rows"]["validation"], model.measure(path, memory={memory})[1])
"""


def test_a_table_that_needs_four_times_the_memory_limit_is_trained_on(tmp_path: Path) -> None:
    """The process may allocate a quarter of what the table would need, besides what it has after a small training."""
    path, rows = tmp_path / "t.parquet", 100_000
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": rng.normal(size=rows).round(3) for i in range(39)})
    frame.with_columns(y=pl.col("x0") * 2 + pl.col("x1")).write_parquet(path, row_group_size=8192)
    whole = memory.needed(rows, 40)
    code = LIMITED.format(path=str(path), room=whole // 4, memory=whole // 16)
    assert python(code, OMP_NUM_THREADS="1", POLARS_MAX_THREADS="2") == f"{rows} {rows}"


def test_a_far_target_outside_of_the_sample_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BLOCKS", 20)
    monkeypatch.setattr("dlarray.tables.large.preparing.LEAST_ROWS", 100)
    for value, written_as in (("1e30", "1e+30"), ("-999999", "-999999")):
        path = late(tmp_path / "t.csv", value)
        large, notes = with_warnings(lambda p=path: tables.prepare(p, "x", memory=SMALL, progress=False))
        assert len(large.blocks) > 10
        assert notes == [
            f"column 'x': a row is {written_as}, far from those of a sample, and decides the metrics: if it is wrong, "
            f"correct it; if it means missing, use --missing {written_as}"
        ]


def test_rows_of_several_lines_are_held_out_as_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not more rows are held out than can be kept, and this is no reason to hold out fewer."""
    monkeypatch.setattr("dlarray.tables.large.preparing.LEAST_ROWS", 300)
    lines = [f'{i % 17},{i % 5}.5,"two\nlines"' for i in range(1000)]
    path = written(tmp_path / "t.csv", ["y,x,c", *lines])
    large = tables.prepare(path, "y", task="regression", memory=SMALL, validation=0.2, progress=False)
    assert isinstance(large, tables.LargePrepared)
    assert 150 < large.held_out < 250


def test_messages_of_a_whole_and_a_large_table_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    awkward_frame().write_csv(path)
    found = [messages(lambda m=m: tables.prepare(path, "whole", memory=m, progress=False)) for m in ("1GB", SMALL * 20)]
    assert found[0] == found[1]
