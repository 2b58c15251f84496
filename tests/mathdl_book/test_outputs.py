from __future__ import annotations

import re

import pytest
from myst_nb.core import render

from mathdl.checks import CHECK_MIME, CheckFailed, check_equal
from mathdl_book import outputs

RECORD = {
    "schema": 1,
    "claim": "eq-a",
    "kind": "equal",
    "passed": True,
    "worst_error": 2e-16,
    "tolerance": 1e-10,
    "points": 3,
    "scale": 1.0,
    "routes": [{"name": "x", "worst_error": 2e-16, "tolerance": 1e-10, "points": 3, "skipped": 0}],
    "device": "cpu",
    "dtype": "float64",
    "duration": 0.01,
    "versions": {"python": "3.11"},
    "message": None,
}


def cell(*records: dict) -> dict:
    return {"outputs": [{"output_type": "display_data", "data": {CHECK_MIME: r}} for r in records]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.0123, "0.012"),
        (12345.0, "1.2\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁴"),
        (9.99e-6, "10⁻⁵"),
        (-3.14e-20, "-3.1\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁻²⁰"),
        (1e300, "10³⁰⁰"),
        (20.0, "20"),
    ],
)
def test_numbers_as_one_writes_them(value: float, text: str) -> None:
    assert outputs.scientific(value) == text


def test_anchors_count_the_checks_of_each_claim_over_cells() -> None:
    other = RECORD | {"claim": "eq-b"}
    unnamed = RECORD | {"claim": None}
    cells = [{"source": "text"}, cell(RECORD, other), cell(unnamed, RECORD), cell(unnamed)]
    assert [item[:3] for item in outputs.check_anchors(cells)] == [
        (1, 0, "check-eq-a-1"),
        (1, 1, "check-eq-b-1"),
        (2, 0, "check-1"),
        (2, 1, "check-eq-a-2"),
        (3, 0, "check-2"),
    ]


def test_a_record_kept_as_text_is_read_and_other_outputs_are_none() -> None:
    assert outputs.record_of({"data": {CHECK_MIME: '{"claim": "eq-a"}'}}) == {"claim": "eq-a"}
    assert outputs.record_of({"output_type": "stream", "text": "x"}) is None


def test_the_badge_says_what_was_checked_and_how_well() -> None:
    badge = outputs.badge(RECORD, "check-eq-a-1")
    text = badge.astext().replace("\N{NO-BREAK SPACE}", " ")
    assert badge["ids"] == ["check-eq-a-1"]
    for part in ("✓ checked", "equal", "2 × 10⁻¹⁶", "10⁻¹⁰", "3 points"):
        assert part in text
    [reference] = [node for node in badge.findall() if node.tagname == "pending_xref"]
    assert reference["reftarget"] == "eq-a" and reference["refwarn"]


def test_the_badge_says_what_was_skipped_at_kinks() -> None:
    assert "skipped" not in outputs.badge(RECORD, "check-eq-a-1").astext()
    route = {**RECORD["routes"][0], "name": "central differences", "skipped": 2}
    badge = outputs.badge({**RECORD, "routes": [*RECORD["routes"], route]}, "check-eq-a-1")
    assert "x, central differences (2 skipped at kinks)" in badge.astext()


def test_the_badge_of_a_failure_carries_its_diagnosis() -> None:
    with pytest.raises(CheckFailed) as caught:
        check_equal(2.0, 3.0, claim="eq-a")
    badge = outputs.badge(caught.value.result.record(), "check-eq-a-1")
    assert "check-failed" in badge["classes"]
    assert str(caught.value).splitlines()[0] in badge.astext()


def test_the_renderer_is_registered_once() -> None:
    outputs.register_renderer()
    outputs.register_renderer()
    assert render.load_mime_renders().count(outputs.CheckRenderer) == 1
    for builder in ("html", "latex", "text"):
        order = render.get_mime_priority(builder, [])
        assert order.index(CHECK_MIME) < order.index("text/plain")
    assert order.index(CHECK_MIME) < render.get_mime_priority("html", []).index("text/html")


def test_the_page_shows_each_check_with_its_id_and_a_way_back(sample_book) -> None:
    page = sample_book.page("chapter")
    ids = re.findall(r'class="check-badge check-passed docutils container" id="([^"]+)"', page)
    assert ids == [
        "check-eq-sample-gradient-1",
        "check-eq-sample-chain-1",
        "check-eq-sample-chain-2",
        "check-eq-sample-chain-3",
    ]
    assert page.count('href="#equation-eq-sample-chain"') >= 3
    assert "mathdl.CheckResult" not in page and CHECK_MIME not in page
