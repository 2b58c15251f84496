"""What is wrong with a gradient: usual mistakes, each tried against the numbers."""

from __future__ import annotations

import numpy as np


def diagnose(actual: np.ndarray, right: np.ndarray, *, tol: float = 1e-9) -> list[str]:
    """Name the mistakes that turn the right array into the one given.

    Parameters
    ----------
    actual, right : ndarray
        The array under test and what it should be.
    tol : float
        How closely a hypothesis must fit, relative to the largest entry.

    Returns
    -------
    list of str
        The mistakes that fit, most specific first; empty if none does.

    Examples
    --------
    >>> diagnose(np.array([-1.0, -2.0]), np.array([1.0, 2.0]))
    ['sign flipped']
    """
    if not np.any(actual):
        return ["all zero"]
    if np.max(np.abs(actual + right)) <= tol * np.max(np.abs(right)):
        return ["sign flipped"]
    return []
