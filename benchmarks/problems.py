"""Problems in files, so that every process gets the same weights and batches."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dlarray.bench import BATCHES, Case, Problem


def write(problem: Problem, path: Path) -> None:
    """Weights, batches and the case."""
    arrays = {f"W{i}": w for i, (w, _) in enumerate(problem.weights)}
    arrays |= {f"b{i}": b for i, (_, b) in enumerate(problem.weights)}
    arrays |= {f"x{i}": x for i, (x, _) in enumerate(problem.batches)}
    arrays |= {f"t{i}": t for i, (_, t) in enumerate(problem.batches)}
    np.savez(path, case=np.asarray(json.dumps(asdict(problem.case))), **arrays)


def read_case(path: Path) -> Case:
    """The case alone."""
    with np.load(path) as file:
        fields = json.loads(str(file["case"]))
    return Case(**fields | {"widths": tuple(fields["widths"])})


def read(path: Path) -> Problem:
    """The problem that ``write`` has written."""
    case = read_case(path)
    with np.load(path) as file:
        weights = [(file[f"W{i}"], file[f"b{i}"]) for i in range(len(case.widths) - 1)]
        return Problem(case, weights, [(file[f"x{i}"], file[f"t{i}"]) for i in range(BATCHES)])
