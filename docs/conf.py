"""Sphinx: the pages of this folder, written in Markdown with formulas between dollars.

``formulas.md`` is made anew at every build from the classes themselves, so a new class appears in it by being written.
"""

from pathlib import Path

import dlarray
from dlarray.names import classes, spelling

project = "dlarray"
author = "The dlarray developers"
copyright = "2026, The dlarray developers"  # noqa: A001, the name is Sphinx's

extensions = ["myst_parser"]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_title = "dlarray"
nitpicky = True

KINDS = {
    "Activations": dlarray.Activation,
    "Layers": dlarray.Layer,
    "Losses": dlarray.Loss,
    "Optimizers": dlarray.Optimizer,
    "Schedules": dlarray.Schedule,
    "Initialisers": dlarray.Initializer,
}


def formulas() -> str:
    """A page with a table for each kind: every class, the name that stands for it, and its formula."""
    dir(dlarray)  # imports every module, so that every class is known
    lines = ["# Every formula", "", "Made from the classes: the name serves wherever a class is asked for by name."]
    for title, kind in KINDS.items():
        lines += ["", f"## {title}", "", "| class | name | formula |", "|---|---|---|"]
        for cls in classes(kind).values():
            if kind is dlarray.Layer and issubclass(cls, dlarray.Activation):
                continue
            first = (cls.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            lines.append(f"| `{cls.__name__}` | {spelling(cls)} | {' '.join(first.split())} |")
    return "\n".join(lines) + "\n"


(Path(__file__).parent / "formulas.md").write_text(formulas(), encoding="utf-8")
