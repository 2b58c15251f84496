"""What is wrong with an array: usual mistakes, each tried against the numbers.

:func:`diagnose` is given an array under test and the right one. Every hypothesis predicts
what the array under test would be if a certain mistake had been made, or which of its entries
would be wrong; it is reported only if the numbers bear it out. :mod:`mathdl.checks` calls it when
a check fails.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

_CONSTANTS = {
    "ln 2": math.log(2),
    "ln 10": math.log(10),
    "π": math.pi,
    "2π": 2 * math.pi,
    "√(2π)": math.sqrt(2 * math.pi),
    "√2": math.sqrt(2),
    "√3": math.sqrt(3),
}


class Evidence(NamedTuple):
    """What is known besides the two arrays.

    Attributes
    ----------
    related : mapping of str to ndarray
        Arrays that take part: the inputs, ``dy``, the output, data.
    sizes : mapping of str to int
        Lengths that a mean may divide by, such as ``{"axis 0 of X": 32}``.
    previous : ndarray or None
        What the function under test returned at the point evaluated before.
    others : mapping of str to ndarray
        The right arrays of the other tensors.
    noise : float
        Errors up to this, relative to the largest entry, are rounding.
    point : str
        Name in ``related`` of the array in which is differentiated.
    structure : bool
        Whether the axes mean something; False for a sample of entries.
    """

    related: Mapping[str, np.ndarray] = {}
    sizes: Mapping[str, int] = {}
    previous: np.ndarray | None = None
    others: Mapping[str, np.ndarray] = {}
    noise: float = 1e-12
    point: str = "x"
    structure: bool = True


def diagnose(
    actual: np.ndarray,
    right: np.ndarray,
    *,
    tol: float = 1e-8,
    hypotheses: Mapping[str, Any] | None = None,
    **evidence: Any,
) -> list[str]:
    """Name the mistakes that turn the right array into the one given.

    Parameters
    ----------
    actual, right : ndarray
        The array under test and what it should be, of equal shapes.
    tol : float
        How closely a hypothesis must fit, relative to the largest entry. However loose, it must
        explain 95 % of the error.
    hypotheses : mapping of str to array or callable, optional
        What ``actual`` would be if the mistake of that name were made; tried first.
    **evidence
        The fields of :class:`Evidence`.

    Returns
    -------
    list of str
        The mistakes that fit, most specific first; empty if none does.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> diagnose(np.array([-1.0, -2.0]), np.array([1.0, 2.0]))
    ['sign flipped']
    >>> diagnose(np.array([3.0, 6.0]), np.array([1.0, 2.0]))
    ['3.00× too large everywhere: a missing 1/3?']
    """
    if actual.shape != right.shape:
        raise ValueError(f"shapes {actual.shape} and {right.shape} differ")
    known = Evidence(**evidence)
    wide = complex if "c" in (actual.dtype.kind, right.dtype.kind) else float
    a, r = actual.astype(wide), right.astype(wide)
    if not a.size:
        return []
    if not np.all(np.isfinite(a)):
        return [nonfinite(a, known.related, known.point)]
    scale = max(_largest(r), _largest(a))
    if scale == 0:
        return []
    off = _largest(a - r) / scale
    if off == 0:
        return []
    fit = _Fit(a, r, scale, min(tol, 0.05 * off), known)
    found: list[str] = []
    with np.errstate(all="ignore"):
        for name, value in (hypotheses or {}).items():
            guess = np.asarray(value() if callable(value) else value)
            if fit.equals(guess):
                found.append(f"equals what you get with: {name}")
        for family in _FAMILIES:
            # Each explains the whole error: the most specific that fits is enough.
            found = found or family(fit, actual)
        if found and found[0].endswith("derivative is missing"):
            found.extend(_local(fit, actual))
    return list(dict.fromkeys(found))[:2]


def nonfinite(
    a: np.ndarray, related: Mapping[str, np.ndarray] | None = None, name: str = "x"
) -> str:
    """Say where an array is not finite.

    Parameters
    ----------
    a : ndarray
        Array with nan or inf.
    related : mapping of str to ndarray, optional
        Other arrays; the entry of ``related[name]`` at the first bad place is quoted.
    name : str
        Which of them is the point.

    Returns
    -------
    str
        How many entries, and where the first is.

    Examples
    --------
    >>> nonfinite(np.array([1.0, np.nan, np.inf]))
    'not finite: nan or inf in 2 of 3 entries, first at [1] (nan)'
    """
    bad = ~np.isfinite(a)
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    x = (related or {}).get(name)
    there = ""
    if x is not None and x.shape == a.shape:
        there = f", where {name} = {x[index]:.6g}"
    place = f"first at {_index(index)}" if index else "the only one"
    return (
        f"not finite: nan or inf in {int(bad.sum())} of {a.size} entries, "
        f"{place} ({a[index]}){there}"
    )


def diagnose_shape(
    actual: np.ndarray,
    wanted: tuple[int, ...],
    right: Callable[[], np.ndarray | None] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> str:
    """Say how an array of the wrong shape may have come about.

    Parameters
    ----------
    actual : ndarray
        The array under test.
    wanted : tuple of int
        The shape it should have.
    right : callable, optional
        Returns what it should be, or None; called only where values help.
    sizes : mapping of str to int, optional
        Known lengths.

    Returns
    -------
    str
        ``"shape (…), wanted (…)"`` and the reason, if one fits.

    Examples
    --------
    >>> diagnose_shape(np.ones((1, 3)), (3,))
    'shape (1, 3), wanted (3,): it would fit only by broadcasting'
    >>> diagnose_shape(np.ones((2, 3)), (3, 2))
    'shape (2, 3), wanted (3, 2): transposed?'
    """
    text = f"shape {actual.shape}, wanted {wanted}"
    got = actual.shape
    values = right() if right is not None else None
    if values is not None and values.ndim >= 2 and got == values.shape[::-1]:
        scale = max(_largest(values), 1e-300)
        if _largest(actual - values.T) <= 1e-6 * scale:
            return f"{text}: equals the transpose"
    if len(got) >= 2 and got == tuple(wanted[::-1]):
        return f"{text}: transposed?"
    if not got and wanted:
        return f"{text}: a single number, summed over every axis?"
    if len(got) > len(wanted) and _ends_with(got, wanted):
        lost = got[: len(got) - len(wanted)]
        if math.prod(lost) > 1:
            return f"{text}: not summed over the leading {'axis' if len(lost) == 1 else 'axes'}"
    if len(got) == len(wanted) == 1:
        names = [name for name, n in (sizes or {}).items() if n == got[0] and n != 1]
        if names:
            return f"{text}: {got[0]} is {names[0]}: looks summed over features, not over the batch"
    try:
        joint = np.broadcast_shapes(got, wanted)
    except ValueError:
        joint = None
    if joint is not None:
        further = "" if joint in (got, tuple(wanted)) else f", to {joint}"
        return f"{text}: it would fit only by broadcasting{further}"
    if math.prod(got) == math.prod(wanted):
        return f"{text}: the right number of entries in another shape"
    return text


class _Fit:
    """The two arrays, and whether a prediction fits the one under test."""

    def __init__(
        self, actual: np.ndarray, right: np.ndarray, scale: float, tol: float, known: Evidence
    ) -> None:
        self.a, self.r, self.scale, self.tol, self.known = actual, right, scale, tol, known
        self.off = np.abs(actual - right) / scale
        worst = float(self.off.max())
        seen = min(max(10 * known.noise, 1e-5 * worst), 0.5 * worst)
        self.bad = self.off > seen
        # Where an error of the size of the entry would be seen.
        self.visible = np.maximum(np.abs(actual), np.abs(right)) / scale > 2 * seen

    def equals(self, prediction: np.ndarray) -> bool:
        return self.same(self.a, prediction)

    def same(self, left: np.ndarray, right: np.ndarray) -> bool:
        if np.shape(left) != np.shape(right):
            return False
        size = max(_largest(left), _largest(right))
        return bool(size > 0 and _largest(left - right) <= self.tol * size)

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Related arrays that fit the shape, with broadcasting of singleton or leading axes."""
        for name, z in self.known.related.items():
            z = np.asarray(z)
            if z.dtype.kind not in "fiub" or not z.size or not np.all(np.isfinite(z)):
                continue
            shapes = [z.shape]
            if z.ndim == 1 and self.a.ndim > 1:
                shapes.append((z.shape[0], *[1] * (self.a.ndim - 1)))
            for shape in shapes:
                w = z.reshape(shape).astype(float)
                if w.shape == self.a.shape:
                    yield name, w
                    break
                if w.ndim and w.size > 1:
                    try:
                        if np.broadcast_shapes(w.shape, self.a.shape) == self.a.shape:
                            yield name, np.broadcast_to(w, self.a.shape)
                            break
                    except ValueError:
                        continue


