"""The gates as functions, without Sphinx; `tests/gates` builds a book for each escape."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import pytest
import yaml
from docutils import nodes, utils
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser

import mathdl_book
from mathdl import checks
from mathdl_book import gates
from mathdl_book.facts import read_html, read_site
from mathdl_book.findings import Finding
from mathdl_book.gates import building, doctrees, notebooks, pages, site
from mathdl_book.gates.apart import shared_state
from mathdl_book.gates.notebooks import CHECK_MIME, Record
from mathdl_book.gates.pages import Cell
from mathdl_book.pages import Page

HEADER = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---
"""


def page(tmp_path: Path, text: str) -> Page:
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return Page("book/page", path)


def said(findings) -> list[str]:
    return [str(finding) for finding in findings]


def messages(source: str, **metadata) -> list[str]:
    """What the gates say to one cell, after one that imported what pages import."""
    libraries, imported = {}, {}
    first = "import numpy as np\nimport torch\nfrom mathdl import checks, optim"
    list(pages.cell_messages(Cell(1, 1, first), libraries, imported))
    cell = Cell(2, 9, source, metadata)
    return [text for _, text in pages.cell_messages(cell, libraries, imported)]


# --- cells -------------------------------------------------------------------------------

TRAPS = {
    "%%capture\nx = 1": "%%capture is IPython",
    "%matplotlib inline": "%matplotlib is IPython",
    "!ls": "!ls is IPython",
    "try:\n    f()\nexcept:\n    pass": "a bare 'except'",
    "try:\n    f()\nexcept Exception as e:\n    pass": "'except Exception'",
    "try:\n    f()\nexcept (ValueError, AssertionError):\n    pass": "'except AssertionError'",
    "try:\n    f()\nexcept checks.CheckFailed:\n    pass": "'except CheckFailed'",
    "try:\n    f()\nexcept* BaseException:\n    pass": "'except BaseException'",
    "def g():\n    try:\n        f()\n    finally:\n        return 1": "leaving a 'finally'",
    "with contextlib.suppress(Exception):\n    f()": "suppress(Exception)",
    "with pytest.raises(AssertionError):\n    f()": "raises(AssertionError)",
    "from contextlib import redirect_stdout": "contextlib.redirect_stdout: it can swallow",
    "with capture_output():\n    f()": "capture_output: it can swallow",
    "from IPython.utils.capture import CapturedIO": "IPython.utils.capture.CapturedIO",
    "get_ipython().run_cell('f()')": "get_ipython",
    "publish_display_data({})": "publish_display_data: only mathdl.checks",
    "display({}, raw=True)": "display(raw=…): only mathdl.checks",
    "display({}, **{'raw': True})": "display(raw=…): only mathdl.checks",
    "os.environ['MATHDL_DEVICE'] = 'cpu'": "os.environ: what a page shows must not depend",
    "class R:\n    def _repr_mimebundle_(self):\n        pass": "_repr_mimebundle_: only",
    "m = 'application/vnd.' + 'vnd.mathdl.x'": "'vnd.mathdl.x': only mathdl.checks",
    "checks.CheckResult()": "checks.CheckResult: only mathdl.checks",
    "checks.check_equal = print": "checks.check_equal: a page must not change",
    "checks.device.x += 1": "checks.device.x: a page must not change",
    "del np.sum": "np.sum: a page must not change",
    "setattr(checks, 'check_equal', print)": "setattr on checks",
    "from unittest import mock": "import of unittest.mock: a page must not replace",
    "import importlib": "import of importlib: it hides code",
    "from mathdl._records import publish": "mathdl._records.publish is private",
    "checks._records": "checks._records is private",
    "dataclasses.replace(result, claim='eq-a')": "dataclasses.replace: only mathdl.checks",
    "import ipywidgets": "import of ipywidgets: it can swallow",
    "exec('f()')": "exec: it hides code",
    "__import__('os')": "__import__: it hides code",
    "sys.modules['mathdl']": "sys.modules: it hides code",
    "f.__code__": "f.__code__: it hides code",
    "import os\nos._exit(0)": "os._exit: it ends the kernel",
    "sys.exit()": "sys.exit: it ends the kernel",
    "quit()": "quit: it ends the kernel",
    "raise SystemExit": "SystemExit: it ends the kernel",
    "warnings.filterwarnings('ignore')": "silences warnings",
    "checks.check_equal(2 * x, 2 * x)": "check_equal compares an expression with itself",
    "x = torch.ones(2)": "uses torch without the tag 'torch'",
    "from scipy import stats": "uses stats without the tag 'scipy'",
    "x = 'é'\n" * 16: "16 lines, the limit is 15",
    "x = " + "1" * 80: "84 columns, the limit is 80",
    "x = (": "not valid Python",
}


