"""Another book refers to ours by name: equations, theorems, figures, exercises, sections."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib

import pytest

from mathdl_book.inventory import extended

HEADER = b"# Sphinx inventory version 2\n# Project: A\n# Version: \n# compressed\n"
PAGE = """\
Another book
============

See :external+ours:ref:`eq-sample-gradient`, :ref:`def-sample-loss`, :ref:`thm-sample-chain`,
:ref:`ex-sample-code`, :ref:`fig-sample-bowl`, :ref:`sec-sample-network`, :ref:`obj-sample-check`
and :ref:`ours:step-sample-forward`.
"""


def test_another_book_refers_to_everything_by_name(sample_book, tmp_path):
    (tmp_path / "index.rst").write_text(PAGE, encoding="utf-8")
    inventory = sample_book.html / "objects.inv"
    (tmp_path / "conf.py").write_text(
        "extensions = ['sphinx.ext.intersphinx']\n"
        f"intersphinx_mapping = {{'ours': ('https://book.invalid/', {str(inventory)!r})}}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", ".", "out"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    said = re.findall(r'href="https://book\.invalid/([^"]+)"[^>]*>(?:<span[^>]*>)?([^<]+)', html)
    assert dict(said) == {
        "book/chapter.html#equation-eq-sample-gradient": "Claim 1.2 (eq-sample-gradient)",
        "book/chapter.html#equation-def-sample-loss": "Definition 1.1 (def-sample-loss)",
        "book/chapter.html#thm-sample-chain": "Theorem 1.1: Chain rule",
        "book/chapter.html#ex-sample-code": "Exercise 1.2: In code",
        "book/chapter.html#fig-sample-bowl": "A bowl, with its height in colour.",
        "book/chapter.html#sec-sample-network": "Start from a network",
        "book/chapter.html#obj-sample-check": "Check a gradient by two routes",
        "book/labs/lab-0-sample.html#step-sample-forward": "Step 1: Forward",
    }
    for place in dict(said):
        path, _, name = place.partition("#")
        assert f'id="{name}"' in (sample_book.html / path).read_text(encoding="utf-8")


def test_what_is_listed_already_stays_as_it_is():
    line = b"eq-a std:label -1 a.html#$ Our own words\n"
    entry = {"id": "eq-a", "kind": "claim", "number": "1", "title": "", "url": "b.html#eq-a"}
    other = entry | {"id": "eq-b"}
    result = extended(HEADER + zlib.compress(line), [entry, other])
    assert result.startswith(HEADER)
    text = zlib.decompress(result.removeprefix(HEADER))
    assert text == line + b"eq-b std:label -1 b.html#eq-a Claim 1 (eq-b)\n"


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="version 2"):
        extended(b"# Sphinx inventory version 3\n", [])
