"""How a page is found and shared: its address, what it says of itself, whom to tell of an error.

Each page's head says what it is to search engines and to those who draw a preview of a link; below
its text stand the date and commit of its last change, how to cite it, and where to report an error.
Addresses of the site itself are written only where the site's address is known: ``html.baseurl``
in ``_config.yml``, else what GitHub or GitLab Pages would serve the repository under.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from docutils import nodes

from .cards import HEIGHT, WIDTH, write_cards
from .catalogue import header, parts
from .editions import LATEST
from .pages import toc_docnames
from .perpage import PerPage
from .repository import git as ask_git
from .solutions import left_out
from .wording import line_of, text_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

    from .typesetting import Typesetter

TEMPLATES = Path(__file__).parent / "templates"
FAVICON = "favicon.svg"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"
FORM = "wrong-equation.yml"
LONGEST = 200
CARDS = "_static/cards/"
MOTTO = ("An executable textbook", "Every claim checked by code as the book is built")
DECKS = "slides"  # folder of the chapters' slides


# ---- addresses -----------------------------------------------------------------------------


def pages_address(repository: str) -> str:
    """Return where GitHub or GitLab Pages serves a repository, empty for another host.

    Parameters
    ----------
    repository : str
        Its web address.

    Examples
    --------
    >>> pages_address("https://github.com/Someone/book")
    'https://someone.github.io/book/'
    >>> pages_address("https://github.com/someone/someone.github.io")
    'https://someone.github.io/'
    >>> pages_address("https://example.org/git/book")
    ''
    """
    parts = urlsplit(repository)
    names = parts.path.strip("/").split("/")
    host = {"github.com": "github.io", "gitlab.com": "gitlab.io"}.get(parts.netloc)
    if host is None or len(names) < 2:
        return ""
    owner, rest = names[0].lower(), "/".join(names[1:])
    own = f"{owner}.{host}"
    return f"https://{own}/" if rest.lower() == own else f"https://{own}/{rest}/"


def configure(app: Sphinx, config: Config) -> None:
    """Settle the site's address, which the theme writes into every page."""
    repository = config.html_theme_options.get("repository_url") or ""
    base = config.html_baseurl or pages_address(repository)
    config.html_baseurl = base.rstrip("/") + "/" if base else ""


git = cache(ask_git)  # every page asks the same


@cache
def last_changes(root: Path, _commit: str) -> dict[str, tuple[str, str]]:
    """Return commit and day of the last change of every file below ``book``.

    Parameters
    ----------
    root : Path
        The book's folder. Empty if it is no checkout of its own with its history.
    """
    top = git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != root.resolve():
        return {}
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        return {}  # its only commit changed every file, as far as it knows
    found: dict[str, tuple[str, str]] = {}
    change = ("", "")
    for line in git(root, "log", "--format=%x00%H %cs", "--name-only", "--", "book").splitlines():
        if line.startswith("\0"):
            commit, _, day = line[1:].partition(" ")
            change = (commit, day)
        elif line:
            found.setdefault(line, change)
    return found


def last_change(app: Sphinx, docname: str) -> tuple[str, str] | None:
    """Return commit and day of a page's last change, None where that is not known."""
    root = Path(app.srcdir)
    commit = git(root, "rev-parse", "HEAD")
    source = Path(app.env.doc2path(docname)).relative_to(root).as_posix()
    return last_changes(root, commit).get(source) if commit else None


# ---- what a page says of itself ------------------------------------------------------------


def described(doctree: nodes.document, typesetter: Typesetter | None = None) -> str:
    """Return what a page is about: its first sentences, about two lines of them.

    Parameters
    ----------
    doctree : document
        The page as read.
    typesetter : Typesetter or None
        What formulas are put into words with.
    """
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section):
            continue
        text = " ".join(text_of(paragraph, typesetter).split())
        if len(text) > 20:
            return shortened(text)
    return ""


