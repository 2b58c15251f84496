"""Every page with code as a notebook: its cells without outputs, its text as plain Markdown.

The text is written from what Sphinx has resolved, not from the source: numbers, references and
values are those of the page, and no directive or role is left that a plain notebook would show
raw. References lead to the site. A lab gives two notebooks, the one to fill in and the solved one.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
from docutils import nodes
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from nbformat import NotebookNode, v4

from mathdl_book import labs, markdown, solutions
from mathdl_book.markdown import Writer, details, holds_cells, is_cell
from mathdl_book.pages import Page
from mathdl_book.repository import git
from mathdl_book.running import tags

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FOLDER = "notebooks"
SOLVED = "-solved"
# What a page's cells import, by the name under which pip knows it.
PACKAGES = {
    "matplotlib": "matplotlib",
    "torch": "torch",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}


def text_and_cells(writer: Writer, doctree: nodes.document) -> list[str | tuple[int, bool]]:
    """Return a page as texts in Markdown and code cells, in reading order.

    Parameters
    ----------
    writer : Writer
        What writes the text.
    doctree : nodes.document
        The page, resolved.

    Returns
    -------
    list of str or (int, bool)
        Text; or the index of a code cell among all cells of the page, and whether it stands in a
        solution.
    """
    parts: list[str | tuple[int, bool]] = []
    texts: list[str] = []

    def flush() -> None:
        if text := "\n\n".join(filter(None, texts)):
            parts.append(text)
        texts.clear()

    def walk(node: nodes.Node, solution: bool) -> None:
        if is_cell(node):
            flush()
            parts.append((node["cell_index"], solution))
            texts.extend(writer.block(figure) for figure in node.findall(nodes.figure))
        elif not isinstance(node, nodes.Element) or not holds_cells(node):
            texts.append(writer.block(node))
        elif type(node).__name__ == "solution_node":
            flush()
            before = len(parts)
            title, body = writer.titled(node)
            for child in body:
                walk(child, True)
            flush()
            for place in range(before, len(parts)):  # each text of the solution closed by itself
                if isinstance(parts[place], str):
                    parts[place] = details(title, parts[place])
        else:
            for child in node:
                walk(child, solution)

    walk(doctree, False)
    flush()
    return parts


def setup_code(sources: Iterable[str], repository: str, commit: str) -> str:
    """Return the first cell of a notebook: it installs what the place it runs in lacks.

    Parameters
    ----------
    sources : iterable of str
        Code of the page's cells.
    repository : str
        Web address of the repository.
    commit : str
        Commit, branch or tag.
    """
    imported: set[str] = set()
    for source in sources:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue  # an error shown on purpose
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
                if node.module == "mathdl" and any(a.name == "plots" for a in node.names):
                    imported.add("matplotlib")
    needed = ["numpy", *(name for name in PACKAGES if name in imported)]
    listed = "\n".join(f'    "{name}": "{PACKAGES.get(name, name)}",' for name in needed)
    # An archive can be had without git.
    github = urlsplit(repository).netloc == "github.com"
    library = "{repository}/archive/{commit}.zip" if github else "git+{repository}@{commit}"
    return f"""\
# Install what is missing here: the book's library as it was for this page,
# and what it needs.
import subprocess
import sys
from importlib.util import find_spec

repository = "{repository}"
commit = "{commit}"
library = f"{library}"
packages = {{
{listed}
}}
missing = [packages[name] for name in packages if find_spec(name) is None]
pip = [sys.executable, "-m", "pip", "install", "--quiet"]
if missing:
    subprocess.check_call([*pip, *missing])
