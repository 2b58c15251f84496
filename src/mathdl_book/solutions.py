"""A book without its solutions, for a class that is to find them itself.

``MATHDL_SOLUTIONS=none`` in the environment, or ``mathdl_solutions: none`` in the configuration,
takes every solution out of a page's text before Sphinx reads it: those of exercises whole, and
from a lab's cells what the reader is to write. Whatever is made of a page (HTML, notebooks, search
index, catalogue) has never seen them. The pages are executed as they are, solutions and all, and
the gates judge that run.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from docutils import nodes
from markdown_it.renderer import RendererHTML
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from sphinx import addnodes
from sphinx.errors import ConfigError
from sphinx.transforms.post_transforms import SphinxPostTransform

from mathdl_book import labs
from mathdl_book.pages import LABELS, VARIABLE, Page

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

ALL, NONE = "all", "none"
MARK = "solutions"  # a file beside the site: what it was last built with
# Tags of the cells that stand for a solution's cells, and for a lab's solved ones.
LEFT_OUT, TO_FILL_IN = "left-out", "to-fill-in"
START, END, WHOLE = "{solution-start}", "{solution-end}", "{solution}"
EXTENSIONS = frozenset({"amsmath", "colon_fence", "dollarmath"})


@dataclass(frozen=True)
class Shown:
    """A page without its solutions, and what went with them.

    Parameters
    ----------
    text : str
        Its source; where a solution's cells were there are empty ones, so that cells keep their
        numbers.
    labels : frozenset of str
        Labels that stood in solutions, theirs included.
    cells : frozenset of int
        Numbers, from 1, of the code cells that stood in solutions of exercises.
    """

    text: str
    labels: frozenset[str] = frozenset()
    cells: frozenset[int] = frozenset()


class NestedSolution(ValueError):
    """A solution inside another directive, where it cannot be told from what stays."""


@lru_cache(maxsize=256)
def without_solutions(text: str) -> Shown:
    r"""Return the source of a page without its solutions.

    Parameters
    ----------
    text : str
        The source.

    Raises
    ------
    NestedSolution
        If a solution begins inside another directive, or never ends.

    Examples
    --------
    >>> page = "Stays.\n\n```{solution-start} ex-a\n:label: sol-a\n```\n42\n```{solution-end}\n```"
    >>> shown = without_solutions(page)
    >>> shown.text.split(), shown.labels
    (['Stays.'], frozenset({'sol-a'}))
    """
    tagged = labs.BEGIN in text
    if "{solution" not in text and not tagged:
        return Shown(text)
    lines = text.splitlines()
    config = MdParserConfig(enable_extensions=set(EXTENSIONS), disable_syntax=["inline"])
    tokens = create_md_parser(config, RendererHTML).parse(text)
    fences = [token for token in tokens if token.type in ("fence", "colon_fence")]
    # Reading from the front: what each line is replaced by; None for a line that goes.
    instead: dict[int, str | None] = {}
    kept_labels: set[str] = set()
    cells: set[int] = set()
    sources = _code_cells(text, config)
    opened: int | None = None
    number = 0
    for token in fences:
        name = token.info.strip().partition(" ")[0]
        first, end = token.map
        is_cell = token.type == "fence" and token.level == 0 and name.startswith("{code-cell}")
        number += is_cell
        if name == START and token.level == 0 and opened is None:
            opened = first
        elif name == END and opened is not None:
            kept_labels |= _labels(lines[opened:end])
            instead |= {line: instead.get(line) for line in range(opened, end)}
            opened = None
        elif name == WHOLE and token.level == 0 and opened is None:
            kept_labels |= _labels(lines[first:end])
            instead |= dict.fromkeys(range(first, end))
        elif is_cell and opened is not None:
            cells.add(number)
            kept_labels |= _figure(sources[number - 1].metadata)
            instead[first] = _cell(token.markup, {"tags": [LEFT_OUT, "remove-cell"]}, "")
        elif is_cell and labs.TAG in _tags(sources[number - 1].metadata):
            cell = sources[number - 1]
            kept_labels |= _figure(cell.metadata)
            instead |= dict.fromkeys(range(first, end))
            instead[first] = _cell(token.markup, *_given(cell))
    if opened is not None:
        raise NestedSolution(f"the solution of line {opened + 1} has no {END} after it")
    shown = "\n".join(
        replaced
        for place, line in enumerate(lines)
        if (replaced := instead.get(place, line)) is not None
    )
    if found := re.search(r"^[ \t>]*[`:~]{3,}[ \t]*\{solution(?:-\w+)?\}.*", shown, re.MULTILINE):
        raise NestedSolution(
            f"{found[0].strip()!r} stands inside another directive or without its other end, so it "
            "could not be left out; give it its own place on the page"
        )
    return Shown(shown + "\n", frozenset(kept_labels), frozenset(cells))


def _code_cells(text: str, config: MdParserConfig) -> list[Any]:
    if not is_myst_markdown_notebook(text):
        return []
    notebook = read_myst_markdown_notebook(text, config=config)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _labels(lines: list[str]) -> set[str]:
    found = (LABELS.match(line) for line in lines)
    return {next(filter(None, match.groups())) for match in found if match}


def _figure(metadata: Mapping[str, Any]) -> set[str]:
    """Return the label of the figure that a cell makes, if it makes one."""
    name = ((metadata.get("mystnb") or {}).get("figure") or {}).get("name")
    return {name} if name else set()


def _tags(metadata: Mapping[str, Any]) -> list[str]:
    tags = metadata.get("tags") or []
    return [tags] if isinstance(tags, str) else list(tags)


def _given(cell: Any) -> tuple[dict[str, Any], str]:
    """Return options and code of a lab's cell as the reader gets it, without what it printed."""
    others = [tag for tag in _tags(cell.metadata) if tag not in (labs.TAG, "hide-output")]
    options = {k: v for k, v in cell.metadata.items() if k not in ("tags", "mystnb")}
    return {**options, "tags": [*others, TO_FILL_IN, "remove-output"]}, labs.starter(cell.source)


