"""The ledger: every claim of the book and the checks that stand behind it.

Claims are the numbered equations whose label starts with ``eq-``; checks are the records in the
executed notebooks. From the two come the badge at each claim, the table of the ``{ledger}``
directive, the sentence of ``{ledger-totals}``, and ``ledger.json`` beside the pages. All are made
when pages are written, and a page is written again when its part of the ledger changed.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from mathdl_book.outputs import check_anchors, counted, scientific
from mathdl_book.perpage import PerPage
from mathdl_book.solutions import is_hidden

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

SCHEMA = Path(__file__).parent / "static" / "schemas" / "ledger.schema.json"
LEFT_OUT_SAID = "in a solution that is left out here"
# Kinds whose error is rounding's or a step's, so that the largest says something about the book;
# an equality may be with a limit or an approximation.
DERIVATIVES = frozenset({"gradient", "vjp", "jacobian", "hessian"})


@dataclass(frozen=True)
class CheckRecord:
    """One check, and where on which page it ran.

    Parameters
    ----------
    record : dict
        What the check said of itself (schema 1 of `mathdl.checks`).
    page : str
        Document name.
    cell : int
        Index of the cell among all cells of the page's notebook.
    anchor : str
        Id of its badge on that page; empty where it stands in a solution that is left out.
    """

    record: dict[str, Any]
    page: str
    cell: int
    anchor: str

    @property
    def claim(self) -> str | None:
        """Label of the claim that it checks."""
        return self.record.get("claim")

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return bool(self.record.get("passed"))


def collect(notebooks: Mapping[str, Mapping[str, Any]]) -> list[CheckRecord]:
    """Return every check in some executed notebooks.

    Parameters
    ----------
    notebooks : mapping of str to notebook
        Executed notebooks (as nbformat or plain JSON has them) by document name.

    Returns
    -------
    list of CheckRecord
        In the order of the notebooks and of the cells in each.
    """
    return [
        CheckRecord(record, page, cell, "" if is_hidden(notebook["cells"][cell]) else anchor)
        for page, notebook in notebooks.items()
        for cell, _, anchor, record in check_anchors(notebook.get("cells") or [])
    ]


def claims(env: BuildEnvironment) -> dict[str, str]:
    """Return the page of every claim, by its label, in the order of reading.

    Parameters
    ----------
    env : BuildEnvironment
        Environment whose pages have been read.
    """
    equations = env.get_domain("math").equations
    found = {label: page for label, (page, _) in equations.items() if label.startswith("eq-")}
    order = {page: place for place, page in enumerate(reading_order(env))}
    last = len(order)
    return dict(
        sorted(found.items(), key=lambda item: (order.get(item[1], last), equations[item[0]][1]))
    )


def reading_order(env: BuildEnvironment) -> list[str]:
    """Return the document names in the order of the table of contents.

    Parameters
    ----------
    env : BuildEnvironment
        Environment whose pages have been read.
    """
    order: dict[str, None] = {}

    def walk(page: str) -> None:
        if page in order:
            return
        order[page] = None
        for below in env.toctree_includes.get(page, []):
            walk(below)

    walk(env.config.root_doc)
    return [*order, *sorted(env.found_docs - set(order))]


def totals(
    records: Iterable[CheckRecord], claimed: Mapping[str, str], pages: int
) -> dict[str, int | float]:
    """Return the figures of the front page.

    Parameters
    ----------
    records : iterable of CheckRecord
        All checks of the book.
    claimed : mapping of str to str
        All claims, as `claims` returns them.
    pages : int
        Number of pages.

    Returns
    -------
    dict
        ``pages``, ``claims``, ``claims_checked`` (by at least one check, and none that failed),
        ``checks``, ``worst_error`` (relative to its scale; of derivatives, since limits, rates and
        statistics are not expected to be exact).
    """
    records = list(records)
    failed = {item.claim for item in records if not item.passed}
    checked = {item.claim for item in records} - failed
    errors = [item.record["worst_error"] for item in records if item.record["kind"] in DERIVATIVES]
    return {
        "pages": pages,
        "claims": len(claimed),
        "claims_checked": len(checked & set(claimed)),
        "checks": len(records),
        "worst_error": max(errors, default=0.0),
    }


def totals_sentence(figures: Mapping[str, int | float]) -> str:
    r"""Return the totals as a sentence.

    Examples
    --------
    >>> text = totals_sentence(
    ...     dict(pages=4, claims=2, claims_checked=2, checks=3, worst_error=2e-11)
    ... )
    >>> text.partition("; ")[0]
    '4 pages, 2 claims, all of them checked, by 3 checks'
    >>> text.partition("; ")[2].replace("\N{NO-BREAK SPACE}", " ")
    'the worst error of a derivative is 2 × 10⁻¹¹ of scale.'
    """
    claimed, checked = figures["claims"], figures["claims_checked"]
    share = "all of them checked" if claimed == checked else f"{checked} of them checked"
    return (
        f"{counted(figures['pages'], 'page')}, {counted(claimed, 'claim')}, {share}, "
        f"by {counted(figures['checks'], 'check')}; "
        f"the worst error of a derivative is {scientific(figures['worst_error'])} of scale."
    )


class Ledger:
    """The claims and checks of one build, and where they stand.

    Parameters
    ----------
    records : list of CheckRecord
        As `collect` returns them.
    claimed : dict of str to str
        As `claims` returns them.
    numbers : dict of str to str
        Number of each claim's equation, as the page shows it.
    pages : int
        Number of pages of the book.
    """

    def __init__(
        self,
        records: list[CheckRecord],
        claimed: dict[str, str],
        numbers: dict[str, str],
        pages: int,
    ) -> None:
        self.records = records
        self.claimed = claimed
        self.numbers = numbers
        self.totals = totals(records, claimed, pages)
        self.by_claim: dict[str | None, list[CheckRecord]] = {label: [] for label in claimed}
        for item in records:
            self.by_claim.setdefault(item.claim, []).append(item)

    def digest(self, page: str) -> str:
        """Return what changes whenever the page shows something else of the ledger."""
        shown = [
            (label, self.numbers.get(label), [(c.page, c.anchor, c.passed) for c in checks])
            for label, checks in self.by_claim.items()
            if self.claimed.get(label) == page or any(c.page == page for c in checks)
        ]
        return hashlib.sha256(repr(shown).encode()).hexdigest()

    def digest_of_all(self) -> str:
        """Return what changes whenever anything of the ledger does."""
        everything = (self.claimed, self.numbers, self.records, self.totals)
        return hashlib.sha256(repr(everything).encode()).hexdigest()

    def as_json(self, suffix: str = ".html") -> dict[str, Any]:
        """Return the ledger as `ledger.schema.json` describes it."""
        return {
            "schema": 1,
            "totals": self.totals,
            "claims": [
                {
                    "label": label,
                    "page": page,
                    "number": self.numbers.get(label),
                    "url": f"{page}{suffix}#equation-{label}",
                    "checks": [
                        f"{c.page}{suffix}#{c.anchor}" for c in self.by_claim[label] if c.anchor
                    ],
                }
                for label, page in self.claimed.items()
            ],
            "checks": [
                {
                    **item.record,
                    "page": item.page,
                    "cell": item.cell,
                    "url": f"{item.page}{suffix}#{item.anchor}" if item.anchor else None,
                }
                for item in self.records
            ],
        }


# --- reading the build -------------------------------------------------------------------


def read_notebooks(app: Sphinx) -> dict[str, dict[str, Any]]:
    """Return the executed notebooks of the pages in this build, by document name.

    Parameters
    ----------
    app : Sphinx
        The running build, its pages read.
    """
    folder = Path(app.outdir).parent / "jupyter_execute"
    notebooks = {}
    for page in reading_order(app.env):
        path = folder / f"{page}.ipynb"
        if "kernelspec" in app.env.metadata.get(page, {}) and path.is_file():
            notebooks[page] = json.loads(path.read_text(encoding="utf-8"))
    return notebooks


def equation_numbers(env: BuildEnvironment, labels: Iterable[str]) -> dict[str, str]:
    """Return the numbers of equations as their pages show them.

    Parameters
    ----------
    env : BuildEnvironment
        Environment whose pages have been read and numbered.
    labels : iterable of str
        Labels of equations.
    """
    equations = env.get_domain("math").equations
    numbers = {}
    for label in labels:
        page, plain = equations[label]
        by_section = env.toc_fignumbers.get(page, {}).get("displaymath", {})
        number = by_section.get(f"equation-{label}")
        use_section = env.config.math_numfig and env.config.numfig and number
        numbers[label] = ".".join(map(str, number)) if use_section else str(plain)
    return numbers


def current(app: Sphinx) -> Ledger:
    """Return the ledger of the running build, made once all pages have been read.

    Parameters
    ----------
    app : Sphinx
        The running build.
    """
    if not hasattr(app, "_mathdl_ledger"):
        claimed = claims(app.env)
        app._mathdl_ledger = Ledger(
            collect(read_notebooks(app)),
            claimed,
            equation_numbers(app.env, claimed),
            len(app.env.found_docs),
        )
    return app._mathdl_ledger


def pages_to_write(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Return the pages whose part of the ledger changed since they were written."""
    ledger = current(app)
    everything = ledger.digest_of_all()
    whole = Shown.of(env)
    now = {page: everything if whole.get(page) else ledger.digest(page) for page in env.found_docs}
    before = getattr(env, "mathdl_ledger_digests", {})
    env.mathdl_ledger_digests = now
    return sorted(page for page, digest in now.items() if before.get(page) != digest)


