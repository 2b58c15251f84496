"""Gates on the source of a page: what a cell may not do, and how a page must be written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook

from mathdl_book import labs
from mathdl_book.findings import Finding
from mathdl_book.gates.apart import shared_state
from mathdl_book.gates.labs import lab_findings
from mathdl_book.pages import LABELS, Page
from mathdl_book.solutions import NestedSolution, without_solutions

MAX_LINES = 15
MAX_COLUMNS = 80
TAGS = {
    "torch",
    "scipy",
    "traps",
    "chaotic",
    "timing",
    "solution",
    "hide-input",
    "hide-output",
    "hide-cell",
    "remove-input",
    "raises-exception",
}
PREFIXES = ("sec", "eq", "def", "thm", "dfn", "fig", "tbl", "ex", "sol", "obj", "step", "term")
LABEL = re.compile(rf"(?:{'|'.join(PREFIXES)})(?:-[a-z0-9]+)+")

# What a cell may not catch: a failed check is an AssertionError.
BROAD = {"Exception", "BaseException", "AssertionError", "CheckFailed", "SystemExit"}
SWALLOWS = "it can swallow what a check shows; let the output appear"
BYPASS = "only mathdl.checks may make a check's record; call one of its check_ functions"
EXITS = "it ends the kernel before the checks below have run; remove it"
DEPENDS = "what a page shows must not depend on the environment, nor change it"
HIDES = "it hides code from the gates; write the code in the cell"
# Names that no page cell may use, by their last part.
FORBIDDEN = {
    "capture_output": SWALLOWS,
    "clear_output": SWALLOWS,
    "redirect_stdout": SWALLOWS,
    "redirect_stderr": SWALLOWS,
    "get_ipython": "cells are plain Python, as they also run in the browser",
    "publish_display_data": BYPASS,
    "display_pub": BYPASS,
    "_repr_mimebundle_": BYPASS,
    "_ipython_display_": BYPASS,
    "CHECK_MIME": BYPASS,
    "CheckResult": BYPASS,
    "dataclasses.replace": BYPASS,
    "__setattr__": BYPASS,
    "_exit": EXITS,
    "sys.exit": EXITS,
    "SystemExit": EXITS,
    "environ": DEPENDS,
    "putenv": DEPENDS,
    "sys.modules": HIDES,
    "__dict__": HIDES,
    "__globals__": HIDES,
    "__code__": HIDES,
}
# The same for bare names only: `model.eval()` and `re.compile()` are fine.
FORBIDDEN_NAMES = {
    "exit": EXITS,
    "quit": EXITS,
    "exec": HIDES,
    "eval": HIDES,
    "compile": HIDES,
    "globals": HIDES,
    "__import__": HIDES,
}
FORBIDDEN_IMPORTS = {
    "unittest.mock": "a page must not replace what it checks",
    "importlib": HIDES,
    "IPython.utils.capture": SWALLOWS,
    "ipywidgets": SWALLOWS,
}
PRIVATE = re.compile(r"_(?!_)")
# Which libraries need which tag, so that the browser knows what it cannot run.
TAG_OF_LIBRARY = {"torch": "torch", "scipy": "scipy", "sklearn": "scipy"}

CODE_CELL = re.compile(r"^[ \t>]*(?:`{3,}|~{3,}|:{3,})[ \t]*\{code-cell\}[ \t]*(\S*)", re.MULTILINE)
FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,}|:{3,})[ \t]*(\{[^}]+\})?[ \t]*(.*?)[ \t]*$")
# Directives whose content is not Markdown: nothing in it is a label.
OPAQUE = {"{code-cell}", "{raw-cell}", "{code-block}", "{code}", "{raw}", "{eval-rst}", "{math}"}
INLINE_ID = re.compile(r"[\])`*]\{[^}\n]*?#([^\s}]+)")


@dataclass(frozen=True)
class Cell:
    """A code cell of a page.

    Parameters
    ----------
    number : int
        Counts the page's code cells from 1.
    line : int
        Line of the page on which the cell's fence opens, from 1.
    source : str
        The code.
    metadata : dict
        The cell's options; ``tags`` among them.
    code_line : int
        Line of the page before the code's first, which is later by the options.
    """

    number: int
    line: int
    source: str
    metadata: dict[str, Any] = field(default_factory=dict)
    code_line: int = 0

    @property
    def tags(self) -> set[str]:
        """The cell's tags."""
        tags = self.metadata.get("tags") or []
        return {tags} if isinstance(tags, str) else set(tags)

    @property
    def where(self) -> str:
        """The cell's place in its page."""
        return f"cell {self.number} (line {self.line})"


