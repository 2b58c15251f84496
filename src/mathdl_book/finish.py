"""The last touches to the pages: nothing from another host, nothing that shifts while loading.

All of it happens while a page is written, so a page that is not written again costs nothing.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagesize
from docutils import nodes

from mathdl.plots import MARK

from .leading import leading_page

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

HERE = Path(__file__).parent
SITE = HERE / "static" / "site"
# Files of the theme that no page loads: icons as a script, and templates.
UNUSED = (
    "scripts/fontawesome.js",
    "scripts/fontawesome.js.map",
    "scripts/fontawesome.js.LICENSE.txt",
    "webpack-macros.html",
    "sbt-webpack-macros.html",
)
# Names, modules, punctuation and spaces of code, as Pygments marks them.
PLAIN = re.compile(r'<span class="(?:n|nn|p|w)">([^<]*)</span>')
COLUMN = 740  # CSS pixels that the text is wide
FOLDED = re.compile(r"<details(?![^>]*\sopen).*?</details>", re.DOTALL)
CODE = re.compile(r"<pre.*?</pre>", re.DOTALL)
UNSEEN = re.compile(r"<(math|script|style)\b.*?</\1>", re.DOTALL)
IMAGE = re.compile(r'<img (?=[^>]*width="(\d+)")[^>]*?height="(\d+)"')
# CSS pixels in the units that SVG files give their size in.
PIXELS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}


def svg_size(text: str) -> tuple[int, int] | None:
    """Return width and height of an SVG image in pixels, None if it does not say.

    Parameters
    ----------
    text : str
        The SVG source.

    Examples
    --------
    >>> svg_size('<svg xmlns="…" width="360pt" height="252pt" viewBox="0 0 360 252">')
    (480, 336)
    >>> svg_size('<svg viewBox="0 0 30 20">')
    (30, 20)
    """
    opening = re.search(r"<svg\b[^>]*>", text)
    if opening is None:
        return None
    sides = []
    for name in ("width", "height"):
        side = re.search(rf'\s{name}="([\d.]+)([a-z]*)"', opening[0])
        if side and side[2] in PIXELS:
            sides.append(round(float(side[1]) * PIXELS[side[2]]))
    if len(sides) == 2:
        return sides[0], sides[1]
    box = re.search(r'viewBox="[\d.-]+[ ,]+[\d.-]+[ ,]+([\d.]+)[ ,]+([\d.]+)"', opening[0])
    return (round(float(box[1])), round(float(box[2]))) if box else None


@lru_cache(maxsize=4096)
def _image_facts(path: str, _changed: int) -> tuple[tuple[int, int] | None, bool]:
    """Return an image's size, and whether it follows the reader's theme."""
    if path.endswith(".svg"):
        with open(path, encoding="utf-8") as file:
            head = file.read(8000)
        return svg_size(head), f'id="{MARK}"' in head
    size = imagesize.get(path)
    return (size if min(size) > 0 else None), False


def with_sizes(body: str, paths: dict[str, Path]) -> str:
    """Return a page's HTML with width and height on every image that lacks them.

    A figure that follows the reader's theme is marked as such, so that the theme leaves it alone.

    Parameters
    ----------
    body : str
        HTML of the page.
    paths : dict of str to Path
        Files of the images by the name under which they are published.
    """

    def sized(match: re.Match[str]) -> str:
        tag = match[0]
        source = re.search(r'\ssrc="([^"]+)"', tag)
        path = paths.get(html.unescape(source[1]).rpartition("/")[2]) if source else None
        if path is None or not path.is_file():
            return tag
        size, themed = _image_facts(str(path), path.stat().st_mtime_ns)
        if themed:  # the theme darkens other images and puts a card behind them
            tag = re.sub(r'\sclass="', ' class="dark-light ', tag, count=1)
            if "dark-light" not in tag:
                tag = f'<img class="dark-light"{tag[4:]}'
        if size and not re.search(r"\s(width|height)=|style=\"[^\"]*(width|height)", tag):
            tag = f'<img width="{size[0]}" height="{size[1]}" decoding="async"{tag[4:]}'
        return tag

    return re.sub(r"<img\s[^>]*>", sized, body)


def height_of(text: str) -> int:
    """Return about how high some HTML is in a column of the book, in CSS pixels.

    Nine in ten of the book's sections are within 15 % of it: the figures are those of a least
    squares fit to what a browser makes of them. On a phone they are a fifth higher.

    Parameters
    ----------
    text : str
        HTML; what is folded in it counts as its summary.

    Examples
    --------
    >>> height_of("<p>" + "word " * 200 + "</p>")
    321
    >>> height_of('<img src="a.svg" width="1480" height="800">')
    464
    """
    text = FOLDED.sub("<p></p>", text)
    images = sum(int(high) * min(1, COLUMN / int(wide)) for wide, high in IMAGE.findall(text))
    code = CODE.findall(text)
    shown = re.sub(r"<[^>]+>", "", UNSEEN.sub("", CODE.sub("", text)))
    return round(
        0.311 * len(shown)
        + 9.64 * len(re.findall(r"<(?:p|li|h[2-6])\b", text))
        + 72.4 * text.count('class="math-formula"')
        + 105 * len(code)
        + 14.4 * sum(lines.count("\n") for lines in code)
        + 11 * text.count("<tr")
        + 1.16 * images
        + 30 * text.count('class="explorable')
    )


def with_heights(body: str) -> str:
    """Return a page's HTML with every section but the first told how high it will be.

    So a browser need not lay out what is far from its window to know how long the page is.

    Parameters
    ----------
    body : str
        HTML of the page.

    Examples
    --------
    >>> print(with_heights("<section><section>a</section><section>b</section></section>"))
    <section><section>a</section><section style="--usual:0px">b</section></section>
    """
    parts: list[str] = []
    depth = count = done = start = 0
    for tag in re.finditer(r"<(/?)section\b", body):
        depth += -1 if tag[1] else 1
        if not tag[1] and depth == 2:
            start = tag.end()
        elif tag[1] and depth == 1:
            count += 1
            if count > 1:
                text = body[body.index(">", start) + 1 : tag.start()]
                usual = f' style="--usual:{height_of(text)}px"'
                parts += [body[done:start], usual]
                done = start
    return "".join([*parts, body[done:]])


def with_permalinks(body: str) -> str:
    """Return a page's HTML with a link to itself in the title of every labelled box.

    Parameters
    ----------
    body : str
        HTML of the page.
    """
    return re.sub(
        r'(<div class="(?:proof|exercise)\b[^"]*" id="([^"]+)">\s*'
        r'<p class="admonition-title">.*?)</p>',
        r'\1<a class="headerlink" href="#\2" title="Link to this">#</a></p>',
        body,
        flags=re.DOTALL,
    )


def with_speaking_summaries(body: str) -> str:
    """Return a page's HTML with folded cells called what their text says.

    myst-nb labels them all "Toggle hidden content", which hides "Show code cell source" from a
    screen reader; and a summary may hold words, but not paragraphs of them.

    Parameters
    ----------
    body : str
        HTML of the page.

    Examples
    --------
    >>> with_speaking_summaries('<summary aria-label="Toggle hidden content"><p>Show</p></summary>')
    '<summary><span>Show</span></summary>'
    """

    def worded(found: re.Match[str]) -> str:
        words = found[2].replace("<p", "<span").replace("</p>", "</span>")
        return found[1].replace(' aria-label="Toggle hidden content"', "") + words

    return re.sub(r"(<summary\b[^>]*>)((?:\s*<p\b[^>]*>[^<]*</p>)+)", worded, body)


def with_plain_fields(body: str) -> str:
    """Return a page's HTML with the lists in a docstring's fields not inside a paragraph.

    Parameters
    ----------
    body : str
        HTML of the page.

    Examples
    --------
    >>> with_plain_fields('<dd class="field-odd"><p><ul class="simple"><li>a</li></ul></p></dd>')
    '<dd class="field-odd"><ul class="simple"><li>a</li></ul></dd>'
    """
    return re.sub(
        r'(<dd class="field-\w+">)<p>(<ul\b.*?)</p>(?=\s*</dd>)', r"\1\2", body, flags=re.DOTALL
    )


def with_plain_words(body: str) -> str:
    """Return a page's HTML with the words of code that have the colour of all code as plain text.

    Names and punctuation are three quarters of the elements of a cell, and had a colour of their
    own only in name.

    Parameters
    ----------
    body : str
        HTML of the page.

    Examples
    --------
    >>> with_plain_words('<pre><span></span><span class="n">x</span><span class="o">=</span></pre>')
    '<pre>x<span class="o">=</span></pre>'
    """

    def plain(found: re.Match[str]) -> str:
        return PLAIN.sub(r"\1", found[0].replace("<span></span>", ""))

    return re.sub(r"<pre>.*?</pre>", plain, body, flags=re.DOTALL)


def with_empty_corners(body: str) -> str:
    """Return a page's HTML without headers of tables that say nothing: they are cells.

    Parameters
    ----------
    body : str
        HTML of the page.

    Examples
    --------
    >>> with_empty_corners('<tr><th class="head"></th><th>a</th></tr>')
    '<tr><td></td><th>a</th></tr>'
    """
    return re.sub(r"<th\b[^>]*>\s*(?:<p>\s*</p>\s*)?</th>", "<td></td>", body)


def with_listed_sources(body: str) -> str:
    """Return a page's HTML with the sources of a bibliography as items of the list they stand in.

    docutils gives them a role that does not belong in a list.

    Parameters
    ----------
    body : str
        HTML of the page.
    """
    return body.replace('role="doc-biblioentry"', 'role="listitem"')


def without_thebe(context: dict[str, Any]) -> None:
    """Take thebe's scripts out of a page about to be written.

    Parameters
    ----------
    context : dict
        What Sphinx hands to the page's template.
    """

    def foreign(script: Any) -> bool:
        name = str(getattr(script, "filename", script) or "")
        inline = getattr(script, "attributes", {}).get("body") or ""
        return "thebe" in name or "THEBE_JS_URL" in inline

    context["script_files"] = [s for s in context.get("script_files", []) if not foreign(s)]
    context["css_files"] = [s for s in context.get("css_files", []) if not foreign(s)]


def drop_thebe_nodes(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Take out the configuration that thebe appends to every page."""
    for node in list(doctree.findall(nodes.raw)):
        text = node.astext()
        if "text/x-thebe-config" in text or text.startswith("<script>kernelName"):
            node.parent.remove(node)


