"""The words of all chapters on one page."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils import new_document
from sphinx import addnodes

from mathdl_book.glossary import words_in


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
