"""Where old links and old editions lead a reader, in Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import Site, served

BANNER = ".edition-banner"


@pytest.mark.parametrize(
    ("asked", "landed"),
    [
        ("", "latest/book/index.html"),
        ("?a=1#sec-front", "latest/book/index.html?a=1#sec-front"),
        ("index.html#sec-front", "latest/book/index.html#sec-front"),
        ("latest/?a=1#sec-front", "latest/book/index.html?a=1#sec-front"),
        ("book/whole.html?a=1#sec-whole", "latest/book/whole.html?a=1#sec-whole"),
        # Of pages and names that have changed since.
        ("book/early.html?a=1#sec-early-name", "latest/book/late.html?a=1#sec-late-name"),
        ("book/whole.html#sec-whole-part", "latest/book/late.html#sec-late-part"),
    ],
)
def test_the_root_leads_to_the_latest(site: Site, visit: Any, asked: str, landed: str) -> None:
    page = visit(f"{site.url}/{asked}")
    page.wait_for_url(f"{site.url}/{landed}")
    assert page.said == []


@pytest.mark.parametrize(
    ("place", "landed", "seen"),
    [
        ("whole.html", "whole.html", "#sec-whole"),
        ("whole.html?a=1#sec-whole", "whole.html?a=1#sec-whole", "#sec-whole"),
        ("whole.html#sec-whole-name", "whole.html#sec-whole-name", "#sec-whole-new"),
        ("whole.html#sec-whole-part", "late.html#sec-late-part", "#sec-late-part"),
        ("early.html", "late.html", "#sec-early"),
        ("early.html#sec-early-stays", "late.html#sec-early-stays", "#sec-early-stays"),
        ("early.html?a=1#sec-early-name", "late.html?a=1#sec-late-name", "#sec-late-name"),
    ],
)
def test_the_banner_leads_to_the_same_place_in_the_newest(
    site: Site, visit: Any, place: str, landed: str, seen: str
) -> None:
    page = visit(f"{site.url}/2026.1/book/{place}")
    banner = page.locator(BANNER)
    assert banner.inner_text().startswith("This is edition 2026.1, of 2026-02-03.")
    banner.locator("a").click()
    # Without a fragment, the section that is being read.
    page.wait_for_url(
        lambda url: (
            url.partition("#")[0] == f"{site.url}/latest/book/{landed}"
            if "#" not in landed
            else url == f"{site.url}/latest/book/{landed}"
        )
    )
    page.wait_for_load_state()
    place = page.locator(seen).bounding_box()
    assert -5 <= place["y"] <= 200, place
    assert page.locator(BANNER).count() == 0
    assert page.said == []


def test_the_banner_leads_to_the_section_that_is_read(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/2026.1/book/early.html", viewport={"width": 1300, "height": 800})
    page.locator("#sec-early-name").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#sec-early-name').scrollIntoView()")
    page.wait_for_selector('#pst-page-toc-nav a[aria-current="true"][href="#sec-early-name"]')
    page.locator(f"{BANNER} a").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/latest/book/late.html#sec-late-name")


def test_the_newest_edition_asks_for_nothing_and_keeps_no_room(site: Site, visit: Any) -> None:
    site.asked.clear()
    page = visit(f"{site.url}/latest/book/whole.html")
    page.wait_for_load_state("networkidle")
    assert page.locator(BANNER).count() == 0
    assert not [path for path in site.asked if "edition" in path]


@pytest.mark.parametrize("width", [1300, 320])
def test_the_banner_moves_nothing_and_hides_nothing(site: Site, visit: Any, width: int) -> None:
    address = f"{site.url}/2026.1/book/whole.html"
    places = "[...document.querySelectorAll('h1, h2, p')].filter((one) => !one.closest('aside'))"
    places += ".map((one) => one.getBoundingClientRect().y)"
    page = visit("about:blank", viewport={"width": width, "height": 700})
    page.route("**/editions.json", lambda route: route.fulfill(json=[]))
    page.goto(address, wait_until="networkidle")
    without = page.evaluate(places)
    page.unroute_all()
    page.goto(address, wait_until="networkidle")
    page.wait_for_selector(BANNER)
    assert page.evaluate(places) == without
    box = page.locator(BANNER).bounding_box()
    assert box["x"] == 0 and box["width"] <= width
    assert box["y"] + box["height"] == 700
    for _ in range(5):  # as what was not laid out yet comes near, the end moves away
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(100)
    last = page.locator(".bd-footer-content, .page-end").last.bounding_box()
    assert last["y"] + last["height"] <= box["y"] + 1


def test_a_banner_that_was_closed_stays_closed(site: Site, visit: Any) -> None:
    page = visit(f"{site.url}/2026.1/book/whole.html")
    page.locator(f"{BANNER} button").click()
    assert page.locator(BANNER).count() == 0
    page.goto(f"{site.url}/2026.1/book/early.html")
    page.wait_for_load_state("networkidle")
    assert page.locator(BANNER).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_banner_is_for_everyone(site: Site, visit: Any, scheme: str) -> None:
    page = visit(f"{site.url}/2026.1/book/whole.html", color_scheme=scheme)
    page.wait_for_selector(BANNER)
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()


def test_the_newest_tagged_edition_is_not_called_old(two: Path, tmp_path: Path, visit: Any) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(two, whole)
    listed = json.loads((whole / "editions.json").read_text())
    for one in listed:
        one["date"] = "2026-05-06"  # the tag is the last change
    (whole / "editions.json").write_text(json.dumps(listed))
    with served(whole) as site:
        page = visit(f"{site.url}/2026.1/book/whole.html")
        page.wait_for_load_state("networkidle")
        assert page.locator(BANNER).count() == 0
        assert page.said == []


def test_a_copy_elsewhere_says_nothing(two: Path, tmp_path: Path, visit: Any) -> None:
    copy = tmp_path / "stick"
    shutil.copytree(two / "2026.1", copy)
    with served(copy) as site:
        pages = [visit(f"{site.url}/book/whole.html"), visit(f"file://{copy}/book/whole.html")]
        pages.append(visit(f"file://{two}/2026.1/book/whole.html"))
        for page in pages:
            page.wait_for_load_state("networkidle")
            assert page.locator(BANNER).count() == 0
            assert page.said == []
        assert not [path for path in site.asked if "editions.json" in path]


def test_a_link_copied_from_an_edition_stays_in_it(site: Site, visit: Any) -> None:
    page = visit(
        f"{site.url}/2026.1/book/whole.html", permissions=["clipboard-read", "clipboard-write"]
    )
    page.locator("#sec-whole-name h2 a.headerlink").focus()
    page.get_by_role("button", name="Link", exact=True).click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith("/book/2026.1/book/whole.html#sec-whole-name")
