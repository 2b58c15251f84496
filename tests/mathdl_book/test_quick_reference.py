"""The quick reference: it states nothing that was not derived and checked elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
PAGE = BOOK / "reference" / "quick-reference.md"
PARTS = ("linear-algebra", "calculus", "optimization", "probability")
LINK = re.compile(r"\{eq\}`(eq-[a-z0-9-]+)`")


def rows(text: str) -> list[str]:
    """Return the rows of all tables, without their heads."""
    found = [line for line in text.splitlines() if line.startswith("|")]
    heads = [i for i, line in enumerate(found) if re.fullmatch(r"[|\s:-]+", line)]
    skipped = {*heads, *(i - 1 for i in heads)}
    return [line for i, line in enumerate(found) if i not in skipped]


def unlinked(text: str) -> list[str]:
    """Return the rows that have no link to a claim in their last cell."""
    return [row for row in rows(text) if not LINK.search(row.strip().split("|")[-2])]


@pytest.fixture(scope="module")
def text():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def others():
    return {page: page.read_text(encoding="utf-8") for page in BOOK.rglob("*.md") if page != PAGE}


def test_every_row_leads_to_a_claim(text):
    assert len(rows(text)) > 100
    assert unlinked(text) == []


def test_every_claim_that_is_linked_to_stands_and_is_checked_on_another_page(text, others):
    for label in sorted(set(LINK.findall(text))):
        homes = [p for p, t in others.items() if re.search(rf"^\$\$ \({label}\)$", t, re.M)]
        assert len(homes) == 1, label
        assert any(f'"{label}"' in t or f"'{label}'" in t for t in others.values()), label


def test_the_page_claims_nothing_itself(text):
    assert "$$" not in text and "```{math}" not in text


def test_all_parts_are_there_and_none_is_empty(text):
    for part in PARTS:
        _, _, rest = text.partition(f"(sec-quick-reference-{part})=\n## ")
        assert len(rows(re.split(r"^## ", rest, maxsplit=1, flags=re.M)[0])) >= 20, part


def test_a_row_without_a_link_is_found():
    table = "| a | b | claim |\n|---|---|---|\n| x | $y$ | {eq}`eq-x` |\n"
    assert rows(table) == ["| x | $y$ | {eq}`eq-x` |"]
    assert unlinked(table) == []
    assert unlinked(table + "| z {eq}`eq-x` | $w$ | |\n") == ["| z {eq}`eq-x` | $w$ | |"]
