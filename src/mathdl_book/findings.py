"""What the gates object to: one finding is one sentence with a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


@dataclass(frozen=True, order=True)
class Finding:
    """One objection of one gate.

    Parameters
    ----------
    gate : str
        Short name of the gate, such as ``"claims"``.
    page : str
        Document name (``book/calculus/derivatives``) or file that it is about.
    where : str
        Place inside the page: ``"cell 3"``, ``"line 41"``, a label; may be empty.
    message : str
        What is wrong and what to do about it.
    """

    gate: str
    page: str
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.page}, {self.where}" if self.where else self.page
        return f"[{self.gate}] {place}: {self.message}"


def findings_of(app: Sphinx) -> list[Finding]:
    """Return the running build's list of findings, to read or to append to."""
    if not hasattr(app, "_mathdl_findings"):
        app._mathdl_findings = []
    return app._mathdl_findings