@pytest.mark.parametrize(("source", "told"), TRAPS.items(), ids=TRAPS.values())
def test_a_cell_that_is_refused(source, told):
    found = messages(source)
    assert len(found) == 1, found
    assert told in found[0]


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept ValueError as error:\n    print(error)",
        "with checks.rejects('1.5'):\n    checks.check_equal(x, 2 * x)",
        "model.eval()\nre.compile('x')\nnp.exp(1)",
        "x = np.ones(3)\nx[0] = 2\nself.x = 1",
        "warnings.warn('x')\nnp.errstate(over='ignore')",
        "checks.check_equal(2 * x, x + x)",
        "try:\n    f()\nfinally:\n    g()",
        "for x in range(3):\n    if x:\n        break",
    ],
)
def test_a_cell_that_is_let_through(source):
    assert messages(source) == []


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"tags": ["skip-execution"]}, "tagged skip-execution"),
        ({"tags": ["remove-output"]}, "the tag 'remove-output' is none of"),
        ({"tags": "torhc"}, "the tag 'torhc' is none of"),
        ({"tags": ["raises-exception"]}, "without a reason"),
        ({"tags": ["raises-exception"], "mathdl": {"raises": " "}}, "without a reason"),
        ({"mathdl": {"raises": "why"}}, "without the tag raises-exception"),
        ({"mystnb": {"remove_code_outputs": True}}, "hides what the cell showed"),
        ({"load": "code.py"}, "loads its code from a file"),
        ({"mystnb": {"figure": {"name": "Plot"}}}, "'Plot' is not of the form fig-"),
    ],
)
def test_the_options_of_a_cell(metadata, told):
    (message,) = messages("x = 1", **metadata)
    assert told in message


def test_a_library_stays_known_in_later_cells():
    assert messages("y = torch.ones(2)", tags=["torch"]) == []
    assert "uses torch" in messages("def f(x):\n    return torch.exp(x)")[0]
    libraries = {"F": "torch"}
    list(pages.cell_messages(Cell(1, 1, "def F(x):\n    return x"), libraries, {}))
    assert libraries == {}


SEEDED = "rng = default_rng(0)\ndef start(): return rng.normal()"


@pytest.mark.parametrize(
    ("apart", "later", "told"),
    [
        ("x = rng.normal()", "y = rng.normal()", "draws from rng, as cell 3 does"),
        ("x = start()", "f = lambda: start()", "draws from start, as cell 3 does"),
        ("k = 1", "def f(): return [k for _ in z]", "binds k, which cell 3 uses"),
        ("import numpy as np", "np.ones(3)", "binds np, which cell 3 uses"),
        ("n = 1", "n += 1", "binds n, which cell 3 uses"),
        ("x = rng.normal()", "rng = default_rng(1)\ny = rng.normal()", None),
        ("x = default_rng(1).normal()", "y = rng.normal()", None),
        ("def test(rng): return rng.normal()", "y = rng.normal()", None),
        ("k = 1", "for k in range(3): k\nprint(k)", None),
        ("k = 1", "y = [k for k in range(3)]", None),
        ("x = (", "x", None),
    ],
)
def test_what_no_browser_runs_changes_nothing_that_one_uses(apart, later, told):
    cells = [Cell(1, 1, SEEDED), Cell(2, 5, apart, {"tags": ["torch"]}), Cell(3, 9, later)]
    found = [(cell.number, message) for cell, message in shared_state(cells)]
    assert [(number, str(told) in message) for number, message in found] == [(2, True)] * bool(told)


