"""A book without its solutions holds nothing of them, in no file; with them it holds it all."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from mathdl_book.solutions import NestedSolution, without_solutions

LAB = "labs/lab-0-sample"
# Words that stand in solutions alone: in their text, code, output, picture and lab cell.
WORDS = ("zugzwang", "quixotic", "flotsam", "gobbledygook", "rigmarole", "kerfuffle")
BY_HAND = "By {eq}`eq-sample-chain` it is $2x\\cos(x^2)$"
IN_CODE = "The slope is twice the point.\n"
PICTURE = """\
```{code-cell}
---
mystnb:
  image: {alt: "A picture of the flotsam."}
  figure: {caption: The gobbledygook., name: fig-sample-answer}
---
fig, ax = plt.subplots(figsize=(2, 1))
ax.plot([0, 1], [0, 1], label="kerfuffle")
print("rig" + "marole")
```
"""
REFERENCES = """\
See {ref}`sol-sample-hand`, {ref}`the way <sol-sample-code>` and {numref}`fig-sample-answer`.

(sec-sample-exercises)="""


@pytest.fixture(scope="module")
def books(sample_book_type, tmp_path_factory):
    """The sample book, with solutions and then without them in the same folder."""
    book = sample_book_type(tmp_path_factory.mktemp("solutions"))
    book.edit("chapter", BY_HAND, f"A zugzwang. {BY_HAND}")
    book.edit("chapter", IN_CODE, f"A quixotic one: {IN_CODE}\n{PICTURE}")
    book.edit("chapter", "(sec-sample-exercises)=", REFERENCES)
    # A claim that only a solution proves.
    book.edit("chapter", ', claim="eq-sample-gradient")', ")")
    book.edit(
        "chapter",
        "2 * points, claim=",
        "2 * points)\ncheck_gradient(loss, gradient, W, "
        'claim="eq-sample-gradient")\ncheck_equal(1.0, 1.0, claim=',
    )
    found = {}
    for which in ("all", "none"):
        result = book.build({"MATHDL_SOLUTIONS": which})
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        found[which] = dict(texts(book.html))
    return book, found["all"], found["none"]


def texts(site: Path) -> Iterator[tuple[str, str]]:
    """Yield every file of a site as the text that a reader can get out of it."""
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        name = path.relative_to(site).as_posix()
        if path.suffix == ".whl":
            continue  # the library, which is not a solution
        if path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            text = "\n".join(cell.source for cell in cells)
        elif path.suffix in (".imscc", ".zip"):
            with zipfile.ZipFile(path) as packed:
                text = "\n".join(packed.read(n).decode(errors="replace") for n in packed.namelist())
        else:
            text = path.read_bytes().decode(errors="replace")
        if path.suffix == ".html":  # code is coloured word by word
            text += html.unescape(re.sub(r"<[^>]*>", "", text))
        yield name, f"{name} {' '.join(text.split())}"


def lines_of_solutions(book: Path) -> set[str]:
    """Return the telling lines that stand in solutions and nowhere else in the book's pages."""
    pages = [path.read_text() for path in sorted((book / "book").rglob("*.md"))]
    kept = "\n".join(without_solutions(page).text for page in pages)
    kept = " ".join(kept.split())
    found = set()
    for page in pages:
        shown = set(without_solutions(page).text.splitlines())
        for line in set(page.splitlines()) - shown:
            # What is between marks looks the same on the page.
            for part in re.split(
                r"[`$]|\{\w+\}|\*(?=\w)|(?<=\w)\*", line.partition("{solution")[0]
            ):
                part = " ".join(part.split())
                if len(part) >= 10 and part not in kept and not part.startswith((":label", "###")):
                    found.add(part)
    return found


def test_every_word_and_line_is_there_with_solutions_and_nowhere_without(books) -> None:
    book, with_them, without = books
    lines = lines_of_solutions(book.root)
    assert {"return dz * w, dz * x", "# each factor's gradient is the other"} <= lines
    everything = "\n".join(with_them.values())
    assert {line for line in lines if line not in everything} <= {
        'alt: "A picture of the flotsam."',
        'image: {alt: "A picture of the flotsam."}',
        "figure: {caption: The gobbledygook., name: fig-sample-answer}",
    }
    for name, text in without.items():
        left = [line for line in lines if line in text]
        left += [word for word in WORDS if word in text.lower()]
        assert left == [], name
    missing = {word for word in WORDS if word not in everything.lower()}
    assert missing == set()


