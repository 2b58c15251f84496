"""The page kit: what an author of a chapter has at hand beyond MyST.

The book's part of a page's header is checked against a schema, and ``{in-this-chapter}`` draws its
box. Solutions and proofs of class ``dropdown`` become native ``<details>``, which open without a
script, when printed and when a link leads into them.
"""

from __future__ import annotations

import ast
import inspect
import json
import pydoc
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from mathdl_book.pages import Page

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

SCHEMA = Path(__file__).parent / "static" / "schemas" / "front-matter.schema.json"
CHANGELOG_MARK = "<!-- CHANGELOG.md -->"
DIFFICULTY = {1: "first steps", 2: "standard", 3: "demanding"}
# Ids that sphinx-proof and sphinx-exercise give to every one of their boxes alike.
REPEATED_IDS = frozenset({"proof", "proof-content", "exercise-content", "solution-content"})
# What Python says of each field of a named tuple.
ALIAS = re.compile(r"Alias for field number \d+")

logger = logging.getLogger(__name__)


@cache
def _validator() -> jsonschema.protocols.Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def header_errors(page: Page) -> list[str]:
    """Return what is wrong with the book's part of a page's header.

    Parameters
    ----------
    page : Page
        A page of the book; one without ``mathdl`` in its header has nothing to be wrong.

    Returns
    -------
    list of str
        One sentence an error, with the field it is about.
    """
    try:
        header = page.header
    except (ValueError, yaml.YAMLError) as error:
        return [f"the header is not valid YAML: {' '.join(str(error).split())}"]
    if "mathdl" not in header:
        return []
    errors = []
    for error in sorted(_validator().iter_errors(header["mathdl"]), key=lambda e: list(e.path)):
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
        errors.append(f"mathdl{field}: {error.message}")
    ids = [item.get("id") for item in page.meta.get("objectives") or [] if isinstance(item, dict)]
    errors += [
        f"mathdl.objectives: the id {name!r} is given twice"
        for name in sorted({name for name in ids if name and ids.count(name) > 1})
    ]
    return errors


def check_header(app: Sphinx, docname: str, source: list[str]) -> None:
    """Warn of every error in the header of a page about to be read."""
    for error in header_errors(Page(docname, Path(app.env.doc2path(docname)))):
        logger.warning("%s", error, location=docname, type="mathdl", subtype="header")


class InThisChapter(SphinxDirective):
    """The box of objectives, minutes, difficulty and what to know first, from the header."""

    def run(self) -> list[nodes.Node]:
        """Return the box."""
        page = Page(self.env.docname, Path(self.env.doc2path(self.env.docname)))
        if header_errors(page):
            return []  # each has been a warning already
        if "objectives" not in page.meta:
            raise self.error("in-this-chapter: the page's header states no objectives")
        meta = page.meta
        box = nodes.container(classes=["in-this-chapter"])
        kind = "lab" if "labs" in self.env.docname.split("/") else "chapter"
        title = nodes.paragraph("", f"In this {kind} you learn to", classes=["in-title"])
        box += [title, self._objectives(meta["objectives"])]
        facts = nodes.bullet_list(classes=["in-facts"])
        level = meta["difficulty"]
        stars = "★" * level + "☆" * (3 - level)
        facts += self._fact("Time", [nodes.Text(f"{meta['minutes']} minutes")])
        facts += self._fact(
            "Level",
            [nodes.inline("", stars, classes=["stars"]), nodes.Text(f" {DIFFICULTY[level]}")],
        )
        if meta.get("needs"):
            facts += self._fact("Know first", self._links(meta["needs"]))
        if meta.get("feeds"):
            facts += self._fact("Used in", self._links(meta["feeds"]))
        box += facts
        return [box]

    def _objectives(self, objectives: list[dict[str, str]]) -> nodes.bullet_list:
        items = nodes.bullet_list(classes=["in-objectives"])
        domain = self.env.get_domain("std")
        for objective in objectives:
            text, messages = self.parse_inline(objective["text"], lineno=self.lineno)
            line = nodes.paragraph("", "", *text, *messages)
            title = line.astext()
            level = nodes.inline("", objective["level"], classes=["bloom"])
            line += [nodes.Text(" "), level]
            item = nodes.list_item("", line, ids=[objective["id"]])
            domain.note_hyperlink_target(objective["id"], self.env.docname, objective["id"], title)
            items += item
        return items

    def _fact(self, name: str, value: list[nodes.Node]) -> nodes.list_item:
        term = nodes.inline("", name, classes=["in-fact"])
        return nodes.list_item("", nodes.paragraph("", "", term, nodes.Text(" "), *value))

    def _links(self, targets: list[str]) -> list[nodes.Node]:
        links: list[nodes.Node] = []
        for target in targets:
            if links:
                links.append(nodes.Text(", "))
            section = target.startswith("sec-")
            root = self.env.docname.partition("/")[0] if "/" in self.env.docname else ""
            links.append(
                addnodes.pending_xref(
                    "",
                    nodes.inline("", target),
                    refdomain="std",
                    reftype="ref" if section else "doc",
                    reftarget=target if section else f"/{root}/{target}".replace("//", "/"),
                    refdoc=self.env.docname,
                    refexplicit=False,
                    refwarn=True,
                )
            )
        return links


