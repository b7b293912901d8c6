"""How fast dlarray is on a GPU, beside PyTorch, JAX, the step's matrix products alone and the roofline.

    python benchmarks/gpu.py --json FILE --png FILE
    python benchmarks/gpu.py --cases M,XL --precisions tf32 --baselines jax
    python benchmarks/gpu.py --device cpu --cases S,M
    python benchmarks/gpu.py --device cpu --quick

NO GPU HAS RUN THIS YET. With --device cpu all of it runs without one: dlarray on NumPy, PyTorch and JAX on the CPU;
what needs a GPU is absent and says so. benchmarks/README.md says what to install.

Every contender has a process of its own, and they take turns on one GPU. Steps are pipelined, at least 200 to a round,
and timed by the wall and by CUDA's events; the figure is the median of seven rounds. All have the same weights and
batches, which lie on the device before anything is timed, and each library's precision is set by its own switch.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import environment


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="where (default cuda)")
    parser.add_argument("--cases", help="of S,M,L,XL,XL 8192, or such as 784-256-10x128 (default all; on a CPU S,M)")
    parser.add_argument("--precisions", help="of float32,tf32,bfloat16 (default all that the device has)")
    parser.add_argument("--ours", default="all", help="all, or of products,eager,fused,captured,epilogues,repeated,…")
    parser.add_argument("--baselines", default="all", help="all, none, or of torch,jax")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--png", type=Path, help="draw them into this file")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of such a file, no run")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every process (default all cores)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each contender (default 7)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of a round, if more than --least (default 0.2)")
    parser.add_argument("--least", type=int, help="steps of a round at least (default 200; on a CPU 20)")
    parser.add_argument("--check", type=int, default=200, help="steps whose losses are compared (default 200)")
    parser.add_argument("--together", type=int, default=16, help="steps in one CUDA graph of many (default 16)")
    parser.add_argument("--patience", type=float, default=600, help="seconds a contender may be silent (default 600)")
    parser.add_argument("--quick", action="store_true", help="S alone, few steps: to see that it runs, not how fast")
    return parser.parse_args()


def chosen_precisions(text: str) -> list[str]:
    """The precisions by name."""
    from setting import PRECISIONS

    names = [name.strip() for name in text.split(",")]
    if unknown := set(names) - set(PRECISIONS):
        raise SystemExit(f"error: unknown precisions {', '.join(sorted(unknown))}; choose from {', '.join(PRECISIONS)}")
    return names


def measure(options: argparse.Namespace, conditions: list[str]) -> dict[str, Any]:
    """All that was asked for. What is done is kept in the file while the rest goes on."""
    from contenders import PACKAGES, chosen
    from dlarray.bench import machine
    from measure import Settings, chosen_cases, keep, measure
    from roofline import floor_us, peaks
    from setting import Setting
    from targets import targets

    quick, on_cpu = options.quick, options.device == "cpu"
    cases = chosen_cases(options.cases or ("S" if quick else "S,M" if on_cpu else "S,M,L,XL,XL 8192"))
    all_precisions = "float32" if quick and on_cpu else "float32,bfloat16" if on_cpu else "float32,tf32,bfloat16"
    precisions = chosen_precisions(options.precisions or all_precisions)
    wanted = chosen("gpu", options.ours, options.baselines)
    least = options.least or (20 if on_cpu else 200)
    settings = Settings(options.rounds, options.seconds, options.check, options.patience, least)
    setting = Setting(options.device, together=options.together)
    if on_cpu:
        setting = replace(setting, graphs=2, large=2048)
    if quick:
        settings = Settings(2, 1e-3, 5, options.patience, 3)
        setting = replace(setting, together=2, graphs=1, large=128)
    result: dict[str, Any] = {
        "device": options.device,
        "machine": machine(PACKAGES["gpu"]),
        "gpu": environment.gpu(),
        "conditions": conditions,
        "settings": vars(settings) | {"together": setting.together, "in_one_call": setting.in_one_call},
        "peaks": {},
        "cases": {case.name: {} for case in cases},
        "gpus": [],
    }
    for precision in precisions:
        now = replace(setting, precision=precision)
        rates = peaks(now, options.patience, "PyTorch" in wanted)
        result["peaks"][precision] = rates
        for case in cases:
            outcome = measure(case, now, wanted, settings, f"{case.name} {precision}")
            result["cases"][case.name][precision] = outcome.in_microseconds(floor_us(case, now, rates))
            result["gpus"].append({"after": f"{case.name} {precision}", "gpu": environment.gpu()})  # clocks fall
            result["targets"] = targets(result)
            keep(result, options.json)
    return result


def main() -> None:
    """Measure, print, write, draw."""
    options = arguments()
    conditions = environment.prepare(options.threads, options.device)  # before anything imports NumPy
    import picture
    import report

    if options.show:
        result = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        for words in conditions:
            environment.log(words)
        result = measure(options, conditions)
    print(report.gpu_text(result))
    if not any(case["microseconds"] for precisions in result["cases"].values() for case in precisions.values()):
        raise SystemExit("error: nothing could be measured, for the reasons above; --device cpu needs no GPU")
    if options.png:
        picture.draw(result, options.png)


if __name__ == "__main__":
    main()
