"""Lighthouse on the built book: simulated phone and desktop, compared with what is asked of it.

    python tests/site/lighthouse.py [--runs N] [--look mobile] [PAGE …]

Without pages: the front page, a page of usual length, the heaviest one, and a lab. The median of
the runs counts; the floors are what a slow shared machine still reaches of the goals, which for the
first paint on a phone is 1.6 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from browsing import chromium  # noqa: E402
from mathdl_book.typesetting import node_binary  # noqa: E402
from node_tools import installed  # noqa: E402

SITE = HERE.parents[1] / "_build" / "html"
GOALS = {"mobile": 92, "desktop": 98}
FLOORS = {"mobile": 88, "desktop": 95}
WHOLE = ("accessibility", "best-practices", "seo")
SHIFT = 0.02
PAINT = 1900  # ms


def chosen(site: Path) -> list[str]:
    """Return the pages that stand for all: the first, a usual one, the heaviest, a lab.

    Parameters
    ----------
    site : Path
        The built site.
    """
    chapters = sorted(
        (path for path in site.glob("book/*/*.html") if path.parent.name != "labs"),
        key=lambda path: path.stat().st_size,
    )
    long = [path for path in chapters if path.stat().st_size > 400_000]
    lab = min(site.glob("book/labs/*.html"))
    pages = [site / "book" / "index.html", long[len(long) // 2], chapters[-1], lab]
    return [path.relative_to(site).as_posix() for path in pages]


def wrong_with(found: dict[str, Any]) -> list[str]:
    """Return in which ways a page is below what is asked of it.

    Parameters
    ----------
    found : dict
        A line of what `lighthouse.mjs` prints.

    Examples
    --------
    >>> scores = {"performance": 80, "accessibility": 100, "best-practices": 100, "seo": 92}
    >>> failed = {"seo": ["link-text"], "accessibility": [], "best-practices": []}
    >>> found = {"look": "mobile", "scores": scores, "shift": 0, "first_paint": 2000}
    >>> wrong_with(found | {"failed": failed})
    ['performance 80 < 88', 'seo 92: link-text', 'first paint after 2000 ms > 1900']
    """
    scores, floor = found["scores"], FLOORS[found["look"]]
    wrong = []
    if scores["performance"] < floor:
        wrong.append(f"performance {scores['performance']} < {floor}")
    wrong += [
        f"{name} {scores[name]}: {'; '.join(found['failed'][name])}"
        for name in WHOLE
        if scores[name] < 100
    ]
    if found["shift"] > SHIFT:
        wrong.append(f"layout shift {found['shift']} > {SHIFT}")
    if found["first_paint"] > PAINT:
        wrong.append(f"first paint after {found['first_paint']:.0f} ms > {PAINT}")
    return wrong


def main() -> int:
    """Measure, say what was found, and return 1 if a page is below its floor."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", help="below the site, such as book/index.html")
    parser.add_argument("--site", type=Path, default=SITE)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--look", action="append", choices=GOALS, help="both if not given")
    given = parser.parse_args()
    folder = installed(everything=True)
    shutil.copy(HERE / "lighthouse.mjs", folder)
    wanted = [
        [page, look] for page in given.pages or chosen(given.site) for look in given.look or GOALS
    ]
    command = [node_binary(), "lighthouse.mjs", str(given.site.resolve()), chromium()]
    process = subprocess.Popen(
        [*command, str(given.runs)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"NODE_OPTIONS": "--no-warnings"},
    )
    process.stdin.write(json.dumps(wanted))
    process.stdin.close()
    lines, wrong = [], []
    print("look     perf  a11y  best  seo  paint  largest  blocking  shift  runs, page")
    for line in process.stdout:
        found = json.loads(line)
        lines.append(found)
        scores = found["scores"]
        print(
            f"{found['look']:8} {scores['performance']:4} {scores['accessibility']:5}"
            f" {scores['best-practices']:5} {scores['seo']:4} {found['first_paint'] / 1000:5.2f}s"
            f" {found['largest_paint'] / 1000:7.2f}s {found['blocking']:7.0f}ms"
            f" {found['shift']:6.3f}  {found['runs']} {found['page']}",
            flush=True,
        )
        wrong += [f"{found['page']} ({found['look']}): {one}" for one in wrong_with(found)]
    (folder / "lighthouse.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
    if process.wait() or len(lines) < len(wanted):
        wrong.append("Lighthouse itself failed")
    for one in wrong:
        print(one, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
