"""Decks in Chromium: nothing leaves a slide, everyone can use them, and they can be printed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from browsing import Site

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
VIOLATIONS = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  const html = (node) => node.html.slice(0, 200);
  return violations.map((one) => one.id + ": " + one.nodes.slice(0, 3).map(html).join(" | "));
}"""
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))"
# What is shown of a slide beyond its edges or over its foot, and how small it had to be made. On
# paper a formula's empty space below its last line counts as height; a slide's padding is larger.
OUTSIDE = """(slide) => {
  const box = slide.querySelector(".slide-fit").getBoundingClientRect();
  const scale = box.width / 1280;
  const body = slide.querySelector(".slide-body");
  const shown = [...slide.querySelectorAll(".slide-fit *")].filter((one) => {
    const style = getComputedStyle(one);
    return !one.closest(".katex-mathml, option") && style.visibility !== "hidden"
      && one.getClientRects().length && one.getBoundingClientRect().width > 1
      && !one.matches(".katex *:not(.katex-base)") && !one.matches("[hidden], .copy-status");
  });
  const out = shown.filter((one) => {
    const at = one.getBoundingClientRect();
    return at.left < box.left - 1 || at.right > box.right + 1
      || at.top < box.top - 1 || at.bottom > box.bottom - 36 * scale;
  });
  const cut = shown.filter((one) => one.matches(".math-formula, .slide-body")
    && (one.scrollWidth > one.clientWidth + 4 || one.scrollHeight > one.clientHeight + 24));
  return {
    id: slide.id,
    zoom: Number(body.style.zoom || 1),
    out: [...out, ...cut].slice(0, 3).map((one) => one.outerHTML.slice(0, 120)),
  };
}"""
# Smaller than this nobody reads it from the last row.
SMALLEST = 0.6


def decks() -> list[str]:
    """Return the decks to look at: the sample's, or all of the site that MATHDL_SITE names."""
    named = os.environ.get("MATHDL_SITE")
    if named is None:
        return ["chapter"]
    found = sorted(path.stem for path in (Path(named) / "slides").glob("*.html"))
    if not found:
        raise FileNotFoundError(f"MATHDL_SITE={named} has no slides")
    return found


def test_there_is_a_deck_for_each_of_the_books_chapters(all_decks: Site) -> None:
    numbered = re.compile(r'<h1><span class="section-number">')
    chapters = {
        path.stem
        for path in (all_decks.html / "book").rglob("*.html")
        if numbered.search(path.read_text(encoding="utf-8"))
    }
    assert chapters == set(decks())


@pytest.mark.parametrize("name", decks())
def test_nothing_leaves_a_slide(all_decks: Site, visit: Any, name: str) -> None:
    number = decks().index(name)
    page = visit(f"{all_decks.url}/slides/{name}.html", color_scheme=("light", "dark")[number % 2])
    total = page.evaluate("Reveal.getTotalSlides()")
    assert total >= 5
    wrong = []
    for _ in range(total):
        if page.locator(".slide.present .explorable-live").count():
            page.wait_for_selector(".slide.present .explorable-started")
        page.evaluate(SETTLED)
        found = page.evaluate(f"({OUTSIDE})(Reveal.getCurrentSlide())")
        if found["out"] or found["zoom"] < SMALLEST:
            wrong.append(found)
        page.keyboard.press("ArrowRight")
    assert wrong == []
    assert page.evaluate("Reveal.isLastSlide()")
    assert page.said == []
    assert [one for one in page.asked if not one.startswith((all_decks.url, "data:"))] == []


@pytest.mark.parametrize("name", decks())
def test_every_kind_of_slide_is_for_everyone(all_decks: Site, visit: Any, name: str) -> None:
    number = decks().index(name)
    page = visit(f"{all_decks.url}/slides/{name}.html", color_scheme=("dark", "light")[number % 2])
    page.evaluate(AXE)
    # What is inside a formula is KaTeX's, and most of what a deck consists of.
    page.evaluate("for (const one of document.querySelectorAll('.katex')) one.replaceChildren('x')")
    kinds = {}
    for at, kind in enumerate(page.evaluate("Reveal.getSlides().map((one) => one.classList[1])")):
        kinds.setdefault(kind, at)
    assert {"slide-title", "slide-text", "slide-end"} <= kinds.keys()
    for kind, at in kinds.items():
        page.evaluate(
            "(at) => { const to = Reveal.getIndices(Reveal.getSlides()[at]);"
            "Reveal.slide(to.h, to.v); }",
            at,
        )
        page.evaluate(SETTLED)
        assert page.evaluate(VIOLATIONS) == [], kind