# --- sources of pages --------------------------------------------------------------------


def test_places_in_a_page(tmp_path):
    text = HEADER + "Text\n\n```{code-cell} ipython3\n:tags: [torch]\n\nx = 1\n```\n\n"
    text += "```{code-cell} ipython3\n---\ntags: [scipy]\n---\nx = 1\nquit()\n```\n"
    here = page(tmp_path, text)
    cells = pages.read_cells(here)
    assert [(cell.number, cell.line, cell.tags) for cell in cells] == [
        (1, 7, {"torch"}),
        (2, 13, {"scipy"}),
    ]
    judged_cells, (finding,) = pages.judge(here)
    assert judged_cells == cells
    assert finding.where == "cell 2 (line 18)"
    assert here.text.splitlines()[17] == "quit()"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```{code-cell}\nx\n```\n", "but without 'jupytext:"),
        ("\n" + HEADER + "```{code-cell}\nx\n```\n", "but without 'jupytext:"),
        (HEADER.replace("kernelspec", "kernel") + "```{code-cell}\nx\n```\n", "the kernel is None"),
        (HEADER.replace("name: python3", "name: bash") + "```{code-cell}\nx\n```\n", "is 'bash'"),
        (HEADER + "```{code-cell} julia\nx\n```\n", "in the language 'julia'"),
        ("---\na: [\n---\n", "cannot be read"),
        ("---\na: 1\n", "cannot be read"),
        (
            HEADER.replace("---\nj", "---\nmystnb: {execution_allow_errors: true}\nj"),
            "how cells run",
        ),
    ],
)
def test_a_header_that_is_refused(tmp_path, text, told):
    (finding,) = pages.header_findings(page(tmp_path, text))
    assert told in finding.message


def test_a_page_of_text_needs_no_header(tmp_path):
    assert not list(pages.header_findings(page(tmp_path, "# Title\n\nText\n")))


def test_labels_are_read_where_they_are_labels(tmp_path):
    text = (
        "(sec-fine)=\n(Bad)=\n$$\nx\n$$ (eq-fine)\n$$ x $$ (eq_bad)\n"
        "````{note}\n(inner)=\n```{figure} x.png\n:name: fig-Bad\n```\n````\n"
        "```{math}\n:label: bad-prefix\n(code)=\n```\n```python\n(code)=\n```\n% (comment)=\n"
        "[words]{#spanned} and `x{#y}`\n"
    )
    found = list(pages.label_findings(page(tmp_path, text)))
    assert [(f.where, f.message.split("'")[1]) for f in found] == [
        ("line 2", "Bad"),
        ("line 6", "eq_bad"),
        ("line 8", "inner"),
        ("line 10", "fig-Bad"),
        ("line 14", "bad-prefix"),
        ("line 21", "spanned"),
    ]


def test_files_that_are_left_out(tmp_path):
    for name in ("a.md", "b.md", "_drafts/c.md", "d.ipynb", "x.png"):
        path = tmp_path / "book" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    found = pages.unbuilt_findings(tmp_path, {"book/a"})
    assert [f.page for f in found] == ["book/b", "book/d"]


@pytest.mark.parametrize("name", ["book/a.ipynb", "book/a.rst", "a.md"])
def test_files_that_are_no_pages(tmp_path, name):
    docname = name.rpartition(".")[0]
    assert list(pages.kind_findings(Page(docname, tmp_path / name)))
    assert not list(pages.kind_findings(Page("book/a", tmp_path / "book/a.md")))


