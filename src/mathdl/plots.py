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
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mathdl.autodiff import Graph, Node

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
MARKERS = ("o", "s", "^", "D", "v", "P")
FIELD_COLORMAP = "viridis"
# Fields look the same in both themes: they lie on a card of this grey, which shows where a value
# is missing, and what is drawn on them is white with a black edge.
CARD = "#8a8f96"
ON_FIELD = {"light": "#ffffff", "dark": "#000000"}
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


# --- ready-made figures -------------------------------------------------------------------------


def _axes(ax: Axes | None, figsize: tuple[float, float] | None = None) -> Axes:
    """Return the given axes, or those of a new figure in the house style."""
    if ax is not None:
        return ax
    import matplotlib as mpl

    with mpl.rc_context(style()):
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=figsize)[1]


def _array(name: str, value: ArrayLike, ndim: int | tuple[int, ...]) -> NDArray:
    """Return real numbers with so many axes, some of them finite."""
    array = np.asarray(value)
    dims = (ndim,) if isinstance(ndim, int) else ndim
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.ndim not in dims or array.size == 0:
        wanted = " or ".join(str(d) for d in dims)
        raise ValueError(f"{name} must have {wanted} axes and not be empty, got {array.shape}")
    if not np.isfinite(array).any():
        raise ValueError(f"{name} holds no finite number")
    return array.astype(float)


def _named(name: str, values: Any) -> dict[str, Any]:
    """Return a mapping from labels to arrays; one array has no label."""
    named = dict(values) if isinstance(values, Mapping) else {"": values}
    if not 1 <= len(named) <= len(COLORS):
        raise ValueError(f"{name} must be 1 to {len(COLORS)} to be told apart, got {len(named)}")
    return named


def _grid(x: ArrayLike, y: ArrayLike, z: ArrayLike, names: Sequence[str]) -> list[NDArray]:
    """Return two axes, each strictly increasing, and the values over them."""
    axes = [_array(name, value, 1) for name, value in zip(names, (x, y), strict=False)]
    values = _array(names[2], z, 2)
    shape = tuple(len(axis) for axis in axes)
    if values.shape != shape or min(shape) < 2:
        raise ValueError(
            f"{names[2]} must have shape ({names[0]}, {names[1]}) = {shape}, at least (2, 2), "
            f"got {values.shape}"
        )
    for name, axis in zip(names, axes, strict=False):
        if not (np.diff(axis) > 0).all():
            raise ValueError(f"{name} must increase strictly")
    return [*axes, values]


def _path(name: str, value: ArrayLike) -> NDArray:
    path = _array(name, value, 2)
    if path.shape[1] != 2:
        raise ValueError(f"{name} must have shape (steps, 2), got {path.shape}")
    return path


def _look(k: int) -> dict[str, Any]:
    """Return what the k-th line looks like: colour, dash and marker are all its own."""
    return {"color": [*COLORS.values()][k], "linestyle": DASHES[k], "marker": MARKERS[k]}


def _outlined(width: float = 2.5) -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=ON_FIELD["dark"])]


def _label_ends(ax: Axes, lines: Mapping[str, tuple[Any, float]]) -> None:
    """Write each line's name to the right of where it ends, behind a sample of its look."""
    from matplotlib.lines import Line2D

    low, high = ax.get_ylim()
    log = ax.get_yscale() == "log"
    scale = np.log if log else np.asarray
    span = scale(high) - scale(low)
    heights = {name: (scale(y) - scale(low)) / span for name, (_, y) in lines.items()}
    below = -np.inf
    for name in sorted(heights, key=heights.get):
        height = max(heights[name], below + 0.075)  # a line of text
        below = height
        line = lines[name][0]
        sample = Line2D([1.01, 1.07], [height] * 2, transform=ax.transAxes, clip_on=False)
        sample.update_from(line)
        sample.set(transform=ax.transAxes, clip_on=False, marker="")
        ax.add_artist(sample)
        ax.text(1.085, height, name, transform=ax.transAxes, va="center", color=INK)


