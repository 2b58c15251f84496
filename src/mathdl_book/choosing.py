"""The page on which a teacher searches the catalogue, chooses, and takes a reading list along.

Without a script the page shows a table of all pages. With one it loads ``sections.json`` when it is
used. What is chosen leaves as Markdown, HTML, CSV or as a Common Cartridge: modules of web links,
which learning management systems import. The whole book's cartridge is written with the site.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from xml.sax.saxutils import escape, quoteattr

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from .catalogue import DrawTables, Things, duration, entries, header, parts, table
from .pages import toc_docnames

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SCRIPT = "catalogue.js"
CARTRIDGE = "mathdl.imscc"
# Namespaces and resource type of IMS Common Cartridge 1.3; catalogue.js has the same.
PACKAGE = "http://www.imsglobal.org/xsd/imsccv1p3/imscp_v1p1"
LOM = "http://ltsc.ieee.org/xsd/imsccv1p3/LOM/manifest"
WEB_LINK = "http://www.imsglobal.org/xsd/imsccv1p3/imswl_v1p3"
WEB_LINK_TYPE = "imswl_xmlv1p3"
FORM = """\
<div class="choose" data-root="{root}" hidden>
<form class="choose-form">
<label>Search <input type="search" name="q"></label>
<label>Part <select name="part"><option value="">all</option></select></label>
<label>Kind <select name="kind"><option value="">all</option></select></label>
<label>Bloom level <select name="level"><option value="">all</option></select></label>
<label>Difficulty <select name="difficulty"><option value="">all</option></select></label>
<label>GPU <select name="gpu"><option value="">any</option>\
<option value="none">not needed</option><option value="used">used where there is one</option>\
<option value="needed">needed</option></select></label>
<label>Minutes, at most <input type="number" name="minutes" min="1" max="999"></label>
<label>Objective <select name="objective"><option value="">all</option></select></label>
</form>
<p class="choose-count" role="status"></p>
<div class="choose-found" role="region" aria-label="What was found" tabindex="0">
<table><thead><tr><th scope="col">Choose</th><th scope="col">What</th><th scope="col">Part</th>\
<th scope="col">Time</th><th scope="col">Level</th></tr></thead><tbody></tbody></table></div>
<p><button type="button" class="choose-more" hidden>Show all</button></p>
<p class="choose-sum" role="status">Nothing chosen yet.</p>
<ol class="choose-list"></ol>
<p class="choose-tools">
<button type="button" data-save="md">Markdown</button>
<button type="button" data-save="html">HTML</button>
<button type="button" data-save="csv">CSV</button>
<button type="button" data-save="imscc">Common Cartridge</button>
<button type="button" data-clear>Clear</button></p>
</div>
<p class="choose-offline" hidden>Searching and choosing need the book's catalogue, which could not
be read; a browser may not where a page was opened from a folder. The table lists all pages.</p>
"""
SHOW_FORM = """\
<script>
// Here, not in the form's own script: what stands below must not move when that has come.
{
  const form = document.querySelector(".choose");
  const instead = document.querySelector(".choose-offline");
  const show = (works) => { form.hidden = !works; instead.hidden = works; };
  show(location.protocol !== "file:");
  form.addEventListener("failed", () => show(false));
  // Until then the form's script has begun, or it never will.
  document.addEventListener("DOMContentLoaded", () => { if (!form.dataset.state) show(false); });
}
</script>
"""
WHOLE = """\
<p><a href="{root}{name}" download>All pages of the book as a Common Cartridge</a></p>
"""


class all_pages(nodes.General, nodes.Element):
    """Where the table of all pages goes."""


class Catalogue(SphinxDirective):
    """Search, filters and a reading list; a table of all pages where there is no script."""

    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the form, which a script shows, and the table, which it then hides."""
        about = self.env.metadata[self.env.docname]
        about["mathdl-catalogue"] = about["mathdl-choosing"] = "yes"
        root = "../" * self.env.docname.count("/")
        # Web links need the site's address; without one there is no cartridge of the whole book.
        whole = WHOLE.format(root=root, name=CARTRIDGE) if self.config.html_baseurl else ""
        form = nodes.raw("", FORM.format(root=root) + SHOW_FORM + whole, format="html")
        return [form, nodes.container("", all_pages(), classes=["choose-plain"])]


