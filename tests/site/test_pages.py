"""Every page of a built site in Chromium: for everyone, by itself, quiet, light."""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import axe_playwright_python
import pytest

from browsing import served

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHECK = """([where, rules, without]) => {
  const wanted = { resultTypes: ["violations"], performanceTimer: false };
  if (rules) wanted.runOnly = rules;
  // Off unless asked for, since it is younger than the standard that most must meet.
  else wanted.rules = { "target-size": { enabled: true } };
  for (const rule of without) wanted.rules[rule] = { enabled: false };
  const html = (node) => node.html.slice(0, 200) + " (" + (node.any[0]?.message ?? "") + ")";
  return axe.run(where ?? document, wanted).then(({ violations }) => violations.map(
    (one) => one.id + ": " + one.nodes.slice(0, 3).map(html).join(" | ")
  ));
}"""
# What is inside a formula is KaTeX's, the same on every page; of code, three words of each colour
# tell as much as three thousand, and so do four rows of the ledger's tables. Without all that,
# a page is looked through in a tenth of the time.
THIN_OUT = """() => {
  for (const one of document.querySelectorAll(".katex")) one.replaceChildren("x");
  const seen = new Map();
  for (const word of document.querySelectorAll("pre span[class]:not(:has(*))")) {
    const kind = word.closest(".cell_output, .cell_input, div")?.className + word.className;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (seen.get(kind) > 3) word.replaceWith(word.textContent);
  }
  for (const row of document.querySelectorAll(".ledger tbody > tr:nth-child(n + 5)")) row.remove();
}"""
# All of it laid out, as for whoever has read it to its end.
WHOLE = """() => {
  document.documentElement.dataset.whole = "";
  return new Promise((ready) => requestAnimationFrame(() => requestAnimationFrame(ready)));
}"""
COLOURS = ["color-contrast", "link-in-text-block"]
# Sums what moves, and tells what; a longer wait would only see what the reader's own scrolling
# does.
SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  const moved = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
      sum += entry.value;
      for (const { node } of entry.sources) {
        moved.push((node?.outerHTML ?? node?.data ?? "").slice(0, 100));
      }
    }
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve([sum, moved]), 600);
})"""
WIDEST = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return null;
  const clipped = (box) => {
    for (let up = box.parentElement; up; up = up.parentElement) {
      if (getComputedStyle(up).overflowX !== "visible" && up !== document.body) return true;
    }
    return false;
  };
  const out = [...document.body.querySelectorAll("*")].filter(
    (box) => box.getBoundingClientRect().right > wide + 1 && !clipped(box)
  );
  return out.slice(0, 3).map((box) => box.outerHTML.slice(0, 160));
}"""
# Signs that a formula is followed by, and that begin a line.
STRAYED = r"""() => {
  const strayed = [];
  for (const formula of document.querySelectorAll("span.math")) {
    const after = formula.nextSibling;
    const last = [...formula.querySelectorAll(".katex-base")].at(-1);
    if (!last || after?.nodeType !== Node.TEXT_NODE || !/^[.,;:!?)\]’”]/.test(after.data)) continue;
    const sign = document.createRange();
    sign.setStart(after, 0);
    sign.setEnd(after, 1);
    const { left, width } = sign.getBoundingClientRect();
    if (width && left < last.getBoundingClientRect().left) {
      strayed.push(`${formula.querySelector("annotation").textContent} ${after.data.slice(0, 9)}`);
    }
  }
  return strayed;
}"""
# Everything the Tab key stops at: in the order of the text, named, and marked when it is there.
STOPS = """() => {
  const wrong = [];
  const said = (box) => box.outerHTML.slice(0, 160);
  const all = [...document.querySelectorAll(
    "a[href], button, input, select, textarea, summary, iframe, [tabindex], [contenteditable]"
  )].filter((box) => box.tabIndex >= 0 && !box.disabled && box.checkVisibility());
  for (const box of all) {
    if (box.tabIndex > 0) wrong.push("out of order: " + said(box));
    box.focus({ preventScroll: true });
    if (document.activeElement !== box) {
      if (box.type !== "radio") wrong.push("cannot be focused: " + said(box));
      continue;
    }
    const style = getComputedStyle(box);
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    const around = box.closest("form, label, .sd-card") ?? box;
    const lit = [box, around].some((one) => getComputedStyle(one).boxShadow !== "none");
    if (!ring && !lit) wrong.push("focus does not show: " + said(box));
    if (style.opacity === "0") wrong.push("focused and not seen: " + said(box));
  }
  document.activeElement.blur();
  return [all.length, wrong.slice(0, 6)];
}"""
BUDGET = 220_000
REQUESTS = 18
FIGURES = (".svg", ".png", ".webp", ".webm", ".jpg")
NARROW = (320, 640)  # of 1280, the latter is what a reader sees who reads at 200 %
SAMPLE = (
    *("book/index.html", "book/chapter.html", "book/ways.html", "book/glossary.html"),
    *("book/ledger.html", "book/bibliography.html", "book/labs/lab-0-sample.html"),
    "book/links.html",
    *("search.html", "genindex.html", "404.html"),
)


