"""What the book consists of, in order, as its table of contents and its pages say."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from mathdl_book.repository import git

PREFACE = "Preface"


@dataclass(frozen=True)
class Chapter:
    """A page of the site, as a chapter of the book.

    Parameters
    ----------
    docname : str
        Name of the page: ``book/calculus/derivatives``.
    depth : int
        How many headings stand above its own: 1 in a part, 2 below another page.
    part : str
        The part that it stands in; empty for the page before all parts.
    opens : bool
        Whether it is the first of its part.
    """

    docname: str
    depth: int
    part: str
    opens: bool = False

    @property
    def address(self) -> str:
        """Where the page is below the root of the site."""
        return f"{self.docname}.html"


@dataclass(frozen=True)
class Book:
    """A book as a whole.

    Parameters
    ----------
    title, author, language : str
        As in ``_config.yml``.
    site : str
        Where it is published, with a slash at the end; empty if that is not known.
    commit, day : str
        Of the edition; outside a git checkout no commit, and the day on which it is made.
    said : str
        What it is, in a sentence or two.
    chapters : tuple of Chapter
        In reading order.
    """

    title: str
    author: str
    language: str
    site: str
    commit: str
    day: str
    said: str
    chapters: tuple[Chapter, ...] = field(repr=False)

    @property
    def slug(self) -> str:
        """The name of its files.

        Examples
        --------
        >>> Book("Maths: a Book!", "", "en", "", "", "", "", ()).slug
        'maths-a-book'
        """
        return "-".join(re.findall(r"[a-z0-9]+", self.title.lower()))

    @property
    def edition(self) -> str:
        """The day and the commit, as a reader would cite them."""
        commit = f"commit {self.commit[:10]}" if self.commit else ""
        return ", ".join(filter(None, (self.day, commit)))


def chapters_of(toc: dict[str, Any]) -> tuple[Chapter, ...]:
    """Return the chapters in a table of contents.

    Parameters
    ----------
    toc : dict
        Content of ``_toc.yml``.

    Examples
    --------
    >>> part = {"caption": "A", "chapters": [{"file": "b", "sections": [{"file": "c"}]}]}
    >>> for chapter in chapters_of({"root": "a", "parts": [part]}):
    ...     print(chapter.docname, chapter.depth, chapter.part, chapter.opens)
    a 1  False
    b 1 A True
    c 2 A False
    """
    found = [Chapter(toc["root"].removesuffix(".md"), 1, "")]

    def walk(entries: list[dict[str, Any]], part: str, depth: int) -> None:
        for place, entry in enumerate(entries):
            opens = bool(part) and depth == 1 and place == 0
            found.append(Chapter(entry["file"].removesuffix(".md"), depth, part, opens))
            walk(entry.get("sections") or [], part, depth + 1)

    for part in toc.get("parts") or []:
        walk(part.get("chapters") or [], part.get("caption", ""), 1)
    walk(toc.get("chapters") or [], "", 1)
    return tuple(found)


def read_book(root: Path) -> Book:
    """Return what there is to know of a built book before its pages are opened.

    Parameters
    ----------
    root : Path
        Folder that holds ``_config.yml`` and ``_toc.yml``.

    Raises
    ------
    FileNotFoundError
        If a page in the table of contents has not been built.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = chapters_of(toc)
    built = root / "_build" / "html"
    for chapter in chapters:
        if not (built / chapter.address).is_file():
            raise FileNotFoundError(f"{chapter.address} is not built: run `make book` first")
    front = (built / chapters[0].address).read_text(encoding="utf-8")
    canonical = re.search(r'<link rel="canonical" href="([^"]+)"', front)
    said = re.search(r'<meta name="description" content="([^"]*)"', front)
    commit, _, day = git(root, "log", "-1", "--format=%H %cs").partition(" ")
    return Book(
        title=config["title"],
        author=config.get("author", ""),
        language=(config.get("sphinx", {}).get("config", {}).get("language") or "en"),
        site=canonical[1].removesuffix(chapters[0].address) if canonical else "",
        commit=commit,
        day=day or date.today().isoformat(),
        said=html.unescape(said[1]) if said else "",
        chapters=chapters,
    )
