"""Check the pages that ``make docs`` has built: python .ci/check_site.py docs/_build/html.

Every link within the site leads to a file that is there and to an anchor in it, and no page asks the network for a
script, a style, a font or a picture. Where Chromium is installed, one page of each kind is opened too, and whatever the
browser complains of is an error.
"""

from __future__ import annotations

import functools
import http.server
import re
import sys
import threading
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser

KINDS = (
    "index.html",
    "quick_start.html",
    "performance.html",
    "auto_examples/index.html",
    "api/index.html",
    "search.html",
)
WIDTHS = (1300, 390)
LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
NOT_LOADED = {"canonical", "next", "prev", "author", "search", "index"}  # what a link element only mentions


@dataclass
class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors in it."""

    path: Path
    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def __hash__(self) -> int:
        return hash(self.path)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser at each element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        mentioned = tag == "link" and set(values.get("rel", "").split()) & NOT_LOADED
        if (target := values.get(LOADED.get(tag, ""))) and not mentioned:
            self.loads.add(target)


def broken(root: Path) -> list[str]:
    """What is wrong with the links of a site, a line for each."""
    pages = {path: Page(path) for path in sorted(root.rglob("*.html")) if "_static" not in path.parts}
    wrong: list[str] = []
    for path, page in pages.items():
        here = path.relative_to(root)
        for link in sorted(page.links | page.loads):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                if link in page.loads and url.scheme != "data":
                    wrong.append(f"{here} asks the network for {link}")
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_relative_to(root) or not target.exists():
                wrong.append(f"{here} links to {link}, which is not there")
            elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].anchors:
                wrong.append(f"{here} links to {link}, which has no such anchor")
    for style in sorted(root.rglob("*.css")):
        urls = re.findall(r"(?:url\(|@import\s)\s*['\"]?(https?:[^)'\"\s]+)", style.read_text(encoding="utf-8"))
        wrong += [f"{style.relative_to(root)} asks the network for {url}" for url in urls]
    return wrong


def complaints(root: Path, program: str, names: list[str]) -> list[str]:
    """What a browser says of pages as it opens them, on a desk and on a telephone."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    with browser.Browser(program) as opened:
        found = [
            f"{name}, {width} pixels: {said}"
            for name in names
            for width in WIDTHS
            for said in opened.complaints(f"{home}/{name}", width)
        ]
    server.shutdown()
    server.server_close()
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that keeps no log."""

    def log_message(self, *args: object) -> None:
        """Said by the server at each request."""


def main(folder: str) -> None:
    """Check the site in this folder."""
    root = Path(folder).resolve()
    assert (root / "index.html").exists(), f"{root} holds no site: make docs builds one"
    wrong = broken(root)
    pages = len(list(root.rglob("*.html")))
    if (program := browser.installed()) is None:
        print("no Chromium is installed, so no page was opened")
    else:
        names = [name for name in KINDS if (root / name).exists()]
        for folder in ("auto_examples", "api"):
            names += [str(next(path for path in sorted((root / folder).glob("*.html"))).relative_to(root))]
        wrong += complaints(root, program, names)
        print(f"{len(names)} pages were opened in {program}")
    assert not wrong, "\n".join(wrong)
    print(f"{pages} pages, every link within them leads somewhere, nothing comes from the network")


if __name__ == "__main__":
    main(sys.argv[1])
