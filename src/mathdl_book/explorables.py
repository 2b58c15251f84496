"""Explorables: figures that answer while the hand moves, put in a page by ``{explorable} name``.

An explorable is a folder below ``explorables/``: ``spec.json`` (its controls), ``math.js`` (what it
computes, pure), ``view.js`` (what it draws, in a worker) and perhaps ``hand.js`` (what hands do on
its picture). The page gets the controls as plain HTML, so that nothing shifts when the script
arrives; the script is loaded when the figure comes near. The page's own static figure, which the
directive names, stands for the explorable in print, without JavaScript and in every other format:
the explorable takes its place and keeps its number and caption, or stands beside it.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from myst_nb.core import render
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from mathdl.explorables import EXPLORABLE_MIME
from mathdl_book.outputs import register_renderer
from mathdl_book.perpage import PerPage

if TYPE_CHECKING:
    from docutils.nodes import system_message
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.writers.html5 import HTML5Translator

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
STATE = re.compile(r"(?P<text>.+?)\s*<(?P<state>[^<>]*)>", re.DOTALL)
STYLE, LOADER = "lib/explorable.css", "lib/loader.js"
COMMENT = re.compile(r"^[ \t]*(?:/\*.*?\*/|//[^\n]*)\n", re.DOTALL | re.MULTILINE)
INDENT = re.compile(r"^[ \t]+", re.MULTILINE)

logger = logging.getLogger(__name__)


class explorable(nodes.General, nodes.Element):
    """An explorable with its static figure and what to try; ``spec``, ``name``, ``data``."""


class explorable_live(nodes.General, nodes.Element):
    """The part of it that only a page with a script shows."""


class explorable_data(nodes.General, nodes.Element):
    """What a cell published for an explorable; shows nothing."""


class explorable_try(nodes.Inline, nodes.TextElement):
    """A button in the text that sets a state."""


class DataRenderer:
    """myst-nb's plugin for what cells publish for explorables."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int]]] = [("*", EXPLORABLE_MIME, 1)]

    @staticmethod
    def handle_mime(
        renderer: render.NbElementRenderer, data: render.MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the node that carries the data, None for any other output."""
        if data.mime_type != EXPLORABLE_MIME or inline:
            return None
        record = json.loads(data.content) if isinstance(data.content, str) else data.content
        return [explorable_data("", name=record["name"], data=json.loads(json.dumps(record)))]


# --- the controls as HTML -----------------------------------------------------------------------


def read_spec(folder: Path) -> dict[str, Any]:
    """Return an explorable's ``spec.json``.

    Parameters
    ----------
    folder : Path
        The explorable's folder.

    Raises
    ------
    ValueError
        If there is no such explorable, something needed is not said of it, or a control is not of
        a known kind.
    """
    path = folder / "spec.json"
    if not path.is_file():
        raise ValueError(f"there is no explorable {folder.name!r}: {path} is missing")
    spec = json.loads(path.read_text(encoding="utf-8"))
    if missing := [key for key in NEEDED if key not in spec]:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    for control in spec["controls"]:
        if control["type"] not in CONTROLS:
            raise ValueError(f"{path}: {control['type']!r} is no control; {', '.join(CONTROLS)}")
    return spec


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _range(control: Mapping[str, Any], prefix: str) -> str:
    name, label = control["name"], _text(control["label"])
    attributes = "".join(
        f' data-{key}="{_text(control[key])}"'
        for key in ("scale", "digits", "unit", "places")
        if key in control
    )
    return (
        f'<div class="explorable-control"><label for="{prefix}{name}">{label}</label>'
        f'<input type="range" id="{prefix}{name}" name="{name}" min="{control["min"]}" '
        f'max="{control["max"]}" step="{control["step"]}" value="{control["value"]}"{attributes}>'
        f'<output for="{prefix}{name}">&nbsp;</output></div>'
    )


def _select(control: Mapping[str, Any], prefix: str) -> str:
    name, label = control["name"], _text(control["label"])
    options = "".join(
        f'<option value="{_text(key)}"{" selected" * (key == control["value"])}>{_text(text)}'
        "</option>"
        for key, text in control["options"].items()
    )
    return (
        f'<div class="explorable-control"><label for="{prefix}{name}">{label}</label>'
        f'<select id="{prefix}{name}" name="{name}">{options}</select></div>'
    )


def _check(control: Mapping[str, Any], prefix: str) -> str:
    name, label = control["name"], _text(control["label"])
    on = " checked" if control["value"] else ""
    return (
        '<div class="explorable-control explorable-check">'
        f'<input type="checkbox" id="{prefix}{name}" name="{name}"{on}>'
        f'<label for="{prefix}{name}">{label}</label></div>'
    )


def _hidden(control: Mapping[str, Any], prefix: str) -> str:
    bounds = "".join(f' data-{key}="{control[key]}"' for key in ("min", "max") if key in control)
    return f'<input type="hidden" name="{control["name"]}" value="{control["value"]}"{bounds}>'


def _play(control: Mapping[str, Any], prefix: str) -> str:
    return (
        f'<button type="button" class="explorable-play" data-range="{control["name"]}" '
        f'data-seconds="{control.get("seconds", 6)}">{_text(control["label"])}</button>'
    )


def _action(control: Mapping[str, Any], prefix: str) -> str:
    return (
        f'<button type="button" class="explorable-action" data-action="{control["name"]}">'
        f"{_text(control['label'])}</button>"
    )


CONTROLS = {
    "range": _range,
    "select": _select,
    "check": _check,
    "hidden": _hidden,
    "play": _play,
    "action": _action,
}
BUTTONS = ("play", "action")
NEEDED = ("title", "described", "longest", "ratio", "controls")


def live_html(name: str, spec: Mapping[str, Any], described: str) -> str:
    """Return the part of an explorable that needs a script: stage, values, controls.

    Parameters
    ----------
    name : str
        The explorable.
    spec : mapping
        Its ``spec.json``.
    described : str
        What the picture shows, for someone who cannot see it.

    Examples
    --------
    >>> spec = {"title": "A sum", "ratio": "3/2", "values": {"sum": "x + y"}, "controls": []}
    >>> spec["longest"] = "The sum is 3.14."
    >>> page = live_html("sum", spec, "Two arrows end to end.")
    >>> 'aria-label="A sum"' in page and 'data-value="sum"' in page
    True
    """
    prefix = f"explorable-{name}-"
    controls = {kind: [c for c in spec["controls"] if c["type"] == kind] for kind in CONTROLS}
    inputs = [c for c in spec["controls"] if c["type"] not in BUTTONS]
    buttons = [c for kind in BUTTONS for c in controls[kind]]
    values = "".join(
        f'<div><dt>{_text(label)}</dt><dd data-value="{_text(key)}">–</dd></div>'
        for key, label in spec.get("values", {}).items()
    )
    ratio = spec["ratio"]
    narrow = spec.get("narrow", ratio)
    widest = f' style="--widest: {spec["widest"]}"' if "widest" in spec else ""
    return (
        f'<form class="explorable-live" aria-label="{_text(spec["title"])}" autocomplete="off">'
        f'<div class="explorable-stage" style="--wide: {ratio}; --narrow: {narrow}">'
        f'<canvas role="img" aria-label="{_text(described)}" '
        f'aria-describedby="{prefix}status"></canvas></div>'
        + (f'<dl class="explorable-values"{widest}>{values}</dl>' if values else "")
        + f'<div class="explorable-says" data-longest="{_text(spec["longest"])}">'
        f'<div class="explorable-status" role="status" id="{prefix}status"></div></div>'
        '<div class="explorable-controls">'
        + "".join(CONTROLS[c["type"]](c, prefix) for c in inputs)
        + '</div><div class="explorable-buttons">'
        + "".join(CONTROLS[c["type"]](c, prefix) for c in buttons)
        + '<button type="reset">Start again</button>'
        f'<a class="explorable-link" href="#explorable-{name}">Link to this state</a>'
        "</div></form>"
    )


# --- directive and role -------------------------------------------------------------------------


class Explorable(SphinxDirective):
    """Place an explorable; the content, usually a list, says what to try."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "figure": directives.unchanged_required,
        "beside": directives.unchanged_required,
        "caption": directives.unchanged_required,
        "alt": directives.unchanged_required,
        "again": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Return the explorable, still without its figure and data."""
        name = self.arguments[0]
        folder = Path(self.env.srcdir) / self.config.mathdl_explorables / name
        if not NAME.fullmatch(name):
            raise self.error(f"explorable: {name!r} is no name; lowercase words with hyphens")
        if len({"figure", "beside"} & set(self.options)) != 1:
            raise self.error(
                "explorable: give ':figure: fig-…', the static figure that it takes the place of, "
                "or ':beside: fig-…', one that stays where it is and says the same on paper"
            )
        try:
            spec = read_spec(folder)
        except ValueError as error:
            raise self.error(f"explorable: {error}") from error
        self.env.note_dependency(str(folder / "spec.json"))
        ident = f"explorable-{name}"
        box = explorable(
            "",
            ids=[ident],
            names=[ident],
            name=name,
            figure=self.options.get("figure") or self.options["beside"],
            classes=["explorable-beside"] if "beside" in self.options else [],
            spec=spec,
            described=self.options.get("alt", spec["described"]),
        )
        self.set_source_info(box)
        if "again" not in self.options:  # the label belongs to one page of the book
            domain = self.env.get_domain("std")
            domain.note_hyperlink_target(ident, self.env.docname, ident, spec["title"])
        if "caption" in self.options:
            text, messages = self.parse_inline(self.options["caption"], lineno=self.lineno)
            box += nodes.paragraph("", "", *text, *messages, classes=["explorable-caption"])
        if self.content:
            tries = nodes.container(classes=["explorable-try"])
            tries += nodes.paragraph("", "Try this", classes=["explorable-try-title"])
            self.state.nested_parse(self.content, self.content_offset, tries)
            box += tries
        return [box]


class Try(SphinxRole):
    """``{try}`label <key=value&key=value>` ``: a button that sets a state of an explorable.

    It is the explorable around it, else the last one before it on the page.
    """

    def run(self) -> tuple[list[nodes.Node], list[system_message]]:
        """Return the button."""
        match = STATE.fullmatch(self.text)
        if match is None:
            message = self.inliner.reporter.error(
                f"try: write {{try}}`label <key=value&key=value>`, got {self.text!r}"
            )
            return [], [message]
        node = explorable_try(self.rawtext, match["text"], state=match["state"])
        self.set_source_info(node)
        return [node], []


def state_faults(spec: Mapping[str, Any], state: str) -> Iterator[str]:
    """Yield what keeps an explorable from taking a state.

    Parameters
    ----------
    spec : mapping
        Its ``spec.json``, options filled in.
    state : str
        ``key=value`` joined by ``&``; empty for the state that it starts in.

    Examples
    --------
    >>> spec = {"controls": [{"type": "range", "name": "rank", "min": 1, "max": 8}]}
    >>> list(state_faults(spec, "rank=3")), list(state_faults(spec, "rank=9&size=2"))
    ([], ['rank=9 is not between 1 and 8', 'there is no control size'])
    """
    controls = {c["name"]: c for c in spec["controls"] if c["type"] not in BUTTONS}
    for part in filter(None, state.split("&")):
        name, _, value = part.partition("=")
        control = controls.get(name)
        if control is None:
            yield f"there is no control {name}"
        elif control["type"] == "select":
            if value not in control["options"]:
                yield f"{part} is none of {', '.join(control['options'])}"
        elif control["type"] == "check":
            if value not in ("0", "1"):
                yield f"{part} is neither 0 nor 1"
        else:
            low, high = control.get("min", float("-inf")), control.get("max", float("inf"))
            if control.get("scale") == "log":
                low, high = 10**low, 10**high
            try:
                inside = low * (1 - 1e-9) <= float(value) <= high * (1 + 1e-9) or (
                    low <= float(value) <= high
                )
            except ValueError:
                inside = False
            if not inside:
                yield f"{part} is not between {low:g} and {high:g}"


def assemble(app: Sphinx, doctree: nodes.document) -> None:
    """Give each explorable of a page its figure, its data and its buttons."""
    data = {node["name"]: node["data"] for node in doctree.findall(explorable_data)}
    for node in list(doctree.findall(explorable_data)):
        while node.get("nb_element") != "mime_bundle":  # its text for notebooks goes with it
            node = node.parent
        _remove(node)
    last = None
    seen: set[str] = set()
    for node in list(doctree.findall(lambda n: isinstance(n, explorable | explorable_try))):
        if isinstance(node, explorable_try):
            _aim(node, last)
            continue
        last = node
        if node["name"] in seen:
            logger.warning(
                "the explorable %s stands twice on this page", node["name"], location=node
            )
        seen.add(node["name"])
        _complete(node, doctree, data.get(node["name"]))


def _remove(node: nodes.Element) -> None:
    """Take a node out, and the containers that held only it."""
    while isinstance(node.parent, nodes.container) and len(node.parent) == 1:
        node = node.parent
    node.parent.remove(node)


def _aim(node: explorable_try, target: explorable | None) -> None:
    if target is None:
        logger.warning("try: no explorable stands before this", location=node)
        return
    node["name"] = target["name"]
    for fault in state_faults(target["spec"], node["state"]):
        logger.warning("try: %s: %s", target["name"], fault, location=node)


def _complete(node: explorable, doctree: nodes.document, record: Mapping[str, Any] | None) -> None:
    """Put figure and live part into an explorable."""
    spec = node["spec"]
    for control in spec["controls"]:
        if isinstance(control.get("options"), str):  # a list in the data, by key and name
            items = (record or {"data": {}})["data"].get(control["options"], [])
            control["options"] = {item["key"]: item["name"] for item in items}
            control["value"] = next(iter(control["options"]), "")
    if spec.get("data") and record is None:
        message = "the explorable %s shows what a cell publishes, and no cell of this page does"
        logger.warning(message, node["name"], location=node)
    node["data"] = record["data"] if record else None
    label = node["figure"]
    found = doctree.nameids.get(label)
    figure = doctree.ids.get(found) if found else None
    if not isinstance(figure, nodes.figure):
        logger.warning("explorable: no figure %r on this page", label, location=node)
        return
    live = explorable_live("", name=node["name"], spec=spec, described=node["described"])
    if "explorable-beside" in node["classes"]:
        node.insert(0, live)
        return
    for image in figure.findall(nodes.image):
        image["classes"].append("explorable-static")
    _remove(figure)
    caption = next((i for i, n in enumerate(figure) if isinstance(n, nodes.caption)), len(figure))
    figure.insert(caption, live)
    node.insert(0, figure)


# --- writers ------------------------------------------------------------------------------------


def _interactive(self: HTML5Translator) -> bool:
    """Return whether what is written is a page of the site, not an e-book."""
    return self.builder.name in ("html", "dirhtml")


def visit_explorable(self: HTML5Translator, node: explorable) -> None:
    """Open an explorable."""
    if not _interactive(self):
        enter(self, node)
        self.body.append(self.starttag(node, "div"))
        return
    attributes = {"data-explorable": node["name"]}
    if node["data"] is not None:
        path = data_file(self.builder.current_docname, node["name"])
        text = data_text(node["data"])
        version = hashlib.sha256(text.encode()).hexdigest()[:8]
        # Relative to the folder of the modules.
        attributes["data-data"] = f"../{path}?v={version}"
        write_data(Path(self.builder.outdir) / "_static" / "explorables" / path, text)
    self.body.append(self.starttag(node, "div", CLASS="explorable", **attributes))


def depart_explorable(self: HTML5Translator, node: explorable) -> None:
    """Close an explorable."""
    self.body.append("</div>\n")


def visit_live(self: HTML5Translator, node: explorable_live) -> None:
    """Write stage and controls."""
    if _interactive(self):
        self.body.append(live_html(node["name"], node["spec"], node["described"]))
    raise nodes.SkipNode


def visit_try(self: HTML5Translator, node: explorable_try) -> None:
    """Open a button."""
    if not _interactive(self):
        self.body.append("<em>")
        return
    attributes = {"data-explorable-for": node.get("name", ""), "data-state": node["state"]}
    self.body.append(
        self.starttag(node, "button", "", CLASS="explorable-set", TYPE="button", **attributes)
    )


def depart_try(self: HTML5Translator, node: explorable_try) -> None:
    """Close a button."""
    self.body.append("</button>" if _interactive(self) else "</em>")


def skip(self: Any, node: nodes.Element) -> None:
    """Write nothing."""
    raise nodes.SkipNode


def enter(self: Any, node: explorable) -> None:
    """Write what is inside; nothing of one whose figure stands by itself."""
    if "explorable-beside" in node["classes"]:
        raise nodes.SkipNode


def ignore(self: Any, node: nodes.Element) -> None:
    """Write what is inside, and nothing around it."""


def data_file(docname: str, name: str) -> str:
    """Return where an explorable's data lies, relative to the folder of all versions.

    Examples
    --------
    >>> data_file("book/optimization/loss-landscapes", "landscape-3d")
    'data/optimization-loss-landscapes-landscape-3d.json'
    """
    return f"data/{docname.removeprefix('book/').replace('/', '-')}-{name}.json"


def data_text(data: Any) -> str:
    """Return data as compact JSON."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def write_data(path: Path, text: str) -> None:
    """Write a data file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# --- the build ----------------------------------------------------------------------------------


def names_on(app: Sphinx, doctree: nodes.document | None) -> list[str]:
    """Return the explorables of a page."""
    return [node["name"] for node in doctree.findall(explorable)] if doctree else []


def add_loader(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Have a page with explorables bring their style and load their loader, and no other page.

    To ask for the style would hold the page up for as long as to ask for a large one.
    """
    if names_on(app, doctree):
        style = Path(app.srcdir) / app.config.mathdl_explorables / STYLE
        text = without_comments(style.read_text(encoding="utf-8"))
        context["metatags"] = context.get("metatags", "") + f"\n<style data-page>\n{text}</style>"
        folder = f"explorables/{app.env.mathdl_explorables_version}"
        app.add_js_file(f"{folder}/{LOADER}", loading_method="defer", priority=950)


class Used(PerPage):
    """Keeps which explorables each page uses."""

    kept_as = "mathdl_explorables"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> list[str]:
        """Return the explorables of a page, which `assemble` has put together."""
        return sorted({node["name"] for node in doctree.findall(explorable)})


def module_files(source: Path, names: list[str]) -> list[Path]:
    """Return the modules and styles of explorables and of what they share."""
    folders = [source / name for name in ("lib", *names)]
    return [p for f in folders for p in sorted(f.iterdir()) if p.suffix in (".js", ".css")]


def without_comments(text: str) -> str:
    r"""Return a module or style sheet without comments that have lines of their own, and indents.

    Examples
    --------
    >>> without_comments("/** Half of x. */\nexport const half = (x) => x / 2; // exact\n")
    'export const half = (x) => x / 2; // exact\n'
    """
    return INDENT.sub("", COMMENT.sub("", text))


def version(source: Path, files: list[Path]) -> str:
    """Return a short digest of files and their names.

    Parameters
    ----------
    source : Path
        The folder that the names are relative to.
    files : list of Path
        The files.
    """
    seen = hashlib.sha256()
    for file in files:
        seen.update(f"{file.relative_to(source).as_posix()} {file.stat().st_size}\n".encode())
        seen.update(file.read_bytes())
    return seen.hexdigest()[:10]


def copy_modules(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Copy the modules that the book uses into a folder that is named by their digest.

    So a browser that keeps modules for long never shows old ones on a new page, or a mixture: the
    imports between them are relative. Returns the pages that must name another folder now.
    """
    pages = sorted(page for page, used in Used.of(env).items() if used)
    names = sorted({name for page in pages for name in Used.of(env)[page]})
    if app.builder.format != "html" or not names:
        return []
    source = Path(app.srcdir) / app.config.mathdl_explorables
    files = module_files(source, names)
    folder = version(source, files)
    changed = folder != getattr(env, "mathdl_explorables_version", None)
    env.mathdl_explorables_version = folder
    everything = Path(app.outdir) / "_static" / "explorables"
    for old in everything.glob("*"):
        if old.is_dir() and old.name not in (folder, "data"):
            shutil.rmtree(old)
    for file in files:
        target = everything / folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(without_comments(file.read_text(encoding="utf-8")), encoding="utf-8")
    return pages if changed else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register directive, role and renderer."""
    register_renderer(DataRenderer)
    app.add_config_value("mathdl_explorables", "explorables", "env", str)
    app.add_directive("explorable", Explorable)
    app.add_role("try", Try())
    others = ("latex", "text", "man", "texinfo")
    app.add_node(
        explorable,
        html=(visit_explorable, depart_explorable),
        **dict.fromkeys(others, (enter, ignore)),
    )
    app.add_node(
        explorable_live, html=(visit_live, ignore), **dict.fromkeys(others, (skip, ignore))
    )
    app.add_node(explorable_data, html=(skip, ignore), **dict.fromkeys(others, (skip, ignore)))
    app.add_node(
        explorable_try, html=(visit_try, depart_try), **dict.fromkeys(others, (ignore, ignore))
    )
    app.connect("doctree-read", assemble)
    app.add_env_collector(Used)  # after it
    app.connect("html-page-context", add_loader)
    app.connect("env-updated", copy_modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
