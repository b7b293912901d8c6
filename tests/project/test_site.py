"""The documentation: the reference has every name, the guide every page, and the check of the site finds faults."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import dlarray

ROOT = Path(__file__).parent.parent.parent


def tool(folder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module from outside the packages, as the program beside it would import it."""
    monkeypatch.syspath_prepend(str(ROOT / folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


def test_the_reference_has_an_entry_for_every_public_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    tool("docs/_extensions", "reference", monkeypatch).write(tmp_path)
    lines = [line for page in tmp_path.glob("*.rst") for line in page.read_text(encoding="utf-8").splitlines()]
    entries = [
        line.partition(":: ")[2] for line in lines if line.startswith((".. auto", ".. py:data")) and ":: " in line
    ]
    assert not {f"dlarray.{name}" for name in dlarray.__all__} - set(entries)
    metrics = {f"dlarray.metrics.{name}" for name in import_module("dlarray.metrics").__all__}
    assert metrics <= set(entries)
    assert len(entries) == len(set(entries))


def test_what_stands_in_the_reference_no_more_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    (tmp_path / "old.rst").write_text("Old\n===\n")
    tool("docs/_extensions", "reference", monkeypatch).write(tmp_path)
    assert not (tmp_path / "old.rst").exists()


def test_every_page_stands_in_the_guide_or_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    pages = tool("docs/_extensions", "pages", monkeypatch)
    listed = pages.guide()
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} == pages.ELSEWHERE | set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda script: script.stem)
def test_an_example_begins_with_a_title_for_the_gallery(script: Path) -> None:
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    title, line, *_ = text.splitlines()
    assert line == "=" * len(title), f"{script.name} begins with {title!r}: a title, and = below all of it"


HEAD = '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
GOOD = f'<head>{HEAD}<link rel="stylesheet" href="style.css"></head><h1 id="top">Good</h1><a href="#top">up</a>'


def site(folder: Path, body: str = "") -> Path:
    """A site of one page and its style."""
    (folder / "index.html").write_text(f"{GOOD}{body}")
    (folder / "style.css").write_text("h1 { color: black }")
    return folder


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "index.html links to gone.html, which is not there"),
        ('<a href="index.html#no">x</a>', "index.html links to index.html#no, which has no such anchor"),
        ('<a href="../secret.html">x</a>', "index.html links to ../secret.html, which is not there"),
        ('<img src="gone.png">', "index.html links to gone.png, which is not there"),
        (
            '<script src="https://cdn.example/x.js"></script>',
            "index.html asks the network for https://cdn.example/x.js",
        ),
    ],
)
def test_a_fault_of_the_site_is_found(body: str, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tool(".ci", "check_site", monkeypatch).broken
    assert broken(site(tmp_path)) == []
    assert broken(site(tmp_path, '<a href="https://example.org/">out</a>')) == []
    assert broken(site(tmp_path, body)) == [fault]


def test_a_style_that_asks_the_network_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site(tmp_path)
    (tmp_path / "style.css").write_text("h1 { background: url('https://cdn.example/x.png') }")
    found = tool(".ci", "check_site", monkeypatch).broken(tmp_path)
    assert found == ["style.css asks the network for https://cdn.example/x.png"]


def test_what_the_browser_complains_of_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check = tool(".ci", "check_site", monkeypatch)
    if (program := check.browser.installed()) is None:
        pytest.skip("no Chromium is installed")
    site(tmp_path)
    (tmp_path / "loud.html").write_text(f'{HEAD}<script>console.error("loud"); oops()</script>')
    (tmp_path / "wide.html").write_text(f'{HEAD}<p style="width: 500px">wide</p>')
    found = check.complaints(tmp_path, program, ["index.html", "loud.html", "wide.html"])
    assert not [line for line in found if line.startswith("index.html")]
    for said in ("loud.html, 1300 pixels: loud", "ReferenceError", "wide.html, 390 pixels: it is"):
        assert any(said in line for line in found), found
    assert not [line for line in found if line.startswith("wide.html, 1300")]
