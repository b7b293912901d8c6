"""Check every array library in one process, and write the page on them: python .ci/matrix.py docs/array_libraries.md.

The report goes to the folder out, as JSON and as a page. ``--report out/matrix.json`` writes the page from an earlier
one. ``--device torch,jax`` checks these alone. The text of the page is in docs/_libraries, with what the authors of
each library could mend: each program there is run, and left out with a message if it prints something else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from string import Template
from subprocess import run
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlarray.testing.check import Check, Result

ROOT = Path(__file__).parent.parent
LIBRARIES = {  # device: how the page names its library, in this order
    "cpu": "NumPy",
    "strict": "array-api-strict",
    "torch": "PyTorch",
    "jax": "JAX",
    "marray": "marray",
    "dask": "Dask",
    "mlx": "MLX",
    "paddle": "Paddle",
    "tensorflow": "TensorFlow",
    "pint": "Pint",
    "ndonnx": "ndonnx",
    "onnx": "onnxruntime",
    "tinygrad": "tinygrad",
    "cubed": "Cubed",
    "mparray": "mparray",
    "dpnp": "dpnp",
}
SLOW = {"dask", "ndonnx", "tinygrad", "cubed", "mparray"}
"""Devices that take long for each operation, which they record, compile or do in Python. The contract, the functions
and one training run are checked here, in minutes. ``dlarray matrix`` has all checks, and can take an hour."""
Column = dict[str, Any]


def prepare() -> None:
    """One thread for each library, a compiler for tinygrad, and dpnp imported first, as its runtime demands."""
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "DASK_SCHEDULER": "synchronous",
        "CUBED_SPEC__EXECUTOR_NAME": "single-threaded",
    }
    if "CC" not in os.environ and find_spec("ziglang"):
        compiler = Path(tempfile.mkdtemp()) / "clang"
        compiler.write_text(f'#!/bin/sh\nexec {sys.executable} -m ziglang clang "$@"\n', encoding="utf-8")
        compiler.chmod(0o755)
        os.environ["CC"] = str(compiler)
    if find_spec("dpnp"):
        os.environ.setdefault("OCL_ICD_FILENAMES", str(Path(sys.prefix) / "lib" / "libintelocl.so"))
        import dpnp  # pyright: ignore[reportMissingImports] # noqa: F401


def check(devices: list[str], folder: Path) -> dict[str, Any]:
    """The report on these devices as data; those that cannot be used are in it with the reason.

    The files are written after each device: a library that ends the process takes the others' results not with it.
    """
    from dlarray.device import DeviceError, resolve
    from dlarray.testing.page import page
    from dlarray.testing.report import Report
    from dlarray.testing.suite import matrix

    report, unusable, found = Report(()), dict[str, str](), dict[str, Any]()
    folder.mkdir(exist_ok=True)
    for device in devices:
        try:
            resolve(device)
        except DeviceError as error:
            unusable[device] = str(error).partition("\n")[0]
            continue
        part = matrix([device], checks=chosen(device))
        columns = tuple(replace(column, results=completed(column.results)) for column in part.columns)
        report = Report((*report.columns, *columns), (*report.missing, *part.missing))
        for column in columns:
            print(f"{column.column.name}: {column.counts}, {column.seconds:.0f} s", flush=True)
        found = report.data() | {"unusable": unusable}
        (folder / "matrix.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        (folder / "matrix.html").write_text(page(report), encoding="utf-8")
    return found


def chosen(device: str) -> list[Check]:
    """The checks of a device: all, or those that a library with long steps does in minutes."""
    from dlarray.testing.suite import all_checks

    if device not in SLOW:
        return all_checks()
    return [c for c in all_checks() if c.part in ("contract", "functions") or (c.part, c.name) == ("training", "dense")]


def completed(results: tuple[Result, ...]) -> tuple[Result, ...]:
    """The results in the order of all checks; one that was not chosen is skipped."""
    from dlarray.testing.check import Result
    from dlarray.testing.suite import all_checks

    found = {(result.part, result.name): result for result in results}
    absent = "not run here: all checks of this library take too long"
    return tuple(found.get((c.part, c.name), Result(c.part, c.name, "skip", reason=absent)) for c in all_checks())


def page(report: dict[str, Any]) -> str:
    """The page, and the findings in it."""
    columns = {(c["device"], c["dtype"]): c for c in report["columns"]}
    devices = [device for device in LIBRARIES if any(device == d for d, _ in columns)]
    trained = [d for d in devices if any(learns(columns[key]) for key in columns if key[0] == d)]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    rows = [row(device, columns.get((device, "float64")), columns.get((device, "float32"))) for device in devices]
    reasons = {c["name"]: c["reason"] for c in report["missing"]} | report.get("unusable", {})
    template = Template((ROOT / "docs" / "_libraries" / "page.md").read_text(encoding="utf-8"))
    return template.substitute(
        count=len(trained),
        rows="\n".join(rows),
        checks=len(report["columns"][0]["checks"]),
        versions=versions,
        platform=report["platform"].partition("-")[0],
        missing="".join(f"* `{name}` was not run: {reason}\n" for name, reason in reasons.items()) or "None.\n",
        findings="\n".join(findings(device) for device in LIBRARIES if path_of(device).exists()),
    )


def losses(column: Column) -> list[float]:
    """How far the losses of the training runs are from NumPy's, in ulp, where they are not too far."""
    checks = [c for c in column["checks"] if c["part"] == "training" and c["name"] != "predictions"]
    return [c["ulp"] for c in checks if c["outcome"] in ("pass", "xpass") and c["ulp"] is not None]


