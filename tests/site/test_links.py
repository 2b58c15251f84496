"""The form that builds links, in Chromium: every target, editions, addresses, and its own state."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import axe_playwright_python
import pytest

from browsing import served
from mathdl_book.launch import Place, binder_link, colab_link, hub_link

pytestmark = pytest.mark.skipif("MATHDL_SITE" in os.environ, reason="looks at the sample book")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
PLACE = Place("https://github.com/mathematics-for-deep-learning/book")
STEP = "step-sample-backward"
LISTED = ".linking [name=id] option"
PAGE = "book/labs/lab-0-sample"
NOTEBOOK = f"notebooks/{PAGE.removeprefix('book/')}.ipynb"


def link(page) -> str:
    return page.input_value(".linking-result")


@pytest.fixture
def form(visit):
    def opened(query: str = "", **given):
        visited = visit(f"book/links.html{query}", **given)
        visited.page.wait_for_selector(LISTED, state="attached")
        return visited

    return opened


def test_each_target_of_a_step_of_a_lab(form, site):
    opened = form()
    page = opened.page
    assert page.is_hidden(".choose-offline")
    assert page.is_hidden("[name=edition]")  # of a site without editions
    page.fill(".linking [name=q]", "sample-backward")
    assert page.locator(".linking [name=id] option").count() == 2  # and the one chosen before
    page.select_option(".linking [name=id]", STEP)
    hub = "https://hub.example.edu"
    for to, wanted in (
        ("read", f"{site}/{PAGE}.html#{STEP}"),
        ("run", f"{site}/{PAGE}.html?run#{STEP}"),
        ("binder", binder_link(PLACE, NOTEBOOK)),
        ("colab", colab_link(PLACE, NOTEBOOK)),
        ("notebook", f"{site}/{NOTEBOOK}"),
        ("hub", ""),
    ):
        page.select_option("[name=to]", to)
        assert link(page) == wanted
        assert page.is_visible(".linking-open") == bool(wanted)
        assert page.is_visible("[name=hub]") == (to == "hub")
    assert page.inner_text(".linking-wrong").startswith("Type the address")
    page.fill("[name=hub]", f"{hub}/hub/home")
    assert link(page) == hub_link(PLACE, NOTEBOOK, hub)
    assert page.inner_text(".linking-wrong") == ""
    assert opened.said == []


def test_what_it_links_to_is_there(form, site, html):
    page = form(f"?id={STEP}&to=notebook").page
    assert (html / link(page).removeprefix(f"{site}/")).is_file()
    page.select_option("[name=to]", "run")
    page.goto(link(page))
    assert page.evaluate("document.activeElement.className") == "live-run"
    assert page.evaluate("document.activeElement.closest('section').id") == STEP


def test_the_state_is_in_the_address(form, site):
    page = form().page
    page.fill(".linking [name=q]", "sample-backward")
    page.select_option(".linking [name=id]", STEP)
    page.select_option("[name=to]", "hub")
    page.fill("[name=hub]", "hub.example.edu")
    page.fill("[name=site]", "https://book.example.edu/dl")
    wanted = link(page)
    given = {name: value for name, [value] in parse_qs(urlsplit(page.url).query).items()}
    assert given == {
        "id": STEP,
        "to": "hub",
        "hub": "hub.example.edu",
        "site": "https://book.example.edu/dl",
    }
    page.reload()
    page.wait_for_selector(LISTED, state="attached")
    assert link(page) == wanted
    assert page.input_value(".linking [name=id]") == STEP
    page.select_option("[name=to]", "read")
    assert link(page) == f"https://book.example.edu/dl/{PAGE}.html#{STEP}"
    page.fill("[name=site]", "book.example.edu")
    assert link(page) == "" and "https://" in page.inner_text(".linking-wrong")


def test_a_page_without_code_can_only_be_read(form, site):
    page = form("?id=sec-glossary-sample&to=read").page
    plain = page.evaluate(
        """async () => {
          const [{ sections }, { pages }] = await Promise.all(
            ["sections", "launch"].map((name) => fetch(`../${name}.json`).then((a) => a.json())));
          return sections.find((entry) => !pages[entry.page]).id;
        }"""
    )
    page.goto(f"{site}/book/links.html?id={plain}&to=binder")
    page.wait_for_selector(LISTED, state="attached")
    assert link(page) == "" and "no code" in page.inner_text(".linking-wrong")
    page.select_option("[name=to]", "read")
    assert link(page).endswith(f"#{plain}")


def test_a_link_can_be_copied_in_three_forms(form, site):
    page = form(f"?id={STEP}&to=read", permissions=["clipboard-read", "clipboard-write"]).page
    url, name = f"{site}/{PAGE}.html#{STEP}", "Step 2: Backward"
    for kind, wanted in (
        ("link", url),
        ("markdown", f"[{name}]({url})"),
        ("html", f'<a href="{url}">{name}</a>'),
    ):
        page.click(f"[data-copy={kind}]")
        page.wait_for_function(
            "document.querySelector('.linking .choose-count').textContent === 'Copied.'"
        )
        assert page.evaluate("navigator.clipboard.readText()") == wanted


@pytest.fixture
def editions(html: Path, tmp_path: Path):
    """A site with the latest pages and an edition, whose notebooks have a branch of their own."""
    whole = tmp_path / "site"
    for name, branch in (("latest", "notebooks"), ("2026.1", "notebooks-2026.1")):
        shutil.copytree(html, whole / name)
        launch = json.loads((whole / name / "launch.json").read_text())
        (whole / name / "launch.json").write_text(json.dumps(launch | {"branch": branch}))
        page = whole / name / "book" / "links.html"
        text = page.read_text(encoding="utf-8")
        assert 'data-edition=""' in text
        page.write_text(text.replace('data-edition=""', f'data-edition="{name}"'), encoding="utf-8")
    sections = json.loads((whole / "2026.1" / "sections.json").read_text())
    sections["sections"] = [one for one in sections["sections"] if one["id"] != STEP]
    (whole / "2026.1" / "sections.json").write_text(json.dumps(sections))
    listed = [
        {"name": name, "title": title, "date": date, "url": f"{name}/"}
        for name, title, date in (
            ("latest", "Latest", "2026-11-01"),
            ("2026.1", "Edition 2026.1", "2026-02-01"),
        )
    ]
    (whole / "editions.json").write_text(json.dumps(listed))
    with served(whole) as site:
        yield site.url


def test_an_edition_has_its_own_pages_and_notebooks(visit, editions: str):
    opened = visit(f"{editions}/latest/book/links.html?id=ex-sample-code&to=read")
    page = opened.page
    page.wait_for_selector(LISTED, state="attached")
    assert page.locator("[name=edition] option").all_inner_texts() == ["Latest", "Edition 2026.1"]
    assert link(page) == f"{editions}/latest/book/chapter.html#ex-sample-code"
    page.select_option("[name=edition]", "2026.1")
    page.wait_for_function("document.querySelector('.linking-result').value.includes('/2026.1/')")
    assert link(page) == f"{editions}/2026.1/book/chapter.html#ex-sample-code"
    page.select_option("[name=to]", "binder")
    assert link(page) == binder_link(
        Place(PLACE.repository, "notebooks-2026.1"), "notebooks/chapter.ipynb"
    )
    assert "edition=2026.1" in page.url
    page.reload()
    page.wait_for_selector(LISTED, state="attached")
    assert page.input_value("[name=edition]") == "2026.1"
    # What another edition has and this one has not is not linked to.
    page.goto(f"{editions}/latest/book/links.html?id={STEP}&to=read&edition=2026.1")
    page.wait_for_selector(LISTED, state="attached")
    assert link(page) == "" and "does not have it" in page.inner_text(".linking-wrong")
    page.select_option("[name=edition]", "latest")
    page.wait_for_function("document.querySelector('.linking-result').value.includes('/latest/')")
    assert link(page).endswith(f"/latest/{PAGE}.html#{STEP}")
    assert opened.said == []


def test_an_edition_that_cannot_be_read_is_named_and_asked_for_again(visit, editions: str):
    page = visit(f"{editions}/latest/book/links.html?id=ex-sample-code&to=read").page
    page.wait_for_selector(LISTED, state="attached")
    page.route("**/2026.1/sections.json", lambda route: route.abort())
    page.select_option("[name=edition]", "2026.1")
    page.wait_for_selector(".linking-wrong:has-text('could not be read')")
    assert link(page) == ""
    page.unroute("**/2026.1/sections.json")
    page.select_option("[name=edition]", "latest")
    page.select_option("[name=edition]", "2026.1")
    page.wait_for_function("document.querySelector('.linking-result').value.includes('/2026.1/')")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1350), ("dark", 320)])
def test_for_everyone_and_on_a_phone(form, scheme, width):
    page = form(f"?id={STEP}&to=hub", scheme=scheme, width=width).page
    page.evaluate(AXE)
    found = page.evaluate("() => axe.run().then((all) => all.violations)")
    assert [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("lost", ["sections.json", "links.js*", "entries.js"])
def test_what_is_lost_on_the_way_is_said(visit, site, lost):
    page = visit("404.html").page
    page.route(f"**/{lost}", lambda route: route.abort())
    page.goto(f"{site}/book/links.html")
    page.wait_for_selector(".choose-offline", state="visible")
    assert page.is_hidden(".linking")


def test_from_a_folder_it_says_what_it_needs(visit, html):
    page = visit((html / "book" / "links.html").as_uri()).page
    assert page.is_visible(".choose-offline")
    assert page.is_hidden(".linking")
