"""Resolved pages as plain Markdown, which any notebook shows well.

What Sphinx has resolved is written, not the source: numbers, references and values are those of
the page, and no directive or role can be left over. References lead to the site.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.util import logging

# Environments of amsmath that stand outside of `$$`, and their like inside.
INNER = {"align": "aligned", "gather": "gathered", "equation": "aligned"}
AMSMATH = re.compile(r"\\(begin|end)\{(align|gather|equation)\*?\}")
# What Markdown would take for a mark at the start of a line, or anywhere in it.
MARK_AT_START = re.compile(r"^(\s*)(?:([#>+-])|(\d+)([.)]))(?=\s)", re.MULTILINE)
MARK = re.compile(r"[\\`*$<]|(?<!\w)_|_(?!\w)|~~|\](?=[(\[])")
ADMONITIONS = ("note", "tip", "hint", "important", "warning", "caution", "danger", "error")

logger = logging.getLogger(__name__)


# --- LaTeX -----------------------------------------------------------------------------------


def expanded(tex: str, macros: Mapping[str, str]) -> str:
    r"""Return LaTeX with the book's own macros replaced by what they stand for.

    Parameters
    ----------
    tex : str
        A formula.
    macros : mapping
        Command → body with ``#1``, ``#2`` for its arguments.

    Examples
    --------
    >>> expanded(r"\norm{A\T x}^2", {r"\norm": r"\lVert #1 \rVert", r"\T": r"^{\mathsf T}"})
    '\\lVert A^{\\mathsf T} x \\rVert^2'
    """
    if not macros:
        return tex
    names = "|".join(sorted(map(re.escape, macros), key=len, reverse=True))
    command = re.compile(rf"(?<!\\)(?:{names})(?![A-Za-z])")
    for _ in range(100):  # bodies may use macros; none of them uses itself
        match = command.search(tex)
        if match is None:
            return tex
        body, end = macros[match[0]], match.end()
        for number in range(1, 10):
            if f"#{number}" not in body:
                break
            argument, end = _argument(tex, end)
            body = body.replace(f"#{number}", argument)
        if re.search(r"\\[A-Za-z]+$", body) and tex[end : end + 1].isalpha():
            body += " "
        tex = tex[: match.start()] + body + tex[end:]
    raise ValueError(f"the macros of this formula never end: {tex:.80}")


def _argument(tex: str, start: int) -> tuple[str, int]:
    """Return the argument that starts at or after an index, and the index behind it."""
    while tex[start : start + 1].isspace():
        start += 1
    if tex[start : start + 1] != "{":
        token = re.compile(r"\\(?:[A-Za-z]+|.)|.", re.DOTALL).match(tex, start)
        return (token[0], token.end()) if token else ("", start)
    depth, at = 0, start
    while at < len(tex):
        if tex[at] == "\\":
            at += 1
        elif tex[at] in "{}":
            depth += 1 if tex[at] == "{" else -1
            if depth == 0:
                return tex[start + 1 : at], at + 1
        at += 1
    raise ValueError(f"a brace is never closed: {tex[start:]:.80}")


# --- Markdown --------------------------------------------------------------------------------


def escaped(text: str) -> str:
    r"""Return text so that Markdown shows it as it is.

    Examples
    --------
    >>> print(escaped("5 * x_1 < 3\n- not an item"))
    5 \* x_1 \< 3
    \- not an item
    """
    return MARK_AT_START.sub(
        lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}",
        MARK.sub(lambda m: f"\\{m[0]}", text),
    )


def indented(text: str, first: str, rest: str) -> str:
    """Return text with something before its first and something before its other lines."""
    head, *tail = text.split("\n")
    return "\n".join([first + head, *((rest + line).rstrip() for line in tail)])


def details(summary: str, body: str) -> str:
    """Return text that opens in place; the empty lines make its content Markdown."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def is_cell(node: nodes.Node) -> bool:
    """Return whether a node is a code cell of the page."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def holds_cells(node: nodes.Element) -> bool:
    """Return whether there is a code cell in a node."""
    return any(is_cell(child) for child in node.findall(nodes.container))


@dataclass
class Writer:
    """Writes resolved nodes of one page as Markdown.

    Parameters
    ----------
    docname : str
        The page.
    site : str
        Address of the site, with a slash at its end; relative to the notebook if need be.
    numbers : mapping
        Kind (``"figure"``, ``"theorem"``, …) → id → number, as in ``env.toc_fignumbers``.
    sections : mapping
        ``""`` or ``#id`` → number, as in ``env.toc_secnumbers``.
    macros : mapping
        The book's own LaTeX commands.
    """

    docname: str
    site: str = ""
    numbers: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    sections: Mapping[str, Sequence[int]] = field(default_factory=dict)
    macros: Mapping[str, str] = field(default_factory=dict)

    # Inside a line

    def inline(self, node: nodes.Node) -> str:
        """Return a node inside a line as Markdown."""
        if isinstance(node, nodes.Text):
            return escaped(node.astext())
        for kind in type(node).__mro__:
            if method := getattr(self, f"_inline_{kind.__name__}", None):
                return method(node)
        return self._unknown(node, self.line)

    def line(self, node: nodes.Element) -> str:
        """Return what is in a node as one line of Markdown, or several without a gap."""
        return "".join(self.inline(child) for child in node)

    def _inline_inline(self, node: nodes.Element) -> str:
        marks = {"bloom": "*", "in-fact": "**", "in-title": "**"}
        mark = next((mark for name, mark in marks.items() if name in node["classes"]), "")
        return _marked(mark, self.line(node))

    _inline_generated = _inline_caption = line
    _inline_explorable_try = _inline_abbreviation = line

    def _silent(self, node: nodes.Node) -> str:
        return ""

    _inline_target = _inline_index = _inline_raw = _inline_comment = _inline_system_message = (
        _silent
    )

    def _inline_emphasis(self, node: nodes.Element) -> str:
        return _marked("*", self.line(node))

    _inline_title_reference = _inline_emphasis

    def _inline_strong(self, node: nodes.Element) -> str:
        return _marked("**", self.line(node))

    def _inline_literal(self, node: nodes.Element) -> str:
        code = node.astext().replace("\n", " ")
        longest = max((len(run) for run in re.findall("`+", code)), default=0)
        fence, gap = "`" * (longest + 1), " " if code[:1] == "`" or code[-1:] == "`" else ""
        return f"{fence}{gap}{code}{gap}{fence}"

    def _inline_math(self, node: nodes.Element) -> str:
        return f"${' '.join(self._tex(node).split())}$"

    def _inline_reference(self, node: nodes.Element) -> str:
        text = self.line(node)
        address = self.address(node)
        return f"[{text}]({address})" if text and address else text

    _inline_number_reference = _inline_reference

    def _inline_image(self, node: nodes.Element) -> str:
        return f"*{escaped(node.get('alt', 'figure'))}*"

    def _inline_subscript(self, node: nodes.Element) -> str:
        return f"<sub>{self.line(node)}</sub>"

    def _inline_superscript(self, node: nodes.Element) -> str:
        return f"<sup>{self.line(node)}</sup>"

    _inline_footnote_reference = _inline_superscript

    def address(self, node: nodes.Element) -> str:
        """Return the address on the site that a reference leads to."""
        page = f"{self.docname}.html"
        if "refid" in node:
            return f"{self.site}{page}#{node['refid']}"
        uri = node.get("refuri", "")
        if urlsplit(uri).scheme:
            return uri
        path, mark, fragment = uri.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        return f"{self.site}{path}{mark}{fragment}"

    def _tex(self, node: nodes.Element) -> str:
        return expanded(node.astext().strip(), self.macros)

    def _unknown(self, node: nodes.Node, fallback: Callable[[Any], str]) -> str:
        logger.warning(
            "notebook: nothing says how %s is written as Markdown",
            type(node).__name__,
            location=node if node.source else self.docname,
            type="mathdl",
            subtype="notebooks",
        )
        return fallback(node)

    # Blocks

    def block(self, node: nodes.Node) -> str:
        """Return a block as Markdown."""
        for kind in type(node).__mro__:
            if method := getattr(self, f"_block_{kind.__name__}", None):
                return method(node)
        if isinstance(node, nodes.Text | nodes.Inline):
            return self.inline(node)
        return self._unknown(node, self.blocks)

    def blocks(self, children: Iterable[nodes.Node]) -> str:
        """Return blocks as Markdown, an empty line between any two."""
        return "\n\n".join(filter(None, (self.block(child) for child in children)))

    _block_section = _block_compound = _block_glossary = _block_proof_node = blocks

    _block_target = _block_index = _block_comment = _block_raw = _block_system_message = _silent
    _block_toctree = _block_meta = _block_substitution_definition = _silent

    def _block_paragraph(self, node: nodes.Element) -> str:
        text = self.line(node).strip()
        return _marked("**", text) if "explorable-try-title" in node["classes"] else text

    def _block_container(self, node: nodes.Element) -> str:
        if "in-this-chapter" in node["classes"]:
            title, objectives, facts = node
            line = " · ".join(self.blocks(fact) for fact in facts)
            return f"**{self.line(title)}**\n\n{self.block(objectives)}\n\n{line}"
        return self.blocks(node)

    def _block_title(self, node: nodes.Element) -> str:
        level = 0
        parent = node.parent
        while parent is not None:
            level += isinstance(parent, nodes.section)
            parent = parent.parent
        ids = node.parent.get("ids", [])
        places = ["", *(f"#{name}" for name in ids)] if level == 1 else [f"#{n}" for n in ids]
        number = next((self.sections[place] for place in places if place in self.sections), ())
        text = " ".join(self.line(node).split())
        return f"{'#' * max(1, min(level, 6))} {_dotted(number, '.')}{text}"

    def _block_rubric(self, node: nodes.Element) -> str:
        return f"**{self.line(node).strip()}**"

    def _block_math_block(self, node: nodes.Element) -> str:
        tex = AMSMATH.sub(lambda m: rf"\{m[1]}{{{INNER[m[2]]}}}", self._tex(node))
        tex = "\n".join(line for line in tex.splitlines() if line.strip())
        number = ""
        if node.get("label") and node["ids"]:
            number = ".".join(map(str, self._number("displaymath", node["ids"][0])))
            number = f" \\tag{{{number or node['number']}}}"
        return f"$$\n{tex}{number}\n$$"

    def _block_literal_block(self, node: nodes.Element) -> str:
        code = node.astext()
        longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
        fence = "`" * (longest + 1)
        language = {"ipython3": "python", "default": "", "none": ""}.get(
            node.get("language", ""), node.get("language", "")
        )
        return f"{fence}{language}\n{code}\n{fence}"

    def _block_bullet_list(self, node: nodes.Element) -> str:
        return self._items(node, ["- "] * len(node))

    def _block_enumerated_list(self, node: nodes.Element) -> str:
        start = node.get("start", 1)
        return self._items(node, [f"{start + n}. " for n in range(len(node))])

    def _items(self, node: nodes.Element, marks: list[str]) -> str:
        items = [
            indented(self.blocks(item), mark, " " * len(mark))
            for mark, item in zip(marks, node, strict=True)
        ]
        loose = any("\n\n" in item for item in items)
        return ("\n\n" if loose else "\n").join(items)

    def _block_definition_list(self, node: nodes.Element) -> str:
        items = []
        for item in node:
            terms = [f"**{self.line(t).strip()}**" for t in item if isinstance(t, nodes.term)]
            rest = self.blocks(d for d in item if isinstance(d, nodes.definition))
            items.append(indented(f"{', '.join(terms)}: {rest}", "- ", "  "))
        return "\n".join(items)

    _block_definition = _block_list_item = blocks

    def _block_block_quote(self, node: nodes.Element) -> str:
        return indented(self.blocks(node), "> ", "> ")

    def _block_transition(self, node: nodes.Element) -> str:
        return "---"

    def _block_image(self, node: nodes.Element) -> str:
        return self._inline_image(node)

    def _block_figure(self, node: nodes.Element) -> str:
        """Return number and caption: the picture itself is made by a cell, or on the site."""
        caption = next(iter(node.findall(nodes.caption)), None)
        name = next(iter(node["ids"]), "")
        number = self._number("figure", name)
        words = [f"**Fig. {'.'.join(map(str, number))}**"] if number else []
        words += [self.line(caption).strip()] if caption is not None else []
        if name and not any(is_cell(above) for above in _above(node)):
            words.append(f"[(see it on the page)]({self.site}{self.docname}.html#{name})")
        return " ".join(words)

    def _block_table(self, node: nodes.Element) -> str:
        """Return a table in the form that notebooks know, its number and title above it."""
        title = next((child for child in node if isinstance(child, nodes.title)), None)
        rows = [
            [self._entry(entry) for entry in row if isinstance(entry, nodes.entry)]
            for row in node.findall(nodes.row)
        ]
        if not any(node.findall(nodes.thead)):
            rows.insert(0, [""] * len(rows[0]))
        rows.insert(1, ["---"] * len(rows[0]))
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        if title is None:
            return table
        number = self._number("table", next(iter(node["ids"]), ""))
        head = f"**Table {'.'.join(map(str, number))}** " if number else ""
        return f"{head}{self.line(title).strip()}\n\n{table}"

    def _entry(self, entry: nodes.Element) -> str:
        text = " ".join(self.blocks(entry).split())

        def formula(match: re.Match[str]) -> str:  # a bar would end the cell of the table
            tex = match[0].replace(r"\|", r"\Vert ").replace("|", r"\vert ")
            return tex

        text = re.sub(r"(?<!\\)\$[^$]+\$", formula, text)
        return re.sub(r"(?<!\\)\|", r"\\|", text)

    def _block_sidebar(self, node: nodes.Element) -> str:
        """Return a note of the margin as an aside."""
        title = next((child for child in node if isinstance(child, nodes.title)), None)
        rest = self.blocks(child for child in node if child is not title)
        words = [f"**{self.line(title).strip()}**"] if title is not None else []
        return indented("\n\n".join([*words, *filter(None, [rest])]), "> ", "> ")

    def _block_Admonition(self, node: nodes.Element) -> str:
        """Return a note, warning and the like, or a theorem: a quotation under a bold title."""
        if "proof" in node["classes"] and not isinstance(node[0], nodes.title):
            return indented(self.blocks(node), "> ", "> ")
        title, body = self.titled(node)
        return indented(f"**{title}**\n\n{self.blocks(body)}", "> ", "> ")

    def _block_exercise_node(self, node: nodes.Element) -> str:
        title, body = self.titled(node)
        return f"**{title}**\n\n{self.blocks(body)}"

    _block_exercise_enumerable_node = _block_exercise_node

    def _block_solution_node(self, node: nodes.Element) -> str:
        title, body = self.titled(node)
        return details(title, self.blocks(body))

    def _block_dropdown_main(self, node: nodes.Element) -> str:
        title, *body = node
        return details(self._summary(title), self.blocks(body))

    def _block_explorable(self, node: nodes.Element) -> str:
        """Return where the figure answers, and what to try there."""
        link = f"{self.site}{self.docname}.html#{node['ids'][0]}"
        tries = [child for child in node if "explorable-try" in child.get("classes", [])]
        words = f"*[This figure can be moved with the hand on the page]({link}).*"
        return "\n\n".join([words, *filter(None, [self.blocks(tries)])])

    _block_explorable_live = _block_explorable_data = _silent

    def _number(self, kind: str, name: str) -> Sequence[int]:
        return self.numbers.get(kind, {}).get(name, ())

    def _summary(self, node: nodes.Element) -> str:
        """Return a title for a ``<summary>``, in which notebooks read no Markdown but math."""
        parts = []
        for child in node:
            if isinstance(child, nodes.Text):
                parts.append(html.escape(child.astext(), quote=False))
            elif isinstance(child, nodes.math):
                parts.append(html.escape(self._inline_math(child), quote=False))
            elif isinstance(child, nodes.literal):
                parts.append(f"<code>{html.escape(child.astext(), quote=False)}</code>")
            elif not isinstance(child, nodes.raw):
                parts.append(self._summary(child))
        return "".join(parts)

    def titled(self, node: nodes.Element) -> tuple[str, list[nodes.Node]]:
        """Return title and content of a box."""
        title = next((child for child in node if isinstance(child, nodes.title)), None)
        body = [child for child in node if child is not title]
        name = next(iter(node["ids"]), "")
        solution = type(node).__name__ == "solution_node"
        words = self._summary(title) if solution else self.line(title) if title is not None else ""
        kind = node.get("realtype") or node.get("type") or ""
        if solution:
            name = node.get("target_label", "")
            number = self._number("exercise", name)
            return f"{words.strip()} to exercise {_dotted(number).strip()}".rstrip(), body
        if not kind:
            kind = next((name for name in ADMONITIONS if name in _names(node)), "")
            return words.strip() or kind.capitalize() or "Note", body
        number = self._number(node.get("countertype") or kind, name)
        words = " ".join(words.split())
        return " ".join(filter(None, (kind.capitalize(), _dotted(number).strip(), words))), body


def _names(node: nodes.Element) -> set[str]:
    return {type(node).__name__, *node.get("classes", [])}


def _above(node: nodes.Node) -> Iterable[nodes.Node]:
    while (node := node.parent) is not None:
        yield node


def _dotted(number: Sequence[int], end: str = "") -> str:
    return f"{'.'.join(map(str, number))}{end} " if number else ""


def _marked(mark: str, text: str) -> str:
    """Return text between marks, which must stand at its very ends."""
    inner = text.strip()
    return text.replace(inner, f"{mark}{inner}{mark}", 1) if inner else text
