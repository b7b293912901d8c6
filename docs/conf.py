"""Sphinx: the pages of this folder, the reference made from the classes, the gallery made from the examples.

Everything is built from this checkout alone; nothing is fetched, and the pages ask nothing of the network.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import pictures

import dlarray

project = "dlarray"
author = "The dlarray developers"
copyright = "2026, The dlarray developers"  # noqa: A001, the name is Sphinx's
version = release = dlarray.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "pages",
    "reference",
]
exclude_patterns = ["_build", "_extensions", "_libraries", "auto_examples/*.md5", "auto_examples/*.ipynb"]
suppress_warnings = ["config.cache"]  # the configuration of the gallery holds functions
nitpicky = True
nitpick_ignore_regex = [  # types of other libraries, and names that are not part of the public interface
    (r"py:.*", r"(numpy|np|pl|polars|collections|typing|os|pathlib)\..*"),
    (r"py:class", r"_?[A-Z]\w+|\w+\[.*"),  # our own public names have dlarray. before them here
]

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autosummary_generate = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "GL03",  # blank lines
    "GL06",  # sections that there are
    "GL07",  # and their order
    "PR02",  # parameters that the function has
    "PR03",  # in their order
    "SS01",  # a summary
    "SS03",  # and a full stop
}

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py",
    "within_subsection_order": pictures.Order,
    "image_scrapers": (pictures.saved,),
    "reset_argv": pictures.arguments,
    "reset_modules": ("matplotlib", pictures.close_all),
    "capture_repr": (),
    "doc_module": ("dlarray",),
    "backreferences_dir": None,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "thumbnail_size": (600, 300),
    "write_computation_times": False,
    "abort_on_example_error": True,
    "plot_gallery": "True",
}

html_title = "dlarray"
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["dlarray.css"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system has it
html_show_sourcelink = False
html_sidebars = {"index": [], "quick_start": [], "notes": []}
html_theme_options = {
    "logo": {"text": "dlarray", "image_light": "_static/icon.svg", "image_dark": "_static/icon.svg", "alt_text": ""},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
