"""Slides: of each chapter a deck of what it defines, claims and shows, cut from the built page.

A deck is a page ``slides/<chapter>.html``: objectives, then for each section its definitions, its
numbered equations with their badges, its figures and explorables, each with a link to its place in
the chapter. The mathematics is taken as it was set. What goes on one slide is estimated here, and a
script makes it smaller where that was too much.
"""

from __future__ import annotations

import hashlib
import html
import posixpath
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup, NavigableString, Tag
from sphinx.util import logging

from .assets import SITE, version_of
from .found import DECKS, book_title, deck_of
from .frame import ARTICLE
from .parallel import spread

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
STATIC = HERE / "static" / "slides"
SHELL = HERE / "templates" / "slides.html"
# Sections of which a deck has a link at its end at most.
LEFT_OUT = re.compile(r"-(exercises|summary|words|further)$")
APART = {"exercise", "solution", "margin", "live-bar", "cell_input"}
HEADING = re.compile("^h[1-6]$")
KATEX = '<span class="katex">'
CODE = re.compile(r"<pre\b.*?</pre>", re.DOTALL)  # no slide has any, and it is most of a page
SPAN = re.compile(r"<(/?)span\b[^>]*>")
MARK = re.compile("\ue000(\\d+)\ue001")
STRUT = re.compile(r'class="katex-strut" style="height:([\d.]+)em')
ADDRESSES = ("href", "src", "poster")
ABOUT_LINE = 95  # characters on a line of a slide
FULL = 20.0  # lines of a slide below its heading, in em of its text
LEAD = 300  # characters of what introduces a formula or a section

logger = logging.getLogger(__name__)


# ---- formulas ------------------------------------------------------------------------------


@dataclass
class Formulas:
    """The formulas of a page, taken out while the rest is cut up.

    Parameters
    ----------
    taken : list of str
        HTML of each, in the order in which they stood.
    """

    taken: list[str] = field(default_factory=list)

    def out_of(self, page: str) -> str:
        """Return HTML with a short mark in the place of each formula.

        Parameters
        ----------
        page : str
            HTML.
        """
        parts, done = [], 0
        while (start := page.find(KATEX, done)) >= 0:
            depth, end = 0, len(page)
            for tag in SPAN.finditer(page, start):
                depth += -1 if tag[1] else 1
                if depth == 0:
                    end = tag.end()
                    break
            parts += [page[done:start], f"\ue000{len(self.taken)}\ue001"]
            self.taken.append(page[start:end])
            done = end
        return "".join([*parts, page[done:]])

    def into(self, text: str) -> str:
        """Return HTML with the formulas back in their places."""
        return MARK.sub(lambda mark: self.taken[int(mark[1])], text)

    def height(self, text: str) -> float:
        """Return how high the highest formula of some HTML is, in em of the text.

        A formula without a strut is a line of letters.
        """
        marks = MARK.findall(text)
        struts = [float(high) for mark in marks for high in STRUT.findall(self.taken[int(mark)])]
        return 1.1 * max(struts, default=float(bool(marks)))

    def length(self, text: str) -> int:
        """Return about how many characters some text shows, formulas included."""
        shown = len(MARK.sub("", text))
        for mark in MARK.findall(text):
            visible = self.taken[int(mark)].partition('class="katex-html')[2].partition(">")[2]
            shown += len(re.sub(r"<[^>]*>|&\w+;|\s|\u200b", "", visible))
        return shown


# ---- cutting a chapter up ------------------------------------------------------------------


@dataclass
class Item:
    """One thing to show.

    Parameters
    ----------
    content : str
        Its HTML, formulas taken out.
    height : float
        About how high it is, in em.
    kind : str
        ``text``, or what fills a slide by itself: ``figure``, ``explorable``.
    """

    content: str
    height: float
    kind: str = "text"


@dataclass
class Slide:
    """One slide: a heading, and what stands below it.

    Parameters
    ----------
    name : str
        Its id.
    heading : str
        HTML.
    kicker : str
        The heading that it belongs to, HTML.
    content : list of str
        HTML of what stands below, formulas taken out.
    kind : str
        What it is, for its looks.
    begins : bool
        Whether it is the first of a section, which reveal.js puts beside the last one.
    """

    name: str
    heading: str
    kicker: str = ""
    content: list[str] = field(default_factory=list)
    kind: str = "text"
    begins: bool = False


