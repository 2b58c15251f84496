"""The labs' version to fill in, the hidden solutions, and the steps of a page."""

from __future__ import annotations

import re

import pytest

from mathdl_book.labs import RegionError, regions, solved, starter, steps, steps_checked

LAB = "labs/lab-0-sample"

METHOD = '''\
class Neuron:
    """One neuron."""

    def backward(self, dz):
        """Return dx."""
        x = self.x  # kept by forward
        ### BEGIN SOLUTION
        def inner(y):
            return y

        return inner(dz) * x
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        self.x = x
        ### END SOLUTION
        return x


neuron = Neuron()'''


def test_a_starter_keeps_all_but_the_regions() -> None:
    assert starter(METHOD).splitlines() == [
        *METHOD.splitlines()[:6],
        '        raise NotImplementedError("write Neuron.backward")',
        "",
        "    def forward(self, x):",
        '        raise NotImplementedError("write Neuron.forward")',
        "        return x",
        *["", "", "neuron = Neuron()"],
    ]
    assert regions(METHOD) == [(7, 12), (15, 17)]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("a = 1\n### BEGIN SOLUTION\nb = 2\n### END SOLUTION", "write this cell"),
        (
            "if True:\n    ### BEGIN SOLUTION\n    b = 2\n    ### END SOLUTION",
            "write this cell",
        ),
        ("class A:\n    ### BEGIN SOLUTION\n    b = 2\n    ### END SOLUTION", "write this cell"),
        (
            "def f():\n    pass\n### BEGIN SOLUTION\ndef g():\n    pass\n### END SOLUTION",
            "write this cell",
        ),
        (
            "def f():\n    def g():\n        ### BEGIN SOLUTION\n        return 1\n"
            "        ### END SOLUTION\n    return g",
            "write g",
        ),
    ],
)
def test_what_is_asked_is_the_function_around_it(source: str, what: str) -> None:
    assert f'raise NotImplementedError("{what}")' in starter(source)


def test_the_solved_cell_has_no_marker() -> None:
    assert solved(METHOD).splitlines() == [
        line for line in METHOD.splitlines() if "SOLUTION" not in line
    ]


@pytest.mark.parametrize(
    ("source", "line", "problem"),
    [
        ("x = 1\n### BEGIN SOLUTION\ny = 2", 2, "never closed"),
        ("x = 1\n### END SOLUTION", 2, "never began"),
        ("### BEGIN SOLUTION\nx = 1\n### BEGIN SOLUTION\n", 3, "inside the one of line 1"),
        ("### BEGIN SOLUTION\n\n# nothing\n### END SOLUTION", 1, "holds no code"),
        ("x = 1  ### BEGIN SOLUTION\n", 1, "alone on its line"),
        ("# BEGIN SOLUTION\nx = 1\n# END SOLUTION", 1, "alone on its line"),
        ("x = 1", 0, "without a region"),
        ("x = (\n### BEGIN SOLUTION\nx\n### END SOLUTION\n", 1, "not valid Python"),
        (
            "if x:\n    y = 1\n### BEGIN SOLUTION\nelse:\n    y = 2\n    ### END SOLUTION\n    z",
            3,
            "without its regions",
        ),
    ],
)
def test_a_badly_marked_region_is_refused_with_its_place(
    source: str, line: int, problem: str
) -> None:
    with pytest.raises(RegionError, match=problem) as caught:
        starter(source, "book/labs/lab-1, cell 4")
    place = "book/labs/lab-1, cell 4" + (f", line {line}: " if line else ": ")
    assert str(caught.value).startswith(place)
    assert caught.value.line == line


def test_a_step_ends_with_the_next_heading_of_its_level() -> None:
    text = (
        "(step-a)=\n## Step 1: A\n\n### Inside\n\n:::{dropdown} Hint: first\nx\n:::\n\n"
        "```{dropdown} Hints\n```\n\n(sec-b)=\n(step-b)=\n### Step 2: B\n\n(sec-c)=\n## C\n\n"
        "```{dropdown} Hint\n```\n"
    )
    first, second = steps(text)
    assert (first.label, first.title, first.line, first.end) == ("step-a", "Step 1: A", 2, 14)
    assert first.hints == [6]
    assert (second.label, second.line, second.end, second.hints) == ("step-b", 15, 17, [])


def test_the_labels_of_checks_are_read_from_the_code() -> None:
    source = 'labs.check_step("step-a", f)\nfor s in "ab":\n    check_step(s, f)\n# check_step("x")'
    assert steps_checked(source) == ["step-a", None]


def test_the_page_shows_the_starter_and_hides_the_solution(sample_book) -> None:
    page = sample_book.page(LAB)
    cells = re.findall(
        r'<div class="cell tag_solution docutils container">.*?</details>', page, re.S
    )
    assert len(cells) == 2
    for cell in cells:
        shown, hidden = cell.split('<details class="lab-solution">')
        assert "NotImplementedError" in shown and "NotImplementedError" not in hidden
        assert hidden.lstrip().startswith("<summary>Solution</summary>")
        assert shown.count("<pre>") == 1
    shown, hidden = cells[1].split("<details")
    assert "each factor" in hidden and "each factor" not in shown
    assert "The neuron has a gradient." in re.sub("<[^>]*>", "", hidden.partition("</pre>")[2])
    assert "BEGIN SOLUTION" not in page


def test_the_box_of_a_lab_speaks_of_a_lab(sample_book) -> None:
    assert "In this lab you learn to" in sample_book.page(LAB)
    assert "In this chapter you learn to" in sample_book.page("chapter")
