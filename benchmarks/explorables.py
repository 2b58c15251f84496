"""What a phone's processor works per frame while the explorables of the built book are dragged.

Each explorable is opened on its page, 390 pixels wide, and each of its points and sliders dragged
in Chromium. Printed are the median and the 95th percentile of the main thread's processor time per
frame, scripts, layout and painting together; the median of that of the worker, which computes and
draws; and the longest answer, both together from the first key or click to the picture of the new
state: all times four for a phone.

    python benchmarks/explorables.py [--html FOLDER] [--json FILE] [NAME ...]

The exit status is 1 if a median is above 12 ms, that of the worker above the 16.7 ms of a frame, or
an answer above 100 ms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsing import served  # noqa: E402
from frames import (  # noqa: E402
    ANSWER_MS,
    FRAME_MS,
    PHONE,
    PICTURE_MS,
    SLOWER,
    answered,
    dragged,
    drawing_browser,
    grips,
    hold,
    pages_with_explorables,
)


def opened(browser: Any, address: str, name: str) -> Any:
    """Return a new page that shows an explorable, as soon as it has started."""
    page = browser.new_context(**PHONE).new_page()
    page.goto(f"{address}#explorable-{name}")
    page.wait_for_selector(f"#explorable-{name}.explorable-started", timeout=60_000)
    page.wait_for_timeout(500)
    return page


def first_answers(browser: Any, address: str, name: str) -> dict[str, float]:
    """Return how long it takes from the first key on a fresh page, and from each button."""
    page = opened(browser, address, name)
    label, grip = next(iter(grips(page, name).items()))
    grip.focus()
    key = "ArrowLeft" if grip.evaluate("(e) => e.value && e.value === e.max") else "ArrowRight"
    found = {
        f"key: {label}": answered(browser, page, lambda: page.keyboard.press(key), ("keydown",))
    }
    for button in page.locator(f"button[data-explorable-for={name}]").all():
        label = f"button: {button.get_attribute('data-state')}"
        x, y, _ = hold(page, button)
        page.mouse.move(x, y)
        page.wait_for_timeout(500)
        found[label] = answered(browser, page, lambda x=x, y=y: page.mouse.click(x, y), ("click",))
    page.context.close()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="explorables; all if none is given"
    )
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    found: dict[str, dict[str, list[float]]] = {}
    late = 0
    print(
        f"milliseconds times {SLOWER}: of the main thread, median and 95 %; of the worker, median"
    )
    print(f"{'':20s} {'dragged':44s} {'page':>7s} {'95 %':>7s} {'worker':>7s}")
    with (
        served(given.html.resolve()) as site,
        sync_playwright() as playwright,
        drawing_browser(playwright.chromium.launch) as browser,
    ):
        for name, place in pages_with_explorables(given.html).items():
            if given.names and name not in given.names:
                continue
            page = opened(browser, site.address(place), name)
            found[name] = {}
            for label, grip in grips(page, name).items():
                times, others = zip(*dragged(browser, page, grip), strict=True)
                middle, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
                drawn = statistics.median(others)
                found[name][label] = [round(SLOWER * ms, 2) for ms in (middle, high, drawn)]
                missed = SLOWER * middle > FRAME_MS or SLOWER * drawn > PICTURE_MS
                late += missed
                print(
                    f"{name:20s} {label:44s} {SLOWER * middle:7.1f} {SLOWER * high:7.1f}"
                    f" {SLOWER * drawn:7.1f}{' !' * missed}",
                    flush=True,
                )
            page.context.close()
            answers = first_answers(browser, site.address(place), name)
            label, longest = max(answers.items(), key=lambda item: item[1])
            found[name]["answer"] = [round(SLOWER * longest, 1)]
            late += SLOWER * longest > ANSWER_MS
            mark = " !" * (SLOWER * longest > ANSWER_MS)
            print(
                f"{name:20s} answer to {label[:34]:34s} {SLOWER * longest:7.1f}{mark}",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main())
