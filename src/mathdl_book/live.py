"""Live cells: each NumPy cell of a page can be run and edited in it, by Python in the browser.

The page gets a row below the code of each such cell, whose buttons a small script makes; nothing
else is loaded before the first click. Cells that need what no browser has say where they run.
The modules are in ``static/live``, the Python that they start comes from `mathdl_book.pyodide`.
"""

from __future__ import annotations

import hashlib
import html
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from IPython.lib import pretty as ipython_pretty
from sphinx.errors import ExtensionError
from sphinx.util import logging

from mathdl_book import pyodide

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

STATIC = Path(__file__).parent / "static" / "live"
STARTER = "live/start.js"  # its style is in the one stylesheet
# What a cell needs that no browser has, by the tag that says so.
ELSEWHERE = {
    "tag_torch": "PyTorch",
    "tag_scipy": "SciPy or scikit-learn",
    "tag_traps": "the processor’s floating-point exceptions",
}

logger = logging.getLogger(__name__)


def needs_more(classes: list[str]) -> str | None:
    """Return what a cell needs that a browser does not have, None if it runs there.

    Parameters
    ----------
    classes : list of str
        Classes of the cell's node.

    Examples
    --------
    >>> needs_more(["cell", "tag_torch"]), needs_more(["cell", "tag_chaotic"])
    ('PyTorch', None)
    """
    return next((name for tag, name in ELSEWHERE.items() if tag in classes), None)


def fingerprint(source: str) -> str:
    """Return what an edit of this code is kept under: it changes when the code does."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def row(number: int, name: str) -> nodes.raw:
    """Return the row that gets the buttons of a cell."""
    return _html(f'<div class="live-bar" data-cell="{name}" data-number="{number}"></div>')


def solution_row() -> nodes.raw:
    """Return the row that gets the button of a lab's solution."""
    return _html('<div class="live-bar live-solution"></div>')


def note(needed: str) -> nodes.raw:
    """Return the line that says where a cell runs that does not run in a browser."""
    return _html(
        f'<p class="live-elsewhere">Needs {needed}, which no browser has: '
        "run it in JupyterLab, on Binder or on Colab.</p>"
    )


def hidden_source(source: str) -> nodes.raw:
    """Return the code of a cell whose code the page does not show, for those below it."""
    text = json.dumps(source).replace("<", "\\u003c")
    return _html(f'<script type="application/json" class="live-source">{text}</script>')


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def add_rows(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give each code cell of a page its row, or the line that says where it runs."""
    if app.builder.name not in ("html", "dirhtml"):
        return
    sources = _Sources(app, docname)
    seen: Counter[str] = Counter()
    number = 0
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code":
            continue
        number += 1
        box = next(_boxes(cell, "cell_code_source"), None)
        needed = needs_more(cell["classes"])
        if needed:
            if box is not None:
                box += note(needed)
            continue
        if box is None:
            cell.insert(0, hidden_source(sources[cell["cell_index"]]))
            continue
        name = fingerprint(next(iter(box.findall(nodes.literal_block))).astext())
        seen[name] += 1
        box += row(number, name if seen[name] == 1 else f"{name}-{seen[name]}")
        for answer in cell.findall(nodes.container):
            if "lab-solved" in answer["classes"]:
                answer += solution_row()


def _boxes(cell: nodes.Element, element: str) -> Iterator[nodes.container]:
    return (box for box in cell.findall(nodes.container) if box.get("nb_element") == element)


class _Sources:
    """Code of the cells of a page as it was executed, read when first asked for."""

    def __init__(self, app: Sphinx, docname: str) -> None:
        self.path = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
        self.cells: list[dict[str, Any]] | None = None

    def __getitem__(self, index: int) -> str:
        if self.cells is None:
            self.cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        source = self.cells[index]["source"]
        return source if isinstance(source, str) else "".join(source)


def has_cells(doctree: nodes.document | None) -> bool:
    """Return whether a page has code cells."""
    return doctree is not None and any(
        node.get("nb_element") == "cell_code" for node in doctree.findall(nodes.container)
    )


def add_starter(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Have a page with cells load the script of the buttons, and no other page."""
    if has_cells(doctree) and hasattr(app, "mathdl_live_version"):
        app.add_js_file(
            STARTER,
            loading_method="defer",
            priority=940,
            **{"data-version": app.mathdl_live_version},
        )


def add_files(app: Sphinx, env: BuildEnvironment) -> None:
    """Put the modules and Python into the site."""
    if app.builder.name not in ("html", "dirhtml"):
        return
    static = Path(app.outdir) / "_static"
    try:
        manifest = pyodide.install(static / "pyodide", pyodide.sources_here())
    except pyodide.Tampered as error:
        raise ExtensionError(f"live cells: {error}") from error
    absent = pyodide.elsewhere(manifest)
    if absent and pyodide.sources_here() is not None:
        logger.info(
            "live cells: %s not to be had now, so that browsers fetch %s from cdn.jsdelivr.net "
            "at the first click",
            absent[0] if len(absent) == 1 else f"{absent[0]} and {len(absent) - 1} more are",
            "it" if len(absent) == 1 else "them",
        )
    target = static / "live"
    shutil.rmtree(target, ignore_errors=True)
    sources_only = shutil.ignore_patterns("licenses", "pyodide.json", "*.entry.js", "README.md")
    shutil.copytree(STATIC, target, ignore=sources_only)
    # The printing of values as in a notebook: one module of IPython, as it is.
    shutil.copyfile(ipython_pretty.__file__, target / "pretty.py")
    seen = hashlib.sha256((static / "pyodide" / "manifest.json").read_bytes())
    for path in sorted(target.rglob("*")):
        if path.is_file():
            seen.update(path.read_bytes())
    app.mathdl_live_version = html.escape(seen.hexdigest()[:12])


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the live cells to a build."""
    app.connect("doctree-resolved", add_rows, priority=960)  # after the notebooks are written
    app.connect("env-updated", add_files)
    app.connect("html-page-context", add_starter)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
