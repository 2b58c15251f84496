from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from mathdl_book.parallel import cores
from mathdl_book.typesetting import (
    STATIC,
    FormulaError,
    Typesetter,
    display_source,
    read_macros,
)

ROOT = Path(__file__).parents[2]
# A use of every macro of the notation.
USES = {
    "vect": r"\vect{x}",
    "T": r"A\T",
    "norm": r"\norm{\frac{x}{y}}",
    "abs": r"\abs{x}",
    "inner": r"\inner{x}{y}",
    "argmin": r"\argmin_{x}",
    "argmax": r"\argmax_{x}",
    "dd": r"\int f(x) \dd x",
}


@pytest.fixture(scope="module")
def typesetter():
    with Typesetter(read_macros(ROOT / "book" / "macros.yml")) as setter:
        yield setter


def test_a_formula_is_html_with_mathml_and_its_source(typesetter: Typesetter) -> None:
    html = typesetter.render(r"\frac{a}{b} < 1", display=True)
    assert html.startswith('<span class="katex-display">')
    assert "<mfrac>" in html
    assert r'<annotation encoding="application/x-tex">\frac{a}{b} &lt; 1</annotation>' in html
    assert "<script" not in html


def test_a_line_of_letters_has_no_strut_and_a_higher_one_has(typesetter: Typesetter) -> None:
    assert "katex-strut" not in typesetter.render(r"p(x_i) = y", display=False)
    assert "katex-strut" in typesetter.render(r"\frac{a}{b}", display=True)


def test_brackets_grow_only_if_they_are_fences(typesetter: Typesetter) -> None:
    html = typesetter.render(r"(a) \left(\frac{b}{c}\right)", display=False)
    assert html.count("<mo>(</mo>") == 1 and html.count('<mo fence="true">(</mo>') == 1


def test_outlines_are_in_whole_numbers(typesetter: Typesetter) -> None:
    path = re.search(r'<path d="([^"]*)"', typesetter.render(r"\sqrt{a}", display=False))[1]
    assert re.fullmatch(r"[MmLlHhVvCcSsZz\d\s-]+", path)
    assert path.startswith("M95 702") and path.endswith("z")


@pytest.mark.parametrize("name", [name[1:] for name in read_macros(ROOT / "book" / "macros.yml")])
def test_every_macro_of_the_notation_can_be_set(typesetter: Typesetter, name: str) -> None:
    html = typesetter.render(USES.get(name, rf"\{name} x"), display=False)
    assert re.search(r'class="katex-html( katex-base)?"', html)


def test_what_is_undefined_is_named(typesetter: Typesetter) -> None:
    with pytest.raises(FormulaError, match=r"Undefined control sequence: \\nosuch at position 4"):
        typesetter.render(r"x + \nosuch{y}", display=False)


@pytest.mark.parametrize(
    ("tex", "complaint"),
    [
        (r"\text{where λ}", "unknownSymbol"),
        (r"\href{https://example.org}{x}", r"\\href is not allowed"),
        (r"\frac{a}", "Unexpected end of input"),
        (r"\begin{nosuch}x\end{nosuch}", "No such environment"),
        (r"a \label{eq-x}", "Undefined control sequence"),
    ],
)
def test_complaints_count_as_errors(typesetter: Typesetter, tex: str, complaint: str) -> None:
    with pytest.raises(FormulaError, match=complaint):
        typesetter.render(tex, display=True)


def test_a_formula_cannot_define_anything_for_the_next(typesetter: Typesetter) -> None:
    assert typesetter.render(r"\gdef\leak{x}\leak", display=False)
    with pytest.raises(FormulaError, match="leak"):
        typesetter.render(r"\leak", display=False)


def test_line_ends_in_a_formula_do_not_confuse_the_conversation(typesetter: Typesetter) -> None:
    assert "<mi>b</mi>" in typesetter.render("a\n+\r\nb", display=False)
    with pytest.raises(FormulaError, match="Unexpected character"):
        typesetter.render("a + \u2028 b", display=False)
    assert "<mi>z</mi>" in typesetter.render("z", display=False)


def test_a_formula_is_set_once(tmp_path: Path) -> None:
    cache = tmp_path / "katex" / "formulas.jsonl"
    with Typesetter({}, cache) as first:
        html = first.render("x^2", display=False)
        assert first.render("x^2", display=False) == html
        assert first.formulas_set == 1
        first.render("x^2", display=True)
        assert first.formulas_set == 2
    with Typesetter({}, cache) as second:
        assert second.render("x^2", display=False) == html
        assert second.formulas_set == 0
    with Typesetter({r"\a": "b"}, cache) as other_notation:
        other_notation.render("x^2", display=False)
        assert other_notation.formulas_set == 1


