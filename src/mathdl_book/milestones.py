"""Milestones that a reader ticks off: kept in the reader's browser, and nowhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

SCRIPT = "milestones.js"
ITEM = re.compile(r"(?P<name>milestone(?:-[a-z0-9]+)+):\s+(?P<text>\S.*)")


class milestones(nodes.General, nodes.Element):
    """A list of milestones."""


class milestone(nodes.Part, nodes.TextElement):
    """One milestone, with its id; its children are its text."""


class Milestones(SphinxDirective):
    """A list to tick off: one ``milestone-name: text`` a line."""

    has_content = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.env.metadata[self.env.docname]["mathdl-milestones"] = "yes"
        box = milestones()
        domain = self.env.get_domain("std")
        for line in filter(str.strip, self.content):
            item = ITEM.fullmatch(line.strip())
            if item is None:
                raise self.error(f"milestones: {line!r} is not 'milestone-name: text'")
            text, messages = self.parse_inline(item["text"], lineno=self.lineno)
            one = milestone("", "", *text, *messages, ids=[item["name"]])
            title = "".join(part.astext() for part in text)
            domain.note_hyperlink_target(item["name"], self.env.docname, item["name"], title)
            box += one
        if not box.children:
            raise self.error("milestones: the list is empty")
        return [box]


def visit_milestones(self: HTML5Translator, node: milestones) -> None:
    """Open the list."""
    self.body.append(self.starttag(node, "ul", CLASS="milestones"))


def depart_milestones(self: HTML5Translator, node: milestones) -> None:
    """Close the list; the buttons work only where the script does, and so it shows them."""
    self.body.append(
        '</ul>\n<p class="milestones-tools" hidden>'
        '<output class="milestones-count"></output> '
        '<button type="button" data-save="md">Save as text</button> '
        '<button type="button" data-save="json">Save as JSON</button> '
        '<button type="button" data-clear>Clear all</button></p>\n'
    )


def visit_milestone(self: HTML5Translator, node: milestone) -> None:
    """Open an item: a box to tick, then its text, in which there may be links."""
    name = node["ids"][0]
    self.body.append(
        self.starttag(node, "li", "", CLASS="milestone")
        + f'<input type="checkbox" aria-labelledby="{name}-text"> <span id="{name}-text">'
    )


def depart_milestone(self: HTML5Translator, node: milestone) -> None:
    """Close an item."""
    self.body.append("</span></li>\n")


def visit_plain(self: Any, node: nodes.Element) -> None:
    """Open a list or an item in a form without boxes to tick."""
    if isinstance(node, milestones):
        self.visit_bullet_list(node)
    else:
        self.visit_list_item(node)


def depart_plain(self: Any, node: nodes.Element) -> None:
    """Close it."""
    if isinstance(node, milestones):
        self.depart_bullet_list(node)
    else:
        self.depart_list_item(node)


def add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Load the script on the pages that need it."""
    if "mathdl-milestones" in app.env.metadata.get(pagename, ()):
        app.add_js_file(SCRIPT, loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the hook with Sphinx."""
    plain = (visit_plain, depart_plain)
    for node, html in (
        (milestones, (visit_milestones, depart_milestones)),
        (milestone, (visit_milestone, depart_milestone)),
    ):
        app.add_node(node, html=html, latex=plain, text=plain)
    app.add_directive("milestones", Milestones)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