def finish_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Finish one page before its template is filled."""
    without_thebe(context)
    context["default_mode"] = context.get("default_mode") or "auto"
    if "body" in context:
        root = Path(app.srcdir)
        paths = {name: root / uri for uri, name in app.builder.images.items()}
        body = with_plain_words(context["body"])
        body = with_plain_fields(with_speaking_summaries(with_permalinks(body)))
        body = with_sizes(with_listed_sources(with_empty_corners(body)), paths)
        context["body"] = with_heights(body)


def write_front_door(app: Sphinx, exception: Exception | None) -> None:
    """Write ``index.html`` as an instant way to the first page, readable without refreshing."""
    if exception or app.builder.format != "html" or app.config.root_doc == "index":
        return
    first = app.builder.get_target_uri(app.config.root_doc)
    page = leading_page(first, app.config.html_title or app.config.project)
    (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def remove_unused(app: Sphinx, exception: Exception | None) -> None:
    """Remove what the theme ships and no page asks for."""
    for name in UNUSED:
        (Path(app.outdir) / "_static" / name).unlink(missing_ok=True)


def add_static(app: Sphinx, config: Config) -> None:
    """Let Sphinx find the book's own templates and files."""
    config.templates_path.insert(0, str(HERE / "templates"))
    config.html_static_path.append(str(SITE))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the last touches."""
    app.connect("config-inited", add_static)
    app.connect("doctree-resolved", drop_thebe_nodes, priority=900)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", write_front_door)
    app.connect("build-finished", remove_unused)
    app.add_css_file("mathdl.css", priority=900)
    if "comments_config" not in app.config:  # Jupyter Book sets it, sphinx-comments loaded or not
        app.add_config_value("comments_config", {}, "html", dict)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
