"""A player in a process of its own: ``python worker.py PLACE PROBLEM [SETTING]``, orders on input, answers on output.

Orders and answers are lines of JSON: {"do": "run", "steps": 100} gives {"seconds": 0.01}, {"do": "losses", "steps": 50,
"patience": 60} gives {"losses": [...]}. The first answer says whether the player could be made.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO


def private_output() -> TextIO:
    """Standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def serve(make: Callable[[], Any], answers: TextIO) -> None:
    """Make something, then call its methods by name as they are ordered, until the input ends."""

    def say(**words: Any) -> None:
        print(json.dumps(words), file=answers, flush=True)

    try:
        player = make()
    except ModuleNotFoundError as error:
        say(absent=f"not installed ({error.name or error})")
        return
    except NotImplementedError as error:
        say(absent=str(error))
        return
    except Exception as error:
        say(absent=f"failed: {type(error).__name__}: {str(error).strip()[:500]}")
        return
    say(ready=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            say(answer=getattr(player, order.pop("do"))(**order))
        except Exception as error:
            say(failed=f"{type(error).__name__}: {str(error).strip()[:500]}")


if __name__ == "__main__":
    output = private_output()
    place, path, *words = sys.argv[1:]
    import problems

    case = problems.read_case(Path(path))
    if case.dtype == "float64":
        os.environ["JAX_ENABLE_X64"] = "1"
    import players

    serve(lambda: players.make(place, problems.read(Path(path)), *words), output)