@cache
def names() -> list[str]:
    """Return the pages to test: the sample book's, or all of the site that MATHDL_SITE names."""
    named = os.environ.get("MATHDL_SITE")
    if not named:
        return list(SAMPLE)
    root = Path(named)
    pages = [path.relative_to(root).as_posix() for path in sorted(root.glob("book/**/*.html"))]
    if not pages:
        raise FileNotFoundError(f"MATHDL_SITE={named} has no pages")
    others = ("search.html", "genindex.html", "py-modindex.html", "404.html")
    return pages + [name for name in others if (root / name).is_file()]


def heaviest(html: Path) -> str:
    """Return the page of the book that has most to lay out."""
    return max(names(), key=lambda name: (html / name).stat().st_size * name.startswith("book/"))


def violations(
    page: Any, where: str | None = None, rules: list[str] | None = None, without: tuple = ()
) -> list[str]:
    """Return what axe objects to on a page, or in a part of it, as it is now."""
    return page.evaluate(CHECK, [where, rules, list(without)])


@pytest.mark.parametrize("name", names())
def test_a_page_is_for_everyone_quiet_and_fits_any_width(name, visit, site, html):
    opened = visit(name)
    page = opened.page
    page.evaluate(AXE)
    if (html / name).stat().st_size > 400_000:
        page.evaluate(THIN_OUT)
    page.evaluate(WHOLE)
    found = {"light": violations(page)}
    page.emulate_media(color_scheme="dark")
    found["dark"] = violations(page, rules=COLOURS)

    page.keyboard.press("Tab")  # from here on, focus is the keyboard's
    if name not in ("404.html", "search.html"):
        skipping = "document.activeElement.closest('#pst-skip-link') !== null"
        found["first stop"] = [] if page.evaluate(skipping) else ["not the way past the frame"]
    stops, found["keyboard"] = page.evaluate(STOPS)
    assert stops > 2

    for width in NARROW:
        page.set_viewport_size({"width": width, "height": 800})
        found[f"too wide at {width}"] = page.evaluate(WIDEST) or []
        found[f"a sign begins a line at {width}"] = page.evaluate(STRAYED)
    page.set_viewport_size({"width": 412, "height": 900})
    page.emulate_media(color_scheme="dark" if names().index(name) % 2 else "light")
    found["phone"] = violations(page, without=("color-contrast",))
    for which in ("primary", "secondary"):
        if page.locator(f".{which}-toggle").is_visible():
            page.click(f".{which}-toggle")
            found[f"{which} drawer"] = violations(page, f"#pst-{which}-sidebar-modal")
            page.keyboard.press("Escape")
    if page.locator("#pst-search-dialog").count():
        page.keyboard.press("Control+k")
        found["search box"] = violations(page, "#pst-search-dialog")

    # The favicon of a page that is not there is found below the site's real address.
    found["said"] = opened.said
    found["foreign"] = [one for one in opened.asked if not one.startswith((site, "data:"))]
    wrong = [f"{where}: {one}" for where, what in found.items() for one in what]
    assert not wrong, "\n".join(wrong)


def sent(address: str, html: Path) -> int:
    """Return the bytes of a file as a server sends it."""
    data = (html.parent / unquote(urlsplit(address).path).lstrip("/")).read_bytes()
    return len(data) if address.endswith(".woff2") else len(gzip.compress(data, 9))


def assert_still(opened: Any, most: float = 0.02) -> None:
    """Fail if more of a page has moved while it loaded than a reader would forgive."""
    shift, moved = opened.page.evaluate(SHIFT)
    assert shift <= most, moved


@pytest.mark.parametrize("name", [name for name in names() if name != "404.html"])
def test_a_page_is_light_and_still(name, visit, html):
    opened = visit(name, away=True)
    assert_still(opened)
    assert_still(visit(name, away=True, width=412))
    asked = {one for one in opened.asked if not one.partition("?")[0].endswith(FIGURES)}
    total = sum(sent(one, html) for one in asked)
    assert len(asked) <= REQUESTS, sorted(asked)
    assert total <= BUDGET, f"{total:,} bytes"


def test_a_table_that_comes_row_by_row_does_not_move(visit, html):
    table = b'<table class="catalogue table">'
    name = next(name for name in names() if table in (html / name).read_bytes())
    with served(html, cut=b"</tr>") as slow:
        opened = visit(f"{slow.url}/{name}", width=412)
        assert_still(opened, most=0.005)
        visible = opened.page.locator(".arriving > table")
        assert visible.count() and all(one.is_visible() for one in visible.all())


