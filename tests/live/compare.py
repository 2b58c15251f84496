"""Run every live cell of the built book in Chromium and compare it with what the page shows.

``python tests/live/compare.py [PAGE ...]`` prints what differs and exits with 1 if anything does.
A page whose bytes, and those of all that runs it, are as at its last good run is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # run as a script
from playwright.sync_api import Error  # noqa: E402

from browsing import launched, served  # noqa: E402
from mathdl_book import pyodide  # noqa: E402

START = 120_000  # milliseconds in which a page has to begin
CELL_LIMIT = 240  # seconds without news after which a page is given up
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
CLOSE, NOISE = 1e-6, 1e-9

# What the page shows of each cell, before anything has run.
COLLECT = """() => [...document.querySelectorAll("div.cell")].map((root) => {
  const bar = root.querySelector(".live-bar[data-cell]");
  const visible = (e) => !e.closest(".live-output");
  const all = (selector) => [...root.querySelectorAll(selector)];
  const outputs = all(".cell_output").filter((e) => !e.classList.contains("live-output"));
  const within = (list, selector) => list.flatMap((e) => [...e.querySelectorAll(selector)]);
  const text = (e) => e.textContent;
  const plain = (e) => !e.closest(".check-badge") && !e.closest(".text_html");
  const read = (list) => ({
    text: within(list, "pre").filter(plain).map(text).join("\\n"),
    html: within(list, ".text_html").map(text).join("\\n"),
    badges: within(list, ".check-badge .check-line").map((e) => e.textContent),
    figures: within(list, "img").map((e) => [e.naturalWidth, e.naturalHeight, e.alt]),
  });
  return {
    number: bar ? Number(bar.dataset.number) : null,
    name: bar ? bar.dataset.cell : null,
    hidden: Boolean(root.querySelector("script.live-source")),
    tags: [...root.classList].filter((c) => c.startsWith("tag_")).map((c) => c.slice(4)),
    solution: root.querySelector(".lab-solved pre")?.textContent.replace(/\\n$/, "") ?? null,
    page: read(outputs),
    live: read(all(".live-output")),
    state: root.dataset.live ?? null,
    error: root.querySelector(".live-error, .live-step")?.textContent ?? root.dataset.error ?? null,
    status: bar?.querySelector(".live-status")?.textContent ?? null,
  };
})"""


# --- what is the same ---------------------------------------------------------------------------


def difference(shown: str, ran: str, *, in_kind: bool = False) -> str | None:
    """Return how a text differs from the page's, None if it does not.

    Spaces do not count. Numbers are the same within a millionth; both below a thousand-millionth
    they are rounding errors, of which each machine has its own.

    Parameters
    ----------
    shown, ran : str
        On the page, and in the browser.
    in_kind : bool
        Whether numbers are not compared at all.

    Examples
    --------
    >>> difference("w = [1.0000000  2.]", "w = [1.0000001 2.]"), difference("1e-16", "3e-17")
    (None, None)
    >>> difference("loss 0.51", "loss 0.52")
    '0.51 on the page, 0.52 here'
    >>> difference("loss 0.51", "loss 0.52", in_kind=True)
    >>> difference("loss 0.51", "no loss")
    "'loss#' on the page, 'noloss' here"
    """
    signs = ["".join(NUMBER.sub("#", text).split()) for text in (shown, ran)]
    if signs[0] != signs[1]:
        pairs = enumerate(zip(*signs, strict=False))
        same = next((i for i, (a, b) in pairs if a != b), min(map(len, signs)))
        a, b = (text[max(0, same - 20) : same + 30] for text in signs)
        return f"{a!r} on the page, {b!r} here"
    if in_kind:
        return None
    for a, b in zip(*(NUMBER.findall(text) for text in (shown, ran)), strict=True):
        x, y = (float(n.replace(",", "").replace("−", "-")) for n in (a, b))
        if not math.isclose(x, y, rel_tol=CLOSE, abs_tol=NOISE):
            return f"{a} on the page, {b} here"
    return None


def badge_difference(shown: str, ran: str) -> str | None:
    """Return how a check's line differs; not in its worst error and its tolerance.

    Both are those of the route nearest to its own tolerance, and rounding decides which that is.

    Examples
    --------
    >>> line = "✓ checked (1.2) equal · worst error {} · tolerance 10⁻¹³ · closed form · 1 point"
    >>> badge_difference(line.format("0"), line.format("2.2 × 10⁻¹⁶"))
    >>> badge_difference(line.format("0"), line.format("0").replace("1 point", "2 points"))
    '1 point on the page, 2 points here'
    """
    facts = [
        [
            part
            for part in re.split(r" · ", text)
            if not part.startswith(("worst error", "tolerance"))
        ]
        for text in (shown, ran)
    ]
    for a, b in zip(*facts, strict=False):
        if " ".join(a.split()) != " ".join(b.split()):
            return f"{a} on the page, {b} here"
    return None if len(facts[0]) == len(facts[1]) else f"{shown!r} on the page, {ran!r} here"


def judge(cell: dict[str, Any]) -> str | None:
    """Return what is wrong with a cell that ran, None if it shows what the page shows."""
    if cell["state"] != "done" and "raises-exception" not in cell["tags"]:
        said = (cell["error"] or cell["status"] or "it did not run").strip()
        return f"{cell['state']}: {said}"
    if "timing" in cell["tags"] or cell["hidden"]:
        return None
    shown, ran, in_kind = cell["page"], cell["live"], "chaotic" in cell["tags"]
    for kind in ("text", "html"):
        if found := difference(shown[kind], ran[kind], in_kind=in_kind):
            return found
    if len(shown["badges"]) != len(ran["badges"]):
        return f"{len(shown['badges'])} checks on the page, {len(ran['badges'])} here"
    for a, b in zip(shown["badges"], ran["badges"], strict=True):
        if found := badge_difference(a, b):
            return found
    if len(shown["figures"]) != len(ran["figures"]) and not cell["moved"]:
        return f"{len(shown['figures'])} figures on the page, {len(ran['figures'])} here"
    for (w, h, alt), (width, height, other) in zip(shown["figures"], ran["figures"], strict=False):
        if not other or alt != other:
            return f"the figure's text is {other!r}, on the page {alt!r}"
        if not in_kind and max(abs(w - width), abs(h - height)) > 2:
            return f"a figure of {w} × {h} on the page, {width} × {height} here"
    return None


# --- running ------------------------------------------------------------------------------------


def live_pages(html: Path) -> list[str]:
    """Return the pages with cells that run in the browser."""
    return sorted(
        path.relative_to(html).as_posix()
        for path in html.rglob("*.html")
        if 'class="live-bar" data-cell' in path.read_text(encoding="utf-8")
    )


def key(html: Path, page: str) -> str:
    """Return the digest of what a page's result depends on."""
    # The page's own cells and outputs, not the frame around them.
    text = (html / page).read_text(encoding="utf-8")
    article = re.search(r"<article.*</article>", text, re.DOTALL)
    seen = hashlib.sha256((article[0] if article else text).encode())
    static = html / "_static"
    for path in [static / "pyodide" / "manifest.json", *sorted((static / "live").rglob("*"))]:
        if path.is_file() and path.suffix != ".css":
            seen.update(path.read_bytes())
    seen.update(Path(__file__).read_bytes())
    return seen.hexdigest()


