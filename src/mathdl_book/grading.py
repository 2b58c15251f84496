"""The labs as assignments for nbgrader, made from the pages and from the notebooks of a built book.

A lab's one solved source has all that is wanted: the regions between its markers are nbgrader's
own, and the cells that call ``check_step`` are its tests. Every step is graded by itself: once its
checks have had their say, a hidden cell sets a step that is not right yet right, so that a mistake
costs its own step's points and no other's.

``python -m mathdl_book.grading`` makes the course folder; ``make assignments`` builds the book
first.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from mathdl_book import labs, solutions
from mathdl_book.gates.pages import Cell, read_cells
from mathdl_book.notebooks import notebook_name
from mathdl_book.pages import Page, toc_docnames

BEGIN, END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
# How the notebooks of a book begin a cell with the solution of an exercise.
SOLUTION = "<details>\n<summary>Solution"
CHECKING = ("mathdl.checks", "mathdl.labs")  # what a step is judged with
CARRY = """\
# Grading: a step that is not right yet is set right here, so that it costs its own points only.
"""
CONFIG = '''\
"""nbgrader's configuration of this course, made by `python -m mathdl_book.grading`."""

from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import ClearHiddenTests, GetGrades

c = get_config()  # noqa: F821

c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.course_id = "mathdl"
c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("write this")'}
c.ExecutePreprocessor.timeout = 300
c.OverwriteCells.add_missing_cells = True
# What learners get back shows neither the hidden tests nor the solutions in them.
c.GenerateFeedback.preprocessors = [GetGrades, ClearHiddenTests, CSSHTMLHeaderPreprocessor]
'''


class Unbuilt(RuntimeError):
    """There is no notebook of the page as it is now."""


def points(page: Page) -> dict[str, int]:
    """Return the points of each step: one for every cell that it asks for.

    Parameters
    ----------
    page : Page
        A lab.
    """
    cells = read_cells(page)
    asked = {step.label: len(_asked(step, cells)) for step in labs.steps(page.text)}
    return {label: count for label, count in asked.items() if count}


def assignment(page: Page, notebook: NotebookNode) -> NotebookNode:
    """Return the solved notebook of a lab as nbgrader's source: what is asked, tested, locked.

    Parameters
    ----------
    page : Page
        The lab.
    notebook : NotebookNode
        Its notebook, filled in or not; the text is taken from it.

    Raises
    ------
    Unbuilt
        If the notebook is not that of the page as it is now.
    """
    cells = read_cells(page)
    gone = solutions.without_solutions(page.text).cells
    steps = [step for step in labs.steps(page.text) if _asked(step, cells)]
    last = max(_checks(step, cells)[-1].number for step in steps)
    restore = _restored(cells)
    made: list[NotebookNode] = []
    for cell, text in _paired(cells, notebook, gone):
        if cell is None:
            if not text.source.startswith(SOLUTION):
                made.append(_plain(text))
            continue
        if cell.number in gone:
            continue
        step = next((s for s in steps if s.line < cell.line <= s.end), None)
        if labs.TAG in cell.tags:
            name = f"{step.label}-{[c.number for c in _asked(step, cells)].index(cell.number) + 1}"
            made.append(_cell(cell.source, name, solution=True))
        elif step is not None and cell in (checks := _checks(step, cells)):
            made += _graded(step, checks.index(cell), cells, restore)
        elif cell.number < last:
            made.append(_cell(cell.source, f"given-{cell.number}", locked=True))
        else:  # the challenges, which nobody grades
            made.append(v4.new_code_cell(cell.source))
    first = next(n for n, cell in enumerate(made) if cell.cell_type == "code")
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
    if setup.source not in [cell.source for cell in cells]:
        made.insert(first, _cell(setup.source, "setup", locked=True))
    for number, cell in enumerate(made):
        cell.id = f"cell-{number}"
    return v4.new_notebook(cells=made, metadata=notebook.metadata)


def _asked(step: labs.Step, cells: Sequence[Cell]) -> list[Cell]:
    return [c for c in cells if labs.TAG in c.tags and step.line < c.line <= step.end]


def _checks(step: labs.Step, cells: Sequence[Cell]) -> list[Cell]:
    return [c for c in cells if step.label in labs.steps_checked(c.source)]


def _paired(
    cells: Sequence[Cell], notebook: NotebookNode, gone: frozenset[int]
) -> Iterator[tuple[Cell | None, NotebookNode]]:
    """Yield the cells of a notebook, those with code beside those of the page."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for wanted in (list(cells), [cell for cell in cells if cell.number not in gone]):
        for extra in (0, 1):  # the notebooks of the book have a first cell of their own
            if _same(wanted, code[extra:]):
                left = iter([None] * extra + wanted)
                for cell in notebook.cells:
                    mine = next(left) if cell.cell_type == "code" else None
                    if mine is not None or cell.cell_type != "code":
                        yield mine, cell
                return
    raise Unbuilt("the notebook is not that of the page as it is now; build the book first")


def _same(wanted: Sequence[Cell], code: Sequence[NotebookNode]) -> bool:
    """Return whether cells of a notebook are those of a page, filled in or not."""

    def forms(cell: Cell) -> set[str]:
        if labs.TAG not in cell.tags:
            return {cell.source}
        return {cell.source, labs.solved(cell.source), labs.starter(cell.source)}

    return len(wanted) == len(code) and all(
        cell.source in forms(mine) for mine, cell in zip(wanted, code, strict=True)
    )


def _plain(cell: NotebookNode) -> NotebookNode:
    return v4.new_markdown_cell(cell.source)


def _cell(
    source: str,
    name: str,
    *,
    solution: bool = False,
    locked: bool = False,
    worth: int | None = None,
) -> NotebookNode:
    """Return a code cell with what nbgrader must know of it; one with a worth is graded."""
    about: dict[str, Any] = {
        "grade": worth is not None,
        "grade_id": name,
        "locked": locked,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    if worth is not None:
        about["points"] = worth
    return v4.new_code_cell(source, metadata={"nbgrader": about})


def _graded(step: labs.Step, place: int, cells: Sequence[Cell], restore: str) -> list[NotebookNode]:
    """Return a check of a step as a test; after the step's last one, what sets the step right."""
    asked, checks = _asked(step, cells), _checks(step, cells)
    passed = [f"{step.label.replace('-', '_')}_passed_{n + 1}" for n in range(len(checks))]
    before = ""
    if missing := passed[:place]:
        before = (
            f"if not {set(missing)!r} <= set(globals()):\n"
            "    from mathdl.labs import StepFailed\n"
            f'    raise StepFailed("{step.label}", "a check of this step above has not passed")\n'
        )
    source = _hidden(restore + before) + checks[place].source + "\n"
    source += _hidden(f"{passed[place]} = True\n").rstrip("\n")
    is_last = place == len(checks) - 1
    worth = len(asked) if is_last else 0
    made = [_cell(source, f"{step.label}-check-{place + 1}", locked=True, worth=worth)]
    if is_last:
        between = [c for c in cells if asked[0].number <= c.number <= checks[-1].number]
        right = "\n\n".join(filter(None, map(_unchecked, between)))
        right = f"if {passed[-1]!r} not in globals():\n{textwrap.indent(right, '    ')}\n"
        source = CARRY + _hidden(right).rstrip("\n")
        made.append(_cell(source, f"{step.label}-carry", locked=True, worth=0))
    return made


def _hidden(code: str) -> str:
    return f"{BEGIN}\n{code}{END}\n" if code else ""


def _unchecked(cell: Cell) -> str:
    """Return the solved code of a cell without its calls of ``check_step``."""
    lines = labs.solved(cell.source).splitlines()
    for node in reversed(ast.parse("\n".join(lines)).body):
        if isinstance(node, ast.Expr) and any(labs.steps_checked(ast.unparse(node))):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip("\n")


def _restored(cells: Sequence[Cell]) -> str:
    """Return imports that give the names with which steps are judged back, whoever took them."""
    made = {
        name.id
        for cell in cells
        for name in ast.walk(ast.parse(labs.solved(cell.source)))
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    made |= {
        node.name
        for cell in cells
        for node in ast.walk(ast.parse(labs.solved(cell.source)))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    lines = []
    for cell in cells:
        for node in ast.parse(labs.solved(cell.source)).body:
            if isinstance(node, ast.ImportFrom) and node.module in CHECKING:
                names = [n.name for n in node.names if n.asname is None and n.name not in made]
                lines += [f"from {node.module} import {', '.join(names)}\n"] if names else []
    return "".join(dict.fromkeys(lines))


# ---- the course folder ---------------------------------------------------------------------


def write_course(course: Path, made: dict[str, NotebookNode]) -> None:
    """Write the source of each assignment and nbgrader's configuration.

    Parameters
    ----------
    course : Path
        The course's folder; what nbgrader and learners have put there stays.
    made : dict
        Name of each lab → its assignment.
    """
    for name, notebook in made.items():
        path = course / "source" / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    config = course / "nbgrader_config.py"
    if not config.exists():  # a course's own settings stay
        config.write_text(CONFIG, encoding="utf-8")


def release(course: Path, names: Sequence[str]) -> None:
    """Have nbgrader make what learners get, in the course's folder ``release``.

    Parameters
    ----------
    course : Path
        The course's folder.
    names : sequence of str
        The assignments.

    Raises
    ------
    RuntimeError
        With nbgrader's words, if it refuses one.
    """
    api = gradebook_of(course)
    for name in names:
        result = api.generate_assignment(name, force=True, create=True)
        if not result["success"]:
            raise RuntimeError(result.get("error") or result.get("log") or f"{name}: refused")


def gradebook_of(course: Path) -> Any:
    """Return nbgrader's interface to a course.

    Parameters
    ----------
    course : Path
        Folder with ``nbgrader_config.py``.
    """
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    # It calls alembic by its bare name, which is beside this Python.
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ["PATH"]])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.db_url = f"sqlite:///{course.resolve() / 'gradebook.db'}"
    return NbGraderAPI(config=config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the course folder from the built book; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mathdl_book.grading", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="folder of _config.yml")
    parser.add_argument("--course", type=Path, help="the course's folder (_build/assignments)")
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    course = (given.course or root / "_build" / "assignments").resolve()
    made, worth = {}, {}
    try:
        for docname in toc_docnames(root):
            page = Page(docname, root / f"{docname}.md")
            if "(step-" not in page.text or not points(page):
                continue
            built = root / "_build" / "html" / notebook_name(docname)
            if not built.is_file():
                raise Unbuilt(f"there is no {built}; build the book first")
            name = docname.rpartition("/")[2]
            made[name] = assignment(page, nbformat.read(built, as_version=4))
            worth[name] = points(page)
        write_course(course, made)
        release(course, list(made))
    except (Unbuilt, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, steps in worth.items():
        print(f"{course / 'release' / name}: {len(steps)} steps, {sum(steps.values())} points")
    return 0


if __name__ == "__main__":
    sys.exit(main())
