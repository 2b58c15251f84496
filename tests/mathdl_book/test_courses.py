"""Syllabi with their hours, and what teaches and exercises each objective."""

from __future__ import annotations

import re

import pytest

PAGE = """\
(sec-course)=
# A course

```{syllabus}
:unit: Week
:hours: 1-2
:in-order:

- title: Reading
  read: [sec-sample-network]
  exercises: [ex-sample-code]
- title: Building
  lab: [labs/lab-0-sample]
```

```{objectives-matrix}
:under: chapter, labs/
```
"""


def add(book, text):
    """Add the page of a course to the sample book."""
    (book.root / "book" / "course.md").write_text(text, encoding="utf-8")
    toc = book.root / "_toc.yml"
    old = "      - file: book/ways\n"
    new = toc.read_text(encoding="utf-8").replace(old, f"{old}      - file: book/course\n")
    toc.write_text(new, encoding="utf-8")


def row_with(text, html):
    """Return the words of the table's row that holds some words."""
    rows = re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    plain = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)) for row in rows]
    (found,) = [row for row in plain if text in row]
    return found


def test_a_syllabus_and_the_matrix(fresh_sample_book):
    add(fresh_sample_book, PAGE)
    result = fresh_sample_book.build()
    assert result.returncode == 0, result.stderr[-3000:]
    html = fresh_sample_book.page("course")
    first = row_with("Week 1", html)
    assert "Start from a network" in first and "In code ★★" in first
    section = next(iter(re.findall(r"(\d+) min", first)))
    assert 15 < int(section) < 35  # part of the page's 20 minutes, and 15 for two stars
    assert "Week 2 Building" in row_with("Week 2", html)
    assert 'href="chapter.html#ex-sample-code"' in html
    chapter = row_with("Check a gradient by two routes", html)
    assert "(evaluate)" in chapter and "Start from a network" in chapter
    assert "In code" in chapter
    # The lab says that it builds on a section of the chapter, the chapter need not name the lab.
    assert len(re.findall(r'href="labs/lab-0-sample\.html"', html)) >= 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":hours: 1-2", ":hours: 7-9", "not 7-9 h"),
        ("sec-sample-network", "sec-gone", "sec-gone: nothing that takes minutes"),
        ("ex-sample-code", "ex-gone", "ex-gone: nothing that takes minutes"),
        ("[sec-sample-network]", "[]", "labs/lab-0-sample comes before"),
    ],
)
def test_a_course_that_cannot_be_taught_is_refused(fresh_sample_book, old, new, said):
    add(fresh_sample_book, PAGE.replace(old, new))
    result = fresh_sample_book.build()
    assert result.returncode != 0
    assert said in result.stderr


def test_an_objective_that_nothing_exercises_is_refused(fresh_sample_book):
    add(fresh_sample_book, PAGE.replace("chapter, labs/", "idle"))
    (fresh_sample_book.root / "book" / "idle.md").write_text(
        "---\nmathdl:\n  objectives:\n"
        "    - {id: obj-idle-rest, text: Rest, level: remember}\n"
        "  minutes: 5\n  difficulty: 1\n  needs: []\n---\n\n(sec-idle)=\n# Idle\n\nA page.\n\n"
        "```{in-this-chapter}\n```\n",
        encoding="utf-8",
    )
    toc = fresh_sample_book.root / "_toc.yml"
    old = "      - file: book/ways\n"
    text = toc.read_text(encoding="utf-8").replace(old, f"{old}      - file: book/idle\n")
    toc.write_text(text, encoding="utf-8")
    result = fresh_sample_book.build()
    assert result.returncode != 0
    assert "nothing teaches obj-idle-rest" in result.stderr
    assert "nothing exercises obj-idle-rest" in result.stderr