def read_cells(page: Page) -> list[Cell]:
    """Return the code cells of a page, read by the reader that the build uses.

    Parameters
    ----------
    page : Page
        A page whose header makes it a notebook; any other has no cells.
    """
    if not is_myst_markdown_notebook(page.text):
        return []
    notebook = read_myst_markdown_notebook(page.text, path=page.path, add_source_map=True)
    lines = notebook.metadata["source_map"]
    code = [
        (line, c) for line, c in zip(lines, notebook.cells, strict=True) if c.cell_type == "code"
    ]
    return [
        Cell(number, line, cell.source, dict(cell.metadata), _code_line(page.text, line))
        for number, (line, cell) in enumerate(code, start=1)
    ]


def _code_line(text: str, line: int) -> int:
    """Return the line before the code of a cell whose fence opens on a line, both from 1."""
    below = text.splitlines()[line:]
    if below and below[0].strip() == "---":
        count = 1 + next((n for n, x in enumerate(below[1:], 1) if x.strip() == "---"), 0)
    else:
        count = next((n for n, x in enumerate(below) if not x.lstrip().startswith(":")), 0)
    return line + count + (below[count : count + 1] == [""])  # one empty line is not code either


def judge(page: Page) -> tuple[list[Cell], list[Finding]]:
    """Return the code cells of a page, and what the gates object to in its source.

    Parameters
    ----------
    page : Page
        The page to look at.
    """
    findings = [*kind_findings(page), *header_findings(page), *label_findings(page)]
    try:
        cells = read_cells(page)
    except Exception as error:  # the reader has its own errors for each bad cell
        message = f"the page cannot be read: {error}"
        return [], [*findings, Finding("header", page.docname, "cells", message)]
    findings += lab_findings(page, cells)
    try:
        without_solutions(page.text)
    except NestedSolution as error:
        findings.append(Finding("solutions", page.docname, "", str(error)))
    except labs.RegionError:
        pass  # told by the gate on labs
    libraries: dict[str, str] = {}
    imported: dict[str, str] = {}
    for cell in cells:
        for line, message in cell_messages(cell, libraries, imported):
            place = f"cell {cell.number} (line {cell.code_line + line})" if line else cell.where
            findings.append(Finding("traps", page.docname, place, message))
    for cell, message in shared_state(cells):
        findings.append(Finding("traps", page.docname, cell.where, message))
    return cells, findings


def header_findings(page: Page) -> Iterator[Finding]:
    """Yield what in a page's header would keep its cells from running, or errors from counting.

    Parameters
    ----------
    page : Page
        The page to look at.
    """

    def finding(message: str) -> Finding:
        return Finding("header", page.docname, "header", message)

    openings = list(CODE_CELL.finditer(page.text))
    for opening in openings:
        if opening[1] not in ("", "python", "ipython3", "ipython"):
            line = page.text.count("\n", 0, opening.start()) + 1
            yield Finding(
                "header",
                page.docname,
                f"line {line}",
                f"a code cell in the language {opening[1]!r} would run as Python all the same; "
                "write {code-cell} ipython3, or show the code in a {code-block}",
            )
    try:
        header = page.header
    except (ValueError, yaml.YAMLError) as error:
        yield finding(f"the front matter cannot be read: {error}")
        return
    if openings and not is_myst_markdown_notebook(page.text):
        yield finding(
            "the page has code cells, but without 'jupytext: {text_representation: "
            "{extension: .md, format_name: myst}}' in its front matter none of them runs; add it"
        )
    elif openings:
        kernel = (header.get("kernelspec") or {}).get("name")
        if kernel != "python3":
            yield finding(
                f"the kernel is {kernel!r}; the page's cells run only with "
                "'kernelspec: {name: python3, display_name: Python 3}'"
            )
    settings = header.get("mystnb") or {}
    for name in sorted(settings):
        if name.startswith("execution_") or name in ("remove_code_outputs", "output_stderr"):
            yield finding(
                f"'mystnb: {{{name}: …}}' changes for this page how cells run or what they show; "
                "remove it"
            )


