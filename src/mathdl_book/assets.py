"""One stylesheet and one script for every page, of what its pages use and nothing else.

The theme and the extensions bring a dozen stylesheets and as many scripts, of which a page uses a
tenth. Their styles are put together in order, without the rules for classes and ids that no page
has, as ``_static/site.css``; what their scripts do is done by ``_static/site.js``. The stylesheet
is made anew only when the pages' vocabulary or the sources have changed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SITE = Path(__file__).parent / "static" / "site"
STYLESHEET = "site.css"
# In the order in which they must stand; those that a build does not have are left out.
STYLES = (
    "styles/theme.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "katex/katex.min.css",
    "mystnb.*.css",
    "proof.css",
    "exercise.css",
    "sphinx-design.min.css",
    "icons/icons.css",
    "mathdl.css",
    "live/live.css",
)
# What a page brings itself, marked: a style within <noscript> is to stay there.
OWN_STYLE = re.compile(r"<style data-page>.*?</style>", re.DOTALL)
# Fonts that every page shows at its top: asked for after the stylesheet, they would come late.
EMBEDDED = re.compile(r"url\((icons/[^)]+\.woff2)\)")
# Styles and scripts of what `site.js` does, and scripts that search.html alone needs.
REPLACED = ("copybutton.css", "togglebutton.css")
DONE = re.compile(
    r"(?:clipboard\.min|copybutton|togglebutton|design-tabs|scripts/sphinx-book-theme"
    r"|scripts/bootstrap|scripts/pydata-sphinx-theme|documentation_options|doctools"
    r"|sphinx_highlight|searchtools|language_data|searchindex)\.js"
)
OPTIONS = re.compile(r"<script>\s*DOCUMENTATION_OPTIONS\.[^<]*</script>\s*")
SCRIPT = re.compile(r"<script\b[^>]*\ssrc=\"([^\"]+)\"[^>]*>\s*</script>\s*")
STYLE_LINK = re.compile(r"<link\b[^>]*\srel=\"stylesheet\"[^>]*>\s*")
TOKEN = re.compile(
    r"/\*.*?\*/|url\(\s*[^'\")\s][^)]*\)|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{};]"
    r"|(?:(?!/\*|url\(\s*[^'\")\s])[^{};\"'])+",
    re.DOTALL,
)
NAME = re.compile(r"-?[A-Za-z_][\w-]*")
# Of a selector, what must be in a page: not what stands in brackets of any kind.
BRACKETS = re.compile(r"\[[^\]]*\]|\((?:[^()]|\([^()]*\))*\)")
NEEDED = re.compile(r"[.#](-?[A-Za-z_](?:[\w-]|\\.)*)")
# Words of the book, not of its pages; and libraries that bring their own styles.
FOREIGN = (
    *("_static/search/", "_static/search-"),
    *("_static/slides/reveal.js", "_static/live/vendor/"),
)
# What Bootstrap's own scripts would set; none of them is on the site.
UNSET = "[data-bs-"
GROUPS = ("@media", "@supports", "@container", "@layer")


# ---- stylesheets ---------------------------------------------------------------------------


def rules(css: str) -> Iterator[tuple[str, str | None]]:
    """Yield the rules of a stylesheet: what stands before the braces, and what in them.

    Parameters
    ----------
    css : str
        A stylesheet, or what is in the braces of one of its groups.

    Yields
    ------
    tuple
        Selectors and declarations; the declarations are None for a statement such as ``@import``.

    Examples
    --------
    >>> list(rules('@import "a.css"; a, b { color: red } @media print { i { top: 0 } }'))
    [('@import "a.css"', None), ('a, b', ' color: red '), ('@media print', ' i { top: 0 } ')]
    """
    before: list[str] = []
    inside: list[str] = []
    depth = 0
    for token in TOKEN.findall(css):
        if token.startswith("/*"):
            continue
        if token == "{":
            depth += 1
            if depth == 1:
                continue
        elif token == "}":
            depth -= 1
            if depth == 0:
                yield "".join(before).strip(), "".join(inside)
                before, inside = [], []
                continue
        elif token == ";" and depth == 0:
            yield "".join(before).strip(), None
            before = []
            continue
        (inside if depth else before).append(token)


def selectors(prelude: str) -> list[str]:
    """Return the selectors of a rule.

    Examples
    --------
    >>> selectors("a.b:is(.c, .d) > e, f")
    ['a.b:is(.c, .d) > e', 'f']
    """
    parts, depth, begun = [], 0, 0
    for place, letter in enumerate(prelude):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append(prelude[begun:place].strip())
            begun = place + 1
    return [*parts, prelude[begun:].strip()]


def purged(css: str, used: set[str]) -> str:
    """Return a stylesheet without the rules that can apply to nothing.

    Parameters
    ----------
    css : str
        The stylesheet.
    used : set of str
        Classes and ids of all pages, and all words of their scripts.

    Examples
    --------
    >>> purged(".a, .b { top: 0 } .b { left: 0 } @media print { .b { top: 1px } }", {"a"})
    '.a{top:0}'
    >>> purged(":root, [data-bs-theme=dark] { top: 0 }", set())
    ':root{top:0}'
    """
    kept = []
    for prelude, body in rules(css):
        if body is None:
            continue  # what is imported is put in by `bundle`
        if prelude.startswith(GROUPS):
            if within := purged(body, used):
                kept.append(f"{prelude}{{{within}}}")
            continue
        if not prelude.startswith("@"):
            needed = [
                one
                for one in selectors(prelude)
                if UNSET not in one
                and used.issuperset(
                    name.replace("\\", "") for name in NEEDED.findall(BRACKETS.sub("", one))
                )
            ]
            if not needed:
                continue
            prelude = ",".join(re.sub(r"\s+", " ", one) for one in needed)
        if declarations := _compact(body):
            kept.append(f"{prelude}{{{declarations}}}")
    return "".join(kept)


def _compact(body: str) -> str:
    body = re.sub(r"\s+", " ", body).strip().rstrip(";")
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r":\s+(?=[^;{}]*(?:;|$))", ":", body))


def without_unused_names(css: str, elsewhere: str) -> str:
    """Return a stylesheet without the fonts and the animations that nothing names.

    Parameters
    ----------
    css : str
        The stylesheet, as `purged` returns it.
    elsewhere : str
        Styles and scripts that may name them as well.

    Examples
    --------
    >>> without_unused_names("@font-face{font-family:A}@keyframes b{0%{top:0}}p{font:1em A}", "")
    '@font-face{font-family:A}p{font:1em A}'
    """
    parts = list(rules(css))
    own = (body for prelude, body in parts if not prelude.startswith(("@font-face", "@keyframes")))
    named = " ".join([*own, elsewhere])

    def needed(prelude: str, body: str) -> bool:
        if prelude.startswith("@keyframes"):
            name = prelude.split()[1]
            return bool(re.search(rf"animation(?:-name)?:[^;}}]*(?<![\w-]){name}(?![\w-])", named))
        if prelude.startswith("@font-face"):
            return re.search(r"font-family:\s*[\"']?([^;\"']+)", body)[1] in named
        return True

    return "".join(f"{prelude}{{{body}}}" for prelude, body in parts if needed(prelude, body))


def without_unused_properties(css: str, elsewhere: str) -> str:
    """Return a stylesheet without the custom properties that nothing asks for.

    Parameters
    ----------
    css : str
        The stylesheet, as `purged` returns it.
    elsewhere : str
        Styles and scripts that may ask for them as well.

    Examples
    --------
    >>> without_unused_properties(":root{--a:1px;--b:var(--a);--c:0}p{top:var(--b)}", "")
    ':root{--a:1px;--b:var(--a);}p{top:var(--b)}'
    >>> without_unused_properties(":root{--a:url('data:text/css;x');top:0}", "")
    ':root{top:0}'
    """
    while True:
        asked = {*re.findall(r"var\(\s*(--[\w-]+)", css), *re.findall(r"--[\w-]+", elsewhere)}
        less = _properties_of(css, asked)
        less = re.sub(r"[^{};]+\{\}", "", less)
        if less == css:
            return css
        css = less


def _properties_of(css: str, asked: set[str]) -> str:
    return re.sub(
        r"(?<=[{;])(--[\w-]+):(?:\"[^\"]*\"|'[^']*'|[^;{}\"'])*(;|(?=\}))",
        lambda found: found[0] if found[1] in asked else "",
        css,
    )


def bundle(static: Path, used: set[str], elsewhere: str = "") -> str:
    """Return the one stylesheet of a site.

    Parameters
    ----------
    static : Path
        The folder ``_static`` of the built site.
    used : set of str
        See `purged`.
    elsewhere : str
        See `without_unused_properties`.
    """
    parts = []
    for pattern in STYLES:
        for path in sorted(static.glob(pattern)):
            parts.append(_with_imports(path, static))
    css = with_short_ranges(without_unused_names(purged("\n".join(parts), used), elsewhere))
    return with_fonts(without_unused_properties(css, elsewhere), static)


def with_short_ranges(css: str) -> str:
    """Return a stylesheet whose fonts name fewer ranges of characters, with gaps filled.

    A gap is filled if it has at most 16 characters, none of them the space without width that
    formulas hold: a font that lacks it would be fetched for it.

    Parameters
    ----------
    css : str
        The stylesheet.

    Examples
    --------
    >>> with_short_ranges("@font-face{unicode-range:U+41-44,U+48,U+60,U+2009-200A,U+2013}")
    '@font-face{unicode-range:U+41-48,U+60,U+2009-200A,U+2013}'
    """

    def shorter(found: re.Match[str]) -> str:
        parts = (part.strip()[2:].partition("-") for part in found[1].split(","))
        made: list[list[int]] = []
        for low, high in sorted((int(low, 16), int(high or low, 16)) for low, _, high in parts):
            if made and low - made[-1][1] <= 17 and not made[-1][1] < 0x200B < low:
                made[-1][1] = max(high, made[-1][1])
            else:
                made.append([low, high])
        ranges = (f"U+{low:X}" + f"-{high:X}" * (high > low) for low, high in made)
        return "unicode-range:" + ",".join(ranges)

    return re.sub(r"unicode-range:([^;}]+)", shorter, css)


def with_fonts(css: str, static: Path) -> str:
    """Return a stylesheet that carries the fonts of the icons.

    Parameters
    ----------
    css : str
        The stylesheet.
    static : Path
        The folder that it is for.
    """

    def font(found: re.Match[str]) -> str:
        data = base64.b64encode((static / found[1]).read_bytes()).decode()
        return f"url(data:font/woff2;base64,{data})"

    return EMBEDDED.sub(font, css)


def _with_imports(path: Path, static: Path) -> str:
    css = path.read_text(encoding="utf-8").removeprefix("\ufeff")
    folder = path.parent.relative_to(static).as_posix()

    def imported(found: re.Match[str]) -> str:
        other = (path.parent / found[1].partition("?")[0]).resolve()
        return _with_imports(other, static) if other.is_file() else ""

    def moved(found: re.Match[str]) -> str:
        address = found[2]
        if re.match(r"data:|#|/|\w+:", address):
            return found[0]
        return f"url({posixpath.normpath(posixpath.join(folder, address))})"

    css = re.sub(r"url\((['\"]?)([^'\")]+)\1\)", moved, css)
    css = re.sub(r"(?m)^@charset[^;]*;", "", css)
    return re.sub(r"@import\s+(?:url\()?['\"]?([^'\");]+)['\"]?\)?[^;]*;", imported, css)


# ---- what the pages use --------------------------------------------------------------------


def words_of(page: str) -> set[str]:
    """Return the classes and ids of a page, and the words of its scripts.

    Parameters
    ----------
    page : str
        Its HTML.

    Examples
    --------
    >>> sorted(words_of('<p class="a b" id=c><script>let d = "e";</script>'))
    ['a', 'b', 'c', 'd', 'e', 'let']
    """
    words: set[str] = set()
    for listed in set(re.findall(r"\sclass=(\"[^\"]*\"|[^\s>]+)", page)):
        words.update(listed.strip('"').split())
    words.update(name.strip('"') for name in re.findall(r"\sid=(\"[^\"]*\"|[^\s>]+)", page))
    for script in re.findall(r"<script\b[^>]*>(.*?)</script>", page, re.DOTALL):
        words.update(NAME.findall(script))
    return words


def vocabulary(out: Path, memory: Path) -> set[str]:
    """Return what all pages of a site and the scripts that they load name.

    Parameters
    ----------
    out : Path
        The built site.
    memory : Path
        A JSON file that keeps the words of pages which have not changed.
    """
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    seen: dict[str, Any] = {}
    for path in sorted([*out.rglob("*.html"), *(out / "_static").rglob("*.js")]):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".js" and (DONE.search(name) or name.startswith(FOREIGN)):
            continue
        about = path.stat()
        stamp = [about.st_size, about.st_mtime_ns]
        if known.get(name, [None])[0] == stamp:
            seen[name] = known[name]
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        words = set(NAME.findall(text)) if path.suffix == ".js" else words_of(text)
        seen[name] = [stamp, sorted(words)]
    if seen != known:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(seen), encoding="utf-8")
    return set().union(*(words for _, words in seen.values()))


# ---- pages ---------------------------------------------------------------------------------


def with_one_of_each(head: str, root: str, version: str, *, searching: bool) -> str:
    """Return a page's head, or another part of it, that asks for the two bundles only.

    Parameters
    ----------
    head : str
        HTML.
    root : str
        From the page to the root of the site, such as ``../``; empty or ending in a slash.
    version : str
        Changes when the bundles do, so that no browser keeps old ones.
    searching : bool
        Whether this is the page to search on, which needs Sphinx's scripts.

    Examples
    --------
    >>> page = '<script src="../_static/doctools.js?v=1"></script><script src="a.js"></script>'
    >>> with_one_of_each(page, "../", "2", searching=False)
    '<script defer src="a.js"></script>'
    """

    def style(found: re.Match[str]) -> str:
        address = re.search(r'\shref="([^"]+)"', found[0])[1].partition("?")[0]
        name = address.removeprefix(f"{root}_static/")
        if name in REPLACED or any(Path(name).match(pattern) for pattern in STYLES):
            return ""
        return found[0]

    def script(found: re.Match[str]) -> str:
        address = found[1].partition("?")[0]
        if DONE.search(address):
            return ""
        if re.search(r"\s(?:defer|async)\b|type=\"module\"", found[0]):
            return found[0]
        return found[0].replace("<script", "<script defer", 1)

    head = SCRIPT.sub(script, STYLE_LINK.sub(style, OPTIONS.sub("", head)))
    if "</title>" not in head:
        return head
    own = "".join(f"\n{found[0]}" for found in OWN_STYLE.finditer(head))
    head = OWN_STYLE.sub("", head)
    bundles = (
        f'\n<link rel="stylesheet" href="{root}_static/{STYLESHEET}?v={version}">'
        f'\n<script defer src="{root}_static/site.js?v={version}"></script>'
    )
    if searching:
        bundles += "".join(
            f'\n<script defer src="{root}{name}?v={version}"></script>'
            for name in ("_static/language_data.js", "_static/search.js")
        )
    # Before other styles, which may change what these say.
    return head.replace("</title>", f"</title>{bundles}{own}", 1)


def write_stylesheet(app: Sphinx, exception: Exception | None) -> None:
    """Write the one stylesheet, if it would be another than the one that is there."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    used = vocabulary(out, out.parent / "site" / "words.json")
    given = hashlib.sha256("\n".join(sorted(used)).encode())
    for pattern in STYLES:
        for path in sorted(static.glob(pattern)):
            given.update(path.read_bytes())
    for path in sorted(static.glob("icons/*.woff2")):
        given.update(path.read_bytes())
    others = [p for p in static.rglob("*.css") if {"explorables", "live", "slides"} & {*p.parts}]
    scripts = [
        path
        for path in static.rglob("*.js")
        if not DONE.search(path.as_posix()) and not path.is_relative_to(static / "search")
    ]
    elsewhere = "\n".join(p.read_text(encoding="utf-8") for p in sorted(others + scripts))
    given.update(elsewhere.encode())
    given.update(Path(__file__).read_bytes())
    mark, target = out.parent / "site" / "stylesheet", static / STYLESHEET
    digest = given.hexdigest()
    if target.is_file() and mark.is_file() and mark.read_text() == digest:
        return
    target.write_text(bundle(static, used, elsewhere), encoding="utf-8")
    mark.write_text(digest)


def version_of(folder: Path) -> str:
    """Return a short digest of all files below a folder, but for what Python compiles of them."""
    seen = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            seen.update(path.read_bytes())
    return seen.hexdigest()[:8]


def on_every_page(app: Sphinx, finish: Callable[[str, dict[str, Any]], str]) -> None:
    """Have a function change each page after its template has been filled.

    Parameters
    ----------
    app : Sphinx
        With a builder that writes HTML.
    finish : callable
        Gets the page's HTML and what its template was filled with; returns the HTML to write.
    """
    render = app.builder.templates.render

    def rendered(template: str, context: dict[str, Any]) -> str:
        page = render(template, context)
        return finish(page, context) if template.endswith(".html") else page

    app.builder.templates.render = rendered


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the writing of the stylesheet, after everyone who writes pages or styles."""
    app.connect("build-finished", write_stylesheet, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
