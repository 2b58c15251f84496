"""The words of all chapters on one page."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils import new_document
from sphinx import addnodes

from mathdl_book.glossary import any_of, prose, split_at_words, words_in


def test_a_word_is_kept_without_its_page():
    page = new_document("page")
    definition = nodes.definition("", nodes.paragraph("", "What it is."))
    item = nodes.definition_list_item("", nodes.term("", "word", ids=["term-word"]), definition)
    page += addnodes.glossary("", nodes.definition_list("", item))
    ((word, at, kept),) = words_in(page)
    assert (word, at, kept.astext()) == ("word", "term-word", "What it is.")
    assert kept is not definition and all(node.document is None for node in kept.findall())


def test_the_list_leads_to_the_chapters(sample_book):
    plain = re.sub(r"\s+", " ", sample_book.page("glossary"))
    assert plain.index(">C<") < plain.index(">chain rule<") < plain.index(">G<")
    assert 'href="chapter.html#term-gradient"' in plain
    assert 'href="chapter.html#term-chain-rule"' in plain
    # References in definitions are told from this page.
    assert 'href="chapter.html#obj-sample-chain"' in plain
    assert 'class="katex"' in plain


def page_with(*children):
    page = new_document("page")
    page += nodes.section("", nodes.title("", "The rank"), *children)
    return page


def test_words_become_links_in_prose_only():
    literal = nodes.paragraph("", "", nodes.literal("", "rank"), nodes.Text(" and rank"))
    quoted = nodes.literal_block("", "rank")
    inside = nodes.paragraph("", "", nodes.reference("", "rank", refuri="#"))
    page = page_with(literal, quoted, inside)
    assert [text.astext() for text in prose(page)] == [" and rank"]


def test_whole_words_and_the_longest_first():
    words = {name: ("p", name) for name in ("gradient", "gradient descent", "rank")}
    text = "Low-rank gradient descents follow the gradient; a frank one."
    pieces = split_at_words(text, words, any_of(words))
    assert [piece for piece, target in pieces if target] == ["gradient descents", "gradient"]
    assert words == {"rank": ("p", "rank")}


def test_the_first_use_on_another_page_leads_to_the_definition(sample_book):
    plain = sample_book.page("ways")
    found = re.findall(r'<a class="first-use[^"]*" href="([^"]+)">([^<]+)</a>', plain)
    assert found == [("chapter.html#term-chain-rule", "chain rule")]
    assert "first-use" not in sample_book.page("chapter")  # the page that defines the words