def test_the_book_itself_is_gated():
    config = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text())
    extensions = config["sphinx"]["config"]["extensions"]
    assert extensions[-1] == "mathdl_book"  # its hooks come after all others
    assert mathdl_book.MODULES[-1] == "gates"
    assert config["execute"]["execute_notebooks"] == "cache"
    assert not config["execute"]["allow_errors"]


# --- executed notebooks ------------------------------------------------------------------


def run(source: str, *outputs: dict, count: int | None = 1) -> dict:
    return {
        "cell_type": "code",
        "source": source.splitlines(keepends=True),
        "outputs": list(outputs),
        "execution_count": count,
    }


def judged(*runs: dict, told: bool = False, **metadata) -> list[str]:
    cells = [Cell(n, n, "".join(r["source"]), metadata) for n, r in enumerate(runs, start=1)]
    notebook = {"cells": [{"cell_type": "markdown", "source": "x"}, *runs]}
    return said(notebooks.notebook_findings("book/page", cells, notebook, told=told))


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "no"}
FAILED = {"output_type": "error", "ename": "CheckFailed", "evalue": "2.00× too large"}
DELIBERATE = {"tags": ["raises-exception"], "mathdl": {"raises": "why"}}


def test_cells_that_ran():
    assert judged(run("x = 1"), run("  ", count=None)) == []
    assert judged(run("1 / 0", ERROR), **DELIBERATE) == []


def test_cells_that_did_not_run_or_failed():
    assert judged(run("x", ERROR), run("y", count=None)) == [
        "[cells] book/page, cell 1 (line 1): ended in error: ValueError: no",
        "[cells] book/page, cell 2: did not run, as cell 1 (line 1) stopped the page; every cell "
        "of a page runs",
    ]
    assert judged(run("x", ERROR), run("y", count=None), told=True) == []
    assert "did not run" in judged(run("x", count=None))[0]
    assert "raised nothing" in judged(run("x"), **DELIBERATE)[0]
    assert "CheckFailed" in judged(run("x", FAILED), told=True, **DELIBERATE)[0]
    stderr = {"output_type": "stream", "name": "stderr", "text": ["a\n", "b"]}
    assert "wrote to stderr: a b;" in judged(run("x", stderr))[0]


def test_results_of_another_version():
    cell = Cell(1, 1, "x = 1")
    other = notebooks.notebook_findings("p", [cell], {"cells": [run("x = 2")]})
    assert "are not those of the page" in other[0].message
    assert "was not executed" in notebooks.notebook_findings("p", [cell], None)[0].message
    assert notebooks.notebook_findings("p", [], None) == []


# --- records and claims ------------------------------------------------------------------


def good_record(claim: str | None = "eq-a") -> dict:
    return checks.check_equal([1.0, 2.0], [1.0, 2.0], claim=claim).record()


def recorded(data, source: str = "check_equal(a, b, claim='eq-a')") -> Record:
    return Record("book/page", Cell(1, 1, source), data)


def test_a_record_of_mathdl_is_well_formed():
    assert list(notebooks.record_messages(good_record())) == []
    assert notebooks.CHECK_MIME == checks.CHECK_MIME


