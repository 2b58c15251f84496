"""What the main thread of a page works for each frame, by its own clock.

Chromium's trace gives the processor time that each task of the main thread took: other programs on
the machine lengthen the frames, hardly that time. A phone's processor is taken to be four times
slower. Drawing is done in the graphics process, as on phones, here by a renderer in software.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browsing import ARGUMENTS, chromium

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
SLOWER = 4
FRAME_MS = 12.0  # of the 16.7 that there are, on the slower processor
ANSWER_MS = 100.0
GRAPHICS = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--enable-gpu-rasterization",
)
CATEGORIES = ["__metadata", "toplevel", "devtools.timeline"]
TASK, ANIMATION, MESSAGE = "ThreadControllerImpl::RunTask", "FireAnimationFrame", "DevToolsSession"


@contextmanager
def drawing_browser(launch: Callable[..., Any]) -> Iterator[Any]:
    """Run a Chromium that draws as phones do; `launch` is that of Playwright's browser type."""
    browser = launch(executable_path=chromium(), args=[*ARGUMENTS, *GRAPHICS])
    yield browser
    browser.close()


def recorded(browser: Any, page: Any, act: Callable[[], None]) -> list[dict[str, Any]]:
    """Return what the main thread did while something was done to the page."""
    browser.start_tracing(page=page, categories=CATEGORIES)
    act()
    time.sleep(0.1)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    threads: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in events:
        thread = event["pid"], event["tid"]
        if names.get(thread) == "CrRendererMain" and event.get("ph") == "X":
            threads.setdefault(thread, []).append(event)
    return sorted(max(threads.values(), key=len), key=lambda e: e["ts"])


def frames(events: Iterable[dict[str, Any]], start: float = 0) -> list[float]:
    """Return the milliseconds of each frame with an animation callback, all tasks before included.

    What the test's own messages to the page took is left out.

    Parameters
    ----------
    events : iterable of dict
        Those of the main thread, by time.
    start : float
        Only tasks that end after this time count.

    Examples
    --------
    >>> task = {"name": TASK, "args": {}}
    >>> trace = [
    ...     task | {"ts": 0, "dur": 900, "tdur": 400},
    ...     task | {"ts": 1000, "dur": 5000, "tdur": 2500},
    ...     {"name": ANIMATION, "ts": 1500, "dur": 100, "tdur": 90, "args": {}},
    ...     task | {"ts": 9000, "dur": 10, "tdur": 10},
    ... ]
    >>> frames(trace)
    [2.9]
    """
    found, spent, end = [], 0.0, -1.0
    animated = False
    for event in events:
        if event["ts"] > end and animated:
            found.append(spent / 1000)
            spent, animated = 0.0, False
        if event["name"] == TASK and event["ts"] + event["dur"] > start:
            spent += event.get("tdur", 0)
            end = event["ts"] + event["dur"]
        elif event["ts"] > end:
            continue
        elif event["name"] == ANIMATION:
            animated = True
        elif MESSAGE in json.dumps(event.get("args", {})):
            spent -= event.get("tdur", 0)
    return [*found, spent / 1000] if animated else found


def grips(page: Any, name: str) -> dict[str, Any]:
    """Return what of an explorable can be dragged: its points, sliders and turning picture."""
    root = page.locator(f"#explorable-{name}")
    found = {}
    for kind in (".explorable-handle", "input[type=range]", "canvas[tabindex]"):
        for grip in root.locator(kind).all():
            if grip.is_visible():
                label = grip.get_attribute("name") or grip.get_attribute("aria-label")
                found[label if kind != "canvas[tabindex]" else "the picture"] = grip
    return found


def hold(page: Any, grip: Any) -> tuple[float, float, bool]:
    """Bring something into view; return where to take hold of it, and whether it is a slider."""
    grip.evaluate("(e) => e.scrollIntoView({ block: e.name ? 'end' : 'center' })")
    page.wait_for_timeout(150)
    box = grip.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if slider := grip.get_attribute("type") == "range":
        share = grip.evaluate("(i) => (i.value - i.min) / (i.max - i.min)")
        x = box["x"] + 10 + share * (box["width"] - 20)
    return x, y, slider


def dragged(browser: Any, page: Any, grip: Any, steps: int = 40) -> list[float]:
    """Return the milliseconds of each frame while something is dragged to and fro."""
    x, y, slider = hold(page, grip)
    right = 1 if x < page.viewport_size["width"] / 2 else -1

    # Playwright's own mouse has the page run scripts of its own with each movement.
    hand = page.context.new_cdp_session(page)

    def mouse(kind: str, x: float, y: float) -> None:
        pressed = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1}
        hand.send(
            "Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "clickCount": 1, **pressed}
        )

    def drag() -> None:
        mouse("mousePressed", x, y)
        for k in range(steps):
            swing = 12 - abs(k % 24 - 12)
            mouse("mouseMoved", x + right * 4 * swing, y if slider else y - 2 * swing)
            time.sleep(0.02)

    events = recorded(browser, page, drag)
    mouse("mouseReleased", x, y)
    hand.detach()
    return frames(events)[3:]


def answered(browser: Any, page: Any, act: Callable[[], None], kinds: tuple[str, ...]) -> float:
    """Return the milliseconds from an event of one of these kinds to the frame that answers it."""

    def patiently() -> None:
        act()
        page.wait_for_timeout(1500)

    events = recorded(browser, page, patiently)
    began = min(
        event["ts"]
        for event in events
        if event["name"] == "EventDispatch" and event["args"]["data"]["type"] in kinds
    )
    found = frames(events, began)
    if not found:
        raise AssertionError(f"no frame answered {kinds}")
    return found[0]


def pages_with_explorables(html: Path) -> dict[str, str]:
    """Return, for each explorable of a built site, the first page that has it."""
    found: dict[str, str] = {}
    for path in sorted((html / "book").rglob("*.html")):
        page = path.relative_to(html / "book").as_posix().removesuffix(".html")
        for name in re.findall(r'data-explorable="([\w-]+)"', path.read_text(encoding="utf-8")):
            found.setdefault(name, page)
    return found
