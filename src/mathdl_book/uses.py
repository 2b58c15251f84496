"""From each object of the API back to the chapters that speak of it or call it.

What a chapter uses is read off its doctree: the API links in its text, and the names in its cells
that an import from `mathdl` has given. A chapter is linked once, at the section where its text
first names the object, or else at the one whose cell first uses it.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes

from .pages import toc_docnames
from .perpage import PerPage

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

PACKAGE = "mathdl"


def names_used(code: str, imported: dict[str, str]) -> list[str]:
    r"""Return the package's objects that a cell uses, by full name.

    Parameters
    ----------
    code : str
        The cell. One that is no Python uses nothing.
    imported : dict of str to str
        Full name by the name that the page's imports gave it; this cell's are added.

    Examples
    --------
    >>> imported = {}
    >>> names_used("from mathdl import losses as L\nfrom mathdl.mlp import MLP", imported)
    []
    >>> names_used("net = MLP([2, 3])\nL.mse_loss(net(x), y) + np.abs(L.mse_loss(x, y))", imported)
    ['mathdl.mlp.MLP', 'mathdl.losses.mse_loss']
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            if node.module.partition(".")[0] == PACKAGE:
                for name in node.names:
                    imported[name.asname or name.name] = f"{node.module}.{name.name}"
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.partition(".")[0] == PACKAGE:
                    imported[name.asname or PACKAGE] = name.name if name.asname else PACKAGE
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and (full := _full_name(node, imported)):
            found[full] = None
    return [name for name in found if name.count(".") > 1]  # not the modules by themselves


def _full_name(node: ast.expr, imported: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return imported.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _full_name(node.value, imported)
        return f"{owner}.{node.attr}" if owner else None
    return None


def uses_in(doctree: nodes.document) -> dict[str, str]:
    """Return the label of the section in which a page first speaks of each of the objects.

    Parameters
    ----------
    doctree : document
        The page as read, its references unresolved.
    """
    spoken: dict[str, str] = {}
    called: dict[str, str] = {}
    imported: dict[str, str] = {}
    for node in doctree.findall():
        if isinstance(node, addnodes.pending_xref) and node.get("refdomain") == "py":
            spoken.setdefault(node["reftarget"], _section(node))
        elif isinstance(node, nodes.container) and node.get("nb_element") == "cell_code":
            source = next(iter(node.findall(nodes.literal_block)), None)
            if source is not None and "cell_input" in node[0].get("classes", ()):
                for name in names_used(source.astext(), imported):
                    called.setdefault(name, _section(node))
    own = f"{PACKAGE}."
    return {name: at for name, at in (called | spoken).items() if at and name.startswith(own)}


def _section(node: nodes.Node) -> str:
    """Return the label of the nearest section around a node; a solution has none of its own."""
    while node is not None:
        for name in node.get("ids", ()) if isinstance(node, nodes.section) else ():
            if name.startswith("sec-"):
                return name
        node = node.parent
    return ""


def used_in(uses: dict[str, dict[str, str]], docnames: list[str]) -> dict[str, list[list[str]]]:
    """Return where each object is used, chapter by chapter.

    Parameters
    ----------
    uses : dict
        Page → object → section, as from `uses_in`.
    docnames : list of str
        All pages in reading order.

    Examples
    --------
    >>> used_in({"b": {"mathdl.x.f": "sec-b"}, "a": {"mathdl.x.f": "sec-a"}}, ["a", "b"])
    {'mathdl.x.f': [['a', 'sec-a'], ['b', 'sec-b']]}
    """
    found: dict[str, list[list[str]]] = {}
    for docname in docnames:
        for name, section in uses.get(docname, {}).items():
            found.setdefault(name, []).append([docname, section])
    return found


class Uses(PerPage):
    """Keeps which objects each page uses."""

    kept_as = "mathdl_uses"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> dict[str, str]:
        """Return the uses of a page; the API's own pages describe, and use nothing."""
        described = any(doctree.findall(addnodes.desc))
        return {} if described else uses_in(doctree)


def _rewritten(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return the API pages on which a list of chapters has changed since they were written."""
    app._mathdl_used_in = used_in(Uses.of(env), toc_docnames(Path(app.srcdir)))
    by_page: dict[str, list[Any]] = {}
    for name, entry in env.domaindata["py"]["objects"].items():
        places = [[*at, env.titles[at[0]].astext()] for at in app._mathdl_used_in.get(name, ())]
        by_page.setdefault(entry.docname, []).append([name, places])
    before = getattr(env, "mathdl_uses_shown", {})
    env.mathdl_uses_shown = by_page
    return sorted(page for page, shown in by_page.items() if before.get(page) != shown)


def _show(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the chapters below each described object."""
    for description in doctree.findall(addnodes.desc):
        if description.get("domain") != "py" or not description[0]["ids"]:
            continue
        places = app._mathdl_used_in.get(description[0]["ids"][0])
        if places:
            line = nodes.paragraph("", "Used in ", classes=["used-in"])
            for number, (page, section) in enumerate(places):
                if number:
                    line += nodes.Text(", ")
                uri = f"{app.builder.get_relative_uri(docname, page)}#{section}"
                title = app.env.titles[page].astext()
                line += nodes.reference("", title, internal=True, refuri=uri)
            description[-1].append(line)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the collector and the hooks with Sphinx."""
    app.add_env_collector(Uses)
    app.connect("env-get-updated", _rewritten)
    app.connect("doctree-resolved", _show)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