def shortened(text: str) -> str:
    """Return a text of at most two lines: whole sentences, else whole words.

    Examples
    --------
    >>> shortened("A slope. " + "And more of it, " * 20)
    'A slope.'
    >>> shortened("word " * 100).endswith("word …")
    True
    """
    if len(text) <= LONGEST:
        return text.strip()
    cut = text[:LONGEST]
    sentence = re.match(r".*[.?!](?=\s)", cut)
    return sentence[0] if sentence else cut.rpartition(" ")[0] + " …"


class Descriptions(PerPage):
    """Keeps what each page is about."""

    kept_as = "mathdl_descriptions"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> str:
        """Return what a page is about."""
        return described(doctree, _typesetter(env.app))


def book_title(config: Config) -> str:
    """Return the title of the book, which Jupyter Book gives to its pages only."""
    return config.html_title or config.project


def _typesetter(app: Sphinx) -> Typesetter | None:
    return getattr(app, "mathdl_typesetter", None)


def _title(app: Sphinx, docname: str) -> str:
    title = app.env.titles.get(docname)
    return text_of(title, _typesetter(app)) if title is not None else ""


def structured(app: Sphinx, docname: str) -> dict[str, Any]:
    """Return what a page is, in the words of schema.org.

    Parameters
    ----------
    app : Sphinx
        With the environment of a build.
    docname : str
        The page.
    """
    config = app.config
    book: dict[str, Any] = {
        "@type": "Book",
        "name": book_title(config),
        "author": {"@type": "Organization", "name": config.author},
        "bookFormat": "https://schema.org/EBook",
        "inLanguage": config.language or "en",
        "license": LICENCE,
        "isAccessibleForFree": True,
    }
    if config.html_baseurl:
        book["url"] = config.html_baseurl
    if docname == config.root_doc:
        about = {"description": Descriptions.of(app.env).get(docname, "")}
        return {"@context": "https://schema.org", **book, **about}
    meta = header(app.env, docname)
    page: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "LearningResource",
        "name": _title(app, docname),
        "description": Descriptions.of(app.env).get(docname, ""),
        "inLanguage": book["inLanguage"],
        "license": LICENCE,
        "isAccessibleForFree": True,
        "isPartOf": book,
    }
    if config.html_baseurl:
        page["url"] = f"{config.html_baseurl}{docname}.html"
    if "minutes" in meta:
        page["learningResourceType"] = "lab" if "/labs/" in docname else "chapter"
        page["timeRequired"] = f"PT{meta['minutes']}M"
        page["educationalLevel"] = {1: "Beginner", 2: "Intermediate", 3: "Advanced"}[
            meta["difficulty"]
        ]
        page["teaches"] = [line_of(one["text"], _typesetter(app)) for one in meta["objectives"]]
    changed = last_change(app, docname)
    if changed:
        page["dateModified"] = changed[1]
    return page


def about_page(app: Sphinx, name: str, context: dict[str, Any]) -> str:
    """Return what the head of a page says of it.

    Parameters
    ----------
    app : Sphinx
        With the environment of a build.
    name : str
        Name of the page; one without a source gets its icon only.
    context : dict
        What its template was filled with.
    """
    root = "../" * name.count("/")
    lines = [f'<link rel="icon" type="image/svg+xml" href="{root}_static/{FAVICON}">']
    if name in app.env.all_docs:
        config = app.config
        title = _title(app, name) if name != config.root_doc else book_title(config)
        said = Descriptions.of(app.env).get(name, "")
        kind = "book" if name == config.root_doc else "article"
        facts = {
            "og:title": title,
            "og:type": kind,
            "og:site_name": book_title(config),
            "og:description": said,
        }
        if config.html_baseurl:
            facts["og:url"] = f"{config.html_baseurl}{name}.html"
            facts["og:image"] = f"{config.html_baseurl}{CARDS}{quote(name)}.png"
            facts["og:image:width"], facts["og:image:height"] = str(WIDTH), str(HEIGHT)
            facts["og:image:alt"] = title
        large = "summary_large_image" if config.html_baseurl else "summary"
        lines += [f'<meta name="description" content="{_attribute(said)}">'] if said else []
        lines += [
            f'<meta property="{key}" content="{_attribute(value)}">'
            for key, value in facts.items()
            if value
        ]
        lines += [f'<meta name="twitter:card" content="{large}">']
        data = json.dumps(structured(app, name), ensure_ascii=False).replace("</", "<\\/")
        lines += [f'<script type="application/ld+json">{data}</script>']
    return "".join(f"  {line}\n" for line in lines)


