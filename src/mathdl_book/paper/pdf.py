"""One PDF of all printed pieces: contents, numbers of pages, links, outline, tags, metadata."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pikepdf
import yaml
from pikepdf import Array, Dictionary, Name, NameTree, OutlineItem, String

from . import tags
from .browser import Sheet
from .contents import Book
from .pieces import SOLUTIONS, Printed, Printer

INSIDE = "in.invalid"  # see page.js
PART, CHAPTER, SECTION = 1, 2, 3  # levels of headings


class BrokenLinks(ValueError):
    """Links within the book that lead nowhere."""


# ---- what stands before the first page -------------------------------------------------------


def front_matter(
    book: Book, root: Path, printed: Sequence[Printed], pages: dict[tuple[int, str], int]
) -> str:
    """Return cover, imprint and contents as HTML.

    Parameters
    ----------
    book : Book
        The book.
    root : Path
        Its folder, for what its configuration and its ledger say.
    printed : sequence of Printed
        Its pieces.
    pages : dict
        Place of a piece and id in it → number of the page.
    """
    about = imprint(book, root, "pdf")
    return (
        '<section class="cover">'
        f'<p class="title">{html.escape(book.title)}</p><hr class="rule">'
        f'<p class="subtitle">{html.escape(book.said)}</p>'
        f'<p class="author">{html.escape(book.author)}</p>'
        f'<p class="edition">Edition of {html.escape(book.edition)}</p></section>'
        f'<section class="imprint" id="imprint"><h2>About this edition</h2>{about}'
        f'</section><section class="contents" id="contents"><h2>Contents</h2>'
        f"{contents(printed, pages)}</section>"
    )


def imprint(book: Book, root: Path, target: str) -> str:
    """Return what there is to say of this edition, as paragraphs of HTML.

    Parameters
    ----------
    book, root
        See `front_matter`.
    target : {"pdf", "epub"}
        What is made.
    """
    said = []
    if book.site:
        site = html.escape(book.site)
        said.append(
            f'The book lives at <a href="{site}">{site}</a>, where its cells run, its figures '
            "answer, and every equation has an address."
        )
    said.append(
        f"This is the edition of {html.escape(book.edition)}. Labels of equations, exercises and "
        "figures last from edition to edition; numbers may change."
    )
    ledger = root / "_build" / "html" / "ledger.json"
    if ledger.is_file():
        counted = json.loads(ledger.read_text(encoding="utf-8")).get("totals") or {}
        if counted:
            said.append(
                f"{counted['claims_checked']:,} of its {counted['claims']:,} numbered claims were "
                f"checked when it was built, by {counted['checks']:,} checks. "
                "The mark ✓ beside an equation leads to its check."
            )
    said.append("Derivations stand open here, and solutions stand at the end.")
    if target == "pdf":
        said[-1] += (
            " The code that only draws a figure is left out; it is on the site and in the "
            "notebooks."
        )
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    rights = (config.get("html") or {}).get("extra_footer")
    if rights:
        year = config.get("copyright", "")
        said.append(f"© {year} {html.escape(book.author)}. {rights}")
    return "".join(f"<p>{paragraph}</p>" for paragraph in said)


def contents(printed: Sequence[Printed], pages: dict[tuple[int, str], int]) -> str:
    """Return the contents as HTML: parts, chapters and sections, each with its page.

    Parameters
    ----------
    printed, pages
        See `front_matter`.
    """
    lines = []
    for place, piece in enumerate(printed):
        solutions = piece.piece.kind == "solutions"
        below = piece.piece.chapter.depth > 1 and not solutions
        for rank, heading in enumerate(piece.headings):
            level = heading["level"]
            title = level == SECTION and below and rank == 0
            if level > SECTION or (level == SECTION and (solutions or below) and not title):
                continue
            kind = {PART: "part", CHAPTER: "chapter", SECTION: "section"}[level]
            address = f"http://{INSIDE}/{piece.piece.chapter.address}#{heading['id']}"
            number = f'<span class="number">{heading["number"]}</span>' if heading["number"] else ""
            lines.append(
                f'<li class="{kind}{" below" if title else ""}"><a href="{html.escape(address)}">'
                f'{number}<span class="text">{heading["html"]}</span><span class="leader"></span>'
                f'<span class="page">{pages.get((place, heading["id"]), 0)}</span></a></li>'
            )
    return f"<ol>{''.join(lines)}</ol>"


def heads(sheet: Sheet, said: Sequence[tuple[str, bool]]) -> str:
    """Return the lines at the top of all pages, a page for each.

    Parameters
    ----------
    sheet : Sheet
        The paper.
    said : sequence of tuple
        For each page its words, and whether it shows its number.
    """
    size = f"width:{sheet.width:g}mm;height:{sheet.height - 1:g}mm"
    boxes = []
    for number, (words, numbered) in enumerate(said, 1):
        left = f'<p class="said" style="left:{sheet.side:g}mm">{words}</p>' if words else ""
        right = f'<p style="right:{sheet.side:g}mm">{number}</p>' if numbered else ""
        boxes.append(f'<div class="head" style="{size}">{left}{right}</div>')
    bare = "@page { margin: 0 } html, body, .bd-article { background: none }"
    return f'<style>{bare}</style><div class="heads">{"".join(boxes)}</div>'


# ---- putting together ------------------------------------------------------------------------


class Whole:
    """A document that is put together of printed pieces.

    Parameters
    ----------
    book : Book
        The book.
    printed : sequence of Printed
        Its pieces in order, what stands before the first page included.
    """

    def __init__(self, book: Book, printed: Sequence[Printed]) -> None:
        self.book, self.printed = book, printed
        self.pdf = pikepdf.new()
        self.starts: list[int] = []
        # Of each piece, what its names lead to: page and place on it.
        self.named: list[dict[str, tuple[int, list[Any]]]] = []
        joined = tags.Joined(self.pdf, book.language, book.title)
        for piece in printed:
            with pikepdf.open(piece.path) as source:
                start = len(self.pdf.pages)
                self.starts.append(start)
                self.named.append(_named(source, start))
                self.pdf.pages.extend(source.pages)
                joined.add(source, range(start, len(self.pdf.pages)))
        joined.finish()

    def target(self, page: int, place: list[Any]) -> Array:
        """Return a destination."""
        return Array([self.pdf.pages[page].obj, *place])

    def link(self) -> None:
        """Lead every link within the book to its place.

        Raises
        ------
        BrokenLinks
            If there is a link to what the book does not hold.
        """
        pieces: dict[str, list[int]] = {}
        for place, piece in enumerate(self.printed):
            if piece.piece:
                pieces.setdefault(piece.piece.chapter.address, []).append(place)
        broken = set()
        for number, page in enumerate(self.pdf.pages, 1):
            for note in page.obj.get("/Annots", ()):
                address = str(note.get("/A", {}).get("/URI", ""))
                parts = urlsplit(address)
                if parts.netloc != INSIDE:
                    continue
                found = self._find(pieces.get(unquote(parts.path).lstrip("/"), []), parts.fragment)
                if found is None:
                    broken.add(f"page {number}: {parts.path}#{parts.fragment}")
                    continue
                del note.A
                note.Dest = self.target(*found)
        if broken:
            raise BrokenLinks("links that lead nowhere: " + "; ".join(sorted(broken)))

    def _find(self, places: Sequence[int], fragment: str) -> tuple[int, list[Any]] | None:
        if not fragment and places:
            place = places[0]
            title = next(h for h in self.printed[place].headings if h["level"] != PART)
            return self.named[place].get(title["id"], (self.starts[place], [Name.Fit]))
        for place in places:
            if found := self.named[place].get(unquote(fragment)):
                return found
        return None

    def page_numbers(self) -> dict[tuple[int, str], int]:
        """Return the number of the page of every heading, by the place of its piece and its id."""
        return {
            (place, heading["id"]): self.named[place][heading["id"]][0] + 1
            for place, piece in enumerate(self.printed)
            for heading in piece.headings
            if heading["id"] in self.named[place]
        }

    def outline(self) -> None:
        """Give the document its bookmarks: parts, chapters, sections and what is below."""
        with self.pdf.open_outline() as outline:
            above: list[tuple[int, OutlineItem]] = []
            for place, piece in enumerate(self.printed):
                for heading in piece.headings:
                    top = (self.starts[place], [Name.Fit])
                    page, spot = self.named[place].get(heading["id"], top)
                    title = f"{heading['number']} {heading['text']}".strip()
                    item = OutlineItem(title, self.target(page, spot))
                    item.is_closed = heading["level"] > PART
                    while above and above[-1][0] >= heading["level"]:
                        above.pop()
                    (above[-1][1].children if above else outline.root).append(item)
                    above.append((heading["level"], item))
                if piece.piece is None or not piece.piece.part:
                    above.clear()

    def names(self) -> None:
        """Give a name to every place whose id is the only one of its kind: ``#eq-…`` opens it."""
        seen: dict[str, list[tuple[int, list[Any]]]] = {}
        for named in self.named:
            for name, found in named.items():
                seen.setdefault(name.removeprefix("equation-"), []).append(found)
        tree = NameTree.new(self.pdf)
        for name, found in sorted(seen.items(), key=lambda item: item[0].encode()):
            if len(found) == 1:
                tree[name] = self.target(*found[0])
        self.pdf.Root.Names = Dictionary(Dests=tree.obj)

    def said(self) -> list[tuple[str, bool]]:
        """Return for each page what stands at its top, and whether it shows its number."""
        lines: list[tuple[str, bool]] = [("", True)] * len(self.pdf.pages)
        ends = [*self.starts[1:], len(lines)]
        for piece, start, end in zip(self.printed, self.starts, ends, strict=True):
            if piece.piece is None:
                lines[start:end] = [("", place >= start + 2) for place in range(start, end)]
                continue
            first = start
            if piece.piece.opening:
                lines[first] = ("", False)
                first += 1
            title = next(h for h in piece.headings if h["level"] != PART)
            words = f"{title['number']}&ensp;{title['html']}" if title["number"] else title["html"]
            if piece.piece.kind == "solutions":
                words = f"{SOLUTIONS}: {words}"
            for place in range(first + 1, end):
                lines[place] = (words, True)
        return lines

    def overlay(self, path: Path) -> None:
        """Lay a document over this one, page by page, as what is not read out."""
        with pikepdf.open(path) as source:
            if len(source.pages) != len(self.pdf.pages):
                raise ValueError(f"{len(source.pages)} heads for {len(self.pdf.pages)} pages")
            for under, over in zip(self.pdf.pages, source.pages, strict=True):
                head = self.pdf.copy_foreign(over.as_form_xobject())
                name = under.add_resource(head, Name.XObject, Name.PageHead)
                under.contents_add(b"q", prepend=True)
                drawn = f"Q /Artifact <</Type /Pagination>> BDC q {name} Do Q EMC"
                under.contents_add(drawn.encode())

    def metadata(self) -> None:
        """Say what the document is, by whom, and in which language."""
        book, root = self.book, self.pdf.Root
        root.Lang = String(book.language)
        root.PageMode = Name.UseOutlines
        root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
        made = datetime.fromisoformat(book.day).replace(tzinfo=UTC)
        with self.pdf.open_metadata(set_pikepdf_as_editor=False) as said:
            said["dc:title"] = book.title
            said["dc:creator"] = [book.author]
            said["dc:language"] = [book.language]
            said["dc:description"] = book.said
            said["dc:identifier"] = book.site or book.slug
            said["pdf:Producer"] = "Chromium, pikepdf"
            if book.commit:
                said["dc:source"] = book.commit
            said["xmp:CreateDate"] = made.isoformat()
        info = self.pdf.docinfo
        info.Title, info.Author, info.Subject = book.title, book.author, book.said
        info.CreationDate = made.strftime("D:%Y%m%d000000Z")


