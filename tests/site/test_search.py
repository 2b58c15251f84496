"""What the search page of the real book puts first, for what readers type."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

BOOK = Path(os.environ.get("MATHDL_SITE", "")) / "book" / "calculus" / "gradient-checking.html"
pytestmark = pytest.mark.skipif(
    "MATHDL_SITE" not in os.environ or not BOOK.is_file(), reason="asks for the real book's words"
)

ASK = """async (query) => {
  const field = document.querySelector(".bd-search-container input");
  const status = document.querySelector(".search-status");
  status.textContent = "";
  field.value = query;
  field.dispatchEvent(new Event("input"));
  while (!/result|Nothing/.test(status.textContent)) await new Promise((go) => setTimeout(go, 30));
  return [...document.querySelectorAll(".search-list > li")].slice(0, 3).map((row) => {
    const link = row.querySelector("a");
    return `${link.textContent} | ${row.querySelector(".search-kind")?.textContent} | ${link.hash}`;
  });
}"""

# What is typed, a pattern of what must be found, and among how many of the first.
QUERIES = [
    # names of formulas
    ("chain rule", r"chain rule \| Equation", 1),
    ("descent lemma", r"descent lemma \| Equation", 1),
    ("Gaussian KL", r"gaussian kl \| Equation", 1),
    ("complex step", r"complex step \| Equation", 1),
    ("Bayes rule", r"bayes rule \| Equation", 1),
    ("condition number", r"condition number \|", 1),
    # numbers
    ("(5.3)", r"\(5\.3\) ", 1),
    ("equation 12.4", r"\(12\.4\) ", 1),
    ("eq. 6.8", r"\(6\.8\) chain rule", 1),
    ("figure 5.2", r"5\.2 .* \| Figure", 1),
    ("exercise 4.2", r"4\.2 .* \| Exercise", 1),
    ("theorem 7.1", r"7\.1 .* \| Theorem", 1),
    ("section 5.3", r"5\.3 .* \| Section", 1),
    # labels
    ("eq-index-cross-entropy", r"#equation-eq-index-cross-entropy", 1),
    ("dfn-adam", r"#dfn-adam", 1),
    # names in the library
    ("check_gradient", r"mathdl\.checks\.check_gradient \| Library", 1),
    ("relu_vjp", r"mathdl\.activations\.relu_vjp \| Library", 1),
    ("mathdl.optim.Adam", r"mathdl\.optim\.Adam \| Library", 1),
    ("softmax", r"mathdl\.activations\.softmax \| Library", 3),
    # words of the glossary
    ("broadcasting", r"broadcasting \| Term", 1),
    ("eigenvalue", r"eigenvalue \| Term", 1),
    ("cross-entropy", r"cross-entropy \| Term", 1),
    ("log-sum-exp", r"log-sum-exp \| Term", 1),
    # chapters and labs
    ("backpropagation", r"9 Backpropagation \| Page", 1),
    ("momentum", r"13 Momentum \| Page", 1),
    ("lab 3", r"Lab 3: Loss landscapes \| Page", 1),
    ("singular value decomposition", r"singular value decomposition \| Page", 2),
    # under another name than the book's
    ("KL divergence", r"Kullback–Leibler divergence \| Term", 1),
    ("central difference", r"central quotient \| Equation", 2),
    ("machine epsilon", r"unit roundoff \|", 2),
    # in the other spelling, and a phrase
    ("reparameterization", r"reparametrisation \| Term", 1),
    ("a wrong sign in a printed gradient", r"#sec-index-different", 1),
]


@pytest.fixture(scope="module")
def search(browser, site):
    """The search page, opened once."""
    page = browser.new_page()
    page.goto(f"{site}/search.html")
    yield page
    page.close()


@pytest.mark.parametrize(("query", "pattern", "among"), QUERIES)
def test_what_is_asked_for_is_found_at_the_top(query, pattern, among, search):
    found = search.evaluate(ASK, query)
    assert any(re.search(pattern, one) for one in found[:among]), found
