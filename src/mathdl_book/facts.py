"""What the built HTML pages contain, as far as gates and permanent links ask."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

from .parallel import spread

# What a foreign host may stand behind in <link>: nothing is fetched for these.
RELATIONS = {"canonical", "alternate", "author", "license", "me", "next", "prev", "help", "search"}
# Attributes through which an element fetches something.
FETCHED = {
    "img": ("src", "srcset"),
    "script": ("src",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "input": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
    "feimage": ("href", "xlink:href"),
}
FOLLOWED = {"a": ("href", "xlink:href"), "area": ("href",), "form": ("action",)}
VOID = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"),
    *("track", "wbr"),
}
FOREIGN = r"(?:https?:)?//[^\s\"'`)]+"
CSS_FETCH = re.compile(rf"(?:url\(\s*[\"']?|@import\s+[\"'])({FOREIGN})", re.IGNORECASE)
JS_FETCH = re.compile(
    rf"(?:\bfrom\s*|\bimport\s*\(?\s*|\bfetch\s*\(\s*|\bimportScripts\s*\(\s*|\bWorker\s*\(\s*"
    rf"|\.(?:src|href)\s*=\s*)[\"'`]({FOREIGN})"
)
# File names, or a URL: what myst-nb or a hurried author leaves as alternative text.
PATH_LIKE = re.compile(r"\S*[/\\]\S*\.\w{2,5}|\S+\.(?:png|jpe?g|svg|gif|webp|pdf)", re.IGNORECASE)


@dataclass
class Facts:
    """What one HTML page contains, as far as the gates ask.

    Parameters
    ----------
    ids : set of str
        All ids (and names of anchors).
    links : list of (str, int)
        Each local address that the page follows or fetches, with its line.
    faults : list of (str, int, str)
        Gate, line and message of what is wrong in the page by itself.
    """

    ids: set[str] = field(default_factory=set)
    links: list[tuple[str, int]] = field(default_factory=list)
    faults: list[tuple[str, int, str]] = field(default_factory=list)


def read_html(text: str) -> Facts:
    """Return the facts of an HTML page.

    Parameters
    ----------
    text : str
        The page.

    Examples
    --------
    >>> read_html('<p id="a"><img src="b.png" alt="">').faults
    [('alt', 1, 'b.png has no alternative text; say what is there for someone who cannot see it')]
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.facts