def learns(column: Column) -> bool:
    """Whether the first training run gives NumPy's losses."""
    return bool(losses(column))


def row(device: str, *columns: Column | None) -> str:
    """A line of the table: library, version, and for each dtype the counts, the largest deviation, the losses."""
    version = next(c["library"] for c in columns if c).rpartition(" ")[2]
    cells = [LIBRARIES[device], version]
    for column in columns:
        if column is None:
            cells += ["not run", "", ""]
            continue
        n = column["counts"]
        off = [c["ulp"] for c in column["checks"] if c["outcome"] in ("pass", "xpass") and c["part"] != "training"]
        worst, trained = max((x for x in off if x is not None), default=0.0), losses(column)
        counts = f"{n['pass'] + n['xpass']} / {n['fail'] + n['xfail']} / {n['blocked']}"
        cells += [counts, f"{worst:.1f}", f"{max(trained):.1f}" if trained else "–"]
    return f"| {' | '.join(cells)} |"


def path_of(device: str) -> Path:
    """The file with the findings on a library."""
    return ROOT / "docs" / "_libraries" / f"{device}.md"


def findings(device: str) -> str:
    """What a library's authors could mend, with the programs that show it."""
    sections = re.split(r"^## ", path_of(device).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    kept = [f"#### {shown(section)}" for section in sections if holds(device, section)]
    return "\n".join([f"### {LIBRARIES[device]}\n", *kept]) if kept else ""


def shown(section: str) -> str:
    """A section as the page has it: the tests of the pages leave its programs alone, for they need the libraries."""
    return section.replace("```python\n", "```py\n").replace("```output\n", "```text\n")


def holds(device: str, section: str) -> bool:
    """Whether the program of a section still prints what the section says."""
    found = re.search(r"^```python\n(.*?)^```$.*?^```output\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"docs/_libraries/{device}.md: a section without a program and its output: {section[:60]}")
    done = run([sys.executable, "-W", "ignore", "-c", found[1]], capture_output=True, encoding="utf-8", check=False)
    errors = re.findall(r"^\w[\w.]*(?:Error|Exception)\b.*$", done.stderr, re.MULTILINE)
    printed = done.stdout + (errors[-1] if done.returncode and errors else "")
    if printed.strip() != found[2].strip():
        title = section.partition("\n")[0]
        print(f"docs/_libraries/{device}.md: “{title}” is left out, for it prints\n{printed}", file=sys.stderr)
        return False
    return True


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the page to write")
    parser.add_argument("--device", help="the devices to check, separated by commas; by default all")
    parser.add_argument("--report", type=Path, help="a report that is there already, as JSON")
    given = parser.parse_args()
    prepare()
    if given.report:
        report = json.loads(given.report.read_text(encoding="utf-8"))
    else:
        report = check(given.device.split(",") if given.device else [*LIBRARIES], ROOT / "out")
    given.path.write_text(page(report), encoding="utf-8")
    print(f"saved: {given.path}")


if __name__ == "__main__":
    main()
