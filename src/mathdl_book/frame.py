"""What stands around the text of a page, as a browser, a screen reader or a search engine meets it.

The theme's own frame says some things twice, some wrongly to a screen reader, and some that no
reader asks for; it is put right once a page's template has been filled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .assets import SITE, on_every_page, version_of, with_one_of_each
from .found import about_page, page_end

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FONTS = "_static/katex/fonts/KaTeX_"
# Fonts of formulas by the class of what is set in them.
FONT_OF = {
    "katex": ("Main-Regular", "Math-Italic"),
    "boldsymbol": ("Math-BoldItalic",),
    "mathbf": ("Main-Bold",),
    "mathbb": ("AMS-Regular",),
    "mathcal": ("Caligraphic-Regular",),
    "mathsf": ("SansSerif-Regular",),
    "op-symbol small-op": ("Size1-Regular",),
    "op-symbol large-op": ("Size2-Regular",),
    **{f"delimsizing size{size}": (f"Size{size}-Regular",) for size in (1, 2, 3, 4)},
}
CLASSES = re.compile(r'\bclass="([^"]*)"')
# Large signs of which the small, common part of a font has the drawing.
LARGE = re.compile(r"\b(delimsizing size[1-4]|op-symbol (?:small|large)-op)\b[^>]*>[()\[\]∑∏∫]")
FIRST = 20_000  # characters of HTML of about what a first look shows
ARTICLE = '<article class="bd-article"'
# A parser that has paused often reads the rest of a long page in one go, deaf to the reader; after
# a script, be it empty, it lets the browser draw and answer.
PAUSE = "<script></script>"
SECTION = "<section id="
TABLE = re.compile(
    r'(<div class="pst-scrollable-table-container)(">\s*<table\b.*?</table>)\s*</div>', re.DOTALL
)
LONG = 30_000  # characters of a table that a reader may begin to read before it has come whole
# (what the theme writes, what it should have been)
AMENDS = tuple(
    (re.compile(pattern, re.DOTALL), instead)
    for pattern, instead in (
        (r"<script>\s*// Activate the search field.*?</script>", ""),
        # Said once: the width of a phone is the width of the page.
        (r'<meta name="viewport" content="width=device-width, initial-scale=1"\s*/?>\s*', ""),
        # Of another search service, and of hosts that rewrite pages.
        (r'<meta name="docsearch:[^>]*>\s*', ""),
        (r' data-cfasync="false"', ""),
        # The colours are settled before anything is drawn, also where storage is forbidden.
        (
            r"document\.documentElement\.dataset\.mode = localStorage.*?</script>",
            "{ let kept = {}; try { kept = localStorage; } catch {}"
            ' document.documentElement.dataset.mode = kept.mode || "auto";'
            ' document.documentElement.dataset.theme = kept.theme || "auto"; }'
            # Whoever is led into a page, or comes back to a place in it, gets it laid out as a
            # whole: see mathdl.css. A link to words (#:~:text=) is seen in the navigation alone.
            ' { const [way] = performance.getEntriesByType("navigation");'
            ' if (way?.type !== "navigate" || way.name.includes("#"))'
            ' document.documentElement.dataset.whole = ""; }\n  </script>',
        ),
        # The contents for paper: a second heading of first rank on every page.
        (
            r'<div id="jb-print-docs-body" class="onlyprint">.*?</nav>\s*</div>\s*</div>\s*</div>',
            "",
        ),
        (
            r'<div id="jb-print-docs-body" class="onlyprint">\s*<h1>[^<]*</h1>\s*'
            r"<!-- Table of contents -->\s*<div[^>]*>\s*<div[^>]*>\s*</div>\s*</div>\s*</div>",
            "",
        ),
        # A label that contradicts the text that is seen.
        (r'(<button class="btn search-button-field[^>]*?) title="[^"]*" aria-label="[^"]*"', r"\1"),
        (r'(<i class="theme-switch[^>]*?)\s+title="[^"]*"', r"\1"),
        # Pictures beside words, or on a button that has a name.
        (
            r"<(i|span) class=\"((?:fa-|fas |fab |far |theme-switch)[^\"]*)\"",
            r'<\1 aria-hidden="true" class="\2"',
        ),
        (r'<img alt="[^"]* logo" ', '<img alt="" role="presentation" width="20" height="20" '),
        # What opens the list below a page in the contents.
        (
            r"<summary>(<span class=\"toctree-toggle\") role=\"presentation\"",
            r'<summary aria-label="The pages below">\1',
        ),
        # The title of the book belongs to the way through it.
        (
            r'<div id="pst-primary-sidebar"',
            '<div role="navigation" aria-label="Book" id="pst-primary-sidebar"',
        ),
        (r'(<nav class="bd-links bd-docs-nav" aria-label=)"Main"', r'\1"Chapters"'),
        # Tooltips were a script's; a title is one.
        (r'\s+data-bs-(?:placement|toggle|title)="(?:tooltip|bottom|left|Color mode)"', ""),
        (r'\s+data-bs-toggle="dropdown"', ""),
        (r'<div class="pst-async-banner-revealer.*?</aside>\s*</div>', ""),
        (
            r"<main id=\"main-content\" class=\"bd-main\" role=\"main\">",
            '<main id="main-content" class="bd-main" tabindex="-1">',
        ),
        # What is to be saved opens no window.
        (
            r'(<a href="[^"]+\.(?:ipynb|md)") target="_blank"(\s+class="btn btn-sm btn-download-)',
            r"\1 download\2",
        ),
        (r' target="_blank"', ' target="_blank" rel="noopener"'),
        (r"<!--.*?-->\s*", ""),
        (r"(?:[ \t]*\n){2,}", "\n"),
    )
)


def amended(frame: str) -> str:
    """Return a part of what stands around the text, put right.

    Parameters
    ----------
    frame : str
        HTML before or after the text of a page.

    Examples
    --------
    >>> amended('<button class="btn search-button-field x" title="Search" aria-label="Search">')
    '<button class="btn search-button-field x">'
    """
    for pattern, instead in AMENDS:
        frame = pattern.sub(instead, frame)
    return frame


def steady(text: str) -> str:
    r"""Return the text of a page so that it can be read while the rest of it arrives.

    A table gets the widths of its columns from all its rows: a short one is shown when it has come
    whole, as `mathdl.css` says, and until then keeps only its place. What comes after a table tells
    that it is whole.

    Parameters
    ----------
    text : str
        HTML of the text of a page.

    Examples
    --------
    >>> steady('<section id="a"><section id="b"></section></section>')
    '<section id="a"><script></script><section id="b"></section></section>'
    >>> steady('<div class="pst-scrollable-table-container"><table>…</table>\n</div>')
    '<div class="pst-scrollable-table-container arriving"><table>…</table><i hidden></i></div>'
    """

    def waiting(found: re.Match[str]) -> str:
        if len(found[0]) > LONG:
            return found[0]
        return f"{found[1]} arriving{found[2]}<i hidden></i></div>"

    begin, tag, rest = TABLE.sub(waiting, text).partition(SECTION)
    return begin + tag + rest.replace(SECTION, PAUSE + SECTION)


def fonts_of(text: str, root: str) -> str:
    """Return what has fonts of formulas asked for with the page, so that nothing moves later.

    Parameters
    ----------
    text : str
        The text of a page, of which only the formulas near its top matter.
    root : str
        See `with_one_of_each`.

    Examples
    --------
    >>> text = '<p><span class="katex"><span class="boldsymbol mu4">x</span></span></p>'
    >>> [link.partition('"')[0] for link in fonts_of(text, "../").split("KaTeX_")[1:]]
    ['Main-Regular-common.woff2', 'Math-Italic-common.woff2', 'Math-BoldItalic-common.woff2']
    >>> sign = '<span class="katex"><span class="mop op-symbol large-op">∑</span></span>'
    >>> fonts_of(sign, "").count("KaTeX_Size2")
    1
    >>> fonts_of("<p>Words.</p>", "../")
    ''
    """
    head = text[:FIRST]
    classes = {name for given in CLASSES.findall(head) for name in given.split()}
    classes.update(LARGE.findall(head))
    fonts = dict.fromkeys(name for of in FONT_OF if of in classes for name in FONT_OF[of])
    links = "".join(
        '<link rel="preload" as="font" type="font/woff2" crossorigin '
        f'href="{root}{FONTS}{name}-common.woff2">'
        for name in fonts
    )
    if not links:
        return ""
    # A page opened from a folder may use its fonts, but not ask for them so.
    return (
        '<script>location.protocol === "file:" || '
        f"document.head.insertAdjacentHTML('beforeend', '{links}');</script>\n"
    )


def framed(page: str, root: str, version: str, about: str, end: str, *, searching: bool) -> str:
    """Return a whole page with its frame put right.

    Parameters
    ----------
    page : str
        HTML of the page.
    root, version, searching
        See `with_one_of_each`.
    about : str
        What its head says of it, beyond the theme.
    end : str
        What stands at the end of its text.
    """
    before, tag, rest = page.partition(ARTICLE)
    text, close, after = rest.rpartition("</article>")
    if not tag or not close:
        before, text, after = page, "", ""
    parts = [
        amended(with_one_of_each(part, root, version, searching=searching))
        for part in (before, after)
    ]
    head = parts[0].replace("</head>", f"{about}</head>", 1)
    head = head.replace("</title>", f"</title>\n{fonts_of(text, root)}", 1)
    if not tag:
        return head
    return f"{head}{tag}{steady(text)}{end}{close}{parts[1]}"


def finish_frames(app: Sphinx) -> None:
    """Have every page's frame put right as the page is written."""
    if app.builder.format != "html" or app.builder.name == "epub":
        return
    version = version_of(SITE)

    def finish(page: str, context: dict[str, Any]) -> str:
        name = context["pagename"]
        return framed(
            page,
            "../" * name.count("/"),
            version,
            about_page(app, name, context),
            page_end(app, name, context),
            searching=name == "search",
        )

    on_every_page(app, finish)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("builder-inited", finish_frames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
