"""What the search page looks in: words, names, and the text of each page.

``_static/search-index.js`` has the pages on which each word is, as Sphinx found them;
``_static/search-things.js`` has everything that has a name or a number; ``_static/search/`` has the
text of every page by sections, of which the search page loads the few that it shows excerpts of.
All of it are scripts, since a page opened from a folder may load nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

from .catalogue import entries
from .wording import text_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

    from .typesetting import Typesetter

KINDS = {"page", "section", "step", "claim", "definition", "theorem", "exercise", "figure", "table"}


def sections(
    doctree: nodes.document, typesetter: Typesetter | None = None
) -> list[tuple[str, str, str]]:
    """Return id, title and text of each section of a page; the first has the id of none.

    Parameters
    ----------
    doctree : document
        The page, references resolved.
    typesetter : Typesetter or None
        What formulas are put into words with.
    """
    found = []
    for section in doctree.findall(nodes.section):
        parts: list[str] = []
        for child in section.children:
            if not isinstance(child, nodes.section | nodes.title):
                parts += _text(child, typesetter)
        text = " ".join(" ".join(parts).split())
        title = section.next_node(nodes.title)
        first = isinstance(section.parent, nodes.document)
        name = "" if first else (section["ids"] or [""])[0]
        if text:
            found.append((name, text_of(title, typesetter) if title is not None else "", text))
    return found


def _text(node: nodes.Node, typesetter: Typesetter | None) -> Iterator[str]:
    """Yield what a reader reads in a node, formulas on lines of their own left out."""
    if isinstance(node, nodes.raw | nodes.comment | nodes.math_block | nodes.target):
        return
    if isinstance(node, nodes.Text):
        yield node.astext()
    elif isinstance(node, nodes.math):
        yield text_of(node, typesetter)
    elif isinstance(node, nodes.TextElement):
        yield "".join(part for child in node.children for part in _text(child, typesetter))
    else:
        for child in node.children:
            yield from _text(child, typesetter)


def things(env: BuildEnvironment) -> list[list[str]]:
    """Return kind, number, title, label and address of everything that can be asked for by name.

    Parameters
    ----------
    env : BuildEnvironment
        After all pages have been read.
    """
    listed = []
    for entry in entries(env):
        if entry["kind"] in KINDS:
            words = entry["id"].partition("-")[2].replace("-", " ")
            address = entry["url"] if entry["kind"] != "page" else f"{entry['page']}.html"
            title = entry["title"] or words
            listed.append([entry["kind"], entry["number"], title, entry["id"], address])
    for name, one in sorted(env.get_domain("py").objects.items()):
        listed.append(["function", "", name, "", f"{one.docname}.html#{one.node_id}"])
    for (kind, name), (docname, label) in sorted(env.get_domain("std").objects.items()):
        if kind == "term":
            listed.append(["term", "", name, "", f"{docname}.html#{label}"])
    return listed


def write_text(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write the text of a page about to be written."""
    if doctree is None or app.builder.format != "html" or app.builder.name == "epub":
        return
    path = Path(app.outdir) / "_static" / "search" / f"{pagename}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = sections(doctree, getattr(app, "mathdl_typesetter", None))
    data = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    name = json.dumps(pagename)
    path.write_text(f"Search.texts[{name}]={data};\n", encoding="utf-8")


def words(index: str) -> dict[str, Any]:
    """Return what the search page needs of Sphinx's index, two thirds of it.

    Parameters
    ----------
    index : str
        Text of ``searchindex.js``.

    Returns
    -------
    dict
        Names of the pages, and by stem of a word the numbers of the pages with it in their text
        (``terms``) and in their titles (``titleterms``).

    Examples
    --------
    >>> words('Search.setIndex({"docnames":["a"],"objects":{},"terms":{"loss":0},"titleterms":{}})')
    {'docnames': ['a'], 'terms': {'loss': 0}, 'titleterms': {}}
    """
    whole = json.loads(index[index.index("(") + 1 : index.rindex(")")])
    return {key: whole[key] for key in ("docnames", "terms", "titleterms")}


def write_lists(app: Sphinx, exception: Exception | None) -> None:
    """Write where each word is, and what can be asked for by name."""
    if exception or app.builder.format != "html" or app.builder.name == "epub":
        return
    out = Path(app.outdir)
    index = words((out / "searchindex.js").read_text(encoding="utf-8"))
    for name, listed in (("index", index), ("things", things(app.env))):
        data = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
        path = out / "_static" / f"search-{name}.js"
        path.write_text(f"Search.{name}={data};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.connect("html-page-context", write_text)
    app.connect("build-finished", write_lists)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
