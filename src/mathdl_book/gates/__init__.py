"""The gates: everything that keeps a wrong page from being published.

Each gate is a pure function from sources, executed notebooks, doctrees or HTML to findings:

- `pages`: what a cell may not do, headers, labels, pages left out of the build
- `downloads`: the notebooks that readers download
- `labs`: what is to be filled in, steps without a hint or a check
- `notebooks`: cells that failed or did not run, check records, claims without a check
- `doctrees`: code in plain fences, unlabelled equations and headings
- `site`: links, anchors, ids, alternative text, resources from another host
- `building`: configuration, warnings, doctrees of builds that failed
- `mathdl_book.permalinks`: what was published and is gone

This module only hooks them into Sphinx: at the end of a build all findings are printed, and any
one makes it exit with code 1.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.errors import SphinxWarning

from mathdl_book import ledger, permalinks, solutions
from mathdl_book.facts import Facts, read_site
from mathdl_book.findings import Finding, findings_of
from mathdl_book.gates import building, doctrees, downloads, notebooks, pages, site
from mathdl_book.pages import Page
from mathdl_book.parallel import spread
from mathdl_book.perpage import PerPage

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

KEPT = "mathdl-gates.pickle"
MANY = 5  # places at which the same finding is told as one


@dataclass
class Kept:
    """What need not be found out again while the bytes stay the same.

    Parameters
    ----------
    pages : dict
        Document name → digest of the source, its code cells, findings.
    html : dict
        Path in the site → digest of the page, facts.
    """

    pages: dict[str, tuple[str, list[pages.Cell], list[Finding]]] = field(default_factory=dict)
    html: dict[str, tuple[str, Facts]] = field(default_factory=dict)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the gates to a build."""
    app._mathdl_warnings = building.WarningCounter(Path(app.srcdir))
    app._mathdl_warnings.attach()
    app.connect("config-inited", _begin, priority=0)
    app.add_env_collector(DoctreeFindings)
    app.connect("build-finished", _judge, priority=9_000)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _begin(app: Sphinx, config: Config) -> None:
    """Judge the configuration before extensions change it; drop doctrees not to be trusted."""
    config.nitpicky = True
    names = (
        "nb_execution_mode",
        "nb_execution_allow_errors",
        "nb_execution_excludepatterns",
        "nb_remove_code_outputs",
        "suppress_warnings",
    )
    values = {name: getattr(config, name, None) for name in names}
    findings_of(app).extend([*building.config_findings(values), *building.here_findings()])
    building.forget_unless_green(Path(app.doctreedir))
    _report_file(app).unlink(missing_ok=True)


