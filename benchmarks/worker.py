"""A contender in a process of its own: ``python worker.py FACTORY CASE SETTING``; orders on input, answers on output.

Orders and answers are lines of JSON: {"do": "timed", "steps": 100} calls ``timed(steps=100)`` and gives {"answer": …}
or {"failed": why}. The first line says whether the contender could be made, and in how many seconds.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO


def private_output() -> TextIO:
    """Standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(make: Callable[[], Any], answers: TextIO) -> None:
    """Make something, then call its methods by name as they are ordered, until the input ends."""

    def answer(**words: Any) -> None:
        print(json.dumps(words), file=answers, flush=True)

    try:
        contender = make()
    except ModuleNotFoundError as error:
        answer(absent=f"not installed ({error.name or error})")
        return
    except NotImplementedError as error:
        answer(absent=str(error))
        return
    except Exception as error:
        answer(absent=f"failed: {type(error).__name__}: {str(error).strip()[:500]}")
        return
    answer(made=contender.made)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer(answer=getattr(contender, order.pop("do"))(**order))
        except Exception as error:
            answer(failed=f"{type(error).__name__}: {str(error).strip()[:500]}")


if __name__ == "__main__":
    output = private_output()
    factory, fields, words = sys.argv[1:]
    from dlarray.bench import Case, Workload

    case = Case(**json.loads(fields) | {"widths": tuple(json.loads(fields)["widths"])})
    os.environ["JAX_ENABLE_X64"] = str(int(case.dtype == "float64"))
    from contenders import make
    from setting import Setting

    workload = Workload.of(case)
    serve(lambda: make(factory, workload, Setting(**json.loads(words))), output)