def _attribute(text: str) -> str:
    return html.escape(text, quote=True)


def deck_of(app: Sphinx, docname: str) -> str | None:
    """Return where the slides of a page are in the site, None for what is no numbered chapter.

    Parameters
    ----------
    app : Sphinx
        After all pages have been read.
    docname : str
        The page.
    """
    if app.builder.name != "html" or not app.env.toc_secnumbers.get(docname, {}).get(""):
        return None
    return f"{DECKS}/{docname.rpartition('/')[2]}.html"


# ---- below the text ------------------------------------------------------------------------


def bibtex(app: Sphinx, docname: str, title: str) -> str:
    """Return how to cite a page, for BibTeX.

    Parameters
    ----------
    app : Sphinx
        With the configuration of a build.
    docname : str
        The page.
    title : str
        Its title.
    """
    config = app.config
    key = re.sub(r"[^a-z0-9-]", "", docname.rpartition("/")[2].lower())
    changed = last_change(app, docname)
    whole = docname == config.root_doc
    year = re.search(r"\d{4}", changed[1] if changed else str(config.copyright))
    fields = {
        "author": f"{{{config.author}}}",
        "title": book_title(config) if whole else title,
        "booktitle": "" if whole else book_title(config),
        "edition": config.mathdl_edition.removeprefix(LATEST),
        "year": year[0] if year else "",
        "url": f"{config.html_baseurl}{docname}.html" if config.html_baseurl else "",
        "note": f"Version of {changed[1]}, {changed[0][:10]}" if changed else "",
    }
    kind = "book" if whole else "incollection"
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{mathdl-{key},", *lines, "}"])


def report_address(repository: str, page: str, edition: str) -> str:
    """Return where to report an error, with the form filled in as far as is known.

    Parameters
    ----------
    repository : str
        Web address of the repository.
    page : str
        Name of the page.
    edition : str
        Commit, or empty.

    Examples
    --------
    >>> report_address("https://github.com/a/b", "calculus/derivatives", "12ab")
    'https://github.com/a/b/issues/new?template=wrong-equation.yml&label=calculus/derivatives&edition=12ab'
    """
    if urlsplit(repository).netloc != "github.com":
        return f"{repository}/issues"
    query = {"template": FORM, "label": page, "edition": edition}
    return f"{repository}/issues/new?" + "&".join(
        f"{key}={quote(value)}" for key, value in query.items() if value
    )


def page_end(app: Sphinx, name: str, context: dict[str, Any]) -> str:
    """Return what stands below the text of a page; nothing below one without a source.

    Parameters
    ----------
    app, name, context
        See `about_page`.
    """
    if name not in app.env.all_docs:
        return ""
    options = app.config.html_theme_options
    repository = options.get("repository_url", "")
    branch = options.get("repository_branch") or "main"
    changed = last_change(app, name)
    source = Path(app.env.doc2path(name)).relative_to(app.srcdir).as_posix()
    said = []
    if deck := deck_of(app, name):
        said.append(f'<a href="{"../" * name.count("/")}{deck}">Slides</a>')
    if changed:
        commit, day = changed
        mark = f"<code>{commit[:10]}</code>"
        if repository:
            mark = f'<a href="{_attribute(repository)}/commit/{commit}">{mark}</a>'
        said.append(f'Last changed on <time datetime="{day}">{day}</time> in {mark}')
    if repository:
        edition = changed[0][:10] if changed else ""
        report = report_address(repository, name.removeprefix("book/"), edition)
        said.append(f'<a class="report" href="{_attribute(report)}">Report an error</a>')
        # The page's source holds its solutions.
        if options.get("use_edit_page_button") and not left_out(app):
            edit = f"{repository}/edit/{branch}/{quote(source)}"
            said.append(f'<a href="{_attribute(edit)}">Edit this page</a>')
    title = _title(app, name)
    cite = html.escape(bibtex(app, name, title))
    facts = "".join(f"<li>{one}</li>" for one in said)
    return (
        '\n<footer class="page-end">\n'
        + (f"<ul>{facts}</ul>\n" if facts else "")
        + "<details><summary>Cite this page</summary>"
        f'<div class="highlight"><pre tabindex="0">{cite}</pre></div></details>\n</footer>\n'
    )


