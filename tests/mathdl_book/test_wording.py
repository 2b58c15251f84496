"""Formulas and titles where nothing can be set."""

from __future__ import annotations

import pytest
from docutils import nodes

from mathdl_book.typesetting import Typesetter
from mathdl_book.wording import in_words, line_of, text_of


@pytest.fixture(scope="module")
def typesetter():
    with Typesetter({r"\vect": r"\boldsymbol{#1}", r"\KL": r"\operatorname{KL}"}) as setter:
        yield setter


@pytest.mark.parametrize(
    ("tex", "said"),
    [
        (r"f(g(x))", "f(g(x))"),
        (r"\vect{x}_{k+1} = \vect{x}_k - \alpha\,\vect{g}", "xₖ₊₁ = xₖ − α g"),
        (r"-\ln p", "− ln p"),
        (r"\frac{\partial f}{\partial x}", "∂f/∂x"),
        (r"\frac{a + b}{2c}", "(a + b)/(2c)"),
        (r"\sqrt{3\kappa}", "√(3κ)"),
        (r"\KL(p \parallel q) \ge 0", "KL(p∥q) ≥ 0"),
        (r"10^{-1.5}", "10⁻¹·⁵"),
        (r"x^{Q}_{\omega\tau}", "x_ωτ^Q"),
        (r"\left\lvert \bar y \right\rvert \le 1", "∣ȳ∣ ≤ 1"),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "(1 2; 3 4)"),
        (r"\sum_{i=1}^n x_i^2", "∑ᵢ₌₁ⁿxᵢ²"),
        (r"t \log_2 n", "t log₂ n"),
    ],
)
def test_a_formula_is_one_line_that_reads_well(tex, said, typesetter):
    assert in_words(typesetter.render(tex, display=False)) == said


def test_a_title_keeps_its_words_around_the_formula(typesetter):
    title = nodes.title("", "", nodes.Text("The slope of "), nodes.math("", r"f(\vect{x})"))
    assert text_of(title, typesetter) == "The slope of f(x)"
    assert text_of(title, None) == r"The slope of f(\vect{x})"


def test_a_formula_that_cannot_be_set_stays_as_it_is(typesetter):
    assert text_of(nodes.math("", r"\nonsense"), typesetter) == r"\nonsense"
    assert line_of(r"At $\nonsense$, `f`", typesetter) == r"At \nonsense, f"
    assert line_of(r"At $x^2$", typesetter) == "At x²"
