"""The sample book, printed and as an e-book, made once for all tests that look at them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from browsing import chromium


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command that makes the book for paper."""
    command = [sys.executable, "-m", "mathdl_book.paper", *arguments, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


@pytest.fixture(scope="session")
def making() -> Any:
    """The command; skipped where there is no Chromium to print with."""
    if chromium() is None and "CI" not in os.environ:
        pytest.skip("no Chromium to print with")
    return make


@pytest.fixture(scope="session")
def printed_root(sample_book: Any, making: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the built sample book with its PDF and its EPUB."""
    root = copied(sample_book.root, tmp_path_factory.mktemp("printed") / "book")
    for what in ("pdf", "epub"):
        made = making(root, what)
        assert made.returncode == 0, made.stdout + made.stderr
    return root


def copied(source: Path, target: Path) -> Path:
    """Copy what printing needs of a built book."""
    shutil.copytree(source / "_build" / "html", target / "_build" / "html")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(source / name, target / name)
    return target


@pytest.fixture
def a_copy(sample_book: Any, tmp_path: Path) -> Path:
    """A copy of the built sample book that a test may spoil."""
    return copied(sample_book.root, tmp_path / "book")
