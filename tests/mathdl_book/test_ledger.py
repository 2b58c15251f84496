from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import nbformat
import pytest

from mathdl.checks import CHECK_MIME
from mathdl_book import ledger
from mathdl_book.ledger import CheckRecord, Ledger


def record(claim: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "claim": claim,
        "kind": "gradient",
        "passed": True,
        "worst_error": 1e-16,
        "tolerance": 1e-12,
        "points": 1,
        "scale": 1.0,
        "routes": [],
        "device": "cpu",
        "dtype": "float64",
        "duration": 0.001,
        "versions": {"python": "3.11"},
        "message": None,
    } | changes


def notebook(*records: dict[str, Any]) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_markdown_cell("text")]
    for item in records:
        output = nbformat.v4.new_output("display_data", data={CHECK_MIME: item})
        cells.append(nbformat.v4.new_code_cell("check()", outputs=[output]))
    return nbformat.v4.new_notebook(cells=cells)


def test_checks_are_collected_with_their_places() -> None:
    found = ledger.collect(
        {"book/a": notebook(record("eq-x"), record("eq-x")), "book/b": notebook(record("eq-x"))}
    )
    assert [(c.page, c.cell, c.anchor) for c in found] == [
        ("book/a", 1, "check-eq-x-1"),
        ("book/a", 2, "check-eq-x-2"),
        ("book/b", 1, "check-eq-x-1"),
    ]


def test_totals_count_a_claim_as_checked_only_if_nothing_about_it_failed() -> None:
    claimed = {"eq-a": "p", "eq-b": "p", "eq-c": "p"}
    records = ledger.collect(
        {
            "p": notebook(
                record("eq-a", worst_error=3e-11),
                record("eq-b"),
                record("eq-b", passed=False, worst_error=0.5),
                record("eq-elsewhere"),
                record("eq-a", kind="rate", worst_error=0.9),
                record("eq-a", kind="equal", worst_error=0.8),
            )
        }
    )
    assert ledger.totals(records, claimed, 7) == {
        "pages": 7,
        "claims": 3,
        "claims_checked": 1,
        "checks": 6,
        "worst_error": 0.5,
    }
    assert ledger.totals([], {}, 0)["worst_error"] == 0.0


def book(*records: CheckRecord, number: str = "1.1") -> Ledger:
    return Ledger(list(records), {"eq-a": "one", "eq-b": "two"}, {"eq-a": number, "eq-b": "2.1"}, 2)


def test_a_page_is_to_be_written_again_exactly_when_it_shows_something_else() -> None:
    here = CheckRecord(record("eq-a"), "one", 1, "check-eq-a-1")
    elsewhere = CheckRecord(record("eq-a"), "two", 1, "check-eq-a-1")
    before = book(here)
    assert before.digest("one") == book(here).digest("one")
    changed = book(here, elsewhere)
    assert changed.digest("one") != before.digest("one")
    assert changed.digest("two") != before.digest("two")
    renumbered = book(elsewhere, number="1.2")
    assert renumbered.digest("two") != book(elsewhere).digest("two")
    # Only the ledger itself shows how long a check took.
    slower = book(CheckRecord(record("eq-a", duration=9.0), "one", 1, "check-eq-a-1"))
    assert slower.digest("one") == before.digest("one")
    assert slower.digest_of_all() != before.digest_of_all()


def test_the_badge_of_a_claim_leads_to_each_of_its_checks() -> None:
    checks = [CheckRecord(record("eq-a"), "p", n, f"check-eq-a-{n}") for n in (1, 2)]
    html = ledger.claim_badge(checks, lambda item: f"#{item.anchor}")
    assert re.findall(r'href="([^"]+)"', html) == ["#check-eq-a-1", "#check-eq-a-2"]
    assert "claim-checked" in html and "✓ checked" in html
    failed = CheckRecord(record("eq-a", passed=False), "p", 3, "x")
    assert "claim-failed" in ledger.claim_badge([*checks, failed], lambda _: "#")
    assert "not checked" in ledger.claim_badge([], lambda _: "#")


def test_ledger_json_is_as_its_schema_says(sample_book) -> None:
    data = json.loads((sample_book.html / "ledger.json").read_text())
    schema = json.loads(ledger.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema, cls=jsonschema.Draft202012Validator)
    assert data["totals"] | {"worst_error": None} == {
        "pages": 9,
        "claims": 2,
        "claims_checked": 2,
        "checks": 6,
        "worst_error": None,
    }
    assert [claim["label"] for claim in data["claims"]] == [
        "eq-sample-gradient",
        "eq-sample-chain",
    ]
    assert [claim["number"] for claim in data["claims"]] == ["1.2", "1.3"]


def test_every_address_in_the_ledger_leads_somewhere(sample_book) -> None:
    data = json.loads((sample_book.html / "ledger.json").read_text())
    addresses = [item["url"] for kind in ("claims", "checks") for item in data[kind]]
    addresses += [url for claim in data["claims"] for url in claim["checks"]]
    assert len(addresses) == 12
    for address in addresses:
        page, _, anchor = address.partition("#")
        assert f'id="{anchor}"' in (sample_book.html / page).read_text()


def test_the_ledger_page_links_claims_and_checks_both_ways(sample_book) -> None:
    page = sample_book.page("ledger")
    assert 'id="ledger-eq-sample-chain"' in page
    for anchor in (
        "equation-eq-sample-chain",
        "check-eq-sample-chain-1",
        "check-eq-sample-chain-2",
    ):
        assert f'href="chapter.html#{anchor}"' in page
    for fact in ("complex step", "cpu, float64", "numpy"):
        assert fact in page
    chapter = sample_book.page("chapter")
    claim = re.search(r'id="equation-eq-sample-chain">.*', chapter)[0]
    assert 'href="#check-eq-sample-chain-2"' in claim


def test_the_front_page_counts(sample_book) -> None:
    page = sample_book.page("index")
    counts = "9 pages, 2 claims, all of them checked, by 6 checks; "
    assert f"{counts}the worst error of a derivative is" in page


def test_pages_follow_when_another_page_changes(fresh_sample_book) -> None:
    book = fresh_sample_book
    assert book.build().returncode == 0
    times = {path: path.stat().st_mtime_ns for path in book.html.glob("book/*.html")}
    assert "writing output... [" not in book.build().stdout
    assert {path: path.stat().st_mtime_ns for path in times} == times

    book.edit(
        "chapter", ', 1 - np.sin(0.5) ** 2, claim="eq-sample-chain")', ", 1 - np.sin(0.5) ** 2)"
    )
    assert book.build().returncode == 0
    rewritten = {path.stem for path in times if path.stat().st_mtime_ns != times[path]}
    assert {"chapter", "ledger", "index"} <= rewritten
    assert "bibliography" not in rewritten
    assert "check-eq-sample-chain-3" not in book.page("chapter")
    assert "Checks of exercises" in book.page("ledger")


@pytest.mark.parametrize("name", ["ledger", "index"])
def test_a_claim_without_its_check_shows(fresh_sample_book, name: str) -> None:
    book = fresh_sample_book
    book.edit("chapter", 'check_gradient(loss, gradient, W, claim="eq-sample-gradient")', "")
    assert book.build().returncode == 0  # it is the gates that refuse it
    expected = {"ledger": "no check", "index": "2 claims, 1 of them checked"}[name]
    assert expected in book.page(name)
    assert "not checked" in book.page("chapter")
