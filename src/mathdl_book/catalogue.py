"""Everything in the book that can be linked to, with what a reader or a teacher must know of it.

Each page is looked through once, when it is read; numbers come from Sphinx when all have been.
`sections.json` and `sections.csv` hold the whole list, and directives draw tables from it: the
objectives, the roadmap, the ways through the book with their hours, what each page takes to run.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import jsonschema
import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .execution import measured
from .kit import header_errors
from .pages import Page, toc_docnames
from .perpage import PerPage
from .wording import text_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

    from .typesetting import Typesetter

SCHEMA = Path(__file__).parent / "static" / "schemas" / "sections.schema.json"
VERSION = 1
COLUMNS = ("id", "kind", "number", "title", "part", "page", "url", "minutes", "difficulty", "gpu")
# What an id's beginning says of the thing; sections depend on where they stand.
KINDS = {
    "def": "definition",
    "dfn": "definition",
    "eq": "claim",
    "ex": "exercise",
    "fig": "figure",
    "obj": "objective",
    "step": "step",
    "tbl": "table",
    "thm": "theorem",
}
NUMBERED = {
    "claim": "displaymath",
    "definition": "displaymath",
    "exercise": "exercise",
    "figure": "figure",
    "table": "table",
}

logger = logging.getLogger(__name__)


# ---- looking through a page ----------------------------------------------------------------


def things_in(
    doctree: nodes.document, typesetter: Typesetter | None = None
) -> list[dict[str, Any]]:
    """Return what a page holds that can be linked to, in reading order.

    Parameters
    ----------
    doctree : document
        The page as read.
    typesetter : Typesetter or None
        What formulas in titles are put into words with.

    Returns
    -------
    list of dict
        ``id``, ``kind``, ``title``, ``depth`` and, of sections, ``share``: the part of the page's
        words that stand in them, exercises and solutions apart; ``torch``: whether a section has
        cells that would run on a GPU; ``stars`` of exercises; ``line`` of objectives: their text as
        nodes.
    """
    total = max(1, _words(doctree))
    found: list[dict[str, Any]] = []
    for node in doctree.findall(nodes.Element):
        name = next((n for n in _ids(node) if n.partition("-")[0] in {*KINDS, "sec"}), None)
        if name is None or isinstance(node, nodes.target):
            continue
        prefix = name.partition("-")[0]
        thing = {
            "id": name,
            "kind": KINDS.get(prefix, "section"),
            "title": _title(node, typesetter),
        }
        if prefix == "obj":  # with its formulas, for tables
            thing["line"] = [part.deepcopy() for part in _line(node)]
        if prefix == "ex":
            title = node.next_node(nodes.title)
            thing["stars"] = title.astext().count("★") if title is not None else 0
        if isinstance(node, nodes.section):
            depth = sum(isinstance(above, nodes.section) for above in _above(node))
            if depth == 0:
                thing["kind"] = "page"
            thing |= {"depth": depth, "share": _words(node) / total, "torch": _uses_torch(node)}
            thing["within"] = [n for above in _above(node) for n in _ids(above)]
        elif prefix in ("sec", "step"):
            continue
        found.append(thing)
    return found


def _ids(node: nodes.Element) -> list[str]:
    if isinstance(node, nodes.math_block):
        return [node["label"]] if node.get("label") else []
    return node.get("ids") or []


def _above(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _uses_torch(section: nodes.Element) -> bool:
    return any("tag_torch" in cell["classes"] for cell in section.findall(nodes.container))


def _title(node: nodes.Element, typesetter: Typesetter | None) -> str:
    if isinstance(node, nodes.list_item):
        return "".join(text_of(part, typesetter) for part in _line(node)).strip()
    title = next(iter(node.findall(lambda n: isinstance(n, nodes.title | nodes.caption))), None)
    if title is None:
        return ""
    # An exercise's title begins with what all of them are called.
    own = [child for child in title.children if type(child).__name__.endswith("_subtitle")]
    said = "".join(text_of(part, typesetter) for part in own or [title])
    text = " ".join(said.split()).rstrip(" ★")
    if isinstance(title, nodes.caption):  # says at the beginning what it is the caption of
        sentence = re.match(r".*?[.?!](?=\s+[A-Z(])", text)
        return sentence[0] if sentence else text
    return text[1:-1] if re.fullmatch(r"\(.*\)", text) else text


def _line(objective: nodes.Element) -> list[nodes.Node]:
    """Return what an objective says, without its level."""
    parts = next(iter(objective.findall(nodes.paragraph))).children
    return [p for p in parts if not (isinstance(p, nodes.inline) and "bloom" in p["classes"])]


def _words(node: nodes.Node) -> int:
    """Return how many words and formulas' words an attentive reader reads, exercises apart."""
    kind = type(node).__name__
    if kind.startswith(("exercise", "solution")) or isinstance(node, nodes.raw | nodes.Invisible):
        return 0
    if isinstance(node, nodes.Text):
        return len(node.astext().split())
    return sum(map(_words, node.children))


