"""The documentation is right: its Python runs, the names in it exist, its links lead somewhere.

Every block marked ``python`` is run, those of one page in order in one namespace, as a reader would type them. A block
of prompts (>>>) must also print what the page says it prints, and a block marked ``output`` is what the block before it
prints.
"""

from __future__ import annotations

import doctest
import io
import re
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import dlarray
from tests.support.process import python

ROOT = Path(__file__).parent.parent.parent
DRAW = ROOT / ".ci" / "readme.py"
NEEDS = {"from_keras.md": ("keras", "torch"), "onnx.md": ("onnx", "onnxruntime", "polars", "skl2onnx", "sklearn")}
"""What the Python of a page imports besides dlarray's demo, by the page's name."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """The blocks of a page in Python and of its output, each with the number of the line before its first."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(python|output)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(match[1], text.count("\n", 0, match.start(2)), match[2]) for match in found]


def run(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}  # as a script: a class that two pages define is one
    printed = ""
    for kind, line, code in blocks(page):
        if kind == "output":
            assert printed.split("\n") == code.split("\n"), f"{page.name}, line {line}: printed is\n{printed}"
            continue
        if not code.startswith(">>>"):
            with redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), namespace)
            printed = out.getvalue()
            continue
        test = doctest.DocTestParser().get_doctest(code, namespace, page.name, str(page), line)
        complaints: list[str] = []
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(
            test, out=complaints.append, clear_globs=False
        )
        assert not result.failed, "".join(complaints)
        namespace.update(test.globs)


@pytest.mark.filterwarnings(  # Keras reads tensors of torch in the way of NumPy 1
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := [library for library in NEEDS.get(page.name, ()) if find_spec(library) is None]:
        pytest.skip(f"{page.name} needs {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLARRAY_DEVICE", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    run(page)


def test_a_wrong_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 2\n```\ntext\n```python\n>>> x + 1\n4\n```\n")
    with pytest.raises(AssertionError, match="Expected"):
        run(page)
    page.write_text("text\n```python\nassert False\n```\n")
    with pytest.raises(AssertionError) as caught:
        run(page)
    assert caught.traceback[-1].lineno == 2  # counted from 0
    page.write_text("```python\nprint(2)\n```\n```output\n3\n```\n")
    with pytest.raises(AssertionError, match=r"printed is\n +2"):
        run(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_and_links_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    unknown = {name for name in re.findall(r"`dlarray\.([A-Z]\w+)", text) if name not in dlarray.__all__}
    assert not unknown
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.slow
def test_the_pictures_of_the_readme_can_be_drawn_anew(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    python(f"import runpy, sys; sys.argv[1:] = [{str(tmp_path)!r}]; runpy.run_path({str(DRAW)!r}, run_name='__main__')")
    pictures = {path.name: image.imread(path).shape for path in tmp_path.glob("*.png")}
    assert pictures == {name: image.imread(ROOT / "docs" / "_static" / name).shape for name in pictures}
    shown = re.findall(r"!\[.+\]\(docs/_static/(.+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(pictures)


def test_the_notes_name_what_the_book_teaches() -> None:
    text = (ROOT / "docs" / "notes.md").read_text(encoding="utf-8")
    book = """
        Dense MLP Sigmoid Tanh ReLU LeakyReLU PReLU ELU Swish Softmax
        GradientDescent Momentum Adagrad RMSprop Adadelta Adam
        Normal Uniform GlorotNormal GlorotUniform HeNormal HeUniform
        MeanSquaredError MeanAbsoluteError Huber LogCosh RootMeanSquaredError
        BinaryCrossEntropy Hinge CategoricalCrossEntropy KLDivergence
    """
    assert not [name for name in book.split() if f"`dlarray.{name}`" not in text]
    examples = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert not [name for name in examples if f"../examples/{name}" not in text]
