"""Every way round the checks is refused: the tiny books of this folder, really built.

A folder here is a book of one page. `page.md` is the page, `expected.txt` the beginnings of the
findings, one a line: exactly these must be reported. `build.yml` may change the configuration
(`config`), the table of contents (`toc`) and the environment (`env`) of the build; other files go
into the book beside the page.
In `expected.txt` a * stands for anything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import mathdl_book

HERE = Path(__file__).parent
BOOKS = sorted(path.name for path in HERE.iterdir() if (path / "expected.txt").is_file())
CONFIG = {
    "title": "A tiny book",
    "author": "Nobody",
    "only_build_toc_files": True,
    "execute": {"execute_notebooks": "cache"},
    "parse": {"myst_enable_extensions": ["amsmath", "colon_fence", "dollarmath"]},
    "sphinx": {"extra_extensions": ["mathdl_book"], "config": {}},
}


@dataclass
class Build:
    """What came of a build: exit code, text, findings."""

    code: int
    output: str
    findings: list[str]


@pytest.fixture
def book(tmp_path):
    """Return a function that lays a tiny book into a temporary folder."""

    def lay(name: str) -> Path:
        root = tmp_path / name
        ours = shutil.ignore_patterns("expected.txt", "build.yml")
        shutil.copytree(HERE / name, root / "book", ignore=ours)
        toc = {"format": "jb-book", "root": "book/page", **changes(name, "toc")}
        (root / "_toc.yml").write_text(yaml.safe_dump(toc))
        (root / "_config.yml").write_text(yaml.safe_dump(merged(CONFIG, changes(name, "config"))))
        return root

    return lay


def changes(name: str, part: str) -> dict:
    path = HERE / name / "build.yml"
    return (yaml.safe_load(path.read_text()) if path.is_file() else {}).get(part) or {}


def merged(base: dict, extra: dict) -> dict:
    both = {
        key: merged(base.get(key, {}), v) if isinstance(v, dict) else v for key, v in extra.items()
    }
    return {**base, **both}


def build(
    root: Path,
    *,
    env: dict[str, str] | None = None,
    options: tuple[str, ...] = (),
    first: str = "",
) -> Build:
    """Run ``jupyter-book build``, after some code of ours if there is any."""
    program = f"{first}\nfrom jupyter_book.cli.main import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", program, "build", *options, str(root)],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "MATHDL_PYODIDE": "none",
            "MPLCONFIGDIR": str(root / "mpl"),
            **(env or {}),
        },
    )
    report = root / "_build" / "findings.json"
    findings = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else []
    lines = [
        f"[{f['gate']}] {', '.join(filter(None, (f['page'], f['where'])))}: {f['message']}"
        for f in findings
    ]
    return Build(run.returncode, run.stdout + run.stderr, lines)


def begins(line: str, start: str) -> bool:
    return re.match(".*".join(map(re.escape, start.split("*"))), line, re.DOTALL) is not None


def assert_refused(result: Build, expected: list[str]) -> None:
    """The build failed with exactly the expected findings, and printed each."""
    assert result.code == 1, result.output
    assert result.findings, result.output
    for line in result.findings:
        assert any(begins(line, start) for start in expected), f"not expected: {line}"
        assert line.splitlines()[0] in result.output
    unmatched = list(result.findings)
    for start in expected:
        match = next((line for line in unmatched if begins(line, start)), None)
        assert match is not None, f"not reported: {start}\n" + "\n".join(result.findings)
        unmatched.remove(match)
    assert not unmatched


@pytest.mark.parametrize("name", BOOKS)
def test_refused(book, name):
    result = build(book(name), env=changes(name, "env"))
    expected = (HERE / name / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert_refused(result, expected)


def test_green(book):
    root = book("green")
    result = build(root)
    assert result.code == 0, result.output
    assert not result.findings
    html = root / "_build" / "html" / "book"
    page = (html / "page.html").read_text(encoding="utf-8")
    assert page.count('id="sec-former"') == 1
    assert page.index('id="sec-former"') < page.index('id="sec-renamed"') + 200
    moved = (html / "old.html").read_text(encoding="utf-8")
    assert 'url=page.html"' in moved
    assert '"#sec-split": ["page.html", "#sec-renamed"]' in moved
    # What is redirected no more, and a page that is gone, do not stay behind.
    (html / "gone.html").write_text("from an earlier build")
    links = root / "book" / "permalinks.yml"
    links.write_text("pages: {book/page: [sec-page]}\n")
    again = build(root)
    assert again.code == 0, again.output
    assert "executing" not in again.output
    assert sorted(path.name for path in html.glob("*.html")) == ["page.html"]
    assert 'id="sec-former"' not in (html / "page.html").read_text(encoding="utf-8")


def test_a_second_build_is_refused_like_the_first(book):
    root = book("links")
    first, second = build(root), build(root, options=("-n", "-W", "--keep-going"))
    assert first.code == second.code == 1
    assert first.findings == second.findings


def test_doctrees_of_a_killed_build_are_not_trusted(book):
    root = book("links")
    kill = "import os, mathdl_book.gates as g; g._judge = lambda app, error: os._exit(9)"
    assert build(root, first=kill).code == 9
    assert (root / "_build" / ".doctrees" / "environment.pickle").is_file()
    expected = (HERE / "links" / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert_refused(build(root), expected)


def test_a_gradient_broken_after_a_green_build(book):
    root = book("green")
    shutil.copytree(Path(mathdl_book.__file__).parents[1], root / "src")
    module = root / "src" / "mathdl" / "toy.py"
    module.write_text("def square_vjp(x):\n    return 2 * x\n")
    page = root / "book" / "page.md"
    text = page.read_text(encoding="utf-8")
    text = text.replace("import numpy as np\n", "import numpy as np\n\nfrom mathdl import toy\n", 1)
    page.write_text(text.replace("lambda x: 2 * x", "toy.square_vjp"), encoding="utf-8")
    env = {"PYTHONPATH": str(root / "src")}
    assert build(root, env=env).code == 0
    module.write_text("def square_vjp(x):\n    return 3 * x\n")
    assert_refused(
        build(root, env=env),
        [
            "[claims] book/page, cell 2 (line 29), eq-square: the check failed: 1.50× too large",
            "[claims] book/page, eq-square: no passing check",
            "[execution] book/page, cell 2 (line *",
        ],
    )
