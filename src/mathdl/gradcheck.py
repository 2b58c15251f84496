"""Numerical derivatives: the routes by which a gradient is checked.

A derivative can be had from values of the function alone, by differences or by
a complex step, in every entry or along one direction. The functions here do
that for arrays of any shape and for dictionaries and tuples of arrays.
:mod:`mathdl.checks` builds its comparisons on them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

METHODS = ("central", "forward", "complex", "richardson")
_COMPLEX = {np.dtype(np.float32): np.complex64, np.dtype(np.float64): np.complex128}


class NotComplexSafe(ValueError):
    """The function cannot be differentiated by a complex step."""


class Located(NamedTuple):
    """One wrong entry of a gradient, found by :func:`locate`.

    Attributes
    ----------
    tensor : str
        Name of the tensor inside ``x``: a key, a position such as ``"[1]"``, or ``"x"``.
    index : tuple of int
        Index of the entry in that tensor.
    analytic, numerical : float
        The entry of the gradient under test and the one the function's values give.
    evaluations : int
        Forward passes that the search took.
    """

    tensor: str
    index: tuple[int, ...]
    analytic: float
    numerical: float
    evaluations: int


def leaves(x: Any, name: str = "x") -> list[tuple[str, np.ndarray]]:
    """List the named arrays of a point.

    Parameters
    ----------
    x : array, number, or (nested) dict or tuple of arrays
        The point.
    name : str
        Name of a point that is a single array.

    Returns
    -------
    list of (str, ndarray)
        Each array with its name: the key in a dictionary, ``"[0]"`` in a tuple.

    Examples
    --------
    >>> [name for name, _ in leaves({"weight": np.ones((2, 3)), "bias": np.ones(2)})]
    ['weight', 'bias']
    """
    return _leaves(x, name, "")


def _leaves(x: Any, name: str, prefix: str) -> list[tuple[str, np.ndarray]]:
    if isinstance(x, dict):
        parts = [(f"{prefix}.{key}" if prefix else str(key), value) for key, value in x.items()]
    elif isinstance(x, tuple):
        parts = [(f"{prefix}[{i}]", value) for i, value in enumerate(x)]
    else:
        return [(prefix or name, np.asarray(x))]
    return [leaf for part, value in parts for leaf in _leaves(value, name, part)]


def rebuild(x: Any, arrays: Sequence[np.ndarray]) -> Any:
    """Put arrays into the structure of a point; the inverse of :func:`leaves`.

    Parameters
    ----------
    x : array, number, or (nested) dict or tuple of arrays
        The structure to imitate.
    arrays : sequence of ndarray
        One array per leaf, in the order of :func:`leaves`.

    Returns
    -------
    array, number, dict or tuple
        The arrays in the structure of ``x``; 0-d arrays become NumPy scalars.

    Examples
    --------
    >>> rebuild((np.zeros(2), np.zeros(1)), [np.ones(2), np.ones(1)])
    (array([1., 1.]), array([1.]))
    """
    return _rebuild(x, iter(arrays))


def _rebuild(x: Any, arrays: Any) -> Any:
    if isinstance(x, dict):
        return {key: _rebuild(value, arrays) for key, value in x.items()}
    if isinstance(x, tuple):
        parts = [_rebuild(value, arrays) for value in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    array = next(arrays)
    return array[()] if array.ndim == 0 else array


def require_float(name: str, array: np.ndarray) -> np.ndarray:
    """Refuse what has no derivative: integers, booleans, objects, half precision.

    Parameters
    ----------
    name : str
        What to call the array in the error.
    array : ndarray
        Any array.

    Returns
    -------
    ndarray
        The same array.

    Raises
    ------
    TypeError
        If the dtype is neither float32 nor float64.
    """
    if array.dtype not in _COMPLEX:
        raise TypeError(
            f"a derivative needs float32 or float64, but {name} has dtype {array.dtype}"
            + (": write it as floats, e.g. x.astype(float)" if array.dtype.kind in "iub" else "")
        )
    return array


def optimal_step(dtype: Any, method: str = "central") -> float:
    """Return the step that balances truncation against rounding.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.
    method : {"central", "forward", "complex", "richardson", "second"}
        ``"second"`` is the second central difference of a second derivative.

    Returns
    -------
    float
        ε^½ for forward, ε^⅓ for central, ε^⅕ for Richardson's extrapolation and ε^¼ for second
        differences, to be multiplied by ``max(1, abs(x))``. A complex step has no rounding to
        balance: 1e-30, or 1e-20 in single precision where 1e-30 underflows when it is
        multiplied by a small number.

    Notes
    -----
    A central difference errs by ``h² abs(f‴) / 6 + ε abs(f) / h``, least near h = ε^⅓ [1]_.

    References
    ----------
    .. [1] W. H. Press et al., *Numerical Recipes*, 3rd ed., section 5.7.
    .. [2] W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real
       functions", SIAM Review 40 (1998), 110-112.

    Examples
    --------
    >>> f"{optimal_step(np.float64):.1e} {optimal_step(np.float32):.1e}"
    '6.1e-06 4.9e-03'
    """
    dtype = np.dtype(dtype)
    require_float("the point", np.empty(0, dtype))
    if method == "complex":
        return 1e-30 if dtype == np.float64 else 1e-20
    powers = {"forward": 1 / 2, "central": 1 / 3, "richardson": 1 / 5, "second": 1 / 4}
    if method not in powers:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    return float(np.finfo(dtype).eps) ** powers[method]


def directional_derivative(
    f: Callable, x: Any, direction: Any, method: str = "complex", h: float | None = None
) -> Any:
    """Differentiate a function along one direction, from its values alone.

    Parameters
    ----------
    f : callable
        Function of ``x``, of any output shape; complex-safe for the complex step.
    x : array, number, or dict or tuple of arrays
        The point.
    direction : same structure and shapes as ``x``
        The direction u; it is not normalised.
    method : {"complex", "central", "forward", "richardson"}
        How to differentiate.
    h : float, optional
        The step along ``direction``; by default the one of :func:`optimal_step`, times the
        largest ratio of max(1, abs(x)) to max(1, abs(u)).

    Returns
    -------
    float or ndarray
        Σᵢ uᵢ ∂f/∂xᵢ, with the shape of ``f(x)``.

    Raises
    ------
    NotComplexSafe
        If the complex step does not come through the function.
    TypeError
        If ``x`` holds integers.
    ValueError
        If the shapes of ``x`` and ``direction`` differ.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> float(directional_derivative(lambda x: (x**3).sum(), x, np.array([1.0, -1.0])))
    -9.0
    """
    arrays = _float_leaves(x)
    moves = [np.asarray(u, float) for _, u in leaves(direction)]
    shapes = [a.shape for a in arrays]
    if [u.shape for u in moves] != shapes:
        raise ValueError(f"direction must have shapes {shapes}, got {[u.shape for u in moves]}")
    return _along(f, x, arrays, moves, method, h)


def numerical_gradient(f: Callable, x: Any, method: str = "central", h: float | None = None) -> Any:
    """Differentiate a scalar function in every entry, from its values alone.

    Parameters
    ----------
    f : callable
        Function of ``x`` that returns one real number.
    x : array, number, or dict or tuple of arrays
        The point, of any shape, float32 or float64. It is not modified.
    method : {"central", "forward", "complex", "richardson"}
        ``"complex"`` is exact to rounding but needs a complex-safe ``f``.
    h : float, optional
        The step, before it is multiplied by max(1, abs(x)); see :func:`optimal_step`.

    Returns
    -------
    same structure, shapes and dtypes as ``x``
        ∂f/∂x, entry by entry: 2 evaluations per entry for ``"central"``, 1 for ``"complex"``,
        1 (and one more in all) for ``"forward"``, 4 for ``"richardson"``.

    Raises
    ------
    TypeError
        If ``x`` holds integers: a step would be rounded away.
    ValueError
        If ``f`` does not return a scalar, or the method is unknown.
    NotComplexSafe
        If the complex step does not come through the function.

    Examples
    --------
    >>> W = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> numerical_gradient(lambda W: (W**2).sum(), W, method="complex")
    array([[2., 4.],
           [6., 8.]])
    """

    def scalar(z: Any) -> Any:
        value = np.asarray(f(z))
        if value.size != 1:
            raise ValueError(
                f"a gradient needs a scalar function, but f(x) has shape {value.shape}; "
                "for several outputs use numerical_jacobian"
            )
        return value.reshape(())

    return rebuild(x, _columns(scalar, x, method, h))


def numerical_jacobian(f: Callable, x: Any, method: str = "central", h: float | None = None) -> Any:
    """Differentiate an array-valued function in every entry, from its values alone.

    Parameters
    ----------
    f : callable
        Function of ``x`` that returns an array.
    x : array, number, or dict or tuple of arrays
        The point.
    method, h
        As in :func:`numerical_gradient`.

    Returns
    -------
    same structure as ``x``
        One array per array of ``x``, of shape ``f(x).shape + x.shape``.

    Raises
    ------
    TypeError
        If ``x`` holds integers.
    NotComplexSafe
        If the complex step does not come through the function.

    Examples
    --------
    >>> numerical_jacobian(lambda x: np.array([x[0] * x[1], x[0]]), np.array([2.0, 3.0]), "complex")
    array([[3., 2.],
           [1., 0.]])
    """
    return rebuild(x, _columns(f, x, method, h))


def locate(
    f: Callable,
    grad: Any,
    x: Any,
    *,
    method: str = "complex",
    tol: float | None = None,
    seed: int = 0,
) -> Located | None:
    """Name one wrong entry of a gradient in about log₂ P forward passes.

    A random direction through all P entries shows whether any is wrong. Half of its entries
    are then set to zero, which shows in which half the error lies, and so on.

    Parameters
    ----------
    f : callable
        Function of ``x`` that returns one real number.
    grad : callable or same structure as ``x``
        The gradient under test, or a function of ``x`` that returns it.
    x : array, number, or dict or tuple of arrays
        The point.
    method : {"complex", "central"}
        How the directional derivatives are had.
    tol : float, optional
        What counts as wrong, relative to the largest entry of the gradient.
    seed : int
        Seed of the random direction.

    Returns
    -------
    Located or None
        The entry, or None if the gradient is right along the direction. If several entries are
        wrong, one of those that weigh most.

    Raises
    ------
    ValueError
        If shapes differ.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 9000).reshape(90, 100)
    >>> wrong = np.cos(x)
    >>> wrong[41, 7] *= 2
    >>> found = locate(lambda x: np.sin(x).sum(), wrong, x)
    >>> found.index, found.evaluations <= 15
    ((41, 7), True)
    """
    arrays = _float_leaves(x)
    names = [name for name, _ in leaves(x)]
    given = [np.asarray(g) for _, g in leaves(grad(x) if callable(grad) else grad)]
    if [g.shape for g in given] != [a.shape for a in arrays]:
        raise ValueError(
            f"the gradient must have shapes {[a.shape for a in arrays]}, "
            f"got {[g.shape for g in given]}"
        )
    flat = np.concatenate([g.ravel().astype(float) for g in given])
    rng = np.random.default_rng(seed)
    signs = random_signs(rng, flat.shape)
    evaluations, passes = 0, {"complex": 1, "richardson": 4}.get(method, 2)

    def error(entries: slice) -> float:
        nonlocal evaluations
        evaluations += passes
        u = np.zeros(flat.size)
        u[entries] = signs[entries]
        value = np.asarray(_along(f, x, arrays, split(u, arrays), method, None))
        return float(value.reshape(())) - float(u @ flat)

    total = error(slice(0, flat.size))
    largest = float(np.max(np.abs(flat), initial=0.0))
    if tol is None:
        eps = max(float(np.finfo(a.dtype).eps) for a in arrays)
        tol = (1024 * eps if method == "complex" else 100 * eps ** (2 / 3)) * flat.size**0.5
    if abs(total) <= tol * largest:
        return None
    low, high, missing = 0, flat.size, total
    while high - low > 1:
        middle = (low + high) // 2
        left = error(slice(low, middle))
        if abs(left) >= abs(missing - left):
            high, missing = middle, left
        else:
            low, missing = middle, missing - left
    wrong = float(flat[low])
    for name, array in zip(names, arrays, strict=True):
        if low < array.size:
            index = tuple(int(i) for i in np.unravel_index(low, array.shape))
            return Located(
                name, index, wrong, wrong + missing / float(signs[high - 1]), evaluations
            )
        low -= array.size
    raise AssertionError("unreachable: the entry lies in one of the tensors")


def taylor_remainders(
    f: Callable,
    grad: Any,
    x: Any,
    *,
    direction: Any = None,
    steps: Sequence[float] | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Measure what is left of f(x + h u) after its first-order Taylor polynomial.

    Parameters
    ----------
    f : callable
        Function of ``x`` that returns one real number.
    grad : callable or same structure as ``x``
        The gradient under test, or a function of ``x`` that returns it.
    x : array, number, or dict or tuple of arrays
        The point.
    direction : same structure as ``x``, optional
        The direction u; by default random signs, divided by √P.
    steps : sequence of float, optional
        The steps h, by default 2⁻⁴ … 2⁻¹¹.
    seed : int
        Seed of the default direction.

    Returns
    -------
    steps, remainders : ndarray
        h and ``abs(f(x + h u) − f(x) − h u·∇f)``.

    Examples
    --------
    >>> h, r = taylor_remainders(lambda x: (x**2).sum(), lambda x: 2 * x, np.array([1.0, 2.0]))
    >>> np.allclose(r / h**2, r[0] / h[0] ** 2)
    True
    """
    arrays = _float_leaves(x)
    given = [np.asarray(g, float) for _, g in leaves(grad(x) if callable(grad) else grad)]
    if direction is None:
        rng = np.random.default_rng(seed)
        size = sum(a.size for a in arrays)
        moves = split(random_signs(rng, (size,)) / max(size, 1) ** 0.5, arrays)
    else:
        moves = [np.asarray(u, float) for _, u in leaves(direction)]
    h = np.asarray(steps if steps is not None else 2.0 ** -np.arange(4, 12), float)
    start = float(f(rebuild(x, [a.copy() for a in arrays])))
    slope = sum(float(np.sum(u * g)) for u, g in zip(moves, given, strict=True))
    values = [
        float(f(rebuild(x, [a + s * u for a, u in zip(arrays, moves, strict=True)]))) for s in h
    ]
    return h, np.abs(np.array(values) - start - h * slope)


