"""Pictures for links that are shared."""

from __future__ import annotations

import io
import re

from PIL import Image

from mathdl_book.cards import card, write_cards


def test_a_card_is_small_and_has_its_title_on_it():
    empty, full = (
        Image.open(io.BytesIO(card(title, "Calculus", "The book"))).convert("L")
        for title in ("i", "A title of such a length that it has to go on in another line")
    )
    assert full.size == (1200, 630)
    dark = [sum(image.histogram()[:80]) for image in (empty, full)]
    assert dark[1] > 2 * dark[0]
    assert len(card("A title", "", "The book")) < 40_000


def test_what_was_drawn_once_is_not_drawn_again(tmp_path):
    there = tmp_path / "site" / "a.png"
    said = ("A title", "Calculus", "The book")
    assert write_cards([(there, said)], tmp_path / "memory") == 1
    before = there.read_bytes()
    assert write_cards([(there, said)], tmp_path / "memory") == 0
    assert write_cards([(there, ("Another", *said[1:]))], tmp_path / "memory") == 1
    assert there.read_bytes() != before


def test_every_page_of_a_site_names_a_card_that_is_there(sample_book):
    for page in sample_book.html.glob("book/**/*.html"):
        text = page.read_text(encoding="utf-8")
        address = re.search(r'<meta property="og:image" content="([^"]+)"', text)[1]
        own = page.relative_to(sample_book.html).as_posix()
        base = re.search(r'<link rel="canonical" href="([^"]+)"', text)[1].removesuffix(own)
        assert address.startswith(base)
        assert (sample_book.html / address.removeprefix(base)).is_file()
        assert '<meta name="twitter:card" content="summary_large_image">' in text