LAST = "[...document.querySelectorAll('article section[id]')].at(-1).id"
# How far below the top of the window a place is, once nothing scrolls any more.
PLACE = """(id) => new Promise((resolve) => setTimeout(
  () => resolve(document.getElementById(id).getBoundingClientRect().top), 300
))"""


def test_a_link_into_a_long_page_is_exact_and_nothing_moves(visit, html):
    name = heaviest(html)
    last = visit(name).page.evaluate(LAST)
    opened = visit(f"{name}#{last}", away=True)
    assert_still(opened)
    loaded = opened.page.evaluate(PLACE, last)
    assert 0 <= loaded <= 900
    # By a link in the page as well, and from where nothing of the way there has been laid out.
    page = visit(name).page
    page.evaluate("(id) => document.querySelector(`a[href='#${id}']`).click()", last)
    assert abs(page.evaluate(PLACE, last) - loaded) <= 2


@pytest.mark.parametrize("width", [1350, 412])
def test_a_page_knows_how_long_it_will_be(visit, html, width):
    name = heaviest(html)
    page = visit(name, width=width).page
    high = "document.documentElement.scrollHeight"
    expected = page.evaluate(high)
    page.evaluate(WHOLE)
    whole = page.evaluate(high)
    assert whole > 3000 and abs(expected / whole - 1) < 0.2


# The start of the last paragraph that is words alone, where nothing has been laid out yet.
WORDS = """() => {
  const far = [...document.querySelectorAll("article section section p")].filter((one) =>
    getComputedStyle(one).contentVisibility === "auto" &&
    !one.querySelector("*") && !one.closest("details:not([open])"));
  return far.at(-1)?.textContent.trim().slice(0, 40).replace(/\\s+\\S*$/, "") ?? null;
}"""

FIRST = """(words) => [...document.querySelectorAll("article section section p")].find(
  (one) => one.textContent.trim().startsWith(words)
).getBoundingClientRect().top"""


@pytest.mark.parametrize("width", [1350, 412])
def test_a_link_to_words_that_are_far_down_leads_to_them(visit, html, width):
    name = heaviest(html)
    page = visit(name, width=width).page
    words = page.evaluate(WORDS)
    assert words
    page = visit(f"{name}#:~:text={quote(words)}", width=width).page
    page.wait_for_timeout(300)
    # In Chromium: in the middle of the window.
    assert 300 < page.evaluate(FIRST, words) < 600


# What stands in the middle of the window, or where in the window that is now.
MIDDLE = """() => {
  const seen = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
  const all = [...document.querySelectorAll("article *")];
  return [all.indexOf(seen), seen.getBoundingClientRect().top];
}"""
NOW = """(which) => new Promise((resolve) => setTimeout(() => resolve(
  [...document.querySelectorAll("article *")][which].getBoundingClientRect().top
), 300))"""


@pytest.mark.parametrize("width", [1350, 412])
def test_whoever_comes_back_to_a_page_finds_their_place(visit, site, html, width):
    name = heaviest(html)
    page = visit(name, width=width).page
    for _ in range(15):
        page.mouse.wheel(0, 800)
        page.wait_for_timeout(20)
    page.wait_for_timeout(300)
    which, before = page.evaluate(MIDDLE)
    assert which > 0 and page.evaluate("scrollY") > 3000
    page.reload(wait_until="load")
    assert abs(page.evaluate(NOW, which) - before) <= 2
    page.goto(f"{site}/search.html", wait_until="load")
    page.go_back(wait_until="load")
    assert abs(page.evaluate(NOW, which) - before) <= 2


BOXED = """() => {
  const bare = [];
  for (const box of document.querySelectorAll(".cell_input, .in-this-chapter, .bd-search")) {
    const style = getComputedStyle(box);
    if (box.checkVisibility() && parseFloat(style.borderLeftWidth) < 1) bare.push(box.className);
  }
  for (const box of document.querySelectorAll("body *:not(svg, svg *)")) {
    if (getComputedStyle(box).forcedColorAdjust === "none") bare.push(box.outerHTML.slice(0, 120));
  }
  return bare;
}"""


def test_with_the_colours_of_the_system_boxes_keep_borders_and_focus_its_ring(visit):
    name = next(
        one for one in ("book/chapter.html", "book/start/quickstart.html") if one in names()
    )
    page = visit(name, forced_colors="active").page
    assert page.evaluate(BOXED) == []
    page.keyboard.press("Tab")
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(ring) == "solid"


def test_no_script_holds_up_the_first_paint(html):
    for name in names():
        head = (html / name).read_text(encoding="utf-8").partition("</head>")[0]
        for tag in head.split("<script")[1:]:
            opening = tag.partition(">")[0]
            assert "src=" not in opening or "defer" in opening or "module" in opening, name