def taylor_slope(f: Callable, grad: Any, x: Any, **options: Any) -> float:
    """Return the order at which the Taylor remainder vanishes: 2 if the gradient is right.

    Parameters
    ----------
    f, grad, x
        As in :func:`taylor_remainders`.
    **options
        Its keyword arguments.

    Returns
    -------
    float
        Slope of log remainder against log h: 2 for a right gradient (more where the second
        derivative vanishes along the direction), 1 for a wrong one.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> round(taylor_slope(lambda x: np.exp(x).sum(), np.exp, x), 1)
    2.0
    >>> round(taylor_slope(lambda x: np.exp(x).sum(), lambda x: 2 * np.exp(x), x), 1)
    1.0
    """
    h, remainders = taylor_remainders(f, grad, x, **options)
    if not np.all(remainders > 0):
        return math.inf
    return float(np.polyfit(np.log(h), np.log(remainders), 1)[0])


def random_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw random signs with magnitudes between ½ and 1½.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    shape : tuple of int
        Shape wanted.

    Returns
    -------
    ndarray
        float64; no entry is weak, and two errors of equal size do not cancel, as they would in
        half of the directions if all magnitudes were 1.

    Examples
    --------
    >>> u = random_signs(np.random.default_rng(0), (1000,))
    >>> float(abs(u).min()) >= 0.5, float(abs(u).max()) <= 1.5
    (True, True)
    """
    u = rng.uniform(-1.0, 1.0, shape)
    return u + np.copysign(0.5, u)


def split(flat: np.ndarray, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Cut a flat vector into arrays of the given shapes.

    Parameters
    ----------
    flat : ndarray, shape (P,)
        All entries in a row.
    arrays : sequence of ndarray
        Their shapes are used; P entries in all.

    Returns
    -------
    list of ndarray
        Views of ``flat``.
    """
    parts, start = [], 0
    for array in arrays:
        parts.append(flat[start : start + array.size].reshape(array.shape))
        start += array.size
    return parts


