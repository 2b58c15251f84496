"""Checks of mathematical claims: independent routes, a badge, and a diagnosis on failure.

Every ``check_*`` compares what a page claims with what it can be computed from otherwise,
publishes a record of it in the notebook the moment it is made, passed or failed, and raises
:class:`CheckFailed` with a diagnosis if the two differ.

The tolerances come from the dtype and the route. An exact route (closed form, complex step,
automatic differentiation) is wrong by rounding alone: 1024 ε of the tensor's own largest entry,
times √P along a direction through P entries. A central difference with h = ε^⅓ is wrong by
ε^⅔ = 3.7e-11 (in double precision) of the gradient and of the function's value; 128 times that
is allowed. Where a point is ill-conditioned, what rounding of the point does to the derivative is
measured and added.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mathdl import diagnosis, gradcheck
from mathdl._compare import (
    EXACT,
    Point,
    Problem,
    compare,
    device,
    difference,
    elsewhere,
    epsilon,
    inner,
    largest,
    lengths,
    read_gradient,
    read_point,
    restructure,
    surroundings,
    torch_gradients,
    torch_tensors,
    untouched,
    worst_index,
)
from mathdl._records import (
    CHECK_MIME,
    CheckFailed,
    CheckResult,
    Refused,
    Route,
    Trial,
    quiet,
    run,
    shell,
    show,
)
from mathdl.gradcheck import leaves, random_signs, rebuild

__all__ = [
    "CHECK_MIME",
    "CheckFailed",
    "CheckResult",
    "Route",
    "check_bound",
    "check_elementwise",
    "check_equal",
    "check_gradient",
    "check_hessian",
    "check_jacobian",
    "check_rate",
    "check_statistic",
    "check_vjp",
    "device",
    "glue",
    "grid",
    "rejects",
    "self_check",
]

GLUE_PREFIX = "application/papermill.record/"


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

    def body(trial: Trial) -> None:
        rng = np.random.default_rng(seed)
        one = [np.ones(())]

        def scalar(at: Any) -> Any:
            value = np.asarray(f(at))
            if value.size != 1:
                raise Refused(
                    f"f(x) has shape {value.shape}, wanted one number: use check_vjp or "
                    "check_jacobian for several outputs"
                )
            return value.reshape(())

        def read(given: Any, at: Any) -> list[np.ndarray]:
            _, names, arrays = read_point(at)

            def right(t: int) -> np.ndarray:
                return leaves(gradcheck.numerical_gradient(scalar, at))[t][1]

            return read_gradient(
                given, names, arrays, right=right, sizes=lambda: lengths(surroundings(f, grad))
            )

        def gradients(at: Any, _: list[np.ndarray]) -> list[list[np.ndarray]]:
            return [read(grad(_fresh(at)), at)]

        points: list[Point] = []
        names: list[str] = []
        for raw in x if isinstance(x, list) else [x]:
            point, names, arrays = read_point(raw)
            before, other = None, None
            if callable(grad):
                # Elsewhere first: what is cached there must not be served here.
                other = rebuild(point, elsewhere(rng, arrays))
                kept = [a.copy() for _, a in leaves(other)]
                with contextlib.suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):
                    before = [np.array(g) for _, g in leaves(grad(other))]
                    untouched(other, kept, "grad")
                    scalar(other)
                    untouched(other, kept, "f")
                given = grad(_fresh(point))
            else:
                scalar(_fresh(point))
                given = grad
            points.append(Point(point, arrays, one, [read(given, point)], before, other))
        if not points:
            raise Refused("empty: there is no point, so that nothing is compared")
        trial.dtype = str(np.result_type(*[a.dtype for p in points for a in p.arrays]))

        def mistakes(p: Point, _: str) -> dict[str, dict[str, Any]]:
            out: dict[str, dict[str, Any]] = {name: {} for name in names}
            for phrase, wrong in (hypotheses or {}).items():
                value = wrong(_fresh(p.x)) if callable(wrong) else wrong
                for name, (_, array) in zip(names, leaves(value), strict=True):
                    out[name][phrase] = array
            return out

        problem = Problem(
            f=scalar,
            names=names,
            rng=rng,
            routes=tuple(routes),
            directions=directions,
            tol=tol,
            scale=scale,
            gradients=gradients if callable(grad) else None,
            hypotheses=mistakes,
            related=lambda p: dict(leaves(p.x)),
            sources=(f, grad) if callable(grad) else (f,),
        )
        if torch is not None:
            problem.torch_gradients = lambda p: torch_gradients(torch, p)
        compare(trial, problem, points)

    return run("gradient", claim, body)


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

    def body(trial: Trial) -> None:
        rng = np.random.default_rng(seed)
        chosen = _chosen(inputs, wrt)
        labels = _parameter_names(f, len(inputs))
        # A dict keyed by the inputs' names makes the names of the diagnosis.
        x, names, arrays = read_point({labels[i]: _unlist(inputs[i]) for i in chosen})

        def filled(point: dict) -> list:
            return [point[labels[i]] if i in chosen else v for i, v in enumerate(inputs)]

        def at(point: dict) -> np.ndarray:
            value = f(*filled(point))
            if isinstance(value, tuple | list | dict) or value is None:
                raise Refused(
                    f"f returns a {type(value).__name__}, wanted one array: wrap it, "
                    "e.g. lambda *a: f(*a)[0]"
                )
            return np.asarray(value)

        def read(given: Any, point: dict, dy: np.ndarray) -> list[np.ndarray]:
            def right(t: int) -> np.ndarray:
                value = gradcheck.numerical_gradient(lambda z: np.sum(at(z) * dy), point)
                return leaves(value)[t][1]

            tree = _read_vjp(given, chosen, labels, inputs)
            sizes = {f"axis {k} of dy": n for k, n in enumerate(dy.shape)}
            return read_gradient(tree, names, arrays, right=right, sizes=lambda: sizes)

        def gradients(point: dict, cotangents: list[np.ndarray]) -> list[list[np.ndarray]]:
            return [read(vjp(*filled(_fresh(point)), dy[()]), point, dy) for dy in cotangents]

        value = at(_fresh(x))
        if not value.size:
            raise Refused("empty: f(x) has no entries, so that nothing is compared")
        if value.dtype.kind != "f":
            raise Refused(f"wrong dtype: f returns {value.dtype}, wanted floats")
        if not np.all(np.isfinite(value)):
            raise Refused(diagnosis.nonfinite(value).replace("not finite", "f(x) is not finite"))
        cotangents = [random_signs(rng, value.shape).astype(value.dtype) for _ in range(2)]
        other = rebuild(x, elsewhere(rng, arrays))
        kept = [a.copy() for _, a in leaves(other)]
        before = None
        with contextlib.suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):
            before = read(vjp(*filled(other), cotangents[0][()]), other, cotangents[0])
            untouched(other, kept, "vjp")
            at(other)
            untouched(other, kept, "f")
        point = Point(x, arrays, cotangents, gradients(x, cotangents), before, other)
        trial.dtype = str(np.result_type(*[a.dtype for a in arrays]))

        def related(p: Point) -> dict[str, np.ndarray]:
            values = dict(zip(labels, inputs, strict=True))
            arrays_in_play = {
                label: np.asarray(v)
                for label, v in values.items()
                if isinstance(v, int | float | np.ndarray | np.generic)
            }
            return {**arrays_in_play, **dict(leaves(p.x)), "dy": p.cotangents[0], "y": at(p.x)}

        def mistakes(p: Point, method: str) -> dict[str, dict[str, Any]]:
            dy = p.cotangents[0]
            guesses: dict[str, Callable] = {}
            for phrase, wrong in (hypotheses or {}).items():
                guesses[phrase] = lambda wrong=wrong: read(wrong(*filled(_fresh(p.x)), dy), p.x, dy)
            others = {"dy ignored, as if it were 1": np.ones_like(dy)}
            if dy.ndim and dy.shape[0] > 1:
                for i, word in ((-1, "last"), (0, "first")):
                    part = np.zeros_like(dy)
                    part[i] = dy[i]
                    phrase = f"only the {word} sample of dy: overwritten instead of accumulated"
                    others[phrase] = part
            for phrase, seed_ in others.items():
                guesses[phrase] = lambda c=seed_: [
                    a
                    for _, a in leaves(
                        gradcheck.numerical_gradient(lambda z: np.sum(at(z) * c), p.x, method)
                    )
                ]
            cached = {phrase: functools.cache(guess) for phrase, guess in guesses.items()}
            return {
                name: {phrase: (lambda g=g, t=t: g()[t]) for phrase, g in cached.items()}
                for t, name in enumerate(names)
            }

        problem = Problem(
            f=at,
            names=names,
            rng=rng,
            routes=tuple(routes),
            directions=directions,
            tol=tol,
            scale=scale,
            gradients=gradients,
            hypotheses=mistakes,
            related=related,
            sources=(f, vjp),
        )
        if torch is not None:
            problem.torch_gradients = lambda p: torch_gradients(lambda t: torch(*filled(t)), p)
        compare(trial, problem, [point])

    return run("vjp", claim, body)


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


def _read_vjp(given: Any, chosen: list[int], labels: list[str], inputs: tuple) -> dict:
    """Name the parts of what a vjp returns after the inputs they belong to."""
    wanted = ", ".join(labels[i] for i in chosen)
    if given is None:
        raise Refused("the gradient is None: is a return missing?")
    single = len(chosen) == 1
    if isinstance(given, tuple) and not (single and isinstance(inputs[chosen[0]], tuple)):
        if len(given) == len(inputs) != len(chosen):
            given = tuple(given[i] for i in chosen)
        if len(given) != len(chosen):
            raise Refused(f"vjp returns {len(given)} gradients, wanted {len(chosen)}: {wanted}")
        parts = given
    elif single:
        parts = (given,)
    else:
        raise Refused(f"vjp returns one array, wanted {len(chosen)} gradients: {wanted}")
    missing = [labels[i] for i, part in zip(chosen, parts, strict=True) if part is None]
    if missing:
        raise Refused(f"the gradient with respect to {', '.join(missing)} is None")
    return {labels[i]: part for i, part in zip(chosen, parts, strict=True)}


def grid(low: int = -8, high: int = 3, dtype: Any = np.float64) -> np.ndarray:
    """Return the points ±10ᵏ at which an elementwise function is tried.

    Parameters
    ----------
    low, high : int
        The smallest and largest k.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    ndarray, shape (2 (high - low + 1),)
        In ascending order; without 0, where many such functions have their kink.

    Examples
    --------
    >>> grid(-1, 1)
    array([-10. ,  -1. ,  -0.1,   0.1,   1. ,  10. ])
    """
    positive = np.array([float(f"1e{k}") for k in range(low, high + 1)])
    return np.concatenate([-positive[::-1], positive]).astype(dtype)


def check_elementwise(
    f: Callable,
    vjp: Callable,
    x: Any = None,
    *,
    kinks: dict[float, float] | None = None,
    claim: str | None = None,
    torch: Callable | None = None,
    tol: float | None = None,
    seed: int = 0,
) -> CheckResult:
    """Check the derivative of an elementwise function over many orders of magnitude.

    Parameters
    ----------
    f : callable
        ``f(x)`` -> array of the shape of ``x``, entry by entry.
    vjp : callable
        ``vjp(x, dy)`` -> ``dy * f'(x)``.
    x : array, optional
        The points; by default :func:`grid`.
    kinks : dict of float to float, optional
        Points where f has no derivative, and what ``vjp`` must say there for ``dy = 1``, as in
        ``{0.0: 0.0}`` for ReLU. No other comparison is made there.
    claim : str, optional
        Label of the equation that is checked.
    torch : callable, optional
        ``f`` written with torch operations: adds autograd on :func:`device`, also at the kinks.
    tol : float, optional
        Tolerance of the exact routes, instead of 1024 ε.
    seed : int
        Seed of ``dy``.

    Returns
    -------
    CheckResult
        Published in the notebook. Each entry is compared relative to the larger of the magnitudes
        of f'(x) and f(x) / x, so that small arguments count as much as large ones. The tolerance
        grows with ``max(1, abs(x))``, the condition number of exp. Autograd is compared relative
        to the largest entry: torch's derivatives lose their digits in the tails.

    Raises
    ------
    CheckFailed
        If the derivative is wrong; its text says how.

    Examples
    --------
    >>> def relu(x):
    ...     return np.where(x.real > 0, x, 0)
    >>> check_elementwise(relu, lambda x, dy: dy * (x > 0), kinks={0.0: 0.0}).passed
    True
    """

    def body(trial: Trial) -> None:
        rng = np.random.default_rng(seed)
        _, _, (a,) = read_point(grid() if x is None else np.asarray(x))
        where = np.array(list(kinks or {}), a.dtype)
        a = a[~np.isin(a, where)] if where.size else np.atleast_1d(a)
        trial.dtype = str(a.dtype)
        eps = epsilon([a.dtype])
        exact = tol if tol is not None else EXACT * eps
        dy = random_signs(rng, a.shape).astype(a.dtype)
        value = np.asarray(f(a.copy()))
        (given,) = read_gradient(vjp(a.copy(), dy), ["x"], [a])
        if value.shape != a.shape:
            raise Refused(f"f(x) has shape {value.shape}, wanted that of x, {a.shape}")
        slope, wide = given.astype(float) / dy, a.astype(float)
        # Below this a complex step underflows.
        smallest = np.finfo(a.dtype).tiny / gradcheck.optimal_step(a.dtype, "complex") / eps
        steepness = np.abs(value / np.where(a == 0, 1, a)).astype(float)
        found = _elementwise_routes(trial, f, torch, wide, a, exact)
        for name, right, tolerance in found:
            if not np.any(right):
                raise Refused("all zero: the derivative is zero at every point")
            scale = np.maximum(np.maximum(np.abs(right), steepness), smallest)
            if name.startswith("autograd"):
                scale = np.maximum(scale, largest(right))
            off = np.abs(slope - right)
            error = off / scale
            shown = np.where(scale > smallest, scale, 1.0)
            worst = int(np.argmax(error / tolerance))
            trial.scale = max(trial.scale, largest(right))
            trial.add(Route(name, float(error[worst]), float(tolerance[worst]), a.size))
            if not error[worst] <= tolerance[worst]:
                lines = diagnosis.diagnose(
                    given / shown,
                    right * dy / shown,
                    related={"x": a, "dy": dy, "y": value},
                    noise=float(tolerance.flat[worst]),
                )
                raise Refused(
                    "\n".join(
                        [
                            *(lines or ["the derivative is wrong"]),
                            f"worst at x = {a.flat[worst]:.6g}: got {slope.flat[worst]:.6g}, "
                            f"{name} says {right.flat[worst]:.6g} (error {error.flat[worst]:.1e}, "
                            f"tolerance {tolerance.flat[worst]:.1e})",
                        ]
                    )
                )
        if where.size:
            (there,) = read_gradient(vjp(where, np.ones_like(where)), ["x"], [where])
            wanted = np.array(list(kinks.values()), float)
            off = np.abs(there - wanted)
            trial.add(Route("value at the kink", largest(off), exact, where.size))
            if largest(off) > exact:
                k = int(np.argmax(off))
                raise Refused(
                    f"wrong only at the kink x = {where[k]:.6g}: got {there[k]:.6g}, "
                    f"the convention says {wanted[k]:.6g}"
                )

    return run("vjp", claim, body)


def _elementwise_routes(
    trial: Trial,
    f: Callable,
    torch: Callable | None,
    wide: np.ndarray,
    a: np.ndarray,
    exact: float,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (route, derivatives, tolerances), entry by entry."""
    ones, size = np.ones(a.shape), np.maximum(1.0, np.abs(wide))
    try:
        tangent = gradcheck.complex_tangent(f, a, [a], [ones])
        if np.all(np.isfinite(tangent)):
            yield "complex step", tangent, exact * size
        else:
            trial.note("no complex step: the function is not complex-safe (nan or inf)")
    except gradcheck.NotComplexSafe as error:
        trial.note(f"no complex step: the function is not complex-safe ({error})")
    # A step relative to small x, absolute at large ones: neither side of zero is left.
    step = gradcheck.optimal_step(np.float64, "central") * np.minimum(np.abs(wide), 1.0)
    step = np.where(step > 0, step, gradcheck.optimal_step(np.float64, "central"))
    with np.errstate(all="ignore"):
        up, down = np.asarray(f(wide + step)), np.asarray(f(wide - step))
    eps = epsilon([up.dtype])
    if eps < 1e-10:
        yield (
            "central differences",
            (up - down) / ((wide + step) - (wide - step)),
            2.0**7 * eps ** (2 / 3) * size + exact,
        )
    if torch is not None:
        import torch as module

        trial.device = device()
        trial.versions["torch"] = module.__version__
        point = Point(a, [a], [np.ones(a.shape)], [])
        yield f"autograd on {trial.device}", torch_gradients(torch, point)[0][0], exact * ones


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

    def body(trial: Trial) -> None:
        rng = np.random.default_rng(seed)
        for raw in x if isinstance(x, list) else [x]:
            point, names, arrays = read_point(np.asarray(raw))
            value = np.asarray(f(_fresh(point)))
            wanted = value.shape + arrays[0].shape

            def read(at: Any, wanted: tuple = wanted, dtype: Any = arrays[0].dtype) -> np.ndarray:
                given = np.asarray(jac(_fresh(at)) if callable(jac) else jac)
                if given.dtype != dtype:
                    raise Refused(f"wrong dtype: the Jacobian is {given.dtype}, wanted {dtype}")
                if given.shape != wanted:
                    raise Refused(
                        f"the Jacobian has {diagnosis.diagnose_shape(given, wanted)}; its axes "
                        "are those of f(x), then those of x"
                    )
                if not np.all(np.isfinite(given)):
                    raise Refused(f"the Jacobian: {diagnosis.nonfinite(given)}")
                return given

            def gradients(at: Any, cotangents: list, read: Callable = read) -> list:
                matrix = read(at)
                return [[np.tensordot(dy, matrix, dy.ndim)] for dy in cotangents]

            def whole(p: Point, method: str, read: Callable = read) -> tuple:
                return read(p.x), gradcheck.numerical_jacobian(f, p.x, method)

            def mistakes(p: Point, _: str) -> dict[str, dict[str, Any]]:
                guesses = {
                    phrase: np.asarray(wrong(_fresh(p.x)) if callable(wrong) else wrong)
                    for phrase, wrong in (hypotheses or {}).items()
                }
                return {"x": guesses}

            if value.size <= 2 * directions:
                cotangents = list(np.eye(value.size).reshape((-1, *value.shape)))
            else:
                cotangents = [random_signs(rng, value.shape) for _ in range(3)]
            if callable(jac):
                with contextlib.suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):
                    other = elsewhere(rng, arrays)[0][()]
                    jac(other)
                    f(other)
            biggest = largest(read(point))
            if biggest == 0 and scale is None:
                raise Refused("all zero: the Jacobian is zero; give scale= if that is the claim")
            trial.dtype = str(arrays[0].dtype)
            problem = Problem(
                f=f,
                names=names,
                rng=rng,
                routes=tuple(routes),
                directions=directions,
                tol=tol,
                scale=scale if scale is not None else biggest,
                gradients=gradients if callable(jac) else None,
                whole=whole,
                hypotheses=mistakes,
                related=lambda p: dict(leaves(p.x)),
                what="Jacobian",
                sources=(f,),
            )
            if torch is not None:
                problem.torch_gradients = lambda p: torch_gradients(torch, p)
            compare(
                trial, problem, [Point(point, arrays, cotangents, gradients(point, cotangents))]
            )

    return run("jacobian", claim, body)


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

    def body(trial: Trial) -> None:
        rng = np.random.default_rng(seed)
        for raw in x if isinstance(x, list) else [x]:
            point, names, arrays = read_point(raw)
            product, matrix = _hessian_product(hess, hvp, point, names, arrays)
            size = sum(a.size for a in arrays)
            exact = tol if tol is not None else EXACT * epsilon([a.dtype for a in arrays])
            trial.dtype = str(np.result_type(*[a.dtype for a in arrays]))
            for _ in range(directions):
                u, v = (
                    [
                        w.astype(a.dtype)
                        for w, a in zip(gradcheck.split(flat, arrays), arrays, strict=True)
                    ]
                    for flat in random_signs(rng, (2, size))
                )
                hv = product(v)
                biggest = largest(matrix) if matrix is not None else max(map(largest, hv))
                unit = scale if scale is not None else biggest
                if unit == 0:
                    raise Refused("all zero: the Hessian is zero; give scale= if that is the claim")
                trial.scale = max(trial.scale, unit)
                got = inner(u, hv)
                for name, value, tolerance in _hessian_routes(
                    trial, f, grad, torch, point, arrays, u, v, got, unit, exact * size
                ):
                    error = abs(value - got) / unit
                    trial.add(Route(name, error, tolerance, 1))
                    if not error <= tolerance:
                        text = _explain_hessian(f, product, matrix, point, arrays, tolerance)
                        raise Refused(
                            f"{text}\nalong two random directions uᵀHv: got {got:.6g}, {name} says "
                            f"{value:.6g} (error {error:.1e}, tolerance {tolerance:.1e})"
                        )

    return run("hessian", claim, body)


