"""The labs: from one solved page its version to fill in, and each solution hidden below its cell.

What the reader is to write stands between two comment lines in a cell tagged ``solution``::

    ### BEGIN SOLUTION
    ...
    ### END SOLUTION

Everything else in the cell is given. The page shows the cell as it is given, and below it, closed,
the solved cell with what it printed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from docutils import nodes
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

TAG = "solution"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HINT = re.compile(r"\{dropdown\}\s+Hint\b")
MARKER = re.compile(r"\b(?:BEGIN|END) SOLUTION\b")


class RegionError(ValueError):
    """A region to fill in that is not properly marked.

    Parameters
    ----------
    line : int
        Line of the cell, from 1; 0 if it is about the cell as a whole.
    problem : str
        What is wrong and what to do about it.
    where : str
        Page and cell.
    """

    def __init__(self, line: int, problem: str, where: str = "") -> None:
        place = ", ".join(filter(None, (where, f"line {line}" if line else "")))
        super().__init__(f"{place}: {problem}" if place else problem)
        self.line = line
        self.problem = problem


def regions(source: str, where: str = "") -> list[tuple[int, int]]:
    r"""Return the regions of a solved cell: the lines of their markers, from 1.

    Parameters
    ----------
    source : str
        Code of the cell.
    where : str
        Page and cell, for the message of an error.

    Raises
    ------
    RegionError
        If a region is not closed, lies in another, holds no code, or a marker is no comment line
        of its own.

    Examples
    --------
    >>> regions("def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n")
    [(2, 4)]
    """
    found: list[tuple[int, int]] = []
    opened = 0
    lines = source.splitlines()
    for number, line in enumerate(lines, start=1):
        if not MARKER.search(line):
            continue
        if line.strip() == BEGIN:
            if opened:
                problem = f"a region begins inside the one of line {opened}; end that one first"
                raise RegionError(number, problem, where)
            opened = number
        elif line.strip() == END:
            if not opened:
                raise RegionError(number, f"a region ends that never began; add '{BEGIN}'", where)
            inside = [text.strip() for text in lines[opened : number - 1]]
            if not any(text and not text.startswith("#") for text in inside):
                raise RegionError(opened, "the region holds no code, so nothing is asked", where)
            found.append((opened, number))
            opened = 0
        else:
            problem = f"a marker is '{BEGIN}' or '{END}', alone on its line"
            raise RegionError(number, problem, where)
    if opened:
        raise RegionError(opened, f"the region is never closed; add '{END}'", where)
    return found


def starter(source: str, where: str = "") -> str:
    r"""Return a solved cell as the reader gets it: each region raises ``NotImplementedError``.

    Parameters
    ----------
    source : str
        Code of the cell.
    where : str
        Page and cell, for the message of an error.

    Raises
    ------
    RegionError
        If there is no region, or one is not properly marked.

    Examples
    --------
    >>> solved = "def half(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION"
    >>> print(starter(solved))
    def half(x):
        raise NotImplementedError("write half")
    """
    found = regions(source, where)
    if not found:
        raise RegionError(0, f"tagged {TAG} without a region; add '{BEGIN}' and '{END}'", where)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise RegionError(error.lineno or 0, f"not valid Python: {error.msg}", where) from None
    lines = source.splitlines()
    for begin, end in reversed(found):
        indent = lines[begin - 1][: -len(lines[begin - 1].lstrip())]
        name = _enclosing(tree, begin)
        what = f"write {name}" if name else "write this cell"
        lines[begin - 1 : end] = [f'{indent}raise NotImplementedError("{what}")']
    given = "\n".join(lines)
    try:
        ast.parse(given)
    except SyntaxError as error:
        problem = f"without its regions the cell is not valid Python: {error.msg}"
        raise RegionError(found[0][0], problem, where) from None
    return given


def solved(source: str) -> str:
    r"""Return a solved cell without the lines of its markers.

    Parameters
    ----------
    source : str
        Code of the cell.

    Examples
    --------
    >>> solved("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\nprint(x)")
    'x = 1\nprint(x)'
    """
    return "\n".join(line for line in source.splitlines() if line.strip() not in (BEGIN, END))


def _enclosing(tree: ast.Module, line: int) -> str:
    """Return the name of the innermost function around a line, its class's before it."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.lineno < line <= (node.end_lineno or 0)
    ]
    around.sort(key=lambda node: node.lineno)
    while around and isinstance(around[-1], ast.ClassDef):
        around.pop()
    method = len(around) > 1 and isinstance(around[-2], ast.ClassDef)
    return ".".join(node.name for node in around[-2 if method else -1 :])