def complex_tangent(
    f: Callable, x: Any, arrays: Sequence[np.ndarray], moves: Sequence[np.ndarray]
) -> np.ndarray:
    """Differentiate along a direction by the complex step.

    Parameters
    ----------
    f : callable
        Function of ``x``.
    x : structure
        Whose structure is imitated.
    arrays, moves : sequences of ndarray
        The leaves of the point and of the direction.

    Returns
    -------
    ndarray
        Im f(x + i h u) / h, of the shape of ``f(x)``, float64.

    Raises
    ------
    NotComplexSafe
        If f raises, warns that it drops the imaginary part, or returns a real number.

    References
    ----------
    .. [1] W. Squire and G. Trapp, SIAM Review 40 (1998), 110-112.
    """
    h = min((optimal_step(a.dtype, "complex") for a in arrays), default=1e-30)
    if any(a.dtype == np.float32 for a in arrays):
        h = 1e-20
    point = []
    for a, u in zip(arrays, moves, strict=True):
        z = np.empty(a.shape, _COMPLEX[a.dtype])
        z.real = a
        z.imag = h * u
        point.append(z)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # ComplexWarning is a RuntimeWarning: the later filter counts.
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            value = np.asarray(f(rebuild(x, point)))
        except np.exceptions.ComplexWarning:
            raise NotComplexSafe("it drops the imaginary part (a cast or a float buffer)") from None
        except Exception as error:
            raise NotComplexSafe(
                f"at a complex argument it raises {type(error).__name__}: {error}"
            ) from error
    if value.dtype.kind != "c":
        raise NotComplexSafe(f"of a complex argument it returns {value.dtype}")
    return value.imag.astype(float) / h


