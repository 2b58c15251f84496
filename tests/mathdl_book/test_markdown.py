"""Resolved nodes as Markdown."""

from __future__ import annotations

import logging

import pytest
from docutils import nodes
from markdown_it import MarkdownIt

from mathdl_book.markdown import Writer, details, escaped, expanded, indented

MACROS = {
    r"\R": r"\mathbb{R}",
    r"\T": r"^{\mathsf T}",
    r"\vect": r"\boldsymbol{#1}",
    r"\inner": r"\left\langle #1, #2 \right\rangle",
    r"\grad": r"\nabla",
    r"\E": r"\operatorname{\mathbb{E}}",
}


def writer(**changes) -> Writer:
    return Writer("book/calculus/chain", **({"site": "https://x.org/", "macros": MACROS} | changes))


def paragraph(*children) -> nodes.paragraph:
    parts = [nodes.Text(child) if isinstance(child, str) else child for child in children]
    return nodes.paragraph("", "", *parts)


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"x \in \R^n", r"x \in \mathbb{R}^n"),
        (r"\vect{x}\T\vect y", r"\boldsymbol{x}^{\mathsf T}\boldsymbol{y}"),
        (r"\vect \mu", r"\boldsymbol{\mu}"),
        (r"\inner{\vect{a}}{\{b\}}", r"\left\langle \boldsymbol{a}, \{b\} \right\rangle"),
        (r"\grad f + \grad{}g", r"\nabla f + \nabla{}g"),
        (r"\grad\vect{f}", r"\nabla\boldsymbol{f}"),
        (r"\Rightarrow \Epsilon \text{a\\R}", r"\Rightarrow \Epsilon \text{a\\R}"),
        (r"\E[X]", r"\operatorname{\mathbb{E}}[X]"),
        ("no macro", "no macro"),
    ],
)
def test_macros_are_expanded_as_tex_would(tex: str, expected: str) -> None:
    assert expanded(tex, MACROS) == expected


def test_a_macro_of_itself_and_an_open_brace_are_errors() -> None:
    with pytest.raises(ValueError, match="never end"):
        expanded(r"\a", {r"\a": r"\a"})
    with pytest.raises(ValueError, match="never closed"):
        expanded(r"\vect{x", MACROS)


@pytest.mark.parametrize(
    "text",
    [
        "a * b * c and _one_ snake_case_name",
        "`code` costs $5 or $6 <b>x</b> \\n",
        "# no heading",
        "- no item",
        "1. no item\n2) nor this",
        "> no quotation",
        "[text](address) and [a][b]",
        "~~gone~~ is here",
    ],
)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(escaped(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    kinds = {"text", "text_special", "softbreak"}
    assert {child.type for child in tokens[1].children} <= kinds
    shown = "".join(child.content or "\n" for child in tokens[1].children)
    assert shown == text


def test_references_lead_to_the_site() -> None:
    def link(**target) -> str:
        return writer().inline(nodes.reference("", "there", internal=True, **target))

    page = "https://x.org/book/calculus/"
    assert link(refid="sec-a") == f"[there]({page}chain.html#sec-a)"
    assert link(refuri="#sec-a") == f"[there]({page}chain.html#sec-a)"
    assert link(refuri="other.html#eq") == f"[there]({page}other.html#eq)"
    assert link(refuri="../labs/l.html") == "[there](https://x.org/book/labs/l.html)"
    assert link(refuri="https://y.org/a#b") == "[there](https://y.org/a#b)"
    relative = writer(site="../../").inline(nodes.reference("", "there", refid="sec-a"))
    assert relative == "[there](../../book/calculus/chain.html#sec-a)"


def test_marks_stand_at_the_words() -> None:
    text = paragraph("a", nodes.strong("", " b "), nodes.emphasis("", "c"), nodes.literal("", "d`"))
    assert writer().block(text) == "a **b** *c*`` d` ``"


def test_a_numbered_formula_carries_the_number_of_the_page() -> None:
    block = nodes.math_block(
        "", "\n\\vect{x} = 1\n\n", label="eq-a", number=7, ids=["equation-eq-a"]
    )
    assert writer().block(block) == "$$\n\\boldsymbol{x} = 1 \\tag{7}\n$$"
    numbers = {"displaymath": {"equation-eq-a": (3, 2)}}
    assert writer(numbers=numbers).block(block) == "$$\n\\boldsymbol{x} = 1 \\tag{3.2}\n$$"
    plain = nodes.math_block("", "\\begin{align*}\na &= b\n\\end{align*}")
    assert writer().block(plain) == "$$\n\\begin{aligned}\na &= b\n\\end{aligned}\n$$"


def test_bars_in_a_table_do_not_end_its_cells() -> None:
    def row(*cells) -> nodes.row:
        return nodes.row("", *(nodes.entry("", paragraph(cell)) for cell in cells))

    group = nodes.tgroup(
        "",
        nodes.thead("", row("a|b", "c")),
        nodes.tbody("", row(nodes.math("", r"|x| \|y\|"), nodes.literal("", "p | q"))),
    )
    title = nodes.title("", "", nodes.Text("What is what"))
    table = nodes.table("", title, group, ids=["tbl-a"])
    text = writer(numbers={"table": {"tbl-a": (1, 4)}}).block(table)
    assert text.splitlines() == [
        "**Table 1.4** What is what",
        "",
        "| a\\|b | c |",
        "| --- | --- |",
        "| $\\vert x\\vert  \\Vert y\\Vert $ | `p \\| q` |",
    ]


def test_lists_notes_and_definitions() -> None:
    def item(*blocks) -> nodes.list_item:
        return nodes.list_item("", *blocks)

    inner = nodes.bullet_list("", item(paragraph("x")), item(paragraph("y")))
    outer = nodes.enumerated_list("", item(paragraph("one"), inner), item(paragraph("two")))
    assert writer().block(outer) == "1. one\n\n   - x\n   - y\n\n2. two"
    note = nodes.note("", paragraph("first\nline"), paragraph("second"))
    assert writer().block(note) == "> **Note**\n>\n> first\n> line\n>\n> second"
    words = nodes.definition_list(
        "",
        nodes.definition_list_item(
            "", nodes.term("", "word"), nodes.definition("", paragraph("what it means"))
        ),
    )
    assert writer().block(words) == "- **word**: what it means"


def test_what_opens_in_place_has_empty_lines_around_it() -> None:
    text = details("More", "a **b**")
    rendered = MarkdownIt().render(indented(text, "", ""))
    assert "<summary>More</summary>" in rendered and "<strong>b</strong>" in rendered


def test_an_unknown_node_is_a_warning() -> None:
    class novelty(nodes.General, nodes.Element):
        pass

    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logger = logging.getLogger("sphinx.mathdl_book.markdown")
    logger.addHandler(handler)
    try:
        assert writer().block(novelty("", paragraph("text"))) == "text"
    finally:
        logger.removeHandler(handler)
    assert heard == ["notebook: nothing says how novelty is written as Markdown"]
