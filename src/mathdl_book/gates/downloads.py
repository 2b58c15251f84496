"""Gates on the notebooks that readers download: whole, valid, and the page's own code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbformat import v4

from mathdl_book import labs
from mathdl_book.findings import Finding
from mathdl_book.notebooks import notebook_name

if TYPE_CHECKING:
    from mathdl_book.gates.pages import Cell

# A role, a directive or a substitution that a plain notebook would show raw; as text or in a title.
ROLES = "cite|doc|download|eq|glue|math|numref|prf|py|ref|term|try"
LEFT_OVER = re.compile(
    rf"\{{[a-z]+(?:[:-][a-z]+)*\}}\\`|\{{(?:{ROLES})(?::[a-z]+)?\}}`"
    r"|^[ \t>]*(?::{3,}|[`~]{3,}\{)|\{\{ \w+ \}\}",
    re.MULTILINE,
)


def download_findings(
    docname: str, cells: list[Cell], outdir: Path, left_out: frozenset[int] | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with the notebooks of a page.

    Parameters
    ----------
    docname : str
        The page.
    cells : list of Cell
        Its code cells; without any there is no notebook.
    outdir : Path
        Folder of the built site.
    left_out : frozenset of int, optional
        Numbers of the cells that stood in solutions, where these are left out.
    """
    lab = any(labs.TAG in cell.tags for cell in cells)
    versions = (False,) if lab and left_out is not None else (False, True) if lab else (True,)
    for solved in versions if cells else ():
        try:
            wanted = [_code(cell, solved) for cell in cells if cell.number not in (left_out or ())]
        except labs.RegionError:
            return  # told already
        name = notebook_name(docname, lab and solved)
        for problem in _problems(outdir / name, wanted):
            yield Finding("notebooks", docname, name, problem)


def _code(cell: Cell, solved: bool) -> str:
    if labs.TAG not in cell.tags:
        return cell.source
    return labs.solved(cell.source) if solved else labs.starter(cell.source)


def _problems(path: Path, wanted: list[str]) -> Iterator[str]:
    """Yield what is wrong with a notebook that must hold this code after its first cell."""
    if not path.is_file():
        yield "was not written"
        return
    notebook = v4.reads(path.read_text(encoding="utf-8"))
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"is not valid: {error.message}"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in code[1:]] != wanted:
        yield "does not hold the code of the page, cell by cell"
    if any(cell.outputs for cell in code):
        yield "holds outputs, which a reader's own run should make"
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := LEFT_OVER.search(cell.source)):
            line = cell.source[found.start() :].lstrip().partition("\n")[0]
            yield f"shows MyST that a plain notebook does not know: {line:.60}"
