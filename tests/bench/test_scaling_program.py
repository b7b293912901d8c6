"""The program that measures ranks: what it reports from given times, its plans, and one real trial."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

import pytest

from dlarray.bench import Case, scaling
from tests.parallel.ranks import unavailable
from tests.support.process import ROOT

PROGRAMS = ROOT / "benchmarks"
CORES = 2
COST = scaling.StepCost(2e-4, 7e-6, 1e-4, contention=0.1, sharing=8e-5)
INSIDE = scaling.Link(2e-5, 4e9, 1e-10, 1e-5, cache=2**19, memory_bandwidth=1e9)
CROWDED = scaling.Link(2e-4, 2e9, 2e-10, 1e-4, cache=3 * 2**17, memory_bandwidth=5e8)
WIRE = scaling.Link(1e-3, 12.5e6, 1e-10, 1e-4)
WIRED = "100 Mbit/s, 1 ms"
OPERATIONS = (scaling.all_reduce, scaling.reduce_scatter, scaling.all_gather)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(PROGRAMS))
    return {
        name: importlib.import_module(name)
        for name in ("scaling", "scaling_link", "scaling_evaluation", "scaling_report", "scaling_picture")
    }


def link_of(where: str, ranks: int) -> scaling.Link:
    return {("this machine", 4): CROWDED, ("this machine", 2): INSIDE}.get((where, ranks), WIRE)


def results(programs: dict[str, Any]) -> dict[str, Any]:
    """A file of results in which every time is the model's."""
    plan_of, together, sizes = programs["scaling"].plan_of, programs["scaling"].together, programs["scaling"].SIZES
    cases = {name: programs["scaling"].CASES[name] for name in ("small batch", "calibration")}
    starts: list[dict[str, Any]] = []
    for where, ranks in (("this machine", 1), ("this machine", 2), ("this machine", 4), (WIRED, 2), (WIRED, 4)):
        plan = plan_of(cases, ranks, sizes, 0.1)
        if where == WIRED:
            plan |= {"sums": sizes[:5], "steps": together("small batch", cases["small batch"], 6)}
        link = link_of(where, ranks)
        sums = {str(m): collectives(link, ranks, m) for m in plan["sums"] if ranks > 1}
        steps = [
            step | {"seconds": seconds(step, link, ranks), "times": spread(step, seconds(step, link, ranks))}
            for step in plan["steps"]
        ]
        update = dict.fromkeys(plan["update"], COST.update)
        starts.append({"link": where, "ranks": ranks, "threads": 1, "sums": sums, "steps": steps, "update": update})
    about = {"cpu": "a CPU", "blas": "OpenBLAS", "blas_core": "Zen", "versions": {"numpy": "2"}, "os": "Linux"}
    about |= {"load": 0.1, "mpi": "MPICH Version:      5.0.2"}
    rest = {"conditions": ["1 thread for each rank"], "cores": CORES, "no_links": "", "quick": False}
    return {"machine": about, "cases": cases, "starts": starts, **rest}


def collectives(link: scaling.Link, ranks: int, size: int) -> dict[str, float]:
    single = {f.__name__: link.seconds(f(ranks, size)) for f in OPERATIONS}
    return single | {"at_once": link.seconds(*[scaling.all_reduce(ranks, size)] * 8)}


def seconds(step: dict[str, Any], link: scaling.Link, ranks: int) -> float:
    case = Case.named(step["case"])
    if step["kind"] == "alone":
        return COST.slowdown(ranks, CORES) * (COST.gradient(step["batch"]) + COST.update)
    work, shared = scaling.layers(case.widths), {"on_one_machine": ranks, "cores": CORES}
    return scaling.predict(work, COST, link, case.batch, ranks, shard=step["kind"] == "sharded", **shared).seconds


def spread(step: dict[str, Any], low: float) -> list[float] | None:
    return [low, low, 1.5 * low] if step.get("spread") else None


def test_times_of_the_model_are_predicted_exactly(programs):
    found = programs["scaling_evaluation"].Evaluation(results(programs))
    assert len(found.compared) == 8  # two kinds, on 2 and 4 ranks, on both links
    assert [one.deviation for one in found.compared] == pytest.approx([0.0] * 8, abs=1e-6)
    cost = found.costs["small batch"][1].value
    assert (cost.fixed, cost.per_example, cost.contention) == pytest.approx((2e-4, 7e-6, 0.1))
    assert cost.sharing == pytest.approx(8e-5)
    wire = found.links[WIRED, 0].value
    assert (wire.latency, wire.bandwidth, wire.overhead) == pytest.approx((1e-3, 12.5e6, 1e-4))
    assert found.links["this machine", 0].value.cache == 2**19


