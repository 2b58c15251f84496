"""Permanent links: what was published stays, or leads on.

``book/permalinks.yml`` lists every published page with its ids, and the redirects from what was
renamed or moved.  ``python -m mathdl_book.permalinks publish`` adds what a build has made new.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mathdl_book.facts import Facts, read_site
from mathdl_book.findings import Finding
from mathdl_book.leading import leading_page, script_json
from mathdl_book.pages import toc_docnames

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

FILE = "book/permalinks.yml"
# Ids that readers copy: labels, equations, entries of the API.
PERMANENT = re.compile(
    r"(?:sec|def|thm|dfn|fig|tbl|ex|sol|obj|step|term|explorable)(?:-[a-z0-9]+)+"
    r"|equation-(?:eq|def)(?:-[a-z0-9]+)+|mathdl(?:\.\w+)+"
)
ADDRESS = re.compile(r"[a-z0-9][a-z0-9/._-]*(?:#[\w.-]+)?")
HEAD = """\
# Every published page with its ids, and where the renamed and moved ones lead. Readers, papers and
# exercise sheets link to them: nothing is ever taken out by hand.
#   pages:      document name -> ids
#   redirects:  old -> new, as document or document#id; a page's redirect keeps query and #fragment
# `python -m mathdl_book.permalinks publish` adds what the last build made new.
"""


@dataclass
class Permalinks:
    """What has been published.

    Parameters
    ----------
    pages : dict
        Document name → ids published in it.
    redirects : dict
        ``document`` or ``document#id`` that is gone → what stands for it now.
    """

    pages: dict[str, list[str]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)

    def dump(self) -> str:
        """Return the text of the file."""
        data = {
            "pages": {name: sorted(set(ids)) for name, ids in sorted(self.pages.items())},
            "redirects": dict(sorted(self.redirects.items())),
        }
        return HEAD + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def load(root: Path) -> Permalinks:
    """Return the committed permalinks; none where there is no file.

    Parameters
    ----------
    root : Path
        Folder that holds ``book/``.

    Raises
    ------
    ValueError
        If the file holds anything but pages with ids and redirects between addresses.
    """
    path = root / FILE
    if not path.is_file():
        return Permalinks()
    # A list of thousands of ids: the parser in C, where there is one, is twelve times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}
    if not isinstance(data, dict) or not set(data) <= {"pages", "redirects"}:
        raise ValueError(f"{FILE} holds 'pages' and 'redirects', got {data!r:.80}")
    links = Permalinks(data.get("pages") or {}, data.get("redirects") or {})
    for address in (*links.pages, *links.redirects, *links.redirects.values()):
        if not isinstance(address, str) or not ADDRESS.fullmatch(address):
            raise ValueError(f"{FILE}: {address!r} is no 'document' or 'document#id'")
    return links


def permalink_findings(
    links: Permalinks,
    docnames: Collection[str],
    pages: Mapping[str, Facts],
    left_out: Mapping[str, Collection[str]] | None = None,
) -> list[Finding]:
    """Return what was published and is gone, and the redirects that lead nowhere.

    Parameters
    ----------
    links : Permalinks
        What has been published.
    docnames : collection of str
        Document names of the build.
    pages : mapping
        Path in the site → facts of the page; ids that are only aliases are in them as well.
    left_out : mapping, optional
        Document name → labels that stood in its solutions, where these are left out on purpose.
    """

    def lives(address: str) -> bool:
        docname, _, name = address.partition("#")
        facts = pages.get(f"{docname}.html")
        if name.removeprefix("equation-") in (left_out or {}).get(docname, ()):
            return docname in docnames
        return docname in docnames and facts is not None and (not name or name in facts.ids)

    def finding(page: str, where: str, message: str) -> Finding:
        return Finding("permalinks", page, where, message)

    findings = []
    for docname, ids in sorted(links.pages.items()):
        moved = links.redirects.get(docname)
        if docname not in docnames and moved is None:
            findings.append(
                finding(
                    docname,
                    "the page",
                    f"the page was published and is gone; add to redirects in {FILE}: "
                    f"'{docname}: <its new document name>'",
                )
            )
            continue
        for name in ids or []:
            address = f"{docname}#{name}"
            if address in links.redirects or lives(f"{moved or docname}#{name}"):
                continue
            findings.append(
                finding(
                    docname,
                    f"#{name}",
                    f"the id was published and is gone; restore it, or add to redirects in {FILE}: "
                    f"'{address}: <document>#<its new id>'",
                )
            )
    for old, new in sorted(links.redirects.items()):
        docname, _, name = old.partition("#")
        if not name and docname in docnames:
            findings.append(finding(FILE, old, "redirects a page that exists; remove the redirect"))
        elif name and "#" not in new:
            findings.append(finding(FILE, old, f"an id leads to an id: write '{new}#<id>'"))
        if not lives(new):
            findings.append(
                finding(FILE, old, f"leads to {new}, which does not exist; name where it is now")
            )
    return findings


def add_aliases(body: str, docname: str, redirects: Mapping[str, str]) -> str:
    """Return a page's HTML with an anchor for each of its ids that was renamed or moved.

    An id that was renamed inside the page becomes an empty anchor at its new place; one that moved
    to another page is led there by a script.

    Parameters
    ----------
    body : str
        HTML of the page's text.
    docname : str
        The page.
    redirects : mapping
        ``document#id`` → ``document#id``.

    Examples
    --------
    >>> add_aliases('<p id="sec-b">…</p>', "book/a", {"book/a#sec-a": "book/a#sec-b"})
    '<span id="sec-a"></span><p id="sec-b">…</p>'
    """
    away: dict[str, list[str]] = {}
    for old, new in sorted(redirects.items()):
        page, _, name = old.partition("#")
        target, _, fragment = new.partition("#")
        if page != docname or not name:
            continue
        if target != docname:
            away[f"#{name}"] = [_relative(docname, target), f"#{fragment}"]
            continue
        opening = re.search(rf'<(\w+)\b[^>]*\sid="{re.escape(fragment)}"[^>]*>', body)
        if opening:
            # Only flow content may hold a span before it: cells, terms and items take it inside.
            inside = opening[1] in ("dt", "dd", "li", "td", "th", "figcaption", "summary")
            at = opening.end() if inside else opening.start()
            body = f'{body[:at]}<span id="{escape(name)}"></span>{body[at:]}'
    return body + _moved_script(away) if away else body


def _moved_script(away: Mapping[str, list[str]]) -> str:
    """Return the script that leads from moved ids to the pages that hold them now."""
    anchors = "".join(f'<span id="{escape(name[1:])}"></span>' for name in away)
    return (
        f"{anchors}<script>{{const moved = {script_json(away)};"
        "const go = () => { const to = moved[location.hash];"
        "if (to) location.replace(to[0] + location.search + to[1]); };"
        'go(); addEventListener("hashchange", go);}</script>'
    )


def redirect_page(old: str, new: str, fragments: Mapping[str, str]) -> str:
    """Return the HTML page that leads from a moved page to where it is now.

    Query and fragment are kept; without JavaScript a refresh and a link lead to the page.

    Parameters
    ----------
    old, new : str
        Document names.
    fragments : mapping
        Id in the old page → ``document#id``, where it is not the same id in the new page.
    """
    moved = {}
    for name, address in fragments.items():
        target, _, fragment = address.partition("#")
        moved[f"#{name}"] = (_relative(old, target), f"#{fragment}")
    return leading_page(_relative(old, new), new, "This page has moved to", moved)


def write_redirects(outdir: Path, links: Permalinks, docnames: Collection[str]) -> None:
    """Write the redirect pages of a site and delete the pages that an earlier build left behind.

    Parameters
    ----------
    outdir : Path
        Folder of the built site.
    links : Permalinks
        What has been published.
    docnames : collection of str
        Document names of the build.
    """
    for path in sorted((outdir / "book").rglob("*.html")):
        if path.relative_to(outdir).with_suffix("").as_posix() not in docnames:
            path.unlink()
    for old, new in links.redirects.items():
        if "#" in old or old in docnames:
            continue
        fragments = {
            address.partition("#")[2]: target
            for address, target in links.redirects.items()
            if address.startswith(f"{old}#")
        }
        path = outdir / f"{old}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(redirect_page(old, new.partition("#")[0], fragments), encoding="utf-8")


def publish(links: Permalinks, docnames: Iterable[str], pages: Mapping[str, Facts]) -> int:
    """Add to the permalinks what a site has that is not among them yet; return how many were added.

    Parameters
    ----------
    links : Permalinks
        What has been published; changed in place.
    docnames : iterable of str
        Document names of the book.
    pages : mapping
        Path in the site → facts of the page.
    """
    added = 0
    for docname in docnames:
        facts = pages.get(f"{docname}.html")
        if facts is None:
            continue
        added += docname not in links.pages
        known = links.pages.setdefault(docname, [])
        new = [
            name
            for name in facts.ids
            if PERMANENT.fullmatch(name)
            and name not in known
            and f"{docname}#{name}" not in links.redirects
        ]
        links.pages[docname] = sorted([*known, *new])
        added += len(new)
    return added


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments, by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m mathdl_book.permalinks", description=__doc__)
    parser.add_argument("command", choices=["publish", "check"])
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    options = parser.parse_args(arguments)
    outdir = options.root / "_build" / "html"
    if not outdir.is_dir():
        print(f"{outdir} does not exist; build the book first", file=sys.stderr)
        return 1
    links = load(options.root)
    added = publish(links, toc_docnames(options.root), read_site(outdir, {}))
    if options.command == "check":
        if added:
            print(f"{added} links of the site are not in {FILE}; run publish and commit it")
        return int(bool(added))
    (options.root / FILE).write_text(links.dump(), encoding="utf-8")
    total = sum(1 + len(ids) for ids in links.pages.values())
    print(f"{FILE}: {added} links added, {total} in all")
    return 0


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect aliases and redirect pages into a build."""
    app.add_config_value("mathdl_redirects", {}, "html")  # a change rewrites every page
    app.connect("config-inited", _read_config)
    app.connect("html-page-context", _page_context)
    app.connect("build-finished", _finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _read_config(app: Sphinx, config: Config) -> None:
    config.mathdl_redirects = load(Path(app.srcdir)).redirects


def _page_context(app: Sphinx, docname: str, template: str, context: dict, doctree: object) -> None:
    if "body" in context:
        context["body"] = add_aliases(context["body"], docname, app.config.mathdl_redirects)


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.name == "html":
        write_redirects(Path(app.outdir), load(Path(app.srcdir)), app.env.found_docs)


def _relative(docname: str, target: str) -> str:
    """Return the address of one page as written in another."""
    return posixpath.relpath(f"{target}.html", posixpath.dirname(f"{docname}.html") or ".")


if __name__ == "__main__":
    sys.exit(main())