def label_findings(page: Page) -> Iterator[Finding]:
    """Yield the labels of a page that are not permanent names.

    Parameters
    ----------
    page : Page
        The page to look at.
    """
    for number, line in enumerate(blank_code(page.text).splitlines(), start=1):
        match = LABELS.match(line)
        labels = [label for label in match.groups() if label] if match else []
        labels += INLINE_ID.findall(line)
        for label in labels:
            if not LABEL.fullmatch(label):
                yield Finding(
                    "labels",
                    page.docname,
                    f"line {number}",
                    f"the label {label!r} is not of the form prefix-lowercase-words; "
                    f"the prefixes are {', '.join(f'{p}-' for p in PREFIXES)}",
                )


def blank_code(text: str) -> str:
    r"""Return a page's text with comments, front matter and the content of code fences emptied.

    The number of lines stays the same.  The options of a directive stay, as they hold labels.

    Parameters
    ----------
    text : str
        A page's source.

    Examples
    --------
    >>> blank_code("(sec-a)=\n```python\n(x)=\n```\n% (sec-b)=").split("\n")
    ['(sec-a)=', '```python', '', '```', '']
    """
    result: list[str] = []
    open_fences: list[tuple[str, bool]] = []  # marker, whether the content is no Markdown
    options = False  # whether the lines of options after an opening fence still go on
    front = text.startswith("---\n")
    for number, line in enumerate(text.splitlines()):
        marker, directive, argument = (
            match.groups() if (match := FENCE.match(line)) else ("", "", "")
        )
        bare = marker and not directive and not argument
        inside, opaque = open_fences[-1] if open_fences else ("", False)
        options = options and line.strip().startswith(":")
        keep = not opaque or options
        if front:
            front = number == 0 or line not in ("---", "...")
            keep = False
        elif bare and inside and marker.startswith(inside):
            open_fences.pop()
            keep = True
        elif marker and not opaque:
            open_fences.append((marker, directive in OPAQUE if directive else marker[0] != ":"))
            options = True
        elif line.lstrip().startswith("%"):
            keep = False
        result.append(line if keep else "")
    return "\n".join(result)


def cell_messages(
    cell: Cell, libraries: dict[str, str], imported: dict[str, str]
) -> Iterator[tuple[int, str]]:
    """Yield what a cell may not do, each with a line in the cell from 1 (0: the cell as a whole).

    Parameters
    ----------
    cell : Cell
        The cell to look at.
    libraries : dict
        Name in the page → tag that cells using it need; cells add to it in reading order.
    imported : dict
        Name in the page → dotted name that it was imported from; cells add to it likewise.
    """
    yield from _form(cell)
    lines = cell.source.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith(("%", "!", "?")):
            what = line.split()[0]
            yield (
                number,
                (
                    f"{what} is IPython, not Python, and can swallow a check; "
                    "cells are plain Python: remove it"
                ),
            )
            lines[number - 1] = ""
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError as error:
        if "raises-exception" not in cell.tags:
            yield error.lineno or 0, f"not valid Python: {error.msg}"
        return
    for node in ast.walk(tree):
        yield from ((getattr(node, "lineno", 0), text) for text in _trap(node, imported))
    yield from _tags(tree, cell, libraries)