class Things(PerPage):
    """Keeps what each page holds."""

    kept_as = "mathdl_things"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> list[dict[str, Any]]:
        """Return what a page holds."""
        return things_in(doctree, getattr(env.app, "mathdl_typesetter", None))


# ---- the whole list ------------------------------------------------------------------------


def parts(root: Path) -> dict[str, str]:
    """Return the part of the book in which each page stands; front pages stand in none.

    Parameters
    ----------
    root : Path
        Folder that holds ``_toc.yml``.
    """
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = {}

    def walk(entries: list[dict[str, Any]], caption: str) -> None:
        for entry in entries:
            found[entry["file"].removesuffix(".md")] = caption
            walk(entry.get("sections") or [], caption)

    for part in toc.get("parts") or []:
        walk(part.get("chapters") or [], part.get("caption", ""))
    return found


def entries(env: BuildEnvironment) -> list[dict[str, Any]]:
    """Return every linkable thing of the book in reading order.

    Parameters
    ----------
    env : BuildEnvironment
        After all pages have been read.
    """
    root = Path(env.srcdir)
    part_of = parts(root)
    listed = []
    for docname in toc_docnames(root):
        if docname not in Things.of(env):
            continue
        meta = header(env, docname)
        for thing in Things.of(env)[docname]:
            whole = thing["kind"] == "page"
            entry = {
                "id": thing["id"],
                "kind": thing["kind"],
                "number": _number(env, docname, thing),
                "title": thing["title"],
                "part": part_of.get(docname, ""),
                "page": docname,
                "url": f"{docname}.html#{_anchor(thing)}",
                "minutes": _minutes(meta, thing),
                "difficulty": thing.get("stars") or meta.get("difficulty"),
                "gpu": gpu(meta, thing),
            }
            if whole:
                entry["objectives"] = [one["id"] for one in meta.get("objectives") or []]
                entry["needs"] = list(meta.get("needs") or [])
            if thing["kind"] == "objective":
                levels = {one["id"]: one["level"] for one in meta.get("objectives") or []}
                entry["level"] = levels.get(thing["id"])
            listed.append(entry)
    return listed


def header(env: BuildEnvironment, docname: str) -> dict[str, Any]:
    """Return the book's part of a page's header; empty where it is none or wrong.

    Parameters
    ----------
    env : BuildEnvironment
        Knows where the page is.
    docname : str
        The page.
    """
    path = Path(env.doc2path(docname))
    return _header(docname, path, path.stat().st_mtime_ns) if path.is_file() else {}


@cache
def _header(docname: str, path: Path, _changed: int) -> dict[str, Any]:
    page = Page(docname, path)
    return {} if header_errors(page) else page.meta  # the page kit warns of them


def gpu(meta: dict[str, Any], thing: dict[str, Any]) -> str:
    """Return what a GPU is to a thing: ``needed``, or ``used`` where there is one, or ``none``.

    Parameters
    ----------
    meta : dict
        The book's part of the page's header; its ``gpu`` lists sections that need one.
    thing : dict
        See `things_in`.

    Examples
    --------
    >>> gpu({"gpu": ["sec-a"]}, {"id": "sec-b", "within": ["sec-a"]})
    'needed'
    >>> gpu({}, {"id": "sec-b", "torch": True}), gpu({}, {"id": "fig-a"})
    ('used', 'none')
    """
    if not {thing["id"], *thing.get("within", ())}.isdisjoint(meta.get("gpu", ())):
        return "needed"
    return "used" if thing.get("torch") else "none"


def _anchor(thing: dict[str, Any]) -> str:
    return f"equation-{thing['id']}" if thing["id"].startswith(("eq-", "def-")) else thing["id"]


def _minutes(meta: dict[str, Any], thing: dict[str, Any]) -> int | None:
    if "minutes" not in meta or "share" not in thing:
        return None
    return round(meta["minutes"] * thing["share"])


def _number(env: BuildEnvironment, docname: str, thing: dict[str, Any]) -> str:
    numbers: Any = None
    if "depth" in thing:
        anchor = "" if thing["kind"] == "page" else f"#{thing['id']}"
        numbers = env.toc_secnumbers.get(docname, {}).get(anchor)
    else:
        for kind, figures in env.toc_fignumbers.get(docname, {}).items():
            wanted = NUMBERED.get(thing["kind"])
            if kind == wanted or wanted is None or thing["id"].startswith("dfn-"):
                numbers = numbers or figures.get(_anchor(thing))
    return ".".join(map(str, numbers or ()))


