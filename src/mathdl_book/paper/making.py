"""The command line: make the book for paper or as an e-book, and put both into the site."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mathdl_book import unchanged

from .browser import SHEETS, launched
from .contents import read_book
from .pieces import Printer, pieces_of

PAPER = "paper"  # below _build


async def pdf(root: Path, size: str, jobs: int) -> tuple[Path, str]:
    """Make the PDF; return its path and what there is to say of it.

    Parameters
    ----------
    root : Path
        The book's folder, with its pages built.
    size : {"a4", "letter"}
        Of the paper.
    jobs : int
        Pages printed at a time.
    """
    from .pdf import make_pdf

    book, site = read_book(root), root / "_build" / "html"
    target = root / "_build" / PAPER / f"{book.slug}{'' if size == 'a4' else f'-{size}'}.pdf"
    async with launched() as browser:
        memory = target.parent / f"printed-{size}"
        printer = Printer(browser, book, site, SHEETS[size], memory)
        printed = await printer.all(list(pieces_of(book, site)), jobs)
        count = await make_pdf(printer, printed, root, target)
        printer.forget()
    return target, f"{count} pages, {printer.printed} of {len(printer.used)} pieces printed anew"


async def epub(root: Path) -> tuple[Path, str]:
    """Make the e-book; return its path and what there is to say of it.

    Parameters
    ----------
    root : Path
        See `pdf`.
    """
    from .epub import make_epub

    book, site = read_book(root), root / "_build" / "html"
    target = root / "_build" / PAPER / f"{book.slug}.epub"
    async with launched() as browser:
        count = await make_epub(browser, book, root, list(pieces_of(book, site)), target)
    return target, f"{count} files of text"


def publish(root: Path) -> int:
    """Put what has been made into the built site, with a link to it on every page.

    Parameters
    ----------
    root : Path
        See `pdf`.

    Returns
    -------
    int
        How many pages have got their links.
    """
    book, site = read_book(root), root / "_build" / "html"
    made = [
        (path, name)
        for suffix, name in (("pdf", "PDF"), ("epub", "EPUB"))
        if (path := root / "_build" / PAPER / f"{book.slug}.{suffix}").is_file()
    ]
    if not made:
        raise FileNotFoundError("nothing to publish: run `make pdf` or `make epub` first")
    links = [(path.name, f"{name} ({path.stat().st_size / 1e6:.1f} MB)") for path, name in made]
    changed = 0
    with unchanged.added_to(root):
        for path, _ in made:
            shutil.copy2(path, site / path.name)
        for chapter in book.chapters:
            page = site / chapter.address
            before = page.read_text(encoding="utf-8")
            after = with_links(before, links, "../" * chapter.address.count("/"))
            if after != before:
                page.write_text(after, encoding="utf-8")
                changed += 1
    return changed


def with_links(page: str, links: Sequence[tuple[str, str]], up: str) -> str:
    """Return a page with links to the whole book at the end of its text, once.

    Parameters
    ----------
    page : str
        HTML of a built page.
    links : sequence of tuple
        File and words of each.
    up : str
        From the page to the root of the site.

    Examples
    --------
    >>> page = with_links('<footer class="page-end"><ul></ul>', [("a.pdf", "PDF")], "../")
    >>> page
    '...<ul><li class="offline">Read offline: <a href="../a.pdf">PDF</a></li></ul>'
    >>> with_links(page, [("a.pdf", "PDF")], "../") == page
    True
    """
    before, end, after = page.partition('<footer class="page-end">')
    after = re.sub(r'<li class="offline">.*?</li>', "", after)
    listed = ", ".join(f'<a href="{up}{file}">{words}</a>' for file, words in links)
    line = f'<li class="offline">Read offline: {listed}</li>'
    return before + end + after.replace("</ul>", f"{line}</ul>", 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mathdl_book.paper", description=__doc__)
    parser.add_argument("what", choices=("pdf", "epub", "publish"))
    parser.add_argument("--root", type=Path, default=Path(), help="folder of _config.yml")
    parser.add_argument("--size", choices=sorted(SHEETS), default="a4", help="of the paper")
    parser.add_argument("--jobs", type=int, default=0, help="pages printed at a time")
    given = parser.parse_args(arguments)
    root, jobs = given.root.resolve(), given.jobs or min(4, os.cpu_count() or 1)
    began = time.monotonic()
    try:
        if given.what == "publish":
            print(f"{publish(root)} pages of the site lead to the whole book")
            return 0
        making = pdf(root, given.size, jobs) if given.what == "pdf" else epub(root)
        target, said = asyncio.run(making)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = target.stat().st_size / 1e6
    print(f"{target}: {size:.1f} MB, {said}, {time.monotonic() - began:.1f} s")
    return 0
