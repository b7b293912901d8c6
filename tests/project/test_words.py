"""One word for one thing: the words that the glossary of CONTRIBUTING.md replaces are gone from code and pages."""

from __future__ import annotations

import re

import pytest

from tests.support.process import ROOT
from tests.support.sources import texts

OLD = {
    "walk": r"(?<!ast\.)(?<!os\.)(?<!random )(?<!pkgutil\.)(?<![A-Za-z])[Ww]alk(s|ed|ing)?(?![A-Za-z])|Walk[A-Z]",
    "told": r"(?<![A-Za-z])[Tt]old(?![A-Za-z])",
    "stranger": r"\b[Ss]tranger",
    "paper": r"\bPaper[A-Z]|\bpaper_|\bof paper\b|\bon paper\b",
    "card": r"(?<!item-)\b[Cc]ards?\b|\bon_card\b|OnCard",
    "doors, ground": r"\bdoors?\b|\bground\b(?! truth)",
    "trouble": r"\b[Tt]roubles?\b",
    "player, rival": r"\b([Pp]layer|[Rr]ival)s?\b",
    "hand back": r"\bhand(s|ed|ing)? (it |them )?back\b|hand_back",
    "link": r"(?<!\bos)\.link\b|def link\b",
    "chooses": r"\.chooses\b",
    "good": r"\.good\b",
    "old classes": r"\b(WalkState|RateSearch|OutOfMemory|Diverged|NonFinite|UnknownColumn|Plateau)\b",
    "old functions": r"\b(least_examples|rate_search|residence|footprint|recogniser|refuse_for_memory)\b",
}
"""What is replaced, as patterns over whole files."""
GLOSSARY = re.compile(r"## Glossary\n.*?\n(?=## )", re.DOTALL)
KINDS = {".py", ".pyi", ".md", ".toml", ".yaml", ""}
ALLOWED = {"CHANGELOG.md", "tests/project/test_words.py"}


@pytest.mark.parametrize("pattern", OLD.values(), ids=OLD)
def test_the_old_word_is_gone(pattern: str) -> None:
    old = re.compile(pattern)
    found: list[str] = []
    for path, text in texts():
        name = path.relative_to(ROOT).as_posix()
        if name in ALLOWED or path.suffix not in KINDS or "results" in path.parts:
            continue
        if path.name == "CONTRIBUTING.md":
            text = GLOSSARY.sub(lambda match: "\n" * match[0].count("\n"), text)
        found += [
            f"{name}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if old.search(line)
        ]
    assert not found, f"{len(found)} lines\n" + "\n".join(found)


def test_the_glossary_says_what_each_word_means() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", GLOSSARY.search(page)[0], re.MULTILINE)  # type: ignore[index]
    words = [word.strip(" `") for row in rows[2:] for word in row[0].split(",")]
    assert len(words) > 20
    assert len(set(words)) == len(words), "a word stands in two rows"
