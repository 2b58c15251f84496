"""What the frame of a page does: keyboard, drawers, search, copying, paper; what its head says."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import axe_playwright_python
import pytest

from mathdl_book import assets

pytestmark = pytest.mark.skipif("MATHDL_SITE" in os.environ, reason="asks for the sample's words")

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
# All of it laid out, as for whoever has read it to its end.
WHOLE = """() => {
  document.documentElement.dataset.whole = "";
  return new Promise((ready) => requestAnimationFrame(() => requestAnimationFrame(ready)));
}"""
CHECK = "axe.run().then((found) => found.violations.map((one) => one.id + one.nodes[0].html))"
CHAPTER = "book/chapter.html"
CLAIM = "#equation-eq-sample-gradient"


def violations(page) -> list[str]:
    page.evaluate(AXE)
    page.evaluate(WHOLE)
    return page.evaluate(CHECK)


def test_the_way_past_the_frame_shows_when_it_is_focused(visit):
    page = visit(CHAPTER).page
    link = page.locator("#pst-skip-link a")
    assert link.bounding_box()["y"] < -50
    page.keyboard.press("Tab")
    assert link.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main-content"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawers_open_close_and_are_for_everyone(scheme, visit):
    page = visit(CHAPTER, width=412, scheme=scheme).page
    for which in ("primary", "secondary"):
        page.click(f".{which}-toggle")
        drawer = page.locator(f"#pst-{which}-sidebar-modal")
        assert drawer.is_visible() and drawer.locator("a").count() > 1
        assert violations(page) == []
        page.keyboard.press("Escape")
        assert not drawer.is_visible()
        assert page.locator(f"#pst-{which}-sidebar a").count() > 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_search_box_opens_by_keyboard_and_is_for_everyone(scheme, visit, site):
    page = visit(CHAPTER, scheme=scheme).page
    page.keyboard.press("Control+k")
    assert page.evaluate("document.activeElement.name") == "q"
    assert violations(page) == []
    page.keyboard.type("chain rule")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site}/search.html?q=chain+rule")


def found(page) -> list[str]:
    page.wait_for_selector(".search-status:has-text('result')")
    return page.locator(".search-list > li").all_inner_texts()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("chain rule", r"1\.1 Chain rule\s+Theorem"),
        ("sample gradient", r"\(1\.2\) sample gradient\s+Equation"),
        ("(1.2)", r"\(1\.2\) sample gradient\s+Equation"),
        ("equation 1.1", r"\(1\.1\) sample loss\s+Definition"),
        ("dfn-sample-differentiable", r"1\.1 Differentiable\s+Definition"),
        ("gradient", r"gradient\s+Term"),
    ],
)
def test_search_finds_what_is_called_so_first(query, first, visit):
    page = visit(f"search.html?q={query}").page
    assert re.match(first, found(page)[0])


def test_search_shows_where_a_phrase_is_and_takes_the_arrow_keys(visit):
    opened = visit("search.html")
    page = opened.page
    page.fill(".bd-search-container input", "every element of the kit")
    assert any("shows you every element of the kit" in one for one in found(page))
    assert page.locator("mark").first.inner_text().lower() == "every element of the kit"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/book/"))
    assert opened.said == []


def test_search_and_reading_work_from_a_folder(visit, html):
    opened = visit((html / "search.html").as_uri() + "?q=chain+rule")
    assert "Chain rule" in found(opened.page)[0]
    opened.page.locator(".search-list a").first.click()
    opened.page.wait_for_url(re.compile("chapter.html"))
    assert opened.page.locator("h1").first.is_visible()
    assert opened.said == []


def test_search_results_are_for_everyone(visit):
    page = visit("search.html?q=gradient", width=412, scheme="dark").page
    found(page)
    assert violations(page) == []


def test_colours_follow_the_system_until_the_reader_chooses(visit, site):
    page = visit(CHAPTER, scheme="dark").page
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{theme} === 'light'")
    for wanted in ("light", "dark"):
        page.click(".theme-switch-button")
        assert page.evaluate(theme) == wanted
    page.goto(f"{site}/book/index.html")
    assert page.evaluate(theme) == "dark"


def test_menus_open_and_close_by_keyboard(visit):
    page = visit(CHAPTER).page
    page.focus(".dropdown-launch-buttons button")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.className").count("dropdown-item")
    assert page.locator(".dropdown-launch-buttons .dropdown-menu").is_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert not page.locator(".dropdown-launch-buttons .dropdown-menu").is_visible()


def copied(page) -> str:
    return page.evaluate("navigator.clipboard.readText()")


def test_links_to_anything_can_be_copied_in_four_forms(visit):
    page = visit(CHAPTER, permissions=["clipboard-read", "clipboard-write"]).page
    page.focus(f"{CLAIM} a.headerlink")
    address = page.evaluate("document.querySelector('link[rel=canonical]').href") + CLAIM
    wanted = {
        "Link": address,
        "Markdown": f"[Equation (1.2)]({address})",
        "HTML": f'<a href="{address}">Equation (1.2)</a>',
        "LaTeX": f"\\href{{{address.replace('#', chr(92) + '#')}}}{{Equation (1.2)}}",
    }
    for form, text in wanted.items():
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('.copy-status').textContent === 'Copied.'")
        assert (copied(page)) == text, form
    assert violations(page) == []
    report = page.locator(".link-menu a").get_attribute("href")
    assert "template=wrong-equation.yml" in report and "%23equation-eq-sample-gradient" in report
    page.keyboard.press("Escape")
    assert page.locator(".link-menu").count() == 0


@pytest.mark.parametrize(
    ("anchor", "name"),
    [("#sec-sample-figures", "Figures"), ("#thm-sample-chain", "Theorem"), ("#fig-", "Fig")],
)
def test_every_kind_of_thing_offers_its_link(anchor, name, visit):
    page = visit(CHAPTER).page
    link = page.locator(f'article a.headerlink[href^="{anchor}"]').first
    link.focus()
    assert name.lower() in page.locator(".link-menu").get_attribute("aria-label").lower()


def test_code_is_copied_without_the_line_after_it(visit):
    page = visit(CHAPTER, permissions=["clipboard-read", "clipboard-write"]).page
    cell = page.locator(".cell_input .highlight").first
    cell.locator(".copy-code").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".copied")
    assert copied(page).strip() == cell.locator("pre").inner_text().strip()


def test_a_page_is_readable_on_paper(visit):
    page = visit(CHAPTER).page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for hidden in (".bd-sidebar-primary", ".copy-code", ".bd-header-article", "a.report"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.locator("details.solution").first.get_attribute("open") is not None
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.solution").first.get_attribute("open") is None


def test_a_page_says_what_it_is(html):
    text = (html / CHAPTER).read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', text)[1])
    assert data["@type"] == "LearningResource" and data["timeRequired"] == "PT20M"
    assert len(data["teaches"]) == 2 and data["isPartOf"]["@type"] == "Book"
    base = data["isPartOf"]["url"]
    assert f'<link rel="canonical" href="{base}{CHAPTER}"' in text
    assert f'<meta property="og:url" content="{base}{CHAPTER}"' in text
    assert re.search(r'<meta name="description" content="[^"]{20,}"', text)
    assert "label=chapter" in re.search(r'<a class="report" href="([^"]+)"', text)[1]
    assert "@incollection{mathdl-chapter," in text


def test_the_site_can_be_found(html):
    addresses = [
        one.text for one in ET.parse(html / "sitemap.xml").iter() if (one.text or "").strip()
    ]
    assert len(addresses) == len(list(html.glob("book/**/*.html"))) and addresses[0].endswith(
        "/book/index.html"
    )
    assert "Sitemap: https://" in (html / "robots.txt").read_text()
    assert "](https://" in (html / "llms.txt").read_text(encoding="utf-8")
    assert "not set" not in (html / "sections.json").read_text(encoding="utf-8")


def test_every_page_asks_for_the_two_bundles_only(html):
    text = (html / CHAPTER).read_text(encoding="utf-8")
    styles = re.findall(r'<link rel="stylesheet" href="([^"?]+)', text)
    assert styles[0] == "../_static/site.css"
    assert not {Path(one).name for one in styles} & {"copybutton.css", "proof.css", "mathdl.css"}
    scripts = re.findall(r'<script[^>]* src="([^"?]+)', text)
    assert not [one for one in scripts if assets.DONE.search(one)]


def test_the_stylesheet_carries_the_icons_and_the_styles_of_cells(html):
    css = (html / "_static/site.css").read_text(encoding="utf-8")
    assert css.count("url(data:font/woff2;base64,") == 2 and "url(icons/" not in css
    assert ".live-bar" in css
    assert "@keyframes" not in assets.without_unused_names("@keyframes a{0%{top:0}}p{top:0}", "")
    assert "@keyframes" in assets.without_unused_names("@keyframes a{0%{top:0}}", "animation: 1s a")


def test_a_rule_stays_as_long_as_something_can_match_it():
    css = "@media print{.a .b,#c{top:0}} .d:not(.x){left:0} p.e::after{content:'{}'} [f]{top:0}"
    assert assets.purged(css, {"a", "d"}) == ".d:not(.x){left:0}[f]{top:0}"
    assert assets.purged(css, {"a", "b"}) == "@media print{.a .b{top:0}}[f]{top:0}"
    assert ".e::after{content:'{}'}" in assets.purged(css, {"e"})
