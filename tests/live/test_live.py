"""Live cells in a real browser that can reach this machine only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import expect

DONE = re.compile(r"Ran in")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


class Page:
    """A page as a reader uses it."""

    def __init__(self, context: Any, address: str) -> None:
        self.requests: list[str] = []
        context.on("request", self._note)
        self.context = context
        self.tab = context.new_page()
        self.tab.goto(address)
        self.tab.wait_for_load_state("networkidle")

    def _note(self, request: Any) -> None:
        self.requests.append(request.url)

    def cell(self, number: int) -> Any:
        return self.tab.locator(f'div.cell:has(.live-bar[data-number="{number}"])')

    def press(self, number: int, name: str) -> None:
        self.cell(number).get_by_role("button", name=name, exact=True).click()

    def status(self, number: int) -> Any:
        return self.cell(number).locator(".live-bar[data-cell] .live-status")

    def output(self, number: int) -> Any:
        return self.cell(number).locator(".live-output")

    def run(self, number: int) -> None:
        self.press(number, "Run")
        expect(self.status(number)).to_contain_text(DONE, timeout=300_000)

    def write(self, number: int, code: str) -> None:
        """Edit a cell by keyboard: all of it anew."""
        if self.cell(number).locator(".cm-content").count() == 0:
            self.press(number, "Edit")
        editor = self.cell(number).locator(".cm-content")
        expect(editor).to_be_focused(timeout=60_000)
        self.tab.keyboard.press("Control+a")
        self.tab.keyboard.insert_text(code)

    def foreign(self) -> list[str]:
        return [
            url for url in self.requests if not re.match(r"(http://127\.0\.0\.1:|blob:|data:)", url)
        ]


@contextmanager
def opened(context: Any, address: str) -> Iterator[Page]:
    page = Page(context, address)
    try:
        yield page
    finally:
        page.tab.close()
        context.remove_listener("request", page._note)


def test_cells_run_in_order_and_a_second_visit_fetches_nothing(site, newcomer):
    site.asked.clear()
    with opened(newcomer, site.address("cells")) as page:
        loaded = [path for path in site.asked if "/live/" in path or "/pyodide/" in path]
        assert [re.sub(r"\?.*", "", path).rsplit("/")[-1] for path in loaded] == ["start.js"]
        page.run(6)
        assert page.output(1).inner_text() == ""
        # The cell above it, whose code is not shown, has run as well.
        assert page.output(3).inner_text().strip() == "twice: 60"
        assert page.output(6).inner_text() == "{'weights': array([1., 1., 1.]), 'bias': 30}"
        image = page.output(5).locator("img")
        assert image.count() == 1
        assert image.get_attribute("alt") == "A line through the origin."
        printed = page.cell(5).locator(".cell_output:not(.live-output) img")
        size = "i => [i.naturalWidth, i.naturalHeight]"
        wide, high = image.evaluate(size)
        width, height = printed.evaluate(size)
        assert abs(wide - width) <= 2 and abs(high - height) <= 2 and wide > 300
        assert not printed.is_visible()
        torch = page.tab.locator("div.cell.tag_torch")
        assert torch.get_by_role("button", name="Run").count() == 0
        assert "Needs PyTorch" in torch.locator(".live-elsewhere").inner_text()
        editor = ("editor.js", "codemirror.js")
        assert not [path for path in site.asked if any(name in path for name in editor)]
        page.press(3, "Edit")
        expect(page.cell(3).locator(".cm-content")).to_be_focused()
        assert all(any(name in path for path in site.asked) for name in editor)
        assert page.foreign() == []
    site.asked.clear()
    with opened(newcomer, site.address("cells")) as page:
        page.run(3)
        assert page.output(3).inner_text().strip() == "twice: 60"
        assert [path for path in site.asked if "/pyodide/" in path or "/live/" in path] == []
        assert page.foreign() == []


def test_an_edited_cell_runs_fails_in_few_words_and_survives_until_reset(site, reader):
    with opened(reader, site.address("cells")) as page:
        page.write(3, "print(double(start))")
        page.tab.keyboard.press("Shift+Enter")
        expect(page.status(3)).to_contain_text("error", timeout=300_000)
        said = page.output(3).inner_text()
        assert said.splitlines() == [
            "line 1",
            "    print(double(start))",
            "NameError: name 'double' is not defined",
        ]
        page.write(3, "def double(x):\n    return np.linalg.inv(x)\n\n\ndouble(np.zeros((2, 2)))")
        page.tab.keyboard.press("Shift+Enter")
        expect(page.output(3)).to_contain_text("LinAlgError: Singular matrix", timeout=60_000)
        said = page.output(3).inner_text()
        assert "line 5" in said and "line 2, in double" in said and "numpy/" not in said
        page.write(3, "print(start +* 2)")
        page.tab.keyboard.press("Shift+Enter")
        expect(page.output(3)).to_contain_text("SyntaxError", timeout=60_000)
        page.write(3, "print('mine', start)")
        page.tab.keyboard.press("Escape")
        expect(page.cell(3).get_by_role("button", name="Run")).to_be_focused()
        page.run(3)
        assert page.output(3).inner_text().strip() == "mine 3"
        page.tab.reload()
        expect(page.status(3)).to_have_text("Edited by you.")
        code = page.cell(3).locator(".cell_input pre")
        expect(code).to_contain_text("print('mine', start)")
        page.run(3)
        assert page.output(3).inner_text().strip() == "mine 3"
        page.press(3, "Reset")
        expect(code).to_contain_text('print("twice:", double(hidden))')
        assert page.output(3).count() == 0
        expect(page.cell(3).locator(".cell_output")).to_contain_text("twice: 60")
        page.tab.reload()
        expect(code).to_contain_text('print("twice:", double(hidden))')
        assert page.foreign() == []


def test_an_endless_loop_is_stopped_and_the_page_recovers(site, reader):
    with opened(reader, site.address("cells")) as page:
        page.write(3, "while True:\n    print(start)")
        page.tab.keyboard.press("Control+Enter")
        expect(page.output(3)).to_contain_text("3", timeout=300_000)
        page.press(3, "Stop")
        expect(page.status(3)).to_contain_text("Stopped.")
        page.press(3, "Reset")
        page.run(3)
        assert page.output(3).inner_text().strip() == "twice: 60"


def test_a_lab_is_checked_and_its_solution_is_run_only_when_asked_for(site, reader):
    with opened(reader, site.address("labs/lab-0-sample")) as page:
        page.press(3, "Run")
        expect(page.output(3)).to_contain_text("still to be written", timeout=300_000)
        assert page.output(3).inner_text() == "step-sample-forward: still to be written: `neuron`"
        page.write(2, "def neuron(x, w):\n    return x * w")
        page.run(2)
        page.press(3, "Run")
        expect(page.output(3)).to_contain_text("a neuron gives one number")
        page.cell(2).locator("summary").click()
        page.press(2, "Use the solution")
        expect(page.status(2)).to_contain_text(DONE, timeout=60_000)
        page.run(3)
        expect(page.output(3).locator(".check-badge")).to_contain_text("✓ checked")


def test_a_tampered_wheel_is_refused(copied_site, newcomer):
    wheel = next((copied_site.html / "_static" / "pyodide").glob("numpy-*.whl"))
    data = bytearray(wheel.read_bytes())
    data[len(data) // 2] ^= 1
    wheel.write_bytes(data)
    with opened(newcomer, copied_site.address("cells")) as page:
        page.press(3, "Run")
        expect(page.status(1)).to_contain_text("numpy", timeout=300_000)
        expect(page.status(1)).to_contain_text("is refused", timeout=300_000)
        expect(page.status(3)).to_have_text("Not run.")


def test_without_python_in_the_site_it_is_fetched_at_the_first_click_and_only_then(
    bare_site, newcomer
):
    with opened(newcomer, bare_site.address("chapter")) as page:
        assert page.foreign() == []
        page.cell(1).get_by_role("button", name="Run").click()
        expect(page.status(1)).to_contain_text("could not be fetched", timeout=60_000)
        assert page.foreign()
        assert {url.split("/")[2] for url in page.foreign()} == {"cdn.jsdelivr.net"}


def test_a_page_opened_as_a_file_says_what_is_missing(live_html, newcomer):
    with opened(newcomer, (live_html / "book" / "cells.html").as_uri()) as page:
        assert page.tab.locator(".live-bar button").count() == 0
        assert "from a server" in page.tab.locator(".live-status").first.inner_text()


HEARD = """() => {
  window.heard = [];
  const hears = (changes) => changes.forEach(({ target }) => {
    const region = (target.closest ? target : target.parentElement).closest("[role=status]");
    if (region && region.textContent !== window.heard.at(-1)) window.heard.push(region.textContent);
  });
  const watched = { childList: true, characterData: true, subtree: true };
  new MutationObserver(hears).observe(document.body, watched);
}"""


def test_a_keyboard_is_enough_and_a_screen_reader_hears_each_turn(site, newcomer):
    with opened(newcomer, site.address("cells")) as page:
        page.tab.evaluate(HEARD)
        keys = page.tab.keyboard
        buttons = page.tab.get_by_role("group", name="Cell 3")
        run = buttons.get_by_role("button", name="Run")
        run.focus()
        keys.press("Enter")
        expect(page.status(3)).to_contain_text(DONE, timeout=300_000)
        turns = ["Downloading Python, once", "Starting Python…", "cell 3: done"]
        assert page.tab.evaluate("window.heard") == turns
        expect(run).to_be_focused()
        keys.press("Tab")
        expect(buttons.get_by_role("button", name="Edit")).to_be_focused()
        keys.press("Enter")
        editor = page.tab.get_by_role("textbox", name="Code of cell 3.")
        expect(editor).to_be_focused()
        keys.press("Control+a")
        keys.type("if start:\n1 / 0")  # the editor indents
        expect(editor).to_contain_text("if start:    1 / 0")
        keys.press("Tab")  # and so does Tab
        expect(editor).to_be_focused()
        keys.press("Shift+Tab")
        keys.press("Shift+Enter")
        said = "cell 3: error: ZeroDivisionError: division by zero"
        expect(page.tab.locator(".live-spoken")).to_have_text(said)
        keys.press("Escape")
        expect(run).to_be_focused()
        keys.press("Tab")
        expect(buttons.get_by_role("button", name="Reset")).to_be_focused()
        keys.press("Enter")
        expect(run).to_be_focused()


def test_what_ran_and_what_is_edited_is_for_everyone_in_both_themes(site, reader):
    with opened(reader, site.address("cells")) as page:
        page.run(6)
        page.write(3, "# a comment\nfor name in 'ab':\n    print(name, 1.5)\nstart.missing")
        page.tab.keyboard.press("Shift+Enter")
        expect(page.output(3)).to_contain_text("AttributeError", timeout=60_000)
        page.tab.evaluate(AXE)
        for theme in ("light", "dark"):
            page.tab.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            found = page.tab.evaluate(
                "() => axe.run('.live-bar, .live-output, .cm-editor').then(({ violations }) => "
                "violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`))"
            )
            assert found == [], theme
