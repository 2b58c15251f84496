"""The book as an EPUB 3: the same pages as XHTML, their mathematics as MathML.

Written file by file: an EPUB is a ZIP archive of web pages with a list of them, and what a library
would take off our hands is less than what it would ask for.
"""

from __future__ import annotations

import html
import mimetypes
import posixpath
import re
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .browser import SHEETS, STATIC, called, opened
from .contents import Book
from .pdf import CHAPTER, PART, SECTION, BrokenLinks, imprint
from .pieces import SOLUTIONS, Piece

if TYPE_CHECKING:
    from playwright.async_api import Browser

LINK = re.compile(r'(href|src)="http://in\.invalid/([^"#]*)(?:#([^"]*))?"')
THEME = re.compile(r'<style id="mathdl-theme">.*?</style>', re.DOTALL)
FONT = "fonts/stix-two-math-latin-400-normal.woff2"
COVER = "images/cover.jpg"
# Of what the reading system may tell its reader before the book is opened.
ACCESS = (
    ("schema:accessMode", "textual"),
    ("schema:accessMode", "visual"),
    ("schema:accessModeSufficient", "textual"),
    ("schema:accessModeSufficient", "textual,visual"),
    ("schema:accessibilityFeature", "alternativeText"),
    ("schema:accessibilityFeature", "displayTransformability"),
    ("schema:accessibilityFeature", "MathML"),
    ("schema:accessibilityFeature", "readingOrder"),
    ("schema:accessibilityFeature", "structuralNavigation"),
    ("schema:accessibilityFeature", "tableOfContents"),
    ("schema:accessibilityHazard", "none"),
    (
        "schema:accessibilitySummary",
        "All figures have text alternatives, all formulas are MathML with their TeX as text, and "
        "headings, lists and tables are marked up as what they are.",
    ),
)


@dataclass(frozen=True)
class Document:
    """A piece of the book as a file of the e-book.

    Parameters
    ----------
    piece : Piece
        What it is of.
    body : str
        Its text as XHTML, links within the book beginning with ``http://in.invalid/``.
    headings : list of dict
        ``level``, ``id``, ``number``, ``text`` and ``html`` of each.
    ids : frozenset of str
        What can be linked to in it.
    images : tuple of str
        Paths of its pictures in the built site.
    """

    piece: Piece
    body: str
    headings: list[dict[str, Any]]
    ids: frozenset[str]
    images: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where it is in the e-book."""
        folder = "solutions" if self.piece.kind == "solutions" else "text"
        return f"{folder}/{self.piece.chapter.docname}.xhtml"

    @property
    def title(self) -> str:
        """Its first heading as a chapter's."""
        heading = next(h for h in self.headings if h["level"] != PART)
        before = f"{SOLUTIONS}: " if self.piece.kind == "solutions" else ""
        return before + f"{heading['number']} {heading['text']}".strip()


async def documents(
    browser: Browser, book: Book, site: Path, pieces: Sequence[Piece]
) -> list[Document]:
    """Return the pieces of a book as files of an e-book."""
    found = []
    async with opened(browser, site, book.language, SHEETS["a4"]) as page:
        for piece in pieces:
            facts = await called(page, piece.chapter.address, "xhtml", piece.job(book, "epub"))
            ids, images = frozenset(facts["ids"]), tuple(facts["images"])
            found.append(Document(piece, facts["body"], facts["headings"], ids, images))
    return found


async def cover_picture(browser: Browser, book: Book, site: Path) -> bytes:
    """Return the cover as a picture for the shelf of a reading system."""
    words = (
        f'<section class="shelf"><p class="title">{html.escape(book.title)}</p><hr class="rule">'
        f'<p class="subtitle">{html.escape(book.said)}</p>'
        f'<p class="author">{html.escape(book.author)}</p></section>'
    )
    async with opened(browser, site, book.language, SHEETS["a4"]) as page:
        await page.set_viewport_size({"width": 800, "height": 1280})
        job = {"kind": "made", "html": words, "beyond": True}
        await called(page, "cover.html", "print", job)
        return await page.screenshot(type="jpeg", quality=88)


# ---- links and pictures ----------------------------------------------------------------------