# --- what the page shows -----------------------------------------------------------------


class ledger_table(nodes.General, nodes.Element):
    """Where the table of all claims and checks goes."""


class ledger_totals(nodes.General, nodes.Inline, nodes.Element):
    """Where the sentence with the totals goes."""


class LedgerDirective(SphinxDirective):
    """The table of all claims with their checks."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark for the table."""
        return [ledger_table()]


class LedgerTotalsDirective(SphinxDirective):
    """The sentence that counts pages, claims and checks."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark for the sentence."""
        return [nodes.paragraph("", "", ledger_totals(), classes=["ledger-totals"])]


class Shown(PerPage):
    """Keeps which pages show the whole ledger or its totals."""

    kept_as = "mathdl_ledger_shown"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> bool:
        """Return whether a page has one of the two marks."""
        return any(isinstance(node, ledger_table | ledger_totals) for node in doctree.findall())


def claim_badge(checks: list[CheckRecord], url: Any) -> str:
    """Return the HTML of the badge beside a claim.

    Parameters
    ----------
    checks : list of CheckRecord
        The claim's checks.
    url : callable
        From a check to the relative address of its badge.
    """
    if not checks:
        return '<span class="claim-badge claim-unchecked">not checked</span>'
    passed = all(item.passed for item in checks)
    state, mark = ("claim-checked", "✓") if passed else ("claim-failed", "✗")
    word = "checked" if passed else "failed"
    links = []
    for place, item in enumerate(checks, 1):
        names = ", ".join(route["name"] for route in item.record.get("routes") or [])
        title = html.escape(
            f"{item.record['kind']}: worst error {scientific(item.record['worst_error'])}"
            + (f" by {names}" if names else "")
        )
        text = f"{mark} {word}" if place == 1 else f"{place}"
        label = "" if place == 1 else f' aria-label="check {place}"'
        if item.anchor:
            links.append(f'<a href="{html.escape(url(item))}" title="{title}"{label}>{text}</a>')
        else:
            links.append(f'<span title="{title}, {LEFT_OUT_SAID}">{text}</span>')
    return f'<span class="claim-badge {state}">{" ".join(links)}</span>'