def module_summary(name: str) -> str:
    """Return the first line of a module's docstring, without importing it.

    Parameters
    ----------
    name : str
        Full name of the module.

    Raises
    ------
    ModuleNotFoundError
        If there is no such module.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {name}")
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


class ApiModules(SphinxDirective):
    """The modules of the library that have a page beside this one, each with its first line."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        folder = self.env.docname.rpartition("/")[0]
        names = sorted(
            page.rpartition("/")[2]
            for page in self.env.found_docs
            if page.startswith(f"{folder}/") and page != self.env.docname
        )
        items = nodes.definition_list(classes=["api-modules"])
        for name in names:
            summary = module_summary(f"mathdl.{name}")
            self.env.note_dependency(find_spec(f"mathdl.{name}").origin)
            link = addnodes.pending_xref(
                "",
                nodes.literal("", f"mathdl.{name}"),
                refdomain="std",
                reftype="doc",
                reftarget=f"/{folder}/{name}",
                refdoc=self.env.docname,
                refexplicit=True,
                refwarn=True,
            )
            text, messages = self.parse_inline(summary.replace("``", "`"), lineno=self.lineno)
            items += nodes.definition_list_item(
                "",
                nodes.term("", "", link),
                nodes.definition("", nodes.paragraph("", "", *text, *messages)),
            )
        return [items]


def labelled(changelog: str) -> str:
    r"""Return a changelog whose versions have labels, as the headings of every page.

    Parameters
    ----------
    changelog : str
        Its Markdown, the title's line included; that line is left out, and what is below a
        version's heading has bold lines for headings.

    Examples
    --------
    >>> print(labelled("# Changelog\n\n## [1.2.0] - 2027-01-31\n\n### Added\n\n- A lab."))
    (sec-changelog-1-2-0)=
    ## [1.2.0] - 2027-01-31
    <BLANKLINE>
    **Added**
    <BLANKLINE>
    - A lab.
    """

    def label(heading: re.Match[str]) -> str:
        version = heading[1].partition(" - ")[0].lower()
        slug = re.sub(r"[^a-z0-9]+", "-", version).strip("-")
        return f"(sec-changelog-{slug})=\n{heading[0]}"

    _, _, text = changelog.partition("\n")
    text = re.sub(r"^## (.+)$", label, text, flags=re.MULTILINE)
    return re.sub(r"^###+ (.+)$", r"**\1**", text, flags=re.MULTILINE).strip()


