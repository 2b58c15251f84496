"""Everything that can be linked to, and the tables made of it."""

from __future__ import annotations

import csv
import json
import re

import pytest
from docutils import nodes
from docutils.utils import new_document

from mathdl_book.catalogue import gpu, things_in


@pytest.fixture(scope="module")
def listed(sample_book):
    return json.loads((sample_book.html / "sections.json").read_text(encoding="utf-8"))["sections"]


def of(listed, name):
    (found,) = [entry for entry in listed if entry["id"] == name]
    return found


def test_every_kind_of_thing_is_listed_with_its_number_and_place(listed):
    page = of(listed, "sec-chain-rule")
    assert (page["kind"], page["number"], page["part"]) == ("page", "1", "Calculus")
    assert page["objectives"] == ["obj-sample-chain", "obj-sample-check"]
    assert page["minutes"] == 20 and page["difficulty"] == 2
    section = of(listed, "sec-sample-network")
    assert (section["kind"], section["number"]) == ("section", "1.1")
    assert section["title"] == "Start from a network"
    assert of(listed, "def-sample-loss")["url"] == "book/chapter.html#equation-def-sample-loss"
    assert of(listed, "def-sample-loss")["number"] == "1.1"
    assert of(listed, "obj-sample-check")["level"] == "evaluate"
    assert of(listed, "obj-sample-check")["title"] == "Check a gradient by two routes"
    assert of(listed, "ex-sample-code")["title"] == "In code"
    assert of(listed, "ex-sample-hand")["difficulty"] == 1  # its own stars, not the page's
    assert of(listed, "ex-sample-code")["difficulty"] == 2
    assert of(listed, "thm-sample-chain")["title"] == "Chain rule"
    assert of(listed, "eq-sample-chain")["title"] == ""
    assert of(listed, "step-sample-forward")["kind"] == "step"
    kinds = {entry["kind"] for entry in listed}
    assert kinds >= {"claim", "theorem", "figure", "exercise"}


def test_what_a_gpu_is_to_each(listed):
    assert of(listed, "sec-ways-gpu")["gpu"] == "needed"
    assert {entry["gpu"] for entry in listed if entry["id"] != "sec-ways-gpu"} == {"none"}
    cell = nodes.container(nb_element="cell_code", classes=["cell", "tag_torch"])
    inner = nodes.section("", nodes.title("", "Inner"), cell, ids=["sec-inner"])
    other = nodes.section("", nodes.title("", "Other"), ids=["sec-other"])
    doctree = new_document("page.md")
    doctree += nodes.section("", nodes.title("", "Page"), inner, other, ids=["sec-page"])
    things = {thing["id"]: thing for thing in things_in(doctree)}
    assert {name: gpu({}, thing) for name, thing in things.items()} == {
        **{"sec-page": "used", "sec-inner": "used", "sec-other": "none"},
    }
    assert gpu({"gpu": ["sec-page"]}, things["sec-other"]) == "needed"


def test_a_section_that_is_said_to_need_a_gpu_and_is_not_there(fresh_sample_book):
    fresh_sample_book.edit("ways", "[sec-ways-gpu]", "[sec-ways-gone]")
    result = fresh_sample_book.build()
    assert result.returncode == 1
    assert "mathdl.gpu: sec-ways-gone is no section of the page" in result.stderr


def test_addresses_exist(listed, sample_book):
    for entry in listed:
        path, _, name = entry["url"].partition("#")
        assert f'id="{name}"' in (sample_book.html / path).read_text(encoding="utf-8"), entry


def test_sections_share_their_pages_minutes(listed):
    sections = [e for e in listed if e["kind"] == "section" and e["page"] == "book/chapter"]
    assert abs(sum(entry["minutes"] for entry in sections) - 20) <= len(sections)
    # Exercises and their solutions, most of their section, are not in the page's minutes.
    assert of(listed, "sec-sample-exercises")["minutes"] <= 2


def test_the_table_is_the_list(listed, sample_book):
    text = (sample_book.html / "sections.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    assert [row["id"] for row in rows] == [entry["id"] for entry in listed]


def test_the_tables_on_pages(sample_book):
    tables = [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found))
        for found in re.findall(r"<table.*?</table>", sample_book.page("ways"), re.DOTALL)
    ]
    objectives, roadmap, costs, path = tables
    assert "Check a gradient by two routes" in objectives and "evaluate" in objectives
    assert "Start from a network" in roadmap  # a section that the lab builds on
    assert "20 min" in roadmap and "Together 1 h 20 min" in roadmap
    assert re.search(r"\d+\.\d s \d\.\d GB", costs)
    assert "Start from a network" in path and "all of it" in path
    minutes = [int(n) for n in re.findall(r"(\d+) min", path)]
    assert minutes[0] == minutes[-1] < 20  # the lab's is one full hour
    assert 'href="chapter.html#sec-sample-network"' in sample_book.page("ways")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (":hours: 1-2", ":hours: 3", "not 3 h"),
        ("sec-sample-figures", "sec-gone", "no section sec-gone"),
        ("labs/lab-0-sample\n```\n", "labs/gone\n```\n", "no page with minutes"),
    ],
)
def test_a_way_that_is_not_there_or_takes_longer_is_refused(fresh_sample_book, old, new, said):
    path = fresh_sample_book.root / "book" / "ways.md"
    head, _, tail = path.read_text(encoding="utf-8").rpartition(old)
    path.write_text(head + new + tail, encoding="utf-8")
    result = fresh_sample_book.build()
    assert result.returncode != 0
    assert said in result.stderr