def _hessian_product(
    hess: Any, hvp: bool, x: Any, names: list[str], arrays: list[np.ndarray]
) -> tuple[Callable[[list[np.ndarray]], list[np.ndarray]], np.ndarray | None]:
    """Return v -> H v, and H itself if it is known."""
    if hvp:
        return (
            lambda v: read_gradient(
                hess(_fresh(x), rebuild(x, [w.copy() for w in v])), names, arrays, "product H v"
            )
        ), None
    if len(arrays) > 1:
        raise Refused(f"a Hessian is checked in one array, not in {names}: give hvp=True")
    matrix = np.asarray(hess(_fresh(x)) if callable(hess) else hess)
    wanted = arrays[0].shape * 2
    if matrix.dtype != arrays[0].dtype:
        raise Refused(f"wrong dtype: the Hessian is {matrix.dtype}, wanted {arrays[0].dtype}")
    if matrix.shape != wanted:
        raise Refused(f"the Hessian has {diagnosis.diagnose_shape(matrix, wanted)}")
    if not np.all(np.isfinite(matrix)):
        raise Refused(f"the Hessian: {diagnosis.nonfinite(matrix)}")
    return (lambda v: [np.tensordot(matrix, v[0], v[0].ndim)]), matrix


def _hessian_routes(
    trial: Trial,
    f: Callable,
    grad: Callable | None,
    torch: Callable | None,
    x: Any,
    arrays: list[np.ndarray],
    u: list[np.ndarray],
    v: list[np.ndarray],
    got: float,
    unit: float,
    exact: float,
) -> Iterator[tuple[str, float, float]]:
    """Yield (route, uᵀHv by that route, tolerance)."""
    if grad is not None:
        try:
            yield "complex step of the gradient", _product_by_gradient(grad, x, arrays, u, v), exact
        except gradcheck.NotComplexSafe as error:
            trial.note(f"no complex step of the gradient: it is not complex-safe ({error})")
    name, phi = "central differences of the complex step", _slope_along(f, x, arrays, u, v)
    try:
        found = difference(phi, np.array([got]), unit, exact * unit)
    except gradcheck.NotComplexSafe as error:
        trial.note(f"no complex step: the function is not complex-safe ({error})")
        name, found = "second central differences", _second_difference(f, x, arrays, u, v, unit)
    if found is not None:
        yield name, float(found[0][0]), found[1] / unit + exact
    else:
        trial.add(Route(name, 0.0, 0.0, 0, 1))
        trial.note("a pair of directions was skipped at a kink")
    if torch is not None:
        import torch as module

        trial.device = device()
        trial.versions["torch"] = module.__version__
        value, eps = _torch_hessian(torch, x, arrays, u, v)
        size = sum(a.size for a in arrays)
        yield f"autograd on {trial.device}", value, max(exact, EXACT * eps * size)