def _along(
    f: Callable,
    x: Any,
    arrays: Sequence[np.ndarray],
    moves: Sequence[np.ndarray],
    method: str,
    h: float | None,
) -> Any:
    if method == "complex":
        return complex_tangent(f, x, arrays, moves)
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if h is None:
        eps = max(np.finfo(a.dtype).eps for a in arrays)
        size = max((float(np.max(np.maximum(1, np.abs(a)), initial=1)) for a in arrays), default=1)
        length = max((float(np.max(np.abs(u), initial=0)) for u in moves), default=1)
        narrow = np.float32 if eps > 1e-10 else np.float64
        h = optimal_step(narrow, method) * size / max(length, 1.0)

    def at(step: float) -> np.ndarray:
        point = [(a + step * u).astype(a.dtype) for a, u in zip(arrays, moves, strict=True)]
        return np.asarray(f(rebuild(x, point)), float)

    if method == "forward":
        return (at(h) - at(0.0)) / h
    central = (at(h) - at(-h)) / (2 * h)
    if method == "central":
        return central
    return (4 * (at(h / 2) - at(-h / 2)) / h - central) / 3


def _columns(f: Callable, x: Any, method: str, h: float | None) -> list[np.ndarray]:
    """Differentiate in every entry; one array of shape out + leaf per leaf."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    arrays = _float_leaves(x)
    moves = [np.zeros(a.shape) for a in arrays]
    results = []
    start = None
    for k, a in enumerate(arrays):
        step = h if h is not None else optimal_step(a.dtype, method)
        columns = []
        for i in np.ndindex(a.shape):
            if method == "complex":
                moves[k][i] = 1.0
                columns.append(complex_tangent(f, x, arrays, moves))
                moves[k][i] = 0.0
                continue
            wide = a.dtype.type(step * max(1.0, abs(float(a[i]))))

            def at(shift: Any, k: int = k, i: tuple = i) -> tuple[np.ndarray, float]:
                point = [b.copy() for b in arrays]
                point[k][i] += shift
                # The step that was really taken, after rounding x + h.
                return np.asarray(f(rebuild(x, point)), float), float(point[k][i])

            if method == "forward":
                start = at(a.dtype.type(0))[0] if start is None else start
                value, there = at(wide)
                columns.append((value - start) / (there - float(a[i])))
                continue
            columns.append(_difference(at, wide))
            if method == "richardson":
                columns[-1] = (4 * _difference(at, wide / 2) - columns[-1]) / 3
        if columns:
            result = np.stack(columns, -1).reshape(columns[0].shape + a.shape)
        else:
            result = np.zeros(np.shape(f(x)) + a.shape)
        results.append(result.astype(a.dtype))
    return results


def _difference(at: Callable, h: Any) -> np.ndarray:
    (up, right), (down, left) = at(h), at(-h)
    return (up - down) / (right - left)


def _float_leaves(x: Any) -> list[np.ndarray]:
    return [require_float(name, array) for name, array in leaves(x)]
