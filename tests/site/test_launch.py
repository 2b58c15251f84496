"""The menu of a page in Chromium: running here, elsewhere, and on the reader's own JupyterHub."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import axe_playwright_python
import pytest

from mathdl_book.launch import Place, binder_link, colab_link, hub_link

pytestmark = pytest.mark.skipif("MATHDL_SITE" in os.environ, reason="looks at the sample book")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
LAB, CHAPTER = "book/labs/lab-0-sample.html", "book/chapter.html"
PLACE = Place("https://github.com/mathematics-for-deep-learning/book")
NOTEBOOK = "notebooks/labs/lab-0-sample.ipynb"
HUB = "https://hub.example.edu/class"


def violations(page):
    page.evaluate(AXE)
    return page.evaluate(
        "() => axe.run().then((all) => all.violations.map((one) => [one.id, one.nodes[0].html]))"
    )


def opened_menu(page):
    page.click(".dropdown-launch-buttons button")
    menu = page.locator(".dropdown-launch-buttons .dropdown-menu")
    assert menu.is_visible()
    return menu


def items(page):
    return [text.strip() for text in opened_menu(page).locator("li:visible").all_inner_texts()]


@pytest.fixture
def away(visit):
    """A visit whose other windows are noted, not loaded."""

    def visited(name, **given):
        page = visit(name, **given).page
        went = []

        def stop(route):
            went.append(route.request.url)
            route.fulfill(status=200, content_type="text/html", body="<title>there</title>")

        page.context.route(lambda url: "127.0.0.1" not in url, stop)
        return page, went

    return visited


def pressed(page, selector):
    """Press something that opens another window, and wait until it has."""
    with page.expect_popup() as popup:
        page.click(selector)
    popup.value.wait_for_load_state()
    assert popup.value.evaluate("window.opener") is None


def test_a_lab_offers_every_way(visit):
    opened = visit(LAB)
    assert items(opened.page) == [
        *("Run here", "JupyterLab (Binder)", "Colab", "My JupyterHub"),
        *("Notebook to fill in (.ipynb)", "Solved notebook (.ipynb)", "Source (.md)", ".pdf"),
    ]
    assert opened.said == []


def test_a_chapter_has_one_notebook_and_a_page_without_code_none(visit, html):
    named = items(visit(CHAPTER).page)
    assert [name for name in named if "ipynb" in name] == ["Notebook (.ipynb)"]
    page = visit("book/index.html").page
    assert page.locator(".dropdown-launch-buttons").count() == 0
    assert page.locator(".btn-download-source-button").count() == 1
    assert "launch.js" not in "".join(path.name for path in html.glob("*.js"))


def test_every_download_is_there(visit, html):
    page = visit(LAB, accept_downloads=True).page
    for selector, name in (
        (".btn-download-notebook-button", NOTEBOOK),
        (".btn-download-solved-button", NOTEBOOK.replace(".ipynb", "-solved.ipynb")),
        (".btn-download-source-button", "_sources/book/labs/lab-0-sample.md"),
    ):
        opened_menu(page)
        with page.expect_download() as download:
            page.click(selector)
        saved = download.value
        assert saved.suggested_filename == Path(name).name
        assert Path(saved.path()).read_bytes() == (html / name).read_bytes()
        page.keyboard.press("Escape")


def test_links_lead_to_the_notebook(visit):
    page = visit(LAB).page
    address = "(box) => box.href"
    assert page.eval_on_selector(".btn-launch-binder", address) == binder_link(PLACE, NOTEBOOK)
    assert page.eval_on_selector(".btn-launch-colab", address) == colab_link(PLACE, NOTEBOOK)


def test_nothing_of_it_is_loaded_before_the_menu_is_used(visit):
    opened = visit(LAB)
    assert not any("launch.js" in one for one in opened.asked)
    opened_menu(opened.page)
    opened.page.wait_for_selector(".btn-launch-other", state="attached")
    assert [one for one in opened.asked if "launch.js" in one]


def test_run_here_leads_to_the_first_cell_and_a_link_to_that_of_a_section(visit):
    page = visit(LAB).page
    opened_menu(page)
    page.click(".btn-launch-run")
    focused = "() => [...document.querySelectorAll('.live-run')].indexOf(document.activeElement)"
    assert page.evaluate(focused) == 0
    assert not page.locator(".dropdown-launch-buttons .dropdown-menu").is_visible()
    page = visit(f"{LAB}?run#step-sample-backward").page
    assert page.evaluate(focused) > 0
    above = page.evaluate("document.activeElement.closest('section').id === 'step-sample-backward'")
    assert above


def test_the_hub_is_asked_for_once_checked_kept_and_changed(away):
    page, went = away(LAB)
    opened_menu(page)
    page.click(".btn-launch-hub")
    dialog = page.locator("dialog.hub-dialog")
    assert dialog.is_visible()
    assert page.evaluate("document.activeElement.id") == "hub-address"
    page.keyboard.press("Enter")
    assert dialog.locator("[role=alert]").inner_text().startswith("Type the address")
    page.keyboard.type("javascript:alert(1)")
    page.keyboard.press("Enter")
    assert dialog.locator("[role=alert]").inner_text()
    assert page.get_attribute("#hub-address", "aria-invalid") == "true"
    page.fill("#hub-address", f" {HUB}/hub/spawn/me?x=1 ")
    pressed(page, "dialog [type=submit]")
    assert went == [hub_link(PLACE, NOTEBOOK, HUB)]
    # Another page, after a reload: no question.
    page.goto(page.url.replace(LAB, CHAPTER))
    opened_menu(page)
    page.wait_for_selector(".btn-launch-other")
    assert page.inner_text(".btn-launch-other").strip() == "Another hub than hub.example.edu"
    pressed(page, ".btn-launch-hub")
    assert went[1:] == [hub_link(PLACE, "notebooks/chapter.ipynb", HUB)]
    # Another hub.
    page.click(".btn-launch-other")
    assert page.input_value("#hub-address") == HUB
    page.fill("#hub-address", "hub.other.org")
    pressed(page, "dialog [type=submit]")
    assert went[2:] == [hub_link(PLACE, "notebooks/chapter.ipynb", "https://hub.other.org")]
    # None any more.
    opened_menu(page)
    page.click(".btn-launch-other")
    page.click("text=Forget it")
    opened_menu(page)
    assert not page.locator(".btn-launch-other").is_visible()
    page.click(".btn-launch-hub")
    assert dialog.is_visible()
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelector('dialog.hub-dialog') === null")
    assert page.evaluate("document.activeElement.className").count("dropdown-toggle")
    assert len(went) == 3


def test_by_keyboard_alone(away):
    page, _ = away(CHAPTER)
    page.focus(".dropdown-launch-buttons button")
    page.wait_for_selector(".btn-launch-other", state="attached")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.innerText").strip() == "My JupyterHub"
    page.keyboard.press("Enter")
    page.keyboard.type("hub.example.edu")
    with page.expect_popup():
        page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('dialog.hub-dialog') === null")


def test_a_hub_for_all_needs_no_question(visit):
    page = visit(LAB).page
    link = hub_link(PLACE, NOTEBOOK, HUB)
    page.eval_on_selector(".btn-launch-hub", "(box, link) => { box.href = link; }", link)
    opened_menu(page)
    page.wait_for_timeout(200)
    assert page.eval_on_selector(".btn-launch-hub", "(box) => box.href") == link
    assert page.locator(".btn-launch-other").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 1350), ("dark", 320)])
def test_menu_and_dialog_are_for_everyone_and_fit(visit, scheme, width):
    page = visit(LAB, scheme=scheme, width=width).page
    menu = opened_menu(page)
    page.wait_for_selector(".btn-launch-other", state="attached")
    assert violations(page) == []
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    page.click(".btn-launch-hub")
    page.keyboard.press("Enter")
    assert violations(page) == []
    box = page.locator("dialog.hub-dialog").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_where_nothing_may_be_kept_it_is_asked_each_time(away):
    page, went = away(LAB)
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"
    )
    page.reload()
    for _ in range(2):
        opened_menu(page)
        page.click(".btn-launch-hub")
        page.fill("#hub-address", "localhost:8000")
        pressed(page, "dialog [type=submit]")
    assert [urlsplit(one).netloc for one in went] == ["localhost:8000"] * 2


def test_a_page_opened_as_a_file_still_has_links(visit, html):
    page = visit((html / LAB).as_uri()).page
    opened_menu(page)
    link = urlsplit(page.eval_on_selector(".btn-launch-hub", "(box) => box.href"))
    given = {name: value for name, [value] in parse_qs(link.query).items()}
    assert given == {
        "repo": PLACE.repository,
        "branch": "notebooks",
        "urlpath": f"lab/tree/book/{NOTEBOOK}",
    }
    page.click(".btn-launch-run")
    assert page.locator(".live-status").first.is_visible()