def _product_by_gradient(
    grad: Callable, x: Any, arrays: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
) -> float:
    """Return uᵀHv as the derivative of uᵀ∇f along v."""

    def along(z: Any) -> Any:
        return sum((w * g).sum() for w, (_, g) in zip(u, leaves(grad(z)), strict=True))

    return float(gradcheck.complex_tangent(along, x, arrays, v))


def _slope_along(
    f: Callable, x: Any, arrays: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
) -> Callable[[float], tuple[np.ndarray, float, float]]:
    """Return t -> the slope of f along v at x + t u."""
    wide = [w.astype(float) for w in v]

    def phi(t: float) -> tuple[np.ndarray, float, float]:
        moved = [a.astype(float) + t * w for a, w in zip(arrays, u, strict=True)]
        value = float(np.squeeze(gradcheck.complex_tangent(f, x, moved, wide)))
        return np.array([value]), abs(value), 2.0**-52

    return phi


def _second_difference(
    f: Callable,
    x: Any,
    arrays: list[np.ndarray],
    u: list[np.ndarray],
    v: list[np.ndarray],
    unit: float,
) -> tuple[np.ndarray, float] | None:
    """Return uᵀHv by mixed second differences of f, and how far it can be trusted."""

    def at(s: float, t: float) -> float:
        moved = [a.astype(float) + s * p + t * q for a, p, q in zip(arrays, u, v, strict=True)]
        return float(np.squeeze(f(rebuild(x, moved))))

    eps = 2.0**-52
    full = gradcheck.optimal_step(np.float64, "second")
    values = []
    for h in (full, full / 2):
        corners = at(h, h), at(h, -h), at(-h, h), at(-h, -h)
        values.append((corners[0] - corners[1] - corners[2] + corners[3]) / (4 * h * h))
    doubt = 2.0**7 * (eps**0.5 * unit + eps * max(map(abs, corners)) / full**2)
    if abs(values[0] - values[1]) > doubt:
        return None
    return np.array([(4 * values[1] - values[0]) / 3]), doubt