class _Reader(HTMLParser):
    """Collects the facts of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.facts = Facts()
        self._open: list[tuple[str, bool]] = []  # tag, whether hidden from assistive technology
        self._svgs: list[tuple[int, bool]] = []  # line, whether named, of the open ones to judge
        self._text = ""  # of the open <script> or <style>

    def fault(self, gate: str, message: str) -> None:
        self.facts.faults.append((gate, self.getpos()[0], message))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            hidden = self._hidden or dict(attributes).get("aria-hidden") == "true"
            self._open.append((tag, hidden))
            if tag == "svg":
                self._svgs.append((self.getpos()[0], hidden or _named(dict(attributes))))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self._ids(tag, given)
        self._addresses(tag, given)
        self._alternative(tag, given)
        if tag == "title" and self._svgs:
            self._svgs[-1] = (self._svgs[-1][0], True)
        if style := given.get("style"):
            self._css(style)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            (self._css if tag == "style" else self._js)(self._text)
            self._text = ""
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth][0] == tag:
                del self._open[depth:]
                break
        if tag == "svg" and self._svgs:
            line, named = self._svgs.pop()
            if not named:
                message = "a drawing (svg) has no alternative text; give it role=img and aria-label"
                self.facts.faults.append(("alt", line, message))

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][0] in ("script", "style"):
            self._text += data

    @property
    def _hidden(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def _ids(self, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            name = given["id"]
            if not name or name in self.facts.ids:
                what = f"the id {name!r} occurs twice" if name else "an empty id"
                self.fault("ids", f"{what}, so links to it are ambiguous; rename one")
            self.facts.ids.add(name)
        elif tag == "a" and given.get("name"):
            self.facts.ids.add(given["name"])

    def _addresses(self, tag: str, given: dict[str, str]) -> None:
        fetched = [(name, given[name]) for name in FETCHED.get(tag, ()) if given.get(name)]
        if tag == "link" and given.get("href"):
            relations = set(given.get("rel", "").lower().split())
            if relations <= RELATIONS:
                return  # absolute addresses of this site or others: nothing is fetched
            fetched = [("href", given["href"])]
        for name, value in fetched:
            parts = [part.split()[0] for part in value.split(",") if part.split()]
            for address in parts if name == "srcset" and "data:" not in value else [value]:
                self._fetch(tag, address.strip())
        for name in FOLLOWED.get(tag, ()):
            if name in given and not _leads_out(given[name]):
                self.facts.links.append((given[name].strip(), self.getpos()[0]))
        if "srcdoc" in given:
            self.facts.faults += read_html(given["srcdoc"]).faults

    def _fetch(self, tag: str, address: str) -> None:
        if urlsplit(address).netloc:
            self._foreign(f"<{tag}>", address)
        elif not _leads_out(address):
            self.facts.links.append((address, self.getpos()[0]))

    def _foreign(self, what: str, address: str) -> None:
        self.fault(
            "assets",
            f"{what} loads {address} from another host; keep a copy of it in the book (links may "
            "lead out)",
        )

    def _css(self, text: str) -> None:
        for match in CSS_FETCH.finditer(text):
            self._foreign("a style", match[1])

    def _js(self, text: str) -> None:
        for match in JS_FETCH.finditer(text):
            self._foreign("a script", match[1])

    def _alternative(self, tag: str, given: dict[str, str]) -> None:
        role = given.get("role")
        if self._hidden or given.get("aria-hidden") == "true" or role in ("presentation", "none"):
            return
        name = given.get("src") or given.get("data") or f"<{tag}>"
        name = name if len(name) < 80 else f"{name[:60]}…"
        if tag == "img" or (tag == "input" and given.get("type") == "image"):
            alternative = given.get("alt", "").strip() or given.get("aria-label", "").strip()
            if not alternative:
                self.fault(
                    "alt",
                    f"{name} has no alternative text; say what is there for someone who cannot "
                    "see it",
                )
            elif PATH_LIKE.fullmatch(alternative):
                self.fault(
                    "alt",
                    f"{name} has a file's path as alternative text ({alternative}); say what is "
                    "there: 'mystnb: {image: {alt: …}}' in the cell",
                )
        framed = tag in ("video", "object", "embed", "iframe")
        if (framed or (tag == "canvas" and role == "img")) and not _named(given):
            self.fault("alt", f"{name} has no name; give it aria-label or title")


def _named(given: dict[str, str | None]) -> bool:
    """Return whether an element's attributes give it a name for assistive technology."""
    return any(
        (given.get(name) or "").strip() for name in ("aria-label", "aria-labelledby", "title")
    )


def _leads_out(address: str) -> bool:
    """Return whether an address is outside the site, or no address of a file at all."""
    parts = urlsplit(address.strip())
    return bool(parts.scheme or parts.netloc)


def read_site(outdir: Path, cache: dict[str, tuple[str, Facts]]) -> dict[str, Facts]:
    """Return the facts of every HTML page of a site, by path relative to it.

    Parameters
    ----------
    outdir : Path
        Folder of the built site.
    cache : dict
        Path → digest and facts of an earlier build; brought up to date.
    """
    digests, unread = {}, {}
    for path in sorted(outdir.rglob("*.html")):
        name = path.relative_to(outdir).as_posix()
        if name.startswith(("_static/", "_sources/", "_downloads/")):
            continue
        content = path.read_bytes()
        digests[name] = hashlib.sha256(content).hexdigest()
        if cache.get(name, ("",))[0] != digests[name]:
            unread[name] = content.decode("utf-8", errors="replace")
    for name, found in zip(unread, spread(read_html, unread.values()), strict=True):
        cache[name] = (digests[name], found)
    for name in cache.keys() - digests.keys():
        del cache[name]
    return {name: cache[name][1] for name in digests}