def _field(ax: Axes, x: NDArray, y: NDArray, z: NDArray, log: bool, label: str) -> None:
    """Draw values (A, B) as a field with contour lines and a colour bar."""
    import matplotlib as mpl
    from matplotlib.colors import LogNorm

    shown = np.ma.masked_invalid(z)
    if log and shown.min() <= 0:
        raise ValueError(f"a logarithmic scale needs positive values, the least is {shown.min()}")
    ax.set_facecolor(CARD)
    ax.grid(visible=False)
    norm = LogNorm() if log else None
    mesh = ax.pcolormesh(
        x, y, shown.T, shading="nearest", cmap=FIELD_COLORMAP, norm=norm, rasterized=True
    )
    low, high = shown.min(), shown.max()
    levels = np.array([low])
    if low < high:
        levels = (np.geomspace if log else np.linspace)(low, high, 9)[1:-1]
        lines = ax.contour(x, y, shown.T, levels, colors=ON_FIELD["light"], linewidths=0.8)
        lines.set_path_effects(_outlined(1.6))
        for text in ax.clabel(lines, fontsize=8, fmt=lambda level: f"{level:.3g}"):
            text.set_path_effects(_outlined())
    with mpl.rc_context(style()):
        bar = ax.figure.colorbar(mesh, ax=ax, label=label, ticks=levels)
    bar.ax.set_yticks(levels, [f"{level:.3g}" for level in levels])
    bar.ax.minorticks_off()
    bar.solids.set_rasterized(True)
    bar.outline.set_edgecolor(INK)


def plot_loss_landscape(
    alphas: ArrayLike,
    betas: ArrayLike,
    losses: ArrayLike,
    *,
    path: ArrayLike | None = None,
    log: bool = False,
    label: str = "loss $L$",
    ax: Axes | None = None,
) -> Axes:
    r"""Draw a loss over a plane of parameters, with a trajectory where there is one.

    Parameters
    ----------
    alphas, betas : array_like, shapes (A,), (B,)
        Coordinates, increasing.
    losses : array_like, shape (A, B)
        As `mathdl.landscape.plane_slice` returns them; what is not finite stays grey.
    path : array_like, shape (T, 2), optional
        A trajectory in the plane's coordinates, as `mathdl.landscape.pca_plane` gives it.
    log : bool
        Colours and contour lines on a logarithmic scale.
    label : str
        What the colours mean.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If something does not hold real numbers.
    ValueError
        If shapes do not fit, coordinates do not increase, or a logarithm meets a loss ≤ 0.

    Examples
    --------
    >>> a = np.linspace(-1, 1, 21)
    >>> ax = plot_loss_landscape(a, a, a[:, None] ** 2 + 3 * a**2, path=[[0.9, 0.8], [0.0, 0.0]])
    >>> ax.get_xlabel(), len(ax.lines)
    ('$\\alpha$', 1)
    """
    x, y, z = _grid(alphas, betas, losses, ("alphas", "betas", "losses"))
    points = None if path is None else _path("path", path)
    ax = _axes(ax, (5.2, 4.0))
    _field(ax, x, y, z, log, label)
    if points is not None:
        white = ON_FIELD["light"]
        ax.plot(*points.T, color=white, linestyle="-", marker=".", path_effects=_outlined(3.5))
        for name, point in (("start", points[0]), ("end", points[-1])):
            ax.annotate(
                name,
                point,
                (5, 5),
                textcoords="offset points",
                color=white,
                path_effects=_outlined(),
                annotation_clip=True,
            )
    ax.set(xlabel=r"$\alpha$", ylabel=r"$\beta$", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    return ax


def plot_training_curve(
    curves: ArrayLike | Mapping[str, ArrayLike],
    *,
    steps: ArrayLike | None = None,
    log: bool = True,
    label: str = "loss $L$",
    ax: Axes | None = None,
) -> Axes:
    """Draw losses against steps; of several runs, the median and the range.

    Parameters
    ----------
    curves : array_like (T,) or (runs, T), or a mapping from names to such
        At most six.
    steps : array_like, shape (T,), optional
        Which steps they are; 0, 1, 2, ... by default.
    log : bool
        A logarithmic axis of losses.
    label : str
        What the vertical axis shows.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If lengths do not fit, there are too many curves, or a logarithm meets a loss ≤ 0.

    Examples
    --------
    >>> t = np.arange(50)
    >>> ax = plot_training_curve({"SGD": 0.9**t, "Adam": 0.8**t})
    >>> [text.get_text() for text in ax.texts]
    ['Adam', 'SGD']
    """
    named = {
        name: np.atleast_2d(_array(f"curve {name}".strip(), curve, (1, 2)))
        for name, curve in _named("curves", curves).items()
    }
    for name, runs in named.items():
        x = np.arange(runs.shape[1]) if steps is None else _array("steps", steps, 1)
        if runs.shape[1] != len(x):
            raise ValueError(f"curve {name} has {runs.shape[1]} steps, steps has {len(x)}")
        if log and runs[np.isfinite(runs)].min() <= 0:
            raise ValueError(f"curve {name} is not positive everywhere: pass log=False")
    ax = _axes(ax)
    ends = {}
    for k, (name, runs) in enumerate(named.items()):
        x = np.arange(runs.shape[1]) if steps is None else np.asarray(steps)
        look = _look(k) | {"markevery": (k / 60, 0.1), "markersize": 4}
        finite = np.where(np.isfinite(runs), runs, np.nan)  # a run that diverged ends
        alive = np.isfinite(finite).any(axis=0)
        middle = np.full(len(x), np.nan)
        middle[alive] = np.nanmedian(finite[:, alive], axis=0)
        [line] = ax.plot(x, middle, **look)
        if len(runs) > 1:
            low, high = np.full((2, len(x)), np.nan)
            low[alive] = np.nanmin(finite[:, alive], axis=0)
            high[alive] = np.nanmax(finite[:, alive], axis=0)
            ax.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)
        ends[name] = (line, middle[alive][-1])
    ax.set(xlabel="step $t$", ylabel=label, yscale="log" if log else "linear")
    if set(named) != {""}:
        _label_ends(ax, ends)
    return ax


