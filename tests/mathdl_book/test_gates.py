"""Every way round the checks is refused: the tiny books of `tests/gates`, really built.

A folder there is a book of one page. `page.md` is the page, `expected.txt` the beginnings of the
findings, one a line: exactly these must be reported. `build.yml` may change the configuration
(`config`) and the environment (`env`) of the build; other files go into the book beside the page.
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

HERE = Path(__file__).parents[1] / "gates"
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
        (root / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
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


def build(root: Path, *, env: dict[str, str] | None = None, options: tuple[str, ...] = ()) -> Build:
    program = "from jupyter_book.cli.main import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", program, "build", *options, str(root)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "MPLCONFIGDIR": str(root / "mpl"), **(env or {})},
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