def test_pictures_of_solutions_go_too(books) -> None:
    _, with_them, without = books
    pictures = {name for name in with_them if name.startswith("_images/")}
    left = {name for name in without if name.startswith("_images/")}
    assert len(pictures) == len(left) + 1


def test_a_reference_to_a_solution_is_text(books) -> None:
    _, with_them, without = books
    page = "book/chapter.html"
    assert 'href="#sol-sample-hand"' in with_them[page]
    assert "sol-sample" not in without[page] and "fig-sample-answer" not in without[page]
    plain = re.sub(r"<[^>]*>", "", without[page])
    said = "a solution that is left out here"
    assert f"See {said}, the way and {said}." in plain


def test_exercises_and_the_labs_checks_stay(books) -> None:
    _, with_them, without = books
    assert "ex-sample-code" in without["book/chapter.html"]
    lab = without[f"book/{LAB}.html"]
    assert 'raise NotImplementedError("write Neuron.backward")' in lab
    assert '<details class="lab-solution"' not in lab
    assert lab.count("check-badge") == 2  # what a right solution gives
    assert "output stream" in with_them[f"book/{LAB}.html"] and "output stream" not in lab


def test_notebooks_are_those_to_fill_in(books) -> None:
    book, with_them, without = books
    names = {name for name in with_them if name.endswith(".ipynb")}
    assert {name for name in without if name.endswith(".ipynb")} == {
        name for name in names if "-solved" not in name
    }
    lab = nbformat.read(book.html / f"notebooks/{LAB}.ipynb", as_version=4)
    assert "The version to fill in" in lab.cells[0].source
    assert "Neuron" in "".join(cell.source for cell in lab.cells)


def test_the_ledger_keeps_the_proof_and_no_link_into_a_solution(books) -> None:
    _, with_them, without = books
    before, after = (
        json.loads(found["ledger.json"].partition(" ")[2]) for found in (with_them, without)
    )
    assert after["totals"] == before["totals"]
    [claim] = [one for one in after["claims"] if one["label"] == "eq-sample-gradient"]
    assert claim["checks"] == []
    [check] = [one for one in after["checks"] if one["claim"] == "eq-sample-gradient"]
    assert check["url"] is None and check["passed"]
    assert "in a solution that is left out here" in without["book/ledger.html"]
    targets = re.findall(r'href="(?:chapter.html)?#(check-[\w-]+)"', "".join(without.values()))
    assert targets and all(f'id="{name}"' in without["book/chapter.html"] for name in targets)


def test_nothing_leads_to_the_sources_with_solutions(books) -> None:
    _, with_them, without = books
    ways = re.compile(r"mybinder|colab\.research|/edit/|/blob/")
    for name in ("book/chapter.html", f"book/{LAB}.html"):
        assert ways.search(with_them[name]) and not ways.search(without[name])


def test_a_solution_that_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(NestedSolution, match="inside another directive"):
        without_solutions("::::{note}\n:::{solution} ex-a\n:label: sol-a\n\n2\n:::\n::::\n")
    with pytest.raises(NestedSolution, match="line 3 has no"):
        without_solutions("# A\n\n```{solution-start} ex-a\n:label: sol-a\n```\n\n2\n")
    with pytest.raises(NestedSolution, match="without its other end"):
        without_solutions("# A\n\n```{solution-end}\n```\n")


def test_a_whole_solution_and_its_labels_go() -> None:
    page = "Kept.\n\n```{solution} ex-a\n:label: sol-a\n\n$$\nx\n$$ (eq-a)\n```\n\nKept too.\n"
    shown = without_solutions(page)
    assert shown.text.split() == ["Kept.", "Kept", "too."]
    assert shown.labels == {"sol-a", "eq-a"}
