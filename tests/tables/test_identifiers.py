"""Columns that look like identifiers: left out with a reason, or used with a hint."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray.tables import Preprocessing  # noqa: E402
from tests.support.tables import with_warnings  # noqa: E402

rng = np.random.default_rng(5)
N = 60


def fit(columns: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """What is dropped and why, and the notes."""
    x = rng.normal(size=len(next(iter(columns.values()))))
    fitted, notes = with_warnings(lambda: Preprocessing.fit(pl.DataFrame({"x": x, **columns})))
    return dict(fitted.dropped), notes


@pytest.mark.parametrize("name", ["(unnamed)", "Unnamed: 0", "rownames", "row_names"])
@pytest.mark.parametrize("n", [3, 60])
def test_names_and_numbers_of_rows_are_never_features(name: str, n: int) -> None:
    reason = {name: "looks like an identifier: names or numbers of the rows"}
    assert fit({name: list(range(1, n + 1))}) == (reason, [])
    assert fit({name: [f"car {i}" for i in range(n)]}) == (reason, [])
    assert fit({name: [i % 2 for i in range(n)]})[0] == {}


@pytest.mark.parametrize("name", ["id", "user_id", "AirlineID", "customer id", "rowId", "uuid", "ssn", "order_key"])
def test_a_name_of_identifiers_drops_different_integers_and_hints_at_others(name: str) -> None:
    different = rng.permutation(10**6)[:N]
    assert fit({name: different})[0] == {name: "looks like an identifier: a different integer in every row"}
    repeated = different // 2 * 0 + np.arange(N) // 2 * 7919 % 1009
    dropped, notes = fit({name: repeated})
    shown = f"'{name}'" if " " in name else name
    assert dropped == {}
    assert notes == [f"column '{name}': its name is that of an identifier; to leave it out, use --drop {shown}"]


@pytest.mark.parametrize("name", ["valid", "humid", "AVOID", "paid", "grid", "idea", "kidney", "monkey"])
def test_other_names_are_no_identifiers(name: str) -> None:
    assert fit({name: rng.permutation(10**6)[:N]}) == ({}, [])


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([str(uuid.UUID(int=i % 20)) for i in range(N)], "UUIDs"),
        ([f"user{i % 20}@example.com" for i in range(N)], "addresses of e-mail"),
        ([f"https://example.com/{i % 20}" for i in range(N)], "addresses of pages"),
        ([f"123-45-67{i % 20:02}" for i in range(N)], "numbers of social security"),
        ([f"(555) 123-45{i % 20:02}" for i in range(N)], "numbers of phones"),
        ([f"+1 555 123 45{i % 20:02}" for i in range(N)], "numbers of phones"),
    ],
)
def test_values_that_look_like_identifiers_are_hinted_at(values: list[str], what: str) -> None:
    dropped, notes = fit({"code": values})
    assert dropped == {}
    assert notes == [f"column 'code': its values look like {what}; to leave it out, use --drop code"]
    assert not with_warnings(lambda: Preprocessing.fit(pl.DataFrame({"code": values}), keep=["code"]))[1]


@pytest.mark.parametrize("name", ["time", "year", "month", "day_of_study", "sampleWeek"])
def test_a_count_of_time_is_no_identifier(name: str) -> None:
    assert fit({name: list(range(1, N + 1))}) == ({}, [])
    assert fit({"count": list(range(1, N + 1))})[0] == {
        "count": "looks like an identifier: a different integer in every row"
    }


@pytest.mark.parametrize(
    ("usual", "other", "reason"),
    [
        ("{}.25", "<0.5", "numbers in text: 80 % are numbers, '<0.5' is not"),
        ("{} kg", "700 g", "numbers in text: 80 % are numbers, '700 g' is not"),
        ("1,{:03}.5", "1.5 K", "numbers in text: 80 % are numbers, '1.5 K' is not"),
        ("2020-01-01 10:{:02}", "soon", "dates in text: 80 % are dates, 'soon' is not"),
        ("2020-01-01 10:{:02}", "2020-01-01 11:00", "dates in text: 100 % are dates"),
        ("0{:03}", "x", "looks like an identifier: 49 distinct values in 60 rows"),
        ("n{}", "5", "looks like an identifier: 49 distinct values in 60 rows"),
    ],
)
def test_text_that_is_mostly_of_another_type_is_no_identifier(usual: str, other: str, reason: str) -> None:
    values = [other if i % 5 == 4 else usual.format(i) for i in range(N)]
    assert fit({"c": values})[0] == {"c": reason}