@pytest.mark.parametrize("name", [n for n in good_record() if n != "schema"])
def test_a_record_without_a_field(name):
    record = good_record()
    del record[name]
    (message,) = notebooks.record_messages(record)
    assert f"no {name}" in message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": 2}, "schema 2 instead of 1"),
        ({"worst_error": float("nan")}, "worst_error = nan"),
        ({"tolerance": float("inf")}, "tolerance = inf"),
        ({"scale": -1.0}, "scale = -1.0"),
        ({"points": True}, "points = True"),
        ({"passed": "yes"}, "passed = 'yes'"),
        ({"kind": "vibes"}, "kind = 'vibes'"),
        ({"routes": []}, "routes = []"),
        ({"routes": [1]}, "a route that is int"),
        ({"routes": [{"name": "x"}]}, "no a route's tolerance"),
        ({"versions": {}}, "versions = {}"),
        ({"points": 0, "routes": [{**good_record()["routes"][0], "points": 0}]}, "nothing"),
        ({"points": 7}, "do not add up"),
        ({"scale": 0.0}, "nothing but zeros"),
        ({"worst_error": 1e-3}, "error above its tolerance"),
        ({"tolerance": 1.0}, "would let anything pass"),
        ({"passed": False, "message": "sign flipped"}, "the check failed: sign flipped"),
        ({"passed": False}, "the check failed: no diagnosis"),
    ],
)
def test_a_record_that_is_refused(changes, told):
    record = copy.deepcopy(good_record()) | changes
    (message,) = notebooks.record_messages(record)
    assert told in message


def test_a_record_that_is_no_mapping():
    assert "schema str" in next(notebooks.record_messages("{}"))


def test_claims_and_their_checks():
    fine = recorded(good_record())
    assert notebooks.claim_findings({"eq-a": "book/page"}, [fine]) == []
    assert notebooks.record_findings([fine]) == []
    # A check of a claim on another page counts: claims are book-wide.
    assert notebooks.claim_findings({"eq-a": "book/other"}, [fine]) == []
    (missing,) = notebooks.claim_findings({"eq-a": "book/page", "eq-b": "book/other"}, [fine])
    assert (missing.page, missing.where) == ("book/other", "eq-b")
    (unknown,) = notebooks.claim_findings({}, [fine])
    assert "'eq-a', which no page claims" in unknown.message
    (refused,) = notebooks.claim_findings({"eq-a": "p"}, [recorded(good_record() | {"scale": 0.0})])
    assert refused.message == "no passing check; mend the one in book/page, cell 1 (line 1)"
    assert "add a cell with" in missing.message


def test_a_failing_record_beside_a_passing_one():
    failed = recorded(good_record() | {"passed": False, "message": "all zero"})
    (finding,) = notebooks.record_findings([recorded(good_record()), failed])
    assert "all zero" in finding.message


def test_a_record_where_no_check_stands():
    (finding,) = notebooks.record_findings([recorded(good_record(), "display(x)")])
    assert "calls no check_ function" in finding.message
    hidden = recorded(good_record(), "check_equal(a, b, claim=label)")
    (finding,) = notebooks.record_findings([hidden])
    assert "without naming it" in finding.message
    assert notebooks.claim_findings({"eq-a": "p"}, [hidden])


def test_records_are_found_in_a_notebook():
    shown = {"output_type": "display_data", "data": {CHECK_MIME: good_record(), "text/plain": "x"}}
    cells = [Cell(1, 1, "x"), Cell(2, 5, "y")]
    notebook = {"cells": [run("x"), run("y", {"output_type": "stream", "name": "stdout"}, shown)]}
    (record,) = notebooks.records_in("book/page", cells, notebook)
    assert (record.cell.number, record.data["claim"]) == (2, "eq-a")
    assert notebooks.records_in("book/page", cells, None) == []


# --- doctrees ----------------------------------------------------------------------------


def doctree(text: str) -> nodes.document:
    document = utils.new_document("page.md", get_default_settings(Parser))
    Parser().parse(text, document)
    return document


def literal(text: str, language: str, **attributes) -> nodes.document:
    document = doctree("")
    document += nodes.literal_block(text, text, language=language, **attributes)
    return document


@pytest.mark.parametrize(
    ("text", "language", "refused"),
    [
        ("x", "python", True),
        ("x", "ipython3", True),
        ("x", "PyCon", True),
        ("import numpy", "text", True),
        (">>> f(x)\n3", "", True),
        ("x = np.ones(3)", "none", True),
        ("3.14 and [1, 2]", "text", False),
        ("x", "text", False),
        ("make book", "bash", False),
        ("print(x)", "javascript", False),
    ],
)
def test_fences(text, language, refused):
    assert bool(list(doctrees.fence_findings("p", literal(text, language)))) == refused
    shown = literal(text, language, classes=["not-run"])
    assert not list(doctrees.fence_findings("p", shown))


