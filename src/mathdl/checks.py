"""Checks of mathematical claims: independent routes, a badge, and a diagnosis on failure.

Every ``check_*`` compares what a page claims with what it can be computed from otherwise,
publishes a record of it in the notebook the moment it is made, passed or failed, and raises
:class:`CheckFailed` with a diagnosis if the two differ.

The tolerances come from the dtype and the route. An exact route (closed form, complex step,
automatic differentiation) is wrong by rounding alone: ``1024 ε`` of the tensor's own largest
entry, times √P along a direction through P entries. A central difference with h = ε^⅓ errs by
ε^⅔: 3.7e-11 of the function's values and of the gradient in double precision.
"""

from __future__ import annotations

import contextlib
import functools
import html
import inspect
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mathdl import diagnosis, gradcheck
from mathdl.gradcheck import NotComplexSafe, leaves, random_signs, rebuild, require_float

CHECK_MIME = "application/vnd.mathdl.check+json"
GLUE_PREFIX = "application/papermill.record/"
_HUGE = 1e300
_EXACT = 2.0**10
_DIFFERENCE = 2.0**7
_quiet: ContextVar[bool] = ContextVar("mathdl_quiet", default=False)


# --- records -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """How well one independent route agreed.

    Attributes
    ----------
    name : str
        Such as ``"complex step"``.
    worst_error, tolerance : float
        Largest error and what was allowed, relative to the scale.
    points : int
        Comparisons made.
    skipped : int
        Comparisons that a kink made impossible.
    """

    name: str
    worst_error: float
    tolerance: float
    points: int
    skipped: int = 0

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.worst_error <= self.tolerance

    def record(self) -> dict[str, Any]:
        """Return the route as JSON-able numbers.

        Returns
        -------
        dict
            Keys ``name worst_error tolerance points skipped``.
        """
        return {
            "name": self.name,
            "worst_error": _finite(self.worst_error),
            "tolerance": _finite(self.tolerance),
            "points": self.points,
            "skipped": self.skipped,
        }


@dataclass(frozen=True)
class CheckResult:
    """What a check found; it draws itself as a one-line badge.

    Attributes
    ----------
    claim : str or None
        Label of the claim, such as ``"eq-chain-rule"``.
    kind : str
        Which check it was, such as ``"gradient"``.
    passed : bool
        Whether every route agreed.
    worst_error, tolerance : float
        Of the route nearest to its tolerance, relative to ``scale``.
    points : int
        Comparisons made, over all routes.
    scale : float
        Size of the compared tensor's largest entry.
    routes : tuple of Route
        The routes compared.
    device, dtype : str
        Where the autograd route ran, and the dtype compared.
    duration : float
        Seconds.
    versions : dict
        Versions of Python, NumPy and, if it was used, torch.
    message : str or None
        The diagnosis of a failure.
    notes : tuple of str
        What a reader should know of a check that passed (a point redrawn, a route left out).
    """

    claim: str | None
    kind: str
    passed: bool
    worst_error: float
    tolerance: float
    points: int
    scale: float
    routes: tuple[Route, ...]
    device: str
    dtype: str
    duration: float
    versions: dict[str, str]
    message: str | None = None
    notes: tuple[str, ...] = ()
    _state: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """Return the record of this check, schema 1, as JSON-able values.

        Returns
        -------
        dict
            All numbers in it are finite.
        """
        return {
            "schema": 1,
            "claim": self.claim,
            "kind": self.kind,
            "passed": self.passed,
            "worst_error": _finite(self.worst_error),
            "tolerance": _finite(self.tolerance),
            "points": self.points,
            "scale": _finite(self.scale),
            "routes": [route.record() for route in self.routes],
            "device": self.device,
            "dtype": self.dtype,
            "duration": round(self.duration, 6),
            "versions": dict(self.versions),
            "message": self.message,
        }

    @property
    def text(self) -> str:
        """The badge as one line of text."""
        parts = [f"{'✓' if self.passed else '✗'} {self.claim or self.kind}"]
        if self.passed:
            parts.append(f"worst error {self.worst_error:.1e} ≤ {self.tolerance:.1e}")
        else:
            parts.append((self.message or "failed").splitlines()[0])
        parts.extend(
            f"{r.name} ({r.points} {'point' if r.points == 1 else 'points'}"
            + (f", {r.skipped} skipped at kinks)" if r.skipped else ")")
            for r in self.routes
        )
        parts.extend(self.notes)
        return " · ".join(parts)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        state = "pass" if self.passed else "fail"
        detail = "" if self.message is None else f"<pre>{html.escape(self.message)}</pre>"
        return (
            f'<div class="mathdl-check mathdl-check--{state}" role="status">'
            f"<span>{html.escape(self.text)}</span>{detail}</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            CHECK_MIME: self.record(),
            "text/plain": self.text,
            "text/html": self._repr_html_(),
        }

    def _ipython_display_(self) -> None:
        _publish(self)


class CheckFailed(AssertionError):
    """A check that failed; its text is the diagnosis, ``result`` the whole of it.

    Attributes
    ----------
    result : CheckResult
        What the check found.
    """

    def __init__(self, result: CheckResult) -> None:
        super().__init__(result.message)
        self.result = result


class _Refused(Exception):
    """A comparison that cannot be made or is wrong, with its diagnosis."""

    def __init__(self, message: str, error: float | None = None) -> None:
        super().__init__(message)
        self.error = error


def _finite(value: float) -> float:
    value = float(value)
    return min(max(value, -_HUGE), _HUGE) if value == value else _HUGE


def _shell() -> Any:
    module = sys.modules.get("IPython")
    return module.get_ipython() if hasattr(module, "get_ipython") else None


def _display(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    from IPython.display import display

    display(data, raw=True, metadata=metadata)


def _publish(result: CheckResult) -> None:
    """Put the record into the notebook, once."""
    if _quiet.get() or result._state.get("published") or _shell() is None:
        return
    result._state["published"] = True
    _display(result._repr_mimebundle_())


class _Trial:
    """One check in the making: what it has found so far."""

    def __init__(self, kind: str, claim: str | None) -> None:
        if claim is not None and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(claim)):
            raise ValueError(f"claim must be a label such as 'eq-chain-rule', got {claim!r}")
        self.kind, self.claim = kind, claim
        self.started = time.perf_counter()
        self.routes: list[Route] = []
        self.notes: list[str] = []
        self.scale, self.dtype, self.device = 0.0, "float64", "cpu"
        self.versions = {"python": platform.python_version(), "numpy": np.__version__}

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def add(self, route: Route) -> None:
        """Merge a route's comparisons at one more point."""
        for i, old in enumerate(self.routes):
            if old.name == route.name:
                worst = max((old, route), key=_nearness)
                self.routes[i] = Route(
                    route.name,
                    worst.worst_error,
                    worst.tolerance,
                    old.points + route.points,
                    old.skipped + route.skipped,
                )
                return
        self.routes.append(route)

    def result(self, message: str | None = None, error: float | None = None) -> CheckResult:
        routes = [r for r in self.routes if r.points]
        worst = max(routes, key=_nearness, default=Route("none", 0.0, 0.0, 0))
        return CheckResult(
            claim=self.claim,
            kind=self.kind,
            passed=message is None,
            worst_error=worst.worst_error if error is None else error,
            tolerance=worst.tolerance,
            points=sum(r.points for r in self.routes),
            scale=self.scale,
            routes=tuple(self.routes),
            device=self.device,
            dtype=self.dtype,
            duration=time.perf_counter() - self.started,
            versions=self.versions,
            message=message,
            notes=tuple(self.notes),
        )


