"""Gates on a parsed page: code that does not run, equations and headings without a label."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from docutils import nodes

from mathdl_book.findings import Finding

PYTHON = {"python", "python3", "py", "py3", "ipython", "ipython3", "pycon", "pycon3", "numpy"}
# Languages under which Python would pass unseen.
PLAIN = {"", "default", "none", "text", "txt", "plain", "output", "console"}
CLAIM_LABEL = re.compile(r"(?:eq|def)(?:-[a-z0-9]+)+")
# What myst-parser labels a numbered amsmath environment with.
UNNAMED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TEX_NUMBER = re.compile(r"\\(?:tag\*?|label)\s*\{")
NOT_RUN = "not-run"


def doctree_findings(docname: str, doctree: nodes.document, labels: Iterable[str]) -> list[Finding]:
    """Return what the gates object to in a parsed page.

    Parameters
    ----------
    docname : str
        The page.
    doctree : nodes.document
        Its doctree, as pickled after reading.
    labels : iterable of str
        Ids in this page that a label, not a title, made.
    """
    return [
        *fence_findings(docname, doctree),
        *equation_findings(docname, doctree),
        *heading_findings(docname, doctree, set(labels)),
    ]


def fence_findings(docname: str, doctree: nodes.document) -> Iterator[Finding]:
    """Yield the blocks of Python code that look as if they ran and do not.

    Parameters
    ----------
    docname : str
        The page.
    doctree : nodes.document
        Its doctree.
    """
    for block in doctree.findall(nodes.literal_block):
        if _is_cell(block) or NOT_RUN in block.get("classes", []):
            continue
        language = str(block.get("language", "")).lower()
        if language in PYTHON:
            message = f"a plain fence of {language} is never run, so it may be wrong"
        elif language in PLAIN and _is_program(block.astext()):
            message = f"Python under the language {language or 'none'!r} is never run"
        else:
            continue
        yield Finding(
            "fences",
            docname,
            f"line {block.line or '?'}",
            f"{message}; make it a {{code-cell}}, or, if it must not run, a {{code-block}} with "
            f"':class: {NOT_RUN}'",
        )


def _is_cell(block: nodes.Element) -> bool:
    """Return whether a block is a cell's source or output, or part of a docstring."""
    if "docstring of " in (block.source or ""):
        return True  # doctest runs the examples of the API
    parent = block.parent
    while parent is not None:
        if "cell" in parent.get("classes", []):
            return True
        parent = parent.parent
    return False


def _is_program(text: str) -> bool:
    """Return whether text is Python that does something."""
    text = re.sub(r"^(?:>>>|\.\.\.) ?", "", text, flags=re.MULTILINE)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    does = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    calls = ast.Expr | ast.Assign
    return any(
        isinstance(node, does) or (isinstance(node, calls) and isinstance(node.value, ast.Call))
        for node in ast.walk(tree)
    )


def equation_findings(docname: str, doctree: nodes.document) -> Iterator[Finding]:
    """Yield the numbered display equations that no label makes a claim or a definition.

    Parameters
    ----------
    docname : str
        The page.
    doctree : nodes.document
        Its doctree.
    """
    for block in doctree.findall(nodes.math_block):
        tex = block.astext()
        label = block.get("label")
        if label and UNNAMED.fullmatch(label):
            label = None
        numbered = block.get("number") is not None or block.get("numbered")
        where = f"line {block.line or '?'}"
        if TEX_NUMBER.search(tex):
            yield Finding(
                "equations",
                docname,
                where,
                r"numbered by \tag or \label in the TeX, which no check can name; "
                "take it out and label the equation: '$$ … $$ (eq-name)'",
            )
        elif numbered and not label:
            yield Finding(
                "equations",
                docname,
                where,
                "a numbered equation without a label, so nothing says whether it is checked; "
                "write '$$ … $$ (eq-name)' for a claim, (def-name) for a definition"
                + (" (amsmath environments go inside as aligned)" if block.get("nowrap") else ""),
            )
        elif label and not CLAIM_LABEL.fullmatch(label):
            yield Finding(
                "equations",
                docname,
                label,
                "an equation's label starts with eq- (a claim, to be checked) or def- "
                "(it only names something)",
            )


def heading_findings(docname: str, doctree: nodes.document, labels: set[str]) -> Iterator[Finding]:
    """Yield the headings without a ``(sec-…)=`` label, or a lab's ``(step-…)=``.

    Parameters
    ----------
    docname : str
        The page.
    doctree : nodes.document
        Its doctree.
    labels : set of str
        Ids in this page that a label, not a title, made.
    """
    for section in doctree.findall(nodes.section):
        if section.first_child_matching_class(nodes.title) is None:
            continue  # the body of a theorem, exercise or solution
        if not any(
            name.startswith(("sec-", "step-")) and name in labels for name in section["ids"]
        ):
            title = next(iter(section.findall(nodes.title)))
            slug = nodes.make_id(title.astext()) or "name"
            yield Finding(
                "headings",
                docname,
                f"line {title.line or section.line or '?'}",
                f"the heading {title.astext()!r} has no label, so its link changes with its words; "
                f"write '(sec-{slug})=' on the line above",
            )
