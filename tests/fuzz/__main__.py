"""Run random programs, and print those that fail as source."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.fuzz.running import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--executors", default="ufuncs", help="ufuncs, or native, which compiles each step, or both")
    parser.add_argument("--stop", type=int, default=10, help="stop after so many failures")
    parser.add_argument("--whole", action="store_true", help="print failures without shrinking them")
    args = parser.parse_args()
    end = args.seed + args.programs
    total: Counter[str] = Counter()
    for start in range(args.seed, end, 100):
        reports, counts = fuzz(range(start, min(start + 100, end)), args.executors.split(","), args.whole)
        total += counts
        print(*reports, sep="\n", end="\n" if reports else "")
        print(f"seeds {args.seed} to {min(start + 100, end) - 1}: {dict(total)}", flush=True)
        if total["failed"] >= args.stop:
            break
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
