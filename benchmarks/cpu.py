"""How fast dlarray is on a CPU, beside other libraries and beside its limit, the time of the step's matrix products.

    python benchmarks/cpu.py --cases S,M,L,XL --baselines all --json FILE --png FILE
    python benchmarks/cpu.py --cases M,L --baselines torch,jax --variants
    python benchmarks/cpu.py --cases none --growth --predict --json FILE
    python benchmarks/cpu.py --markdown FILE...

Every library has a process of its own, they take turns in short bursts, and all have the same threads, initial weights
and batches. What is not installed is reported as absent: pip install -e ".[bench]" brings everything.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import environment

VARIANTS: dict[str, dict[str, Any]] = {
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid"},
    "GELU": {"activation": "gelu"},
    "dropout": {"dropout": 0.1},
    "layer norm": {"norm": True},
    "float64": {"dtype": "float64"},
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="S,M,L,XL", help="of S, M, L, XL, or such as 784-256-10x128; none")
    parser.add_argument(
        "--ours", default="all", help="all, or of products,numpy,fast,eager,jax,torch,torch compiled,onnx"
    )
    parser.add_argument(
        "--baselines", default="all", help="all, none, or of torch,jax,sklearn,keras,thinc,tinygrad,onnxruntime"
    )
    parser.add_argument("--variants", action="store_true", help="each case with tanh, GELU, dropout, … besides")
    parser.add_argument("--predict", action="store_true", help="inference at batch 1 and 4096 of S, M and L")
    parser.add_argument("--growth", action="store_true", help="time and memory against size, and time to start")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--png", type=Path, help="draw them into this file")
    parser.add_argument("--markdown", type=Path, nargs="+", metavar="FILE", help="print tables of such files, no run")
    parser.add_argument("--threads", type=int, default=2, help="of every process (default 2)")
    parser.add_argument("--bursts", type=int, default=30, help="bursts of each contender (default 30)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one burst (default 0.1)")
    parser.add_argument("--check", type=int, default=50, help="steps whose losses are compared (default 50; 0: none)")
    parser.add_argument("--patience", type=float, default=120, help="seconds a contender may be silent (default 120)")
    parser.add_argument("--budget", type=float, default=60, help="seconds for one point of --growth (default 60)")
    return parser.parse_args()


def measure(options: argparse.Namespace, conditions: list[str]) -> dict[str, Any]:
    """All that was asked for. What is done is kept in the file while the rest goes on."""
    import growth
    import inference
    from contenders import PACKAGES, chosen
    from dlarray.bench import machine
    from measure import Settings, chosen_cases, keep, measure
    from setting import Setting

    cases = chosen_cases(options.cases)
    if options.variants:
        cases += [case.varied(name, **fields) for case in cases for name, fields in VARIANTS.items()]
    wanted = chosen("cpu", options.ours, options.baselines)
    settings = Settings(options.bursts, options.seconds, options.check, options.patience)
    result: dict[str, Any] = {"machine": machine(PACKAGES["cpu"]), "conditions": conditions, "cases": {}}
    result["settings"] = {"bursts": options.bursts, "seconds": options.seconds, "figure": "10th percentile of bursts"}
    for case in cases:
        result["cases"][case.name] = measure(case, Setting(), wanted, settings, case.name).in_products()
        keep(result, options.json)
    if options.predict:
        result["predict"] = inference.measure(chosen("predict", baselines=options.baselines), settings)
        keep(result, options.json)
    if options.growth:
        result["growth"] = growth.measure(options.budget)
        result["start"] = growth.start()
        keep(result, options.json)
    return result


def main() -> None:
    """Measure, print, write, draw."""
    options = arguments()
    conditions = environment.prepare(options.threads)  # before anything imports NumPy
    import picture
    import report

    if options.markdown:
        print("\n\n".join(report.markdown(json.loads(path.read_text(encoding="utf-8"))) for path in options.markdown))
        return
    for words in conditions:
        environment.log(words)
    result = measure(options, conditions)
    if result["cases"]:
        print(report.cpu_text(result))
        if options.png:
            picture.draw(result, options.png)
    if {"predict", "growth"} & result.keys():
        print(report.markdown(result | {"cases": {}}))


if __name__ == "__main__":
    main()
