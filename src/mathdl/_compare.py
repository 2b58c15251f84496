"""The comparison of a gradient with independent routes, for :mod:`mathdl.checks`."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mathdl import diagnosis, gradcheck
from mathdl._records import Refused, Route, Trial, verdict_only
from mathdl.gradcheck import NotComplexSafe, leaves, random_signs, rebuild, require_float

# Rounding: 1024 ε for an entry. Central differences: 128 times their ε^⅔.
EXACT = 2.0**10
DIFFERENCE = 2.0**7
# Seconds that a failed check may take to find out what is wrong.
PATIENCE = 3.0


def device() -> str:
    """Return the device on which torch is the referee.

    Returns
    -------
    str
        The environment variable ``MATHDL_DEVICE``, by default ``"cpu"``; ``"cuda"``,
        ``"cuda:1"`` and ``"mps"`` are the others.

    Raises
    ------
    ValueError
        If it names no such device.

    Examples
    --------
    >>> device() in ("cpu", "cuda", "mps")
    True
    """
    name = os.environ.get("MATHDL_DEVICE", "").strip() or "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ValueError(f"MATHDL_DEVICE must be cpu, cuda, cuda:N or mps, got {name!r}")
    return name


def epsilon(dtypes: Sequence[Any]) -> float:
    """Return the coarsest unit of rounding among some dtypes."""
    return max((float(np.finfo(dtype).eps) for dtype in dtypes), default=2.0**-52)


def largest(array: np.ndarray) -> float:
    """Return the largest magnitude, 0 for an empty array."""
    return float(np.max(np.abs(array), initial=0.0))


def inner(arrays: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """Return the inner product of two points, in double precision."""
    return sum(
        float(np.vdot(a.astype(float), b.astype(float)))
        for a, b in zip(arrays, others, strict=True)
    )


@dataclass
class Point:
    """A point at which gradients are compared, one per cotangent.

    ``previous`` are the gradients that the function under test returned ``elsewhere`` before.
    """

    x: Any
    arrays: list[np.ndarray]
    cotangents: list[np.ndarray]
    gradients: list[list[np.ndarray]]
    previous: list[np.ndarray] | None = None
    elsewhere: Any = None
    scales: list[float] = field(default_factory=list)


@dataclass
class Problem:
    """A function, the gradient under test, and how they are to be compared."""

    f: Callable
    names: list[str]
    rng: np.random.Generator
    routes: tuple[str, ...]
    directions: int
    tol: float | None
    scale: float | None
    # (x, cotangents) -> gradients; None if only values at the point are known.
    gradients: Callable[[Any, list[np.ndarray]], list[list[np.ndarray]]] | None = None
    torch_gradients: Callable[[Point], list[list[np.ndarray]]] | None = None
    # Point -> more mistakes to try, by tensor: name -> {phrase: array or callable}.
    hypotheses: Callable[[Point, str], dict[str, dict[str, Any]]] | None = None
    # Point -> arrays in play, by name.
    related: Callable[[Point], dict[str, np.ndarray]] | None = None
    # (Point, method) -> (array under test, right array), in place of the gradients.
    whole: Callable[[Point, str], tuple[np.ndarray, np.ndarray]] | None = None
    what: str = "gradient"
    sources: tuple[Callable, ...] = ()
    complex_safe: bool = True

    def __post_init__(self) -> None:
        for name in self.routes:
            if name not in ("complex", "central"):
                raise ValueError(f"routes are 'complex' and 'central', got {name!r}")
        if not self.routes:
            raise ValueError("routes must name 'complex', 'central' or both")
        if self.directions < 1:
            raise ValueError(f"directions must be at least 1, got {self.directions}")
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be a positive number, got {self.scale}")

    def exact(self, point: Point, entries: int) -> float:
        """Return the tolerance of an exact route along a direction through some entries."""
        eps = epsilon([a.dtype for a in point.arrays])
        base = self.tol if self.tol is not None else EXACT * eps
        return base * max(entries, 1) ** 0.5

    def called(self, t: int) -> str:
        """Return what to call the gradient of one tensor."""
        if len(self.names) == 1:
            return f"the {self.what}"
        return f"the {self.what} with respect to {self.names[t]}"


def compare(trial: Trial, problem: Problem, points: list[Point]) -> None:
    """Compare gradients at every point by every route.

    Raises
    ------
    Refused
        If they differ, or if nothing can be compared.
    """
    biggest = [
        max((largest(g[t]) for p in points for g in p.gradients), default=0.0)
        for t in range(len(problem.names))
    ]
    trial.scale = problem.scale if problem.scale is not None else max(biggest)
    if problem.scale is None and not all(biggest):
        _refuse_zero(trial, problem, points, biggest.index(0.0))
    for point in points:
        _set_scales(problem, point, biggest)
        for attempt in itertools.count():
            if _compare_at(trial, problem, point, points):
                break
            if attempt == 3 or problem.gradients is None:
                trial.note("the point lies on a kink, where derivatives cannot be compared")
                break
            point = _redraw(problem, point, biggest)
            trial.note("a point on a kink was redrawn beside it")
    if not any(route.points for route in trial.routes):
        value = np.asarray(problem.f(points[0].x))
        if not np.all(np.isfinite(value)):
            raise Refused("not finite: f(x) is nan or inf")
        lines = _experiments(problem, points[0])
        if lines:
            raise Refused(lines[0])


def _set_scales(problem: Problem, point: Point, biggest: list[float]) -> None:
    """Choose each tensor's scale: its own largest entry, but not its peers' rounding."""
    if problem.scale is not None:
        point.scales = [problem.scale] * len(problem.names)
        return
    own = [
        max((largest(g[t]) for g in point.gradients), default=0.0)
        for t in range(len(problem.names))
    ]
    floor = 1e-4 * max(own, default=0.0)
    point.scales = [max(s, floor) or big for s, big in zip(own, biggest, strict=True)]


def _redraw(problem: Problem, point: Point, biggest: list[float]) -> Point:
    arrays = [
        (a + 1e-2 * random_signs(problem.rng, a.shape) * np.maximum(np.abs(a), 0.1)).astype(a.dtype)
        for a in point.arrays
    ]
    x = rebuild(point.x, arrays)
    new = Point(x, arrays, point.cotangents, problem.gradients(x, point.cotangents))
    _set_scales(problem, new, biggest)
    return new


def _draw(problem: Problem, point: Point) -> list[tuple[list[np.ndarray], int]]:
    """Draw directions, with how many entries each mixes: every entry if there are few."""
    size = sum(a.size for a in point.arrays)
    if size <= 2 * problem.directions:
        return [(gradcheck.split(unit, point.arrays), 1) for unit in np.eye(size)]
    return [
        (gradcheck.split(random_signs(problem.rng, (size,)), point.arrays), size)
        for _ in range(problem.directions)
    ]


def _compare_at(trial: Trial, problem: Problem, point: Point, points: list[Point]) -> bool:
    """Compare at one point; False if it lies on a kink."""
    smooth = True
    if "complex" in problem.routes and problem.complex_safe:
        smooth = _complex_route(trial, problem, point, points)
    if smooth and ("central" in problem.routes or not problem.complex_safe):
        smooth = _central_route(trial, problem, point, points)
    if smooth and problem.torch_gradients is not None:
        _torch_route(trial, problem, point, points)
    return smooth


# --- the complex step ---------------------------------------------------------------------


def _complex_route(trial: Trial, problem: Problem, point: Point, points: list[Point]) -> bool:
    worst, allowed, count = 0.0, 0.0, 0
    for u, entries in _draw(problem, point):
        moves = [v / s for v, s in zip(u, point.scales, strict=True)]
        try:
            tangent = gradcheck.complex_tangent(problem.f, point.x, point.arrays, moves)
        except NotComplexSafe as error:
            problem.complex_safe = False
            trial.note(f"no complex step: the function is not complex-safe ({error})")
            return True
        for dy, gradient in zip(point.cotangents, point.gradients, strict=True):
            tolerance = problem.exact(point, entries)
            analytic, value = inner(moves, gradient), inner([dy], [tangent])
            error = abs(analytic - value)
            if not error <= tolerance:
                noise = _conditioning(problem, point, moves, dy, value)
                if error <= 8 * noise:
                    if noise > 1e-3:
                        return False
                    tolerance += 8 * noise
                elif _is_unsafe(trial, problem, point, moves, dy, analytic, value):
                    return True
                else:
                    explain(trial, problem, point, points, "complex step", error, tolerance)
            count += 1
            if error * allowed >= worst * tolerance:
                worst, allowed = error, tolerance
    trial.add(Route("complex step", worst, allowed, count))
    return True


def _conditioning(
    problem: Problem, point: Point, moves: list[np.ndarray], dy: np.ndarray, value: float
) -> float:
    """Measure how far rounding moves the derivative.

    Rounding of the point itself moves it by its condition number, or to the other side of a
    kink. Rounding inside the function is what is left of a second difference over √ε, whose
    smooth part is of the size of ε.
    """
    if not np.isfinite(value):
        return 0.0
    typical = max(largest(a) for a in point.arrays) or 1.0

    def at(shifts: list[np.ndarray], sign: float) -> float:
        arrays = [(a + sign * s).astype(a.dtype) for a, s in zip(point.arrays, shifts, strict=True)]
        tangent = gradcheck.complex_tangent(problem.f, point.x, arrays, moves)
        return inner([dy], [tangent])

    rounded = inside = 0.0
    for _ in range(3):
        shifts = [random_signs(problem.rng, a.shape) for a in point.arrays]
        ulps = [
            4 * np.finfo(a.dtype).eps * s * np.abs(a)
            for a, s in zip(point.arrays, shifts, strict=True)
        ]
        roots = [
            np.finfo(a.dtype).eps ** 0.5 * s * np.where(a == 0, typical, np.abs(a))
            for a, s in zip(point.arrays, shifts, strict=True)
        ]
        rounded = max(rounded, abs(at(ulps, 1) - value))
        inside = max(inside, abs(at(roots, 1) + at(roots, -1) - 2 * value))
    return max(rounded, inside if inside <= 1e-3 else 0.0)


def _is_unsafe(
    trial: Trial,
    problem: Problem,
    point: Point,
    moves: list[np.ndarray],
    dy: np.ndarray,
    analytic: float,
    value: float,
) -> bool:
    """Let differences decide who is wrong when complex step and gradient differ."""
    length = max(
        largest(m / np.maximum(1, np.abs(a))) for m, a in zip(moves, point.arrays, strict=True)
    )
    phi = _line(problem, point, [m / length for m in moves], [dy])
    referee = difference(phi, None, 1 / length)
    if referee is None:
        return False
    slope, doubt = referee[0][0] * length, referee[1] * length
    if abs(value - slope) <= 4 * doubt:
        return False
    problem.complex_safe = False
    trial.note(
        f"no complex step: the function is not complex-safe (it says {value:.6g}, differences "
        f"say {slope:.6g}: an abs, a conj, a max of magnitudes?)"
    )
    # If the differences do not bear out the gradient either, it is wrong.
    return abs(slope - analytic) <= doubt


# --- central differences ------------------------------------------------------------------


def _line(
    problem: Problem, point: Point, moves: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]
) -> Callable[[float], tuple[np.ndarray, float, float]]:
    """Return t -> (values of <dy, f(x + t u)>, their size, ε of the arithmetic).

    The point is widened to float64; a function that keeps the dtype then works in it.
    """
    wide = [a.astype(float) for a in point.arrays]

    def phi(t: float) -> tuple[np.ndarray, float, float]:
        arrays = [a + t * u for a, u in zip(wide, moves, strict=True)]
        with np.errstate(all="ignore"):
            value = np.asarray(problem.f(rebuild(point.x, arrays)))
        eps = epsilon([value.dtype]) if value.dtype.kind == "f" else 2.0**-52
        terms = [dy.astype(float) * value.astype(float) for dy in cotangents]
        size = max(float(np.linalg.norm(term)) for term in terms)
        return np.array([float(np.sum(term)) for term in terms]), size, eps

    return phi


def difference(
    phi: Callable[[float], tuple[np.ndarray, float, float]],
    target: np.ndarray | None,
    scale: float,
    allowed: float = 0.0,
) -> tuple[np.ndarray, float] | None:
    """Differentiate t -> phi(t) at 0 by central differences, aware of kinks.

    Returns the derivatives and how far they can be trusted, or None if a kink lies within the
    step however short it is made. With a target, returns as soon as the target is met.

    A kink inside (-h, h) that spoils the derivative by E makes the differences with steps h and
    h/2, or the second differences at both, disagree by at least 0.4 E.
    """
    full = gradcheck.optimal_step(np.float64, "central")
    up, size, eps = phi(full)
    if eps > 1e-10:
        full = gradcheck.optimal_step(np.float32, "central")
        up, size, eps = phi(full)
    start = None
    for shrink in (1, 8, 64, 512):
        h = full / shrink
        if shrink > 1:
            up, size, eps = phi(h)
        down = phi(-h)[0]
        wide = (up - down) / (2 * h)
        doubt = DIFFERENCE * (eps ** (2 / 3) * scale + eps * size / h) + allowed
        if target is not None and np.all(np.abs(wide - target) <= doubt):
            return wide, doubt
        if start is None:
            start = phi(0.0)[0]
        right, left = phi(h / 2)[0], phi(-h / 2)[0]
        narrow = (right - left) / h
        best = (4 * narrow - wide) / 3
        bend = (up - 2 * start + down) / h - 4 * (right - 2 * start + left) / h
        rough = np.maximum(np.abs(wide - narrow), np.abs(bend))
        if target is None:
            if np.all(rough <= doubt):
                return best, doubt
            continue
        off = np.abs(best - target)
        if np.all(off <= doubt) or np.any((off > doubt) & (rough < 0.1 * off)):
            return best, doubt
    return None


def _central_route(trial: Trial, problem: Problem, point: Point, points: list[Point]) -> bool:
    worst, allowed, count, skipped = 0.0, 0.0, 0, 0
    directions = _draw(problem, point)
    if directions and directions[0][1] > 1:
        directions = directions[: (len(directions) + 1) // 2]
    for u, entries in directions:
        moves = [v * np.maximum(1, np.abs(a)) for v, a in zip(u, point.arrays, strict=True)]
        target = np.array([inner(moves, g) for g in point.gradients])
        scale = max(s * largest(v) for s, v in zip(point.scales, moves, strict=True))
        phi = _line(problem, point, moves, point.cotangents)
        found = difference(phi, target, scale, problem.exact(point, entries) * scale)
        if found is None:
            skipped += len(target)
            continue
        value, doubt = found
        error, tolerance = largest(value - target) / scale, doubt / scale
        if not error <= tolerance:
            if _flips(problem, point, phi, value, doubt):
                skipped += len(target)
                continue
            explain(trial, problem, point, points, "central differences", error, tolerance)
        count += len(target)
        if error * allowed >= worst * tolerance:
            worst, allowed = error, tolerance
    trial.add(Route("central differences", worst, allowed, count, skipped))
    return count > 0 or not directions


def _flips(problem: Problem, point: Point, phi: Callable, value: np.ndarray, doubt: float) -> bool:
    """Whether rounding of a float32 point puts it on the other side of a kink."""
    eps = epsilon([a.dtype for a in point.arrays])
    if eps < 1e-10:
        return False
    for step in (8 * eps, -8 * eps):
        near = difference(lambda t, s=step: phi(t + s), None, 1.0, doubt)
        if near is None or largest(near[0] - value) > doubt:
            return True
    return False


# --- automatic differentiation ------------------------------------------------------------


def _torch_route(trial: Trial, problem: Problem, point: Point, points: list[Point]) -> None:
    import torch

    trial.device = device()
    trial.versions["torch"] = torch.__version__
    reference = problem.torch_gradients(point)
    eps = epsilon([a.dtype for a in (*point.arrays, *(r for row in reference for r in row))])
    tolerance = problem.tol if problem.tol is not None else EXACT * eps
    worst = 0.0
    for given, right in zip(point.gradients, reference, strict=True):
        for g, r, s in zip(given, right, point.scales, strict=True):
            worst = max(worst, largest(g.astype(float) - r) / s)
    name = f"autograd on {trial.device}"
    if not worst <= tolerance:
        if trial.routes:
            trial.note("the other routes agree with the gradient: f and its torch version differ?")
        explain(trial, problem, point, points, name, worst, tolerance, reference)
    count = sum(g.size for gradient in point.gradients for g in gradient)
    trial.add(Route(name, worst, tolerance, count))


def torch_tensors(arrays: Sequence[np.ndarray]) -> list[Any]:
    """Put arrays on the device, ready to be differentiated; float32 where it has no float64."""
    import torch

    where = device()

    def tensor(a: np.ndarray) -> Any:
        narrow = where == "mps" or a.dtype == np.float32
        dtype = torch.float32 if narrow else torch.float64
        return torch.tensor(a, dtype=dtype, device=where, requires_grad=True)

    return [tensor(a) for a in arrays]


def torch_gradients(f: Callable, point: Point) -> list[list[np.ndarray]]:
    """Differentiate a torch function at a point, for each of its cotangents."""
    import torch

    tensors = torch_tensors(point.arrays)
    with torch.device(device()):
        value = f(restructure(point.x, iter(tensors)))
    out = []
    for dy in point.cotangents:
        if value.numel() != dy.size:
            raise Refused(
                f"the torch function returns shape {tuple(value.shape)}, f {np.shape(dy)}"
            )
        seed = torch.as_tensor(dy, dtype=value.dtype, device=value.device).reshape(value.shape)
        grads = torch.autograd.grad(
            value, tensors, seed, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        out.append([g.detach().cpu().numpy() for g in grads])
    return out


def restructure(x: Any, parts: Iterator[Any]) -> Any:
    """Put torch tensors into the structure of a point."""
    if isinstance(x, dict):
        return {key: restructure(value, parts) for key, value in x.items()}
    if isinstance(x, tuple):
        return tuple(restructure(value, parts) for value in x)
    return next(parts)


# --- what is wrong ------------------------------------------------------------------------


def _refuse_zero(trial: Trial, problem: Problem, points: list[Point], t: int) -> None:
    """Refuse a tensor whose gradient is zero everywhere, right or wrong."""
    name = problem.called(t)
    point = points[0]
    moves = [np.zeros(a.shape) for a in point.arrays]
    moves[t] = random_signs(problem.rng, moves[t].shape)
    try:
        tangent = gradcheck.complex_tangent(problem.f, point.x, point.arrays, moves)
        slope = largest(tangent)
    except NotComplexSafe:
        phi = _line(problem, point, moves, point.cotangents)
        found = difference(phi, None, 1.0)
        slope = largest(found[0]) if found is not None and largest(found[0]) > found[1] else 0.0
    if slope > 0:
        raise Refused(f"all zero: {name} is zero in every entry, but the function does change")
    raise Refused(
        f"all zero: {name} is zero in every entry and rightly so, hence nothing is compared. "
        "Choose a generic point (no dead ReLU, B ≠ 0), or give scale= if zero is what is claimed"
    )


def surroundings(*functions: Callable) -> dict[str, np.ndarray]:
    """Collect the arrays that functions refer to: data in closures, globals and attributes."""
    found: dict[str, Any] = {}
    for function in functions:
        try:
            scope = inspect.getclosurevars(function)
        except (TypeError, ValueError):
            continue
        for name, value in {**scope.globals, **scope.nonlocals}.items():
            if isinstance(value, dict):
                found.update({f"{name}[{k!r}]": v for k, v in list(value.items())[:20]})
            else:
                found.setdefault(name, value)
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and 0 < value.size <= 10**6
    }


def lengths(arrays: dict[str, np.ndarray]) -> dict[str, int]:
    """List the lengths that a mean over some arrays may divide by."""
    sizes: dict[str, int] = {}
    for name, a in arrays.items():
        for axis, n in enumerate(np.shape(a)):
            sizes[f"axis {axis} of {name}" if a.ndim > 1 else f"the length of {name}"] = n
        if a.ndim > 1:
            sizes[f"the number of entries of {name}"] = a.size
    return sizes


def explain(
    trial: Trial,
    problem: Problem,
    point: Point,
    points: list[Point],
    route: str,
    error: float,
    tolerance: float,
    reference: list[list[np.ndarray]] | None = None,
) -> None:
    """Refuse a gradient and say what is wrong with it.

    Raises
    ------
    Refused
        Always.
    """
    trial.add(Route(route, error, tolerance, 1))
    if verdict_only.get():
        raise Refused(f"the {problem.what} is wrong along a random direction by {error:.1e}")
    method = "complex" if problem.complex_safe else "central"
    related = problem.related(point) if problem.related else {}
    related = {**surroundings(*problem.sources), **related}
    sizes = lengths({k: v for k, v in related.items() if k not in problem.names})
    sizes.update(lengths({k: v for k, v in related.items() if k in problem.names}))
    phrases: dict[str, list[str]] = {}
    worst = (-1.0, "")
    # How well the reference itself is known, and how closely a mistake must fit.
    noise = tolerance if route.startswith("autograd") else problem.exact(point, 1)
    if method == "central" and reference is None:
        noise = max(noise, DIFFERENCE * 2.0 ** (-52 * 2 / 3))
    tol = max(30 * noise, 1e-9)
    cases = _cases(problem, point, points, method, reference)
    truth = {name: r for name, _, r, _, _ in cases}
    extra = problem.hypotheses(point, method) if problem.hypotheses else {}
    offs = {
        name: np.abs(g.astype(float) - r)
        / max(largest(r), largest(g), point.scales[problem.names.index(name)])
        for name, g, r, _, _ in cases
    }
    # What is a thousand times less wrong than another tensor suffers from rounding.
    threshold = max(4 * noise, 1e-3 * max(largest(off) for off in offs.values()))
    for name, g, r, at, sample in cases:
        off = offs[name]
        index = worst_index(off)
        size = float(off[index])
        if size <= threshold:
            continue
        fits = diagnosis.diagnose(
            g,
            r,
            tol=tol,
            hypotheses=extra.get(name),
            related={**related, name: at},
            sizes=sizes,
            previous=_previous(problem, point, name, g, r),
            others={k: v for k, v in truth.items() if k != name and v.shape == g.shape},
            noise=noise,
            point=name,
            structure=sample is None,
        )
        if sample is not None:
            where = tuple(int(i) for i in sample[index])
            if int(np.sum(off > 1e-5 * size)) == 1:
                fits = [f"wrong only in entry [{', '.join(map(str, where))}] of those tried"]
            got, says, index = g[index], r[index], where
        else:
            got, says = g[index], r[index]
        for fit in fits or ["wrong"]:
            phrases.setdefault(fit, []).append(name)
        if size > worst[0]:
            place = f"{name}[{', '.join(map(str, index))}]" if index else name
            worst = (
                size,
                f"worst at {place}: got {float(got) + 0.0:.6g}, "
                f"{_source(route, method, reference)} says {float(says) + 0.0:.6g} "
                f"(error {size:.1e} of the largest entry, tolerance {problem.tol or noise:.1e})",
            )
    lines = _experiments(problem, point)
    several = len(problem.names) > 1
    ranked = sorted(phrases.items(), key=lambda item: -len(item[1]))
    for phrase, names in ranked[:2]:
        who = ", ".join(dict.fromkeys(names))
        lines.append(f"{who}: {phrase}" if several else phrase)
    lines = lines[:2] or [f"the {problem.what} is wrong along a random direction by {error:.1e}"]
    if several and phrases:
        wrong = [name for name in problem.names if any(name in who for who in phrases.values())]
        right_ones = [name for name in problem.names if name not in wrong]
        text = f"wrong: {', '.join(wrong)}"
        lines.append(f"{text}; right: {', '.join(right_ones)}" if right_ones else text)
    lines.extend(note for note in trial.notes if "complex-safe" in note or "torch" in note)
    raise Refused("\n".join([*lines, worst[1] or f"by {route}, tolerance {tolerance:.1e}"]))


def _source(route: str, method: str, reference: Any) -> str:
    if reference is not None:
        return route
    return "the complex step" if method == "complex" else "a central difference"


def _previous(
    problem: Problem, point: Point, name: str, g: np.ndarray, r: np.ndarray
) -> np.ndarray | None:
    """Return what was returned elsewhere, if the right values there are others."""
    if point.previous is None or problem.whole is not None or name not in problem.names:
        return None
    t = problem.names.index(name)
    before = point.previous[t]
    if not before.shape == g.shape == r.shape:
        return None
    arrays = [a for _, a in leaves(point.elsewhere)]
    moves = [np.zeros(a.shape) for a in arrays]
    moves[t] = random_signs(problem.rng, moves[t].shape)
    slope = None
    if problem.complex_safe:
        tangent = gradcheck.complex_tangent(problem.f, point.elsewhere, arrays, moves)
        slope = inner(point.cotangents[:1], [tangent])
    else:
        other = Point(point.elsewhere, arrays, point.cotangents, [])
        found = difference(_line(problem, other, moves, point.cotangents[:1]), None, 1e3)
        slope = float(found[0][0]) if found is not None else None
    here = inner(moves[t : t + 1], [r])
    if slope is None or abs(slope - here) <= 1e-6 * max(abs(slope), abs(here)):
        return None
    return before


def worst_index(off: np.ndarray) -> tuple[int, ...]:
    """Return where errors are largest: the first of the places that only rounding tells apart.

    A transposed matrix is as wrong at (i, j) as at (j, i); which of the two comes out larger
    differs from machine to machine, and what a page prints must not.
    """
    flat = np.ravel(off)
    # Without a largest number, the first that is none.
    near = flat >= (1 - 1e-9) * flat.max()
    first = int(np.argmax(near if near.any() else flat))
    return tuple(int(i) for i in np.unravel_index(first, off.shape))


def _cases(
    problem: Problem,
    point: Point,
    points: list[Point],
    method: str,
    reference: list[list[np.ndarray]] | None,
) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]]:
    """List (name, array under test, right array, point's array, indices of a sample)."""
    if problem.whole is not None and reference is None:
        actual, right = problem.whole(point, method)
        return [(problem.names[0], actual, right, point.arrays[0], None)]
    size = sum(a.size for a in point.arrays)
    many = len(points) > 1 and size <= 16 and reference is None
    if many and all([a.shape for a in p.arrays] == [a.shape for a in point.arrays] for p in points):
        rights = [_reference(problem, p, method, p.cotangents[:1])[0] for p in points]
        return [
            (
                name,
                np.stack([p.gradients[0][t] for p in points]),
                np.stack([r[t] for r in rights]),
                np.stack([p.arrays[t] for p in points]),
                None,
            )
            for t, name in enumerate(problem.names)
        ]
    if reference is None:
        reference = _reference(problem, point, method, point.cotangents[:1])
    cases = []
    for t, name in enumerate(problem.names):
        g, r, a = point.gradients[0][t], reference[0][t], point.arrays[t]
        if not g.size:
            continue
        known = np.isfinite(r)
        if known.all():
            cases.append((name, g, r, a, None))
        elif known.any():
            # Too many entries to differentiate in each: a sample stands for them.
            cases.append((name, g[known], r[known], a[known], np.argwhere(known)))
    return cases


def _reference(
    problem: Problem, point: Point, method: str, cotangents: list[np.ndarray]
) -> list[list[np.ndarray]]:
    """Differentiate numerically in every entry, or in as many as patience allows.

    Entries left out are nan.
    """
    size = sum(a.size for a in point.arrays)
    order = np.arange(size)
    if size > 64:
        # All may take too long: the entry that a bisection names, then a random sample.
        order = problem.rng.permutation(size)
        found = gradcheck.locate(
            lambda x: np.sum(np.asarray(problem.f(x)) * cotangents[0]),
            rebuild(point.x, point.gradients[0]),
            point.x,
            method=method,
        )
        if found is not None:
            t = problem.names.index(found.tensor)
            before = sum(a.size for a in point.arrays[:t])
            first = before + int(np.ravel_multi_index(found.index, point.arrays[t].shape))
            order = np.concatenate([[first], order[order != first]])
    flat = np.full((len(cotangents), size), np.nan)
    started = time.perf_counter()
    units = np.zeros(size)
    for n, i in enumerate(order):
        units[i] = 1.0
        moves = gradcheck.split(units, point.arrays)
        if method == "complex":
            tangent = gradcheck.complex_tangent(problem.f, point.x, point.arrays, moves)
            flat[:, i] = [inner([dy], [tangent]) for dy in cotangents]
        else:
            moves = [m * np.maximum(1, np.abs(a)) for m, a in zip(moves, point.arrays, strict=True)]
            found = difference(_line(problem, point, moves, cotangents), None, 1e3)
            if found is not None:
                flat[:, i] = found[0] / max(largest(m) for m in moves)
        units[i] = 0.0
        if n >= 64 and time.perf_counter() - started > PATIENCE:
            break
    return [gradcheck.split(row, point.arrays) for row in flat]


def _experiments(problem: Problem, point: Point) -> list[str]:
    """Call the functions again and see whether they give the same."""
    with np.errstate(all="ignore"):
        first, second = np.asarray(problem.f(point.x)), np.asarray(problem.f(point.x))
        if not np.array_equal(first, second, equal_nan=True):
            return ["f is random: two evaluations at the same point differ (fix its seed)"]
        if problem.gradients is None:
            return []
        again = problem.gradients(point.x, point.cotangents)
        once_more = problem.gradients(point.x, point.cotangents)
    given, again, once_more = (
        np.concatenate([g.ravel() for g in gradients[0]])
        for gradients in (point.gradients, again, once_more)
    )
    scale = max(largest(given), largest(again))
    if largest(again - given) <= 1e-6 * scale:
        return []
    if largest((once_more - again) - (again - given)) <= 1e-6 * scale:
        return ["accumulated: every call adds to the one before (zero the gradient first)"]
    if np.array_equal(again, once_more):
        return [
            "a stale cache: at the same point the gradient is another after f was evaluated there"
        ]
    return ["the gradient is random: two calls at the same point differ (fix its seed)"]


# --- reading what is given ----------------------------------------------------------------


def read_point(x: Any) -> tuple[Any, list[str], list[np.ndarray]]:
    """Read a point; refuse integers, nothing at all, and what is not finite."""
    named = leaves(x)
    arrays = [require_float(name, a).copy() for name, a in named]
    if not any(a.size for a in arrays):
        raise Refused("empty: the point has no entries, so that nothing is compared")
    for name, a in named:
        if not np.all(np.isfinite(a)):
            raise Refused(diagnosis.nonfinite(a).replace("not finite", f"{name} is not finite"))
    return rebuild(x, arrays), [name for name, _ in named], arrays


def read_gradient(
    given: Any,
    names: list[str],
    arrays: list[np.ndarray],
    what: str = "gradient",
    right: Callable[[int], np.ndarray | None] | None = None,
    sizes: Callable[[], dict[str, int]] | None = None,
) -> list[np.ndarray]:
    """Read a gradient; refuse shapes and dtypes that are not those of the point."""
    if given is None:
        raise Refused(f"the {what} is None: is a return missing?")
    found = leaves(given)
    if len(found) != len(names) or (len(names) > 1 and [n for n, _ in found] != names):
        if sorted(n for n, _ in found) != sorted(names) or len(names) == 1:
            raise Refused(f"the {what} has parts {[n for n, _ in found]}, wanted {names}")
        by_name = dict(found)
        found = [(name, by_name[name]) for name in names]
    out = []
    for t, ((_, g), name, a) in enumerate(zip(found, names, arrays, strict=True)):
        called = f"the {what}" + (f" with respect to {name}" if len(names) > 1 else "")
        weak = isinstance(given, float) and not isinstance(given, np.floating)
        if g.dtype.kind != "f" or (g.dtype != a.dtype and not weak):
            raise Refused(f"wrong dtype: {called} is {g.dtype}, wanted {a.dtype}")
        if g.shape != a.shape:
            text = diagnosis.diagnose_shape(
                g,
                a.shape,
                (lambda t=t: right(t)) if right is not None else None,
                sizes() if sizes is not None else None,
            )
            raise Refused(f"{called} has {text}")
        if not np.all(np.isfinite(g)):
            raise Refused(f"{called}: {diagnosis.nonfinite(g, {name: a}, name)}")
        out.append(g.copy())
    return out


def elsewhere(rng: np.random.Generator, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Choose another point near by, every entry keeping its sign."""
    return [
        (a + 0.05 * rng.uniform(-1, 1, a.shape) * (np.abs(a) if np.any(a) else 1.0)).astype(a.dtype)
        for a in arrays
    ]


def untouched(x: Any, arrays: list[np.ndarray], who: str) -> None:
    """Refuse a function that changed its argument in place."""
    for (name, now), before in zip(leaves(x), arrays, strict=True):
        if not np.array_equal(now, before):
            raise Refused(f"{who} changes its argument {name} in place")
