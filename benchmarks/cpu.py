"""How fast dlarray is on a CPU, beside others and beside its limit, the time of the step's matrix products alone.

    python benchmarks/cpu.py --cases S,M,L,XL --rivals all --json FILE --png FILE
    python benchmarks/cpu.py --cases M,L --rivals torch,jax --variants
    python benchmarks/cpu.py --cases none --growth --predict --json FILE
    python benchmarks/cpu.py --markdown FILE...

Every library has a process of its own, they take turns in short bursts, and all have the same threads, initial weights
and batches. What is not installed is reported as absent: pip install -e ".[bench]" brings everything.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import environment


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="S,M,L,XL", help="of S, M, L, XL, or such as 784-256-10x128; none")
    parser.add_argument("--ours", default="all", help="all, or of products,numpy,fast,eager,jax,torch,torch compiled")
    parser.add_argument("--rivals", default="all", help="all, none, or of torch,jax,sklearn,keras,thinc,tinygrad")
    parser.add_argument("--variants", action="store_true", help="each case with tanh, GELU, dropout, … besides")
    parser.add_argument("--predict", action="store_true", help="inference at batch 1 and 4096 of S, M and L")
    parser.add_argument("--growth", action="store_true", help="time and memory against size, and time to start")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--png", type=Path, help="draw them into this file")
    parser.add_argument("--markdown", type=Path, nargs="+", metavar="FILE", help="print tables of such files, no run")
    parser.add_argument("--threads", type=int, default=2, help="of every process (default 2)")
    parser.add_argument("--bursts", type=int, default=30, help="bursts of each player (default 30)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one burst (default 0.1)")
    parser.add_argument("--check", type=int, default=50, help="steps whose losses are compared (default 50; 0: none)")
    parser.add_argument("--patience", type=float, default=120, help="seconds that a player may be silent (default 120)")
    parser.add_argument("--budget", type=float, default=60, help="seconds for one point of --growth (default 60)")
    return parser.parse_args()


def tell(words: str) -> None:
    """Progress, on standard error."""
    print(words, file=sys.stderr, flush=True)


def chosen_cases(text: str, variants: bool) -> list[Any]:
    """The cases by name, and where asked for their variants."""
    import steps

    from dlarray.bench import Case

    try:
        plain = [Case.named(name.strip()) for name in text.split(",") if name.strip() not in ("", "none")]
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    varied = [case.varied(name, **fields) for case in plain for name, fields in steps.VARIANTS.items()]
    return plain + (varied if variants else [])


def measure(options: argparse.Namespace, conditions: list[str]) -> dict[str, Any]:
    """All that was asked for. What is done is kept in the file while the rest goes on."""
    import growth
    import inference
    import players
    import steps

    from dlarray.bench import machine

    cases = chosen_cases(options.cases, options.variants)
    ours, rivals = players.chosen_ours(options.ours), players.chosen_rivals(options.rivals)
    settings = steps.Settings(options.bursts, options.seconds, options.check, options.patience)
    result: dict[str, Any] = {"machine": machine(players.PACKAGES), "conditions": conditions, "cases": {}}
    result["settings"] = {"bursts": options.bursts, "seconds": options.seconds, "figure": "10th percentile of bursts"}
    for case in cases:
        result["cases"][case.name] = steps.measure(case, ours, rivals, settings, tell)
        keep(result, options.json)
    if options.predict:
        result["predict"] = inference.measure(options.rivals, settings, tell)
        keep(result, options.json)
    if options.growth:
        result["growth"] = growth.measure(options.budget, tell)
        result["start"] = growth.start(tell)
        keep(result, options.json)
    return result


def keep(result: dict[str, Any], path: Path | None) -> None:
    """Write the figures, if to a file."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print, write, draw."""
    options = arguments()
    conditions = environment.prepare(options.threads)  # before anything imports NumPy
    import report

    if options.markdown:
        print("\n\n".join(report.markdown(json.loads(path.read_text(encoding="utf-8"))) for path in options.markdown))
        return
    for words in conditions:
        tell(words)
    result = measure(options, conditions)
    if result["cases"]:
        print(report.text(result))
        if options.png:
            options.png.parent.mkdir(parents=True, exist_ok=True)
            report.draw(result, options.png)
    if {"predict", "growth"} & result.keys():
        print(report.markdown(result | {"cases": {}}))


if __name__ == "__main__":
    main()