def _explain_hessian(
    f: Callable,
    product: Callable,
    matrix: np.ndarray | None,
    x: Any,
    arrays: list[np.ndarray],
    tolerance: float,
) -> str:
    """Compare a wrong Hessian, entry by entry if it is small, with differences."""
    size = sum(a.size for a in arrays)
    if size > 100:
        return "the Hessian is wrong"
    units = [gradcheck.split(unit, arrays) for unit in np.eye(size)]
    actual = np.array([np.concatenate([h.ravel() for h in product(e)]) for e in units]).T
    right = np.zeros((size, size))
    for i, j in zip(*np.triu_indices(size), strict=True):
        try:
            found = difference(_slope_along(f, x, arrays, units[i], units[j]), None, 1e3)
        except gradcheck.NotComplexSafe:
            found = _second_difference(f, x, arrays, units[i], units[j], 1e3)
        if found is None:
            return "the Hessian is wrong"
        right[i, j] = right[j, i] = found[0][0]
    lines = diagnosis.diagnose(actual.astype(float), right, tol=1e-5, noise=max(1e-6, tolerance))
    skew = largest(actual - actual.T) / max(largest(actual), 1e-300)
    if matrix is not None and skew > 1e-6:
        lines = ["not symmetric", *lines]
    off = np.abs(actual - right) / max(largest(right), 1e-300)
    i, j = worst_index(off)
    return "\n".join(
        [
            *(lines[:2] or ["the Hessian is wrong"]),
            f"worst at [{i}, {j}]: got {actual[i, j]:.6g}, differences say {right[i, j]:.6g}",
        ]
    )


