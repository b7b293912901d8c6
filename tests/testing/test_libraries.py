"""The kit on libraries that no row of the test matrix names, where they are installed: no fault that is not listed."""

from __future__ import annotations

import pytest

from dlarray.testing import suite

EVERYTHING: tuple[str, ...] = ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "parts"),
    [
        ("marray", EVERYTHING),
        ("pint", EVERYTHING),
        ("dask", ("contract", "functions", "activations", "lazy")),
        ("ndonnx", ("contract",)),
    ],
)
def test_a_library_has_the_faults_that_its_file_lists_and_no_other(device: str, parts: tuple[str, ...]) -> None:
    _, missing = suite.plan([device], ["float32"])
    if missing:
        pytest.skip(missing[0][1])
    report = suite.matrix([device], ["float32"], suite.all_checks(parts))
    wrong = [r for r in report.columns[0].results if r.outcome in ("fail", "xpass", "blocked")]
    assert not wrong, "\n".join(f"{r.outcome} {r.part}: {r.name}  # {r.reason}" for r in wrong)