def insert_changelog(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the changelog in the place of its mark."""
    if CHANGELOG_MARK in source[0]:
        path = Path(app.srcdir) / "CHANGELOG.md"
        app.env.note_dependency(str(path))
        text = labelled(path.read_text(encoding="utf-8"))
        source[0] = source[0].replace(CHANGELOG_MARK, text)


def plain_docstring(lines: list[str]) -> list[str]:
    r"""Return the lines of a docstring so that reStructuredText reads them as they look.

    Absolute values are no substitutions, and references are numbered within one docstring only.

    Parameters
    ----------
    lines : list of str
        A docstring.

    Examples
    --------
    >>> plain_docstring(["Return |x| as in [1]_, see ``a | b``.", ".. [1] Knuth."])
    ['Return \\|x\\| as in [1], see ``a | b``.', '[1] Knuth.']
    """
    plain = []
    example = reference = False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if example:
            plain.append(line)
            continue
        started = re.match(r"\s*\.\. (?=\[\d+\])", line)
        reference = bool(started) or (reference and bool(line.strip()))
        if reference:  # a reference's later lines are indented under its mark
            line = line[started.end() :] if started else line.lstrip()
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        for place in range(0, len(parts), 2):
            parts[place] = re.sub(r"(\[\d+\])_", r"\1", parts[place]).replace("|", r"\|")
        plain.append("".join(parts))
    return plain


def without_attributes(lines: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Take the section of attributes out of a class's docstring.

    Parameters
    ----------
    lines : list of str
        A NumPy docstring without indentation.

    Returns
    -------
    list of str
        What is left of it.
    dict
        Of each attribute, the lines about it: its type, and what it is.

    Examples
    --------
    >>> doc = ["A line.", "", "Attributes", "----------", "a, b : float", "    Its ends."]
    >>> rest, attributes = without_attributes(doc)
    >>> rest, attributes["b"]
    (['A line.', ''], ['float.', 'Its ends.'])
    """
    ruled = [k for k, line in enumerate(lines) if k and re.fullmatch("-{3,}", line)]
    begins = [k - 1 for k in ruled if lines[k - 1] == "Attributes"]
    if not begins:
        return lines, {}
    begin = begins[0]
    end = min((k - 1 for k in ruled if k - 1 > begin), default=len(lines))
    about: dict[str, list[str]] = {}
    entry: list[str] = []
    for line in lines[begin + 2 : end]:
        if line[:1].strip():
            names, _, kind = line.partition(" : ")
            entry = [f"{kind}."]
            about.update(dict.fromkeys(names.split(", "), entry))
        else:
            entry.append(line.strip())
    return lines[:begin] + lines[end:], about


def process_docstring(
    app: Sphinx, what: str, name: str, object_: Any, options: Any, lines: list[str]
) -> None:
    """Hand autodoc the docstring as it looks; each field of a named tuple has its own."""
    if isinstance(object_, type) and issubclass(object_, tuple):
        rest, about = without_attributes(lines)
        if about.keys() <= set(getattr(object_, "_fields", ())):
            lines[:] = rest
    elif ALIAS.fullmatch(" ".join(lines).strip()):
        owner, _, field = name.rpartition(".")
        described = inspect.cleandoc(pydoc.locate(owner).__doc__ or "").splitlines()
        lines[:] = without_attributes(described)[1].get(field, [])
    lines[:] = plain_docstring(lines)


def drop_repeated_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take away the ids that every proof, theorem, exercise and solution has alike."""
    for element in doctree.findall(nodes.Element):
        if REPEATED_IDS.intersection(element.get("ids", ())) and not element.get("names"):
            element["ids"] = [name for name in element["ids"] if name not in REPEATED_IDS]


def visit_solution(self: HTML5Translator, node: nodes.Element) -> None:
    """Open a solution: a ``<details>`` if its class says ``dropdown``."""
    if "dropdown" not in node["classes"]:
        self.body.append(self.starttag(node, "div", CLASS="admonition"))
        return
    self.body.append(self.starttag(node, "details", CLASS="admonition"))
    title = node.pop(0)
    self.body.append('<summary class="admonition-title">')
    for child in title.children:
        child.walkabout(self)
    self.body.append("</summary>\n")


def depart_solution(self: HTML5Translator, node: nodes.Element) -> None:
    """Close a solution."""
    tag = "details" if "dropdown" in node["classes"] else "div"
    self.body.append(f"</{tag}>\n")


def open_solutions_natively(app: Sphinx) -> None:
    """Draw the solutions of sphinx-exercise as details, where that extension is loaded."""
    if "sphinx_exercise" in app.extensions:
        from sphinx_exercise.nodes import solution_node

        app.add_node(solution_node, override=True, html=(visit_solution, depart_solution))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and checks of the page kit."""
    app.add_directive("in-this-chapter", InThisChapter)
    app.add_directive("api-modules", ApiModules)
    if "sphinx.ext.autodoc" in app.extensions:
        app.connect("autodoc-process-docstring", process_docstring, priority=100)
    app.connect("builder-inited", open_solutions_natively)
    app.connect("source-read", check_header)
    app.connect("source-read", insert_changelog)
    app.connect("doctree-resolved", drop_repeated_ids)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