def _torch_hessian(
    f: Callable, x: Any, arrays: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
) -> tuple[float, float]:
    """Return uᵀHv by automatic differentiation, and ε of its arithmetic."""
    import torch

    tensors = torch_tensors(arrays)
    with torch.device(device()):
        value = f(restructure(x, iter(tensors)))
    slopes = torch.autograd.grad(value.sum(), tensors, create_graph=True, materialize_grads=True)
    along = sum(
        (g * torch.as_tensor(w, dtype=g.dtype, device=g.device)).sum()
        for g, w in zip(slopes, v, strict=True)
    )
    eps = max(torch.finfo(t.dtype).eps for t in tensors)
    if not along.requires_grad:
        return 0.0, eps
    second = torch.autograd.grad(along, tensors, materialize_grads=True)
    return inner(u, [s.detach().cpu().numpy() for s in second]), eps


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

    def body(trial: Trial) -> None:
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be a positive number, got {scale}")
        several = isinstance(actual, list) and isinstance(expected, list)
        if several and len(actual) != len(expected):
            raise Refused(f"{len(actual)} points against {len(expected)}")
        pairs = list(zip(actual, expected, strict=True)) if several else [(actual, expected)]
        for k, (a, e) in enumerate(pairs):

            def guess(wrong: Any, k: int = k) -> Any:
                value = wrong() if callable(wrong) else wrong
                return value[k] if several else value

            mistakes = {
                name: (lambda wrong=wrong, guess=guess: guess(wrong))
                for name, wrong in (hypotheses or {}).items()
            }
            _equal_at(trial, np.asarray(a), np.asarray(e), scale, tol, ulps, mistakes)

    return run("equal", claim, body)