class DrawPages(DrawTables):
    """Draws the table of all pages."""

    def run(self, **options: Any) -> None:
        """Replace the mark of this page."""
        for mark in list(self.document.findall(all_pages)):
            root = Path(self.env.srcdir)
            part_of = parts(root)
            rows = []
            for docname in toc_docnames(root):
                if docname not in Things.of(self.env):
                    continue
                meta = header(self.env, docname)
                minutes = duration(meta["minutes"]) if "minutes" in meta else ""
                stars = "★" * meta.get("difficulty", 0)
                rows.append([self.page(docname), part_of.get(docname, ""), minutes, stars])
            mark.replace_self(table(["Page", "Part", "Time", "Level"], rows))


# ---- Common Cartridge ----------------------------------------------------------------------


def cartridge(title: str, chosen: list[dict[str, Any]], base: str) -> bytes:
    """Return a Common Cartridge 1.3 of web links, with a module for each part of the book.

    Parameters
    ----------
    title : str
        Of the whole.
    chosen : list of dict
        Entries of the catalogue, in order.
    base : str
        Address of the site, with a slash at its end.

    References
    ----------
    1EdTech, Common Cartridge Profile 1.3: https://www.imsglobal.org/cc/ccv1p3/
    """
    modules: dict[str, list[dict[str, Any]]] = {}
    for entry in chosen:
        modules.setdefault(entry["part"] or title, []).append(entry)
    items, resources, files = [], [], {}
    for number, (part, members) in enumerate(modules.items(), 1):
        lines = []
        for entry in members:
            name = f"links/{entry['id']}.xml"
            said = escape(named(entry))
            lines.append(
                f'<item identifier="item-{entry["id"]}" identifierref="link-{entry["id"]}">'
                f"<title>{said}</title></item>"
            )
            resources.append(
                f'<resource identifier="link-{entry["id"]}" type="{WEB_LINK_TYPE}">'
                f'<file href="{name}"/></resource>'
            )
            address = quoteattr(base + entry["url"])
            files[name] = (
                '<?xml version="1.0" encoding="UTF-8"?>\n'
                f'<webLink xmlns="{WEB_LINK}"><title>{said}</title>'
                f'<url href={address} target="_blank"/></webLink>\n'
            )
        items.append(
            f'<item identifier="module-{number}"><title>{escape(part)}</title>\n'
            + "\n".join(lines)
            + "\n</item>"
        )
    manifest = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<manifest identifier="mathdl" xmlns="{PACKAGE}" xmlns:lomimscc="{LOM}">\n'
        "<metadata><schema>IMS Common Cartridge</schema><schemaversion>1.3.0</schemaversion>\n"
        f'<lomimscc:lom><lomimscc:general><lomimscc:title><lomimscc:string language="en">'
        f"{escape(title)}</lomimscc:string></lomimscc:title></lomimscc:general></lomimscc:lom>\n"
        '</metadata>\n<organizations><organization identifier="course" '
        'structure="rooted-hierarchy"><item identifier="root">\n'
        + "\n".join(items)
        + "\n</item></organization></organizations>\n<resources>\n"
        + "\n".join(resources)
        + "\n</resources>\n</manifest>\n"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"imsmanifest.xml": manifest, **files}.items():
            # Without the time of the build, so that the same pages give the same file.
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(info, text.encode(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def named(entry: dict[str, Any]) -> str:
    """Return what an entry is called in a list: kind and number, then title.

    Parameters
    ----------
    entry : dict
        Of the catalogue.

    Examples
    --------
    >>> named({"kind": "claim", "number": "2.4", "title": "", "id": "eq-taylor"})
    'Claim 2.4 (eq-taylor)'
    >>> named({"kind": "page", "number": "2", "title": "Derivatives", "id": "sec-derivatives"})
    '2 Derivatives'
    """
    plain = entry["kind"] in ("page", "section", "step", "objective")
    first = "" if plain else entry["kind"].capitalize()
    head = " ".join(filter(None, (first, entry["number"])))
    title = entry["title"] or f"({entry['id']})"
    return f"{head}: {title}" if entry["title"] and not plain else f"{head} {title}".strip()


def write_cartridge(app: Sphinx, exception: Exception | None) -> None:
    """Write the whole book's cartridge, where the address of the site is known."""
    base = app.config.html_baseurl
    if exception or app.builder.format != "html" or not base:
        return
    pages = [entry for entry in entries(app.env) if entry["kind"] == "page"]
    title = app.config.html_title or app.config.project
    packed = cartridge(title, pages, base.rstrip("/") + "/")
    (Path(app.outdir) / CARTRIDGE).write_bytes(packed)


def add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Load the module on the page that needs it."""
    if "mathdl-choosing" in app.env.metadata.get(pagename, ()):
        app.add_js_file(SCRIPT, type="module")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the hooks with Sphinx."""
    app.add_node(all_pages)
    app.add_directive("catalogue", Catalogue)
    app.add_post_transform(DrawPages)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write_cartridge)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
