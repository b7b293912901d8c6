"""``python -m dlarray`` and the command ``dlarray``."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command line. Ctrl-C, also during an import, ends it with one line and exit code 130."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _run() -> None:
    """Run the command line. If a library is missing, exit with the command that installs it."""
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
            output.reconfigure(errors="replace")  # characters that the terminal does not have become ?
    app()


if __name__ == "__main__":
    main()
