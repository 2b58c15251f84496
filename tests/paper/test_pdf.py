"""The sample book as a PDF: everything leads somewhere, nothing is cut, all of it can be read."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import pytest
import yaml

NAME = "mathematics-for-deep-learning.pdf"
MILLIMETRE = 72 / 25.4


@pytest.fixture(scope="module")
def path(printed_root: Path) -> Path:
    return printed_root / "_build" / "paper" / NAME


@pytest.fixture(scope="module")
def pdf(path: Path) -> Iterator[pikepdf.Pdf]:
    with pikepdf.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def texts(path: Path) -> list[str]:
    """The text of each page."""
    with pypdfium2.PdfDocument(path) as document:
        found = []
        for page in document:
            words = page.get_textpage()
            found.append(words.get_text_bounded())
            words.close()
            page.close()
    return found


def bookmarks(pdf: pikepdf.Pdf) -> list[tuple[int, str, int]]:
    """Depth, title and page of every bookmark."""
    numbers = {page.objgen: place for place, page in enumerate(pdf.pages)}
    found = []

    def walk(items: Any, depth: int) -> None:
        for item in items:
            found.append((depth, item.title, numbers[item.destination[0].objgen]))
            walk(item.children, depth + 1)

    with pdf.open_outline() as outline:
        walk(outline.root, 0)
    return found


def dense(text: str) -> str:
    return re.sub(r"[\s\u200b\u2060\ufffe]+", "", text)


def test_outline_holds_every_part_chapter_and_section_where_it_stands(pdf, texts, printed_root):
    marks = bookmarks(pdf)
    toc = yaml.safe_load((printed_root / "_toc.yml").read_text())
    assert [title for depth, title, _ in marks if depth == 0] == [
        "About this edition",
        "Contents",
        "Preface",
        *(part["caption"] for part in toc["parts"]),
        "Solutions",
    ]
    listed = json.loads((printed_root / "_build" / "html" / "sections.json").read_text())
    pages = [s for s in listed["sections"] if s["kind"] == "page" and s["part"]]
    chapters = [title for depth, title, _ in marks if depth == 1]
    assert len(chapters) == len(pages) + 2  # two pages have solutions
    wanted = {s["title"] for s in listed["sections"] if s["kind"] == "section"}
    assert wanted <= {re.sub(r"^[\d.]+ ", "", title) for depth, title, _ in marks if depth == 2}
    plain = [(title, page) for _, title, page in marks if "∘" not in title]
    for title, page in plain:
        words = title if title != "Preface" else "A small book"
        assert dense(re.sub(r"^[\d.]+ ", "", words)) in dense(texts[page]), title
    assert [page for _, _, page in marks] == sorted(page for _, _, page in marks)


def test_contents_give_the_numbers_of_the_pages(pdf, texts):
    page_of = {title: page + 1 for _, title, page in bookmarks(pdf)}
    lines = re.findall(r"(?m)^(.+?) ?(\d+)\s*$", texts[page_of["Contents"] - 1])
    told = {line.strip(): int(number) for line, number in lines}
    for title in ("Preface", "1.3 Figures", "Bibliography", "Solutions"):
        found = next(number for line, number in told.items() if dense(title) in dense(line))
        assert found == page_of[title]


def test_every_link_within_the_book_has_its_place(pdf):
    pages = {page.objgen for page in pdf.pages}
    inside = outside = 0
    for page in pdf.pages:
        for note in page.obj.get("/Annots", ()):
            if "/Dest" in note:
                assert note.Dest[0].objgen in pages
                inside += 1
            else:
                address = str(note.A.URI)
                assert "invalid" not in address
                assert address.startswith(("https://", "http://"))
                outside += 1
    assert inside > 60
    assert outside >= 2


def test_an_equation_is_opened_by_its_label(pdf, texts):
    numbers = {page.objgen: place for place, page in enumerate(pdf.pages)}
    names = pikepdf.NameTree(pdf.Root.Names.Dests)
    for label, shown in (("eq-sample-gradient", "(1.2)"), ("eq-sample-chain", "(1.3)")):
        assert shown in texts[numbers[names[label][0].objgen]]
    assert "sec-sample-exercises" in names


def test_solutions_stand_at_the_end_and_lead_back(pdf, texts):
    page_of = {title: page for _, title, page in bookmarks(pdf)}
    solution = [place for place, text in enumerate(texts) if "The slope is twice" in text]
    assert solution and min(solution) > page_of["Solutions"]
    exercise = next(p for p, t in enumerate(texts) if "Exercise 1.2" in t and p > 4)
    assert exercise < page_of["Solutions"]

    def leads(page: int) -> set[int]:
        numbers = {each.objgen: place for place, each in enumerate(pdf.pages)}
        notes = pdf.pages[page].obj.get("/Annots", ())
        return {numbers[note.Dest[0].objgen] for note in notes if "/Dest" in note}

    assert solution[0] in leads(exercise)
    assert exercise in leads(solution[0])


def fonts(resources: Any, seen: set[Any]) -> Iterator[Any]:
    yield from resources.get("/Font", {}).values()
    for form in resources.get("/XObject", {}).values():
        if form.get("/Subtype") == "/Form" and form.objgen not in seen:
            seen.add(form.objgen)
            yield from fonts(form.get("/Resources", {}), seen)


def test_fonts_are_embedded(pdf):
    found = {font.objgen: font for page in pdf.pages for font in fonts(page.resources, set())}
    assert len(found) > 5
    for font in found.values():
        if font.Subtype == "/Type3":  # its glyphs are drawn in the file
            continue
        inner = font.DescendantFonts[0] if font.Subtype == "/Type0" else font
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(inner.FontDescriptor.keys())


def pictures(resources: Any, seen: set[Any]) -> Iterator[Any]:
    for thing in resources.get("/XObject", {}).values():
        if thing.objgen in seen:
            continue
        seen.add(thing.objgen)
        if thing.get("/Subtype") == "/Image":
            yield thing
        else:
            yield from pictures(thing.get("/Resources", {}), seen)


def test_figures_are_drawn_not_photographed(pdf, printed_root):
    seen: set[Any] = set()
    found = [p for page in pdf.pages for p in pictures(page.resources, seen)]
    # What Matplotlib itself has put in as points: of a colour map.
    figures = (printed_root / "_build" / "html" / "_images").glob("*.svg")
    points = sum(figure.read_text().count("<image") for figure in figures)
    masks = sum("/SMask" in picture for picture in found)
    assert len(found) - masks <= points


def test_nothing_reaches_beyond_the_text(path):
    with pypdfium2.PdfDocument(path) as document:
        for number, page in enumerate(document, 1):
            words = page.get_textpage()
            width, height = page.get_size()
            for place in range(words.count_rects()):
                left, bottom, right, top = words.get_rect(place)
                assert left >= 20 * MILLIMETRE, (number, place)
                assert right <= width - 20 * MILLIMETRE, (number, place)
                assert bottom >= 10 * MILLIMETRE
                assert top <= height - 8 * MILLIMETRE
            words.close()
            page.close()


def test_pages_bear_their_numbers_and_the_chapter(texts, pdf):
    page_of = {title: page for _, title, page in bookmarks(pdf)}
    parts = [page_of[part] for part in ("Calculus", "Labs", "Reference", "Solutions")]
    for place, text in enumerate(texts):
        opens = place <= 1 or place in parts
        assert (re.search(rf"\b{place + 1}\b", text) is not None) or opens
    lab = next(page for _, title, page in bookmarks(pdf) if title == "Lab 0: A neuron")
    assert texts[lab + 1].rstrip().endswith(f"Lab 0: A neuron {lab + 2}")


def elements(tree: Any) -> Iterator[Any]:
    waiting = [tree]
    while waiting:
        element = waiting.pop()
        if isinstance(element, pikepdf.Array):
            waiting.extend(element)
        elif isinstance(element, pikepdf.Dictionary):
            if "/S" in element:
                yield element
            if "/K" in element:
                waiting.append(element.K)


def test_tags_tell_a_screen_reader_what_is_what(pdf):
    assert pdf.Root.MarkInfo.Marked
    assert str(pdf.Root.Lang) == "en"
    found: dict[str, list[Any]] = {}
    for element in elements(pdf.Root.StructTreeRoot.K):
        found.setdefault(str(element.S)[1:], []).append(element)
    assert {"H1", "H2", "H3", "P", "L", "LI", "Link", "Table", "TH", "TD"} <= set(found)
    formulas = [str(element.Alt) for element in found["Formula"]]
    assert any(r"\frac{\partial L}{\partial W}" in formula for formula in formulas)
    assert not any("\u2063" in formula for formula in formulas)
    assert all(str(figure.Alt).strip() for figure in found["Figure"] if "/Alt" in figure)
    assert sum("/Alt" in figure for figure in found["Figure"]) >= 2
    # One element for a formula, not one for each of its letters.
    assert len(found.get("NonStruct", ())) < len(found["P"]) * 3


def test_every_mark_belongs_to_the_element_that_holds_it(pdf):
    numbers = pdf.Root.StructTreeRoot.ParentTree.Nums
    owners = {int(numbers[place]): numbers[place + 1] for place in range(0, len(numbers), 2)}
    assert len(owners) == len(numbers) // 2
    pages = {page.obj.get("/StructParents"): page.objgen for page in pdf.pages}
    held = 0
    for element in elements(pdf.Root.StructTreeRoot.K):
        kids = element.get("/K", [])
        for kid in kids if isinstance(kids, pikepdf.Array) else [kids]:
            if isinstance(kid, pikepdf.Dictionary) and "/S" in kid:
                assert kid.P.objgen == element.objgen
                continue
            page = kid.get("/Pg") if isinstance(kid, pikepdf.Dictionary) else element.Pg
            if isinstance(kid, pikepdf.Dictionary) and "/Obj" in kid:
                assert owners[int(kid.Obj.StructParent)].objgen == element.objgen
                continue
            mark = int(kid.MCID if isinstance(kid, pikepdf.Dictionary) else kid)
            assert owners[int(page.StructParents)][mark].objgen == element.objgen
            held += 1
    assert held > 500
    assert len(pages) == len(pdf.pages)


def test_it_says_what_it_is(pdf, printed_root):
    config = yaml.safe_load((printed_root / "_config.yml").read_text())
    assert str(pdf.docinfo.Title) == config["title"]
    assert str(pdf.docinfo.Author) == config["author"]
    with pdf.open_metadata() as said:
        assert said["dc:title"] == config["title"]
        assert said["dc:language"] == {"en"} or said["dc:language"] == ["en"]
    assert pdf.Root.ViewerPreferences.DisplayDocTitle


def test_a_page_is_printed_once(printed_root, path, making):
    before = path.read_bytes()
    again = making(printed_root, "pdf")
    assert again.returncode == 0
    assert " 0 of " in again.stdout
    assert path.read_bytes() == before


def spoiled(root: Path, printed: Path, old: str, new: str) -> Path:
    """A book with what was printed of it before one of its pages was spoiled."""
    shutil.copytree(printed / "_build" / "paper", root / "_build" / "paper")
    page = root / "_build" / "html" / "book" / "chapter.html"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new, 1))
    return root


def test_a_link_that_leads_nowhere_is_refused(a_copy, printed_root, making):
    old, new = 'internal" href="#equation-eq-sample-', 'internal" href="#gone-eq-sample-'
    root = spoiled(a_copy, printed_root, old, new)
    made = making(root, "pdf")
    assert made.returncode == 1
    assert "lead nowhere" in made.stderr and "#gone-eq-sample-" in made.stderr


def test_each_name_of_a_heading_is_a_place(a_copy, printed_root, making):
    names = (
        '<p><a href="#one-name">one</a></p><span id="one-name"></span><span id="other"></span><h2>'
    )
    made = making(spoiled(a_copy, printed_root, "<h2>", names), "pdf")
    assert made.returncode == 0, made.stderr


def test_what_is_wider_than_the_paper_is_refused(a_copy, printed_root, making):
    wide = '<p style="white-space:nowrap;width:200mm">so wide</p><h2>'
    made = making(spoiled(a_copy, printed_root, "<h2>", wide), "pdf")
    assert made.returncode == 1
    assert "wider than the paper" in made.stderr and "so wide" in made.stderr


def test_a_book_that_is_not_built_is_said_so(tmp_path, making):
    shutil.copy(Path(__file__).parents[2] / "_config.yml", tmp_path / "_config.yml")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    made = making(tmp_path, "pdf")
    assert made.returncode == 1
    assert "make book" in made.stderr
