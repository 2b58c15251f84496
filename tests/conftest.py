"""The sample book: every element of the page kit, built as the real one is configured."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import browsing
import mathdl_book

# Of the book that CI publishes, not of those that tests build.
os.environ.pop("MATHDL_EDITION", None)

ROOT = Path(__file__).parents[1]
# The machinery without the gates: what they object to is their own tests' matter.
MODULES = [name for name in mathdl_book.MODULES if name not in ("permalinks", "gates")]


class SampleBook:
    """A copy of the sample book in a temporary folder, under the real book's configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "tests" / "mathdl_book" / "sample", root, dirs_exist_ok=True)
        shutil.copy(ROOT / "book" / "macros.yml", root / "book" / "macros.yml")
        config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
        extensions = config["sphinx"]["config"]["extensions"]
        extensions.remove("mathdl_book")
        extensions += [f"mathdl_book.{name}" for name in MODULES]
        (root / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (root / "requirements.txt").write_text("numpy==2.4.3\n", encoding="utf-8")

    @property
    def html(self) -> Path:
        return self.root / "_build" / "html"

    def page(self, name: str) -> str:
        return (self.html / "book" / f"{name}.html").read_text(encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / "book" / f"{name}.md"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def build(self, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
        command += ["build", "-n", "-W", "--keep-going"]
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI_"))}
        return subprocess.run(
            [*command, str(self.root)],
            capture_output=True,
            text=True,
            check=False,
            # Without Python for the browser, which only its own tests want.
            env=environ
            | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "MATHDL_PYODIDE": "none"}
            | (env or {}),
        )


@pytest.fixture(scope="session")
def sample_book_type() -> type[SampleBook]:
    """For tests that add pages of their own to a copy."""
    return SampleBook


@pytest.fixture(scope="session")
def sample_book(tmp_path_factory: pytest.TempPathFactory) -> SampleBook:
    """The sample book, built; only for tests that read it."""
    book = SampleBook(tmp_path_factory.mktemp("sample"))
    result = book.build()
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return book


@pytest.fixture
def fresh_sample_book(tmp_path: Path) -> SampleBook:
    """A copy of the sample book that a test may change and build itself."""
    return SampleBook(tmp_path / "book")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that can reach this machine only.

    For one module: while Playwright runs, no other event loop can, and the kernels' tests need one.
    """
    with browsing.browsing() as browser:
        yield browser
