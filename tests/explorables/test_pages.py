"""Every explorable in a real Chromium: hand, keyboard, links, themes, paper, and who can use it."""

from __future__ import annotations

import gzip
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mathdl_book.explorables import read_spec, state_faults, without_comments

ROOT = Path(__file__).parents[2]
EXPLORABLES = ROOT / "explorables"
NAMES = sorted(path.parent.name for path in EXPLORABLES.glob("*/spec.json"))
LIMIT = 15_000  # bytes, compressed
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# What is laid out before any module has come.
HEIGHTS = """
addEventListener("DOMContentLoaded", () => {
  window.heights = Object.fromEntries(
    [...document.querySelectorAll(".explorable")].map((root) => [root.id, root.offsetHeight]));
});
"""
# As in a font that is a tenth wider.
WIDE_LETTERS = """
addEventListener("DOMContentLoaded", () => {
  document.head.insertAdjacentHTML("beforeend", "<style>* { letter-spacing: 0.06em }</style>");
});
"""


@pytest.fixture
def visit(browser, address: str) -> Iterator[Any]:
    """Open the page at an explorable, wait until it has started; no console message passes."""
    open_contexts, heard, asked = [], [], []

    def visit(name: str, state: str = "", *, page: Any = None, started: bool = True, **options):
        if page is None:
            context = browser.new_context(viewport=options.pop("viewport", WIDE), **options)
            open_contexts.append(context)
            page = context.new_page()
            page.on("console", lambda message: heard.append(message.text))
            page.on("pageerror", lambda error: heard.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.add_init_script(HEIGHTS)
        page.goto(f"{address}#explorable-{name}{'&' if state else ''}{state}")
        if started:
            page.wait_for_selector(f"#explorable-{name}.explorable-started", timeout=60_000)
            page.wait_for_function("document.fonts.status === 'loaded'")
        return page

    yield visit
    for context in open_contexts:
        context.close()
    # What the theme says of its mode is the site's matter.
    assert [text for text in heard if not text.startswith("[PST]")] == []
    host = address.split("/book/")[0]
    assert [url for url in asked if not url.startswith((host, "blob:", "data:"))] == []


def box(page: Any, name: str) -> Any:
    return page.locator(f"#explorable-{name}")


def grown(page: Any, name: str) -> float:
    """Return by how many pixels the explorable's height changed when its modules came."""
    return page.evaluate(
        "(id) => Math.abs(document.getElementById(id).offsetHeight - heights[id])",
        f"explorable-{name}",
    )


def pixels(page: Any, name: str) -> np.ndarray:
    """Return the picture once it has come to rest."""
    page.wait_for_timeout(450)
    shot = box(page, name).locator(".explorable-stage").screenshot(animations="disabled")
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=int)


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether an eye could tell two pictures apart; dashes are never quite the same."""
    return one.shape != other.shape or np.abs(one - other).max() > 24


@contextmanager
def changed(page: Any, name: str) -> Iterator[None]:
    """Demand that the picture changes, and that the address comes to name the new state."""
    before, link = pixels(page, name), page.url
    yield
    assert differ(pixels(page, name), before)
    page.wait_for_function("(old) => location.href !== old", arg=link, timeout=20_000)


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_in_a_state_that_says_something(visit, name: str) -> None:
    page = visit(name)
    status = box(page, name).locator(".explorable-status").inner_text()
    assert len(status) > 40 and "NaN" not in status and "undefined" not in status
    for value in box(page, name).locator("[data-value]").all_inner_texts():
        assert value not in ("", "NaN")
    assert grown(page, name) < 2


@pytest.mark.parametrize("width", [1280, 700, 390])
def test_its_words_have_room_whatever_the_font(visit, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.add_init_script(WIDE_LETTERS)
    page.add_init_script(HEIGHTS)
    for name in NAMES:
        visit(name, page=page)
    moved = {name: by for name in NAMES if (by := grown(page, name)) > 1}
    page.close()
    assert moved == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_slider_moves_by_keyboard_and_says_where_it_is(visit, name: str) -> None:
    page = visit(name)
    for slider in box(page, name).locator("input[type=range]").all():
        before = slider.get_attribute("aria-valuetext")
        at_end = slider.evaluate("(input) => Number(input.value) >= Number(input.max)")
        slider.focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")
        page.wait_for_function(
            "([input, before]) => input.ariaValueText !== before",
            arg=[slider.element_handle(), before],
        )
        assert slider.evaluate("(input) => input.nextElementSibling.textContent") != ""
    page.wait_for_function("location.hash.includes('&')", timeout=20_000)


@pytest.mark.parametrize("name", NAMES)
def test_every_point_moves_by_hand_and_by_arrow_keys(visit, name: str) -> None:
    page = visit(name)
    knobs = box(page, name).locator(".explorable-handle")
    for k in range(knobs.count()):
        knob = knobs.nth(k)
        said = knob.get_attribute("aria-valuetext")
        with changed(page, name):
            knob.scroll_into_view_if_needed()
            place = knob.bounding_box()
            x, y = place["x"] + 22, place["y"] + 22
            stage = box(page, name).locator(".explorable-stage").bounding_box()
            right = x < stage["x"] + stage["width"] / 2
            down = y < stage["y"] + stage["height"] / 2
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + (40 if right else -40), y + (25 if down else -25), steps=4)
            page.mouse.up()
        assert knob.get_attribute("aria-valuetext") != said
        said = knob.get_attribute("aria-valuetext")
        knob.focus()
        for shift in ("", "Shift+"):
            # The hand may have led it to an end of its way: then the other keys move it.
            for keys in (("ArrowRight", "ArrowUp"), ("ArrowLeft", "ArrowDown")):
                for key in keys:
                    page.keyboard.press(f"{shift}{key}")
                page.wait_for_timeout(300)
                if knob.get_attribute("aria-valuetext") != said:
                    break
            assert knob.get_attribute("aria-valuetext") != said
            said = knob.get_attribute("aria-valuetext")
        assert knob.get_attribute("aria-label")


@pytest.mark.parametrize("name", NAMES)
def test_each_button_sets_its_state_and_the_link_leads_back_to_it(visit, name: str) -> None:
    page = visit(name)
    buttons = page.locator(f"button.explorable-set[data-explorable-for={name}]")
    first = pixels(page, name)
    for k in range(buttons.count()):
        wanted = buttons.nth(k).get_attribute("data-state")
        buttons.nth(k).click()
        page.wait_for_timeout(700)
        link = page.evaluate("location.hash")
        for part in wanted.split("&"):
            field, value = part.split("=")
            shown = (
                box(page, name)
                .locator(f"[name={field}]")
                .evaluate("(i) => i.type === 'checkbox' ? String(Number(i.checked)) : i.value")
            )
            scale = box(page, name).locator(f"[name={field}]").get_attribute("data-scale")
            if scale == "log":
                step = float(box(page, name).locator(f"[name={field}]").get_attribute("step"))
                assert float(shown) == pytest.approx(math.log10(float(value)), abs=0.51 * step)
            elif re.fullmatch(r"-?[\d.]+", value):
                assert float(shown) == pytest.approx(float(value), rel=1e-6)
            else:
                assert shown == value
        seen = pixels(page, name)
        assert differ(seen, first)
        other = visit(name, link.removeprefix(f"#explorable-{name}").removeprefix("&"))
        said = box(page, name).locator(".explorable-status").inner_text()
        other.wait_for_function(
            "([id, text]) => document.querySelector(`#${id} [role=status]`).innerText === text",
            arg=[f"explorable-{name}", said],
        )
        assert other.evaluate("location.hash") == link
        assert grown(other, name) < 2
        other.context.close()
    box(page, name).locator("button[type=reset]").click()
    page.wait_for_timeout(700)
    assert page.evaluate("location.hash") == f"#explorable-{name}"
    assert not differ(pixels(page, name), first)


@pytest.mark.parametrize("name", NAMES)
def test_with_reduced_motion_nothing_moves_by_itself(visit, name: str) -> None:
    page = visit(name, reduced_motion="reduce")
    plays = box(page, name).locator(".explorable-play")
    for k in range(plays.count()):
        target = plays.nth(k).get_attribute("data-range")
        slider = box(page, name).locator(f"[name={target}]")
        slider.focus()
        page.keyboard.press("Home")
        plays.nth(k).click()
        page.wait_for_function(  # the worker answers
            "(input) => input.value === input.max", arg=slider.element_handle(), timeout=5_000
        )
    still = pixels(page, name)
    assert not differ(pixels(page, name), still)


@pytest.mark.parametrize("name", NAMES)
def test_playing_runs_and_pauses(visit, name: str) -> None:
    page = visit(name)
    plays = box(page, name).locator(".explorable-play")
    for k in range(plays.count()):
        label = plays.nth(k).inner_text()
        slider = box(page, name).locator(f"[name={plays.nth(k).get_attribute('data-range')}]")
        slider.focus()
        page.keyboard.press("Home")
        plays.nth(k).evaluate("(button) => { button.dataset.seconds = 40; }")
        plays.nth(k).click()
        assert plays.nth(k).inner_text() == "Pause"
        before = pixels(page, name)
        assert any(differ(pixels(page, name), before) for _ in range(30))
        plays.nth(k).click()
        assert plays.nth(k).inner_text() == label
        # The page's own slider follows when the play rests.
        page.wait_for_function(
            "(input) => Number(input.value) > Number(input.min)", arg=slider.element_handle()
        )


@pytest.mark.parametrize("name", NAMES)
def test_it_follows_the_theme(visit, name: str) -> None:
    page = visit(name, color_scheme="light")
    light = pixels(page, name)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert differ(pixels(page, name), light)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert not differ(pixels(page, name), light)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, viewport: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe().axe_script
    page = visit(NAMES[0], viewport=viewport, color_scheme=scheme)
    for name in NAMES:
        box(page, name).scroll_into_view_if_needed()
        page.wait_for_selector(f"#explorable-{name}.explorable-started", timeout=60_000)
    page.wait_for_timeout(500)
    page.evaluate(axe)
    found = page.evaluate("axe.run('.explorable', { resultTypes: ['violations'], preload: false })")
    assert [
        (violation["id"], node["html"][:200], node["failureSummary"])
        for violation in found["violations"]
        for node in violation["nodes"]
    ] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", NAMES)
def test_on_paper_and_without_a_script_the_static_figure_stands(visit, name: str) -> None:
    page = visit(name)
    figure = page.locator(f"#explorable-{name} figure img")
    assert not figure.is_visible() and box(page, name).locator("form").is_visible()
    page.emulate_media(media="print")
    assert figure.is_visible() and not box(page, name).locator("form").is_visible()
    bare = visit(name, started=False, java_script_enabled=False)
    assert bare.locator(f"#explorable-{name} figure img").is_visible()
    assert not box(bare, name).locator("form").is_visible()


def test_opened_as_a_file_the_page_says_how_to_see_more(browser, explorables_page: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    heard = []
    page.on("console", lambda message: heard.append(message.text))
    page.goto(explorables_page.as_uri() + f"#explorable-{NAMES[0]}&x=1")
    for name in NAMES:
        assert page.locator(f"#explorable-{name} figure img").is_visible()
        assert "http.server" in box(page, name).locator(".explorable-note").inner_text()
        assert not box(page, name).locator("form").is_visible()
    assert [text for text in heard if not text.startswith("[PST]")] == []
    context.close()


@pytest.mark.parametrize("missing", ["scene.js", "explorable.js", "gaussian-kl/view.js"])
def test_where_a_module_does_not_come_the_static_figure_stays(
    browser, address: str, missing: str
) -> None:
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.route(f"**/{missing}", lambda route: route.fulfill(status=404, body="gone"))
    page.goto(f"{address}#explorable-gaussian-kl")
    page.wait_for_selector("#explorable-gaussian-kl.explorable-failed", timeout=20_000)
    assert page.locator("#explorable-gaussian-kl figure img").is_visible()
    assert "reload" in box(page, "gaussian-kl").locator(".explorable-note").inner_text()
    assert not box(page, "gaussian-kl").locator("form").is_visible()
    context.close()


@pytest.mark.parametrize("name", ["lib", *NAMES])
def test_each_is_small(name: str) -> None:
    files = [p for p in sorted((EXPLORABLES / name).iterdir()) if p.suffix in (".js", ".css")]
    sent = [without_comments(path.read_text(encoding="utf-8")) for path in files]
    size = sum(len(gzip.compress(text.encode(), 9)) for text in sent)
    print(f"{name}: {size} bytes compressed")
    assert size <= LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_the_pages_of_the_book_try_states_that_exist(name: str) -> None:
    spec = read_spec(EXPLORABLES / name)
    for control in spec["controls"]:
        if isinstance(control.get("options"), str):  # known to the page alone
            control["type"] = "hidden"
    found = 0
    for path in (ROOT / "book").rglob("*.md"):
        for block in re.findall(
            rf"(?ms)^```\{{explorable\}} {name}\n(.*?)^```$", path.read_text(encoding="utf-8")
        ):
            for state in re.findall(r"\{try\}`[^`<]+<([^>]*)>`", block):
                found += 1
                shown = "&".join(p for p in state.split("&") if not p.startswith("surface="))
                assert list(state_faults(spec, shown)) == []
    assert found >= 2, f"no page says what to try with {name}"


def test_a_state_that_cannot_be_set_is_told() -> None:
    spec = {
        "controls": [
            {"type": "range", "name": "rate", "min": -3, "max": 0, "scale": "log"},
            {"type": "select", "name": "kind", "options": {"a": "A"}},
            {"type": "check", "name": "grid"},
            {"type": "play", "name": "rate"},
        ]
    }
    assert list(state_faults(spec, "rate=0.01&kind=a&grid=1")) == []
    for wrong in ("rate=2", "rate=x", "rate=0.0005", "kind=b", "grid=yes", "speed=1"):
        assert len(list(state_faults(spec, wrong))) == 1, wrong
