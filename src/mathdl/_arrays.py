"""What every function here asks of its arguments: floats, and shapes that agree without help."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray

__all__ = ["at_precision_of", "cotangent", "inexact", "real", "same_shape", "unbroadcast"]


def inexact(x: Any, name: str = "x") -> Array:
    """Return `x` as an array of real or complex floats.

    Raises
    ------
    TypeError
        For integers, booleans and objects, which have no derivative.

    Examples
    --------
    >>> inexact([1.0, 2.0])
    array([1., 2.])
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fc":
        raise TypeError(
            f"{name} must hold real or complex floats, got dtype {array.dtype}: "
            "write 1.0 for 1, or convert with .astype(float)"
        )
    return array


def real(x: Any, name: str = "x") -> Array:
    """Return `x` as an array of real floats; refuse complex numbers as well as integers."""
    array = inexact(x, name)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must hold real floats, got dtype {array.dtype}")
    return array


def same_shape(got: Array, want: tuple[int, ...], name: str) -> None:
    """Raise a ValueError unless `got` has exactly the shape `want`: broadcasting hides mistakes."""
    if got.shape != want:
        raise ValueError(f"{name} must have shape {want}, got {got.shape}")


def at_precision_of(like: Array, array: Array) -> Array:
    """Return a lone number in the precision of `like`, so that it does not widen what it meets."""
    if array.ndim:
        return array
    if array.dtype.kind == "c":
        return array.astype(np.result_type(like.dtype, np.complex64))
    return array.astype(like.real.dtype)


def cotangent(dy: Any, shape: tuple[int, ...], like: Array, name: str = "dy") -> Array:
    """Return the cotangent `dy` as an array of shape `shape`; a lone number fits `like`."""
    array = inexact(dy, name)
    same_shape(array, shape, name)
    return at_precision_of(like, array)


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum `gradient` over the axes along which an array of `shape` was repeated.

    Examples
    --------
    >>> unbroadcast(np.ones((4, 3, 2)), (3, 1)).tolist()
    [[8.0], [8.0], [8.0]]
    """
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    repeated = [i for i, n in enumerate(shape, extra) if n != gradient.shape[i]]
    return gradient.sum(axis=(*range(extra), *repeated)).reshape(shape)
