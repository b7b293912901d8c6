"""Sphinx: the pages of this folder, written in Markdown with formulas between dollars."""

project = "dlarray"
author = "The dlarray developers"
copyright = "2026, The dlarray developers"  # noqa: A001, the name is Sphinx's

extensions = ["myst_parser"]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_title = "dlarray"
nitpicky = True