def _equal_at(
    trial: Trial,
    a: np.ndarray,
    e: np.ndarray,
    scale: float | None,
    tol: float | None,
    ulps: float | None,
    hypotheses: dict[str, Any],
) -> None:
    for name, array in (("the value", a), ("the expected value", e)):
        if array.dtype.kind not in "fciub":
            raise Refused(f"wrong dtype: {name} is {array.dtype}, wanted numbers")
    if a.shape != e.shape:
        text = diagnosis.diagnose_shape(a, e.shape, lambda: e)
        raise Refused(f"{text} (nothing is broadcast in a comparison)")
    if not a.size:
        raise Refused("empty: there are no entries, so that nothing is compared")
    for name, array in (("the value", a), ("the expected value", e)):
        if not np.all(np.isfinite(array)):
            raise Refused(f"{name}: {diagnosis.nonfinite(array)}")
    if not np.any(a) and not np.any(e) and scale is None:
        raise Refused("all zero: both sides are zero; give scale= if that is the claim")
    floats = [np.finfo(array.dtype).dtype for array in (a, e) if array.dtype.kind in "fc"]
    eps = epsilon(floats) if floats else 0.0
    trial.dtype = str(np.result_type(a, e))
    wide = complex if "c" in (a.dtype.kind, e.dtype.kind) else float
    off = np.abs(a.astype(wide) - e.astype(wide))
    size = scale if scale is not None else largest(e) or largest(a)
    if ulps is not None and floats:
        coarse = max(floats, key=lambda dtype: np.finfo(dtype).eps)
        off = off / np.spacing(np.abs(e).astype(coarse)).astype(float) * eps
        tolerance = ulps * eps
    else:
        off = off / size
        tolerance = tol if tol is not None else EXACT * eps
    trial.scale = max(trial.scale, size)
    index, worst = worst_index(off), float(off.max())
    trial.add(Route("closed form", worst, tolerance, a.size))
    if not worst <= tolerance:
        lines = diagnosis.diagnose(
            a, e, tol=max(30 * tolerance, 1e-9), noise=tolerance, hypotheses=hypotheses
        )
        place = f" at [{', '.join(map(str, index))}]" if index else ""
        got, wanted = a[index].astype(wide), e[index].astype(wide)
        lines = lines or ["the two sides differ"]
        lines.append(
            f"worst{place}: got {got:.6g}, expected {wanted:.6g} "
            f"(error {worst:.1e}, tolerance {tolerance:.1e})"
        )
        raise Refused("\n".join(lines))


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

    def body(trial: Trial) -> None:
        low, high = np.asarray(lower), np.asarray(upper)
        if low.shape != high.shape and low.ndim and high.ndim:
            raise Refused(f"shapes {low.shape} and {high.shape} differ: nothing is broadcast")
        shape = np.broadcast_shapes(low.shape, high.shape)
        floats = [array.dtype for array in (low, high) if array.dtype.kind == "f"]
        low, high = (np.broadcast_to(array.astype(float), shape) for array in (low, high))
        if not low.size:
            raise Refused("empty: there are no points, so that nothing is compared")
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
            raise Refused("not finite: a side holds nan or inf")
        if not np.any(low) and not np.any(high):
            raise Refused("all zero: both sides are zero everywhere")
        trial.dtype = str(np.result_type(*floats)) if floats else "float64"
        trial.scale = size = max(largest(low), largest(high))
        tolerance = slack if slack is not None else EXACT * epsilon(floats)
        gap = (low - high) / size
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        place = f" at [{', '.join(map(str, index))}]" if index else ""
        worst = float(gap[index])
        trial.add(Route("inequality", max(worst, 0.0), tolerance, low.size))
        if worst > tolerance:
            count = int(np.sum(gap > tolerance))
            raise Refused(
                f"the bound is broken at {count} of {gap.size} points\n"
                f"worst{place}: lower {low[index]:.6g} > upper {high[index]:.6g}"
            )
        if attained and worst < -tolerance:
            raise Refused(
                f"the bound is not attained: it holds with room everywhere\n"
                f"closest{place}: lower {low[index]:.6g} < upper {high[index]:.6g}",
                -worst,
            )

    return run("bound", claim, body)


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

    def body(trial: Trial) -> None:
        a, b = np.asarray(x, float), np.asarray(y, float)
        if a.shape != b.shape or a.ndim != 1:
            raise Refused(f"x and y have shapes {a.shape} and {b.shape}, wanted (n,) each")
        if a.size < 3:
            raise Refused(f"a rate needs at least 3 points, got {a.size}")
        if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
            raise Refused("not finite: x or y holds nan or inf")
        if np.any(b <= 0) or (kind == "power" and np.any(a <= 0)):
            raise Refused("a rate needs positive values: logarithms are compared")
        if np.ptp(a) == 0:
            raise Refused("all x are equal: no rate can be measured")
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
            raise Refused(
                f"the {word} is {measured:.3g}, not {expected:.3g} within {tol:.2g}\n"
                f"from point to point it goes from {local[0]:.3g} to {local[-1]:.3g}"
            )

    return run("rate", claim, body)


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

    def body(trial: Trial) -> None:
        data = np.moveaxis(np.asarray(samples, float), axis, 0)
        n = data.shape[0]
        want = np.asarray(expected, float)
        if want.ndim and want.shape != data.shape[1:]:
            raise Refused(f"expected has shape {want.shape}, wanted {data.shape[1:]}")
        if n < 30 or not data.size:
            raise Refused(f"a statistic needs at least 30 samples, got {n}")
        if not (np.all(np.isfinite(data)) and np.all(np.isfinite(want))):
            raise Refused("not finite: the samples or the expected value hold nan or inf")
        mean = data.mean(0)
        centred = data - mean
        variance = (centred**2).sum(0) / (n - 1)
        if np.any(variance == 0):
            raise Refused("the samples do not vary, so that nothing is compared")
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
            raise Refused(
                f"the {kind} of {n} samples is {float(got[index]):.6g}{place}, not {there:.6g}: "
                f"{float(ratio[index]) * k:.1f} standard errors away, {k:g} allowed"
            )

    return run("statistic", claim, body)


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
    token = quiet.set(True)
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
        quiet.reset(token)
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
    token = quiet.set(True)
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
        quiet.reset(token)
    if shell() is None or page is None:
        print(text)
    else:
        show({"text/plain": text, "text/html": page})
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
        if shell() is not None:
            show(
                {f"{GLUE_PREFIX}text/plain": repr(plain)},
                {"scrapbook": {"name": key, "mime_prefix": GLUE_PREFIX}},
            )
