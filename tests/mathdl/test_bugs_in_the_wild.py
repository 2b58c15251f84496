"""That no mistake has gone missing from "Bugs in the wild", which its build cannot see."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "book/reference/bugs-in-the-wild.md").read_text("utf-8")

# By theme; a mistake may be added, but none may be dropped.
REQUIRED = [
    "bias-axis",
    "outer-product",
    "mse-rows",
    "mean-or-sum",
    "svd-shapes",
    "loop-rows",
    "integer-input",
    "float32-step",
    "absolute-tolerance",
    "dead-units",
    "xor-kink",
    "which-tolerance",
    "adam-uncorrected",
    "adam-t-zero",
    "nesterov-units",
    "adamw-order",
    "adam-variance",
    "momentum-comparison",
    "he-or-xavier",
    "full-batch-sgd",
    "one-seed",
    "clipped-cross-entropy",
    "clipped-sigmoid",
    "kl-clipped",
    "kl-negative",
    "svd-memory",
    "lora-start",
    "compressible",
    "lora-weights-updates",
    "lora-savings",
    "rank-off-by-one",
    "lora-disconnected",
    "unregistered",
    "pca-null",
    "tensor-normalised",
    "saddle-by-eye",
    "wide-minima",
    "ascent",
    "forgotten-path",
    "likelihood",
    "nll-is-mse",
    "not-a-likelihood",
    "kl-direction",
    "squared-sigmoid",
]


def sections() -> dict[str, str]:
    """Return the text of each bug by its name."""
    parts = re.split(r"^\((sec-[a-z0-9-]+)\)=$", PAGE, flags=re.MULTILINE)
    return {
        label.removeprefix("sec-bug-"): text
        for label, text in zip(parts[1::2], parts[2::2], strict=True)
        if label.startswith("sec-bug-")
    }


def cells(text: str) -> str:
    return "\n".join(re.findall(r"```\{code-cell\}\n(.*?)```", text, re.DOTALL))


def test_no_mistake_is_missing():
    assert not set(REQUIRED) - set(sections())


def test_the_table_of_symptoms_leads_to_every_bug_once_or_more():
    table = PAGE.partition(":name: tbl-bugs-symptoms")[2].partition(":::")[0]
    assert set(re.findall(r"sec-bug-([a-z0-9-]+)", table)) == set(sections())


@pytest.mark.parametrize("name", sorted(sections()))
def test_every_bug_is_shown_refused_and_mended(name):
    code = cells(sections()[name])
    assert "rejects(" in code or re.search(r"^ *assert |except ", code, re.MULTILINE)
    # The first Adam rule that is right serves the section after it too.
    outside = re.sub(r"with rejects\(.*\):(?:[^\n]*)\n(?: {4}.*\n)+", "", code)
    assert name == "adam-t-zero" or re.search(r"\bcheck_\w+\(|\bassert ", outside)


@pytest.mark.parametrize("name", sorted(sections()))
def test_every_bug_leads_to_the_chapter(name):
    links = re.findall(r"\{(?:ref|eq)\}`(?:[^`<]*<)?([a-z0-9-]+)", sections()[name])
    calls = re.findall(r"\{py:func\}`", sections()[name])
    assert any(not link.startswith("sec-bug") for link in links) or calls
