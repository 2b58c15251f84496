"""Every page of a built site in Chromium: for everyone, by itself, quiet, light."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import axe_playwright_python
import pytest

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
# What is inside a formula is KaTeX's, the same on every page, and most of what a page consists of.
CHECK = """(large) => {
  if (large) for (const one of document.querySelectorAll(".katex")) one.replaceChildren("x");
  const wanted = { resultTypes: ["violations"], performanceTimer: false };
  const html = (node) => node.html.slice(0, 200);
  return axe.run(document, wanted).then(({ violations }) => violations.map(
    (one) => one.id + ": " + one.nodes.slice(0, 3).map(html).join(" | ")
  ));
}"""
SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 600);
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
LOOKS = [("light", 1350), ("dark", 1350), ("light", 412), ("dark", 412)]
BUDGET, CAP = 220_000, 300_000
REQUESTS = 18
FIGURES = (".svg", ".png", ".webp", ".webm", ".jpg")
SAMPLE = (
    *("book/index.html", "book/chapter.html", "book/ways.html", "book/glossary.html"),
    *("book/ledger.html", "book/bibliography.html", "book/labs/lab-0-sample.html"),
    *("search.html", "genindex.html", "404.html"),
)


def names() -> list[str]:
    """Return the pages to test: the sample book's, or all of the site that MATHDL_SITE names."""
    named = os.environ.get("MATHDL_SITE")
    if not named:
        return list(SAMPLE)
    root = Path(named)
    pages = [path.relative_to(root).as_posix() for path in sorted(root.glob("book/**/*.html"))]
    if not pages:
        raise FileNotFoundError(f"MATHDL_SITE={named} has no pages")
    return [*pages, "search.html", "genindex.html", "404.html"]


def looks(name: str) -> list[tuple[str, int]]:
    """Return how a page is looked at: four ways; most pages of a whole book one way each."""
    if not os.environ.get("MATHDL_SITE"):
        return LOOKS if name in ("book/chapter.html", "search.html") else [LOOKS[0], LOOKS[3]]
    return LOOKS if name == "book/index.html" else [LOOKS[names().index(name) % len(LOOKS)]]


CASES = [(name, *look) for name in names() for look in looks(name)]


@pytest.mark.parametrize(("name", "scheme", "width"), CASES)
def test_a_page_is_for_everyone_quiet_and_fits_a_narrow_phone(
    name, scheme, width, visit, site, html
):
    opened = visit(name, scheme=scheme, width=width)
    opened.page.evaluate(AXE)
    large = (html / name).stat().st_size > 400_000
    assert opened.page.evaluate(CHECK, large) == []
    # The favicon of a page that is not there is found below the site's real address.
    assert opened.said == []
    assert [one for one in opened.asked if not one.startswith((site, "data:"))] == []
    opened.page.set_viewport_size({"width": 320, "height": 800})
    assert opened.page.evaluate(WIDEST) is None


def sent(address: str, html: Path) -> int:
    """Return the bytes of a file as a server sends it."""
    data = (html.parent / unquote(urlsplit(address).path).lstrip("/")).read_bytes()
    return len(data) if address.endswith(".woff2") else len(gzip.compress(data, 9))


def heaviest(html: Path, count: int) -> list[str]:
    """Return the pages with most bytes."""
    pages = [name for name in names() if name != "404.html"]
    return sorted(pages, key=lambda name: -(html / name).stat().st_size)[:count]


def test_the_heaviest_pages_are_light_and_still(visit, html):
    for name in heaviest(html, 3):
        opened = visit(name)
        shift = opened.page.evaluate(SHIFT)
        asked = {one for one in opened.asked if not one.partition("?")[0].endswith(FIGURES)}
        total = sum(sent(one, html) for one in asked)
        assert len(asked) <= REQUESTS, f"{name}: {sorted(asked)}"
        assert total <= CAP, f"{name}: {total:,} bytes"
        assert shift <= 0.02, f"{name} shifts by {shift:.3f} while it loads"


def test_a_page_of_usual_length_is_within_the_budget(visit, html):
    pages = sorted(names(), key=lambda name: (html / name).stat().st_size)
    name = pages[len(pages) // 2]
    asked = {one for one in visit(name).asked if not one.partition("?")[0].endswith(FIGURES)}
    assert sum(sent(one, html) for one in asked) <= BUDGET


def test_no_script_holds_up_the_first_paint(html):
    for name in names():
        head = (html / name).read_text(encoding="utf-8").partition("</head>")[0]
        for tag in head.split("<script")[1:]:
            opening = tag.partition(">")[0]
            assert "src=" not in opening or "defer" in opening or "module" in opening, name