def _cell(*parts: str | nodes.Node, classes: Iterable[str] = ()) -> nodes.entry:
    line = nodes.paragraph()
    for part in parts:
        line += nodes.Text(part) if isinstance(part, str) else part
    return nodes.entry("", line, classes=list(classes))


def _link(text: str, uri: str) -> nodes.reference:
    return nodes.reference("", text, internal=True, refuri=uri)


def _table(head: list[str], rows: list[nodes.row], classes: list[str]) -> nodes.table:
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", nodes.row("", *(_cell(name) for name in head)))
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=classes)


def ledger_nodes(app: Sphinx, page: str) -> list[nodes.Node]:
    """Return the tables of all claims and checks, as seen from a page.

    Parameters
    ----------
    app : Sphinx
        The running build.
    page : str
        Document name of the page that shows them.
    """
    ledger = current(app)
    environments: dict[str, str] = {}

    def uri(target: str, anchor: str) -> str:
        return f"{app.builder.get_relative_uri(page, target)}#{anchor}"

    def page_link(target: str) -> nodes.reference:
        link = _link("", app.builder.get_relative_uri(page, target))
        link[:] = [child.deepcopy() for child in app.env.titles[target].children]
        return link

    def environment(record: Mapping[str, Any]) -> str:
        versions = ", ".join(f"{k} {v}" for k, v in sorted(record.get("versions", {}).items()))
        return environments.setdefault(versions, chr(ord("A") + len(environments)))

    def check_cells(item: CheckRecord) -> list[nodes.entry]:
        record = item.record
        routes = "; ".join(
            f"{route['name']} {scientific(route['worst_error'])}" for route in record["routes"]
        )
        mark = "✓" if item.passed else "✗"
        said: str | nodes.Node = f"{mark} {record['kind']}"
        said = _link(said, uri(item.page, item.anchor)) if item.anchor else said
        return [
            _cell(said, *([] if item.anchor else [f", {LEFT_OUT_SAID}"])),
            _cell(routes or "direct", classes=["routes"]),
            _cell(f"{scientific(record['worst_error'])} of {scientific(record['tolerance'])}"),
            _cell(f"{record['points']:,}", classes=["number"]),
            _cell(f"{record['device']}, {record['dtype']}"),
            _cell(f"{1000 * record['duration']:.1f} ms", classes=["number"]),
            _cell(environment(record)),
        ]

    head = ["Check", "Routes and their errors", "Worst error of tolerance", "Points"]
    head += ["Ran on", "Took", "With"]
    result: list[nodes.Node] = []
    by_page: dict[str, list[nodes.row]] = {}
    for label, target in ledger.claimed.items():
        checks = ledger.by_claim[label]
        claim = nodes.entry("", ids=[f"ledger-{label}"], classes=["ledger-claim"])
        number = f"({ledger.numbers[label]})"
        claim += nodes.paragraph(
            "",
            "",
            _link(number, uri(target, f"equation-{label}")),
            nodes.Text(" "),
            nodes.literal("", label),
        )
        if len(checks) > 1:
            claim["morerows"] = len(checks) - 1
        rows = by_page.setdefault(target, [])
        if not checks:
            unchecked = _cell("no check", classes=["ledger-unchecked"])
            unchecked["morecols"] = len(head) - 1
            rows.append(nodes.row("", claim, unchecked))
        for place, item in enumerate(checks):
            rows.append(nodes.row("", *([claim] if place == 0 else []), *check_cells(item)))
    for target, rows in by_page.items():
        result.append(nodes.rubric("", "", page_link(target)))
        result.append(_table(["Claim", *head], rows, ["ledger"]))
    others = [
        item
        for claim, checks in ledger.by_claim.items()
        if claim not in ledger.claimed
        for item in checks
    ]
    if others:
        result.append(nodes.rubric("", "Checks of exercises and of figures in the text"))
        rows = [
            nodes.row(
                "",
                _cell(page_link(item.page)),
                *check_cells(item),
            )
            for item in others
        ]
        result.append(_table(["Page", *head], rows, ["ledger"]))
    if environments:
        line = nodes.paragraph(classes=["ledger-environments"])
        text = "; ".join(f"{letter}: {versions}" for versions, letter in environments.items())
        line += nodes.Text(f"With {text}.")
        result.append(line)
    if not result:
        result.append(nodes.paragraph("", "No claim has been made yet."))
    return result


def show(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put badges, tables and totals into a page about to be written."""
    ledger = current(app)

    def url(item: CheckRecord) -> str:
        if item.page == page:
            return f"#{item.anchor}"
        return f"{app.builder.get_relative_uri(page, item.page)}#{item.anchor}"

    for node in doctree.findall(nodes.math_block):
        if node.get("label") in ledger.claimed:
            node["badge"] = claim_badge(ledger.by_claim[node["label"]], url)
    for node in list(doctree.findall(ledger_table)):
        node.replace_self(ledger_nodes(app, page))
    for node in list(doctree.findall(ledger_totals)):
        node.replace_self(nodes.Text(totals_sentence(ledger.totals)))


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write ``ledger.json`` beside the pages."""
    if exception is None and app.builder.format == "html":
        path = Path(app.outdir) / "ledger.json"
        text = json.dumps(current(app).as_json(), indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the hooks of the ledger."""
    app.add_node(ledger_table)
    app.add_node(ledger_totals)
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("ledger-totals", LedgerTotalsDirective)
    app.add_env_collector(Shown)
    # After Sphinx has numbered the equations.
    app.connect("env-get-updated", pages_to_write, priority=900)
    app.connect("doctree-resolved", show)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