def _largest(a: np.ndarray) -> float:
    return float(np.max(np.abs(a), initial=0.0))


def _ends_with(shape: Sequence[int], tail: Sequence[int]) -> bool:
    return not tail or tuple(shape[-len(tail) :]) == tuple(tail)


def _index(index: Sequence[int]) -> str:
    return f"[{', '.join(str(int(i)) for i in index)}]"


# --- families of hypotheses ---------------------------------------------------------------


def _vanished(fit: _Fit, _: np.ndarray) -> list[str]:
    if not np.any(fit.a):
        return ["all zero"]
    if not np.any(np.abs(fit.r) > fit.known.noise * fit.scale):
        return ["not zero, where zero is right"]
    return []


def _remembered(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise values of another call: stale, or added up."""
    before = fit.known.previous
    if before is None or before.shape != fit.a.shape or not np.any(before):
        return []
    if fit.equals(before):
        return ["equals the value at the point evaluated before: a stale cache, or x is forgotten?"]
    if fit.equals(fit.r + before):
        return ["accumulated: the value at the point evaluated before is still in it, not zeroed"]
    return []


def _taken(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise the right values of something else."""
    out = [
        f"equals the gradient of {name}: swapped?"
        for name, g in fit.known.others.items()
        if fit.equals(g)
    ]
    for name, z in fit.arrays():
        if fit.equals(z):
            why = ": the local derivative is missing" if name == "dy" else ""
            out.append(f"equals {name} itself{why}")
    return out


def _summed(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise an array summed over the wrong axis."""
    for name, z in fit.known.related.items():
        z = np.asarray(z)
        if z.ndim < 2 or z.dtype.kind != "f":
            continue
        for axis in range(z.ndim):
            if not (z.shape[axis] > 1 and fit.equals(z.sum(axis))):
                continue
            if axis == z.ndim - 1:
                return [f"looks summed over features (the last axis of {name}), not over the batch"]
            return [f"looks summed over axis {axis} of {name}"]
        if z.shape[1:] == fit.a.shape and z.shape[0] > 1:
            for i, word in ((-1, "last"), (0, "first")):
                if fit.equals(z[i]):
                    return [f"only the {word} sample of {name}: overwritten instead of accumulated"]
    return []


def _factor(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise one factor for all entries."""
    energy = float(np.vdot(fit.r, fit.r).real)
    if energy == 0 or fit.a.dtype.kind == "c":
        return []
    c = float(np.vdot(fit.r, fit.a)) / energy
    if c == 0 or not fit.same(fit.a, c * fit.r):
        return []
    if fit.a.size == 1 and _reason(abs(c), fit) == "":
        return []
    if abs(c + 1) <= fit.tol:
        return ["sign flipped"]
    ratio = abs(c)
    flipped = "sign flipped, and " if c < 0 else ""
    length = float(np.linalg.norm(fit.a))
    if fit.a.size > 1 and abs(length - 1) <= fit.tol:
        return [f"{flipped}normalised to length 1: right direction, wrong length"]
    big = max(ratio, 1 / ratio)
    size = f"{big:.2f}" if big > 1.01 else f"{big:.8f}".rstrip("0")
    text = f"{size}× too {'large' if ratio > 1 else 'small'}"
    reason = _reason(ratio, fit) or "right direction, wrong length"
    return [f"{flipped}{text} everywhere: {reason}"]


def _reason(ratio: float, fit: _Fit) -> str:
    """Explain a factor as a simple fraction, a length or a constant."""
    close = max(4 * fit.tol, 1e-12)
    big = max(ratio, 1 / ratio)
    # The same length may belong to several axes: the first is named.
    lengths = {n: name for name, n in reversed(fit.known.sizes.items()) if n > 1}
    for k, axis in enumerate(fit.a.shape):
        if axis > 1:
            lengths.setdefault(axis, f"axis {k}")

    def is_(value: float) -> bool:
        return abs(big - value) <= close * value

    for n, name in lengths.items():
        of = f"n = {n} ({name})"
        if is_(n):
            if ratio > 1:
                return f"a missing 1/{n}? (a missing 1/n with {of}: summed instead of averaged)"
            return f"a missing factor {n}? (averaged instead of summed, with {of})"
        if n > 2 and is_(n / (n - 1)):
            return f"n and n − 1 confused, with {of}?"
    for n, name in lengths.items():
        of = f"n = {n} ({name})"
        if n > 3 and is_(math.sqrt(n)):
            return f"a missing {'1/√n' if ratio > 1 else '√n'} with {of}?"
        if is_(n * n):
            return f"a {'missing 1/n²' if ratio > 1 else 'factor 1/n² too many'} with {of}?"
    if is_(round(big)) and round(big) > 1:
        n = round(big)
        return f"a missing 1/{n}?" if ratio > 1 else f"a missing factor {n}?"
    simple = Fraction(ratio).limit_denominator(12)
    if simple > 0 and abs(ratio - simple) <= close * ratio and simple.numerator <= 12:
        return f"a factor {simple}?"
    for name, value in _CONSTANTS.items():
        if abs(ratio * value - 1) <= close:
            return f"a missing factor {name}?"
        if abs(ratio / value - 1) <= close:
            return f"a missing factor 1/{name}?"
    for (n, first), (m, second) in itertools.permutations(lengths.items(), 2):
        if abs(ratio - n / m) <= close * ratio:
            return f"divided by {m} ({second}), not by {n} ({first})?"
    return ""


def _moved(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise the right values in other places."""
    r = fit.r
    if not fit.known.structure or r.size < 3:
        return []
    if r.ndim >= 2:
        for one, two in itertools.combinations(reversed(range(r.ndim)), 2):
            if fit.equals(np.swapaxes(r, one, two)):
                return [
                    "equals the transpose"
                    if r.ndim == 2
                    else f"axes {two} and {one} are swapped: equals the transpose"
                ]
        if fit.equals(np.flip(r, (-2, -1))):
            return ["flipped along the last two axes: convolution and correlation confused?"]
        if fit.equals(r.ravel(order="F").reshape(r.shape)):
            return ["the right values in column-major order: a reshape in place of a transpose?"]
    # A few values that repeat, such as a mask's, fit a shift by chance.
    varied = np.unique(np.round(r / fit.scale, 9)).size > r.size / 2
    for axis in range(r.ndim):
        n = r.shape[axis]
        along = f" along axis {axis}" if r.ndim > 1 else ""
        if n < 3:
            continue
        if fit.equals(np.flip(r, axis)):
            return [f"reversed{along}"]
        for k in (1, -1, 2, -2) if varied else ():
            a_part = np.moveaxis(fit.a, axis, 0)
            r_part = np.moveaxis(r, axis, 0)
            pair = (a_part[k:], r_part[:-k]) if k > 0 else (a_part[:k], r_part[-k:])
            if len(pair[0]) >= 2 and fit.same(*pair):
                step = "one" if abs(k) == 1 else "two"
                return [
                    f"shifted by {step}{along}: off by one?"
                    if step == "one"
                    else f"shifted by {step}{along}"
                ]
    if varied and r.size > 3 and fit.same(np.sort(fit.a, axis=None), np.sort(r, axis=None)):
        return ["the right values in another order"]
    return []


def _power(fit: _Fit, _: np.ndarray) -> list[str]:
    if fit.a.size < 2 or fit.a.dtype.kind == "c":
        return []
    r, sign = np.abs(fit.r), np.sign(fit.r)
    if fit.equals(r):
        return ["the sign is lost: equals the absolute value"]
    for p, name in ((2, "squared"), (0.5, "the square root is taken"), (3, "cubed")):
        if fit.equals(r**p) or fit.equals(sign * r**p):
            return [name]
    if np.all(r > 0) and fit.equals(1 / fit.r):
        return ["the reciprocal is taken"]
    return []


def _local(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise what is wrong in some places only, and how."""
    bad = fit.bad
    if bad.all() or not bad.any():
        return []
    places = [p for p in (_by_value(fit), _by_place(fit)) if p]
    if int(bad.sum()) > 1:
        places = places[:1]
    inside = _inside(fit)
    return [
        f"wrong {'' if place.startswith('everywhere') else 'only '}{place}{inside}"
        for place in places[:2]
    ]


def _inside(fit: _Fit) -> str:
    a, r = fit.a[fit.bad], fit.r[fit.bad]
    if not np.any(a):
        return ", where it is zero"
    if not np.any(np.abs(r) > fit.known.noise * fit.scale):
        return ", where zero is right"
    if a.size > 1 and a.dtype.kind != "c":
        part = _Fit(a, r, max(_largest(a), _largest(r)), fit.tol, fit.known)
        for text in _factor(part, a):
            return f", there {text.replace(' everywhere', '')}"
    return ""


def _by_value(fit: _Fit) -> str:
    """Describe the wrong entries by the values of an array in play."""
    bad = fit.bad
    if bad.size < 3:
        return ""
    arrays = sorted(fit.arrays(), key=lambda item: item[0] != fit.known.point)
    arrays += [
        (f"{one} − {two}", z - w) for (one, z), (two, w) in itertools.combinations(arrays[:6], 2)
    ]
    for name, z in arrays:
        for test, mask in (
            (f"{name} = 0", z == 0),
            (f"{name} ≤ 0", z <= 0),
            (f"{name} > 0", z > 0),
            (f"{name} < 0", z < 0),
            (f"{name} ≥ 0", z >= 0),
        ):
            if not mask.any() or mask.all() or np.any(bad & ~mask):
                continue
            alike = np.array_equal(bad & fit.visible, mask & fit.visible)
            if np.array_equal(bad, mask) or (alike and np.sum(bad) >= 0.9 * np.sum(mask)):
                return f"where {test}"
    if bad.size < 5:
        return ""
    for name, z in arrays:
        inside, outside = z[bad], z[~bad]
        if np.abs(inside).min() > np.abs(outside).max() and inside.min() < 0 < inside.max():
            t = np.abs(inside).min()
            return f"where |{name}| ≥ {t:.3g} (right up to {np.abs(outside).max():.3g}): saturated?"
        if np.abs(inside).max() < np.abs(outside).min():
            return f"where |{name}| ≤ {np.abs(inside).max():.3g}: near zero"
        if inside.min() > outside.max():
            return (
                f"where {name} ≥ {inside.min():.3g} (right up to {outside.max():.3g}): saturated?"
            )
        if inside.max() < outside.min():
            return (
                f"where {name} ≤ {inside.max():.3g} (right from {outside.min():.3g} on): saturated?"
            )
    # Wrong for a part of the entries of one sign only: a mask that is almost the right one.
    for name, z in arrays[:1]:
        for test, mask in ((f"{name} ≤ 0", z <= 0), (f"{name} > 0", z > 0)):
            if bad.sum() >= 4 and not np.any(bad & ~mask) and bad.sum() > 0.7 * mask.sum():
                return f"where {test}"
    return ""


def _by_place(fit: _Fit) -> str:
    """Describe the wrong entries by their indices."""
    bad = fit.bad
    where = np.argwhere(bad)
    if not fit.known.structure:
        return ""
    if len(where) == 1:
        return f"in entry {_index(where[0])}"
    if bad.ndim == 2 and len(bad) > 1 and np.all(bad.sum(1) == 1):
        for name, z in fit.known.related.items():
            if np.asarray(z).dtype.kind in "iu" and np.array_equal(z, bad.argmax(1)):
                return f"in the entry that {name} names in each row"
        return "in one entry of each row"
    if bad.ndim == 2 and bad.shape[0] == bad.shape[1]:
        eye = np.eye(len(bad), dtype=bool)
        for name, mask in (
            ("on the diagonal", eye),
            ("off the diagonal", ~eye),
            ("above the diagonal", np.triu(~eye)),
            ("below the diagonal", np.tril(~eye)),
            ("on and above the diagonal", np.triu(np.ones_like(eye))),
            ("on and below the diagonal", np.tril(np.ones_like(eye))),
        ):
            if np.array_equal(bad, mask):
                return name
    for axis in range(bad.ndim):
        rest = tuple(i for i in range(bad.ndim) if i != axis)
        some, share = bad.any(rest), bad.mean(rest)
        if some.all() or (rest and share[some].min() < 0.6):
            continue
        found, n = np.flatnonzero(some), bad.shape[axis]
        for name, z in fit.known.related.items():
            z = np.asarray(z)
            if axis == 0 and z.dtype.kind in "iu" and z.size and 0 <= z.min() <= z.max() < n:
                often = np.flatnonzero(np.bincount(z.ravel(), minlength=n) > 1)
                if np.array_equal(often, found):
                    return f"in the rows that {name} names more than once: overwritten, not added?"
        return _slices(found, n, axis, bad.ndim)
    if len(where) <= 4:
        return "in entries " + ", ".join(_index(i) for i in where)
    return ""


def _slices(found: np.ndarray, n: int, axis: int, ndim: int) -> str:
    word = {(2, 0): "row", (2, 1): "column", (1, 0): "entry"}.get((ndim, axis), f"axis {axis} at")
    plural = {"row": "rows", "column": "columns", "entry": "entries"}.get(word, word)
    if len(found) == 1:
        name = {0: "the first ", n - 1: "the last "}.get(int(found[0]), "")
        if name and word in ("row", "column", "entry"):
            return f"in {name}{word} ({found[0]})"
        return f"in {word} {found[0]}"
    if len(found) == n - 1:
        (other,) = set(range(n)) - set(found.tolist())
        if n > 3:
            return f"everywhere but in {word} {other}"
    low, high = int(found[0]), int(found[-1])
    if len(found) == high - low + 1 and len(found) > 2:
        if high == n - 1:
            return f"from {word} {low} on: right up to {word} {low - 1}"
        if low == 0:
            return f"up to {word} {high}: right from {word} {high + 1} on"
        return f"in {plural} {low} to {high}"
    if len(found) == high - low + 1:
        return f"in {plural} {low} and {high}"
    step = np.unique(np.diff(found))
    if len(step) == 1 and len(found) > 2:
        ending = {2: "nd", 3: "rd"}.get(int(step[0]), "th")
        return f"in every {step[0]}{ending} {word}, from {low} on"
    if len(found) <= 6:
        return f"in {plural} {', '.join(map(str, found))}"
    return f"in {len(found)} of {n} {plural}"


def _forms(name: str, z: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Factors that a derivative may contain, made from one array."""
    yield name, z
    with np.errstate(all="ignore"):
        yield f"{name}(1 − {name})", z * (1 - z)
        yield f"(1 − {name}²)", 1 - z**2
        yield f"{name}²", z**2
        yield f"(1 − {name})", 1 - z
        yield f"(1 + {name})", 1 + z
        yield f"[{name} > 0]", (z > 0).astype(float)
        yield f"exp({name})", np.exp(np.minimum(z, 700))
        yield f"√{name}", np.sqrt(np.abs(z))


def _slopes(z: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Slopes that an elementwise function may have, or be given by mistake."""
    from mathdl import activations  # here, so that the checks start without it

    one = np.ones_like(z)
    for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus"):
        yield f"{name}'", getattr(activations, f"{name}_vjp")(z, one)
    yield "gelu'(approximate='tanh')", activations.gelu_vjp(z, one, "tanh")
    yield (
        "Φ (the normal distribution function)",
        np.where(np.abs(z) > 1e-30, activations.gelu(z) / np.where(z == 0, 1.0, z), 0.5),
    )
    yield "[z < 0]", (z < 0).astype(z.dtype)
    yield from (("z", z), ("1 − z", 1 - z), ("1 − z²", 1 - z * z), ("z(1 − z)", z * (1 - z)))


def _slope(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise the slope of another activation, or of the right one at another array."""
    arrays, dy = dict(fit.arrays()), fit.known.related.get("dy")
    x, y = arrays.get(fit.known.point), arrays.get("y")
    if x is None or dy is None or np.shape(dy) != fit.a.shape or fit.a.size < 3:
        return []
    with np.errstate(all="ignore"):
        right = [(n, s) for n, s in _slopes(x) if fit.same(fit.r, dy * s)]
        if not right:
            return []
        # Neighbouring activations differ by little near zero: compare at rounding, not at `tol`.
        close = max(100 * fit.known.noise, 1e-3 * fit.tol)
        point = fit.known.point
        for at, z in ((point, x), ("y", y)):
            for name, s in _slopes(z) if z is not None else ():
                if name != "softplus'" and _largest(fit.a - dy * s) <= close * fit.scale:
                    there = f"{name} at {at}" if "z" not in name else name.replace("z", at)
                    return [f"has the slope {there}, where {right[0][0]} at {point} is right"]
    return []


def _coupled(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise a softmax whose entries do not feel each other, or feel the wrong ones."""
    arrays, dy = dict(fit.arrays()), fit.known.related.get("dy")
    y = arrays.get("y")
    if y is None or dy is None or np.shape(dy) != fit.a.shape or fit.a.ndim < 1:
        return []

    def vjp(axis: int) -> np.ndarray:
        return y * (dy - (y * dy).sum(axis, keepdims=True))

    for axis in range(fit.a.ndim):
        if not fit.same(fit.r, vjp(axis)):
            continue
        if fit.equals(dy * y * (1 - y)):
            return ["equals dy·y(1 − y): the softmax's other entries are left out"]
        for other in range(fit.a.ndim):
            if other != axis and fit.equals(vjp(other)):
                return [f"the softmax's sum runs over axis {other}, where axis {axis} is right"]
    return []


def _clipped(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise entries cut off at a limit."""
    limit = _largest(fit.a)
    if fit.a.dtype.kind == "c" or np.sum(np.abs(fit.a) >= limit * (1 - 1e-12)) < 2:
        return []
    if fit.equals(np.clip(fit.r, -limit, limit)):
        return [f"clipped to ±{limit:.3g}"]
    return []


def _guided(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise a gradient that is masked by its own sign."""
    dy = fit.known.related.get("dy")
    if dy is not None and np.shape(dy) == fit.a.shape and fit.equals(fit.r * (np.asarray(dy) > 0)):
        return ["zero where dy ≤ 0: masked by the sign of the gradient (guided backpropagation?)"]
    return []


def _elementwise(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise a factor, missing or too many, that differs from entry to entry."""
    if fit.a.size < 3 or fit.a.dtype.kind == "c":
        return []
    forms = []
    for name, z in fit.arrays():
        for form, w in _forms(name, z):
            if "[" in form or not np.all(np.isfinite(w)) or np.ptp(w) == 0:
                continue
            forms.append((name, form, w))
            if fit.same(fit.a * w, fit.r):
                return [f"a missing factor {form}"]
            if fit.equals(fit.r * w):
                return [f"the factor {form} once too often"]
    local = [
        (n, form, w)
        for n, form, w in forms
        if ("1 −" in form or "exp" in form) and np.all(w) and np.unique(w).size > 3
    ]
    for (n1, wrong, w1), (n2, right, w2) in itertools.permutations(local, 2):
        if n1 != n2 and fit.same(fit.a * w2, fit.r * w1):
            return [f"has the factor {wrong}, where {right} is right: {n1} taken for {n2}"]
    return []


def _by_axis(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise one factor per row or column."""
    if not fit.known.structure or fit.a.ndim < 2 or fit.a.dtype.kind == "c":
        return []
    for axis in reversed(range(fit.a.ndim)):
        if fit.a.shape[axis] < 2 or fit.a.size < 4:
            continue
        if np.mean((fit.r != 0).sum(axis) > 1) < 0.5:  # too sparse to speak of a factor
            continue
        energy = (fit.r**2).sum(axis, keepdims=True)
        with np.errstate(all="ignore"):
            c = (fit.a * fit.r).sum(axis, keepdims=True) / np.where(energy > 0, energy, 1)
        if fit.equals(c * fit.r) and np.all(np.abs(c[energy > 0] - 1) > 1e-6):
            word = {0: "column", 1: "row"}.get(axis, "slice") if fit.a.ndim == 2 else "slice"
            spread = c[energy > 0]
            return [
                f"each {word} has a factor of its own, from {spread.min():.3g} to "
                f"{spread.max():.3g} (constant along axis {axis}): a {word} normalised or weighted "
                "wrongly?"
            ]
    return []


def _term(fit: _Fit, _: np.ndarray) -> list[str]:
    """Recognise a term missing or too many."""
    missing = fit.r - fit.a
    if missing.dtype.kind == "c" or fit.a.size < 3:
        return []
    gap = _Fit(missing, missing, fit.scale, fit.tol * fit.scale / _largest(missing), fit.known)
    for name, z in fit.arrays():
        if z.shape != missing.shape or np.ptp(z) == 0 or not np.vdot(z, z):
            continue
        c = float(np.vdot(z, missing) / np.vdot(z, z))
        if gap.same(missing, c * z):
            sort = "is missing" if c > 0 else "is too much"
            size = "" if abs(abs(c) - 1) <= 1e-6 else f"{abs(c):.4g}·"
            why = ""
            if name == fit.known.point:
                why = " (weight decay, an L2 penalty?)"
            elif name == "dy":
                why = " (the path of the skip connection not added?)" if c > 0 else ""
            return [f"the term {size}{name} {sort}{why}"]
    mean = float(missing.mean())
    if gap.same(missing, np.full_like(missing, mean)):
        return [f"off by the same number everywhere: {-mean:+.4g}"]
    if not fit.known.structure:
        return []
    for axis in reversed(range(missing.ndim)):
        if missing.shape[axis] < 2 or missing.ndim < 2:
            continue
        if gap.same(missing, np.broadcast_to(missing.mean(axis, keepdims=True), missing.shape)):
            return [
                f"off by an amount that is constant along axis {axis}: a missing mean "
                "(softmax, layer norm subtract one)?"
            ]
    arrays = [(name, z) for name, z in fit.arrays() if np.ptp(z) > 0]
    forms = [(form, w) for name, z in arrays for form, w in _forms(name, z)]
    for form, w in [*arrays, *forms]:
        for axis in reversed(range(missing.ndim)):
            if missing.shape[axis] < 3 or not np.all(np.isfinite(w)):
                continue
            energy = (w**2).sum(axis, keepdims=True)
            c = (w * missing).sum(axis, keepdims=True) / np.where(energy > 0, energy, 1)
            if gap.same(missing, c * w):
                return [
                    f"off by {form} times a number constant along axis {axis}: a missing sum "
                    "or mean in its derivative (softmax, normalisation)?"
                ]
    return []


def _rank_one(fit: _Fit, _: np.ndarray) -> list[str]:
    missing = fit.r - fit.a
    if (
        missing.ndim != 2
        or min(missing.shape) < 3
        or not fit.known.structure
        or max(missing.shape) > 2000
    ):
        return []
    sigma = np.linalg.svd(missing, compute_uv=False)
    if sigma[1] <= fit.tol * fit.scale:
        return ["off by a matrix of rank one: one outer product (a sample, a mean) is missing?"]
    return []


def _rounding(fit: _Fit, actual: np.ndarray) -> list[str]:
    """Recognise errors that come from precision, not from a formula."""
    off = float(fit.off.max())
    if actual.dtype == np.float64 and off < 1e-3:
        single = actual.astype(np.float32).astype(float)
        if np.array_equal(single, actual) and not np.array_equal(
            fit.r.astype(np.float32).astype(float), fit.r
        ):
            return ["computed in float32: every entry is a single-precision number"]
        if off < 1e-5 and fit.bad.mean() > 0.5:
            return [
                f"an error of {off:.0e}, the size of float32's rounding: something inside is in "
                "single precision, or is itself a difference quotient?"
            ]
    return []


def _alike(fit: _Fit, _: np.ndarray) -> list[str]:
    """Say how far off, where no mistake is recognised."""
    if fit.a.dtype.kind == "c" or fit.a.size < 2:
        return []
    lengths = float(np.linalg.norm(fit.a)), float(np.linalg.norm(fit.r))
    if not all(lengths):
        return []
    cosine = float(np.vdot(fit.a, fit.r)) / (lengths[0] * lengths[1])
    angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    if int(fit.bad.sum()) < fit.a.size:
        share = f"wrong in {int(fit.bad.sum())} of {fit.a.size} entries{_inside(fit)}"
    else:
        share = "wrong in every entry"
    return [
        f"{share}: {angle:.0f}° from the right direction and {lengths[0] / lengths[1]:.3g} times "
        "as long; a term or a path missing?"
    ]


_FAMILIES = (
    _vanished,
    _factor,
    _taken,
    _slope,
    _remembered,
    _coupled,
    _clipped,
    _guided,
    _rounding,
    _moved,
    _summed,
    _power,
    _elementwise,
    _by_axis,
    _local,
    _term,
    _rank_one,
    _alike,
)
