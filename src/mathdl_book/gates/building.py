"""Gates on the build itself: its configuration, its warnings, and what it may reuse."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.logging import NAMESPACE, get_node_location, is_suppressed_warning

from mathdl_book import facts, labs
from mathdl_book.findings import Finding

# Types of warning that may be suppressed, and why.
ALLOWED_SUPPRESSIONS = {
    "myst.domains": "Jupyter Book's own default: domains without Markdown link support",
}
# The lexer of tracebacks stumbles over messages of several lines, which are no fault of the page.
TRACEBACK_LEXER = ' as "ipythontb" resulted in an error'
# How myst-nb begins its warning of a value that no cell has left for a sentence.
NO_VALUE = "No key "
GREEN = "mathdl-green"


def config_findings(values: Mapping[str, Any]) -> list[Finding]:
    """Return what in the configuration would let a wrong page pass.

    Parameters
    ----------
    values : mapping
        Sphinx configuration values, as given before any extension changes them.
    """

    def finding(where: str, message: str) -> Finding:
        return Finding("config", "_config.yml", where, message)

    findings = []
    mode = values.get("nb_execution_mode")
    if mode not in ("cache", "force"):
        findings.append(
            finding(
                "execute_notebooks",
                f"is {mode!r}, so pages would show results that no run made; set it to 'cache'",
            )
        )
    if values.get("nb_execution_allow_errors"):
        findings.append(
            finding(
                "allow_errors",
                "lets cells that fail pass; set it to false and tag the cell that shows an error "
                "on purpose raises-exception",
            )
        )
    if patterns := list(values.get("nb_execution_excludepatterns") or []):
        findings.append(
            finding("execute.exclude_patterns", f"keeps {patterns} from running; empty it")
        )
    if values.get("nb_remove_code_outputs"):
        findings.append(finding("nb_remove_code_outputs", "hides what the cells showed; remove it"))
    for kind in values.get("suppress_warnings") or []:
        if kind not in ALLOWED_SUPPRESSIONS:
            findings.append(
                finding(
                    "suppress_warnings",
                    f"{kind!r} silences warnings that the gates count; mend what warns",
                )
            )
    return findings


def interpreter_findings(environment: Mapping[str, str], optimize: int) -> list[Finding]:
    """Return what in the interpreter's settings would drop assertions.

    Parameters
    ----------
    environment : mapping
        Environment variables.
    optimize : int
        ``sys.flags.optimize``.
    """
    if environment.get("PYTHONOPTIMIZE"):
        how = f"PYTHONOPTIMIZE={environment['PYTHONOPTIMIZE']}"
    elif optimize:
        how = "python -O"
    else:
        return []
    message = f"{how} removes every assert from pages and tests; build without it"
    return [Finding("config", "the environment", how, message)]


def here_findings() -> list[Finding]:
    """Return `interpreter_findings` of this very process."""
    return interpreter_findings(os.environ, sys.flags.optimize)


class WarningCounter(logging.Handler):
    """Keeps every warning that Sphinx logs, suppressed by configuration or not.

    Parameters
    ----------
    root : Path
        Source folder; locations are told relative to it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(logging.WARNING)
        self.root = root
        self.seen = 0
        self.warnings: dict[tuple[str, str], None] = {}  # (place, message): each once, in order

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.seen += 1
        kind, detail = getattr(record, "type", None), getattr(record, "subtype", None)
        if is_suppressed_warning(kind or "", detail or "", list(ALLOWED_SUPPRESSIONS)):
            return
        location = getattr(record, "location", None)
        if isinstance(location, nodes.Node):
            location = get_node_location(location)
        elif isinstance(location, tuple):
            location = ":".join(str(part) for part in location if part)
        place = str(location or "").replace(f"{self.root}{os.sep}", "")
        self.warnings[place, record.getMessage()] = None

    def attach(self) -> None:
        """Become the first handler of Sphinx's logger: with ``-W``, Sphinx's own one raises."""
        logger = logging.getLogger(NAMESPACE)
        logger.handlers.insert(0, self)
        for handler in logger.handlers:
            handler.filters.insert(0, lambda record: TRACEBACK_LEXER not in record.getMessage())

    def findings(self) -> Iterator[Finding]:
        """Yield the warnings as findings."""
        for place, message in self.warnings:
            page, _, line = place.partition(":")
            where = f"line {line}" if line.isdigit() else line
            page = page.removesuffix(".md") or "the build"
            yield Finding("warnings", page, where, f"{' '.join(message.split())}; mend what warns")


def rules() -> str:
    """Return a digest of the gates themselves: what passed under other rules is judged anew."""
    judging = [Path(module.__file__) for module in (facts, labs)]
    sources = [*sorted(Path(__file__).parent.glob("*.py")), *judging]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def is_green(doctreedir: Path) -> bool:
    """Return whether the build that made these doctrees finished and passed these very gates.

    Parameters
    ----------
    doctreedir : Path
        Where Sphinx keeps doctrees and environment.
    """
    marker = doctreedir / GREEN
    return marker.is_file() and marker.read_text(encoding="utf-8") == rules()


def forget_unless_green(doctreedir: Path) -> bool:
    """Delete the doctrees of a build that did not pass these gates; mark the new one unfinished.

    Sphinx warns of a page only when it reads it: doctrees that outlive a failed, killed or
    unchecked build would make the next one silent.

    Parameters
    ----------
    doctreedir : Path
        Where Sphinx keeps doctrees and environment.

    Returns
    -------
    bool
        Whether something was deleted.
    """
    green = is_green(doctreedir)
    (doctreedir / GREEN).unlink(missing_ok=True)
    if green:
        return False
    stale = doctreedir.is_dir() and any(doctreedir.iterdir())
    forget(doctreedir)
    return stale


def forget(doctreedir: Path) -> None:
    """Delete the doctrees, so that the next build reads every page.

    Parameters
    ----------
    doctreedir : Path
        Where Sphinx keeps doctrees and environment.
    """
    if doctreedir.is_dir():
        shutil.rmtree(doctreedir)
    doctreedir.mkdir(parents=True)


def mark_green(doctreedir: Path) -> None:
    """Note that the build that made these doctrees passed every gate.

    Parameters
    ----------
    doctreedir : Path
        Where Sphinx keeps doctrees and environment.
    """
    (doctreedir / GREEN).write_text(rules(), encoding="utf-8")