def test_a_line_cut_short_is_set_again(tmp_path: Path) -> None:
    cache = tmp_path / "formulas.jsonl"
    with Typesetter({}, cache) as typesetter:
        html = typesetter.render("x", display=False)
    cache.write_text(cache.read_text()[:40] + "\n")
    with Typesetter({}, cache) as typesetter:
        assert typesetter.render("x", display=False) == html
        assert typesetter.formulas_set == 1


def test_a_formula_that_failed_is_not_remembered(tmp_path: Path) -> None:
    cache = tmp_path / "formulas.jsonl"
    for _ in range(2):
        with (
            Typesetter({}, cache) as typesetter,
            pytest.raises(FormulaError, match="nosuch"),
        ):
            typesetter.render(r"\nosuch", display=False)


def test_a_node_that_dies_is_replaced() -> None:
    with Typesetter({}) as typesetter:
        typesetter.render("x", display=False)
        typesetter._process.kill()
        typesetter._process.wait()
        with pytest.raises(FormulaError, match="Node ended with exit code -9"):
            typesetter.render("y", display=False)
        assert "<mi>y</mi>" in typesetter.render("y", display=False)


@pytest.mark.parametrize("text", ["a-b: x", "R: [1]", "R: 3"])
def test_a_macro_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "macros.yml").write_text(text)
    with pytest.raises(ValueError, match="is not a macro"):
        read_macros(tmp_path / "macros.yml")


@pytest.mark.parametrize(
    ("tex", "environment", "expected"),
    [
        ("x = y", False, "x = y"),
        (r"x &= y", False, r"\begin{split}x &= y\end{split}"),
        (r"AT\&T", False, r"AT\&T"),
        (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", False, None),
        (
            r"\begin{aligned} a &= \begin{cases} 0 \\ 1 \end{cases} \\ b \end{aligned}",
            False,
            None,
        ),
        (r"\begin{align*} a &= b \end{align*}", True, None),
        (r"\begin{gather} a \end{gather}", True, r"\begin{gather*} a \end{gather*}"),
    ],
)
def test_the_source_handed_to_katex(tex: str, environment: bool, expected: str | None) -> None:
    assert display_source(tex, environment=environment) == (tex if expected is None else expected)


def test_style_sheet_and_fonts_are_those_of_the_engine() -> None:
    folder = STATIC / "site" / "katex"
    css = (folder / "katex.min.css").read_text()
    fonts = {path.name for path in (folder / "fonts").iterdir()}
    assert set(re.findall(r"url\(fonts/([^)]+)\)", css)) == fonts
    engine = (STATIC / "node" / "katex.min.js").read_text()
    [version] = set(re.findall(r'content:"(\d+\.\d+\.\d+)"', css))
    assert f'"{version}"' in engine


def test_the_page_has_its_mathematics_set(sample_book) -> None:
    page = sample_book.page("chapter")
    assert "mathjax" not in page.lower()
    assert page.count('class="katex"') > 20
    block = re.search(r'<div class="math math-display" id="equation-eq-sample-gradient">.*', page)[
        0
    ]
    assert '<span class="eqno">(1.2)' in block
    assert 'href="#equation-eq-sample-gradient"' in block
    assert '<annotation encoding="application/x-tex">' in block
    assert "https://cdn" not in page
    assert ".katex" in (sample_book.html / "_static/site.css").read_text(encoding="utf-8")
    assert (sample_book.html / "_static/katex/fonts/KaTeX_Main-Regular.woff2").is_file()
    assert not list(sample_book.html.rglob("katex.min.js"))


def test_a_build_reuses_the_formulas_of_the_last(sample_book) -> None:
    cache = sample_book.root / "_build" / "katex" / "formulas.jsonl"
    keys = [json.loads(line)[0] for line in cache.read_text().splitlines()]
    assert len(keys) > 20
    # Pages are written side by side: each process may meet a formula first.
    assert max(Counter(keys).values()) <= cores()


def test_a_macro_nobody_defined_fails_the_build(fresh_sample_book) -> None:
    fresh_sample_book.edit("chapter", r"\norm{W \vect{x}", r"\nrom{W \vect{x}")
    result = fresh_sample_book.build()
    assert result.returncode == 1
    assert r"Undefined control sequence: \nrom" in result.stderr
    assert "chapter.md:" in result.stderr
