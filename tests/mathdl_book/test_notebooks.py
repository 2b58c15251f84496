"""The notebooks of the sample book, and what they are made of."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from mathdl_book import notebooks
from mathdl_book.gates.downloads import LEFT_OVER, download_findings
from mathdl_book.gates.pages import read_cells
from mathdl_book.labs import starter
from mathdl_book.notebooks import make_notebook, setup_code, site_address
from mathdl_book.pages import Page

PAGES = ("book/chapter", "book/labs/lab-0-sample")
SITE = "https://mathematics-for-deep-learning.github.io/book/"


def read(book, name: str):
    return nbformat.read(book.html / "notebooks" / f"{name}.ipynb", as_version=4)


def text_of(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code_of(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("docname", PAGES)
def test_the_gate_finds_nothing_to_object_to(sample_book, docname: str) -> None:
    cells = read_cells(Page(docname, sample_book.root / f"{docname}.md"))
    assert cells
    assert list(download_findings(docname, cells, sample_book.html)) == []


def test_only_pages_with_code_have_notebooks(sample_book) -> None:
    made = sorted(p.name for p in (sample_book.html / "notebooks").rglob("*"))
    assert made == [
        *("chapter.ipynb", "lab-0-sample-solved.ipynb", "lab-0-sample.ipynb", "labs"),
    ]


def test_directives_read_well(sample_book) -> None:
    text = text_of(read(sample_book, "chapter"))
    page = f"{SITE}book/chapter.html"
    for words in (
        "# 1. The chain rule of $f \\circ g$\n\n*A notebook of [this page]",
        "**In this chapter you learn to**\n\n- Differentiate $f(g(x))$ with the chain rule *apply*",
        "**Time** 20 minutes · **Level** ★★☆ standard · **Know first** [A sample book]",
        "## 1.1. Start from a network",
        "{2}\\left\\lVert W \\boldsymbol{x} - \\boldsymbol{t} \\right\\rVert^2 . \\tag{1.1}\n$$",
        "> **A note in the margin**\n>\n> The factor one half",
        f"The gradient of [(1.1)]({page}#equation-def-sample-loss) is an outer product [[",
        "<summary>Derivation: one entry at a time</summary>\n\nOnly row $i$",
        "$$\n\\begin{aligned}\n\\frac{\\partial L}",
        "the first entry is -",
        "> **Theorem 1.1 (Chain rule)**\n>\n> If $g$ is",
        "> $$\n> (f \\circ g)'(x) = f'(g(x))\\, g'(x) . \\tag{1.3}\n> $$",
        f"[Theorem 1.1]({page}#thm-sample-chain)",
        "| momentum | $v \\leftarrow \\mu v + g$ | $v$ | `torch.optim.SGD(momentum=0.9)` |",
        "**Fig. 1.1** A parabola and its tangent at $x = 1/2$.",
        "**Exercise 1.1 (By hand ★)**\n\nDifferentiate",
        "<details>\n<summary>Solution to exercise 1.1</summary>\n\nBy [(1.3)]",
        "<summary>Solution to exercise 1.2</summary>\n\nThe slope is twice the point.\n\n</",
        f"The [gradient]({page}#term-gradient) closes the page.",
    ):
        assert words in text, words
    assert "{" + "glue" not in text and "```{" not in text


def test_the_code_of_a_solution_is_folded(sample_book) -> None:
    cells = read(sample_book, "chapter").cells
    [answer] = [
        cell for cell in cells if cell.source.startswith("def square_slope(x):\n    return")
    ]
    assert answer.metadata.jupyter.source_hidden
    [asked] = [cell for cell in cells if cell.source.startswith("def square_slope(x):\n    ...")]
    assert "jupyter" not in asked.metadata


def test_a_lab_is_there_to_fill_in_and_solved(sample_book) -> None:
    open_, solved = (read(sample_book, f"labs/lab-0-sample{s}") for s in ("", "-solved"))
    assert len(open_.cells) == len(solved.cells)
    differ = [(a, b) for a, b in zip(code_of(open_), code_of(solved), strict=True) if a != b]
    assert len(differ) == 2
    for given, answer in differ:
        assert "raise NotImplementedError" in given and "SOLUTION" not in given + answer
    whole = text_of(open_) + "".join(code_of(open_))
    assert "x @ w" not in whole and "dz * w" not in whole
    page = Page(PAGES[1], sample_book.root / f"{PAGES[1]}.md")
    asked = [starter(c.source) for c in read_cells(page) if "solution" in c.tags]
    assert [given for given, _ in differ] == asked
    assert "*The version to fill in of [this page]" in text_of(open_)
    assert "*The solved version of [this page]" in text_of(solved)


def test_the_page_offers_its_notebooks_and_not_the_executed_one(sample_book) -> None:
    lab, chapter = sample_book.page("labs/lab-0-sample"), sample_book.page("chapter")
    assert 'href="../notebooks/chapter.ipynb"' in chapter and "-solved.ipynb" not in chapter
    assert 'href="../../notebooks/labs/lab-0-sample.ipynb"' in lab
    assert 'href="../../notebooks/labs/lab-0-sample-solved.ipynb"' in lab
    for page in (lab, chapter):
        assert page.count("btn-download-notebook-button") == 1
        assert page.count("btn-download-source-button") == 1
    assert not list((sample_book.html / "_sources").rglob("*.ipynb"))
    assert ".ipynb" not in sample_book.page("index")


@pytest.fixture
def page():
    """A page of text, two shown cells and one that shows nothing."""
    cells = [
        v4.new_markdown_cell("…"),
        v4.new_code_cell("a = 1"),
        v4.new_code_cell("b = 2", metadata={"tags": ["remove-input"]}),
        v4.new_code_cell("a = 1"),
    ]
    return v4.new_notebook(cells=cells)


def test_no_cell_is_lost_and_ids_stay_with_their_cells(page) -> None:
    parts = ["# Title\n\nText.", (1, False), "More.", (3, True)]
    one = make_notebook(page, parts, head="*head*", setup="import sys")
    assert [cell.source for cell in one.cells] == [
        *("# Title\n\n*head*", "import sys", "Text."),
        *("a = 1", "More.", "b = 2", "a = 1"),
    ]
    other = make_notebook(
        page, ["# Title\n\nNew text.", *parts[1:]], head="*head*", setup="import sys"
    )
    changed = [a.id == b.id for a, b in zip(one.cells, other.cells, strict=True)]
    assert changed == [True, True, False, True, True, True, True]
    assert len({cell.id for cell in one.cells}) == 7
    nbformat.validate(one)
    assert one.cells[5].metadata.jupyter.source_hidden and one.cells[6].metadata.cellView == "form"
    assert "jupyter" not in one.cells[3].metadata


def test_the_first_cell_asks_for_what_the_page_imports() -> None:
    def asked(*sources: str) -> dict[str, str]:
        packages = setup_code(sources, "", "").partition("packages = ")[2].partition("}")[0]
        return ast.literal_eval(packages + "}")

    assert asked("from mathdl import optim") == {"numpy": "numpy"}
    assert asked("from mathdl import plots", "def broken(:") == {
        "numpy": "numpy",
        "matplotlib": "matplotlib",
    }
    assert asked("import torch.nn as nn", "from sklearn import svm") == {
        "numpy": "numpy",
        "torch": "torch",
        "sklearn": "scikit-learn",
    }


def test_the_first_cell_is_clean_and_installs_only_what_is_missing(tmp_path: Path) -> None:
    code = setup_code(
        ["import torch", "from mathdl import plots", "import scipy"],
        "https://github.com/someone/book",
        "abc",
    )
    path = tmp_path / "cell.py"
    path.write_text(code + "\n")
    ruff = [sys.executable, "-m", "ruff", "check", "--select", "E,F,I,B,UP", "--line-length", "80"]
    checked = subprocess.run([*ruff, str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    archive = "https://github.com/someone/book/archive/abc.zip"
    assert "git+{repository}@{commit}" in setup_code([], "https://git.example.org/a/b", "abc")
    run = (
        "import importlib.util, subprocess, sys\n"
        "calls = []\n"
        "subprocess.check_call = lambda command: calls.append(command[4:])\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n: None if n in MISSING else found(n)\n"
        f"exec({code!r})\n"
        "print(calls)"
    )
    for missing, calls in (
        ([], []),
        (["mathdl"], [["--quiet", "--no-deps", archive]]),
        (["scipy", "torch"], [["--quiet", "torch", "scipy"]]),
    ):
        command = [sys.executable, "-c", run.replace("MISSING", repr(missing))]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout.strip() == repr(calls)


def test_the_address_of_the_site_is_the_one_that_is_set_or_that_github_gives() -> None:
    github = "https://github.com/Someone/book"
    assert site_address("https://book.org", github, "book/a") == "https://book.org/"
    assert site_address("", "https://github.com/Someone/someone.github.io", "book/a") == (
        "https://someone.github.io/"
    )
    assert site_address("", "", "book/a") == "../"


def test_the_commit_is_that_of_ci_or_of_git(monkeypatch, tmp_path: Path) -> None:
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    notebooks.commit_of.cache_clear()
    assert notebooks.commit_of(str(tmp_path)) == ""
    monkeypatch.setenv("GITHUB_SHA", "abc")
    notebooks.commit_of.cache_clear()
    assert notebooks.commit_of(str(tmp_path)) == "abc"
    notebooks.commit_of.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "see {ref}`sec-a`",
        "see {py:func}\\`x\\`",
        "::: {note}",
        ":::",
        "> ```{margin}",
        "{{ repository }}",
    ],
)
def test_what_is_left_of_myst_is_seen(text: str) -> None:
    assert LEFT_OVER.search(f"before\n{text}\nafter")


@pytest.mark.parametrize(
    "text", ["`{x}` and {a}", "```python\nx\n```", "$\\{x\\}$", "a :: b", "{eq}"]
)
def test_ordinary_text_is_no_leftover(text: str) -> None:
    assert not LEFT_OVER.search(text)


def test_the_gate_names_each_fault(tmp_path: Path) -> None:
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    head = (
        "---\njupytext: {text_representation: {extension: .md, format_name: myst}}\n"
        "kernelspec: {name: python3, display_name: Python 3}\n---\n\n"
    )
    path = tmp_path / "lab.md"
    path.write_text(f"{head}# A\n\n```{{code-cell}}\n:tags: [solution]\n\n{source}\n```\n")
    cells = read_cells(Page("book/lab", path))

    def told() -> list[str]:
        return [f"{f.where}: {f.message}" for f in download_findings("book/lab", cells, tmp_path)]

    assert told() == [
        "notebooks/lab.ipynb: was not written",
        "notebooks/lab-solved.ipynb: was not written",
    ]
    output = v4.new_output("stream", text="1")
    bad = v4.new_notebook(
        cells=[
            v4.new_code_cell("setup"),
            v4.new_code_cell(source, outputs=[output]),
            v4.new_markdown_cell("fine\n\n:::{note}\nx\n:::"),
        ]
    )
    good = v4.new_notebook(
        cells=[v4.new_code_cell("setup"), v4.new_code_cell("def f():\n    return 1")]
    )
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "lab.ipynb").write_text(nbformat.writes(bad))
    (tmp_path / "notebooks" / "lab-solved.ipynb").write_text(nbformat.writes(good))
    assert told() == [
        "notebooks/lab.ipynb: does not hold the code of the page, cell by cell",
        "notebooks/lab.ipynb: holds outputs, which a reader's own run should make",
        "notebooks/lab.ipynb: shows MyST that a plain notebook does not know: :::{note}",
    ]
    bad.cells[0]["surplus"] = 1
    (tmp_path / "notebooks" / "lab.ipynb").write_text(json.dumps(bad))
    assert any("is not valid" in line for line in told())
