"""Every work in the bibliography is cited, and every citation is of a work in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pybtex.database import parse_file

ROOT = Path(__file__).parents[2]
WORKS = parse_file(ROOT / "book" / "references.bib").entries
# What every kind of work must say of itself, beside authors, title and year.
VENUE = {
    "article": "journal",
    "book": "publisher",
    "inproceedings": "booktitle",
    "incollection": "booktitle",
    "phdthesis": "school",
    "techreport": "institution",
}


def citations() -> set[str]:
    """Return the keys that pages cite."""
    found: set[str] = set()
    for page in (ROOT / "book").rglob("*.md"):
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text(encoding="utf-8")):
            found.update(key.strip() for key in keys.split(","))
    return found


def test_the_works_are_those_that_are_cited():
    assert sorted(WORKS) == sorted(citations())


@pytest.mark.parametrize("key", sorted(WORKS))
def test_an_entry_is_complete(key):
    work = WORKS[key]
    assert work.persons.get("author") or work.persons.get("editor"), "no author"
    assert work.fields.get("title"), "no title"
    assert re.fullmatch(r"\d{4}", work.fields.get("year", "")), "no year"
    needed = VENUE.get(work.type)
    fields = {name for name, value in work.fields.items() if value}
    assert needed in fields or fields & {"url", "eprint", "doi", "howpublished"}, "no venue"