@pytest.mark.parametrize("name", decks())
def test_a_deck_can_be_printed(all_decks: Site, visit: Any, name: str, tmp_path: Path) -> None:
    page = visit(f"{all_decks.url}/slides/{name}.html?print-pdf")
    page.wait_for_selector("html.reveal-print .pdf-page")
    page.emulate_media(media="print")
    slides = page.locator(".pdf-page section.slide")
    wrong = [
        found
        for found in page.evaluate(
            f"[...document.querySelectorAll('.pdf-page section.slide')].map({OUTSIDE})"
        )
        if found["out"]
    ]
    assert wrong == []
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) == slides.count()
    sizes = set(re.findall(rb"/MediaBox\s*\[([^\]]*)\]", printed))
    assert {tuple(round(float(one)) for one in size.split()) for size in sizes} == {
        (0, 0, 960, 540)
    }
    assert page.said == []


def test_keys_and_links_lead_through_a_deck(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/slides/chapter.html")
    names = page.evaluate("Reveal.getSlides().map((slide) => slide.id)")
    seen = []
    for _ in names:
        seen.append(page.evaluate("Reveal.getCurrentSlide().id"))
        page.keyboard.press("Space")
    assert seen == names
    page.keyboard.press("Home")
    assert page.evaluate("Reveal.getCurrentSlide().id") == "slide-title"
    # A slide, or anything on it, can be linked to.
    for link in ("#/slide-fig-sample-bowl", "#/fig-sample-bowl"):
        other = visit(f"{site.url}/slides/chapter.html{link}")
        assert other.evaluate("Reveal.getCurrentSlide().id") == "slide-fig-sample-bowl"
    # And leads back to its place in the chapter.
    other.locator("#fig-sample-bowl a.headerlink").click()
    other.wait_for_url(f"{site.url}/book/chapter.html#fig-sample-bowl")


def test_every_thing_leads_back_to_the_chapter(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/slides/chapter.html")
    things = page.evaluate(
        """() => [...document.querySelectorAll("section.slide")].map((slide) =>
          [slide.id, slide.querySelector("h2 a").href])"""
    )
    assert all(address.startswith(f"{site.url}/book/chapter.html") for _, address in things)
    links = page.evaluate(
        """() => [...document.querySelectorAll(".math-display[id], figure[id], .proof[id]")].map(
          (one) => [one.id, one.querySelector("a.headerlink")?.getAttribute("href")])"""
    )
    assert len(links) > 5
    assert {name: to for name, to in links if to != f"../book/chapter.html#{name}"} == {}


def test_an_explorable_starts_when_it_is_shown_and_follows_the_hand(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/slides/chapter.html")
    assert not [one for one in page.asked if "gaussian-kl/view.js" in one]
    page.goto(f"{site.url}/slides/chapter.html#explorable-gaussian-kl&mu=1&sigma=0.8")
    page.wait_for_selector(".explorable-started")
    assert page.evaluate("Reveal.getCurrentSlide().id") == "slide-explorable-gaussian-kl"
    # What the controls show follows the picture.
    shows = "(value) => document.querySelector('[name=mu]').value === value"
    page.wait_for_function(shows, arg="1")
    page.get_by_role("button", name="Cover both").click()
    page.wait_for_function(shows, arg="-0.4")
    # Keys that move a slider do not turn the page, nor does one that presses a button.
    page.locator("[name=mu]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("form button[type=reset]").focus()
    page.keyboard.press("Space")
    assert page.evaluate("Reveal.getCurrentSlide().id") == "slide-explorable-gaussian-kl"
    # The slide is shown at another size than it is laid out; the point stays below the pointer.
    for width, height in ((1280, 720), (900, 500)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        knob = page.locator(".explorable-handle")
        box = knob.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y, steps=4)
        page.mouse.up()
        page.wait_for_timeout(1000)
        after = knob.bounding_box()
        assert after["x"] + after["width"] / 2 == pytest.approx(x + 40, abs=4)
    assert page.said == []


def test_colours_are_those_of_the_book(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/slides/chapter.html", color_scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    button = page.locator(".deck-theme")
    button.click()
    assert button.inner_text() == "Colours: light"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 254, 252)"
    page.goto(f"{site.url}/book/chapter.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_deck_reads_on_a_phone(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/slides/chapter.html", viewport={"width": 390, "height": 800})
    for _ in range(4):
        page.wait_for_timeout(400)  # a slide is fitted once it has been painted
        found = page.evaluate(f"({OUTSIDE})(Reveal.getCurrentSlide())")
        assert found["out"] == [], found
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    foot = page.locator(".deck-foot").bounding_box()
    slide = page.locator("section.slide.present .slide-fit").bounding_box()
    assert foot["x"] + foot["width"] <= 390
    assert foot["y"] + foot["height"] <= slide["y"]


def test_a_deck_opens_from_a_folder(deck_site: Path, visit: Any) -> None:
    page = visit(f"file://{deck_site}/slides/chapter.html")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getCurrentSlide().id") != "slide-title"
    assert page.said == []