def test_cells_and_docstrings_are_no_fences():
    document = literal("x", "python")
    block = document.pop()
    document += nodes.container("", block, classes=["cell_input", "cell"])
    assert not list(doctrees.fence_findings("p", document))
    document = literal("import x", "none")
    document[-1].source = "m.py:docstring of m"
    assert not list(doctrees.fence_findings("p", document))


@pytest.mark.parametrize(
    ("attributes", "tex", "told"),
    [
        ({"label": "eq-a", "number": 1}, "x", None),
        ({"label": "def-a", "number": 1}, "x", None),
        ({}, "x", None),
        ({"label": "thm-a", "number": 1}, "x", "starts with eq-"),
        ({"number": 1}, "x", "without a label"),
        ({"numbered": True, "nowrap": True}, "x", "go inside as aligned"),
        ({"label": "feb6e4da-509c-400f-9e67-0253b279bfb7", "number": 1}, "x", "without a label"),
        ({}, r"x \tag{1}", "in the TeX"),
        ({"label": "eq-a"}, r"x \label {y}", "in the TeX"),
    ],
)
def test_equations(attributes, tex, told):
    document = doctree("")
    document += nodes.math_block(tex, tex, **attributes)
    found = list(doctrees.equation_findings("p", document))
    assert (told in found[0].message) if told else not found


def test_headings():
    document = doctree(".. _sec-a:\n\nTitle\n=====\n\nOther words\n-----------\n")
    document[-1]["ids"].append("sec-a")  # as docutils moves a target's name to what follows
    (finding,) = doctrees.heading_findings("p", document, {"sec-a"})
    assert "'Other words'" in finding.message
    assert "(sec-other-words)=" in finding.message
    # A title that happens to read like a label is none.
    assert list(doctrees.heading_findings("p", doctree("Sec a\n=====\n\nText\n"), set()))


# --- HTML --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "gate"),
    [
        ('<img src="a.png">', "alt"),
        ('<img src="a.png" alt=" ">', "alt"),
        ('<img src="a.png" alt="../_images/a.png">', "alt"),
        ('<img src="a.png" alt="plot.svg">', "alt"),
        ('<svg role="img"><path/></svg>', "alt"),
        ('<canvas role="img"></canvas>', "alt"),
        ('<iframe src="a.html"></iframe>', "alt"),
        ('<video src="a.webm"></video>', "alt"),
        ('<p id="a"></p><p id="a"></p>', "ids"),
        ('<p id=""></p>', "ids"),
        ('<img src="https://e.org/a.png" alt="A">', "assets"),
        ('<img srcset="a.png 1x, //e.org/a.png 2x" alt="A">', "assets"),
        ('<script src="http://e.org/a.js"></script>', "assets"),
        ('<script type="module">import x from "https://e.org/a.js"</script>', "assets"),
        ("<script>fetch('//e.org/a')</script>", "assets"),
        ('<link rel="stylesheet" href="https://e.org/a.css">', "assets"),
        ('<link rel="preconnect" href="https://e.org">', "assets"),
        ('<link rel="canonical preload" href="https://e.org/a">', "assets"),
        ("<style>@import 'https://e.org/a.css'</style>", "assets"),
        ("<style>a { background: url( https://e.org/a) }</style>", "assets"),
        ("<p style=\"background: url('//e.org/a')\">", "assets"),
        ('<object data="https://e.org/a" title="A"></object>', "assets"),
        ('<svg aria-label="A"><image href="https://e.org/a"/></svg>', "assets"),
        ('<iframe title="A" srcdoc="<img src=//e.org/a alt=A>"></iframe>', "assets"),
    ],
)
def test_html_that_is_refused(html, gate):
    assert [fault[0] for fault in read_html(html).faults] == [gate]