def as_csv(listed: list[dict[str, Any]]) -> str:
    """Return the list as a table with a row for each entry.

    Parameters
    ----------
    listed : list of dict
        See `entries`.
    """
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    rows.writerows(listed)
    return text.getvalue()


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write ``sections.json`` and ``sections.csv`` beside the pages."""
    if exception or app.builder.format != "html":
        return
    listed = entries(app.env)
    catalogue = {
        "schema": VERSION,
        "title": app.config.html_title or app.config.project,
        "sections": listed,
    }
    jsonschema.validate(catalogue, json.loads(SCHEMA.read_text(encoding="utf-8")))
    out = Path(app.outdir)
    (out / "sections.json").write_text(json.dumps(catalogue, indent=1), encoding="utf-8")
    (out / "sections.csv").write_text(as_csv(listed), encoding="utf-8")


# ---- tables on pages -----------------------------------------------------------------------


class drawn(nodes.General, nodes.Element):
    """Where a table goes that is made from all pages."""


class Drawn(SphinxDirective):
    """A table made from the catalogue; what is in it is known when all pages have been read."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark for the table."""
        self.env.metadata[self.env.docname]["mathdl-catalogue"] = "yes"
        mark = drawn(what=self.name, **{k.replace("-", "_"): v for k, v in self.options.items()})
        mark["given"] = [line.strip() for line in self.content if line.strip()]
        mark["line"] = self.lineno
        return [mark]


class Pages(Drawn):
    """A table of pages: objectives, roadmap, or what they take to run."""

    option_spec: ClassVar = {"under": directives.unchanged_required}


class StudyPath(Drawn):
    """A way through the book: pages, or sections of them, and their minutes; hours at the end."""

    has_content = True
    option_spec: ClassVar = {"hours": directives.unchanged_required}


class DrawTables(SphinxPostTransform):
    """Draws the tables, before references are resolved."""

    default_priority = 5

    def run(self, **options: Any) -> None:
        """Replace the marks of this page."""
        for mark in list(self.document.findall(drawn)):
            draw = {
                "objectives": self.objectives,
                "roadmap": self.roadmap,
                "running-costs": self.running_costs,
                "study-path": self.study_path,
            }[mark["what"]]
            mark.replace_self(draw(mark))

    def pages(self, mark: drawn) -> list[str]:
        """Return the pages under a folder, with a header, in reading order."""
        under = [f"book/{name.strip()}" for name in mark.get("under", "").split(",")]
        return [
            name
            for name in toc_docnames(Path(self.env.srcdir))
            if name in Things.of(self.env) and name.startswith(tuple(under))
        ]

    def objectives(self, mark: drawn) -> nodes.Node:
        """Return the table of objectives, chapter by chapter."""
        rows = []
        for docname in self.pages(mark):
            levels = {
                one["id"]: one["level"] for one in header(self.env, docname).get("objectives") or []
            }
            for thing in Things.of(self.env)[docname]:
                if thing["kind"] == "objective":
                    text = _link(self.uri(docname, thing["id"]), "")
                    text += [part.deepcopy() for part in thing["line"]]
                    rows.append([text, levels.get(thing["id"], ""), self.page(docname)])
        return table(["You learn to", "Level", "Where"], rows)

    def roadmap(self, mark: drawn) -> nodes.Node:
        """Return a row for each page, with its time and what it builds on; and the sum."""
        rows, minutes = [], 0
        for docname in self.pages(mark):
            meta = header(self.env, docname)
            if "minutes" not in meta:
                continue
            minutes += meta["minutes"]
            stars = "★" * meta["difficulty"]
            rows.append([self.page(docname), stars, duration(meta["minutes"]), self.needs(meta)])
        rows.append(["Together", "", duration(minutes), ""])
        return table(["Page", "Level", "Time", "Builds on"], rows)

    def running_costs(self, mark: drawn) -> nodes.Node:
        """Return seconds and memory of every page, as measured when it was last executed."""
        found = measured(Path(self.env.srcdir))
        rows = [
            [
                self.page(name),
                f"{found[name].seconds:.1f} s",
                f"{found[name].peak_bytes / 1e9:.1f} GB",
            ]
            for name in self.pages(mark)
            if name in found
        ]
        return table(["Page", "Running all cells", "Memory at most"], rows)

    def study_path(self, mark: drawn) -> nodes.Node:
        """Return the pages of a way through the book, with minutes and the hours of all."""
        rows, total = [], 0
        for line in mark["given"]:
            name, _, listed = line.partition(":")
            docname, wanted = f"book/{name.strip()}", [w.strip() for w in listed.split(",") if w]
            meta = header(self.env, docname)
            things = {thing["id"]: thing for thing in Things.of(self.env).get(docname, ())}
            missing = [one for one in wanted if "share" not in things.get(one, {})]
            if "minutes" not in meta or missing:
                what = f"no section {missing[0]}" if missing else "no page with minutes"
                self.complain(mark, f"{name.strip()}: {what}")
                continue
            minutes = sum(_minutes(meta, things[one]) for one in wanted) or meta["minutes"]
            total += minutes
            which = nodes.inline()
            for number, one in enumerate(wanted):
                which += [nodes.Text(", ")] if number else []
                which += _link(self.uri(docname, one), things[one]["title"])
            rows.append([self.page(docname), which if wanted else "all of it", duration(minutes)])
        least, _, most = mark.get("hours", "").partition("-")
        if least and not float(least) <= total / 60 <= float(most or least):
            self.complain(mark, f"takes {total / 60:.1f} h, not {mark['hours']} h")
        rows.append(["Together", "", duration(total)])
        return table(["Page", "What of it", "Time"], rows)

    def complain(self, mark: drawn, message: str) -> None:
        """Warn, which fails the build."""
        place = (self.env.docname, mark["line"])
        logger.warning("%s: %s", mark["what"], message, location=place, type="mathdl")

    def page(self, docname: str) -> nodes.Node:
        """Return a link to a page."""
        link = _link(self.uri(docname), "")
        link += [part.deepcopy() for part in self.env.titles[docname].children]
        return link

    @cached_property
    def titles(self) -> dict[str, tuple[str, str]]:
        """The page and the title of everything that can be linked to."""
        return {
            thing["id"]: (docname, thing["title"])
            for docname, things in Things.of(self.env).items()
            for thing in things
        }

    def needs(self, meta: dict[str, Any]) -> nodes.Node:
        """Return links to the pages and sections that a page builds on."""
        line = nodes.inline()
        for name in meta.get("needs") or []:
            docname, title = self.titles.get(name, (f"book/{name}", ""))
            if docname in self.env.titles:
                line += [nodes.Text(", ")] if len(line) else []
                line += _link(self.uri(docname, name), title) if title else self.page(docname)
        return line

    def uri(self, docname: str, name: str = "") -> str:
        """Return the address of a page, or of something in it, from this page."""
        uri = self.app.builder.get_relative_uri(self.env.docname, docname)
        return f"{uri}#{name}" if name else uri


