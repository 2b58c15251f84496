"""What the site has of it: links to both files, and pages that print well by themselves."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pypdfium2
import pytest

from browsing import browsing, served
from mathdl_book import unchanged
from mathdl_book.typesetting import node_binary

ROOT = Path(__file__).parents[2]
NAMES = [f"mathematics-for-deep-learning.{suffix}" for suffix in ("pdf", "epub")]


def test_both_are_offered_on_every_page_once(a_copy, printed_root, making):
    assert making(a_copy, "publish").returncode == 1  # nothing has been made of it
    (a_copy / "_build" / "paper").mkdir()
    for name in NAMES:
        shutil.copy(printed_root / "_build" / "paper" / name, a_copy / "_build" / "paper" / name)
    unchanged.remember(a_copy, "inputs")
    for _ in range(2):
        assert making(a_copy, "publish").returncode == 0
        for page, up in (("index", "../"), ("labs/lab-0-sample", "../../")):
            html = (a_copy / "_build" / "html" / "book" / f"{page}.html").read_text()
            assert html.count('<li class="offline">') == 1
            assert all(f'href="{up}{name}"' in html for name in NAMES)
    assert all((a_copy / "_build" / "html" / name).is_file() for name in NAMES)
    assert unchanged.is_unchanged(a_copy, "inputs")  # and the next build need do nothing


@pytest.fixture(scope="module")
def printed_page(sample_book) -> list[str]:
    """The text of each sheet of a chapter, printed from the browser."""
    with browsing() as browser, served(sample_book.html) as site:
        page = browser.new_page()
        page.goto(site.address("chapter"))
        page.wait_for_load_state("networkidle")
        given = page.pdf(format="A4", prefer_css_page_size=True)
        page.close()
    with pypdfium2.PdfDocument(io.BytesIO(given)) as document:
        texts = []
        for sheet in document:
            words = sheet.get_textpage()
            texts.append(words.get_text_bounded())
            width, _ = sheet.get_size()
            for place in range(words.count_rects()):
                left, _, right, _ = words.get_rect(place)
                assert left >= 40 and right <= width - 40, words.get_text_bounded(left)
            words.close()
            sheet.close()
    return texts


def test_a_page_printed_from_the_browser_has_its_title_and_all_that_is_folded(printed_page):
    assert "The chain rule of" in printed_page[0]
    whole = " ".join("\n".join(printed_page).split())
    assert "The slope is twice the point" in whole  # a solution
    assert "Only row" in whole  # a derivation
    assert "(1.2)" in whole and "checked" in whole


@pytest.mark.parametrize("word", ["Report an error", "Cite this page", "Show code", "Copy"])
def test_it_has_nothing_of_the_screen(printed_page, word):
    assert word not in "\n".join(printed_page)


@pytest.mark.parametrize(
    ("letter", "alphabet", "character"),
    [
        ("R", "double-struck", "ℝ"),
        ("x", "bold-italic", "𝒙"),
        ("h", "italic", "ℎ"),
        ("L", "script", "ℒ"),
        ("θ", "bold-italic", "𝜽"),
        ("Ω", "bold", "𝛀"),
        ("∇", "bold", "𝛁"),
        ("ϵ", "bold-italic", "𝝐"),
        ("1", "bold", "𝟏"),
        ("T", "sans-serif", "𝖳"),
        ("a", "monospace", "𝚊"),
        ("+", "bold", "null"),
    ],
)
def test_letters_of_an_alphabet_are_characters(letter, alphabet, character):
    module = ROOT / "src/mathdl_book/static/paper/mathml.js"
    script = (
        f"import({str(module)!r}).then((m) => "
        f"console.log(String(m.inAlphabet({letter!r}, {alphabet!r}))))"
    )
    command = [node_binary(), "--no-warnings", "-e", script]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == character
