"""``python -m dlarray`` and the command ``dlarray``."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command line, or say what is missing for it."""
    try:
        from dlarray.cli import app
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in {"typer", "rich"}:
            raise
        sys.exit(f'the command line needs {library}: pip install "dlarray[cli]"')
    output: object
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):
            output.reconfigure(errors="replace")  # a table's lines and signs are not worth an error
    app()


if __name__ == "__main__":
    main()