def duration(minutes: int) -> str:
    """Return a time as a reader plans it.

    Examples
    --------
    >>> duration(45), duration(60), duration(150)
    ('45 min', '1 h', '2 h 30 min')
    """
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest or not hours))


def table(titles: list[str], rows: list[list[nodes.Node | str]]) -> nodes.table:
    """Return a table with a row of titles.

    Parameters
    ----------
    titles : list of str
        Of the columns.
    rows : list of list
        Their cells: text, inline nodes, or a list.
    """
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in titles), cols=len(titles))

    def row(cells: list[nodes.Node | str]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", _block(c)) for c in cells))

    group += nodes.thead("", row(list(titles)))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group, classes=["catalogue"])


def _block(cell: nodes.Node | str) -> nodes.Node:
    if isinstance(cell, nodes.bullet_list):
        return cell
    return nodes.paragraph("", "", nodes.Text(cell) if isinstance(cell, str) else cell)


def _link(uri: str, text: str) -> nodes.reference:
    return nodes.reference("", text, internal=True, refuri=uri)


def _rewritten(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return the pages with tables, if what they show has changed since they were written."""
    listed = entries(env)
    found = {(entry["page"], entry["id"]) for entry in listed}
    for docname in sorted(env.found_docs):
        for name in header(env, docname).get("gpu", ()):
            if (docname, name) not in found:
                message = "mathdl.gpu: %s is no section of the page"
                logger.warning(message, name, location=docname, type="mathdl", subtype="header")
    shown = json.dumps([listed, sorted(measured(Path(env.srcdir)).items())], default=vars)
    before = getattr(env, "mathdl_catalogue_shown", None)
    env.mathdl_catalogue_shown = shown
    if before in (None, shown):
        return []
    return [name for name, about in env.metadata.items() if "mathdl-catalogue" in about]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the collector, the directives and the hooks with Sphinx."""
    app.add_env_collector(Things)
    app.add_node(drawn)
    for name in ("objectives", "roadmap", "running-costs"):
        app.add_directive(name, Pages)
    app.add_directive("study-path", StudyPath)
    app.add_post_transform(DrawTables)
    app.connect("env-get-updated", _rewritten)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