def _nearness(route: Route) -> float:
    if route.tolerance > 0:
        return route.worst_error / route.tolerance
    return 0.0 if route.worst_error == 0 else _HUGE


def _run(kind: str, claim: str | None, body: Callable[[_Trial], None]) -> CheckResult:
    """Make one check: publish what it finds, whatever happens, and raise if it failed."""
    trial = _Trial(kind, claim)
    try:
        body(trial)
        _conclude(trial)
    except _Refused as refusal:
        result = trial.result(str(refusal), refusal.error)
        _publish(result)
        raise CheckFailed(result) from None
    except Exception as error:
        # Even an error that the page swallows leaves a failing record.
        _publish(trial.result(f"{type(error).__name__}: {error}", _HUGE))
        raise
    result = trial.result()
    _publish(result)
    return result


def _conclude(trial: _Trial) -> None:
    """Refuse a check that compared nothing."""
    if not any(route.points for route in trial.routes):
        raise _Refused("; ".join(["nothing was compared", *trial.notes]))


# --- the routes of a derivative -----------------------------------------------------------


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
    >>> device()
    'cpu'
    """
    name = os.environ.get("MATHDL_DEVICE", "").strip() or "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ValueError(f"MATHDL_DEVICE must be cpu, cuda, cuda:N or mps, got {name!r}")
    return name


def _epsilon(dtypes: Sequence[Any]) -> float:
    return max((float(np.finfo(dtype).eps) for dtype in dtypes), default=2.0**-52)


@dataclass
class _Point:
    """A point at which gradients are compared, one per cotangent."""

    x: Any
    arrays: list[np.ndarray]
    cotangents: list[np.ndarray]
    gradients: list[list[np.ndarray]]
    scales: list[float] = field(default_factory=list)


@dataclass
class _Problem:
    """A function, its gradient under test, and how they are to be compared."""

    f: Callable
    gradients: Callable[[Any, list[np.ndarray]], list[list[np.ndarray]]] | None
    names: list[str]
    routes: tuple[str, ...]
    directions: int
    tol: float | None
    scale: float | None
    rng: np.random.Generator
    what: str = "gradient"
    torch_gradients: Callable[[_Point], list[list[np.ndarray]]] | None = None
    torch_name: str = "autograd"
    hypotheses: dict[str, Any] = field(default_factory=dict)
    complex_safe: bool = True

    def eps(self, point: _Point) -> float:
        return _epsilon([a.dtype for a in point.arrays])

    def exact(self, point: _Point, entries: int) -> float:
        base = self.tol if self.tol is not None else _EXACT * self.eps(point)
        return base * max(entries, 1) ** 0.5


def _compare(trial: _Trial, problem: _Problem, points: list[_Point]) -> None:
    """Compare gradients at every point by every route."""
    largest = [
        max((_largest(g[t]) for p in points for g in p.gradients), default=0.0)
        for t in range(len(problem.names))
    ]
    for name, size in zip(problem.names, largest, strict=True):
        if size == 0 and problem.scale is None:
            _all_zero(problem, points, problem.names.index(name))
    trial.scale = problem.scale if problem.scale is not None else max(largest)
    for point in points:
        _set_scales(problem, point, largest)
        redraws = 0
        while not _compare_at(trial, problem, point):
            redraws += 1
            if redraws > 3 or problem.gradients is None:
                trial.note("the point lies on a kink, where differences say nothing")
                break
            point = _redraw(problem, point, largest)
            trial.note("a point on a kink was redrawn beside it")


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def _set_scales(problem: _Problem, point: _Point, largest: list[float]) -> None:
    """Choose each tensor's scale: its own largest entry, but no rounding error of its peers."""
    if problem.scale is not None:
        point.scales = [problem.scale] * len(problem.names)
        return
    own = [
        max((_largest(g[t]) for g in point.gradients), default=0.0)
        for t in range(len(problem.names))
    ]
    floor = 1e-4 * max(own, default=0.0)
    point.scales = [max(s, floor) or big or 1.0 for s, big in zip(own, largest, strict=True)]


def _redraw(problem: _Problem, point: _Point, largest: list[float]) -> _Point:
    arrays = [
        (a + 1e-2 * random_signs(problem.rng, a.shape) * np.maximum(np.abs(a), 0.1)).astype(a.dtype)
        for a in point.arrays
    ]
    x = rebuild(point.x, arrays)
    new = _Point(x, arrays, point.cotangents, problem.gradients(x, point.cotangents))
    _set_scales(problem, new, largest)
    return new


def _inner(arrays: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    return sum(
        float(np.vdot(a.astype(float), b.astype(float)))
        for a, b in zip(arrays, others, strict=True)
    )


def _draw(problem: _Problem, point: _Point) -> Iterator[tuple[list[np.ndarray], int]]:
    """Yield directions and how many entries each mixes: every entry if there are few."""
    size = sum(a.size for a in point.arrays)
    if size <= 2 * problem.directions:
        for i in range(size):
            flat = np.zeros(size)
            flat[i] = 1.0
            yield gradcheck.split(flat, point.arrays), 1
        return
    for _ in range(problem.directions):
        yield gradcheck.split(random_signs(problem.rng, (size,)), point.arrays), size


def _compare_at(trial: _Trial, problem: _Problem, point: _Point) -> bool:
    """Compare at one point; False if it lies on a kink."""
    for name in problem.routes:
        if name not in ("complex", "central"):
            raise ValueError(f"routes are 'complex' and 'central', got {name!r}")
    smooth = True
    if "complex" in problem.routes and problem.complex_safe:
        smooth = _complex_route(trial, problem, point)
    if smooth and ("central" in problem.routes or not problem.complex_safe):
        smooth = _central_route(trial, problem, point)
    if problem.torch_gradients is not None:
        _torch_route(trial, problem, point)
    return smooth


def _complex_route(trial: _Trial, problem: _Problem, point: _Point) -> bool:
    worst, allowed, count = 0.0, 0.0, 0
    for u, entries in _draw(problem, point):
        moves = [v / s for v, s in zip(u, point.scales, strict=True)]
        try:
            tangent = gradcheck.complex_tangent(problem.f, point.x, point.arrays, moves)
        except NotComplexSafe as error:
            problem.complex_safe = False
            trial.note(f"no complex step: the function is not complex-safe ({error})")
            return True
        tolerance = problem.exact(point, entries)
        for dy, gradient in zip(point.cotangents, point.gradients, strict=True):
            analytic, value = _inner(moves, gradient), _inner([dy], [tangent])
            error = abs(analytic - value)
            if not error <= tolerance:
                verdict = _arbitrate(trial, problem, point, moves, dy, analytic, value, tolerance)
                if verdict == "unsafe":
                    problem.complex_safe = False
                    return True
                if verdict == "kink":
                    return False
                tolerance = max(tolerance, verdict)
            count += 1
            if error * allowed >= worst * tolerance:
                worst, allowed = error, tolerance
    trial.add(Route("complex step", worst, allowed, count))
    return True


def _arbitrate(
    trial: _Trial,
    problem: _Problem,
    point: _Point,
    moves: list[np.ndarray],
    dy: np.ndarray,
    analytic: float,
    value: float,
    tolerance: float,
) -> str | float:
    """Decide who is wrong when the complex step and the gradient differ.

    Returns "unsafe" (the complex step is), "kink", or the tolerance that the conditioning of the
    point allows; refuses if the gradient is wrong.
    """
    error = abs(analytic - value)
    if np.isfinite(value):
        noise = _conditioning(problem, point, moves, dy, value)
        if error <= 8 * noise:
            return "kink" if noise > 1e-3 else tolerance + 8 * noise
    phi = _along(problem, point, moves, [dy])
    referee = _difference(phi, None, 1.0)
    if referee is not None:
        difference, doubt = referee
        agrees = abs(difference[0] - analytic) <= doubt
        if agrees and not abs(value - difference[0]) <= 4 * doubt:
            trial.note(
                "no complex step: the function is not complex-safe "
                f"(it gives {value:.6g}, differences {difference[0]:.6g}: abs, conj, a max of "
                "magnitudes?)"
            )
            return "unsafe"
        if not abs(value - difference[0]) <= 4 * doubt:
            trial.note("no complex step: the function is not complex-safe")
            problem.complex_safe = False
    _explain(trial, problem, point, "complex step", error, tolerance)
    return "kink"


def _conditioning(
    problem: _Problem, point: _Point, moves: list[np.ndarray], dy: np.ndarray, value: float
) -> float:
    """Measure how far rounding of the point moves the derivative."""
    noise = 0.0
    for _ in range(3):
        arrays = [
            (a * (1 + 4 * np.finfo(a.dtype).eps * random_signs(problem.rng, a.shape))).astype(
                a.dtype
            )
            for a in point.arrays
        ]
        tangent = gradcheck.complex_tangent(problem.f, point.x, arrays, moves)
        noise = max(noise, abs(_inner([dy], [tangent]) - value))
    return noise


def _along(
    problem: _Problem, point: _Point, moves: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]
) -> Callable[[float], tuple[np.ndarray, float, float]]:
    """Return t -> (values of <dy, f(x + t u)>, their size, ε of the arithmetic)."""
    wide = [a.astype(float) for a in point.arrays]

    def phi(t: float) -> tuple[np.ndarray, float, float]:
        arrays = [a + t * u for a, u in zip(wide, moves, strict=True)]
        with np.errstate(all="ignore"):
            value = np.asarray(problem.f(rebuild(point.x, arrays)))
        eps = _epsilon([value.dtype]) if value.dtype.kind == "f" else 2.0**-52
        value = value.astype(float)
        terms = [dy.astype(float) * value for dy in cotangents]
        size = max(float(np.sqrt(np.sum(term**2))) for term in terms)
        return np.array([float(np.sum(term)) for term in terms]), size, eps

    return phi


