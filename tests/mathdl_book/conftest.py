"""A tiny book in a temporary folder, for tests that build or execute one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEADER = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---
"""
CONFIG = """\
title: A tiny book
only_build_toc_files: true
execute: {execute_notebooks: cache}
sphinx:
  extra_extensions: [mathdl_book.execution]
  local_extensions: {report: .}
"""
# Writes what was found; without the gates nothing else would tell.
REPORT = """\
from pathlib import Path
from mathdl_book.findings import findings_of


def write(app, exception):
    text = "\\n".join(map(str, findings_of(app)))
    Path(app.outdir).parent.joinpath("findings.txt").write_text(text)


def setup(app):
    app.connect("build-finished", write)
"""


class TinyBook:
    """A book of a few pages below a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("_config.yml", CONFIG)
        self.write("report.py", REPORT)
        self.write("requirements.txt", "numpy==2.4.3\n")
        self.pages: list[str] = []

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def page(self, name: str, *cells: str, header: str = HEADER, text: str = "Some prose.") -> Path:
        """Write a page; the first one is the root of the table of contents."""
        if name not in self.pages:
            self.pages.append(name)
            first, *others = self.pages
            chapters = "".join(f"- file: book/{other}\n" for other in others)
            self.write(
                "_toc.yml",
                f"format: jb-book\nroot: book/{first}\n"
                + (f"chapters:\n{chapters}" if chapters else ""),
            )
        fences = "".join(f"\n```{{code-cell}} ipython3\n{cell}\n```\n" for cell in cells)
        return self.write(f"book/{name}.md", f"{header}\n# The page {name}\n\n{text}\n{fences}")

    def run(self, *arguments: str, env: dict[str, str] | None = None, timeout: float = 60):
        """Run this Python in the book's folder."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MATHDL_")}
        return kept | {"PYTHONPATH": str(self.root / "src")} | (extra or {})

    def jupyter_book(self, env: dict[str, str] | None = None):
        """Build as `jupyter-book build . -n -W --keep-going` does."""
        start = "from jupyter_book.cli.main import main; main()"
        return self.run("-c", start, "build", ".", "-n", "-W", "--keep-going", env=env)

    def findings(self) -> str:
        return (self.root / "_build" / "findings.txt").read_text()


@pytest.fixture
def tiny_book(tmp_path: Path) -> TinyBook:
    """Return a book without pages; `page` adds one."""
    return TinyBook(tmp_path)


@pytest.fixture
def wait_for():
    """Wait until a condition holds, long enough for a machine with other things to do."""

    def wait(condition, seconds=120.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    return wait