class Places:
    """Where in the e-book everything is that the book links to.

    Parameters
    ----------
    documents : sequence of Document
        All of them.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._of: dict[str, list[Document]] = {}
        for document in documents:
            self._of.setdefault(document.piece.chapter.address, []).append(document)
        self.broken: set[str] = set()

    def find(self, address: str, fragment: str) -> str | None:
        """Return the path, with its fragment, that an address of the site has in the e-book."""
        there = self._of.get(unquote(address), [])
        if not fragment:
            return there[0].path if there else None
        for document in there:
            if unquote(fragment) in document.ids:
                return f"{document.path}#{fragment}"
        return None

    def linked(self, text: str, path: str) -> str:
        """Return XHTML with its links and pictures named as in the e-book.

        Parameters
        ----------
        text : str
            XHTML.
        path : str
            Of the file that it stands in.
        """
        folder = posixpath.dirname(path)

        def lead(found: re.Match[str]) -> str:
            kind, address, fragment = found[1], html.unescape(found[2]), found[3] or ""
            target = picture_path(address) if kind == "src" else self.find(address, fragment)
            if target is None:
                self.broken.add(f"{path}: {address}#{fragment}")
                return found[0]
            return f'{kind}="{html.escape(posixpath.relpath(target, folder))}"'

        return LINK.sub(lead, text)


def picture_path(address: str) -> str:
    """Return where a picture of the site is in the e-book.

    Examples
    --------
    >>> picture_path("_images/a.svg")
    'images/a.svg'
    """
    return f"images/{posixpath.basename(unquote(address))}"


def once_named(svg: str) -> str:
    """Return an SVG picture in which no two elements have the same name.

    Matplotlib names pictures in pictures by what they show; nothing refers to them.

    Examples
    --------
    >>> once_named('<image id="a"/><image id="a"/>')
    '<image id="a"/><image/>'
    """
    seen: set[str] = set()

    def named(found: re.Match[str]) -> str:
        if found[1] in seen:
            return ""
        seen.add(found[1])
        return found[0]

    return re.sub(r'\sid="([^"]*)"', named, svg)


# ---- files -----------------------------------------------------------------------------------


def page(book: Book, title: str, body: str, path: str, kind: str = "") -> str:
    """Return an XHTML page of the e-book.

    Parameters
    ----------
    book : Book
        For its language.
    title : str
        Of the page.
    body : str
        XHTML.
    path : str
        Of the page.
    kind : str
        What it is of a book, as ``epub:type``.
    """
    style = posixpath.relpath("style.css", posixpath.dirname(path))
    language = html.escape(book.language)
    epub_type = f' epub:type="{kind}"' if kind else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" '
        f'lang="{language}" xml:lang="{language}">\n<head><meta charset="utf-8"/>'
        f'<title>{html.escape(title)}</title><link rel="stylesheet" href="{style}"/></head>\n'
        f"<body{epub_type}>\n{body}\n</body>\n</html>\n"
    )


def navigation(book: Book, documents: Sequence[Document]) -> str:
    """Return the contents as an XHTML page: parts, chapters and their sections."""
    lines = [(CHAPTER, "imprint.xhtml", "About this edition")]
    for document in documents:
        solutions = document.piece.kind == "solutions"
        for heading in document.headings:
            if heading["level"] > (CHAPTER if solutions else SECTION):
                continue
            number = f"{heading['number']} " if heading["number"] else ""
            link = f"{document.path}#{heading['id']}" if heading["id"] else document.path
            level = heading["level"] if document.piece.part else CHAPTER
            lines.append((level, link, f"{number}{heading['html']}"))
    first = next(d for d in documents if d.piece.part) if len(documents) > 1 else documents[0]
    body = (
        '<nav epub:type="toc" id="toc" role="doc-toc" aria-labelledby="toc-title">'
        f'<h2 id="toc-title">Contents</h2>{"".join(nested(lines))}</nav>\n'
        '<nav epub:type="landmarks" id="landmarks" aria-label="Landmarks" hidden="hidden"><ol>'
        '<li><a epub:type="cover" href="cover.xhtml">Cover</a></li>'
        '<li><a epub:type="toc" href="nav.xhtml#toc">Contents</a></li>'
        f'<li><a epub:type="bodymatter" href="{first.path}">{html.escape(first.title)}</a></li>'
        "</ol></nav>"
    )
    return page(book, "Contents", body, "nav.xhtml")


def nested(lines: Sequence[tuple[int, str, str]]) -> Iterator[str]:
    """Yield nested lists of links.

    Parameters
    ----------
    lines : sequence of tuple
        Level, address and XHTML of each.

    Examples
    --------
    >>> "".join(nested([(1, "a", "A"), (2, "b", "B")]))
    '<ol><li><a href="a">A</a><ol><li><a href="b">B</a></li></ol></li></ol>'
    """
    above: list[int] = []
    yield "<ol>"
    for level, address, text in lines:
        while above and above[-1] > level:
            above.pop()
            yield "</li></ol>" if above else "</li>"
        if above and above[-1] == level:
            yield "</li>"
        elif above:
            yield "<ol>"
        if not above or above[-1] != level:
            above.append(level)
        yield f'<li><a href="{html.escape(address)}">{text}</a>'
    yield "</li></ol>" * len(above) if above else "</ol>"


def package(book: Book, documents: Sequence[Document], files: dict[str, bytes]) -> str:
    """Return the list of all files, with what there is to know of the book.

    Parameters
    ----------
    book : Book
        The book.
    documents : sequence of Document
        In reading order.
    files : dict
        Path → content of every file but this one.
    """
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, book.site or f"urn:book:{book.slug}")
    day = book.day
    facts = [
        ("dc:identifier", f"urn:uuid:{identifier}", ' id="identifier"'),
        ("dc:title", book.title, ""),
        ("dc:creator", book.author, ""),
        ("dc:language", book.language, ""),
        ("dc:description", book.said, ""),
        ("dc:rights", "Text: CC BY 4.0. Code: BSD 3-Clause.", ""),
        ("dc:date", day, ""),
        ("dc:source", book.site, ""),
    ]
    lines = [f"<{n}{a}>{html.escape(v)}</{n}>" for n, v, a in facts if v]
    lines.append(f'<meta property="dcterms:modified">{day}T00:00:00Z</meta>')
    lines += [f'<meta property="{name}">{html.escape(value)}</meta>' for name, value in ACCESS]
    items, names = [], {}
    for number, path in enumerate(sorted(files)):
        names[path] = f"file-{number}"
        kind = mimetypes.guess_type(path)[0]
        kind = {".xhtml": "application/xhtml+xml", ".woff2": "font/woff2"}.get(
            posixpath.splitext(path)[1], kind
        )
        properties = {"nav.xhtml": "nav", COVER: "cover-image"}.get(path, "")
        if path.endswith(".xhtml") and b"<math" in files[path]:
            properties = f"{properties} mathml".strip()
        said = f' properties="{properties}"' if properties else ""
        items.append(
            f'<item id="{names[path]}" href="{html.escape(path)}" media-type="{kind}"{said}/>'
        )
    order = ["cover.xhtml", "imprint.xhtml", "nav.xhtml", *(d.path for d in documents)]
    spine = "".join(f'<itemref idref="{names[path]}"/>' for path in order)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
        f'unique-identifier="identifier" xml:lang="{html.escape(book.language)}">\n'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        + "\n".join(lines)
        + "\n</metadata>\n<manifest>\n"
        + "\n".join(items)
        + f"\n</manifest>\n<spine>{spine}</spine>\n</package>\n"
    )


CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles>
<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>
"""