@pytest.mark.parametrize(
    "html",
    [
        '<img src="a.png" alt="A line that rises from 0 to 1">',
        '<img src="a.png" alt="" role="presentation">',
        '<div aria-hidden="true"><img src="a.png"><svg></svg></div>',
        '<svg role="img" aria-label="A"></svg><svg><title>A</title></svg>',
        '<a href="https://e.org">out</a><form action="https://e.org"></form>',
        '<link rel="canonical" href="https://e.org"><meta property="og:image" content="https://e">',
        '<img src="data:image/png;base64,AA//" alt="A">',
        '<script>const home = "https://e.org"; location.href</script>',
        "<style>a { background: url(local.png) }</style>",
        "<p>url(https://e.org) import 'https://e.org'</p>",
    ],
)
def test_html_that_is_let_through(html):
    assert read_html(html).faults == []


def test_links_of_a_site(tmp_path):
    pages_of = {
        "book/a.html": '<p id="here"></p><a href="#here"></a><a href="b.html#there"></a>'
        '<a href="b.html?q=1#gone"></a><a href="c.html"></a><a href="../x.css"></a><a href="#"></a>'
        '<a href="/abs.html"></a><a href="b.html#:~:text=x"></a><a href="mailto:a@e.org"></a>'
        '<a href="../../out.html"></a><a href="caf%C3%A9.html"></a>'
        "<link rel=stylesheet href=../x.css>",
        "book/b.html": '<a name="there"></a><a href="../"></a><script src="s.js"></script>'
        '<img src="../many.svg" alt="Many dots"><img src="../few.svg" alt="Few dots">',
        "book/café.html": "",
        "index.html": "",
        "_static/x.html": '<a href="nowhere"></a>',
    }
    for name, text in pages_of.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "x.css").write_text("\n@font-face { src: url(https://e.org/f.woff2) }")
    for name, dots in (("few", 2999), ("many", 3000)):
        (tmp_path / f"{name}.svg").write_text(f"<svg>{'<use/>' * dots}</svg>")
    (tmp_path / "book" / "s.js").write_text("const u = 'https://e.org'; fetch(u)")
    cache = {}
    facts = read_site(tmp_path, cache)
    assert "_static/x.html" not in facts
    assert said(site.site_findings(tmp_path, facts)) == [
        "[links] book/a.html, line 1: the link b.html?q=1#gone leads to no id in book/b.html; mend "
        "its anchor",
        "[links] book/a.html, line 1: the link c.html leads to book/c.html, which is not in the "
        "site; mend it",
        "[links] book/a.html, line 1: the link /abs.html starts at the host, where the book may "
        "not be",
        "[links] book/a.html, line 1: the link ../../out.html leads to ../out.html, which is not "
        "in the site; mend it",
        "[assets] x.css, line 2: loads https://e.org/f.woff2 from another host; keep a copy of it "
        "in the book",
        "[figures] book/b.html, line 1: the drawing many.svg has 3001 elements, and a phone takes "
        "a second for 3000; draw lines instead of points, or give them rasterized=True",
    ]
    # Read again only where the bytes changed.
    (tmp_path / "book" / "b.html").write_text("changed")
    (tmp_path / "index.html").unlink()
    kept = facts["book/a.html"]
    again = read_site(tmp_path, cache)
    assert again["book/a.html"] is kept
    assert again["book/b.html"] is not facts["book/b.html"]
    assert "index.html" not in cache


# --- the build ---------------------------------------------------------------------------


def test_configuration():
    fine = {"nb_execution_mode": "cache", "suppress_warnings": ["myst.domains"]}
    assert building.config_findings(fine) == []
    wrong = {
        "nb_execution_mode": "auto",
        "nb_execution_allow_errors": True,
        "nb_execution_excludepatterns": ["x"],
        "nb_remove_code_outputs": True,
        "suppress_warnings": ["myst"],
    }
    assert [finding.where for finding in building.config_findings(wrong)] == [
        "execute_notebooks",
        "allow_errors",
        "execute.exclude_patterns",
        "nb_remove_code_outputs",
        "suppress_warnings",
    ]
    assert building.config_findings({**fine, "nb_execution_mode": "force"}) == []


