"""The page of the catalogue without a script, and the whole book as a Common Cartridge."""

from __future__ import annotations

import io
import json
import re
import zipfile
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from mathdl_book.choosing import LOM, PACKAGE, WEB_LINK, WEB_LINK_TYPE, cartridge

NS = {"cp": PACKAGE, "lom": LOM, "wl": WEB_LINK}


def opened(packed):
    """Return the manifest of a cartridge and its web links by the resource that holds them.

    What the profile demands of a cartridge of web links is asserted on the way: the manifest at the
    root, names and versions, one organization in a rooted hierarchy under one item, each leaf with
    a resource, each resource of the web link's type with one file that is there.
    """
    archive = zipfile.ZipFile(io.BytesIO(packed))
    assert archive.testzip() is None
    manifest = ElementTree.fromstring(archive.read("imsmanifest.xml"))
    assert manifest.tag == f"{{{PACKAGE}}}manifest"
    assert [child.tag.partition("}")[2] for child in manifest] == [
        *("metadata", "organizations", "resources"),
    ]
    assert manifest.findtext("cp:metadata/cp:schema", None, NS) == "IMS Common Cartridge"
    assert manifest.findtext("cp:metadata/cp:schemaversion", None, NS) == "1.3.0"
    (organization,) = manifest.findall("cp:organizations/cp:organization", NS)
    assert organization.get("structure") == "rooted-hierarchy"
    (top,) = organization.findall("cp:item", NS)
    leaves = [item for item in top.iter(f"{{{PACKAGE}}}item") if not item.findall("cp:item", NS)]
    links = {}
    for resource in manifest.findall("cp:resources/cp:resource", NS):
        assert resource.get("type") == WEB_LINK_TYPE
        (file,) = resource.findall("cp:file", NS)
        link = ElementTree.fromstring(archive.read(file.get("href")))
        assert link.tag == f"{{{WEB_LINK}}}webLink"
        assert [child.tag for child in link] == [f"{{{WEB_LINK}}}title", f"{{{WEB_LINK}}}url"]
        links[resource.get("identifier")] = link
    assert sorted(item.get("identifierref") for item in leaves) == sorted(links)
    names = [element.get("identifier") for element in manifest.iter() if element.get("identifier")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", name) for name in names)
    assert len(archive.namelist()) == len(links) + 1
    return manifest, links


def test_the_whole_book_is_a_cartridge_with_a_module_for_each_part(sample_book):
    manifest, links = opened((sample_book.html / "mathdl.imscc").read_bytes())
    path = "cp:organizations/cp:organization/cp:item/cp:item/cp:title"
    modules = [title.text for title in manifest.findall(path, NS)]
    assert {"Calculus", "Labs", "Reference"} <= set(modules)
    address = urlsplit(links["link-sec-chain-rule"].find("wl:url", NS).get("href"))
    assert address.scheme == "https"
    assert address.path.endswith("/book/chapter.html") and address.fragment == "sec-chain-rule"
    listed = json.loads((sample_book.html / "sections.json").read_text(encoding="utf-8"))
    pages = [entry for entry in listed["sections"] if entry["kind"] == "page"]
    assert len(links) == len(pages)


def test_titles_with_marks_survive():
    entry = {
        **{"id": "ex-a", "kind": "exercise", "number": "1", "part": "A & <B>"},
        **{"title": 'Is "x" < y & z?', "url": "a.html?b=1&c=2#ex-a"},
    }
    manifest, links = opened(cartridge("T & U", [entry], "https://a.invalid/"))
    assert links["link-ex-a"].findtext("wl:title", None, NS) == 'Exercise 1: Is "x" < y & z?'
    address = links["link-ex-a"].find("wl:url", NS).get("href")
    assert address == "https://a.invalid/a.html?b=1&c=2#ex-a"
    assert manifest.find(".//lom:string", NS).text == "T & U"


def test_the_same_pages_give_the_same_file():
    entry = {"id": "sec-a", "kind": "page", "number": "", "part": "", "title": "A", "url": "a.html"}
    assert cartridge("T", [entry], "b/") == cartridge("T", [entry], "b/")


@pytest.mark.parametrize("name", ["The chain rule", "Bibliography"])
def test_without_a_script_there_is_a_table_of_all_pages(sample_book, name):
    html = sample_book.page("choosing")
    plain = html[html.index("choose-plain") :]
    assert name in re.sub(r"<[^>]+>", "", plain)
    assert 'href="../mathdl.imscc"' in html
    assert re.search(r'class="choose"[^>]* hidden', html)