def files_of(
    book: Book, root: Path, site: Path, documents: Sequence[Document], cover: bytes
) -> dict[str, bytes]:
    """Return the content of every file of the e-book but the list of them.

    Raises
    ------
    BrokenLinks
        If a link within the book leads nowhere.
    """
    places = Places(documents)
    files: dict[str, bytes] = {
        "style.css": (STATIC / "epub.css").read_bytes(),
        FONT: (STATIC / FONT).read_bytes(),
        "fonts/LICENSE.txt": (STATIC / "fonts" / "STIX-LICENSE").read_bytes(),
        COVER: cover,
    }
    for document in documents:
        kind = "chapter" if document.piece.part else "preface"
        body = places.linked(document.body, document.path)
        files[document.path] = page(book, document.title, body, document.path, kind).encode()
        for address in document.images:
            content = (site / unquote(address)).read_bytes()
            if address.endswith(".svg"):  # a reading system's dark pages are not the site's
                content = once_named(THEME.sub("", content.decode())).encode()
            files[picture_path(address)] = content
    if places.broken:
        raise BrokenLinks("links that lead nowhere: " + "; ".join(sorted(places.broken)))
    picture = f'<figure class="cover"><img src="{COVER}" alt="{html.escape(book.title)}"/></figure>'
    files["cover.xhtml"] = page(book, book.title, picture, "cover.xhtml", "cover").encode()
    said = f"<section><h2>About this edition</h2>{imprint(book, root, 'epub')}</section>"
    files["imprint.xhtml"] = page(book, "About this edition", said, "imprint.xhtml").encode()
    files["nav.xhtml"] = navigation(book, documents).encode()
    return files


def write(target: Path, files: dict[str, bytes], book: Book) -> None:
    """Write an e-book, the same bytes for the same content.

    Parameters
    ----------
    target : Path
        Where to.
    files : dict
        Path → content, the list of files included.
    book : Book
        For the time that the files bear.
    """
    year, month, day = map(int, book.day.split("-"))
    target.parent.mkdir(parents=True, exist_ok=True)

    def add(archive: zipfile.ZipFile, name: str, content: bytes, how: int) -> None:
        about = zipfile.ZipInfo(name, (year, month, day, 0, 0, 0))
        about.external_attr = 0o644 << 16
        archive.writestr(about, content, how)

    with zipfile.ZipFile(target, "w") as archive:
        # First and as it is, so that the kind of file can be told from its beginning.
        add(archive, "mimetype", b"application/epub+zip", zipfile.ZIP_STORED)
        add(archive, "META-INF/container.xml", CONTAINER.encode(), zipfile.ZIP_DEFLATED)
        for name in sorted(files):
            add(archive, f"EPUB/{name}", files[name], zipfile.ZIP_DEFLATED)


async def make_epub(
    browser: Browser, book: Book, root: Path, pieces: Sequence[Piece], target: Path
) -> int:
    """Make the e-book, and return how many files of text it has.

    Parameters
    ----------
    browser : Browser
        A Chromium.
    book : Book
        The book.
    root : Path
        Folder that holds ``_config.yml`` and the built site.
    pieces : sequence of Piece
        In order.
    target : Path
        Where to write it.
    """
    site = root / "_build" / "html"
    found = await documents(browser, book, site, pieces)
    files = files_of(book, root, site, found, await cover_picture(browser, book, site))
    files["package.opf"] = package(book, found, files).encode()
    write(target, files, book)
    return len(found)