def plot_optimizer_comparison(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    paths: Mapping[str, ArrayLike],
    *,
    minimum: ArrayLike | None = None,
    log: bool = True,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the paths of optimizers over the contour lines of a function of two variables.

    Parameters
    ----------
    x, y : array_like, shapes (A,), (B,)
        Coordinates, increasing.
    values : array_like, shape (A, B)
        The function on the grid.
    paths : mapping of str to array_like, shape (T, 2)
        Trajectories by the name of their optimizer, at most six; what leaves the grid is cut off.
    minimum : array_like, shape (2,), optional
        A point to mark.
    log : bool
        Contour lines at equal steps of :math:`\log(f - \min f)` rather than of f.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes do not fit, coordinates do not increase, or there are too many paths.

    Examples
    --------
    >>> g = np.linspace(-1, 1, 31)
    >>> path = np.outer(0.5 ** np.arange(5), [0.9, 0.5])
    >>> ax = plot_optimizer_comparison(g, g, g[:, None] ** 2 + 4 * g**2, {"SGD": path})
    >>> ax.get_legend_handles_labels()[1]
    ['SGD']
    """
    x, y, z = _grid(x, y, values, ("x", "y", "values"))
    named = {name: _path(f"path {name}", p) for name, p in _named("paths", paths).items()}
    target = None if minimum is None else _array("minimum", minimum, 1)
    if target is not None and target.shape != (2,):
        raise ValueError(f"minimum must have shape (2,), got {target.shape}")
    ax = _axes(ax, (5.6, 3.8))
    shown = np.ma.masked_invalid(z)
    low, high = shown.min(), shown.max()
    if low < high:
        # From a thousandth of the range on: closer to the minimum lines would run together.
        rise = np.geomspace(1e-3, 1, 12) if log else np.linspace(0, 1, 12)
        levels = low + (high - low) * rise[:-1]
        ax.contour(x, y, shown.T, levels, colors=GRID, linewidths=1.0, linestyles="-")
    ax.grid(visible=False)
    for k, (name, path) in enumerate(named.items()):
        ax.plot(*path.T, **_look(k), markersize=4, markevery=max(1, len(path) // 12), label=name)
    first = np.array([path[0] for path in named.values()])
    ax.plot(*first.T, linestyle="none", marker="o", markersize=9, color=INK, fillstyle="none")
    if target is not None:
        ax.plot(*target, linestyle="none", marker="*", markersize=12, color=INK)
        ax.annotate("minimum", target, (7, -11), textcoords="offset points", color=INK)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK, frameon=False)
    return ax


def plot_svd_analysis(
    singular_values: ArrayLike, *, tol: float | None = None, ax: Axes | None = None
) -> Axes:
    r"""Draw singular values and the error of every low-rank approximation that they give.

    Parameters
    ----------
    singular_values : array_like, shape (K,)
        In descending order.
    tol : float, optional
        Relative error :math:`\|A - A_k\|_F / \|A\|_F` whose smallest rank is marked.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If they are negative, not in order or all zero, or the tolerance is not between 0 and 1.

    Examples
    --------
    >>> ax = plot_svd_analysis([4.0, 2.0, 1.0, 0.5], tol=0.3)
    >>> ax.texts[-1].get_text()
    'rank 2'
    """
    from matplotlib.ticker import MaxNLocator

    from mathdl.linalg import low_rank_errors

    s = _array("singular_values", singular_values, 1)
    errors = low_rank_errors(s)  # of rank 0, 1, ..., K
    if tol is not None and not 0 < tol < 1:
        raise ValueError(f"tol must lie between 0 and 1, got {tol}")
    total = np.sqrt(np.sum(s * s))
    ranks = np.arange(1, len(s) + 1)
    ax = _axes(ax)
    dots = {"markersize": 4} if len(s) <= 40 else {"marker": ""}
    size, error = s / total, errors[1:]
    ax.plot(
        ranks[size > 0],
        size[size > 0],
        **(_look(0) | dots),
        label=r"$\sigma_k\,/\,\Vert A\Vert_F$",
    )
    ax.plot(
        ranks[error > 0],
        error[error > 0],
        **(_look(1) | dots),
        label=r"$\Vert A-A_k\Vert_F\,/\,\Vert A\Vert_F$",
    )
    ax.set(xlabel="rank $k$", ylabel="relative size", yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if tol is not None:
        rank = int(np.argmax(errors <= tol))
        ax.axhline(tol, color=MUTED, linewidth=1, linestyle=":")
        ax.axvline(rank, color=MUTED, linewidth=1, linestyle=":")
        ax.annotate(f"rank {rank}", (rank, tol), (5, 5), textcoords="offset points", color=INK)
    ax.legend(labelcolor=INK, frameon=False)
    return ax


def plot_distribution(
    x: ArrayLike,
    density: ArrayLike | Mapping[str, ArrayLike],
    *,
    samples: ArrayLike | None = None,
    discrete: bool = False,
    label: str = "$x$",
    ax: Axes | None = None,
) -> Axes:
    """Draw densities, or the probabilities of a discrete distribution, with a histogram of samples.

    Parameters
    ----------
    x : array_like, shape (N,)
        Where, increasing.
    density : array_like, shape (N,), or a mapping from names to such
        ``exp(log_prob(x))``; at most six.
    samples : array_like, shape (S,), optional
        Drawn as a histogram of area one, or as frequencies.
    discrete : bool
        The values are probabilities of the points ``x``.
    label : str
        What the horizontal axis shows.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If lengths do not fit, x does not increase, or a density is negative.

    Examples
    --------
    >>> x = np.linspace(-4, 4, 81)
    >>> ax = plot_distribution(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))
    >>> ax.get_ylabel()
    'density $p(x)$'
    """
    points = _array("x", x, 1)
    named = {
        name: _array(f"density {name}".strip(), p, 1)
        for name, p in _named("density", density).items()
    }
    if not (np.diff(points) > 0).all():
        raise ValueError("x must increase strictly")
    for name, p in named.items():
        if p.shape != points.shape:
            raise ValueError(f"density {name} must have shape {points.shape}, got {p.shape}")
        if (p < 0).any():
            raise ValueError(f"density {name} is negative somewhere: a log density?")
    drawn = None if samples is None else _array("samples", samples, 1)
    ax = _axes(ax)
    look = {"color": GRID, "edgecolor": MUTED, "linewidth": 0.5}
    if drawn is not None and discrete:
        share = np.mean(drawn[:, None] == points, axis=0)
        ax.bar(points, share, width=0.6 * np.diff(points).min(initial=1.0), **look, label="samples")
    elif drawn is not None:
        ax.hist(drawn, bins="auto", density=True, **look, label="samples")
    for k, (name, p) in enumerate(named.items()):
        look = _look(k) | ({"linestyle": "none"} if discrete else {"marker": ""})
        [line] = ax.plot(points, p, **look, label=name or None)
        if discrete:
            ax.vlines(points, 0, p, color=line.get_color(), linewidth=1, linestyle=DASHES[k])
    if set(named) != {""} or drawn is not None:
        ax.legend(labelcolor=INK, frameon=False)
    ax.set(xlabel=label, ylabel="probability $P(x)$" if discrete else "density $p(x)$")
    ax.set_ylim(bottom=0)
    return ax


def plot_gradient_check(
    analytic: ArrayLike | Mapping[str, ArrayLike],
    numerical: ArrayLike | Mapping[str, ArrayLike],
    *,
    tol: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far each entry of a gradient is from its numerical value, and name the worst.

    Parameters
    ----------
    analytic, numerical : array_like, or mappings of str to array_like
        Gradients of one structure, at most six tensors.
    tol : float, optional
        The tolerance, relative as the differences are.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Differences are relative to the largest entry of their tensor; those that are zero lie on
        the lower edge.

    Raises
    ------
    ValueError
        If names or shapes differ, or a tensor holds no numbers.

    Examples
    --------
    >>> right = {"weight": np.ones((2, 3)), "bias": np.ones(2)}
    >>> wrong = {"weight": np.ones((2, 3)), "bias": np.array([1.0, 1.5])}
    >>> ax = plot_gradient_check(wrong, right, tol=1e-7)
    >>> ax.texts[-1].get_text()
    'worst: bias[1]'
    """
    ours, theirs = _named("analytic", analytic), _named("numerical", numerical)
    if set(ours) != set(theirs):
        raise ValueError(f"gradients have different names: {sorted(ours)} and {sorted(theirs)}")
    if tol is not None and not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    ratios, shapes = {}, {}
    for name in ours:
        a, n = (
            _array(f"{kind} {name}".strip(), g[name], tuple(range(9)))
            for kind, g in (("analytic", ours), ("numerical", theirs))
        )
        if a.shape != n.shape:
            raise ValueError(f"gradient {name} has shapes {a.shape} and {n.shape}")
        scale = max(np.max(np.abs(n)), np.max(np.abs(a)), np.finfo(float).tiny)
        ratios[name], shapes[name] = np.abs(a - n).ravel() / scale, a.shape
    floor = 2.0**-53  # half a unit in the last place of the largest entry
    ax = _axes(ax)
    start, worst = 0, (-1.0, 0, "")
    for k, (name, ratio) in enumerate(ratios.items()):
        look = _look(k) | {"linestyle": "none", "markersize": 4}
        ax.plot(start + np.arange(ratio.size), np.maximum(ratio, floor), **look, label=name or None)
        at = int(np.argmax(ratio))
        index = ", ".join(str(int(i)) for i in np.unravel_index(at, shapes[name]))
        worst = max(worst, (float(ratio[at]), start + at, f"{name}[{index}]"))
        start += ratio.size
    ax.set(xlabel="entry $i$", ylabel="relative difference", yscale="log")
    ax.set_ylim(bottom=floor / 2)
    if tol is not None:
        ax.axhline(tol, color=INK, linewidth=1, linestyle="--")
        ax.text(0.005, tol, "tolerance", transform=ax.get_yaxis_transform(), va="bottom", color=INK)
    left = worst[1] < start / 2
    ax.annotate(
        f"worst: {worst[2]}",
        (worst[1], max(worst[0], floor)),
        (6 if left else -6, -3),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top",
        color=INK,
    )
    if set(ratios) != {""}:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK, frameon=False)
    return ax


