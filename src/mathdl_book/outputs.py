"""How the outputs of cells reach the page: the badge of a check.

myst-nb drops an output whose MIME type it does not know, with a warning. Here the MIME type of a
check gets its renderer: one quiet line with its worst error, tolerance, routes and points, an id to
link to (``check-<claim>-<n>``), and a link back to the claim.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from myst_nb.core import render
from sphinx import addnodes

from mathdl.checks import CHECK_MIME

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NO_BREAK = "\N{NO-BREAK SPACE}"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float, digits: int = 2) -> str:
    r"""Return a number as a reader would write it by hand, on one line.

    Parameters
    ----------
    value : float
        A finite number.
    digits : int
        Significant digits.

    Examples
    --------
    >>> scientific(2.22e-16)
    '2.2\xa0×\xa010⁻¹⁶'
    >>> scientific(1e-10), scientific(0), scientific(0.052), scientific(1234.0)
    ('10⁻¹⁰', '0', '0.052', '1200')
    """
    if value == 0:
        return "0"
    mantissa, _, exponent_text = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(exponent_text)
    if -3 <= exponent <= 3:
        return f"{float(f'{value:.{digits}g}'):g}"
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = f"10{str(exponent).translate(SUPERSCRIPT)}"
    if mantissa in {"1", "-1"}:
        return mantissa.removesuffix("1") + power
    return f"{mantissa}{NO_BREAK}×{NO_BREAK}{power}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1, "point"), counted(12000, "point")
    ('1 point', '12,000 points')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def record_of(output: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record that a notebook output carries, None if it is no check's.

    Parameters
    ----------
    output : mapping
        One output of a code cell, as in an ``.ipynb`` file.
    """
    record = (output.get("data") or {}).get(CHECK_MIME)
    return json.loads(record) if isinstance(record, str) else record


def check_anchors(cells: list[Mapping[str, Any]]) -> Iterator[tuple[int, int, str, dict[str, Any]]]:
    """Yield every check of an executed page with its anchor, in reading order.

    Parameters
    ----------
    cells : list of mapping
        The cells of the notebook, as in an ``.ipynb`` file.

    Yields
    ------
    tuple
        Index of the cell among all cells, index of the output in it, anchor, record.
    """
    seen: dict[str | None, int] = {}
    for cell_index, cell in enumerate(cells):
        for output_index, output in enumerate(cell.get("outputs") or []):
            record = record_of(output)
            if record is None:
                continue
            claim = record.get("claim")
            seen[claim] = seen.get(claim, 0) + 1
            name = f"{claim}-" if claim else ""
            yield cell_index, output_index, f"check-{name}{seen[claim]}", record


def badge(record: Mapping[str, Any], anchor: str) -> nodes.container:
    """Return the badge of a check.

    Parameters
    ----------
    record : mapping
        Record of the check (schema 1).
    anchor : str
        Id that the badge gets.
    """
    passed = bool(record.get("passed"))
    classes = ["check-badge", "check-passed" if passed else "check-failed"]
    box = nodes.container(classes=classes, ids=[anchor])
    line = nodes.paragraph(classes=["check-line"])
    mark = "✓ checked" if passed else "✗ failed"
    line += nodes.inline("", mark, classes=["check-mark"])
    claim = record.get("claim")
    if claim:
        target = addnodes.pending_xref(
            "",
            nodes.inline("", claim),
            refdomain="math",
            reftype="eq",
            reftarget=claim,
            refexplicit=False,
            refwarn=True,
        )
        line += [nodes.Text(" "), target]
    routes = [
        route["name"] + (f" ({skipped:,} skipped at kinks)" if skipped else "")
        for route in record.get("routes") or []
        for skipped in [route.get("skipped", 0)]
    ]
    facts = [
        str(record.get("kind", "")),
        f"worst error {scientific(record['worst_error'])}",
        f"tolerance {scientific(record['tolerance'])}",
        *([", ".join(routes)] if routes else []),
        counted(record.get("points", 0), "point"),
    ]
    line += nodes.Text(" ")
    line += nodes.inline("", " · ".join(facts), classes=["check-facts"])
    box += line
    if record.get("message"):
        box += nodes.literal_block("", record["message"], language="none")
    return box


class CheckRenderer:
    """myst-nb's plugin for the outputs of checks."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int]]] = [("*", CHECK_MIME, 1)]

    @staticmethod
    def handle_mime(
        renderer: render.NbElementRenderer, data: render.MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Return the badge for a check's output, None for any other output."""
        if data.mime_type != CHECK_MIME or inline:
            return None
        cells = renderer.renderer.nb_client.notebook.cells
        for cell_index, output_index, anchor, record in check_anchors(cells):
            if (cell_index, output_index) == (data.cell_index, data.output_index):
                return [badge(record, anchor)]
        return []


def register_renderer(plugin: type = CheckRenderer) -> None:
    """Add a renderer to myst-nb's own, once a process, installed package or not.

    Parameters
    ----------
    plugin : type
        What myst-nb calls a MIME render plugin.
    """
    plugins = getattr(render.load_mime_renders, "plugins", None)
    if plugins is None:
        plugins = list(render.load_mime_renders())

        def load_mime_renders() -> list[Any]:
            return plugins

        load_mime_renders.plugins = plugins
        render.load_mime_renders = load_mime_renders
    if plugin not in plugins:
        plugins.insert(0, plugin)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer of checks."""
    register_renderer()
    return {"parallel_read_safe": True, "parallel_write_safe": True}
