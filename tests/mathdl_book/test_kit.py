from __future__ import annotations

import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import yaml

import mathdl
from mathdl_book.kit import header_errors, module_summary, plain_docstring, process_docstring
from mathdl_book.pages import Page, toc_docnames

ROOT = Path(__file__).parents[2]
GOOD = {
    "objectives": [{"id": "obj-a", "text": "Do something", "level": "apply"}],
    "minutes": 10,
    "difficulty": 1,
    "needs": ["start/quickstart"],
    "feeds": [],
}


def page(tmp_path: Path, meta: object) -> Page:
    path = tmp_path / "page.md"
    path.write_text("---\n" + yaml.safe_dump({"mathdl": meta}) + "---\n\n# Title\n")
    return Page("page", path)


def test_a_good_header_has_no_errors(tmp_path: Path) -> None:
    assert header_errors(page(tmp_path, GOOD)) == []


def test_a_header_may_say_only_what_needs_a_gpu(tmp_path: Path) -> None:
    assert header_errors(page(tmp_path, {"gpu": ["sec-a"]})) == []


def test_a_page_without_our_part_has_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Title\n")
    assert header_errors(Page("page", path)) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"minutes": "ten"}, "mathdl.minutes: 'ten'"),
        ({"minutes": 0}, "mathdl.minutes: 0"),
        ({"difficulty": 4}, "mathdl.difficulty: 4"),
        ({"objectives": []}, "mathdl.objectives: []"),
        ({"needs": "start/quickstart"}, "mathdl.needs: 'start/quickstart'"),
        ({"gpu": ["setup"]}, "mathdl.gpu[0]: 'setup'"),
        ({"lab": "x"}, "mathdl: Additional properties are not allowed ('lab'"),
        (
            {"objectives": [{"id": "chain", "text": "x", "level": "apply"}]},
            "mathdl.objectives[0].id: 'chain'",
        ),
        (
            {"objectives": [{"id": "obj-a", "text": "x", "level": "aply"}]},
            "mathdl.objectives[0].level: 'aply'",
        ),
        (
            {"objectives": [GOOD["objectives"][0], GOOD["objectives"][0]]},
            "mathdl.objectives: the id 'obj-a' is given twice",
        ),
    ],
)
def test_an_error_names_its_field(tmp_path: Path, change: dict, field: str) -> None:
    [error] = header_errors(page(tmp_path, GOOD | change))
    assert error.startswith(field)


def test_a_missing_field_and_a_broken_header_are_errors(tmp_path: Path) -> None:
    [error] = header_errors(page(tmp_path, {k: v for k, v in GOOD.items() if k != "minutes"}))
    assert "'minutes' is a required property" in error
    path = tmp_path / "page.md"
    path.write_text("---\nmathdl: {a: [}\n---\n")
    [error] = header_errors(Page("page", path))
    assert error.startswith("the header is not valid YAML")


def test_every_page_of_the_book_has_a_good_header() -> None:
    errors = {
        name: found
        for name in toc_docnames(ROOT)
        if (found := header_errors(Page(name, ROOT / f"{name}.md")))
    }
    assert errors == {}


def test_every_module_of_the_library_has_its_page() -> None:
    modules = {path.stem for path in (ROOT / "src" / "mathdl").glob("[a-z]*.py")}
    modules |= {path.parent.name for path in (ROOT / "src" / "mathdl").glob("[a-z]*/__init__.py")}
    pages = {name.rpartition("/")[2] for name in toc_docnames(ROOT) if "/reference/api/" in name}
    assert pages - {"index"} == modules
    for name in modules:
        assert module_summary(f"mathdl.{name}").endswith(".")


def test_docstrings_read_as_they_look() -> None:
    lines = ["|x| of `a|b`_ and [1]_:", "", ">>> x | y", "z | w", "", ".. [1] Who,", "   where."]
    assert plain_docstring(lines) == [
        r"\|x\| of `a|b`_ and [1]:",
        "",
        ">>> x | y",
        "z | w",
        "",
        "[1] Who,",
        "where.",
    ]


