"""The pages of the book as files: which there are, and what their headers say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

# Says whether a build shows solutions: see `mathdl_book.solutions`.
VARIABLE = "MATHDL_SOLUTIONS"
# Where a line of a page gives something a label: a heading, a directive, an equation.
LABELS = re.compile(
    r"^[ \t>]*(?:\(([^()]+)\)=[ \t]*$|:(?:label|name):[ \t]+(\S+)|\$\$[ \t]*\(([^()]+)\)[ \t]*$"
    r"|.*\S[ \t]*\$\$[ \t]*\(([^()]+)\)[ \t]*$)"
)


@dataclass(frozen=True)
class Page:
    """A source page named in the table of contents.

    Parameters
    ----------
    docname : str
        Name in the build, relative to the root and without suffix: ``book/start/quickstart``.
    path : Path
        The source file.
    """

    docname: str
    path: Path

    @cached_property
    def text(self) -> str:
        """The source text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def header(self) -> dict[str, Any]:
        """The YAML front matter, empty where there is none.

        Raises
        ------
        ValueError
            If the front matter is not closed or is not a mapping.
        """
        if not self.text.startswith("---\n"):
            return {}
        head, closed, _ = self.text[4:].partition("\n---\n")
        if not closed:
            raise ValueError(
                f"{self.path}: the front matter opened on line 1 is never closed by '---'"
            )
        header = yaml.safe_load(head) or {}
        if not isinstance(header, dict):
            raise ValueError(f"{self.path}: the front matter is not a mapping of names to values")
        return header

    @property
    def meta(self) -> dict[str, Any]:
        """The book's own part of the header (objectives, minutes, …)."""
        return self.header.get("mathdl") or {}


def toc_docnames(root: Path) -> list[str]:
    """Return the document names in ``_toc.yml`` in reading order.

    Parameters
    ----------
    root : Path
        Folder that holds ``_toc.yml``.
    """

    def walk(entry: dict[str, Any]) -> list[str]:
        here = [name for key in ("root", "file") if (name := entry.get(key))]
        below = [
            entry.get(key) or [] for key in ("parts", "chapters", "sections", "subtrees", "entries")
        ]
        return here + [name for entries in below for child in entries for name in walk(child)]

    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return [name.removesuffix(".md").removesuffix(".ipynb") for name in walk(toc)]
