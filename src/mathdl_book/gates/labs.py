"""Gates on the source of a lab: what is to be filled in, its hints, and the checks of its steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mathdl_book import labs
from mathdl_book.findings import Finding

if TYPE_CHECKING:
    from mathdl_book.gates.pages import Cell
    from mathdl_book.pages import Page


def lab_findings(page: Page, cells: list[Cell]) -> Iterator[Finding]:
    """Yield what would leave the reader of a lab without a task, a hint or a check.

    Parameters
    ----------
    page : Page
        Any page; one without steps and without cells to fill in has nothing to be wrong.
    cells : list of Cell
        Its code cells.
    """
    for cell in cells:
        yield from _region(page.docname, cell)
    steps = labs.steps(page.text) if "(step-" in page.text else []
    for number, step in enumerate(steps, start=1):
        if not re.match(rf"Step {number}: \S", step.title):
            message = f"the heading {step.title!r} is that of step {number}; write 'Step {number}: "
            yield Finding("labs", page.docname, step.label, f"{message}…'")
        yield from _step(page.docname, step, cells)
    yield from _checks(page.docname, steps, cells)


def _region(docname: str, cell: Cell) -> Iterator[Finding]:
    """Yield what is wrong with the regions of a cell."""
    marked = labs.MARKER.search(cell.source)
    if labs.TAG not in cell.tags:
        if marked:
            message = f"marks a region to fill in without the tag; add 'tags: [{labs.TAG}]'"
            yield Finding("labs", docname, cell.where, message)
        return
    try:
        labs.starter(cell.source)
    except labs.RegionError as error:
        line = f"cell {cell.number} (line {cell.code_line + error.line})"
        yield Finding("labs", docname, line if error.line else cell.where, error.problem)


def _step(docname: str, step: labs.Step, cells: list[Cell]) -> Iterator[Finding]:
    """Yield what a step that asks for something lacks."""
    inside = [cell for cell in cells if step.line < cell.line <= step.end]
    asking = [cell for cell in inside if labs.TAG in cell.tags]
    if not asking:
        return
    if not any(hint < asking[0].line for hint in step.hints):
        message = "no hint before the cell to fill in; add a '{dropdown} Hint' above it"
        yield Finding("labs", docname, step.label, message)
    after = [cell for cell in inside if cell.line > asking[-1].line]
    if not any(step.label in labs.steps_checked(cell.source) for cell in after):
        message = (
            "nothing checks what is filled in; add a cell with "
            f"'check_step(\"{step.label}\", …)' after it"
        )
        yield Finding("labs", docname, step.label, message)


def _checks(docname: str, steps: list[labs.Step], cells: list[Cell]) -> Iterator[Finding]:
    """Yield the checks of no step, or of another than the one they stand in."""
    for cell in cells:
        for label in labs.steps_checked(cell.source):
            if label is None:
                message = "check_step names its step by a variable; write the label itself"
            elif label not in {step.label for step in steps}:
                message = f"check_step names {label!r}, which is no step of this page"
            elif any(s.label == label and s.line < cell.line <= s.end for s in steps):
                continue
            else:
                message = f"check_step of {label!r} stands outside that step; move it there"
            yield Finding("labs", docname, cell.where, message)
