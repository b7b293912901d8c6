"""The reference: pages made anew at every build from each ``__all__``, so a new class is there by being written.

Docstrings are written to be read in the source: their first lines are formulas, ``|d|`` is an absolute value and a gap
parts a formula from its derivative. ``_as_printed`` turns that into what Sphinx prints alike.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inspect import stringify_signature

import dlarray
from dlarray.core.registry import classes, spelling

FOLDER = Path(__file__).parent.parent / "api"
KINDS = (
    dlarray.Activation,
    dlarray.Layer,
    dlarray.Loss,
    dlarray.Optimizer,
    dlarray.Schedule,
    dlarray.Initializer,
)
PAGES = {  # title: what stands above the table, and the modules; a module that is in none gets a page of its own
    "The network": (
        """The model is configuration; θ, a point in the space of its parameters, is handed to it::

    value, g = model.loss_and_gradient(theta, x, t, loss)""",
        "model core.layout",
    ),
    "Training": ("``fit``, what it returns, and its files.", "training"),
    "Activations": (
        "y = f(z), element by element or row by row, and its derivative. An activation is a layer.",
        "activations",
    ),
    "Layers": (
        """One formula forward, its chain rule backward::

    y, saved = layer.forward(x, **p)         training; p holds the layer's own parameters by name
    dx       = layer.backward(saved, dy, **p)
    dp       = layer.gradient(saved, dy)     {name: array}
    y        = layer.predict(x, **p)         inference""",
        "layers",
    ),
    "Losses": (
        """How far z, the network's output, is from its target t, and the gradient dz::

    value, saved = loss.forward(z, t, weight)
    dz           = loss.backward(saved)
    prediction   = loss.output_activation.predict(z)""",
        "losses",
    ),
    "Optimizers": (
        """One step of θ along the gradient g, and limits on g::

    state        = optimizer.init(theta)
    theta, state = optimizer.step(theta, g, state)""",
        "optimizers",
    ),
    "Schedules": ("The learning rate after t steps: ``rate = schedule(t)``.", "schedules"),
    "Initialisers": ("The weights before the first step: ``W = initializer(bits, shape)``.", "initializers"),
    "Metrics": ("How good predictions are: ``metric(targets, predictions)``.", "metrics"),
    "Devices": ("Choosing a device, moving arrays between devices, and errors.", "device"),
    "Backends": ("What dlarray must know about an array library.", "backend device.backend device.description"),
    "Data": ("Real data from installed packages.", "datasets"),
    "ONNX": ("Trained models as graphs for other runtimes.", "onnx"),
    "Other libraries": ("Models of PyTorch and Keras as trained models, and back.", "interop"),
    "Pictures": ("Drawn by matplotlib.", "plot"),
    "For formulas": (
        "What custom formulas may use: arrays, checks, random bits, names.",
        "core.array core.check core.layer core.random core.registry core.special core.trees core.files core.errors",
    ),
    "The planner": ("The compiler of training steps; backends call it.", "planner"),
}
PROGRAMS = {"__main__", "bench", "check", "cli"}


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(dlarray.__path__) if module.name not in PROGRAMS]


def _places() -> dict[str, tuple[str, list[str]]]:
    """Each page's title, sentence and modules."""
    known = {title: (text, modules.split()) for title, (text, modules) in PAGES.items()}
    placed = {module.partition(".")[0] for _, modules in known.values() for module in modules}
    for name in _modules():
        if name not in placed:
            first = (import_module(f"dlarray.{name}").__doc__ or "").strip().partition("\n\n")[0]
            known[name.replace("_", " ").capitalize()] = (" ".join(first.split()), [name])
    return known


def _public(modules: list[str]) -> dict[str, Any]:
    """What the modules offer by the name that a user writes: interfaces first, errors last."""
    found: dict[str, Any] = {}
    for name in modules:
        module = import_module(f"dlarray.{name}")
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.isclass(value) and value in found.values():
                continue  # by the name of the module before it
            at_top = public in dlarray.__all__ and getattr(dlarray, public) is value
            found.setdefault(f"dlarray.{public}" if at_top else f"dlarray.{name}.{public}", value)

    def place(item: tuple[str, Any]) -> tuple[bool, bool, str]:
        name, value = item
        is_error = inspect.isclass(value) and issubclass(value, Exception)
        return is_error, not _is_interface(value), name.rpartition(".")[2].lower()

    return dict(sorted(found.items(), key=place))


def _is_interface(value: Any) -> bool:
    return inspect.isclass(value) and bool(vars(value).get("abstract"))


def _has_formula(value: Any) -> bool:
    """Whether the methods are those of its kind, each explained there, and the class's docstring says the rest."""
    return inspect.isclass(value) and issubclass(value, KINDS) and not _is_interface(value)


def _entry(name: str, value: Any) -> str:
    if inspect.isclass(value):
        methods = "" if _has_formula(value) else "\n   :members:"
        return f".. autoclass:: {name}{methods}"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}"
    return f".. py:data:: {name}\n\n   {_alias_doc(name.rpartition('.')[2])}"


def _alias_doc(name: str) -> str:
    """The line below a type alias, which Python does not keep."""
    for module in sorted(module for module in sys.modules if module.startswith("dlarray.")):
        if lines := ModuleAnalyzer.for_module(module).find_attr_docs().get(("", name)):
            return _plain(" ".join(lines).strip())
    return ""


def _page(title: str, text: str, public: dict[str, Any]) -> str:
    return "\n".join(
        [title, "=" * len(title), "", text, "", ".. autosummary::", "   :nosignatures:", ""]
        + [f"   ~{name}" for name, value in public.items() if callable(value) and not get_origin(value)]
        + ["", ".. rubric:: One by one", ""]
        + [f"{_entry(name, value)}\n" for name, value in public.items()]
    )


