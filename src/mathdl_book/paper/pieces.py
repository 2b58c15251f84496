"""The pages of the book, one by one: taken from the built site, printed, and kept until changed."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import tags
from .browser import STATIC, Sheet, called, opened
from .contents import PREFACE, Book, Chapter

if TYPE_CHECKING:
    from playwright.async_api import Browser

SOLUTIONS = "Solutions"
SOLVED = re.compile(r'<details class="[^"]*\b(?:lab-)?solution\b')
BEFORE_SOLUTIONS = (
    "Look here after you have tried: an exercise teaches while it resists. "
    "Each solution leads back to its exercise."
)


@dataclass(frozen=True)
class Piece:
    """What is taken from one page at a time.

    Parameters
    ----------
    chapter : Chapter
        The page.
    kind : {"text", "solutions"}
        Its text, or the solutions of its exercises.
    opening : str
        HTML that stands before it: what opens a part.
    part : str
        The part of the book that it stands in.
    """

    chapter: Chapter
    kind: str
    opening: str
    part: str

    def job(self, book: Book, target: str) -> dict[str, Any]:
        """Return what ``page.js`` is told."""
        front = self.chapter is book.chapters[0]
        return {
            "kind": self.kind,
            "pages": [chapter.address for chapter in book.chapters],
            "site": book.site,
            "depth": self.chapter.depth,
            "target": target,
            "opening": self.opening,
            "heading": PREFACE if front and self.kind == "text" else "",
        }


@dataclass(frozen=True)
class Printed:
    """A piece on paper.

    Parameters
    ----------
    piece : Piece
        What it is of; None for what stands before the first page.
    path : Path
        A PDF file.
    headings : list of dict
        ``level``, ``id``, ``number``, ``text`` and ``html`` of each.
    """

    piece: Piece | None
    path: Path
    headings: list[dict[str, Any]]


def part_id(part: str) -> str:
    """Return the id of what opens a part.

    Examples
    --------
    >>> part_id("Linear algebra")
    'part-linear-algebra'
    """
    return "part-" + "-".join(re.findall(r"[a-z0-9]+", part.lower()))


def title_in(page: str) -> tuple[str, str]:
    """Return number and title of a built page, the title as HTML.

    Examples
    --------
    >>> title_in('<h1><span class="section-number">2. </span>An <em>aim</em><a …>#</a></h1>')
    ('2', 'An <em>aim</em>')
    """
    found = re.search(r"<h1>(.*?)</h1>", page, re.DOTALL)
    inside = re.sub(r"<a\b[^>]*>#</a>", "", found[1] if found else "").strip()
    number = re.match(r'<span class="section-number">([\d.]+?)\.? ?</span>', inside)
    return (number[1], inside[number.end() :]) if number else ("", inside)


def opening_of(part: str, pages: Sequence[tuple[Chapter, str]], target: str, said: str = "") -> str:
    """Return what opens a part: its name and its chapters.

    Parameters
    ----------
    part : str
        Name of the part.
    pages : sequence of tuple
        Its chapters, each with the HTML of its page.
    target : str
        Id that each chapter's line leads to; empty for the chapter's beginning.
    said : str
        A sentence below its name.
    """
    lines = []
    for chapter, page in pages:
        number, title = title_in(page)
        link = f"/{chapter.address}{f'#{target}' if target else ''}"
        anchor = f'<a href="{html.escape(link)}">{title}</a>'
        lines.append(f'<li><span class="number">{number}</span>{anchor}</li>')
    below = f"<p>{html.escape(said)}</p>" if said else ""
    return (
        f'<section class="part-opening" id="{part_id(part)}"><h1>{html.escape(part)}</h1>{below}'
        f"<ol>{''.join(lines)}</ol></section>"
    )


def pieces_of(book: Book, site: Path) -> Iterator[Piece]:
    """Yield the pieces of a book in their order: its texts, then its solutions.

    Parameters
    ----------
    book : Book
        What it consists of.
    site : Path
        The built site.
    """
    pages = {c: (site / c.address).read_text(encoding="utf-8") for c in book.chapters}
    for chapter in book.chapters:
        opening = ""
        if chapter.opens:
            inside = [(c, pages[c]) for c in pages if c.part == chapter.part and c.depth == 1]
            opening = opening_of(chapter.part, inside, "")
        yield Piece(chapter, "text", opening, chapter.part)
    solved = [(chapter, page) for chapter, page in pages.items() if SOLVED.search(page)]
    for place, (chapter, _) in enumerate(solved):
        opening = "" if place else opening_of(SOLUTIONS, solved, "solutions", BEFORE_SOLUTIONS)
        yield Piece(chapter, "solutions", opening, SOLUTIONS)


def made_with(site: Path, version: str) -> str:
    """Return a digest of everything but the pages that decides how they look.

    Parameters
    ----------
    site : Path
        The built site.
    version : str
        Of the browser.
    """
    seen = hashlib.sha256(version.encode())
    seen.update(metadata.version("matplotlib").encode())  # whose fonts are used
    own = (STATIC / "paper.css", STATIC / "page.js", *sorted(STATIC.glob("fonts/charis*")))
    for path in (*own, site / "_static" / "site.css", Path(tags.__file__)):
        seen.update(path.read_bytes())
    return seen.hexdigest()


def key_of(page: str, job: dict[str, Any], sheet: Sheet, given: str) -> str:
    """Return a digest of all that a printed piece depends on.

    Parameters
    ----------
    page : str
        HTML of the built page. What stands around its text is no part of it.
    job, sheet
        What is printed, and on what.
    given : str
        See `made_with`.
    """
    text = page[page.find("<article") : page.rfind('<footer class="page-end"')]
    about = json.dumps([given, repr(sheet), sheet.css, job, text])
    return hashlib.sha256(about.encode()).hexdigest()


class Printer:
    """Prints pieces, several at a time, and remembers them.

    Parameters
    ----------
    browser : Browser
        A Chromium.
    book : Book
        The book.
    site : Path
        The built site.
    sheet : Sheet
        The paper.
    memory : Path
        A folder that keeps what has been printed.
    """

    def __init__(
        self, browser: Browser, book: Book, site: Path, sheet: Sheet, memory: Path
    ) -> None:
        self.browser, self.book, self.site, self.sheet = browser, book, site, sheet
        self.memory = memory
        self.printed = 0
        self.used: set[str] = set()
        self._given = made_with(site, browser.version)
        memory.mkdir(parents=True, exist_ok=True)

    async def all(self, pieces: Sequence[Piece], jobs: int) -> list[Printed]:
        """Print pieces, each that is not remembered.

        Parameters
        ----------
        pieces : sequence of Piece
            In any order.
        jobs : int
            How many at a time.

        Raises
        ------
        ValueError
            If something on a page is wider than the paper.
        """
        room = asyncio.Semaphore(jobs)

        async def one(piece: Piece) -> Printed:
            async with room:
                return await self._one(piece)

        return await asyncio.gather(*map(one, pieces))

    async def _one(self, piece: Piece) -> Printed:
        address = piece.chapter.address
        page = (self.site / address).read_text(encoding="utf-8")
        job = piece.job(self.book, "pdf")
        key = key_of(page, job, self.sheet, self._given)
        return await self.keep(key, piece, address, job)

    async def made(self, name: str, text: str, *, tagged: bool = True) -> Printed:
        """Print what is no page of the site.

        Parameters
        ----------
        name : str
            Distinguishes it in messages.
        text : str
            HTML of the body.
        tagged : bool
            Whether it is text to be read, or only to be seen.
        """
        job = {"kind": "made", "html": text, "beyond": not tagged}  # heads stand in the margin
        key = key_of("", job, self.sheet, self._given)
        return await self.keep(key, None, f"{name}.html", job, tagged=tagged)

    async def keep(
        self,
        key: str,
        piece: Piece | None,
        address: str,
        job: dict[str, Any],
        *,
        tagged: bool = True,
    ) -> Printed:
        """Return what is remembered under a key, else print it and remember it."""
        path, about = self.memory / f"{key}.pdf", self.memory / f"{key}.json"
        self.used.add(key)
        if not about.is_file():
            async with opened(self.browser, self.site, self.book.language, self.sheet) as page:
                facts = await called(page, address, "print", job)
                if facts["out"]:
                    wide = "; ".join(facts["out"])
                    raise ValueError(f"{address}: wider than the paper: {wide}")
                given = await page.pdf(
                    prefer_css_page_size=True, print_background=True, tagged=tagged
                )
            path.write_bytes(tags.tidied(given, key[:12]) if tagged else given)
            about.write_text(json.dumps(facts["headings"]), encoding="utf-8")
            self.printed += 1
        return Printed(piece, path, json.loads(about.read_text(encoding="utf-8")))

    def forget(self) -> None:
        """Remove what was remembered and has not been used."""
        for path in self.memory.iterdir():
            if path.stem not in self.used:
                path.unlink()
