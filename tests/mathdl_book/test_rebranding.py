"""A fork under another name: the name, the people and the repository are the fork's everywhere."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
import yaml

TITLE, AUTHOR = "Gradients for Cartographers", "The Map Room"
REPOSITORY = "https://github.com/map-room/gradients"
# What the book itself is called, and where it lives.
OURS = re.compile(r"mathematics[ -]for[ -]deep[ -]learning", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(sample_book_type, tmp_path_factory) -> Path:
    """The sample book after a fork has changed what the guide for instructors names."""
    book = sample_book_type(tmp_path_factory.mktemp("fork"))
    path = book.root / "_config.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config |= {"title": TITLE, "author": AUTHOR, "copyright": "2031", "logo": "logo.svg"}
    config["html"]["extra_footer"] = "Printed in the map room."
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><title>map</title></svg>'
    )
    (book.root / "logo.svg").write_text(drawing, encoding="utf-8")
    result = book.build({"GITHUB_REPOSITORY": "map-room/gradients", "GITHUB_REF_NAME": "main"})
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return book.html


def test_the_new_name_and_people_and_repository_are_on_the_pages(site: Path) -> None:
    page = (site / "book" / "chapter.html").read_text(encoding="utf-8")
    assert TITLE in re.search(r"<title>.*?</title>", page, re.DOTALL)[0]
    assert AUTHOR in page and "2031" in page and "Printed in the map room." in page
    assert "logo.svg" in page
    linked = set(re.findall(r'href="(https://github\.com/[^/"]+/[^/"#?]+)', page))
    assert linked == {REPOSITORY}
    assert "mybinder.org/v2/gh/map-room/gradients" in page
    assert f"source is at {REPOSITORY}" in re.sub(
        r"<[^>]*>", "", (site / "book" / "index.html").read_text(encoding="utf-8")
    )


def test_the_new_name_is_in_what_is_made_of_the_pages(site: Path) -> None:
    assert json.loads((site / "sections.json").read_text(encoding="utf-8"))["title"] == TITLE
    assert TITLE in (site / "llms.txt").read_text(encoding="utf-8")
    assert TITLE in (site / "404.html").read_text(encoding="utf-8")
    with zipfile.ZipFile(site / "mathdl.imscc") as cartridge:
        manifest = cartridge.read("imsmanifest.xml").decode()
    assert TITLE in manifest
    notebook = (site / "notebooks" / "chapter.ipynb").read_text(encoding="utf-8")
    assert f"of {TITLE}" in notebook and REPOSITORY in notebook


def test_the_old_name_is_nowhere(site: Path) -> None:
    library = {"_static/pyodide/LICENSES.txt"}  # its licence asks for the copyright notice
    left = [
        path.relative_to(site).as_posix()
        for path in sorted(site.rglob("*"))
        if path.is_file()
        and path.suffix != ".whl"
        and OURS.search(path.read_bytes().decode(errors="replace"))
    ]
    assert set(left) <= library