def _difference(
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
        doubt = _DIFFERENCE * (eps ** (2 / 3) * scale + eps * size / h) + allowed
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


def _central_route(trial: _Trial, problem: _Problem, point: _Point) -> bool:
    worst, allowed, count, skipped = 0.0, 0.0, 0, 0
    directions = list(_draw(problem, point))
    if directions and directions[0][1] > 1:
        directions = directions[: max(1, (len(directions) + 1) // 2)]
    for u, entries in directions:
        moves = [v * np.maximum(1, np.abs(a)) for v, a in zip(u, point.arrays, strict=True)]
        target = np.array([_inner(moves, g) for g in point.gradients])
        scale = max(s * _largest(v) for s, v in zip(point.scales, moves, strict=True))
        exact = problem.exact(point, entries) * scale
        phi = _along(problem, point, moves, point.cotangents)
        found = _difference(phi, target, scale, exact)
        if found is None:
            skipped += len(target)
            continue
        value, doubt = found
        error = float(np.max(np.abs(value - target))) / scale
        tolerance = doubt / scale
        if not error <= tolerance:
            _explain(trial, problem, point, "central differences", error, tolerance)
            skipped += len(target)
            continue
        count += len(target)
        if error * allowed >= worst * tolerance:
            worst, allowed = error, tolerance
    trial.add(Route("central differences", worst, allowed, count, skipped))
    return count > 0 or not directions


def _torch_route(trial: _Trial, problem: _Problem, point: _Point) -> None:
    trial.device = device()
    reference = problem.torch_gradients(point)
    import torch

    trial.versions["torch"] = torch.__version__
    eps = max(problem.eps(point), _epsilon([r.dtype for rs in reference for r in rs]))
    tolerance = problem.tol if problem.tol is not None else _EXACT * eps
    worst = 0.0
    for given, right in zip(point.gradients, reference, strict=True):
        for g, r, s in zip(given, right, point.scales, strict=True):
            worst = max(worst, _largest(g.astype(float) - r) / s) if g.size else worst
    if not worst <= tolerance:
        _explain(trial, problem, point, problem.torch_name, worst, tolerance, reference)
    count = sum(g.size for gradient in point.gradients for g in gradient)
    trial.add(Route(f"autograd on {trial.device}", worst, tolerance, count))


def _all_zero(problem: _Problem, points: list[_Point], t: int) -> None:
    name = _called(problem, t)
    raise _Refused(
        f"all zero: {name} is zero in every entry, so that nothing is compared. If it should be "
        "zero give scale=; otherwise choose a generic point (no dead ReLU, B ≠ 0)"
    )


def _called(problem: _Problem, t: int) -> str:
    if len(problem.names) == 1:
        return f"the {problem.what}"
    return f"the {problem.what} with respect to {problem.names[t]}"


def _explain(
    trial: _Trial,
    problem: _Problem,
    point: _Point,
    route: str,
    error: float,
    tolerance: float,
    reference: list[list[np.ndarray]] | None = None,
) -> None:
    """Refuse a gradient, saying what is wrong with it; returns if it is right after all."""
    if reference is None:
        reference = _reference(problem, point)
    lines: list[str] = []
    worst = (-1.0, "")
    for given, right in zip(point.gradients, reference, strict=True):
        for t, (g, r) in enumerate(zip(given, right, strict=True)):
            off = np.abs(g - r) / point.scales[t]
            off = np.where(np.isfinite(off), off, _HUGE)
            if not off.size:
                continue
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape))
            fits = diagnosis.diagnose(g, r)
            prefix = f"{problem.names[t]}: " if len(problem.names) > 1 else ""
            if off[index] > tolerance:
                lines.extend(prefix + fit for fit in fits if prefix + fit not in lines)
            if off[index] > worst[0]:
                place = (
                    f"{problem.names[t]}[{', '.join(map(str, index))}]"
                    if index
                    else problem.names[t]
                )
                worst = (
                    float(off[index]),
                    f"at {place}: got {float(g[index]):.6g}, {route} says {float(r[index]):.6g} "
                    f"(error {float(off[index]):.1e} of the largest entry, "
                    f"tolerance {tolerance:.1e})",
                )
    trial.add(Route(route, error, tolerance, 1))
    raise _Refused("\n".join([*(lines[:2] or [f"the {problem.what} is wrong"]), worst[1]]))


def _reference(problem: _Problem, point: _Point) -> list[list[np.ndarray]]:
    """Differentiate numerically in every entry."""
    method = "complex" if problem.complex_safe else "central"
    out = []
    for dy in point.cotangents:
        arrays = gradcheck.numerical_gradient(
            lambda x, dy=dy: np.sum(np.asarray(problem.f(x)) * dy), point.x, method
        )
        out.append([a for _, a in leaves(arrays)])
    return out


# --- the checks ---------------------------------------------------------------------------


def _float_point(x: Any) -> tuple[Any, list[str], list[np.ndarray]]:
    named = leaves(x)
    arrays = [require_float(name, a) for name, a in named]
    if not any(a.size for a in arrays):
        raise _Refused("empty: the point has no entries, so that nothing is compared")
    for name, a in named:
        if not np.all(np.isfinite(a)):
            raise _Refused(f"not finite: {name} holds nan or inf")
    return rebuild(x, arrays), [name for name, _ in named], arrays


def _gradient_leaves(given: Any, names: list[str], arrays: list[np.ndarray], what: str) -> list:
    """Read a gradient and refuse shapes and dtypes that are not those of the point."""
    if given is None:
        raise _Refused(f"the {what} is None: does the function return it?")
    found = leaves(given)
    if len(found) != len(names) or (len(names) > 1 and [n for n, _ in found] != names):
        raise _Refused(f"the {what} has parts {[n for n, _ in found]}, wanted {names}")
    out = []
    for (_, g), name, a in zip(found, names, arrays, strict=True):
        if g.shape != a.shape:
            raise _Refused(
                f"the {what} with respect to {name} has shape {g.shape}, wanted {a.shape}"
            )
        if g.dtype.kind != "f":
            raise _Refused(f"wrong dtype: the {what} with respect to {name} is {g.dtype}")
        if not np.all(np.isfinite(g)):
            raise _Refused(f"not finite: the {what} with respect to {name} holds nan or inf")
        out.append(g.copy())
    return out


def _elsewhere(rng: np.random.Generator, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Choose another point, of the same signs."""
    return [
        (a + 0.05 * rng.uniform(-1, 1, a.shape) * (np.abs(a) if np.any(a) else 1.0)).astype(a.dtype)
        for a in arrays
    ]


def check_gradient(
    f: Callable,
    grad: Any,
    x: Any,
    *,
    claim: str | None = None,
    routes: Sequence[str] = ("complex", "central"),
    torch: Callable | None = None,
    scale: float | None = None,
    directions: int = 4,
    tol: float | None = None,
    seed: int = 0,
    hypotheses: dict[str, Any] | None = None,
) -> CheckResult:
    """Check the gradient of a scalar function.

    Parameters
    ----------
    f : callable
        ``x`` -> one real number.
    grad : callable or same structure as ``x``
        ``x`` -> the gradient under test, or that gradient at a single point.
    x : array, number, dict or tuple of arrays, or a list of such points
        float32 or float64, at generic points: no entry on a kink.
    claim : str, optional
        Label of the equation that is checked.
    routes : sequence of {"complex", "central"}
        The numerical routes.
    torch : callable, optional
        ``f`` written with torch operations: adds autograd on :func:`device`.
    scale : float, optional
        What errors are relative to, instead of each tensor's own largest entry; needed where the
        claim is that the gradient vanishes.
    directions : int
        Random directions per point; every entry is tried where there are few.
    tol : float, optional
        Tolerance of an entry for the exact routes, instead of 1024 ε.
    seed : int
        Seed of the directions.
    hypotheses : dict of str to callable or same structure as ``x``, optional
        Further mistakes to try on failure: what ``grad`` would be if each were made.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If the gradient is wrong; its text says how.

    Examples
    --------
    >>> result = check_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, np.array([1.0, -2.0]))
    >>> result.passed, [route.name for route in result.routes]
    (True, ['complex step', 'central differences'])
    """

    def body(trial: _Trial) -> None:
        rng = np.random.default_rng(seed)
        one = [np.ones(())]
        points: list[_Point] = []
        names: list[str] = []
        for raw in x if isinstance(x, list) else [x]:
            point, names, arrays = _float_point(raw)
            if callable(grad):
                # Elsewhere first: what is cached there must not be served here.
                other = rebuild(point, _elsewhere(rng, arrays))
                with contextlib.suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):
                    grad(other)
                    f(other)
                given = grad(rebuild(point, [a.copy() for a in arrays]))
            else:
                given = grad
            points.append(
                _Point(point, arrays, one, [_gradient_leaves(given, names, arrays, "gradient")])
            )
        trial.dtype = str(np.result_type(*[a.dtype for p in points for a in p.arrays]))
        problem = _Problem(
            f=f,
            gradients=(lambda x, _: [[g.copy() for _, g in leaves(grad(x))]])
            if callable(grad)
            else None,
            names=names,
            routes=tuple(routes),
            directions=directions,
            tol=tol,
            scale=scale,
            rng=rng,
            hypotheses=hypotheses or {},
        )
        if torch is not None:
            problem.torch_gradients = lambda p: _torch_gradients(torch, p)
        _compare(trial, problem, points)

    return _run("gradient", claim, body)


def _torch_gradients(f: Callable, point: _Point) -> list[list[np.ndarray]]:
    import torch

    where = device()

    def tensor(a: np.ndarray) -> Any:
        dtype = torch.float32 if where == "mps" or a.dtype == np.float32 else torch.float64
        return torch.tensor(a, dtype=dtype, device=where, requires_grad=True)

    tensors = [tensor(a) for a in point.arrays]
    with torch.device(where):
        value = f(_retree(point.x, iter(tensors)))
    out = []
    for dy in point.cotangents:
        seed = torch.as_tensor(dy, dtype=value.dtype, device=value.device).reshape(value.shape)
        grads = torch.autograd.grad(value, tensors, seed, retain_graph=True, allow_unused=True)
        out.append(
            [
                np.zeros(a.shape) if g is None else g.detach().cpu().numpy()
                for g, a in zip(grads, point.arrays, strict=True)
            ]
        )
    return out


def _retree(x: Any, parts: Iterator[Any]) -> Any:
    if isinstance(x, dict):
        return {key: _retree(value, parts) for key, value in x.items()}
    if isinstance(x, tuple):
        return tuple(_retree(value, parts) for value in x)
    return next(parts)


def check_vjp(
    f: Callable,
    vjp: Callable,
    *inputs: Any,
    claim: str | None = None,
    routes: Sequence[str] = ("complex", "central"),
    torch: Callable | None = None,
    wrt: int | Sequence[int] | None = None,
    scale: float | None = None,
    directions: int = 4,
    tol: float | None = None,
    seed: int = 0,
    hypotheses: dict[str, Any] | None = None,
) -> CheckResult:
    """Check a vector-Jacobian product: the backward pass of an array-valued function.

    Parameters
    ----------
    f : callable
        ``f(*inputs)`` -> array of any shape.
    vjp : callable
        ``vjp(*inputs, dy)`` -> gradient of ``(dy * f(*inputs)).sum()`` with respect to the
        inputs that are differentiated: one, or a tuple of them in order.
    *inputs
        Arrays, numbers, dicts or tuples of arrays. Integers, None and strings are passed on.
    claim : str, optional
        Label of the equation that is checked.
    routes, scale, directions, tol, seed
        As in :func:`check_gradient`.
    torch : callable, optional
        ``f`` written with torch operations, called with a tensor for each float input.
    wrt : int or sequence of int, optional
        Positions of the inputs to differentiate; by default all of floating point.
    hypotheses : dict of str to callable, optional
        Wrong ``vjp`` functions to try on failure.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If the product is wrong; its text says how.

    Examples
    --------
    >>> x = np.array([[-1.0, 2.0, 0.5]])
    >>> check_vjp(np.tanh, lambda x, dy: dy * (1 - np.tanh(x) ** 2), x).passed
    True
    """

    def body(trial: _Trial) -> None:
        rng = np.random.default_rng(seed)
        chosen = _chosen(inputs, wrt)
        labels = _parameter_names(f, len(inputs))
        # A dict keyed by the inputs' names makes the names of the diagnosis.
        x, names, arrays = _float_point({labels[i]: _unlist(inputs[i]) for i in chosen})

        def filled(point: dict) -> list:
            return [point[labels[i]] if i in chosen else v for i, v in enumerate(inputs)]

        def at(point: dict) -> np.ndarray:
            value = f(*filled(point))
            if isinstance(value, tuple | list | dict) or value is None:
                raise _Refused(
                    f"f returns a {type(value).__name__}, wanted one array: wrap it, "
                    "e.g. lambda *a: f(*a)[0]"
                )
            return np.asarray(value)

        def gradients(point: dict, cotangents: list[np.ndarray]) -> list[list[np.ndarray]]:
            return [
                _read_vjp(vjp(*filled(point), dy[()]), chosen, names, arrays, x, labels, inputs)
                for dy in cotangents
            ]

        value = at(x)
        if not value.size:
            raise _Refused("empty: f(x) has no entries, so that nothing is compared")
        if value.dtype.kind != "f":
            raise _Refused(f"wrong dtype: f returns {value.dtype}, wanted floats")
        if not np.all(np.isfinite(value)):
            raise _Refused("not finite: f(x) holds nan or inf")
        cotangents = [random_signs(rng, value.shape).astype(value.dtype) for _ in range(2)]
        other = rebuild(x, _elsewhere(rng, arrays))
        with contextlib.suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):
            vjp(*filled(other), cotangents[0][()])
            at(other)
        point = _Point(x, arrays, cotangents, gradients(_fresh(x), cotangents))
        trial.dtype = str(np.result_type(*[a.dtype for a in arrays]))
        problem = _Problem(
            f=at,
            gradients=gradients,
            names=names,
            routes=tuple(routes),
            directions=directions,
            tol=tol,
            scale=scale,
            rng=rng,
            what="gradient",
            hypotheses=hypotheses or {},
        )
        if torch is not None:
            problem.torch_gradients = lambda p: _torch_gradients(lambda t: torch(*filled(t)), p)
        _compare(trial, problem, [point])

    return _run("vjp", claim, body)


def _fresh(x: Any) -> Any:
    return rebuild(x, [a.copy() for _, a in leaves(x)])


def _unlist(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, list) else value


def _chosen(inputs: tuple, wrt: int | Sequence[int] | None) -> list[int]:
    if wrt is not None:
        return [wrt] if isinstance(wrt, int) else list(wrt)

    def is_float(value: Any) -> bool:
        if isinstance(value, dict | tuple):
            return bool(leaves(value)) and all(a.dtype.kind == "f" for _, a in leaves(value))
        return np.asarray(value).dtype.kind == "f"

    chosen = [i for i, value in enumerate(inputs) if is_float(value)]
    if not chosen:
        kinds = [str(np.asarray(value).dtype) for value in inputs]
        raise TypeError(f"a derivative needs a float32 or float64 input, got {kinds}")
    return chosen


def _parameter_names(f: Callable, count: int) -> list[str]:
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in plain][:count]
    return names + [f"input {i}" for i in range(len(names), count)]


def _read_vjp(
    given: Any,
    chosen: list[int],
    names: list[str],
    arrays: list[np.ndarray],
    x: Any,
    labels: list[str],
    inputs: tuple,
) -> list[np.ndarray]:
    if isinstance(given, tuple) and not (len(chosen) == 1 and isinstance(inputs[chosen[0]], tuple)):
        if len(given) == len(inputs) != len(chosen):
            given = tuple(given[i] for i in chosen)
        if len(given) != len(chosen):
            wanted = ", ".join(labels[i] for i in chosen)
            raise _Refused(f"vjp returns {len(given)} gradients, wanted {len(chosen)}: {wanted}")
        parts = given
    elif len(chosen) == 1:
        parts = (given,)
    else:
        wanted = ", ".join(labels[i] for i in chosen)
        raise _Refused(f"vjp returns one array, wanted {len(chosen)} gradients: {wanted}")
    if any(part is None for part in parts):
        missing = [labels[i] for i, part in zip(chosen, parts, strict=True) if part is None]
        raise _Refused(f"the gradient with respect to {', '.join(missing)} is None")
    tree = {labels[i]: part for i, part in zip(chosen, parts, strict=True)}
    return _gradient_leaves(tree, names, arrays, "gradient")


def check_jacobian(
    f: Callable,
    jac: Any,
    x: Any,
    *,
    claim: str | None = None,
    routes: Sequence[str] = ("complex", "central"),
    torch: Callable | None = None,
    scale: float | None = None,
    directions: int = 4,
    tol: float | None = None,
    seed: int = 0,
    hypotheses: dict[str, Any] | None = None,
) -> CheckResult:
    """Check the Jacobian of an array-valued function of one array.

    Parameters
    ----------
    f : callable
        ``x`` -> array.
    jac : callable or ndarray
        ``x`` -> the Jacobian, of shape ``f(x).shape + x.shape``, or that array at one point.
    x : array or list of arrays
        The point or points.
    claim, routes, torch, scale, directions, tol, seed, hypotheses
        As in :func:`check_gradient`.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If the Jacobian is wrong; its text says how.

    Examples
    --------
    >>> A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> check_jacobian(lambda x: A @ x, lambda x: A, np.array([1.0, 0.5, -1.0])).passed
    True
    """

    def body(trial: _Trial) -> None:
        rng = np.random.default_rng(seed)
        for raw in x if isinstance(x, list) else [x]:
            point, names, arrays = _float_point(np.asarray(raw))
            value = np.asarray(f(point))
            wanted = value.shape + arrays[0].shape

            def read(at: Any, wanted: tuple = wanted) -> np.ndarray:
                given = np.asarray(jac(at) if callable(jac) else jac)
                if given.shape != wanted:
                    raise _Refused(
                        f"the Jacobian has shape {given.shape}, wanted {wanted}: "
                        "that of f(x), then that of x"
                    )
                if not np.all(np.isfinite(given)):
                    raise _Refused("not finite: the Jacobian holds nan or inf")
                return given

            def gradients(at: Any, cotangents: list, read: Callable = read) -> list:
                matrix = read(at)
                return [[np.tensordot(dy, matrix, dy.ndim)] for dy in cotangents]

            if value.size <= 2 * directions:
                cotangents = list(np.eye(value.size).reshape((-1, *value.shape)))
            else:
                cotangents = [random_signs(rng, value.shape) for _ in range(3)]
            matrix = read(_fresh(point))
            largest = _largest(matrix)
            if largest == 0 and scale is None:
                raise _Refused("all zero: the Jacobian is zero; give scale= if it should be")
            item = _Point(
                point,
                arrays,
                cotangents,
                [[np.tensordot(dy, matrix, dy.ndim)] for dy in cotangents],
            )
            trial.dtype = str(arrays[0].dtype)
            problem = _Problem(
                f=f,
                gradients=gradients if callable(jac) else None,
                names=names,
                routes=tuple(routes),
                directions=directions,
                tol=tol,
                scale=scale if scale is not None else largest,
                rng=rng,
                what="Jacobian",
                hypotheses=hypotheses or {},
            )
            if torch is not None:
                problem.torch_gradients = lambda p: _torch_gradients(torch, p)
            _compare(trial, problem, [item])

    return _run("jacobian", claim, body)


def check_hessian(
    f: Callable,
    hess: Any,
    x: Any,
    *,
    grad: Callable | None = None,
    hvp: bool = False,
    claim: str | None = None,
    torch: Callable | None = None,
    scale: float | None = None,
    directions: int = 4,
    tol: float | None = None,
    seed: int = 0,
) -> CheckResult:
    """Check the Hessian of a scalar function, or its product with vectors.

    Parameters
    ----------
    f : callable
        ``x`` -> one real number.
    hess : callable or ndarray
        ``x`` -> the Hessian, of shape ``x.shape + x.shape``, or that array; with ``hvp=True``,
        ``hess(x, v)`` -> Hessian times ``v``, in the structure of ``x``.
    x : array or list of arrays; with ``hvp=True`` also dict or tuple of arrays
        The point or points.
    grad : callable, optional
        The gradient, complex-safe: adds its complex step, exact to rounding.
    hvp : bool
        Whether ``hess`` is a Hessian-vector product.
    claim, torch, scale, directions, tol, seed
        As in :func:`check_gradient`.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If the Hessian is wrong; its text says how.

    Examples
    --------
    >>> H = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> check_hessian(lambda x: x @ H @ x / 2, lambda x: H, np.array([1.0, -2.0])).passed
    True
    """

    def body(trial: _Trial) -> None:
        rng = np.random.default_rng(seed)
        for raw in x if isinstance(x, list) else [x]:
            point, names, arrays = _float_point(raw)
            _hessian_at(
                trial, f, hess, point, names, arrays, grad, hvp, torch, scale, directions, tol, rng
            )

    return _run("hessian", claim, body)


def _hessian_at(
    trial: _Trial,
    f: Callable,
    hess: Any,
    x: Any,
    names: list[str],
    arrays: list[np.ndarray],
    grad: Callable | None,
    hvp: bool,
    torch: Callable | None,
    scale: float | None,
    directions: int,
    tol: float | None,
    rng: np.random.Generator,
) -> None:
    matrix = None
    if not hvp:
        matrix = np.asarray(hess(_fresh(x)) if callable(hess) else hess)
        wanted = arrays[0].shape + arrays[0].shape
        if len(arrays) > 1 or matrix.shape != wanted:
            raise _Refused(f"the Hessian has shape {matrix.shape}, wanted {wanted}")

    def product(v: list[np.ndarray]) -> list[np.ndarray]:
        if matrix is not None:
            return [np.tensordot(matrix, v[0], v[0].ndim)]
        return _gradient_leaves(hess(_fresh(x), rebuild(x, v)), names, arrays, "Hessian product")

    size = sum(a.size for a in arrays)
    eps = _epsilon([a.dtype for a in arrays])
    trial.dtype = str(np.result_type(*[a.dtype for a in arrays]))
    for _ in range(directions):
        v = gradcheck.split(random_signs(rng, (size,)), arrays)
        v = [w.astype(a.dtype) for w, a in zip(v, arrays, strict=True)]
        u = gradcheck.split(random_signs(rng, (size,)), arrays)
        hv = product(v)
        if not all(np.all(np.isfinite(h)) for h in hv):
            raise _Refused("not finite: the Hessian holds nan or inf")
        largest = (
            scale
            if scale is not None
            else max(_largest(matrix) if matrix is not None else 0.0, *(_largest(h) for h in hv))
        )
        if largest == 0:
            raise _Refused("all zero: the Hessian is zero; give scale= if it should be")
        trial.scale = max(trial.scale, largest)
        exact = (tol if tol is not None else _EXACT * eps) * size
        target = _inner(u, hv)

        def compare(
            name: str,
            value: float,
            tolerance: float,
            target: float = target,
            largest: float = largest,
        ) -> None:
            error = abs(value - target) / largest
            trial.add(Route(name, error, tolerance, 1))
            if not error <= tolerance:
                raise _Refused(
                    f"the Hessian is wrong\nalong a random pair of directions uᵀHv: got "
                    f"{target:.6g}, {name} says {value:.6g} (error {error:.1e}, tolerance "
                    f"{tolerance:.1e})"
                )

        if grad is not None:
            total = 0.0
            for k in range(len(arrays)):
                tangent = gradcheck.complex_tangent(
                    lambda z, k=k: leaves(grad(z))[k][1], x, arrays, v
                )
                total += _inner([u[k]], [tangent])
            compare("complex step of the gradient", total, exact)

        def phi(t: float, u: list = u, v: list = v) -> tuple[np.ndarray, float, float]:
            moved = [a.astype(float) + t * w for a, w in zip(arrays, u, strict=True)]
            value = gradcheck.complex_tangent(f, x, moved, [w.astype(float) for w in v])
            return np.array([float(value)]), abs(float(value)), 2.0**-52

        found = _difference(phi, np.array([target]), largest, exact * largest)
        if found is not None:
            compare(
                "central differences of the complex step", float(found[0][0]), found[1] / largest
            )
        if torch is not None:
            trial.device = device()
            total = _torch_hessian(torch, x, arrays, u, v)
            import torch as module

            trial.versions["torch"] = module.__version__
            compare(f"autograd on {trial.device}", total, exact)


def _torch_hessian(f: Callable, x: Any, arrays: list, u: list, v: list) -> float:
    import torch

    where = device()
    dtype = torch.float32 if where == "mps" or arrays[0].dtype == np.float32 else torch.float64
    tensors = [torch.tensor(a, dtype=dtype, device=where, requires_grad=True) for a in arrays]
    with torch.device(where):
        value = f(_retree(x, iter(tensors)))
    slopes = torch.autograd.grad(value, tensors, create_graph=True, materialize_grads=True)
    along = sum(
        (g * torch.as_tensor(w, dtype=dtype, device=where)).sum()
        for g, w in zip(slopes, v, strict=True)
    )
    second = torch.autograd.grad(along, tensors, materialize_grads=True)
    return _inner(u, [s.detach().cpu().numpy() for s in second])


def check_equal(
    actual: Any,
    expected: Any,
    *,
    claim: str | None = None,
    scale: float | None = None,
    tol: float | None = None,
    ulps: float | None = None,
    hypotheses: dict[str, Any] | None = None,
) -> CheckResult:
    """Check that two computations of the same thing agree.

    Parameters
    ----------
    actual, expected : array or number, or lists of them, one per point
        Of equal shapes: nothing is broadcast.
    claim : str, optional
        Label of the equation that is checked.
    scale : float, optional
        What errors are relative to, instead of the largest entry of ``expected``; needed where
        the claim is that something is zero.
    tol : float, optional
        Tolerance relative to the scale; by default 1024 ε of the coarser dtype, 0 for integers.
    ulps : float, optional
        Compare every entry to that many units in its last place instead.
    hypotheses : dict of str to array or callable, optional
        What ``actual`` would be if a certain mistake were made; named in the diagnosis if it fits.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If they differ; its text says how.

    Examples
    --------
    >>> x = np.linspace(0, 1, 5)
    >>> check_equal(np.sin(2 * x), 2 * np.sin(x) * np.cos(x)).passed
    True
    """

    def body(trial: _Trial) -> None:
        several = isinstance(actual, list) and isinstance(expected, list)
        pairs = list(zip(actual, expected, strict=False)) if several else [(actual, expected)]
        if several and len(actual) != len(expected):
            raise _Refused(f"{len(actual)} points against {len(expected)}")
        for a, e in pairs:
            _equal_at(trial, np.asarray(a), np.asarray(e), scale, tol, ulps, hypotheses or {})

    return _run("equal", claim, body)


def _equal_at(
    trial: _Trial,
    a: np.ndarray,
    e: np.ndarray,
    scale: float | None,
    tol: float | None,
    ulps: float | None,
    hypotheses: dict[str, Any],
) -> None:
    if a.shape != e.shape:
        raise _Refused(f"shape {a.shape}, wanted {e.shape}: nothing is broadcast in a comparison")
    if not a.size:
        raise _Refused("empty: there are no entries, so that nothing is compared")
    for name, array in (("the value", a), ("the expected value", e)):
        if array.dtype.kind not in "fciub":
            raise _Refused(f"wrong dtype: {name} is {array.dtype}, wanted numbers")
        if not np.all(np.isfinite(array)):
            raise _Refused(f"not finite: {name} holds nan or inf")
    if not np.any(a) and not np.any(e) and scale is None:
        raise _Refused("all zero: both sides are zero; give scale= if they should be")
    floats = [array.dtype for array in (a, e) if array.dtype.kind in "fc"]
    eps = _epsilon(floats) if floats else 0.0
    trial.dtype = str(np.result_type(a, e))
    wide = complex if "c" in (a.dtype.kind, e.dtype.kind) else float
    off = np.abs(a.astype(wide) - e.astype(wide))
    size = scale if scale is not None else max(_largest(e), 0.0) or _largest(a)
    if ulps is not None:
        off = off / np.spacing(np.abs(e).astype(floats[0] if floats else float)) * eps
        tolerance = ulps * eps
    else:
        off = off / size
        tolerance = tol if tol is not None else _EXACT * eps
    trial.scale = max(trial.scale, size)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape))
    worst = float(off[index])
    trial.add(Route("closed form", worst, tolerance, a.size))
    if not worst <= tolerance:
        fits = [
            f"equals what you get with: {name}"
            for name, value in hypotheses.items()
            if np.shape(w := np.asarray(value() if callable(value) else value)) == a.shape
            and np.max(np.abs(w - a)) / size <= max(tolerance, 1e-12)
        ] or diagnosis.diagnose(a, e)
        place = f" at [{', '.join(map(str, index))}]" if index else ""
        raise _Refused(
            "\n".join(
                [
                    *(fits[:2] or ["the two sides differ"]),
                    f"worst{place}: got {a[index]:.6g}, expected {e[index]:.6g} "
                    f"(error {worst:.1e}, tolerance {tolerance:.1e})",
                ]
            )
        )


def check_bound(
    lower: Any,
    upper: Any,
    *,
    claim: str | None = None,
    slack: float | None = None,
    attained: bool | None = None,
) -> CheckResult:
    """Check an inequality at many points.

    Parameters
    ----------
    lower, upper : array or number
        ``lower <= upper`` is claimed everywhere; equal shapes, or one of them a number.
    claim : str, optional
        Label of the inequality that is checked.
    slack : float, optional
        How far rounding may push ``lower`` over ``upper``, relative to the largest of them; by
        default 1024 ε.
    attained : bool, optional
        Whether equality is claimed to hold at some point as well: the bound is sharp.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If the bound is broken, or not attained.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 101)
    >>> check_bound(1 + x, np.exp(x), attained=True).passed
    True
    """

    def body(trial: _Trial) -> None:
        low, high = np.asarray(lower), np.asarray(upper)
        if low.shape != high.shape and low.ndim and high.ndim:
            raise _Refused(f"shapes {low.shape} and {high.shape} differ: nothing is broadcast")
        shape = np.broadcast_shapes(low.shape, high.shape)
        floats = [array.dtype for array in (low, high) if array.dtype.kind == "f"]
        low, high = (np.broadcast_to(array.astype(float), shape) for array in (low, high))
        if not low.size:
            raise _Refused("empty: there are no points, so that nothing is compared")
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
            raise _Refused("not finite: a side holds nan or inf")
        if not np.any(low) and not np.any(high):
            raise _Refused("all zero: both sides are zero everywhere")
        trial.dtype = str(np.result_type(*floats)) if floats else "float64"
        trial.scale = size = max(_largest(low), _largest(high))
        tolerance = slack if slack is not None else _EXACT * _epsilon(floats)
        gap = (low - high) / size
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        place = f" at [{', '.join(map(str, index))}]" if index else ""
        worst = float(gap[index])
        trial.add(Route("inequality", max(worst, 0.0), tolerance, low.size))
        if worst > tolerance:
            count = int(np.sum(gap > tolerance))
            raise _Refused(
                f"the bound is broken at {count} of {gap.size} points\n"
                f"worst{place}: lower {low[index]:.6g} > upper {high[index]:.6g}"
            )
        if attained and worst < -tolerance:
            raise _Refused(
                f"the bound is not attained: it holds with room everywhere\n"
                f"closest{place}: lower {low[index]:.6g} < upper {high[index]:.6g}",
                -worst,
            )

    return _run("bound", claim, body)


def check_rate(
    x: Any,
    y: Any,
    expected: float,
    *,
    tol: float,
    claim: str | None = None,
    kind: str = "power",
) -> CheckResult:
    """Check how fast something grows or vanishes.

    Parameters
    ----------
    x, y : array, shape (n,)
        Positive ``y`` measured at ``x`` (steps, sizes or iteration numbers), n ≥ 3.
    expected : float
        The exponent p of y ∝ xᵖ (``"power"``), or the factor ρ of y ∝ ρˣ (``"geometric"``).
    tol : float
        How far the measured exponent or factor may be from ``expected``; the page says why.
    claim : str, optional
        Label of the equation that is checked.
    kind : {"power", "geometric"}
        Which law.

    Returns
    -------
    CheckResult
        Published in the notebook; its errors are of the exponent or the factor itself.

    Raises
    ------
    CheckFailed
        If the rate is another.

    Examples
    --------
    >>> h = 2.0 ** -np.arange(1, 9)
    >>> check_rate(h, (np.exp(h) - np.exp(-h)) / (2 * h) - 1, 2.0, tol=0.05).passed
    True
    """
    if kind not in ("power", "geometric"):
        raise ValueError(f"kind must be 'power' or 'geometric', got {kind!r}")

    def body(trial: _Trial) -> None:
        a, b = np.asarray(x, float), np.asarray(y, float)
        if a.shape != b.shape or a.ndim != 1:
            raise _Refused(f"x and y have shapes {a.shape} and {b.shape}, wanted (n,) each")
        if a.size < 3:
            raise _Refused(f"a rate needs at least 3 points, got {a.size}")
        if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
            raise _Refused("not finite: x or y holds nan or inf")
        if np.any(b <= 0) or (kind == "power" and np.any(a <= 0)):
            raise _Refused("a rate needs positive values: logarithms are compared")
        if np.ptp(a) == 0:
            raise _Refused("all x are equal: no rate can be measured")
        s = np.log(a) if kind == "power" else a
        slopes = np.diff(np.log(b)) / np.diff(s)
        slope = float(np.polyfit(s, np.log(b), 1)[0])
        local = slopes if kind == "power" else np.exp(slopes)
        measured = slope if kind == "power" else float(np.exp(slope))
        word = "exponent" if kind == "power" else "factor per step"
        trial.scale = 1.0
        error = abs(measured - expected)
        trial.add(Route(f"measured {word}", error, tol, a.size))
        if not error <= tol:
            raise _Refused(
                f"the {word} is {measured:.3g}, not {expected:.3g} within {tol:.2g}\n"
                f"from point to point it goes from {local[0]:.3g} to {local[-1]:.3g}"
            )

    return _run("rate", claim, body)


def check_statistic(
    samples: Any,
    expected: Any,
    *,
    claim: str | None = None,
    k: float = 5.0,
    kind: str = "mean",
    axis: int = 0,
) -> CheckResult:
    """Check an expectation or a variance against samples, within k standard errors.

    Parameters
    ----------
    samples : array, shape (n, …)
        Independent samples along ``axis``, n ≥ 30.
    expected : array of the remaining shape, or a number
        The claimed mean or variance.
    claim : str, optional
        Label of the equation that is checked.
    k : float
        Standard errors allowed: at 5, one false alarm in 1.7 million normal comparisons.
    kind : {"mean", "variance"}
        What is compared.
    axis : int
        The axis of the samples.

    Returns
    -------
    CheckResult
        Published in the notebook; its errors are relative to the samples' standard deviation
        (or variance).

    Raises
    ------
    CheckFailed
        If the statistic is another.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> check_statistic(rng.uniform(size=10_000), 1 / 12, kind="variance").passed
    True
    """
    if kind not in ("mean", "variance"):
        raise ValueError(f"kind must be 'mean' or 'variance', got {kind!r}")

    def body(trial: _Trial) -> None:
        data = np.moveaxis(np.asarray(samples, float), axis, 0)
        n = data.shape[0]
        want = np.asarray(expected, float)
        if want.ndim and want.shape != data.shape[1:]:
            raise _Refused(f"expected has shape {want.shape}, wanted {data.shape[1:]}")
        if n < 30 or not data.size:
            raise _Refused(f"a statistic needs at least 30 samples, got {n}")
        if not (np.all(np.isfinite(data)) and np.all(np.isfinite(want))):
            raise _Refused("not finite: the samples or the expected value hold nan or inf")
        mean = data.mean(0)
        centred = data - mean
        variance = (centred**2).sum(0) / (n - 1)
        if np.any(variance == 0):
            raise _Refused("the samples do not vary, so that nothing is compared")
        if kind == "mean":
            got, size, spread = mean, np.sqrt(variance), np.ones_like(mean)
        else:
            got, size = variance, variance
            # Variance of the sample variance, in units of it: (κ - (n-3)/(n-1)) / n.
            kurtosis = (centred**4).mean(0) / ((centred**2).mean(0)) ** 2
            spread = np.sqrt(np.maximum(kurtosis - (n - 3) / (n - 1), 0.0))
        off = np.abs(got - want) / size
        allowed = k * spread / np.sqrt(n)
        ratio = off / allowed
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))
        trial.scale = float(np.max(size))
        trial.add(Route("Monte Carlo", float(off[index]), float(allowed[index]), int(ratio.size)))
        if not ratio[index] <= 1:
            there = float(np.broadcast_to(want, got.shape)[index])
            place = f" at [{', '.join(map(str, index))}]" if index else ""
            raise _Refused(
                f"the {kind} of {n} samples is {float(got[index]):.6g}{place}, not {there:.6g}: "
                f"{float(ratio[index]) * k:.1f} standard errors away, {k:g} allowed"
            )

    return _run("statistic", claim, body)


# --- around the checks --------------------------------------------------------------------


@contextlib.contextmanager
def rejects(phrase: str) -> Iterator[None]:
    """Show a failure on purpose: the check inside must fail, and its diagnosis is printed.

    Parameters
    ----------
    phrase : str
        Part of the diagnosis expected.

    Raises
    ------
    AssertionError
        If nothing failed, or the diagnosis does not contain the phrase.

    Examples
    --------
    >>> with rejects("sign flipped"):
    ...     check_equal(np.array([-1.0, 2.0]), np.array([1.0, -2.0]))
    sign flipped
    worst at [1]: got 2, expected -2 (error 2.0e+00, tolerance 2.3e-13)
    """
    token = _quiet.set(True)
    try:
        yield
    except CheckFailed as failure:
        if phrase not in str(failure):
            raise AssertionError(
                f"the diagnosis was expected to contain {phrase!r}, but is:\n{failure}"
            ) from None
        print(failure)
        return
    finally:
        _quiet.reset(token)
    raise AssertionError(f"nothing failed where {phrase!r} was expected")


class _NotAttempted(Exception):
    """The reader has not written the answer yet."""


def _attempted(value: Any, name: str) -> Any:
    if value is None or value is Ellipsis:
        raise _NotAttempted(f"not attempted yet: `{name}` returns None")
    if not callable(value):
        return value

    @functools.wraps(value)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        own = getattr(value, "__name__", name)
        try:
            result = value(*args, **kwargs)
        except NotImplementedError:
            raise _NotAttempted(f"not attempted yet: `{own}` raises NotImplementedError") from None
        if result is None or result is Ellipsis:
            raise _NotAttempted(f"not attempted yet: `{own}` returns None")
        return result

    return wrapped


def self_check(check_fn: Callable, *args: Any, **options: Any) -> bool:
    """Tell a reader whether an exercise's answer is right, and if not, what is wrong.

    Parameters
    ----------
    check_fn : callable
        One of the ``check_*`` functions.
    *args, **options
        Its arguments; one of them holds the answer.

    Returns
    -------
    bool
        Whether the answer is right. Nothing is raised and no record is published.

    Examples
    --------
    >>> def slope(x): ...
    >>> self_check(check_gradient, lambda x: (x**2).sum(), slope, np.array([1.0, 2.0]))
    not attempted yet: `slope` returns None
    False
    """
    token = _quiet.set(True)
    try:
        names = list(inspect.signature(check_fn).parameters)
        given = [_attempted(value, names[min(i, len(names) - 1)]) for i, value in enumerate(args)]
        result = check_fn(*given, **options)
        text, page, right = result.text, result._repr_html_(), True
    except _NotAttempted as missing:
        text, page, right = str(missing), None, False
    except CheckFailed as failure:
        text, page, right = str(failure), failure.result._repr_html_(), False
    except Exception as error:
        text, page, right = f"your code raised {type(error).__name__}: {error}", None, False
    finally:
        _quiet.reset(token)
    if _shell() is None or page is None:
        print(text)
    else:
        _display({"text/plain": text, "text/html": page})
    return right


def glue(**values: float | int | str) -> None:
    """Make computed values available to the sentences of the page.

    Parameters
    ----------
    **values
        Numbers or strings under keys that are unique in the book: the page first, as in
        ``derivatives_slope``. The text refers to them as ``{glue:text}`derivatives_slope:.2f```.

    Raises
    ------
    TypeError
        If a value is neither a number nor a string.
    """
    for key, value in values.items():
        plain = value.item() if isinstance(value, np.generic | np.ndarray) else value
        if not isinstance(plain, int | float | str):
            raise TypeError(f"{key} must be a number or a string, got {type(value).__name__}")
        if _shell() is not None:
            _display(
                {f"{GLUE_PREFIX}text/plain": repr(plain)},
                {"scrapbook": {"name": key, "mime_prefix": GLUE_PREFIX}},
            )