# ---- the site as a whole -------------------------------------------------------------------


def sitemap(base: str, pages: dict[str, str]) -> str:
    """Return the list of pages for search engines.

    Parameters
    ----------
    base : str
        Address of the site.
    pages : dict
        Name of each page → day of its last change, or empty.
    """
    rows = "".join(
        f"<url><loc>{html.escape(base + quote(name))}.html</loc>"
        + (f"<lastmod>{day}</lastmod>" if day else "")
        + "</url>\n"
        for name, day in pages.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}</urlset>\n'
    )


def _contents(app: Sphinx) -> dict[str, list[str]]:
    """Return the pages in reading order, by part."""
    root = Path(app.srcdir)
    part_of = parts(root)
    listed: dict[str, list[str]] = {}
    for name in toc_docnames(root):
        if name in app.env.all_docs:
            listed.setdefault(part_of.get(name, ""), []).append(name)
    return listed


def llms(app: Sphinx) -> str:
    """Return the book's contents for language models: https://llmstxt.org."""
    base = app.config.html_baseurl
    root = app.config.root_doc
    said = Descriptions.of(app.env)
    lines = [
        f"# {book_title(app.config)}",
        "",
        f"> {said.get(root, '')}",
        "",
        "Every numbered claim is checked by code that runs when the book is built. The source of "
        "each page is MyST Markdown. Text: CC BY 4.0; code: BSD 3-Clause.",
    ]
    for part, names in _contents(app).items():
        lines += ["", f"## {part or 'The book'}", ""]
        for name in names:
            about = f": {said[name]}" if said.get(name) else ""
            lines.append(f"- [{_title(app, name)}]({base}_sources/{name}.md){about}")
    lines += ["", "## Data", ""]
    lines += [
        f"- [All sections, equations, figures and exercises]({base}sections.json)",
        f"- [All checks and what they found]({base}ledger.json)",
    ]
    return "\n".join(lines) + "\n"


def missing_page(app: Sphinx) -> str:
    """Return the page for an address that leads nowhere: a search, and the contents."""
    config = app.config
    base = urlsplit(config.html_baseurl).path if config.html_baseurl else ""
    sections = "".join(
        (f"<h2>{html.escape(part)}</h2>" if part else "")
        + "<ul>"
        + "".join(f'<li><a href="{n}.html">{html.escape(_title(app, n))}</a></li>' for n in names)
        + "</ul>\n"
        for part, names in _contents(app).items()
    )
    return Template((TEMPLATES / "404.html").read_text(encoding="utf-8")).substitute(
        language=config.language or "en",
        title=html.escape(book_title(config)),
        base=f'<base href="{html.escape(base)}">' if base else "",
        contents=sections,
    )


def write_site_files(app: Sphinx, exception: Exception | None) -> None:
    """Write what is there once for the whole site."""
    if exception or app.builder.format != "html" or app.builder.name == "epub":
        return
    out = Path(app.outdir)
    files = {"404.html": missing_page(app), "llms.txt": llms(app)}
    base = app.config.html_baseurl
    if base:
        days = {
            name: (last_change(app, name) or ("", ""))[1]
            for names in _contents(app).values()
            for name in names
        }
        files["sitemap.xml"] = sitemap(base, days)
        files["robots.txt"] = f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n"
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    part_of, book = parts(Path(app.srcdir)), book_title(app.config)
    wanted = [
        (
            out / f"{CARDS}{name}.png",
            (book, *MOTTO)
            if name == app.config.root_doc
            else (_title(app, name), part_of.get(name, ""), book),
        )
        for name in sorted(app.env.all_docs)
    ]
    write_cards(wanted, out.parent / "site" / "cards")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.connect("config-inited", configure, priority=600)
    app.add_env_collector(Descriptions)
    app.connect("build-finished", write_site_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
