"""Every lab as its reader meets it: unwritten, wrongly written, and solved.

A lab's cells are run one after the other in one namespace, as a kernel would. The version to fill
in is what the book's own machinery makes of the page; the mistakes are those of `mistakes/`.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import yaml

from mathdl.labs import StepFailed
from mathdl_book import labs
from mathdl_book.gates.pages import Cell, read_cells
from mathdl_book.pages import Page, toc_docnames

ROOT = Path(__file__).parents[2]
MISTAKES = Path(__file__).parent / "mistakes"
LABS = sorted(path.stem for path in (ROOT / "book" / "labs").glob("lab-*.md"))
HELPS = re.compile(r"still to be written: `\w+`|`\w+` does not exist yet")


@pytest.fixture(autouse=True)
def _like_a_page(monkeypatch):
    """Give the cells the folder of the labs, no window, and what they change in pyplot back."""
    matplotlib.use("agg")
    monkeypatch.chdir(ROOT / "book" / "labs")
    with matplotlib.rc_context():
        yield


@cache
def lab(name: str) -> tuple[list[Cell], list[labs.Step]]:
    """Return the code cells and the steps of a lab."""
    page = Page(f"book/labs/{name}", ROOT / "book" / "labs" / f"{name}.md")
    return read_cells(page), labs.steps(page.text)


def given(cell: Cell) -> str:
    """Return a cell as the reader gets it."""
    return labs.starter(cell.source, cell.where) if labs.TAG in cell.tags else cell.source


def mistakes_of(name: str) -> list[dict[str, str]]:
    return yaml.safe_load((MISTAKES / f"{name}.yml").read_text(encoding="utf-8"))


def run(cell: Cell, source: str, space: dict[str, Any]) -> None:
    """Run code in the place of a cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(source, f"<{cell.where}>", "exec"), space)
    matplotlib.pyplot.close("all")


def verdict_on(mistake: dict[str, str], cells: list[Cell], space: dict[str, Any]) -> str | None:
    """Return what is wrong with how the checks of a step take a mistake, None if nothing is.

    Parameters
    ----------
    mistake : dict
        What to replace by what, and what the check must say.
    cells : list of Cell
        The cell with the mistake and those after it up to the last check of its step.
    space : dict
        Namespace before these cells; given back as it was.
    """
    told = f"{mistake['step']} with {mistake['with']!r}"
    wrong = cells[0].source.replace(mistake["replace"], mistake["with"])
    before = dict(space)
    try:
        for cell, source in zip(cells, [wrong, *(c.source for c in cells[1:])], strict=True):
            run(cell, source, space)
    except StepFailed as failure:
        if failure.step != mistake["step"]:
            return f"{told}: {failure.step} refuses it instead"
        if mistake["says"] not in failure.message:
            return f"{told}: expected {mistake['says']!r}, the check says {failure.message!r}"
    except Exception as error:
        return f"{told}: {cell.where} stops before a check: {type(error).__name__}: {error}"
    else:
        return f"{told}: every check passes"
    finally:
        space.clear()
        space.update(before)
    return None


def places(mistake: dict[str, str], cells: list[Cell], steps: list[labs.Step]) -> list[Cell]:
    """Return the cells to fill in of a mistake's step in which its text stands, once for each."""
    [step] = [step for step in steps if step.label == mistake["step"]]
    asking = [c for c in cells if labs.TAG in c.tags and step.line < c.line <= step.end]
    return [c for c in asking for _ in range(c.source.count(mistake["replace"]))]


def last_check(label: str, cells: list[Cell]) -> int:
    """Return the index of the last cell that checks a step."""
    return max(n for n, c in enumerate(cells) if label in labs.steps_checked(c.source))


def test_every_lab_is_tried_and_has_its_mistakes() -> None:
    assert sorted(path.stem for path in MISTAKES.glob("*.yml")) == LABS
    named = {Path(name).stem for name in toc_docnames(ROOT) if name.startswith("book/labs/")}
    assert named <= set(LABS)


@pytest.mark.parametrize("name", LABS)
def test_every_check_of_the_version_to_fill_in_says_what_is_missing(name: str) -> None:
    cells, steps = lab(name)
    space: dict[str, Any] = {"__name__": "__main__"}
    failed, passed = [], []
    for cell in cells:
        try:
            run(cell, given(cell), space)
        except StepFailed as failure:
            failed.append(failure)
        except Exception as error:  # an unwritten cell, or one that builds on it
            passed += [
                f"{cell.where}: {label} is not reached: {type(error).__name__}: {error}"
                for label in labs.steps_checked(cell.source)
            ]
        else:
            passed += [
                f"{cell.where}: {label} passes unwritten"
                for label in labs.steps_checked(cell.source)
            ]
    assert not passed
    assert {failure.step for failure in failed} == {step.label for step in steps}
    assert [str(failure) for failure in failed if not HELPS.search(failure.message)] == []


@pytest.mark.parametrize("name", LABS)
def test_mistakes_are_refused_and_the_solutions_accepted(name: str) -> None:
    cells, steps = lab(name)
    mistakes = mistakes_of(name)
    asking = [s for s in steps for c in cells if labs.TAG in c.tags and s.line < c.line <= s.end]
    assert asking
    few = {s.label for s in asking if sum(m["step"] == s.label for m in mistakes) < 2}
    assert not few, "steps with fewer than two mistakes"
    for mistake in mistakes:
        assert len(places(mistake, cells, steps)) == 1, f"{mistake} does not fit one place"
    space: dict[str, Any] = {"__name__": "__main__"}
    wrong = []
    for number, cell in enumerate(cells):
        for mistake in mistakes:
            if cell in places(mistake, cells, steps):
                rest = cells[number : last_check(mistake["step"], cells) + 1]
                wrong += filter(None, [verdict_on(mistake, rest, space)])
        run(cell, cell.source, space)  # a check that fails fails the test
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", LABS)
def test_no_solution_stands_elsewhere_in_the_version_to_fill_in(name: str) -> None:
    cells, _ = lab(name)
    shown = (ROOT / "book" / "labs" / f"{name}.md").read_text(encoding="utf-8")
    for cell in cells:
        assert cell.source in shown
        shown = shown.replace(cell.source, given(cell))
    shown = _stripped(shown)
    for cell in cells:
        lines = cell.source.splitlines()
        for begin, end in labs.regions(cell.source):
            answer = _stripped("\n".join(lines[begin : end - 1]))
            assert answer not in shown, f"{cell.where} is answered by another cell"


def _stripped(code: str) -> str:
    """Return code without empty lines, comments and indentation."""
    lines = (line.partition("  #")[0].strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))