def _formulas() -> str:
    """A table for each kind: every class, the name that stands for it, and its formula."""
    lines = ["# Every formula", "", 'The name serves wherever a class is asked for by name: `activation="gelu"`.']
    titles = ("Activations", "Layers", "Losses", "Optimizers", "Schedules", "Initialisers")
    for title, kind in zip(titles, KINDS, strict=True):
        lines += ["", f"## {title}", "", "| class | name | formula |", "|---|---|---|"]
        for cls in classes(kind).values():
            if kind is dlarray.Layer and issubclass(cls, dlarray.Activation):
                continue
            first = (cls.__doc__ or "").strip().partition("\n\n")[0].replace(",  ", ",\u2003").replace("|", "\\|")
            formula = re.sub(r" *\n *", " ", first)
            lines.append(f"| {{py:obj}}`~dlarray.{cls.__name__}` | {spelling(cls)} | {formula} |")
    return "\n".join(lines) + "\n"


def _index(names: list[str]) -> str:
    lines = [
        "API",
        "===",
        "",
        "Every public name, made from the docstrings. Formulas stand beside their derivatives: dx is short for dL/dx,",
        "the gradient of the loss with respect to x, and so on for every array. :doc:`formulas` is a table of all.",
        "",
        ".. toctree::",
        "   :maxdepth: 1",
        "",
        *[f"   {name}" for name in names],
        "   formulas",
    ]
    return "\n".join(lines) + "\n"


def write(folder: Path = FOLDER) -> None:
    """The pages of the reference, where their texts have changed."""
    dir(dlarray)  # imports every module, so that every class is known
    pages: dict[str, str] = {}
    seen: set[int] = set()
    for title, (text, modules) in _places().items():
        public = {name: value for name, value in _public(modules).items() if id(value) not in seen}
        seen |= {id(value) for value in public.values()}
        pages[_file(title)] = _page(title, text, public)
    texts = {f"{name}.rst": text for name, text in pages.items()}
    texts |= {"index.rst": _index(list(pages)), "formulas.md": _formulas()}
    folder.mkdir(exist_ok=True)
    for stale in {path.name for path in folder.iterdir()} - texts.keys():
        (folder / stale).unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _file(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower()).removeprefix("the_")


def _plain(line: str) -> str:
    """A line without its bars, stars and last underscores read as marks, and with the gaps between its formulas."""
    parts = re.split(r"(``.+?``|:\w+:`.+?`)", line)
    parts[::2] = [re.sub(r"([|*]|(?<=\w)_(?!\w))", r"\\\1", part).replace(",  ", ",\u2003") for part in parts[::2]]
    return "".join(parts)


def _as_printed(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Bars and stars as themselves, gaps between formulas kept, and a last line with the names of a class."""
    inside, depth = False, None  # within a session of prompts and answers; how far in a line with :: stands above
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if depth is not None and line.strip() and indent <= depth:
            depth = None
        inside = line.lstrip().startswith(">>>") or (inside and bool(line.strip()))
        if not inside and depth is None:
            lines[i] = _plain(line)
        if depth is None and line.endswith("::"):
            depth = indent
    if _has_formula(value):
        words = dict.fromkeys([spelling(value), *vars(value).get("aliases", ())])
        end = next((i for i, line in enumerate(lines) if set(line) == {"-"} and i), len(lines) + 1) - 1
        lines[end:end] = ["", "By name: " + ", ".join(f'``"{word}"``' for word in words) + ".", ""]


def _strange(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Whether a member is left out: what another library has put into a class is explained by that library."""
    return True if not (getattr(value, "__module__", None) or "dlarray").startswith("dlarray") else None


def _as_written(
    app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Types as the source has them, ``x: Array``, where Sphinx would go on to what the alias stands for, ``x: Any``."""
    if signature is None or what not in {"class", "exception", "function", "method"}:
        return None
    written = inspect.signature(value)
    parameters = [p.replace(annotation=_linked(p.annotation)) for p in written.parameters.values() if p.name != "self"]
    bare = inspect.Signature(parameters)
    result = _linked(written.return_annotation)
    return stringify_signature(bare), None if what == "class" or not isinstance(result, str) else result


def _linked(annotation: Any) -> Any:
    """An annotation with dlarray's own names in full, so that they lead to their entries."""
    if not isinstance(annotation, str):
        return annotation
    return re.sub(r"(?<![\w.])[A-Z]\w+", lambda m: f"dlarray.{m[0]}" if m[0] in dlarray.__all__ else m[0], annotation)


def _ways_back(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """From the source of a module to its names, where viewcode takes those of the top level for names of the module."""
    if page.startswith("_modules/dlarray/"):
        known = app.env.domains.python_domain.objects
        module = page.removeprefix("_modules/").replace("/", ".")

        homes = [module[:i] for i, letter in enumerate(f"{module}.") if letter == "."]

        def entry(link: re.Match[str]) -> str:
            """The anchor of a name at the top level, in a package above or in the module; viewcode mixes these up."""
            parts = link[2].split(".")
            names = [f"{home}.{'.'.join(parts[i:])}" for i in range(len(parts)) for home in homes]
            return f'#{next((name for name in names if name in known), link[1])}"'

        context["body"] = re.sub(r'#(dlarray\.([\w.]+))"', entry, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    write()
    app.connect("autodoc-process-docstring", _as_printed, priority=100)  # before numpydoc
    app.connect("autodoc-skip-member", _strange)
    app.connect("autodoc-process-signature", _as_written)
    app.connect("html-page-context", _ways_back)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
