"""Gates on the built site: links and anchors, and what its pages say against themselves."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mathdl_book.facts import CSS_FETCH, JS_FETCH, Facts
from mathdl_book.findings import Finding

ELEMENT = re.compile(r"<[a-z]")
MOST_ELEMENTS = 3000  # of a drawing; the largest of the first edition had 900


def site_findings(outdir: Path, pages: dict[str, Facts]) -> list[Finding]:
    """Return what the gates object to in a built site.

    Parameters
    ----------
    outdir : Path
        Folder of the built site.
    pages : dict
        Path → facts of each page, as from `read_site`.
    """
    findings = []
    assets = set()
    drawings = set()
    for name, facts in pages.items():
        for gate, line, message in facts.faults:
            findings.append(Finding(gate, name, f"line {line}", message))
        for address, line in dict(facts.links).items():  # each address once a page
            message, target = _follow(name, address, outdir, pages)
            if message:
                findings.append(Finding("links", name, f"line {line}", message))
            elif target.endswith((".css", ".js", ".mjs")):
                assets.add(target)
            elif target.endswith(".svg"):
                drawings.add((target, name, line))
    return [*findings, *asset_findings(outdir, assets), *drawing_findings(outdir, drawings)]


def _follow(page: str, address: str, outdir: Path, pages: dict[str, Facts]) -> tuple[str, str]:
    """Return what is wrong with a local address, if anything, and the file that it leads to."""
    parts = urlsplit(address)
    path, fragment = unquote(parts.path), unquote(parts.fragment)
    if fragment.startswith("explorable-"):  # its state follows its id
        fragment = fragment.partition("&")[0]
    target = page
    if path:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path.lstrip()))
        if path.startswith("/"):
            return f"the link {address} starts at the host, where the book may not be", target
        if path.endswith("/") or (outdir / target).is_dir():
            target = posixpath.normpath(f"{target}/index.html")
        if target.startswith("..") or not (outdir / target).is_file():
            return (
                f"the link {address} leads to {target}, which is not in the site; mend it",
                target,
            )
    ids = pages[target].ids if target in pages else {fragment}
    if fragment and fragment != "top" and not fragment.startswith(":~:") and fragment not in ids:
        return f"the link {address} leads to no id in {target}; mend its anchor", target
    return "", target


def drawing_findings(outdir: Path, drawings: Iterable[tuple[str, str, int]]) -> Iterator[Finding]:
    """Yield the figures that would hold a reader's browser up: it sets up each sign of a drawing.

    Parameters
    ----------
    outdir : Path
        Folder of the built site.
    drawings : iterable of tuple
        Path of each, relative to the site; the page that shows it, and the line.
    """
    for path, page, line in sorted(drawings):
        signs = len(ELEMENT.findall((outdir / path).read_text(encoding="utf-8")))
        if signs > MOST_ELEMENTS:
            yield Finding(
                "figures",
                page,
                f"line {line}",
                f"the drawing {path} has {signs} elements, and a phone takes a second for "
                f"{MOST_ELEMENTS}; draw lines instead of points, or give them rasterized=True",
            )


def asset_findings(outdir: Path, assets: Iterable[str]) -> Iterator[Finding]:
    """Yield what stylesheets and scripts that pages load would load from another host.

    Parameters
    ----------
    outdir : Path
        Folder of the built site.
    assets : iterable of str
        Paths relative to it.
    """
    for name in sorted(assets):
        text = (outdir / name).read_text(encoding="utf-8", errors="replace")
        for match in (CSS_FETCH if name.endswith(".css") else JS_FETCH).finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Finding(
                "assets",
                name,
                f"line {line}",
                f"loads {match[1][:120]} from another host; keep a copy of it in the book",
            )
