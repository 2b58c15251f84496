"""The look of the book's figures: one style, readable in light and dark, by every eye.

Figures are vector graphics without a background of their own. The colours below are those of the
light theme; a style sheet inside each figure maps them to those of the dark one, so that a figure
follows the reader's theme wherever it is shown as an image. Lines differ by dash as well as by
colour.
"""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours for text and axes, for what stands back, and for a grid.
INK = "#22272e"
MUTED = "#5d6670"
GRID = "#d3d6da"

# The hues of Okabe and Ito, those too pale for a line on paper darkened to a contrast of 3.
COLORS = {
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#00936b",
    "purple": "#b9639a",
    "orange": "#b57d00",
    "sky": "#2b8fca",
}
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))

# What becomes of each colour in the dark theme.
DARK = {
    INK: "#d9dde2",
    MUTED: "#a3abb5",
    GRID: "#3d444c",
    COLORS["blue"]: "#4fa8e0",
    COLORS["vermillion"]: "#f0803c",
    COLORS["green"]: "#2dbe94",
    COLORS["purple"]: "#dc9cc4",
    COLORS["orange"]: "#e69f00",
    COLORS["sky"]: "#7cc7f2",
}
FIELD_COLORMAP = "viridis"
# What tells a figure that follows the theme from any other image.
MARK = "mathdl-theme"


def style() -> dict[str, Any]:
    """Return Matplotlib's settings of the house style.

    Returns
    -------
    dict
        Names and values for ``matplotlib.rcParams``.

    Examples
    --------
    >>> style()["figure.facecolor"]
    'none'
    """
    from cycler import cycler

    ink = ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "text.color")
    ticks = ("xtick.color", "ytick.color", "xtick.labelcolor", "ytick.labelcolor")
    clear = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
    return {
        **dict.fromkeys((*ink, *ticks), INK),
        **dict.fromkeys(clear, "none"),
        "axes.prop_cycle": cycler(color=list(COLORS.values())) + cycler(linestyle=list(DASHES)),
        "axes.grid": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "lines.linewidth": 1.8,
        "legend.frameon": False,
        "font.family": "DejaVu Sans",
        "font.size": 10.0,
        "axes.titlesize": 10.0,
        "axes.labelsize": 12.0,
        "mathtext.fontset": "cm",
        "image.cmap": FIELD_COLORMAP,
        "figure.figsize": (6.0, 3.4),
        "figure.constrained_layout.use": True,
    }


def use_style() -> None:
    """Set the house style for all figures drawn from here on.

    Where IPython shows the figures, they become vector graphics that follow the reader's theme;
    elsewhere (a script, the browser's Python) only Matplotlib's settings change.
    """
    import matplotlib as mpl

    mpl.rcParams.update(style())
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    formatter = getattr(shell, "display_formatter", None)
    if formatter is None:
        return
    # Importing it later would set IPython's own format of figures again.
    import matplotlib.pyplot  # noqa: F401
    from matplotlib.figure import Figure
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg")
    formatter.formatters["image/svg+xml"].for_type(Figure, figure_svg)


def figure_svg(figure: Figure) -> str:
    """Return a figure as SVG that follows the theme of the page around it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A figure in the house style.

    Returns
    -------
    str
        The same text for the same figure, whatever the day or the machine's user.
    """
    import matplotlib as mpl

    buffer = io.BytesIO()
    # The same figure gives the same bytes in every build.
    with mpl.rc_context({"svg.hashsalt": "mathdl", "svg.fonttype": "path"}):
        figure.savefig(
            buffer,
            format="svg",
            bbox_inches="tight",
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    return follow_theme(buffer.getvalue().decode())


def follow_theme(svg: str) -> str:
    """Return an SVG whose house colours change with the colour scheme of the page.

    Parameters
    ----------
    svg : str
        Drawn in the colours of this module.

    Examples
    --------
    >>> themed = follow_theme('<svg><path style="stroke: #22272e"/></svg>')
    >>> "prefers-color-scheme: dark" in themed and "#d9dde2" in themed
    True
    """
    rules = "".join(
        f'[style*="{side}: {light}"]{{{side}:{dark} !important}}'
        for light, dark in DARK.items()
        for side in ("fill", "stroke")
        if f"{side}: {light}" in svg
    )
    sheet = f'<style id="{MARK}">@media (prefers-color-scheme: dark){{{rules}}}</style>'
    return re.sub(r"<svg\b[^>]*>", lambda opening: opening[0] + sheet, svg, count=1)