@dataclass
class Step:
    """One step of a lab: a heading labelled ``step-…`` and what stands below it.

    Parameters
    ----------
    label : str
        Its label.
    title : str
        The heading's text.
    line, end : int
        Lines of the heading and before the next heading of its level or above, from 1.
    hints : list of int
        Lines on which a dropdown called Hint opens.
    """

    label: str
    title: str
    line: int
    end: int = 0
    hints: list[int] = field(default_factory=list)


def steps(text: str) -> list[Step]:
    r"""Return the steps of a page, in order.

    Parameters
    ----------
    text : str
        The page's source.

    Examples
    --------
    >>> page = "(step-one)=\n## Step 1: One\n\n```{dropdown} Hint\nAdd.\n```\n"
    >>> steps(page)
    [Step(label='step-one', title='Step 1: One', line=2, end=6, hints=[4])]
    """
    config = MdParserConfig(
        enable_extensions={"amsmath", "colon_fence", "dollarmath"}, disable_syntax=["inline"]
    )
    found: list[Step] = []
    labels: list[str] = []
    level = ""  # of the step that still goes on
    tokens = create_md_parser(config, RendererHTML).parse(text)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open":
            if level and token.tag <= level:
                found[-1].end, level = token.map[0], ""
            label = next((name for name in labels if name.startswith("step-")), "")
            if label:
                if level:
                    found[-1].end = token.map[0]
                found.append(Step(label, following.content, token.map[0] + 1))
                level = token.tag
        elif level and token.type in ("fence", "colon_fence") and HINT.match(token.info.strip()):
            found[-1].hints.append(token.map[0] + 1)
        labels = [*labels, token.content] if token.type == "myst_target" else []
    if level:
        found[-1].end = len(text.splitlines())
    return found


def steps_checked(source: str) -> list[str | None]:
    """Return the labels with which a cell calls ``check_step``; None for one that is no string.

    Parameters
    ----------
    source : str
        Code of the cell.

    Examples
    --------
    >>> steps_checked('check_step("step-one", check)')
    ['step-one']
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "check_step"
    ]
    named = [
        call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        for call in calls
    ]
    return [label if isinstance(label, str) else None for label in named]


class lab_solution(nodes.General, nodes.Element):
    """The solved cell with its outputs, closed at first."""


def visit_lab_solution(self: HTML5Translator, node: nodes.Element) -> None:
    """Open a solved cell."""
    self.body.append(self.starttag(node, "details", CLASS="lab-solution"))
    self.body.append("<summary>Solution</summary>\n")


def depart_lab_solution(self: HTML5Translator, node: nodes.Element) -> None:
    """Close a solved cell."""
    self.body.append("</details>\n")


def hide_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Show each cell to fill in as it is given, the solved one closed below it."""
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code" or f"tag_{TAG}" not in cell["classes"]:
            continue
        box = next(c for c in cell if c.get("nb_element") == "cell_code_source")
        block = next(iter(box.findall(nodes.literal_block)))
        try:
            given = starter(block.astext())
        except RegionError:
            continue  # the gates refuse the page, and say why
        answer = nodes.container(classes=["cell_input", "lab-solved"])
        answer += _with_text(block, solved(block.astext()))
        hidden = lab_solution("", answer, *(child for child in cell if child is not box))
        block.replace_self(_with_text(block, given))
        cell.children = [box]
        cell += hidden


def _with_text(block: nodes.literal_block, text: str) -> nodes.literal_block:
    """Return a copy of a code block with other text."""
    copy = block.copy()
    copy.rawsource = text
    copy += nodes.Text(text)
    return copy


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the solutions of the labs."""
    app.add_node(lab_solution, html=(visit_lab_solution, depart_lab_solution))
    app.connect("doctree-read", hide_solutions, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