def _form(cell: Cell) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a cell's size, tags and options."""
    lines = cell.source.splitlines()
    count = len(labs.solved(cell.source).splitlines())
    if count > MAX_LINES:
        yield (
            0,
            (
                f"{count} lines, the limit is {MAX_LINES}: split the cell, or move what is "
                "long and reusable into mathdl"
            ),
        )
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_COLUMNS:
            yield number, f"{len(line)} columns, the limit is {MAX_COLUMNS}: break the line"
    for tag in sorted(cell.tags - TAGS):
        if tag == "skip-execution":
            yield (
                0,
                "tagged skip-execution, but every cell of a page runs; show code that must not run "
                "in a {code-block} with ':class: not-run'",
            )
        else:
            yield 0, f"the tag {tag!r} is none of {', '.join(sorted(TAGS))}"
    if "load" in cell.metadata:
        yield 0, "loads its code from a file, where its reader does not see it; write it here"
    rendering = cell.metadata.get("mystnb") or {}
    if rendering.get("remove_code_outputs"):
        yield 0, "remove_code_outputs hides what the cell showed; remove it"
    name = (rendering.get("figure") or {}).get("name")
    if name is not None and not re.fullmatch(r"fig(?:-[a-z0-9]+)+", name):
        yield 0, f"the figure's name {name!r} is not of the form fig-lowercase-words"
    reason = (cell.metadata.get("mathdl") or {}).get("raises")
    if "raises-exception" in cell.tags and not (isinstance(reason, str) and reason.strip()):
        yield (
            0,
            (
                "tagged raises-exception without a reason; add 'mathdl: {raises: \"why the page "
                "shows this error\"}' to the cell's options"
            ),
        )
    if reason and "raises-exception" not in cell.tags:
        yield 0, "'mathdl: {raises: …}' without the tag raises-exception; add the tag"


def _dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression, empty for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        root = _dotted(node.value)
        return f"{root}.{node.attr}" if root else node.attr
    return ""


def _root(node: ast.AST) -> str:
    """Return the first name of an attribute or item, empty if it starts with none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _trap(node: ast.AST, imported: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with one node of a cell's syntax tree."""
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield from _forbidden_import(alias.name)
                imported[alias.asname or alias.name.partition(".")[0]] = alias.name
        case ast.ImportFrom(module=module, names=names):
            for alias in names:
                yield from _forbidden_import(f"{module}.{alias.name}")
                imported[alias.asname or alias.name] = f"{module}.{alias.name}"
        case ast.ExceptHandler(type=None):
            yield "a bare 'except' swallows a failed check; name the exception that is meant"
        case ast.ExceptHandler(type=kind):
            for name in _broad(kind):
                yield f"'except {name}' swallows a failed check; name the exception that is meant"
        case ast.Try(finalbody=[_, *_]) if _leaves(node.finalbody):
            yield "leaving a 'finally' swallows a failed check; move the statement out of it"
        case ast.Name(id=name) if name in FORBIDDEN_NAMES:
            yield f"{name}: {FORBIDDEN_NAMES[name]}"
        case ast.Attribute(attr=name) if PRIVATE.match(name) and _from_mathdl(node, imported):
            yield f"{_dotted(node)} is private to mathdl; use what its API names"
        case ast.Name() | ast.Attribute():
            yield from _forbidden(_dotted(node))
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield from _forbidden(name)
        case ast.Constant(value=str(text)) if "vnd.mathdl" in text:
            yield f"{text!r}: {BYPASS}"
        case ast.Call():
            yield from _call(node, imported)
    for target in _targets(node):
        source = imported.get(_root(target), "")
        if isinstance(target, ast.Attribute) and source and not source.startswith("torch"):
            yield (
                f"{_dotted(target) or source}: a page must not change what it imports; "
                "write a function of another name"
            )


def _from_mathdl(node: ast.AST, imported: dict[str, str]) -> bool:
    """Return whether an expression starts with a name imported from mathdl."""
    return imported.get(_root(node), "").partition(".")[0].startswith("mathdl")


def _forbidden(dotted: str) -> Iterator[str]:
    """Yield why a dotted name may not be used."""
    for name, why in FORBIDDEN.items():
        if dotted == name or dotted.endswith(f".{name}"):
            yield f"{dotted}: {why}"


def _forbidden_import(dotted: str) -> Iterator[str]:
    """Yield why a dotted name may not be imported."""
    for name, why in FORBIDDEN_IMPORTS.items():
        if dotted == name or dotted.startswith(f"{name}."):
            yield f"import of {dotted}: {why}"
            return
    root, *parts = dotted.split(".")
    if root == "mathdl" and any(PRIVATE.match(part) for part in parts):
        yield f"{dotted} is private to mathdl; use what its API names"
    yield from _forbidden(dotted)