def test_the_box_shows_the_header(sample_book) -> None:
    html = sample_book.page("chapter")
    box = html[html.index('class="in-this-chapter') :]
    box = box[: box.index("<section")]
    assert '<li id="obj-sample-chain">' in box
    assert '<li id="obj-sample-check">' in box
    assert "20 minutes" in box and "★★☆" in box
    assert 'href="index.html"' in box and 'href="index.html#sec-front"' in box
    assert 'href="ledger.html"' in box
    assert 'class="katex"' in box  # mathematics in an objective


def test_an_objective_can_be_referred_to(sample_book) -> None:
    html = sample_book.page("chapter")
    assert re.search(r'href="#obj-sample-chain".*?Differentiate f\(g\(x\)\)', html)


def test_labels_are_the_ids_and_links_of_headings(sample_book) -> None:
    html = sample_book.page("chapter")
    for label in ("sec-chain-rule", "sec-sample-network", "sec-sample-exercises"):
        assert re.search(rf'<section[^>]* id="{label}">', html)
        assert f'class="headerlink" href="#{label}"' in html


def test_solutions_open_without_a_script(sample_book) -> None:
    html = sample_book.page("chapter")
    solution = html[html.index('id="sol-sample-code"') - 80 :]
    solution = solution[: solution.index("</details>")]
    assert solution.count("<details") == 1
    assert '<summary class="admonition-title">Solution</summary>' in solution
    assert "check-eq-sample-chain-3" in solution
    assert "togglebutton" not in html


def test_no_id_is_given_twice(sample_book) -> None:
    for path in sample_book.html.glob("book/*.html"):
        ids = re.findall(r'\sid="([^"]+)"', path.read_text())
        assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_theorems_and_exercises_link_to_themselves(sample_book) -> None:
    html = sample_book.page("chapter")
    for label in ("thm-sample-chain", "dfn-sample-differentiable", "ex-sample-code"):
        assert f'class="headerlink" href="#{label}"' in html


def test_values_citations_terms_and_the_address_are_filled_in(sample_book) -> None:
    html = sample_book.page("chapter")
    assert re.search(r"the first entry is\s+<span[^>]*>-?\d\.\d\d</span>", html)
    assert re.search(r'href="bibliography.html#id\d+"', html)
    assert 'href="#term-gradient"' in html


def test_a_wrong_header_fails_the_build(fresh_sample_book) -> None:
    fresh_sample_book.edit("chapter", "level: evaluate", "level: guess")
    result = fresh_sample_book.build()
    assert result.returncode == 1
    assert "mathdl.objectives[1].level: 'guess' is not one of" in result.stderr
    assert "book/chapter" in result.stderr


def test_a_prerequisite_that_does_not_exist_fails_the_build(fresh_sample_book) -> None:
    fresh_sample_book.edit("chapter", "feeds: [ledger]", "feeds: [labs/nowhere]")
    result = fresh_sample_book.build()
    assert result.returncode == 1
    assert "labs/nowhere" in result.stderr


def test_each_field_of_a_named_tuple_has_its_description() -> None:
    plain = []
    for module in iter_modules(mathdl.__path__, "mathdl."):
        if "._" in module.name:
            continue
        for name, owner in vars(import_module(module.name)).items():
            fields = getattr(owner, "_fields", ())
            if name.startswith("_") or getattr(owner, "__module__", "") != module.name:
                continue
            for field in fields:
                lines = ["Alias for field number 0"]
                process_docstring(None, "attribute", f"{module.name}.{name}.{field}", 0, 0, lines)
                plain += [] if lines and "Alias" not in lines[0] else [f"{name}.{field}"]
            if fields:
                lines = inspect.cleandoc(owner.__doc__).splitlines()
                process_docstring(None, "class", f"{module.name}.{name}", owner, 0, lines)
                assert "Attributes" not in lines
    assert plain == []