def sentences(paragraph: Tag) -> list[str]:
    r"""Return the HTML of a paragraph's sentences, of which each began on a line of its own.

    Parameters
    ----------
    paragraph : Tag
        The paragraph.

    Examples
    --------
    >>> sentences(BeautifulSoup("<p>One <em>is</em>.\nTwo.</p>", "html.parser").p)
    ['One <em>is</em>.', 'Two.']
    """
    lines = [""]
    for child in paragraph.children:
        if isinstance(child, NavigableString):
            first, *rest = html.escape(str(child), quote=False).split("\n")
            lines[-1] += first
            lines += rest
        else:
            lines[-1] += str(child)
    return [line.strip() for line in lines if line.strip()]


def plain(content: str) -> str:
    """Return the text of HTML, marks of formulas included.

    Examples
    --------
    >>> plain("a <em>b</em> &amp; c")
    'a b & c'
    """
    return html.unescape(re.sub(r"<[^>]*>", "", content))


class Cutter:
    """Cuts the text of a chapter into slides.

    Parameters
    ----------
    docname : str
        The chapter.
    article : str
        HTML of its text.
    """

    def __init__(self, docname: str, article: str) -> None:
        self.docname = docname
        self.formulas = Formulas()
        shown = CODE.sub("", self.formulas.out_of(article))
        soup = BeautifulSoup(shown, "html.parser")
        self.chapter: Tag = soup.find("section")
        for part in soup.find_all("section"):
            if not part.find(HEADING, recursive=False):
                part.name = "div"  # of a theorem: reveal.js takes any section for a slide
        for part in soup.find_all("a", class_="headerlink"):
            part.string = "¶"
            part["title"] = "In the chapter"
        self._rebase(soup)

    def _rebase(self, soup: BeautifulSoup) -> None:
        """Have every address lead from the deck to where it led from the chapter."""
        folder = posixpath.dirname(self.docname)
        for tag in soup.find_all(True):
            for name in ADDRESSES:
                address = tag.get(name)
                if address is None or re.match(r"[a-z][a-z+.-]*:|//", address):
                    continue
                if "explorable-link" in tag.get("class", ()):
                    continue  # to a state, here as well
                path, mark, fragment = address.partition("#")
                path = posixpath.join(folder, path) if path else f"{self.docname}.html"
                tag[name] = posixpath.relpath(path, DECKS) + mark + fragment

    @property
    def page(self) -> str:
        """The chapter's address, from the deck."""
        return posixpath.relpath(f"{self.docname}.html", DECKS)

    def heading(self, section: Tag) -> str:
        """Return a section's title as a link to it."""
        title = section.find(HEADING, recursive=False)
        words = "".join(
            str(child)
            for child in title.children
            if not (isinstance(child, Tag) and "headerlink" in child.get("class", ()))
        )
        words = re.sub(r"<a\b[^>]*>|</a>", "", words)
        return f'<a href="{self.page}#{section["id"]}">{words.strip()}</a>'

    # What is shown

    def item(self, *parts: str, extra: float = 0.0, kind: str = "text") -> Item:
        """Return something to show, with its height."""
        height = extra
        for part in parts:
            shown = self.formulas.length(plain(part))
            if "math-display" in part:
                height += self.formulas.height(part) + 1.6
            else:
                lines = -(-shown // ABOUT_LINE)
                height += max(1.5 * lines, self.formulas.height(part)) + 0.7
        return Item("".join(parts), height, kind)

    def lead_of(self, display: Tag) -> Iterator[str]:
        """Yield the sentences that lead to a formula."""
        before = display.find_previous_sibling()
        if before is None or before.name != "p":
            return
        said = sentences(before)
        if len(said) > 1 and self.goes_on(before, said):
            said = said[1:]
        kept, length = [], 0
        for sentence in reversed(said):
            length += self.formulas.length(plain(sentence))
            if kept and length > LEAD:
                break
            kept.append(sentence)
        yield f"<p>{' '.join(reversed(kept))}</p>"

    def rest_of(self, display: Tag) -> Iterator[str]:
        """Yield the sentence that goes on after a formula, unless it is what leads to the next."""
        after = display.find_next_sibling()
        if after is None or after.name != "p" or not (said := sentences(after)):
            return
        below = after.find_next_sibling()
        if self.goes_on(after, said) and not (self.numbered(below) and len(said) == 1):
            yield f"<p>{said[0]}</p>"

    def goes_on(self, paragraph: Tag, said: list[str]) -> bool:
        """Return whether a paragraph begins with the end of the sentence that a formula is in."""
        first = plain(said[0])
        short = bool(re.match(r"[a-z]", first)) and self.formulas.length(first) < LEAD
        return short and self.numbered(paragraph.find_previous_sibling())

    @staticmethod
    def numbered(element: Tag | None) -> bool:
        """Return whether an element is a formula with a number."""
        return element is not None and (
            "math-display" in element.get("class", ()) and bool(element.get("id"))
        )

    def items(self, element: Tag) -> Iterator[Item]:
        """Yield what is to be shown of an element, sections below it left out."""
        for child in element.find_all(True, recursive=False):
            classes = set(child.get("class", ()))
            if child.name == "section" or classes & {
                "exercise",
                "solution",
                "margin",
                "live-bar",
                "cell_input",
            }:
                continue
            if self.numbered(child):
                yield self.item(*self.lead_of(child), str(child), *self.rest_of(child))
            elif "explorable" in classes:
                yield self.item(str(child), extra=FULL, kind="explorable")
            elif child.name == "figure":
                yield self.item(str(child), extra=FULL, kind="figure")
            elif "proof" in classes:
                if classes & {"definition", "theorem", "lemma", "corollary", "proposition"}:
                    yield self.box(child)
            elif child.name not in ("p", "pre", "table", "script", "aside"):
                yield from self.items(child)

    def box(self, box: Tag) -> Item:
        """Return a definition or a theorem."""
        height = 1.8
        for part in box.find_all(["p", "li", "div"]):
            if part.name == "div" and "math-display" not in part.get("class", ()):
                continue
            if not part.find_parent("div", class_="math-display"):
                height += self.item(str(part)).height
        return Item(str(box), height)

    # Slides

    def slides(self) -> Iterator[Slide]:
        """Yield the slides between title and end."""
        for section in self.chapter.find_all("section", recursive=False):
            if not section.get("id") or LEFT_OUT.search(section["id"]):
                continue
            kicker = self.heading(section)
            opening = Slide(f"slide-{section['id']}", kicker, kind="opening")
            first = section.find("p", recursive=False)
            if first is not None and not self.numbered(first.find_next_sibling()):
                kept: list[str] = []
                for sentence in sentences(first):
                    if kept and self.formulas.length(plain(" ".join([*kept, sentence]))) > LEAD:
                        break
                    kept.append(sentence)
                opening.content = [f"<p>{' '.join(kept)}</p>"]
            parts = [
                f"<li>{self.heading(below)}</li>"
                for below in section.find_all("section", recursive=False)
                if below.get("id")
            ]
            if parts:
                opening.content.append(f'<ul class="slide-outline">{"".join(parts)}</ul>')
            shown = list(self.packed(section, kicker))
            if opening.content or not shown:
                shown.insert(0, opening)
            shown[0].begins = True
            yield from shown

    def packed(self, section: Tag, kicker: str) -> Iterator[Slide]:
        """Yield slides with what a section and those below it show, as much on each as fits."""
        slide, height = None, 0.0
        for item in self.items(section):
            alone = item.kind != "text"
            if slide is None or alone or slide.kind != "text" or height + item.height > FULL:
                if slide is not None:
                    yield slide
                slide, height = self.begun(section, kicker, item), 0.0
            slide.content.append(item.content)
            height += item.height
        if slide is not None:
            yield slide
        for below in section.find_all("section", recursive=False):
            if below.get("id"):
                yield from self.packed(below, kicker)

    def begun(self, section: Tag, kicker: str, item: Item) -> Slide:
        """Return a slide that begins with an item."""
        heading = self.heading(section)
        named = re.search(r'\sid="((?:equation|fig|dfn|thm|explorable)-[^"]+)"', item.content)
        name = f"slide-{named[1] if named else section['id']}"
        above = "" if heading == kicker else kicker
        return Slide(name, heading, above, kind=item.kind)

    def title(self) -> Slide:
        """Return the first slide: the chapter, what one can do after it, its objectives."""
        lead = self.chapter.find("p", recursive=False)
        objectives = self.chapter.find("ul", class_="in-objectives")
        content = [f'<p class="slide-lead">{" ".join(sentences(lead))}</p>'] if lead else []
        if objectives is not None:
            content += ["<p>Objectives</p>", str(objectives)]
        heading = self.heading(self.chapter)
        return Slide("slide-title", heading, content=content, kind="title", begins=True)

    def end(self) -> Slide:
        """Return the last slide: what there is to do, and where to read on."""
        rows = []
        for section in self.chapter.find_all("section", recursive=False):
            if found := LEFT_OUT.search(section.get("id", "")):
                many = len(section.find_all(class_="exercise"))
                more = f": {many}" if found[1] == "exercises" and many else ""
                more += ", with solutions" if more and section.find(class_="solution") else ""
                rows.append(f"<li>{self.heading(section)}{more}</li>")
        facts = self.chapter.find("ul", class_="in-facts")
        labs = facts.find_all("a", href=re.compile("/labs/")) if facts is not None else []
        rows += [f"<li>{link}</li>" for link in dict.fromkeys(map(str, labs))]
        rows.append(
            f'<li><a href="{self.page}">The chapter, with every derivation and check</a></li>'
        )
        content = [f"<ul>{''.join(rows)}</ul>"]
        heading = f'<a href="{self.page}">From here</a>'
        return Slide("slide-end", heading, content=content, kind="end", begins=True)

    def deck(self) -> str:
        """Return the HTML of all slides, those of a section one below the other."""
        stacks: list[list[Slide]] = []
        for slide in (self.title(), *self.slides(), self.end()):
            if slide.begins:
                stacks.append([])
            stacks[-1].append(slide)
        used: set[str] = set()
        return "\n".join(
            "<section>\n" + "\n".join(self.shown(one, used) for one in stack) + "\n</section>"
            for stack in stacks
        )

    def shown(self, slide: Slide, used: set[str]) -> str:
        """Return the HTML of a slide; of an id that was used before it loses the second."""
        name = slide.name
        while name in used:
            name += "-more"
        kicker = f'<p class="slide-kicker">{slide.kicker}</p>' if slide.kicker else ""
        content = "\n".join(slide.content)

        def once(found: re.Match[str]) -> str:
            if found[1] in used:
                return ""
            used.add(found[1])
            return found[0]

        content = re.sub(r'\sid="([^"]*)"', once, content)
        used.add(name)
        return self.formulas.into(
            f'<section id="{name}" class="slide slide-{slide.kind}"><div class="slide-fit">\n'
            f"<header>{kicker}<h2>{slide.heading}</h2></header>\n"
            f'<div class="slide-body bd-article">\n{content}\n</div></div></section>'
        )


# ---- writing decks -------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A deck to be written: the chapter, its page, the deck's file and what is the same in all."""

    docname: str
    page: Path
    deck: Path
    shell: str


def write_deck(task: Task) -> None:
    """Write a deck, if it would be another than the one that is there."""
    text = task.page.read_text(encoding="utf-8")
    article = text.partition(ARTICLE)[2].rpartition("</article>")[0]
    article = article.partition(">")[2].rpartition('<footer class="page-end">')[0] or article
    modules = MODULES.search(text)
    folder = modules[1] if modules else ""
    given = (article + folder + task.shell).encode() + Path(__file__).read_bytes()
    stamp = hashlib.sha256(given).hexdigest()[:16]
    mark = f"<!-- {stamp} -->"
    if task.deck.is_file() and task.deck.read_text(encoding="utf-8").endswith(f"{mark}\n"):
        return
    cutter = Cutter(task.docname, article)
    slides = cutter.deck()
    title = cutter.heading(cutter.chapter)
    filled = Template(task.shell).substitute(
        title=html.escape(re.sub(r"\s+", " ", plain(MARK.sub("", title)))),
        name=cutter.formulas.into(title),
        slides=slides,
        explorables=EXPLORABLES.format(folder) if "data-explorable=" in slides else "",
    )
    task.deck.write_text(f"{filled.rstrip()}\n{mark}\n", encoding="utf-8")


EXPLORABLES = """\
<link rel="stylesheet" href="../_static/{0}/lib/explorable.css">
<script defer src="../_static/{0}/lib/loader.js"></script>
"""
# The folder of the modules has their digest for a name.
MODULES = re.compile(r"_static/(explorables/\w+)/lib/loader\.js")


def write_decks(app: Sphinx, exception: Exception | None) -> None:
    """Write the decks of all chapters; remove those of chapters that are gone."""
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    decks = {name: deck for name in sorted(app.env.found_docs) if (deck := deck_of(app, name))}
    for docname, deck in decks.items():
        if list(decks.values()).count(deck) > 1:
            logger.warning("another chapter's slides are called %s, too", deck, location=docname)
    for path in sorted((out / DECKS).glob("*.html")):
        if f"{DECKS}/{path.name}" not in decks.values():
            path.unlink()
    if not decks:
        return
    (out / DECKS).mkdir(exist_ok=True)
    shutil.copytree(STATIC, out / "_static" / "slides", dirs_exist_ok=True)
    version = hashlib.sha256((version_of(STATIC) + version_of(SITE)).encode()).hexdigest()[:8]
    shell = Template(SHELL.read_text(encoding="utf-8")).safe_substitute(
        language=app.config.language or "en", book=html.escape(book_title(app.config)), v=version
    )
    spread(write_deck, list(_tasks(out, decks.items(), shell)))


def _tasks(out: Path, decks: Iterable[tuple[str, str]], shell: str) -> Iterator[Task]:
    for docname, deck in decks:
        yield Task(docname, out / f"{docname}.html", out / deck, shell)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the writing of decks, before the stylesheet is made of what pages use."""
    app.connect("build-finished", write_decks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
