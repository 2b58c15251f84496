"""What the interactive figures show, handed over by the page's own cells.

An explorable draws what its own small program computes; where it shows a result of the page (a
trained network's loss surface, say), a cell publishes that result and the page carries it along.
Numbers are rounded to a few significant digits, as they are looked at and not computed with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mathdl._records import shell, show

EXPLORABLE_MIME = "application/vnd.mathdl.explorable+json"
MAX_SIDE = 49  # grid lines a side that a phone draws sixty times a second


class Surface(NamedTuple):
    """A loss over a plane of parameters, with a path through it where there is one.

    Attributes
    ----------
    alphas, betas : array_like, shapes (A,), (B,)
        Coordinates, increasing.
    losses : array_like, shape (A, B)
        As `mathdl.landscape.plane_slice` and its relatives return them.
    path : array_like, shape (T, 2), optional
        A trajectory in the plane's coordinates, such as `mathdl.landscape.Plane.coordinates`.
    path_losses : array_like, shape (T,), optional
        The true losses along it; needed with `path`.
    axes : (str, str)
        What the two coordinates are called.
    """

    alphas: ArrayLike
    betas: ArrayLike
    losses: ArrayLike
    path: ArrayLike | None = None
    path_losses: ArrayLike | None = None
    axes: tuple[str, str] = ("α", "β")


def rounded(values: ArrayLike, digits: int = 4) -> Any:
    """Return numbers as JSON holds them: nested lists, rounded, ``None`` where not finite.

    Parameters
    ----------
    values : array_like
        Real numbers.
    digits : int
        Significant digits.

    Returns
    -------
    float or list

    Examples
    --------
    >>> rounded([[1234567.0, 0.000123456], [np.inf, 2.0]])
    [[1235000, 0.0001235], [None, 2]]
    """
    if isinstance(values, float | int) or np.ndim(values) == 0:
        if not np.isfinite(values):
            return None
        number = float(f"{float(values):.{digits - 1}e}")
        return int(number) if number.is_integer() else number
    return [rounded(value, digits) for value in np.asarray(values).tolist()]


def explorable(name: str, **data: Any) -> None:
    """Publish what an explorable of this page shows; outside a notebook nothing happens.

    Parameters
    ----------
    name : str
        The explorable, as in its directive.
    **data
        What its module calls for: anything JSON, and arrays of real numbers.

    Examples
    --------
    >>> explorable("svd-rank", values=np.arange(3.0))
    """
    if shell() is None:
        return
    record = {"schema": 1, "name": name, "data": _plain(data)}
    show({EXPLORABLE_MIME: record, "text/plain": f"(what the explorable {name} shows)"})


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, np.ndarray | np.generic | float):
        return rounded(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def landscape_3d(surfaces: Mapping[str, Surface]) -> dict[str, Any]:
    """Publish loss surfaces, with their paths, for the explorable ``landscape-3d``.

    Of a fine grid every k-th row and column is shown, so that none has more than 49 lines a side;
    no value is interpolated.

    Parameters
    ----------
    surfaces : mapping of str to Surface
        One to six, by the name under which the reader chooses each; the first is shown first.

    Returns
    -------
    dict
        What was published; end the call with a semicolon.

    Raises
    ------
    ValueError
        If there are too many surfaces, shapes do not fit, coordinates do not increase, or a loss
        is missing or not positive (heights are logarithmic).

    Examples
    --------
    >>> a = np.linspace(-1, 1, 81)
    >>> path = np.array([[0.9, 0.8], [0.0, 0.0]])
    >>> bowl = Surface(a, a, a[:, None] ** 2 + a**2 + 0.1, path, [1.55, 0.1])
    >>> shown = landscape_3d({"a bowl": bowl})["surfaces"][0]
    >>> shown["name"], len(shown["alphas"]), shown["path"]
    ('a bowl', 41, [[0.9, 0.8, 1.55], [0, 0, 0.1]])
    """
    if not 1 <= len(surfaces) <= 6:
        raise ValueError(f"between one and six surfaces can be chosen from, got {len(surfaces)}")
    data = {"surfaces": [_surface(name, Surface(*item)) for name, item in surfaces.items()]}
    explorable("landscape-3d", **data)
    return data


def _surface(name: str, given: Surface) -> dict[str, Any]:
    """Return one surface as JSON."""
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")  # stands in links to its states
    if not key:
        raise ValueError(f"a surface's name needs letters or digits, got {name!r}")
    alphas, betas, losses = (np.asarray(x, dtype=float) for x in given[:3])
    if alphas.ndim != 1 or betas.ndim != 1 or losses.shape != (len(alphas), len(betas)):
        raise ValueError(
            f"{name}: losses must have shape (alphas, betas) = ({alphas.size}, {betas.size}), "
            f"got {losses.shape}"
        )
    if min(losses.shape) < 3 or np.any(np.diff(alphas) <= 0) or np.any(np.diff(betas) <= 0):
        raise ValueError(f"{name}: coordinates must be at least three and increase")
    if not np.all(losses > 0) or not np.all(np.isfinite(losses)):
        raise ValueError(f"{name}: losses must be positive and finite, their logarithm is shown")
    rows, columns = (_thinned(size) for size in losses.shape)
    path: NDArray = np.empty((0, 3))
    if given.path is not None:
        points, heights = np.asarray(given.path, float), np.asarray(given.path_losses, float)
        if points.ndim != 2 or points.shape[1] != 2 or heights.shape != (len(points),):
            raise ValueError(
                f"{name}: a path is (T, 2) with losses (T,), got {points.shape} and {heights.shape}"
            )
        if not np.all(heights > 0):
            raise ValueError(f"{name}: the losses along the path must be positive")
        path = np.column_stack([points, heights])
    return {
        "key": key,
        "name": name,
        "axes": list(given.axes),
        "alphas": rounded(alphas[rows]),
        "betas": rounded(betas[columns]),
        "losses": rounded(losses[rows][:, columns]),
        "path": rounded(path),
    }


def _thinned(size: int) -> slice:
    """Return every k-th of so many, k as small as the limit allows."""
    return slice(None, None, -(-(size - 1) // (MAX_SIDE - 1)))
