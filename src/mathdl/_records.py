"""The record of a check: what it found, how it is published, how it fails."""

from __future__ import annotations

import html
import platform
import re
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CHECK_MIME = "application/vnd.mathdl.check+json"
HUGE = 1e300
quiet: ContextVar[bool] = ContextVar("mathdlquiet", default=False)
# Where only the verdict counts, a failure is not diagnosed: that costs a full gradient.
verdict_only: ContextVar[bool] = ContextVar("mathdlverdict", default=False)


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
            "worst_error": finite(self.worst_error),
            "tolerance": finite(self.tolerance),
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
            "worst_error": finite(self.worst_error),
            "tolerance": finite(self.tolerance),
            "points": self.points,
            "scale": finite(self.scale),
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
        publish(self)


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


class Refused(Exception):
    """A comparison that cannot be made, or is wrong: its text is the diagnosis."""

    def __init__(self, message: str, error: float | None = None) -> None:
        super().__init__(message)
        self.error = error


def finite(value: float) -> float:
    """Return a number that JSON can hold."""
    value = float(value)
    return min(max(value, -HUGE), HUGE) if value == value else HUGE


def shell() -> Any:
    """Return the IPython that runs this code, if one does; never imports it."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if hasattr(module, "get_ipython") else None


def show(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Put a MIME bundle into the notebook."""
    from IPython.display import display

    display(data, raw=True, metadata=metadata)


def publish(result: CheckResult) -> None:
    """Put the record into the notebook, once."""
    if quiet.get() or result._state.get("published") or shell() is None:
        return
    result._state["published"] = True
    show(result._repr_mimebundle_())


class Trial:
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
        """Tell the reader something, once."""
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
        """Sum up: the route nearest to its tolerance stands for all."""
        routes = [r for r in self.routes if r.points]
        worst = max(routes, key=_nearness, default=Route("none", 0.0, 0.0, 0))
        if message is not None and error is None and not (routes and _nearness(worst) > 1):
            error = HUGE
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
    return 0.0 if route.worst_error == 0 else HUGE


def run(kind: str, claim: str | None, body: Callable[[Trial], None]) -> CheckResult:
    """Make one check: publish what it finds, whatever happens, and raise if it failed."""
    trial = Trial(kind, claim)
    try:
        body(trial)
        _conclude(trial)
    except Refused as refusal:
        result = trial.result(str(refusal), refusal.error)
        publish(result)
        raise CheckFailed(result) from None
    except Exception as error:
        # Even an error that the page swallows leaves a failing record.
        publish(trial.result(f"{type(error).__name__}: {error}", HUGE))
        raise
    result = trial.result()
    publish(result)
    return result


def _conclude(trial: Trial) -> None:
    """Refuse a check that compared nothing."""
    if not any(route.points for route in trial.routes):
        raise Refused("; ".join(["nothing was compared", *trial.notes]))