_browser: Any = None


def _start() -> None:
    """Start this process's Chromium."""
    global _browser
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    _browser = launched(playwright).new_context()


def run_page(address: str, page: str) -> tuple[str, list[dict[str, Any]], float]:
    """Run all cells of a page, a lab's with the solutions; return what they show."""
    begun = time.monotonic()
    tab = _browser.new_page()
    try:
        tab.goto(f"{address}/{page}")
        solved = {c["name"]: c["solution"] for c in tab.evaluate(COLLECT) if c["solution"]}
        if solved:
            tab.evaluate(
                "edits => localStorage.setItem(`mathdl-live:${location.pathname}`, edits)",
                json.dumps(solved),
            )
            tab.reload()
        # So that a cell that fails does not hide those below it.
        tab.evaluate(
            "() => document.querySelectorAll('div.cell').forEach(c => "
            "c.classList.add('tag_raises-exception'))"
        )
        tab.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true })")
        tab.locator(".live-bar[data-cell]").last.locator(".live-run").click()
        tab.wait_for_selector("div.cell[data-live]", state="attached", timeout=START)
        last, since = None, time.monotonic()
        while tab.locator("[data-live=waiting], [data-live=running]").count():
            now = tab.evaluate(
                "() => document.querySelectorAll('[data-live=done], [data-live=error]').length"
            )
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > CELL_LIMIT:
                break
            time.sleep(0.1)
        cells = tab.evaluate(COLLECT)
        moved = tab.locator(".explorable figure").count() > 0
        for cell in cells:
            cell["tags"] = [tag for tag in cell["tags"] if tag != "raises-exception"]
            cell["moved"] = moved and not cell["page"]["figures"]
        return page, cells, time.monotonic() - begun
    finally:
        tab.close()