def _broad(kind: ast.expr) -> Iterator[str]:
    """Yield the names in an ``except`` clause that catch a failed check."""
    for part in kind.elts if isinstance(kind, ast.Tuple) else [kind]:
        if (name := _dotted(part).rpartition(".")[2]) in BROAD:
            yield name


def _leaves(body: list[ast.stmt]) -> bool:
    """Return whether a block returns, breaks or continues."""
    kinds = ast.Return | ast.Break | ast.Continue
    return any(isinstance(node, kinds) for statement in body for node in ast.walk(statement))


def _call(node: ast.Call, imported: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with a call."""
    name = _dotted(node.func).rpartition(".")[2]
    if name in ("suppress", "raises"):
        for broad in (b for argument in node.args for b in _broad(argument)):
            yield f"{name}({broad}) swallows a failed check; name the exception that is meant"
    first, second = [*(ast.dump(argument) for argument in node.args[:2]), "", ""][:2]
    if name in ("filterwarnings", "simplefilter") and first == "Constant(value='ignore')":
        yield "silences warnings; mend what warns"
    if name in ("setattr", "delattr") and node.args and _root(node.args[0]) in imported:
        yield f"{name} on {_root(node.args[0])}: a page must not change what it imports"
    if name == "display" and any(k.arg in ("raw", None) for k in node.keywords):
        yield f"display(raw=…): {BYPASS}"
    if name == "check_equal" and first and first == second:
        yield "check_equal compares an expression with itself; compare two routes to it"


def _targets(node: ast.AST) -> list[ast.expr]:
    """Return what a statement assigns to or deletes."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            return targets
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return [target]
    return []


def _tags(tree: ast.Module, cell: Cell, libraries: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield the uses of a library in a cell without the tag it needs, once for each library."""
    reported: set[str] = set()
    for node in ast.walk(tree):
        uses: dict[str, str] = {}
        if isinstance(node, ast.Import):
            for alias in node.names:
                uses[alias.asname or alias.name.partition(".")[0]] = alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            uses = {alias.asname or alias.name: node.module or "" for alias in node.names}
        for name, module in uses.items():
            if tag := TAG_OF_LIBRARY.get(module.partition(".")[0]):
                libraries[name] = tag
            else:
                libraries.pop(name, None)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses = {node.id: ""}
        for name in uses:
            tag = libraries.get(name)
            if tag and tag not in cell.tags and tag not in reported:
                reported.add(tag)
                yield (
                    node.lineno,
                    f"uses {name} without the tag {tag!r}, so the browser would try to run it; "
                    f"add 'tags: [{tag}]'",
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            libraries.pop(node.name, None)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            libraries.pop(node.id, None)


def kind_findings(page: Page) -> Iterator[Finding]:
    """Yield why a file that is built is no page of the book.

    Parameters
    ----------
    page : Page
        The page to look at.
    """
    if page.path.suffix != ".md" or not page.docname.startswith("book/"):
        yield Finding(
            "header",
            page.docname,
            "file",
            f"{page.path.name}: pages are MyST Markdown (.md) below book/, and the gates read "
            "nothing else; move or convert it",
        )


def unbuilt_findings(root: Path, built: set[str]) -> list[Finding]:
    """Return the pages in ``book/`` that the build leaves out, and notebooks with outputs.

    Parameters
    ----------
    root : Path
        Folder that holds ``_config.yml``, ``_toc.yml`` and ``book/``.
    built : set of str
        Document names that Sphinx builds.
    """
    findings = []
    for path in sorted((root / "book").rglob("*")):
        inside = path.relative_to(root)
        if any(part.startswith(("_", ".")) for part in inside.parts) or not path.is_file():
            continue
        docname = inside.with_suffix("").as_posix()
        if path.suffix == ".ipynb":
            findings.append(
                Finding(
                    "header",
                    docname,
                    "file",
                    f"{inside.as_posix()} is a notebook, whose committed outputs could be stale; "
                    "pages are MyST Markdown: 'jupytext --to md:myst' converts it",
                )
            )
        elif path.suffix == ".md" and docname not in built:
            findings.append(
                Finding(
                    "header",
                    docname,
                    "file",
                    "page excluded: the file is in book/ but not built, so nothing in it is "
                    "checked; name it in _toc.yml, take it out of exclude_patterns, or delete it",
                )
            )
    return findings