def _cell(fence: str, options: Mapping[str, Any], code: str) -> str:
    header = yaml.safe_dump(dict(options), default_flow_style=None, width=1000).strip()
    return "\n".join(
        [f"{fence}{{code-cell}}", "---", header, "---", *([code] if code else []), fence]
    )


# ---- Sphinx --------------------------------------------------------------------------------


def left_out(app: Sphinx) -> bool:
    """Return whether a build leaves the solutions out.

    Parameters
    ----------
    app : Sphinx
        The running build.
    """
    return getattr(app.config, "mathdl_solutions", ALL) == NONE


def shown(app: Sphinx, docname: str) -> Shown:
    """Return a page as this build shows it.

    Parameters
    ----------
    app : Sphinx
        The running build.
    docname : str
        The page.
    """
    text = Page(docname, Path(app.env.doc2path(docname))).text
    return without_solutions(text) if left_out(app) else Shown(text)


def labels_left_out(app: Sphinx) -> dict[str, frozenset[str]]:
    """Return the labels that stood in the solutions of each page, none where they are shown.

    Parameters
    ----------
    app : Sphinx
        The running build.
    """
    if not left_out(app):
        return {}
    return {name: shown(app, name).labels for name in app.env.found_docs}


def is_hidden(cell: Mapping[str, Any]) -> bool:
    """Return whether a cell of an executed notebook stands in a solution that is left out.

    Parameters
    ----------
    cell : mapping
        As in an ``.ipynb`` file.
    """
    return not {LEFT_OUT, TO_FILL_IN}.isdisjoint(_tags(cell.get("metadata") or {}))


def _settle(app: Sphinx, config: Config) -> None:
    """Let the environment have its say, and begin anew where solutions were shown before."""
    config.mathdl_solutions = os.environ.get(VARIABLE) or config.mathdl_solutions
    if config.mathdl_solutions not in (ALL, NONE):
        raise ConfigError(f"solutions: {ALL} or {NONE} is wanted, got {config.mathdl_solutions!r}")
    out = Path(app.outdir)
    mark = out.parent / MARK
    before = mark.read_text(encoding="utf-8") if mark.is_file() else ALL
    if config.mathdl_solutions == NONE != before:  # pictures and notebooks of solutions are there
        for path in out.iterdir() if out.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    mark.write_text(config.mathdl_solutions, encoding="utf-8")


def _take_out(app: Sphinx, docname: str, source: list[str]) -> None:
    if left_out(app):
        source[0] = without_solutions(source[0]).text


class PlainReferences(SphinxPostTransform):
    """Turns a reference to something in a solution into text, before any is resolved."""

    default_priority = 1

    def run(self, **options: Any) -> None:
        """Go through the references of this page."""
        if not left_out(self.app):
            return
        if not hasattr(self.app, "_mathdl_left_out"):
            self.app._mathdl_left_out = frozenset().union(*labels_left_out(self.app).values())
        for reference in list(self.document.findall(addnodes.pending_xref)):
            target = reference.get("reftarget", "").removeprefix("equation-")
            if target not in self.app._mathdl_left_out:
                continue
            own = reference.get("refexplicit") and reference.astext() != target
            text = reference.astext() if own else "a solution that is left out here"
            reference.replace_self(nodes.inline("", text, classes=["left-out"]))


def _drop_ways_to_sources(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Offer no button that leads to the repository's pages, which hold the solutions."""
    if left_out(app):
        context["header_buttons"] = [
            button
            for button in context.get("header_buttons", [])
            if not re.match(r"launch|source", button.get("label", ""))
        ]


def _write_sources(app: Sphinx, exception: Exception | None) -> None:
    """Put the pages without solutions where Sphinx has copied their sources."""
    if not left_out(app) or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_sources"
    for name in app.env.found_docs:
        path = folder / Path(app.env.doc2path(name, base=False))
        if path.is_file():
            path.write_text(shown(app, name).text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the configuration value and the hooks."""
    app.add_config_value("mathdl_solutions", ALL, "env", types=(str,))
    app.connect("config-inited", _settle)
    app.connect("source-read", _take_out)
    app.add_post_transform(PlainReferences)
    app.connect("html-page-context", _drop_ways_to_sources, priority=960)
    app.connect("build-finished", _write_sources)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
