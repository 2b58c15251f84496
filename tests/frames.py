"""What a page and its worker work for each frame, by their own clocks.

Chromium's trace gives the processor time that each task of a thread took: other programs on the
machine lengthen the frames, hardly that time. A phone's processor is taken to be four times slower.
Drawing is done in the graphics process, as on phones, here by a renderer in software.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
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
PICTURE_MS = 16.7  # what a worker may take for one, at sixty a second
ANSWER_MS = 100.0
GRAPHICS = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--enable-gpu-rasterization",
)
CATEGORIES = ["__metadata", "toplevel", "devtools.timeline"]
TASK, MESSAGE = "ThreadControllerImpl::RunTask", "DevToolsSession"
PAGE, WORKER = "CrRendererMain", "DedicatedWorker thread"


@contextmanager
def drawing_browser(launch: Callable[..., Any]) -> Iterator[Any]:
    """Run a Chromium that draws as phones do; `launch` is that of Playwright's browser type."""
    browser = launch(executable_path=chromium(), args=[*ARGUMENTS, *GRAPHICS])
    yield browser
    browser.close()


def recorded(browser: Any, page: Any, act: Callable[[], None]) -> list[dict[str, Any]]:
    """Return what page and worker did while something was done to the page, by time.

    Each event tells in ``thread`` which of the two it was.
    """
    browser.start_tracing(page=page, categories=CATEGORIES)
    act()
    time.sleep(0.1)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    mine = collections.Counter(
        e["pid"]
        for e in events
        if names.get((e["pid"], e["tid"])) == PAGE and e["name"] == "EventDispatch"
    )
    process = max(mine, key=lambda pid: mine[pid])
    found = [
        event | {"thread": names[event["pid"], event["tid"]]}
        for event in events
        if event["pid"] == process
        and event.get("ph") == "X"
        and names.get((event["pid"], event["tid"])) in (PAGE, WORKER)
    ]
    return sorted(found, key=lambda e: e["ts"])


def spent(events: Iterable[dict[str, Any]], thread: str, start: float, end: float) -> float:
    """Return the milliseconds that a thread worked on the tasks begun from `start` to before `end`.

    What the test's own messages to the page took is left out.

    Examples
    --------
    >>> task = {"name": TASK, "args": {}, "thread": PAGE}
    >>> trace = [
    ...     task | {"ts": 0, "tdur": 400},
    ...     task | {"ts": 1000, "tdur": 2500},
    ...     task | {"name": "Receive", "ts": 1001, "tdur": 100, "args": {"to": MESSAGE}},
    ...     task | {"ts": 9000, "tdur": 10},
    ... ]
    >>> spent(trace, PAGE, 0, 9000), spent(trace, WORKER, 0, 9000)
    (2.8, 0.0)
    """
    time = 0.0
    for event in events:
        if event["thread"] != thread or not start <= event["ts"] < end:
            continue
        if event["name"] == TASK:
            time += event.get("tdur", 0)
        elif MESSAGE in json.dumps(event.get("args", {})):
            time -= event.get("tdur", 0)
    return time / 1000


def tasks_with(events: list[dict[str, Any]], kinds: Iterable[str]) -> list[float]:
    """Return when the tasks of the page began in which events of these kinds came to it."""
    found = []
    begun = -math.inf
    for event in events:
        if event["thread"] != PAGE:
            continue
        if event["name"] == TASK:
            begun = event["ts"]
        elif event["name"] == "EventDispatch" and event["args"]["data"]["type"] in kinds:
            found.append(begun)
    return sorted(set(found))


def frames(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Return the milliseconds of page and worker from each movement of the hand to the next.

    The browser gives a page all movements of a frame as one.
    """
    starts = tasks_with(events, ["pointermove"])
    return [
        (spent(events, PAGE, *between), spent(events, WORKER, *between))
        for between in itertools.pairwise(starts)
    ]


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


def dragged(browser: Any, page: Any, grip: Any, steps: int = 40) -> list[tuple[float, float]]:
    """Return the milliseconds of page and worker for each frame while something is dragged."""
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
    """Return the milliseconds of page and worker from an event to the picture that answers it."""

    def patiently() -> None:
        act()
        page.wait_for_timeout(1500)

    events = recorded(browser, page, patiently)
    start = tasks_with(events, kinds)[0]
    drawn = next(
        (
            e["ts"] + e["dur"]
            for e in events
            if e["thread"] == WORKER
            and e["ts"] > start
            and e["name"] == "FunctionCall"
            and e["args"]["data"].get("functionName") == "port.onmessage"
        ),
        None,
    )
    if drawn is None:
        raise AssertionError(f"no picture answered {kinds}")
    return spent(events, PAGE, start, drawn) + spent(events, WORKER, start, drawn)


def pages_with_explorables(html: Path) -> dict[str, str]:
    """Return, for each explorable of a built site, the first page that has it."""
    found: dict[str, str] = {}
    for path in sorted((html / "book").rglob("*.html")):
        page = path.relative_to(html / "book").as_posix().removesuffix(".html")
        for name in re.findall(r'data-explorable="([\w-]+)"', path.read_text(encoding="utf-8")):
            found.setdefault(name, page)
    return found