def _judge(app: Sphinx, error: Exception | None) -> None:
    """Collect what every gate finds, print it, and fail the build if there is anything."""
    findings = findings_of(app)
    if error is not None and not isinstance(error, SphinxWarning):  # -W: counted as a warning
        text = " ".join(str(error).split()) or type(error).__name__
        findings.append(Finding("build", "the build", type(error).__name__, f"stopped: {text}"))
    try:
        findings += _findings(app, finished=error is None)
        findings += app._mathdl_warnings.findings()
        if app._warncount > app._mathdl_warnings.seen:
            message = f"{app._warncount} warnings before the gates were ready; see above"
            findings.append(Finding("warnings", "the build", "", message))
    except BaseException:
        building.forget(Path(app.doctreedir))
        raise
    if error is None and not findings:
        building.mark_green(Path(app.doctreedir))
        return
    building.forget(Path(app.doctreedir))
    report = sorted(consequences_folded(dict.fromkeys(findings)))
    print("\n" + "\n".join(f"✗ {line}" for line in report_lines(report)))
    _report_file(app).write_text(
        json.dumps([vars(finding) for finding in report], indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    counted = f"{len(report)} finding{'s' if len(report) > 1 else ''}"
    print(f"{counted}: the book is refused", flush=True)
    app.statuscode = 1  # the exit code; raising would bury the findings under a traceback


def consequences_folded(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with those that only follow from a page's stop counted, not told.

    A page that stops in one cell leaves the values of later cells missing in its sentences and
    the claims that later cells check unproved; a line for each would bury the cause.

    Parameters
    ----------
    findings : iterable of Finding
        All findings, each once.
    """
    findings = list(findings)
    stopped = {finding.page for finding in findings if finding.gate == "execution"}
    told: list[Finding] = []
    followed: dict[str, Counter[str]] = {}
    for finding in findings:
        missing = finding.gate == "warnings" and finding.message.startswith(building.NO_VALUE)
        unproved = finding.gate == "claims" and notebooks.ADD_A_CHECK in finding.message
        if finding.page in stopped and (missing or unproved):
            kind = "missing value" if missing else "unproved claim"
            followed.setdefault(finding.page, Counter())[kind] += 1
        else:
            told.append(finding)
    for page, counted in followed.items():
        kinds = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counted.items()]
        message = f"because it stopped: {', '.join(kinds)}"
        told.append(Finding("execution", page, "", message))
    return told


def report_lines(findings: list[Finding]) -> Iterator[str]:
    """Yield a line for each finding; what is wrong on many pages alike is said once.

    Parameters
    ----------
    findings : list of Finding
        All findings, in order.
    """
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.gate, finding.message), []).append(finding)
    for group in alike.values():
        shown = group if len(group) <= MANY else group[:1]
        yield from map(str, shown)
        if len(shown) < len(group):
            rest = f"{len(group) - 1} more places, as on {group[1].page}"
            yield f"[{group[0].gate}] the same in {rest}"


def _report_file(app: Sphinx) -> Path:
    """Return the file in which CI finds the findings of a refused build."""
    return Path(app.outdir).parent / "findings.json"


def _findings(app: Sphinx, finished: bool) -> list[Finding]:
    """Return what the gates find in a build; only in what there is of it if it did not finish."""
    docnames, root = sorted(app.env.found_docs), Path(app.srcdir)
    kept = _load(app)
    told = {finding.page for finding in findings_of(app) if finding.gate == "execution"}
    found = pages.unbuilt_findings(root, set(docnames))
    records: list[notebooks.Record] = []
    sources = [Page(docname, Path(app.env.doc2path(docname))) for docname in docnames]
    digests = {page.docname: _digest(page) for page in sources}
    changed = [p for p in sources if kept.pages.get(p.docname, ("",))[0] != digests[p.docname]]
    for page, judged in zip(changed, spread(pages.judge, changed), strict=True):
        kept.pages[page.docname] = (digests[page.docname], *judged)
    for docname in docnames:
        _, cells, of_source = kept.pages[docname]
        found += of_source
        found += DoctreeFindings.of(app.env).get(docname, [])
        notebook = _executed(app, docname)
        if finished or notebook:
            found += notebooks.notebook_findings(docname, cells, notebook, told=docname in told)
        records += notebooks.records_in(docname, cells, notebook)
    found += notebooks.record_findings(records)
    if finished:
        found += notebooks.claim_findings(ledger.claims(app.env), records)
    if finished and app.builder.name == "html":
        for docname in docnames:
            gone = solutions.shown(app, docname).cells if solutions.left_out(app) else None
            cells = kept.pages[docname][1]
            found += downloads.download_findings(docname, cells, Path(app.outdir), gone)
        facts = read_site(Path(app.outdir), kept.html)
        found += site.site_findings(Path(app.outdir), facts)
        published = permalinks.load(root)
        gone = solutions.labels_left_out(app)
        found += permalinks.permalink_findings(published, docnames, facts, gone)
    (Path(app.doctreedir) / KEPT).write_bytes(pickle.dumps(kept))
    return found


def _digest(page: Page) -> str:
    return hashlib.sha256(page.path.read_bytes()).hexdigest()


def _executed(app: Sphinx, docname: str) -> dict[str, Any] | None:
    """Return a page's notebook as myst-nb leaves it with its outputs, None if there is none."""
    path = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _load(app: Sphinx) -> Kept:
    """Return what the last green build found out; it lies, and goes, with the doctrees."""
    try:
        return pickle.loads((Path(app.doctreedir) / KEPT).read_bytes())
    except Exception:  # not there, or not whole
        return Kept()


class DoctreeFindings(PerPage):
    """Judges doctrees when they are read, and keeps the findings with the environment."""

    kept_as = "mathdl_doctree_findings"

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> list[Finding]:
        """Return what is wrong with a page's doctree."""
        labels = env.domaindata["std"]["anonlabels"].values()
        of_page = [target for docname, target in labels if docname == env.docname]
        return doctrees.doctree_findings(env.docname, doctree, of_page)