def test_interpreter():
    assert building.interpreter_findings({}, 0) == []
    assert "python -O" in str(building.interpreter_findings({}, 1)[0])
    assert "PYTHONOPTIMIZE=2" in str(building.interpreter_findings({"PYTHONOPTIMIZE": "2"}, 0)[0])


def test_warnings_are_kept_once_with_their_place(tmp_path):
    counter = building.WarningCounter(tmp_path)
    logger = logging.getLogger("mathdl-test")
    logger.propagate = False
    logger.addHandler(counter)
    try:
        for _ in range(2):
            logger.warning("bad %s", "link", extra={"location": f"{tmp_path}/book/a.md:7"})
        logger.warning("odd", extra={"location": ("book/b", 3), "type": "myst", "subtype": "x"})
        logger.warning("fine", extra={"type": "myst", "subtype": "domains"})
        logger.info("no warning")
    finally:
        logger.removeHandler(counter)
    assert said(counter.findings()) == [
        "[warnings] book/a, line 7: bad link; mend what warns",
        "[warnings] book/b, line 3: odd; mend what warns",
    ]
    assert counter.seen == 4


def test_doctrees_are_kept_only_after_a_green_build(tmp_path):
    trees = tmp_path / ".doctrees"
    assert not building.forget_unless_green(trees)  # a first build
    (trees / "environment.pickle").write_text("x")
    assert building.forget_unless_green(trees)  # an unfinished one
    assert not any(trees.iterdir())
    (trees / "environment.pickle").write_text("x")
    building.mark_green(trees)
    assert not building.forget_unless_green(trees)
    assert (trees / "environment.pickle").is_file()
    assert building.forget_unless_green(trees)  # the mark is gone while a build runs


def test_doctrees_that_passed_other_rules_are_not_kept(tmp_path, monkeypatch):
    (tmp_path / "environment.pickle").write_text("x")
    building.mark_green(tmp_path)
    monkeypatch.setattr(building, "rules", lambda: "stricter")
    assert building.forget_unless_green(tmp_path)


def test_what_follows_from_a_page_that_stopped_is_counted():
    no_check = "no passing check; add a cell with mathdl.checks.check_…(…, claim='eq-{}')"
    no_key = "No key '{}' found in glue data for this document.; mend what warns"
    findings = [
        Finding("execution", "p", "cell 3", "ZeroDivisionError"),
        *(Finding("warnings", "p", f"line {n}", no_key.format(n)) for n in range(4)),
        *(Finding("claims", "p", f"eq-{n}", no_check.format(n)) for n in range(2)),
        Finding("claims", "p", "eq-tried", "no passing check; mend the one in p, cell 3"),
        Finding("warnings", "p", "line 9", "unknown target"),
        Finding("warnings", "q", "line 1", no_key.format("a")),
        Finding("claims", "q", "eq-q", no_check.format("q")),
    ]
    followed = "because it stopped: 4 missing values, 2 unproved claims"
    assert gates.consequences_folded(findings) == [
        findings[0],
        *findings[7:],
        Finding("execution", "p", "", followed),
    ]
    assert gates.consequences_folded(findings[1:]) == findings[1:]  # nothing stopped


def test_what_is_wrong_everywhere_is_told_once():
    everywhere = [Finding("links", f"p{n}", "line 1", "the logo is missing") for n in range(9)]
    few = [Finding("links", f"p{n}", "", "odd") for n in range(2)]
    assert list(gates.report_lines([*everywhere, *few])) == [
        "[links] p0, line 1: the logo is missing",
        "[links] the same in 8 more places, as on p1",
        "[links] p0: odd",
        "[links] p1: odd",
    ]