def _places(graph: Graph) -> list[tuple[float, float]]:
    """Place each node in its layer, beside its parents, each layer spread about the middle."""
    parents: dict[int, list[int]] = {}
    for parent, child in graph.edges:
        parents.setdefault(child, []).append(parent)
    children = dict(reversed(graph.edges))
    places: dict[int, tuple[float, float]] = {}
    # A leaf stands in the layer before its first user, so that no arrow crosses the drawing.
    layers = [
        graph.layers[children[i]] - 1 if i not in parents and i in children else layer
        for i, layer in enumerate(graph.layers)
    ]
    for layer in sorted(set(layers)):
        members = [i for i, other in enumerate(layers) if other == layer]
        wish = {
            i: np.mean([places[p][1] for p in parents[i]]) if i in parents else 0.0 for i in members
        }
        members.sort(key=wish.get, reverse=True)
        for rank, i in enumerate(members):
            places[i] = (float(layer), (len(members) - 1) / 2 - rank)
    return [places[i] for i in range(len(layers))]


def plot_graph(node: Node | Graph, *, ax: Axes | None = None) -> Axes:
    """Draw a computational graph from its leaves, on the left, to its output.

    Parameters
    ----------
    node : mathdl.autodiff.Node or mathdl.autodiff.Graph
        The output, or what `mathdl.autodiff.graph` returns for it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure of fitting size by default.

    Returns
    -------
    matplotlib.axes.Axes
        Leaves have square frames, operations round ones; under each name stands the shape.

    Raises
    ------
    ValueError
        If the graph has more than 60 nodes, which no drawing makes clear.

    Examples
    --------
    >>> from mathdl.autodiff import Node
    >>> x, w = Node(np.ones(3), "x"), Node(np.ones(3), "w")
    >>> ax = plot_graph(np.sum(x * w))
    >>> [text.get_text().split()[0] for text in ax.texts if text.get_text()]
    ['x', 'w', 'multiply', 'sum']
    """
    from mathdl.autodiff import Graph, graph

    drawing = node if isinstance(node, Graph) else graph(node)
    count = len(drawing.labels)
    if count > 60:
        raise ValueError(f"a graph of {count} nodes cannot be drawn clearly: at most 60")
    places = _places(drawing)
    width = 1 + max(x for x, _ in places) - min(x for x, _ in places)
    height = 1 + 2 * max(y for _, y in places)
    ax = _axes(ax, (max(2.5, 1.35 * width), max(1.4, 0.85 * height)))
    inner = {child for _, child in drawing.edges}
    boxes = []
    for i, (label, shape, place) in enumerate(
        zip(drawing.labels, drawing.shapes, places, strict=True)
    ):
        frame = {"facecolor": "none", "edgecolor": COLORS["blue"], "boxstyle": "square,pad=0.4"}
        if i in inner:
            frame |= {"edgecolor": COLORS["vermillion"], "boxstyle": "round4,pad=0.4"}
        size = "×".join(str(n) for n in shape) or "scalar"
        text = f"{label}\n{size}"
        box = ax.text(*place, text, ha="center", va="center", color=INK, fontsize=9, bbox=frame)
        boxes.append(box.get_bbox_patch())
    for number, (parent, child) in enumerate(drawing.edges):
        # The second of two arrows between the same nodes bends away from the first.
        again = drawing.edges[:number].count((parent, child))
        ax.annotate(
            "",
            places[child],
            places[parent],
            arrowprops={
                "arrowstyle": "-|>",
                "color": MUTED,
                "patchA": boxes[parent],
                "patchB": boxes[child],
                "shrinkA": 1,
                "shrinkB": 1,
                "connectionstyle": f"arc3,rad={0.25 * again}",
            },
            zorder=4,
        )
    xs, ys = zip(*places, strict=True)
    ax.set(xlim=(min(xs) - 0.6, max(xs) + 0.6), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.set_axis_off()
    return ax
