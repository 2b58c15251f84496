"""Each lab as an nbgrader assignment, handed in solved, untouched and with one mistake, and graded.

The commands are those that the book tells instructors to give; nbgrader runs the notebooks in
kernels of its own.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import yaml
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode

from mathdl_book import grading, labs, solutions
from mathdl_book.pages import Page

ROOT = Path(__file__).parents[2]
LABS = sorted(path.stem for path in (ROOT / "book" / "labs").glob("lab-*.md"))
SAMPLE = Path(__file__).parents[1] / "mathdl_book" / "sample" / "book" / "labs" / "lab-0-sample.md"
# One mistake a lab, neither in its first step nor in its last: others build on it.
PLANTED = {
    "lab-1-backpropagation": "step-linear-layer",
    "lab-2-optimizers": "step-opt-adam",
    "lab-3-loss-landscape": "step-path-plane",
    "lab-4-svd-lora": "step-lora-backward",
    "lab-5-probability": "step-bernoulli",
    "lab-6-capstone": "step-layer-norm-rows",
}
WHO = ("solved", "untouched", "mistaken")

needs_nbgrader = pytest.mark.skipif(
    find_spec("nbgrader") is None and "CI" not in os.environ, reason="nbgrader is not installed"
)


def page_of(name: str) -> Page:
    return Page(f"book/labs/{name}", ROOT / "book" / "labs" / f"{name}.md")


def plain_notebook(page: Page) -> NotebookNode:
    """Return a lab's notebook to fill in, as far as it can be had without building the book."""
    shown = solutions.without_solutions(page.text).text
    notebook = read_myst_markdown_notebook(shown, path=page.path)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if solutions.LEFT_OUT not in (cell.metadata.get("tags") or [])
    ]
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    return notebook


@dataclass
class Course:
    """A course folder with one assignment."""

    root: Path
    page: Page

    @property
    def name(self) -> str:
        return self.page.path.stem

    def nbgrader(self, *arguments: str) -> None:
        """Give nbgrader a command as an instructor would."""
        beside = Path(sys.executable).parent
        run = subprocess.run(
            [str(beside / "nbgrader"), *arguments],
            cwd=self.root,
            env=os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]

    def released(self) -> NotebookNode:
        return nbformat.read(self.root / "release" / self.name / f"{self.name}.ipynb", 4)

    def source(self) -> NotebookNode:
        return nbformat.read(self.root / "source" / self.name / f"{self.name}.ipynb", 4)

    def hand_in(self, who: str, answers: dict[str, str]) -> None:
        """Hand the released notebook in with some of its cells filled in."""
        notebook = self.released()
        for cell in notebook.cells:
            about = cell.metadata.get("nbgrader") or {}
            if about.get("solution"):
                cell.source = answers.get(about["grade_id"], cell.source)
        path = self.root / "submitted" / who / self.name / f"{self.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)

    def answers(self) -> dict[str, str]:
        """Return the right answers by the names of their cells."""
        return {
            cell.metadata.nbgrader.grade_id: labs.solved(cell.source)
            for cell in self.source().cells
            if (cell.metadata.get("nbgrader") or {}).get("solution")
        }

    def grades(self, who: str) -> dict[str, float]:
        """Return the points of each step that the gradebook has."""
        from nbgrader.api import Gradebook

        found: dict[str, float] = {}
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}") as book:
            handed_in = book.find_submission_notebook(self.name, self.name, who)
            for grade in handed_in.grades:
                if grade.max_score:
                    assert not grade.needs_manual_grade
                    found[re.sub(r"-check-\d+$", "", grade.name)] = grade.auto_score
        return found

    def feedback(self, who: str) -> str:
        path = self.root / "feedback" / who / self.name / f"{self.name}.html"
        text = re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8"))
        return html.unescape(text)


def course_of(page: Page, root: Path, notebook: NotebookNode) -> Course:
    grading.write_course(root, {page.path.stem: grading.assignment(page, notebook)})
    course = Course(root, page)
    course.nbgrader("generate_assignment", course.name)
    return course


def mistake_of(name: str) -> dict[str, str]:
    mistakes = ROOT / "tests" / "labs" / "mistakes" / f"{name}.yml"
    listed = yaml.safe_load(mistakes.read_text(encoding="utf-8"))
    return next(one for one in listed if one["step"] == PLANTED[name])


def with_mistake(answers: dict[str, str], mistake: dict[str, str]) -> dict[str, str]:
    """Return answers with a mistake in the one place of its step where it fits."""
    places = [
        name
        for name, answer in answers.items()
        if name.rpartition("-")[0] == mistake["step"] and mistake["replace"] in answer
    ]
    assert len(places) == 1, mistake
    wrong = answers[places[0]].replace(mistake["replace"], mistake["with"])
    return answers | {places[0]: wrong}