def test_the_fastest_round_counts(programs):
    result = results(programs)
    slow = json.loads(json.dumps(result["starts"]))
    for start in slow:
        for step in start["steps"]:
            step["seconds"] *= 3
    result["starts"] += slow
    found = programs["scaling_evaluation"].Evaluation(result)
    assert max(abs(one.deviation) for one in found.compared) < 1e-6


def test_the_tables_are_written_into_the_page(programs, tmp_path):
    report = programs["scaling_report"]
    tables = report.tables(results(programs))
    assert "8 of 8 predictions are within 20 %; the largest difference is 0 %." in tables["steps"]
    assert "mean little" not in tables["machine"]
    page = tmp_path / "page.md"
    page.write_text("".join(f"text\n<!-- {name} -->\nold\n<!-- end -->\n" for name in tables))
    report.write_page(tables, page)
    once = page.read_text()
    assert "old" not in once
    assert all(text in once for text in tables.values())
    report.write_page(tables, page)
    assert page.read_text() == once
    page.write_text("no places")
    with pytest.raises(ValueError, match="<!-- machine -->"):
        report.write_page(tables, page)


def test_a_loaded_machine_is_named(programs):
    result = results(programs)
    result["machine"]["load"] = 7.0
    assert "mean little" in programs["scaling_report"].about(result)


def test_simulated_ranks_wait_for_the_slowest(programs):
    """A third of the steps takes 1.5 times as long: the speed-up is below the one without a spread."""
    report = programs["scaling_report"]
    found = programs["scaling_evaluation"].Evaluation(results(programs))
    free = scaling.Link(0.0, float("inf"))
    with_spread = report.speedup(found, "small batch", 64, free)
    found.spread["small batch"] = [1.0]
    without = report.speedup(found, "small batch", 64, free)
    one = 2e-4 + 128 * 7e-6 + 1e-4
    assert without == pytest.approx(one / (2e-4 + 2 * 7e-6 + 1e-4 + 8e-5))
    assert with_spread == pytest.approx(without * (1 + 0.5 / 3) / 1.5, rel=0.03)


def test_the_picture_is_drawn(programs, tmp_path):
    programs["scaling_picture"].draw(results(programs), tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


def test_the_page_has_a_place_for_every_table(programs):
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->\n" in page for name in programs["scaling_report"].tables(results(programs)))


def test_a_file_of_results_is_shown(programs, tmp_path):
    file = tmp_path / "scaling.json"
    file.write_text(json.dumps(results(programs)))
    command = [sys.executable, str(PROGRAMS / "scaling.py"), "--show", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 of 8 predictions" in done.stdout


TINY = {"name": "tiny", "case": "8-6-3x8", "epochs": 3}
PLAN = {
    "seconds": 0.01,
    "sums": [4096],
    "update": ["8-6-3x8"],
    "steps": [
        TINY | {"kind": "alone", "batch": 4, "spread": True},
        TINY | {"kind": "together", "batch": 8},
        TINY | {"kind": "sharded", "batch": 8},
    ],
}


def check_measured(found: dict[str, Any]) -> None:
    assert found["ranks"] == 2
    assert found["sums"]["4096"].keys() == {"all_reduce", "reduce_scatter", "all_gather", "at_once"}
    assert min(found["sums"]["4096"].values()) > 0
    assert [step["kind"] for step in found["steps"]] == ["alone", "together", "sharded"]
    assert all(step["seconds"] > 0 for step in found["steps"])
    assert len(found["steps"][0]["times"]) == 2 * 3  # two epochs are counted, of four steps without the first
    assert found["update"]["8-6-3x8"] > 0


@pytest.mark.slow
@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "ranks can be started")
def test_two_ranks_measure_a_plan(programs):
    check_measured(programs["scaling"].started([programs["scaling"].launcher(), "-n", "2"], PLAN))


@pytest.mark.slow
@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "ranks can be started")
def test_two_ranks_measure_a_plan_over_a_slow_link(programs):
    """Two machines: a sum of a few bytes takes at least the delay of 20 ms."""
    if missing := programs["scaling_link"].available():
        pytest.skip(missing)
    link = {"mbit": 100, "delay_us": 20_000, "mtu": 9000}
    found = programs["scaling"].started(programs["scaling"].on_link(link, 2, programs["scaling"].launcher()), PLAN)
    check_measured(found)
    assert min(found["sums"]["4096"].values()) >= 0.02
    assert all(step["seconds"] >= 0.02 for step in found["steps"][1:])


def test_ranks_that_fail_are_an_error_with_their_words(programs):
    with pytest.raises(RuntimeError, match=r"exit code \d+[\s\S]*unknown case 'none'"):
        programs["scaling"].started(["env"], {"seconds": 0.01, "sums": [], "update": ["none"], "steps": []})
