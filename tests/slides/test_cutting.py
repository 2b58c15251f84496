"""How a chapter is cut into slides, and what the site has of them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from mathdl_book.facts import read_site
from mathdl_book.gates.site import site_findings
from mathdl_book.slides import Cutter, Formulas, Task, write_deck

X = (
    '<span class="math"><span class="katex"><span class="katex-mathml">x</span>'
    '<span class="katex-html"><span class="katex-strut" style="height:2em;"></span>x<span>y</span>'
    "</span></span></span>"
)


def display(name: str) -> str:
    side = (
        f'<div class="math-side"><span class="eqno">(1)<a class="headerlink" href="#{name}">#</a>'
    )
    return f'<div class="math math-display" id="{name}"><div>{X}</div>{side}</span></div></div>'


def cut(text: str) -> Cutter:
    """Return the cutter of a chapter with one section of this text."""
    return Cutter(
        "book/part/one",
        '<section id="sec-one"><h1>One<a class="headerlink" href="#sec-one">#</a></h1>'
        f"<p>You can add.</p>\n"
        '<ul class="in-objectives"><li id="obj-add"><p>Add</p></li></ul>'
        '<ul class="in-facts"><li><a href="../labs/lab-1.html">Lab 1</a></li></ul>'
        f'<section id="sec-one-a"><h2>A part</h2>{text}</section>'
        '<section id="sec-one-exercises"><h2>Exercises</h2>'
        f'<div class="exercise" id="ex-one">{display("equation-def-ex")}</div></section></section>',
    )


def slides(text: str) -> list[tuple[str, str]]:
    """Return name and text of the slides of that section, without one that opens it."""
    found = [one for one in cut(text).slides() if one.kind != "opening"]
    return [(one.name, " ".join(one.content)) for one in found]


def test_formulas_come_back_as_they_were() -> None:
    formulas = Formulas()
    page = f"<p>a {X} b {X}</p>"
    short = formulas.out_of(page)
    assert len(short) < 80 and "katex" not in short
    assert formulas.into(short) == page
    assert formulas.height(short) == pytest.approx(2.2)
    assert formulas.length(formulas.out_of("ab" + X)) >= 2 + 2


def test_a_deck_begins_with_objectives_and_ends_with_what_to_do() -> None:
    cutter = cut("<p>First.</p>")
    first, opening, last = cutter.title(), *cutter.slides(), cutter.end()
    assert "You can add." in first.content[0] and 'id="obj-add"' in first.content[-1]
    assert (opening.kind, opening.content) == ("opening", ["<p>First.</p>"])
    assert "../book/part/one.html#sec-one-exercises" in last.content[0]
    assert ": 1</li>" in last.content[0]  # exercises, of which none has a solution here
    assert "../book/labs/lab-1.html" in last.content[0]


def test_every_section_begins_with_its_heading_and_none_with_nothing_else_needlessly() -> None:
    for text, kinds in (
        ("<p>First.</p>", ["opening"]),
        ("<pre>x</pre>", ["opening"]),
        (display("equation-eq-a"), ["text"]),
        (f"<p>First.</p><p>Then</p>{display('equation-eq-a')}", ["opening", "text"]),
    ):
        found = list(cut(text).slides())
        assert [one.kind for one in found] == kinds
        assert [one.begins for one in found] == [True, False][: len(found)]
        assert "A part" in found[0].heading and "#sec-one-a" in found[0].heading


def test_a_formula_comes_with_the_words_around_it() -> None:
    text = (
        f"<p>All of this.\nLet y be positive.\nThen</p>{display('equation-eq-a')}"
        "<p>where y is a number.\nMore words.\nAnd so</p>"
        f"{display('equation-eq-b')}<p>Nothing of this.</p>"
    )
    ((name, content),) = slides(text)
    assert name == "slide-equation-eq-a"
    said = re.findall(r"<p>(.*?)</p>", content)
    assert said == [
        "All of this. Let y be positive. Then",
        "where y is a number.",
        "More words. And so",
    ]


def test_a_long_paragraph_gives_its_last_sentences() -> None:
    text = f"<p>{'A long beginning. ' * 30}\nThen</p>{display('equation-eq-a')}"
    ((_, content),) = slides(text)
    assert "<p>Then</p>" in content


def test_what_is_no_use_on_a_slide_is_left_out() -> None:
    text = (
        '<p>Words.</p><div class="cell"><div class="cell_input"><pre>x = 1</pre></div></div>'
        f"<div class='math math-display'>{X}</div>"
        '<aside class="margin"><p>A note</p></aside><div class="proof admonition"><p>By.</p></div>'
    )
    assert slides(text) == []


def test_each_picture_has_a_slide_of_its_own_and_formulas_share_one() -> None:
    figure = '<figure id="fig-a"><img src="../../_images/a.svg"><figcaption>A</figcaption></figure>'
    text = f"{display('equation-eq-a')}{display('equation-eq-b')}{figure}{display('equation-eq-c')}"
    names = [name for name, _ in slides(text)]
    assert names == ["slide-equation-eq-a", "slide-fig-a", "slide-equation-eq-c"]
    many = "".join(display(f"equation-eq-{one}") for one in "abcdefghij")
    assert 1 < len(slides(many)) < 10


def test_a_numbered_formula_in_a_derivation_is_shown_and_one_in_an_exercise_is_not() -> None:
    text = f'<details class="sd-dropdown"><div>{display("equation-eq-a")}</div></details>'
    deck = cut(text + f'<div class="exercise">{display("equation-eq-b")}</div>').deck()
    assert "equation-eq-a" in deck
    assert "equation-eq-b" not in deck and "equation-def-ex" not in deck


def test_a_theorem_is_no_slide_of_its_own_inside_a_slide() -> None:
    box = (
        '<div class="proof theorem" id="thm-a"><section class="content"><p>So.</p></section></div>'
    )
    ((name, content),) = slides(box)
    assert name == "slide-thm-a" and "<section" not in content


def test_addresses_lead_from_the_deck_to_where_they_led_from_the_chapter() -> None:
    text = (
        '<figure id="fig-a"><a href="two.html#x">2</a><a href="#sec-one-a">here</a>'
        '<a href="https://e.org/">e</a><img src="../../_images/a.svg"></figure>'
    )
    ((_, content),) = slides(text)
    found = re.findall(r'(?:href|src)="([^"]*)"', content)
    assert found == [
        "../book/part/two.html#x",
        "../book/part/one.html#sec-one-a",
        "https://e.org/",
        "../_images/a.svg",
    ]


def test_no_id_occurs_twice() -> None:
    deck = cut(display("equation-eq-a") * 3 + "<figure><p>A</p></figure>" * 2).deck()
    ids = re.findall(r'\sid="([^"]+)"', deck)
    assert len(ids) == len(set(ids))
    assert ids.count("equation-eq-a") == 1


def test_a_deck_that_would_be_the_same_is_not_written_again(tmp_path: Path) -> None:
    page, deck = tmp_path / "one.html", tmp_path / "deck.html"
    page.write_text(
        f'<article class="bd-article"><section id="s"><h1>S</h1><p>{X}</p></section></article>'
    )
    task = Task("book/one", page, deck, "$title $name $slides $explorables")
    write_deck(task)
    before = deck.stat().st_mtime_ns
    time.sleep(0.02)
    write_deck(task)
    assert deck.stat().st_mtime_ns == before
    page.write_text(page.read_text().replace("<h1>S", "<h1>T"))
    write_deck(task)
    assert deck.stat().st_mtime_ns > before


# ---- in a site -----------------------------------------------------------------------------


def test_a_chapter_leads_to_its_deck_and_no_other_page_has_one(deck_site: Path) -> None:
    assert [path.name for path in (deck_site / "slides").iterdir()] == ["chapter.html"]
    page = (deck_site / "book/chapter.html").read_text()
    assert '<a href="../slides/chapter.html">Slides</a>' in page
    assert "slides/" not in (deck_site / "book/ways.html").read_text()


def test_every_definition_claim_figure_and_explorable_is_in_the_deck(deck_site: Path) -> None:
    deck = (deck_site / "slides/chapter.html").read_text()
    page = (deck_site / "book/chapter.html").read_text().partition('id="sec-sample-exercises"')[0]
    wanted = re.findall(r'\sid="((?:equation-(?:eq|def)|dfn|thm|fig|explorable)-[\w-]+)"', page)
    assert len(wanted) > 12
    assert {name for name in wanted if f'id="{name}"' not in deck} == set()
    # Numbers and badges as on the page.
    for pattern in (r'<span class="eqno">(\(\d+\.\d+\))', r'<span class="claim-badge[^>]*>'):
        assert re.findall(pattern, page) == re.findall(pattern, deck)


def test_search_engines_and_the_books_own_lists_leave_decks_out(deck_site: Path) -> None:
    assert (
        '<meta name="robots" content="noindex">' in (deck_site / "slides/chapter.html").read_text()
    )
    for name in ("sitemap.xml", "searchindex.js", "sections.json", "llms.txt"):
        assert "slides/" not in (deck_site / name).read_text(), name


def test_the_gates_have_nothing_against_decks(deck_site: Path) -> None:
    findings = site_findings(deck_site, read_site(deck_site, {}))
    assert [str(one) for one in findings if one.page.startswith(("slides", "_static/slides"))] == []


def test_what_a_deck_loads_is_small_and_free(deck_site: Path) -> None:
    folder = deck_site / "_static/slides"
    assert "MIT" in (folder / "reveal.js").read_text()[:200]
    assert "Permission is hereby granted" in (folder / "REVEAL-LICENSE").read_text()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000
    # The styles of reveal.js are its own affair: pages do not carry them.
    assert ".reveal" not in (deck_site / "_static/site.css").read_text()