@needs_nbgrader
@pytest.mark.filterwarnings("ignore")  # nbgrader's own
@pytest.mark.parametrize("name", LABS)
def test_a_lab_is_graded_step_by_step(name: str, tmp_path: Path) -> None:
    page, mistake = page_of(name), mistake_of(name)
    course = course_of(page, tmp_path, plain_notebook(page))
    answers = course.answers()
    course.hand_in("solved", answers)
    course.hand_in("untouched", {})
    course.hand_in("mistaken", with_mistake(answers, mistake))
    course.nbgrader("autograde", name)
    worth = grading.points(page)
    assert course.grades("solved") == worth
    assert course.grades("untouched") == dict.fromkeys(worth, 0)
    assert course.grades("mistaken") == worth | {mistake["step"]: 0}

    course.nbgrader("generate_feedback", name)
    said = course.feedback("mistaken")
    assert f"{mistake['step']}: " in said and mistake["says"] in said
    assert "still to be written" in course.feedback("untouched")
    for who in ("untouched", "mistaken"):
        assert "HIDDEN TESTS" not in course.feedback(who)


@needs_nbgrader
@pytest.mark.filterwarnings("ignore")
def test_a_learner_cannot_grade(tmp_path: Path) -> None:
    page = Page("book/labs/lab-0-sample", SAMPLE)
    course = course_of(page, tmp_path, plain_notebook(page))
    first, second = sorted(course.answers(), reverse=True)
    assert grading.points(page) == {"step-sample-forward": 1, "step-sample-backward": 1}
    # Names that would judge are taken away; tests are rewritten, or are not there at all.
    cheat = "check_step = check_vjp = check_equal = lambda *a, **k: None\n"
    course.hand_in("cheat", {first: cheat, second: cheat})
    notebook = course.released()
    for cell in notebook.cells:
        if (cell.metadata.get("nbgrader") or {}).get("grade"):
            cell.source = "pass"
    path = tmp_path / "submitted" / "rewriter" / course.name / f"{course.name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    notebook.cells = [c for c in notebook.cells if not c.metadata.get("nbgrader", {}).get("grade")]
    path = tmp_path / "submitted" / "remover" / course.name / f"{course.name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    course.nbgrader("autograde", course.name)
    for who in ("cheat", "rewriter", "remover"):
        assert course.grades(who) == {"step-sample-forward": 0, "step-sample-backward": 0}, who


@pytest.mark.parametrize("name", LABS)
def test_what_is_handed_out_holds_no_answer(name: str) -> None:
    page = page_of(name)
    made = grading.assignment(page, plain_notebook(page))
    graded = [c.metadata.nbgrader for c in made.cells if "nbgrader" in c.metadata]
    assert len({about.grade_id for about in graded}) == len(graded)
    steps = {step.label for step in labs.steps(page.text)}
    assert set(grading.points(page)) <= steps
    text = "\n".join(cell.source for cell in made.cells)
    assert "solution-start" not in text and "Solution to" not in text
    for cell in made.cells:
        hidden = grading.BEGIN in cell.source
        assert not hidden or cell.metadata.nbgrader.grade
        assert labs.BEGIN not in cell.source or cell.metadata.nbgrader.solution


def test_the_notebook_of_another_page_is_refused() -> None:
    with pytest.raises(grading.Unbuilt, match="build the book first"):
        grading.assignment(page_of(LABS[0]), plain_notebook(page_of(LABS[1])))


@needs_nbgrader
@pytest.mark.filterwarnings("ignore")
def test_the_assignments_of_a_built_book(sample_book, tmp_path: Path, capsys) -> None:
    course = tmp_path / "course"
    arguments = ["--root", str(sample_book.root), "--course", str(course)]
    assert grading.main(arguments) == 0
    assert capsys.readouterr().out.endswith("lab-0-sample: 2 steps, 2 points\n")
    released = Course(course, Page("book/labs/lab-0-sample", SAMPLE)).released()
    text = "\n".join(cell.source for cell in released.cells)
    assert "each factor" not in text and 'raise NotImplementedError("write this")' in text
    assert "def check_backward" in text and "{eq}" not in text
    # A course's settings and gradebook stay where the assignments are made again.
    (course / "nbgrader_config.py").write_text(grading.CONFIG + "\n# ours\n")
    assert grading.main(arguments) == 0
    assert (course / "nbgrader_config.py").read_text().endswith("# ours\n")


def test_without_a_built_book_nothing_is_made(tmp_path: Path, capsys) -> None:
    (tmp_path / "book" / "labs").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/labs/lab-0-sample\n")
    (tmp_path / "book" / "labs" / SAMPLE.name).write_text(SAMPLE.read_text())
    assert grading.main(["--root", str(tmp_path)]) == 1
    assert "build the book first" in capsys.readouterr().err
