"""What a teacher assigns: syllabi with their hours, and what teaches and exercises each objective.

Both are drawn from what the pages say of themselves, as the tables of `mathdl_book.catalogue` are.
An objective stands on the page that teaches it, so that page must have sections, and exercises or
steps; one that lacks either is a warning, which fails the build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .catalogue import DrawTables, Things, _link, _minutes, duration, header, table

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Minutes that an exercise of one, two and three stars is planned with. A convention: nothing in
# the pages says how long anybody takes.
EXERCISE_MINUTES = (10, 15, 40)
FIELDS = ("title", "read", "lab", "exercises")

logger = logging.getLogger(__name__)


class course_table(nodes.General, nodes.Element):
    """Where a table for teachers goes; what is in it is known when all pages have been read."""


class CourseTable(SphinxDirective):
    """A table for teachers."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark for the table."""
        self.env.metadata[self.env.docname]["mathdl-catalogue"] = "yes"
        return [course_table(what=self.name, line=self.lineno, **self.options)]


class ObjectivesMatrix(CourseTable):
    """What teaches each objective and what exercises it, page by page."""

    option_spec: ClassVar = {"under": directives.unchanged_required}


class Syllabus(CourseTable):
    """A course, day by day or week by week: what to read, build and hand in, and how long it takes.

    The content is a list in YAML; a unit has a `title` and names pages or sections to `read`, of a
    `lab`, and `exercises`.
    """

    has_content = True
    option_spec: ClassVar = {
        "unit": directives.unchanged_required,
        "hours": directives.unchanged_required,
        "in-order": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Leave a mark with the units."""
        units = yaml.safe_load("\n".join(self.content)) or []
        if not isinstance(units, list) or not all(
            isinstance(unit, dict) and "title" in unit and set(unit) <= set(FIELDS)
            for unit in units
        ):
            raise self.error(f"syllabus: a list of units with {', '.join(FIELDS)} is wanted")
        (mark,) = super().run()
        mark["units"] = units
        return [mark]


class DrawCourses(DrawTables):
    """Draws the tables for teachers, before references are resolved."""

    def run(self, **options: Any) -> None:
        """Replace the marks of this page."""
        for mark in list(self.document.findall(course_table)):
            draw = self.syllabus if mark["what"] == "syllabus" else self.matrix
            mark.replace_self(draw(mark))

    # ---- syllabi -----------------------------------------------------------------------

    def syllabus(self, mark: course_table) -> nodes.Node:
        """Return a row for each unit, with its time, and the sum."""
        rows, total = [], 0
        for number, unit in enumerate(mark["units"], 1):
            cells, minutes = [], 0
            for field in FIELDS[1:]:
                links = []
                for name in unit.get(field) or []:
                    found = self.exercise(name) if field == "exercises" else self.place(name)
                    if found is None:
                        self.complain(mark, f"{name}: nothing that takes minutes")
                        continue
                    links.append(found[0])
                    minutes += found[1]
                cells.append(bullets(links))
            total += minutes
            said = f"{mark.get('unit', 'Day')} {number}"
            rows.append([nodes.strong("", said), unit["title"], *cells, duration(minutes)])
        least, _, most = mark.get("hours", "").partition("-")
        if least and not float(least) <= total / 60 <= float(most or least):
            self.complain(mark, f"takes {total / 60:.1f} h, not {mark['hours']} h")
        if "in-order" in mark:
            self.check_order(mark)
        rows.append(["Together", "", "", "", "", duration(total)])
        return table(["", "Subject", "Read", "Lab", "Exercises", "Time"], rows)

    def check_order(self, mark: course_table) -> None:
        """Complain of a page that comes before one that it builds on."""
        home = self.home()
        read: set[str] = set()
        for unit in mark["units"]:
            for name in [*(unit.get("read") or []), *(unit.get("lab") or [])]:
                docname = home.get(name, f"book/{name}")
                if f"book/{name}" == docname:
                    for need in header(self.env, docname).get("needs") or []:
                        if home.get(need, f"book/{need}") not in read:
                            self.complain(mark, f"{name} comes before {need}, which it builds on")
                read.add(docname)

    def place(self, name: str) -> tuple[nodes.Node, int] | None:
        """Return a link to a page or section and its minutes, None where it has none."""
        whole = f"book/{name}"
        if whole in Things.of(self.env):
            minutes = header(self.env, whole).get("minutes")
            return None if minutes is None else (self.page(whole), minutes)
        for docname, things in Things.of(self.env).items():
            for thing in things:
                if thing["id"] == name:
                    minutes = _minutes(header(self.env, docname), thing)
                    link = _link(self.uri(docname, name), thing["title"])
                    return None if minutes is None else (link, minutes)
        return None

    def exercise(self, name: str) -> tuple[nodes.Node, int] | None:
        """Return a link to an exercise and the minutes planned for its stars."""
        for docname, things in Things.of(self.env).items():
            for thing in things:
                stars = thing.get("stars", 0)
                if thing["id"] == name and 1 <= stars <= len(EXERCISE_MINUTES):
                    said = f"{thing['title']} {'★' * stars}"
                    return _link(self.uri(docname, name), said), EXERCISE_MINUTES[stars - 1]
        return None

    # ---- objectives --------------------------------------------------------------------

    def matrix(self, mark: course_table) -> nodes.Node:
        """Return a row for each page with objectives: its sections, its labs, what it asks."""
        labs = self.labs()
        rows = []
        for docname in self.pages(mark):
            given = header(self.env, docname).get("objectives") or []
            if not given:
                continue
            things = Things.of(self.env)[docname]
            sections = [t for t in things if t.get("depth") == 1]
            asked = [t for t in things if t["kind"] in ("exercise", "step")]
            for one in given:
                if not sections:
                    self.complain(mark, f"nothing teaches {one['id']}: no section in {docname}")
                if not asked:
                    self.complain(mark, f"nothing exercises {one['id']}: no exercise in {docname}")
            rows.append(
                [
                    self.page(docname),
                    bullets(self.said(docname, given)),
                    bullets([self.thing(docname, t) for t in sections]),
                    bullets([self.page(lab) for lab in labs.get(docname, ())]),
                    bullets([self.thing(docname, t) for t in asked]),
                ]
            )
        return table(["Page", "Objectives", "Sections", "Labs", "Exercises and steps"], rows)

    def said(self, docname: str, given: list[dict[str, str]]) -> list[nodes.Node]:
        """Return the objectives of a page, each with its level and a link to it."""
        lines = {t["id"]: t["line"] for t in Things.of(self.env)[docname] if "line" in t}
        found = []
        for one in given:
            link = _link(self.uri(docname, one["id"]), "")
            link += [part.deepcopy() for part in lines.get(one["id"], [nodes.Text(one["text"])])]
            found.append(nodes.inline("", "", link, nodes.Text(f" ({one['level']})")))
        return found

    def thing(self, docname: str, thing: dict[str, Any]) -> nodes.Node:
        """Return a link to something in a page."""
        return _link(self.uri(docname, thing["id"]), thing["title"])

    def labs(self) -> dict[str, list[str]]:
        """Return the labs that build on each page, as the pages' headers say on either side."""
        home = self.home()
        found: dict[str, list[str]] = {}
        for docname in sorted(Things.of(self.env)):
            meta = header(self.env, docname)
            pairs = [(docname, f"book/{lab}") for lab in meta.get("feeds") or []]
            if any(thing["kind"] == "step" for thing in Things.of(self.env)[docname]):
                needs = meta.get("needs") or []
                pairs += [(home.get(name, f"book/{name}"), docname) for name in needs]
            for page, lab in pairs:
                if lab in self.env.titles and lab not in found.setdefault(page, []):
                    found[page].append(lab)
        return {page: sorted(labs) for page, labs in found.items()}

    def home(self) -> dict[str, str]:
        """Return the page on which each section stands."""
        return {
            thing["id"]: docname
            for docname, things in Things.of(self.env).items()
            for thing in things
            if "depth" in thing
        }

    def complain(self, mark: course_table, message: str) -> None:
        """Warn, which fails the build."""
        place = (self.env.docname, mark["line"])
        logger.warning("%s: %s", mark["what"], message, location=place, type="mathdl")


def bullets(items: list[nodes.Node]) -> nodes.Node | str:
    """Return a list, or a dash where there is nothing.

    Parameters
    ----------
    items : list of Node
        Inline nodes, one for each line.
    """
    if not items:
        return "–"
    lines = [nodes.list_item("", nodes.paragraph("", "", item)) for item in items]
    return nodes.bullet_list("", *lines, bullet="-", classes=["simple"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives with Sphinx."""
    app.add_node(course_table)
    app.add_directive("syllabus", Syllabus)
    app.add_directive("objectives-matrix", ObjectivesMatrix)
    app.add_post_transform(DrawCourses)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
