"""All words that the chapters define, on one page, each with the way to its chapter."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# Word, id of its definition, the definition.
Word = tuple[str, str, nodes.definition]


class all_words(nodes.General, nodes.Element):
    """Where the list of all words goes."""


class AllWords(SphinxDirective):
    """The words of every ``glossary`` of the book, in alphabetical order."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark for the list, which needs all pages to have been read."""
        self.env.metadata[self.env.docname]["mathdl-glossary"] = "yes"
        return [all_words()]


class ListWords(SphinxPostTransform):
    """Puts the list in its place, before the references in its definitions are resolved."""

    default_priority = 5

    def run(self, **options: Any) -> None:
        """Replace the marks of this page."""
        for mark in list(self.document.findall(all_words)):
            mark.replace_self(self.listed())

    def listed(self) -> list[nodes.Node]:
        """Return a list of words for every letter."""
        entries = sorted(
            ((*word, docname) for docname, words in _words(self.env).items() for word in words),
            key=lambda entry: entry[0].casefold(),
        )
        shown: list[nodes.Node] = []
        for letter, group in groupby(entries, key=lambda entry: entry[0][0].upper()):
            shown.append(nodes.rubric("", letter))
            items = nodes.definition_list()
            items += [self.item(*entry) for entry in group]
            shown.append(items)
        return shown

    def item(self, word: str, at: str, definition: nodes.definition, docname: str) -> nodes.Node:
        """Return a word with its definition and a link to where the book gives it."""
        here = self.env.docname
        definition = definition.deepcopy()
        for reference in definition.findall(addnodes.pending_xref):
            reference["refdoc"] = here  # its address is told from here
        uri = f"{self.app.builder.get_relative_uri(here, docname)}#{at}"
        link = nodes.reference("", word, internal=True, refuri=uri)
        title = self.env.titles[docname].astext()
        definition[-1] += nodes.inline("", f" ({title})", classes=["word-chapter"])
        return nodes.definition_list_item("", nodes.term("", "", link), definition)


def words_in(doctree: nodes.document) -> list[Word]:
    """Return the words that a page defines.

    Parameters
    ----------
    doctree : document
        The page as read.
    """
    words = []
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            definition = item[-1].deepcopy()
            for node in definition.findall():
                node.document = None  # or the whole page would be kept with each of its words
            words += [(term.astext(), term["ids"][0], definition) for term in item[:-1]]
    return words


def _words(env: BuildEnvironment) -> dict[str, list[Word]]:
    if not hasattr(env, "mathdl_words"):
        env.mathdl_words = {}
    return env.mathdl_words


def _note(app: Sphinx, doctree: nodes.document) -> None:
    _words(app.env)[app.env.docname] = words_in(doctree)


def _forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _words(env).pop(docname, None)


def _merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    theirs = _words(other)
    _words(env).update({name: theirs[name] for name in docnames if name in theirs})


def _rewritten(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return the pages with the list, if what it shows has changed since they were written."""
    shown = [
        (
            docname,
            env.titles[docname].astext(),
            word,
            at,
            definition.rawsource or definition.astext(),
        )
        for docname, words in sorted(_words(env).items())
        for word, at, definition in words
    ]
    before = getattr(env, "mathdl_words_shown", shown)
    env.mathdl_words_shown = shown
    if before == shown:
        return []
    return [name for name, about in env.metadata.items() if "mathdl-glossary" in about]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the hooks with Sphinx."""
    app.add_node(all_words)
    app.add_directive("all-words", AllWords)
    app.add_post_transform(ListWords)
    app.connect("doctree-read", _note)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("env-get-updated", _rewritten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