def compare(html: Path, pages: list[str], store: Path, jobs: int) -> int:
    """Compare pages, print what differs, return how many do."""
    store.mkdir(parents=True, exist_ok=True)
    begun, failing, count, fresh = time.monotonic(), 0, 0, 0
    waiting = []
    for page in pages:
        kept = store / f"{page.replace('/', '-')}.json"
        if kept.is_file() and (known := json.loads(kept.read_text()))["key"] == key(html, page):
            count += known["cells"]
        else:
            waiting.append(page)
    waiting.sort(key=lambda page: (html / page).stat().st_size, reverse=True)
    with (
        served(html) as site,
        ProcessPoolExecutor(
            jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_start
        ) as pool,
    ):
        runs = {pool.submit(run_page, site.url, page): page for page in waiting}
        for future in as_completed(runs):
            try:
                page, cells, seconds = future.result()
            except Error as error:
                print(f"{runs[future]}: it could not be run: {error}")
                count, failing = count + 1, failing + 1
                continue
            # A cell that is not shown, below all that are, is never run.
            ours = [
                cell
                for cell in cells
                if cell["number"] is not None or (cell["hidden"] and cell["state"])
            ]
            faults = [(cell, why) for cell in ours if (why := judge(cell))]
            count, fresh, failing = count + len(ours), fresh + len(ours), failing + len(faults)
            print(f"{page}: {len(ours) - len(faults)} of {len(ours)} cells, {seconds:.0f} s")
            for cell, why in faults:
                print(f"  cell {cell['number'] or '(not shown)'} {cell['tags'] or ''}: {why}")
            sys.stdout.flush()
            if not faults:
                record = {"key": key(html, page), "cells": len(ours), "seconds": round(seconds, 1)}
                (store / f"{page.replace('/', '-')}.json").write_text(json.dumps(record))
    took = time.monotonic() - begun
    print(
        f"{count - failing} of {count} live cells show in the browser what the page shows "
        f"({fresh} run now, {took:.0f} s)"
    )
    return failing


def main() -> int:
    """Compare what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="such as book/calculus/derivatives.html")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    html = arguments.html.resolve()
    manifest = json.loads((html / "_static/pyodide/manifest.json").read_text())
    if absent := pyodide.elsewhere(manifest):
        answers = pyodide.within_reach(manifest)
        print(f"not compared: the site lacks {', '.join(absent)},", end=" ")
        print("which are to be had: build it again" if answers else "which are not to be had")
        return int(answers)
    pages = arguments.pages or live_pages(html)
    return min(1, compare(html, pages, html.parent / "live", arguments.jobs))


if __name__ == "__main__":
    sys.exit(main())