def _named(source: pikepdf.Pdf, start: int) -> dict[str, tuple[int, list[Any]]]:
    """Return what the names in a print lead to, with the numbers that its pages will have."""
    numbers = {page.objgen: start + place for place, page in enumerate(source.pages)}
    found = {}
    for name, place in source.Root.get("/Dests", {}).items():
        if place[0].objgen in numbers:
            kind, *where = list(place)[1:]
            spot = [Name(str(kind)), *(None if s is None else float(s) for s in where)]
            found[unquote(name.removeprefix("/"))] = (numbers[place[0].objgen], spot)
    return found


async def make_pdf(printer: Printer, printed: Sequence[Printed], root: Path, target: Path) -> int:
    """Put printed pieces together as a book, and return how many pages it has.

    Parameters
    ----------
    printer : Printer
        For what only the whole book tells: contents and the line at the top of each page.
    printed : sequence of Printed
        The pieces in order.
    root : Path
        Folder that holds ``_config.yml``.
    target : Path
        Where to write the PDF.

    Raises
    ------
    BrokenLinks
        If a link within the book leads nowhere.
    """
    book = printer.book
    pages: dict[tuple[int, str], int] = {}
    for _ in ("to see how long it is", "with the numbers of the pages"):
        front = await printer.made("front", front_matter(book, root, printed, pages))
        whole = Whole(book, [front, *printed])
        pages = {(place - 1, name): page for (place, name), page in whole.page_numbers().items()}
    whole.link()
    whole.outline()
    whole.names()
    lines = await printer.made("heads", heads(printer.sheet, whole.said()), tagged=False)
    whole.overlay(lines.path)
    whole.metadata()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(tags.saved(whole.pdf))
    return len(whole.pdf.pages)
