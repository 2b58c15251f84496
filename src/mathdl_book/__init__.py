"""What turns the pages into a checked site: the Sphinx extension of the book."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# In the order in which their hooks must run; each has a `setup(app)`.
MODULES = (
    "repository",  # repository URL and branch
    "solutions",  # a book without its solutions
    "lookups",  # what is looked up for every reference, remembered
    "execution",  # execute the pages ahead of Sphinx reading them
    "outputs",  # the MIME renderer of checks, values, theme-following figures
    "explorables",  # figures that answer, and their modules
    "kit",  # in-this-chapter box and the other directives of the page kit
    "labs",  # the version to fill in, solutions hidden
    "milestones",  # a list to tick off
    "glossary",  # all words of all chapters
    "catalogue",  # everything that can be linked to, and the tables made of it
    "courses",  # syllabi, and what teaches and exercises each objective
    "choosing",  # a reading list from the catalogue, as a file for an LMS too
    "inventory",  # equations, theorems and exercises for other books' references
    "uses",  # from the API back to the chapters
    "typesetting",  # mathematics set before it is sent
    "ledger",  # claims, checks, badges, ledger page and ledger.json
    "permalinks",  # published ids, redirects
    "notebooks",  # every page as a notebook
    "launch",  # where a page can be run, and what of it can be downloaded
    "live",  # cells that run in the reader's browser
    "finish",  # what the finished HTML must not contain (thebe, foreign assets) and must (sizes)
    "found",  # addresses, what a page says of itself, citation, 404, sitemap
    "editions",  # one folder for each, and a way from old ones to the newest
    "search",  # names and texts that the search page looks in
    "frame",  # what stands around the text, put right
    "slides",  # a deck of each chapter
    "assets",  # one stylesheet and one script of what pages use
    "gates",  # collects every finding and fails the build; last
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register every module of the machinery with Sphinx."""
    for name in MODULES:
        import_module(f"{__name__}.{name}").setup(app)
    # Pages are written again when what writes them has changed.
    machinery = import_module(f"{__name__}.assets").version_of(Path(__file__).parent)
    app.add_config_value("mathdl_machinery", machinery, "html")
    return {
        "version": "1",
        "env_version": 14,  # to be raised when what is kept of a page read changes
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
