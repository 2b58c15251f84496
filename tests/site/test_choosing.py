"""Searching the catalogue in Chromium, and what is chosen as a file of each kind."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import axe_playwright_python
import pytest

from mathdl_book.choosing import cartridge

pytestmark = pytest.mark.skipif("MATHDL_SITE" in os.environ, reason="looks at the sample book")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHOSEN = "chosen=sec-chain-rule,eq-sample-chain,ex-sample-code"


def saved(page, kind):
    """Return what a button offers as a file."""
    with page.expect_download() as download:
        page.click(f"[data-save={kind}]")
    return Path(download.value.path()).read_bytes()


def rows(page):
    """Return the words of the rows that were found."""
    return page.eval_on_selector_all(".choose tbody tr", "all => all.map(row => row.innerText)")


def test_search_filters_and_their_state_in_the_address(visit):
    opened = visit("book/choosing.html")
    page = opened.page
    page.wait_for_selector(".choose")
    assert page.is_hidden(".choose-plain")
    everything = len(rows(page))
    page.select_option("[name=kind]", "exercise")
    page.fill(".choose [name=q]", "in code")
    assert ["In code" in row for row in rows(page)] == [True] < [True] * everything
    page.check(".choose tbody input")
    assert page.url.endswith("?q=in+code&kind=exercise&chosen=ex-sample-code")
    page.reload()
    page.wait_for_selector(".choose")
    assert page.is_checked(".choose tbody input")
    assert "In code" in page.inner_text(".choose-list")
    page.fill(".choose [name=q]", "")
    page.select_option("[name=kind]", "section")
    page.fill("[name=minutes]", "1")
    short = rows(page)
    page.fill("[name=minutes]", "")
    assert len(short) < len(rows(page))
    page.select_option("[name=gpu]", "needed")
    assert ["On a GPU" in row for row in rows(page)] == [True]
    page.select_option("[name=gpu]", "none")
    assert not any("On a GPU" in row for row in rows(page))
    page.select_option("[name=kind]", "exercise")
    page.select_option("[name=difficulty]", "1")
    assert ["By hand" in row for row in rows(page)] == [True]
    page.select_option("[name=difficulty]", "")
    page.select_option("[name=kind]", "page")
    page.select_option("[name=level]", "evaluate")
    assert any("chain rule" in row for row in rows(page))
    page.select_option("[name=objective]", "obj-sample-check")
    assert len(rows(page)) == 1
    assert opened.said == []


def test_a_reading_list_in_four_formats(visit, site):
    page = visit(f"book/choosing.html?{CHOSEN}", accept_downloads=True).page
    page.wait_for_selector(".choose")
    markdown = saved(page, "md").decode()
    address = f"{site}/book/chapter.html#equation-eq-sample-chain"
    assert f"- [Claim 1.3 (eq-sample-chain)]({address})\n" in markdown
    assert len(markdown.splitlines()) == 3
    html = ElementTree.fromstring(saved(page, "html"))
    assert [link.get("href") for link in html.iter("a")][1] == address
    table = list(csv.DictReader(io.StringIO(saved(page, "csv").decode())))
    assert [row["id"] for row in table] == ["sec-chain-rule", "eq-sample-chain", "ex-sample-code"]
    assert table[1]["address"] == address
    # The file made in the page holds what the one made in the build does.
    entries = page.evaluate(
        """async (ids) => {
          const { title, sections } = await (await fetch("../sections.json")).json();
          return [title, ids.map((id) => sections.find((entry) => entry.id === id))];
        }""",
        [row["id"] for row in table],
    )
    files = []
    for packed in (saved(page, "imscc"), cartridge(*entries, f"{site}/")):
        archive = zipfile.ZipFile(io.BytesIO(packed))
        assert archive.testzip() is None
        files.append({n: ElementTree.canonicalize(archive.read(n)) for n in archive.namelist()})
    assert files[0] == files[1]
    assert len(files[0]) == 4


@pytest.mark.parametrize(("scheme", "width"), [("light", 1350), ("dark", 412)])
def test_for_everyone_and_on_a_phone(visit, scheme, width):
    opened = visit(f"book/choosing.html?{CHOSEN}", scheme=scheme, width=width)
    opened.page.wait_for_selector(".choose")
    opened.page.evaluate(AXE)
    found = opened.page.evaluate("() => axe.run().then((all) => all.violations)")
    assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found] == []
    opened.page.set_viewport_size({"width": 320, "height": 800})
    wide = opened.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 320
    assert opened.said == []


def test_from_a_folder_it_says_what_it_needs(visit, html):
    page = visit((html / "book" / "choosing.html").as_uri()).page
    assert page.is_visible(".choose-offline")
    assert page.is_visible(".choose-plain table")
    assert page.is_hidden(".choose")


@pytest.mark.parametrize("lost", ["sections.json", "catalogue.js*", "entries.js"])
def test_what_is_lost_on_the_way_is_said_and_all_pages_shown(visit, site, lost):
    page = visit("404.html").page
    page.route(f"**/{lost}", lambda route: route.abort())
    page.goto(f"{site}/book/choosing.html")
    page.wait_for_selector(".choose-offline", state="visible")
    assert page.is_visible(".choose-plain table")
    assert page.is_hidden(".choose")
