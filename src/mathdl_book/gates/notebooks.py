"""Gates on the executed notebooks: every cell ran, no check failed, every claim is checked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mathdl.checks import CHECK_MIME
from mathdl_book.findings import Finding
from mathdl_book.gates.pages import Cell

ADD_A_CHECK = "add a cell with"
KINDS = {"gradient", "vjp", "jacobian", "hessian", "equal", "bound", "rate", "statistic"}
# Kinds whose error is relative to the scale, so that a tolerance of 1 lets zeros pass.
RELATIVE = KINDS - {"rate", "statistic"}


@dataclass(frozen=True)
class Record:
    """A check's record as found in an executed notebook.

    Parameters
    ----------
    docname : str
        The page.
    cell : Cell
        The cell that showed it.
    data : object
        What the record holds; anything at all, as a page may have forged it.
    """

    docname: str
    cell: Cell
    data: Any


def notebook_findings(
    docname: str, cells: list[Cell], notebook: Mapping | None, *, told: bool = False
) -> list[Finding]:
    """Return what the gates object to in the execution of one page.

    Parameters
    ----------
    docname : str
        The page.
    cells : list of Cell
        The code cells of its source.
    notebook : mapping, optional
        The executed notebook (nbformat 4), None if there is none.
    told : bool
        Whether it is known already which cell stopped the page.
    """

    def finding(where: str, message: str) -> Finding:
        return Finding("cells", docname, where, message)

    if not cells:
        return []
    if notebook is None:
        return [finding("", "the page has code cells and was not executed; build it again")]
    executed = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if [_text(cell["source"]) for cell in executed] != [cell.source for cell in cells]:
        return [
            finding(
                "", "the executed cells are not those of the page; delete _build and build again"
            )
        ]
    findings: list[Finding] = []
    stopped: Cell | None = None
    idle: list[Cell] = []
    for cell, run in zip(cells, executed, strict=True):
        if not cell.source.strip():
            continue
        errors = [output for output in run["outputs"] if output["output_type"] == "error"]
        deliberate = "raises-exception" in cell.tags
        for error in errors:
            if deliberate and error.get("ename") != "CheckFailed":
                continue
            if not deliberate:
                stopped = stopped or cell
            if deliberate or not told:
                what = _short(f"{error.get('ename')}: {error.get('evalue')}")
                findings.append(finding(cell.where, f"ended in error: {what}"))
        if run.get("execution_count") is None and not errors:
            idle.append(cell)
        elif deliberate and not errors:
            findings.append(
                finding(cell.where, "is tagged raises-exception and raised nothing; drop the tag")
            )
        for output in run["outputs"]:
            if output["output_type"] == "stream" and output["name"] == "stderr":
                text = _short(_text(output["text"]))
                findings.append(finding(cell.where, f"wrote to stderr: {text}; mend what warns"))
    if idle and not told:
        numbers = ", ".join(str(cell.number) for cell in idle)
        why = f", as {stopped.where} stopped the page" if stopped else ""
        findings.append(finding(f"cell {numbers}", f"did not run{why}; every cell of a page runs"))
    return findings


def records_in(docname: str, cells: list[Cell], notebook: Mapping | None) -> list[Record]:
    """Return the check records in an executed page, in reading order.

    Parameters
    ----------
    docname : str
        The page.
    cells : list of Cell
        The code cells of its source.
    notebook : mapping, optional
        The executed notebook; its code cells are those of the source (see `notebook_findings`).
    """
    executed = [
        cell for cell in (notebook or {"cells": []})["cells"] if cell["cell_type"] == "code"
    ]
    return [
        Record(docname, cell, output["data"][CHECK_MIME])
        for cell, run in zip(cells, executed, strict=False)
        for output in run["outputs"]
        if CHECK_MIME in (output.get("data") or {})
    ]


def record_findings(records: list[Record]) -> list[Finding]:
    """Return what is wrong with each check record by itself.

    Parameters
    ----------
    records : list of Record
        All records of the book.
    """
    findings = []
    for record in records:
        messages = list(record_messages(record.data))
        claim = record.data.get("claim") if isinstance(record.data, dict) else None
        if "check_" not in record.cell.source:
            messages.append(
                "a check's record in a cell that calls no check_ function; call it there"
            )
        elif isinstance(claim, str) and claim not in record.cell.source:
            messages.append(
                f"the cell checks {claim} without naming it; write the label in the cell"
            )
        about = f"{record.cell.where}, {claim}" if isinstance(claim, str) else record.cell.where
        findings += [Finding("claims", record.docname, about, message) for message in messages]
    return findings


def record_messages(record: Any) -> Iterator[str]:
    """Yield what is wrong with a check's record: form, failure, or a comparison of nothing.

    Parameters
    ----------
    record : object
        What was found under the MIME type of checks.

    Examples
    --------
    >>> list(record_messages({"schema": 0}))
    ["a check's record of schema 0 instead of 1; only mathdl.checks may make one"]
    """
    if not isinstance(record, dict) or record.get("schema") != 1:
        schema = record.get("schema") if isinstance(record, dict) else type(record).__name__
        yield f"a check's record of schema {schema} instead of 1; only mathdl.checks may make one"
        return
    if faults := list(_faults(record)):
        yield f"a check's record with {'; '.join(faults)}; only mathdl.checks may make one"
        return
    if not record["passed"]:
        yield f"the check failed: {_short(record['message'] or 'no diagnosis')}"
        return
    if record["kind"] in RELATIVE and record["tolerance"] >= 1:
        yield (
            f"a tolerance of {record['tolerance']:g} of scale would let anything pass; "
            "give one that a wrong formula misses"
        )
    if record["points"] < 1 or record["points"] != sum(r["points"] for r in record["routes"]):
        yield "a check that compared nothing: its points do not add up; give it points"
    for entry in [record, *record["routes"]]:
        if entry["worst_error"] > entry["tolerance"]:
            name = entry.get("name", "all routes")
            yield f"a check that passed with an error above its tolerance ({name})"
    if record["scale"] <= 0:
        yield (
            "a check of nothing but zeros; check at a point where the values are not zero, "
            "or give the scale that zero is meant against"
        )


def _faults(record: dict[str, Any]) -> Iterator[str]:
    """Yield the fields of a record that are missing or not of their form."""

    def number(value: Any) -> bool:
        kinds = isinstance(value, int | float) and not isinstance(value, bool)
        return kinds and math.isfinite(value) and value >= 0

    def count(value: Any) -> bool:
        return isinstance(value, int) and number(value)

    def text(value: Any) -> bool:
        return isinstance(value, str) and bool(value)

    def optional_text(value: Any) -> bool:
        return value is None or text(value)

    def versions(value: Any) -> bool:
        return isinstance(value, dict) and {"python", "numpy"} <= set(value)

    def check(entry: dict[str, Any], form: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, fits in form.items():
            if name not in entry:
                yield f"no {prefix}{name}"
            elif not fits(entry[name]):
                yield f"{prefix}{name} = {_short(repr(entry[name]))}"

    form = {
        "claim": optional_text,
        "kind": lambda value: value in KINDS,
        "passed": lambda value: isinstance(value, bool),
        "worst_error": number,
        "tolerance": number,
        "points": count,
        "scale": number,
        "routes": lambda value: isinstance(value, list) and bool(value),
        "device": text,
        "dtype": text,
        "duration": number,
        "versions": versions,
        "message": optional_text,
    }
    route = {
        "name": text,
        "worst_error": number,
        "tolerance": number,
        "points": count,
        "skipped": count,
    }
    if record.get("passed") is False:  # what failed may have been a shape, before any number
        form = {name: form[name] for name in ("claim", "kind", "passed", "message")}
    yield from check(record, form)
    if "routes" in form and isinstance(record.get("routes"), list):
        for entry in record["routes"]:
            if isinstance(entry, dict):
                yield from check(entry, route, "a route's ")
            else:
                yield f"a route that is {type(entry).__name__}"


def claim_findings(claims: Mapping[str, str], records: list[Record]) -> list[Finding]:
    """Return the claims without a passing check, and the checks without a claim.

    Parameters
    ----------
    claims : mapping
        Label of each claim → document name of the page that states it.
    records : list of Record
        All records of the book.
    """
    findings = []
    tried: dict[str, Record] = {}
    proved = set()
    for record in records:
        claim = record.data.get("claim") if isinstance(record.data, dict) else None
        if claim is None:
            continue
        if claim not in claims:
            findings.append(
                Finding(
                    "claims",
                    record.docname,
                    record.cell.where,
                    f"checks {claim!r}, which no page claims; give an equation this label, "
                    "or name the claim that is meant",
                )
            )
            continue
        tried[claim] = record
        if not list(record_messages(record.data)) and claim in record.cell.source:
            proved.add(claim)
    for claim, docname in sorted(claims.items()):
        if claim in proved:
            continue
        if claim in tried:
            what = f"mend the one in {tried[claim].docname}, {tried[claim].cell.where}"
        else:
            what = (
                f"{ADD_A_CHECK} mathdl.checks.check_…(…, claim={claim!r}), "
                "or label the equation def-… if it only names something"
            )
        findings.append(Finding("claims", docname, claim, f"no passing check; {what}"))
    return findings


def _text(value: str | list[str]) -> str:
    """Return a notebook's text, which may be a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def _short(text: str, limit: int = 300) -> str:
    """Return text on one line and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
