"""All words that the chapters define, on one page, and on each page a way from each word to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from .perpage import PerPage

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# Words that a sentence may also use in their everyday sense.
EVERYDAY = frozenset(
    [
        "axis",
        "barrier",
        "baseline",
        "cache",
        "evidence",
        "norm",
        "prior",
        "regret",
        "remainder",
        "score",
        "tape",
        "view",
    ]
)
# What no link may stand in, and what speaks in a language of its own.
UNLINKED = (
    nodes.reference,
    nodes.title,
    nodes.caption,
    nodes.term,
    nodes.rubric,
    nodes.strong,
    nodes.literal,
    nodes.math,
    nodes.raw,
    nodes.FixedTextElement,
    nodes.Invisible,
    addnodes.pending_xref,
    addnodes.glossary,
)
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
            ((*word, docname) for docname, words in Words.of(self.env).items() for word in words),
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


class LinkFirstUses(SphinxPostTransform):
    """Links the first use of each word on a page to its definition, where no author has."""

    default_priority = 6

    def run(self, **options: Any) -> None:
        """Link the words of this page."""
        here = self.env.docname
        words = {
            word.casefold(): (docname, at)
            for docname, defined in Words.of(self.env).items()
            for word, at, _ in defined
            if docname != here and word not in EVERYDAY
        }
        for reference in self.document.findall(addnodes.pending_xref):
            if reference.get("reftype") == "term":
                words.pop(reference["reftarget"].casefold(), None)
        described = next(iter(self.document.findall(addnodes.desc)), None) is not None
        if described or "mathdl-glossary" in self.env.metadata.get(here, ()):
            return
        if not words:
            return
        pattern = any_of(words)
        for text in list(prose(self.document)):
            pieces = list(split_at_words(text.astext(), words, pattern))
            if len(pieces) > 1:
                text.parent.replace(text, [self.node(*piece) for piece in pieces])

    def node(self, text: str, target: tuple[str, str] | None) -> nodes.Node:
        """Return a piece of a text, as a link where it is a word."""
        if target is None:
            return nodes.Text(text)
        docname, at = target
        uri = f"{self.app.builder.get_relative_uri(self.env.docname, docname)}#{at}"
        return nodes.reference("", text, internal=True, refuri=uri, classes=["first-use"])


def prose(doctree: nodes.document) -> Iterator[nodes.Text]:
    """Yield the texts of a page in which a word may become a link.

    Parameters
    ----------
    doctree : document
        The page.
    """
    for paragraph in doctree.findall(nodes.paragraph):
        above = paragraph.parent
        while above is not None and not isinstance(above, UNLINKED):
            if "in-this-chapter" in above.get("classes", ()):
                break
            above = above.parent
        if above is None:
            yield from _texts(paragraph)


def _texts(node: nodes.Element) -> Iterator[nodes.Text]:
    for child in node.children:
        if isinstance(child, nodes.Text):
            yield child
        elif isinstance(child, nodes.emphasis | nodes.inline):  # and no button, link or formula
            yield from _texts(child)


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of the words, in singular or plural, the longest that fits."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})s?(?![\w-])", re.I)


def split_at_words(
    text: str, words: dict[str, tuple[str, str]], pattern: re.Pattern[str]
) -> Iterable[tuple[str, tuple[str, str] | None]]:
    """Yield the pieces of a text: words, each with its target, and what is between them.

    Parameters
    ----------
    text : str
        Some prose.
    words : dict
        Where each word, in lower case, leads to; those found are taken out.
    pattern : Pattern
        Finds the words, also those that have been taken out: see `any_of`.

    Examples
    --------
    >>> words = {"gradient": ("a", "term-gradient"), "rank": ("b", "term-rank")}
    >>> list(split_at_words("Gradients. A gradient again", words, any_of(words)))
    [('Gradients', ('a', 'term-gradient')), ('. A gradient again', None)]
    >>> words
    {'rank': ('b', 'term-rank')}
    """
    done = 0
    for found in pattern.finditer(text):
        target = words.pop(found[1].casefold(), None)
        if target is not None:
            if found.start() > done:
                yield text[done : found.start()], None
            yield found[0], target
            done = found.end()
    if done < len(text):
        yield text[done:], None


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


class Words(PerPage):
    """Keeps the words that each page defines."""

    kept_as = "mathdl_words"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> list[Word]:
        """Return the words of a page."""
        return words_in(doctree)


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
        for docname, words in sorted(Words.of(env).items())
        for word, at, definition in words
    ]
    before = getattr(env, "mathdl_words_shown", shown)
    env.mathdl_words_shown = shown
    if before == shown:
        return []
    if {(page, *entry[1:3]) for page, *entry in before} != {
        (page, *entry[1:3]) for page, *entry in shown
    }:
        return sorted(env.all_docs)  # a word is new, gone or elsewhere: any page may link it
    return [name for name, about in env.metadata.items() if "mathdl-glossary" in about]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, the collector and the hooks with Sphinx."""
    app.add_node(all_words)
    app.add_directive("all-words", AllWords)
    app.add_post_transform(ListWords)
    app.add_post_transform(LinkFirstUses)
    app.add_env_collector(Words)
    app.connect("env-get-updated", _rewritten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
