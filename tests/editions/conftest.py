"""Two editions of the sample book, a rename between them, and the site that holds both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from browsing import Site, served
from checkouts import git
from mathdl_book import editions

LONG = "A sentence that takes its place, so that one has to scroll to what follows it.\n\n" * 40
BEFORE = {
    "early": f"""\
(sec-early)=
# A page that will move

{LONG}
(sec-early-stays)=
## This name stays

{LONG}
(sec-early-name)=
## This name will change

{LONG}
""",
    "whole": f"""\
(sec-whole)=
# A page that stays

{LONG}
(sec-whole-name)=
## This name will change, too

{LONG}
(sec-whole-part)=
## This part will move

{LONG}
""",
}
AFTER = {
    "late": BEFORE["early"].replace("sec-early-name", "sec-late-name")
    + f"(sec-late-part)=\n## This part has moved\n\n{LONG}",
    "whole": BEFORE["whole"].partition("(sec-whole-part)=")[0].replace("-name)=", "-new)="),
}
REDIRECTS = {
    "book/early": "book/late",
    "book/early#sec-early-name": "book/late#sec-late-name",
    "book/whole#sec-whole-name": "book/whole#sec-whole-new",
    "book/whole#sec-whole-part": "book/late#sec-late-part",
}


def built(book: Any, pages: dict[str, str], redirects: dict[str, str], name: str, day: str) -> Path:
    """Build the sample book with some pages as an edition; return its site."""
    toc = yaml.safe_load((book.root / "_toc.yml").read_text())
    toc["parts"][-1]["chapters"] = [
        one for one in toc["parts"][-1]["chapters"] if one["file"][5:] not in BEFORE | AFTER
    ] + [{"file": f"book/{page}"} for page in pages]
    (book.root / "_toc.yml").write_text(yaml.safe_dump(toc))
    for page in BEFORE | AFTER:
        (book.root / "book" / f"{page}.md").unlink(missing_ok=True)
    for page, text in pages.items():
        (book.root / "book" / f"{page}.md").write_text(text)
    (book.root / "book" / "permalinks.yml").write_text(yaml.safe_dump({"redirects": redirects}))
    git(book.root, "init", "--quiet")
    git(book.root, "add", "book")
    git(book.root, "commit", "--quiet", "-m", name, day=day)
    result = book.build({editions.VARIABLE: name})
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return book.html


@pytest.fixture(scope="session")
def two(sample_book_type: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site with the editions 2026.1 and latest."""
    folder = tmp_path_factory.mktemp("editions")
    book = sample_book_type(folder / "source")
    config = yaml.safe_load((book.root / "_config.yml").read_text())
    config["sphinx"]["config"]["extensions"].append("mathdl_book.permalinks")
    (book.root / "_config.yml").write_text(yaml.safe_dump(config))
    whole = folder / "somewhere"
    editions.assemble(built(book, BEFORE, {}, "2026.1", "2026-02-03"), whole, "2026.1")
    editions.assemble(built(book, AFTER, REDIRECTS, "latest", "2026-05-06"), whole)
    return whole


@pytest.fixture(scope="session")
def site(two: Path) -> Iterator[Site]:
    """The same on a server, below a folder, as Pages serves a project."""
    with served(two) as site:
        yield site


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open an address in Chromium; `page.said` is what its console said."""
    contexts = []

    def visit(address: str, **given: Any) -> Any:
        context = browser.new_context(**given)
        contexts.append(context)
        page = context.new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
