"""Run random programs, and print those that fail as source."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from tests.fuzz.networks import drawn
from tests.fuzz.programs import written
from tests.fuzz.sessions import failure
from tests.fuzz.shrinking import is_failure, shrink

EXECUTORS = ("ufuncs", "numba")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--executors", default="ufuncs", help=f"some of {', '.join(EXECUTORS)}; numba compiles each kernel"
    )
    parser.add_argument("--stop", type=int, default=10, help="stop after so many failures")
    parser.add_argument("--whole", action="store_true", help="print failures as they are found, without shrinking")
    args = parser.parse_args()
    counts: Counter[str] = Counter()
    for seed in range(args.seed, args.seed + args.programs):
        for name in args.executors.split(","):
            counts[_outcome(seed, name, args.whole)] += 1
        if (seed + 1 - args.seed) % 500 == 0 or seed + 1 == args.seed + args.programs:
            print(f"seeds {args.seed} to {seed}: {dict(counts)}", flush=True)
        if counts["failed"] >= args.stop:
            break
    return 1 if counts["failed"] else 0


def _outcome(seed: int, name: str, whole: bool) -> str:
    case = drawn(seed) if seed % 10 == 9 else written(seed)
    check = seed % 4 != 3

    def found(case: Any) -> str:
        return failure(case, name, check)

    what = found(case)
    if is_failure(what):
        small = case if whole else shrink(case, found)
        print(f"seed {seed}, {name}, check={check}: {found(small)}\n{small.text()}\n", flush=True)
        return "failed"
    return what.split(":")[0] or "equal"


if __name__ == "__main__":
    sys.exit(main())
