"""Pages that read well on their own, in an editor or on a forge, and within the site lead on within the site.

A link to a file of the source becomes one to its entry in the reference, a link to an example one to its page in the
gallery, and ``{pages}`` in the guide all pages of this folder that stand nowhere else.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

FOLDER = Path(__file__).parent.parent
ORDER = (
    "devices",
    "training",
    "larger_than_memory",
    "parallel",
    "from_sklearn",
    "many_fits",
    "from_torch",
    "from_keras",
    "onnx",
    "diagnostics",
    "command_line",
    "extending",
    "conformance",
    "array_libraries",
    "gpu",
    "performance",
    "scaling",
)
ELSEWHERE = {"index", "quick_start", "guide", "notes", "development", "contributing", "design", "changelog"}
LINKS = (
    (r"\[`(dlarray\.\w+)`\]\(\.\./dlarray/[\w/]+\.py\)", r"{py:obj}`\1`"),
    (r"\[([^\]]+)\]\(\.\./examples/(\w+)\.py\)", r"[\1](auto_examples/\2.rst)"),
    (r"\[([^\]]+)\]\(\.\./examples/\)", r"[\1](auto_examples/index.rst)"),
    (r"\[([^\]]+)\]\(\.\./CONTRIBUTING\.md(#[\w-]+)?\)", r"[\1](contributing.md\2)"),
)


def guide() -> list[str]:
    """The pages of the guide: those of ``ORDER`` that are there, and any other."""
    there = {path.stem for path in FOLDER.glob("*.md")} - ELSEWHERE
    return [name for name in ORDER if name in there] + sorted(there - set(ORDER))


def _within_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    if (FOLDER / f"{page}.md").exists():
        text = source[0].replace("{pages}", "\n".join(guide()))
        for pattern, link in LINKS:
            text = re.sub(pattern, link, text)
        source[0] = text


def _always(*given: object) -> set[str]:
    """The pages that are read at every build: the guide lists others, which may have come or gone."""
    return {"guide"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("env-get-outdated", _always)
    app.connect("source-read", _within_the_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