if find_spec("mathdl") is None:
    subprocess.check_call([*pip, "--no-deps", library])"""


def site_address(base: str, repository: str, docname: str) -> str:
    """Return the address of the site as a notebook can use it, with a slash at its end.

    Parameters
    ----------
    base : str
        ``html_baseurl``, where it is set.
    repository : str
        Web address of the repository: GitHub publishes its pages at a known place.
    docname : str
        The page, from whose notebook a relative address is told where nothing else is known.

    Examples
    --------
    >>> site_address("", "https://github.com/someone/book", "book/a/b")
    'https://someone.github.io/book/'
    >>> site_address("", "https://git.example.org/someone/book", "book/a/b")
    '../../'
    """
    if base:
        return base.rstrip("/") + "/"
    parts = urlsplit(repository)
    owner, _, name = parts.path.strip("/").partition("/")
    if parts.netloc == "github.com" and name:
        own = name.lower() == f"{owner}.github.io".lower()
        return f"https://{owner.lower()}.github.io/" + ("" if own else f"{name}/")
    return "../" * (notebook_name(docname).count("/"))


def notebook_name(docname: str, solved: bool = False) -> str:
    """Return the path of a page's notebook below the site's root.

    Examples
    --------
    >>> notebook_name("book/labs/lab-1", solved=True)
    'notebooks/labs/lab-1-solved.ipynb'
    """
    return f"{FOLDER}/{docname.removeprefix('book/')}{SOLVED if solved else ''}.ipynb"


def is_lab(page: NotebookNode) -> bool:
    """Return whether a page has cells to fill in."""
    return any({labs.TAG, solutions.TO_FILL_IN} & set(tags(cell)) for cell in page.cells)


def make_notebook(
    page: NotebookNode,
    parts: Sequence[str | tuple[int, bool]],
    *,
    head: str,
    setup: str,
    solved: bool = True,
) -> NotebookNode:
    """Return the notebook of a page.

    Parameters
    ----------
    page : NotebookNode
        The page as the build reads it.
    parts : sequence
        Its texts and cells, see `text_and_cells`; cells that show nothing may be missing.
    head : str
        What is said below the title.
    setup : str
        Code of the first cell.
    solved : bool
        Whether what is to be filled in is filled in.
    """
    cells: list[NotebookNode] = []
    code = [index for index, cell in enumerate(page.cells) if cell.cell_type == "code"]

    def add_code(index: int, solution: bool) -> None:
        cell = page.cells[index]
        if solutions.LEFT_OUT in tags(cell):
            return
        source = cell.source
        if labs.TAG in tags(cell):
            source = labs.solved(source) if solved else labs.starter(source)
        new = v4.new_code_cell(source, metadata={"tags": kept} if (kept := tags(cell)) else {})
        folded = {"hide-input", "hide-cell", "remove-input"} & set(kept)
        if solution or folded:  # for JupyterLab, and for Colab
            hidden = {"jupyter": {"source_hidden": True}, "cellView": "form"}
            new.metadata.update(nbformat.from_dict(hidden))
        cells.append(new)

    first = True
    for part in parts:
        if isinstance(part, str):
            if first:
                title, _, rest = part.partition("\n")
                texts = [f"{title}\n\n{head}", rest.strip()]
                cells += [v4.new_markdown_cell(texts[0]), v4.new_code_cell(setup)]
                cells += [v4.new_markdown_cell(texts[1])] if texts[1] else []
                first = False
            else:
                cells.append(v4.new_markdown_cell(part))
            continue
        index, solution = part
        while code and code[0] < index:  # runs, but shows nothing on the page
            add_code(code.pop(0), solution)
        add_code(code.pop(0), solution)
    for index in code:
        add_code(index, False)
    seen: dict[str, int] = {}
    for cell in cells:  # the same id as long as the cell is the same
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    language = {"name": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": language})


# --- Sphinx ----------------------------------------------------------------------------------


@functools.cache
def commit_of(root: str) -> str:
    """Return the commit that is built: CI's, else git's, empty where neither says.

    Parameters
    ----------
    root : str
        Root of the book.
    """
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        if os.environ.get(name):
            return os.environ[name]
    return git(Path(root), "rev-parse", "HEAD")


def page_of(env: BuildEnvironment, docname: str) -> NotebookNode | None:
    """Return a page as the build reads it, None if it has no code cells."""
    page = Page(docname, Path(env.doc2path(docname)))
    if not is_myst_markdown_notebook(page.text):
        return None
    text = solutions.shown(env.app, docname).text
    notebook = read_myst_markdown_notebook(text, config=env.myst_config, path=page.path)
    return notebook if any(cell.cell_type == "code" for cell in notebook.cells) else None


def write_notebooks(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write the notebooks of a page that is about to be written."""
    if app.builder.name != "html" or docname not in app.env.found_docs:
        return
    page = page_of(app.env, docname)
    if page is None:
        return
    options = app.config.html_theme_options
    repository = options.get("repository_url", "")
    site = site_address(app.config.html_baseurl, repository, docname)
    writer = Writer(
        docname,
        site,
        app.env.toc_fignumbers.get(docname, {}),
        app.env.toc_secnumbers.get(docname, {}),
        app.mathdl_typesetter.macros,
    )
    parts = text_and_cells(writer, doctree)
    commit = commit_of(str(app.srcdir)) or options.get("repository_branch") or "main"
    sources = [cell.source for cell in page.cells if cell.cell_type == "code"]
    setup = setup_code(sources, repository, commit)
    book = app.config.html_title or app.config.project
    lab = is_lab(page)
    left_out = solutions.left_out(app)
    for solved in (False,) if left_out and lab else (False, True) if lab else (True,):
        what = (
            ("The solved version" if solved else "The version to fill in") if lab else "A notebook"
        )
        head = (
            f"*{what} of [this page]({site}{docname}.html) of {book}. "
            "Its first cell installs what is missing.*"
        )
        try:
            made = make_notebook(page, parts, head=head, setup=setup, solved=solved)
        except labs.RegionError:
            return  # the gates refuse the page, and say why
        path = Path(app.outdir) / notebook_name(docname, solved=lab and solved)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(made) + "\n", encoding="utf-8")


def remove_stale(app: Sphinx, error: Exception | None) -> None:
    """Remove the notebooks of pages that are gone."""
    if error is not None or app.builder.name != "html":
        return
    wanted = {
        notebook_name(name, solved) for name in app.env.found_docs for solved in (False, True)
    }
    for path in (Path(app.outdir) / FOLDER).rglob("*.ipynb"):
        if path.relative_to(app.outdir).as_posix() not in wanted:
            path.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the notebooks."""
    sources = [Path(module.__file__) for module in (labs, markdown, solutions)]
    text = b"".join(path.read_bytes() for path in (*sources, Path(__file__)))
    rules = hashlib.sha256(text).hexdigest()
    app.add_config_value("mathdl_notebook_rules", rules, "html")  # a change writes every page anew
    app.connect("doctree-resolved", write_notebooks, priority=950)
    app.connect("build-finished", remove_stale)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
