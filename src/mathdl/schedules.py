r"""Learning-rate schedules as pure functions of the step.

Every function takes the step t, counted from 0 (a number or an array of any shape), and the base
learning rate, and returns the learning rate of that step in float64. Names and parameters are those
of the classes in :mod:`torch.optim.lr_scheduler`, which change an optimizer step by step instead::

    for t in range(steps):
        optimizer.lr = cosine_annealing_lr(t, 0.1, T_max=steps)
        optimizer.step(grad(x))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _steps(t: ArrayLike) -> NDArray:
    steps = np.asarray(t)
    if steps.dtype.kind not in "iuf":
        raise TypeError(f"t must be real, got dtype {steps.dtype}")
    if np.any(steps < 0):
        raise ValueError("t must not be negative: the first step is t = 0")
    return steps


def _at_least(name: str, value: float, low: float) -> None:
    if not value >= low:
        raise ValueError(f"{name} must be at least {low}, got {value}")


def constant_lr(t: ArrayLike, lr: float, factor: float = 1 / 3, total_iters: int = 5) -> NDArray:
    """Multiply the learning rate by `factor` for the first `total_iters` steps.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate.
    factor : float
        Factor of the first steps; 1 makes the schedule constant.
    total_iters : int
        Number of those steps.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    ``torch.optim.lr_scheduler.ConstantLR``.

    Examples
    --------
    >>> constant_lr(np.arange(4), 0.8, factor=0.5, total_iters=2).tolist()
    [0.4, 0.4, 0.8, 0.8]
    """
    steps = _steps(t)
    return lr * np.where(steps < total_iters, factor, 1.0)


def step_lr(t: ArrayLike, lr: float, step_size: int, gamma: float = 0.1) -> NDArray:
    r"""Multiply the learning rate by γ every s steps: :math:`\gamma^{\lfloor t/s\rfloor}`.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate.
    step_size : int
        Steps s between two drops.
    gamma : float
        Factor γ of a drop.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    ``torch.optim.lr_scheduler.StepLR``.

    Examples
    --------
    >>> step_lr(np.arange(5), 8.0, step_size=2, gamma=0.5).tolist()
    [8.0, 8.0, 4.0, 4.0, 2.0]
    """
    _at_least("step_size", step_size, 1)
    return lr * gamma ** (_steps(t) // step_size).astype(float)


def multi_step_lr(
    t: ArrayLike, lr: float, milestones: Sequence[int], gamma: float = 0.1
) -> NDArray:
    """Multiply the learning rate by γ at every milestone.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate.
    milestones : sequence of ints
        Steps at which the rate drops; one given twice drops it twice.
    gamma : float
        Factor γ of a drop.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    ``torch.optim.lr_scheduler.MultiStepLR``.

    Examples
    --------
    >>> multi_step_lr(np.arange(5), 8.0, milestones=[1, 3], gamma=0.5).tolist()
    [8.0, 4.0, 4.0, 2.0, 2.0]
    """
    passed = np.searchsorted(np.sort(np.asarray(milestones)), _steps(t), side="right")
    return lr * gamma ** passed.astype(float)


def exponential_lr(t: ArrayLike, lr: float, gamma: float) -> NDArray:
    r"""Decay geometrically: :math:`\gamma^t`.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate.
    gamma : float
        Ratio γ of two steps.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    ``torch.optim.lr_scheduler.ExponentialLR``.

    Examples
    --------
    >>> exponential_lr(np.arange(4), 8.0, gamma=0.5).tolist()
    [8.0, 4.0, 2.0, 1.0]
    """
    return lr * gamma ** _steps(t).astype(float)


def polynomial_lr(t: ArrayLike, lr: float, total_iters: int = 5, power: float = 1.0) -> NDArray:
    r"""Decay to zero as :math:`(1 - t/T)^p`.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate.
    total_iters : int
        Step T at which it is zero.
    power : float
        Power p.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    ``torch.optim.lr_scheduler.PolynomialLR``.

    Examples
    --------
    >>> polynomial_lr(np.arange(4), 9.0, total_iters=3, power=2.0).round(6).tolist()
    [9.0, 4.0, 1.0, 0.0]
    """
    _at_least("total_iters", total_iters, 1)
    return lr * (1.0 - np.minimum(_steps(t), total_iters) / total_iters) ** power


def linear_lr(
    t: ArrayLike,
    lr: float,
    start_factor: float = 1 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> NDArray:
    """Change the factor linearly from `start_factor` to `end_factor`: warmup, or linear decay.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate.
    start_factor, end_factor : float
        Factor at step 0, and from `total_iters` on.
    total_iters : int
        Number of steps in between.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    Goyal et al., *Accurate, large minibatch SGD* (2017), section 2.2, for warmup;
    ``torch.optim.lr_scheduler.LinearLR``.

    Examples
    --------
    >>> linear_lr(np.arange(4), 8.0, start_factor=0.25, total_iters=3).tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    _at_least("total_iters", total_iters, 1)
    done = np.minimum(_steps(t), total_iters) / total_iters
    return lr * (start_factor + (end_factor - start_factor) * done)


def cosine_annealing_lr(t: ArrayLike, lr: float, T_max: int, eta_min: float = 0.0) -> NDArray:
    r"""Fall along half a cosine.

    .. math::
        \gamma_t = \eta_{\min} + \tfrac12(\gamma-\eta_{\min})\bigl(1+\cos(\pi t/T_{\max})\bigr)

    Past `T_max` the cosine rises again, as torch's does.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate γ.
    T_max : int
        Step of the minimum.
    eta_min : float
        The minimum.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    Loshchilov and Hutter, *SGDR* (2017), equation 5, without restarts;
    ``torch.optim.lr_scheduler.CosineAnnealingLR``.

    Examples
    --------
    >>> cosine_annealing_lr(np.arange(3), 8.0, T_max=2).round(6).tolist()
    [8.0, 4.0, 0.0]
    """
    _at_least("T_max", T_max, 1)
    return eta_min + (lr - eta_min) * (1 + np.cos(np.pi * _steps(t) / T_max)) / 2


def cosine_annealing_warm_restarts(
    t: ArrayLike, lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> NDArray:
    r"""Fall along half a cosine and start again, each period `T_mult` times as long as the last.

    .. math::
        \gamma_t = \eta_{\min}
        + \tfrac12(\gamma-\eta_{\min})\bigl(1+\cos(\pi T_{\mathrm{cur}}/T_i)\bigr)

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        Base learning rate γ, at every restart.
    T_0 : int
        Length of the first period.
    T_mult : int
        Factor from one period to the next.
    eta_min : float
        The rate that each period falls towards; it restarts one step before reaching it.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    Loshchilov and Hutter, *SGDR: Stochastic gradient descent with warm restarts* (2017),
    equation 5; ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``.

    Examples
    --------
    >>> cosine_annealing_warm_restarts(np.arange(6), 8.0, T_0=2, T_mult=2).round(3).tolist()
    [8.0, 4.0, 8.0, 6.828, 4.0, 1.172]
    """
    _at_least("T_0", T_0, 1)
    _at_least("T_mult", T_mult, 1)
    steps = _steps(t)
    if T_mult == 1:
        position, period = steps % T_0, np.full(steps.shape, T_0)
    else:
        starts, length = [0], T_0
        while starts[-1] + length <= np.max(steps, initial=0):
            starts.append(starts[-1] + length)
            length *= T_mult
        index = np.searchsorted(starts, steps, side="right") - 1
        position = steps - np.asarray(starts)[index]
        period = T_0 * T_mult**index
    return eta_min + (lr - eta_min) * (1 + np.cos(np.pi * position / period)) / 2


def one_cycle_lr(
    t: ArrayLike,
    max_lr: float,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> NDArray:
    """Rise from ``max_lr / div_factor`` to `max_lr` and fall far below the start.

    Parameters
    ----------
    t : array_like
        Steps, from 0 to ``total_steps - 1``.
    max_lr : float
        The peak.
    total_steps : int
        Length of the cycle.
    pct_start : float
        Part of the cycle that rises.
    anneal_strategy : {"cos", "linear"}
        Shape of the rise and of the fall.
    div_factor : float
        The peak over the start.
    final_div_factor : float
        The start over the end.
    three_phase : bool
        Fall to the start as steeply as it rose, then to the end.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    Raises
    ------
    ValueError
        For a step outside the cycle.

    References
    ----------
    Smith and Topin, *Super-convergence* (2018); ``torch.optim.lr_scheduler.OneCycleLR``.

    Examples
    --------
    >>> one_cycle_lr(np.array([0, 2, 9]), 1.0, total_steps=10).round(9).tolist()
    [0.04, 1.0, 4e-06]
    """
    start = max_lr / div_factor
    end = start / final_div_factor
    levels = [start, max_lr, start, end] if three_phase else [start, max_lr, end]
    return _cycle(t, levels, total_steps, pct_start, anneal_strategy)


def one_cycle_momentum(
    t: ArrayLike,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    three_phase: bool = False,
) -> NDArray:
    """Return the momentum that goes with :func:`one_cycle_lr`: low where the learning rate is high.

    Parameters
    ----------
    t : array_like
        Steps, from 0 to ``total_steps - 1``.
    total_steps, pct_start, anneal_strategy, three_phase
        As for :func:`one_cycle_lr`.
    base_momentum, max_momentum : float
        Momentum at the peak of the learning rate, and at both ends.

    Returns
    -------
    ndarray
        Momenta (β₁ for Adam), of the shape of `t`.

    References
    ----------
    Smith, *A disciplined approach to neural network hyper-parameters* (2018), section 4.3;
    ``torch.optim.lr_scheduler.OneCycleLR``.

    Examples
    --------
    >>> one_cycle_momentum(np.array([0, 2, 9]), total_steps=10).tolist()
    [0.95, 0.85, 0.95]
    """
    levels = [max_momentum, base_momentum, max_momentum]
    levels = [*levels, max_momentum] if three_phase else levels
    return _cycle(t, levels, total_steps, pct_start, anneal_strategy)


def _cycle(
    t: ArrayLike, levels: list[float], total_steps: int, pct_start: float, strategy: str
) -> NDArray:
    """Interpolate between levels; like torch's, the phases end at steps that may be fractional."""
    steps = _steps(t)
    if np.any(steps > total_steps - 1):
        raise ValueError(f"t must be at most total_steps - 1 = {total_steps - 1}")
    rise = pct_start * total_steps
    middle = [rise - 1, 2 * rise - 2] if len(levels) == 4 else [rise - 1]
    knots = np.array([0.0, *middle, total_steps - 1.0])
    if knots[1] == 0 or knots[-1] <= knots[-2]:
        raise ValueError(
            f"a phase has no steps: pct_start={pct_start} of total_steps={total_steps}"
        )
    phase = np.searchsorted(knots[1:-1], steps, side="left")  # of each step
    before, after = np.asarray(levels)[phase], np.asarray(levels)[phase + 1]
    done = (steps - knots[phase]) / (knots[phase + 1] - knots[phase])
    if strategy == "linear":
        return before + (after - before) * done
    if strategy == "cos":
        return after + (before - after) / 2.0 * (1 + np.cos(np.pi * done))
    raise ValueError(f'anneal_strategy must be "cos" or "linear", got {strategy!r}')


def warmup_stable_decay_lr(
    t: ArrayLike,
    lr: float,
    warmup_steps: int,
    stable_steps: int,
    decay_steps: int,
    start_factor: float = 0.01,
    end_factor: float = 0.0,
    decay: str = "linear",
) -> NDArray:
    r"""Rise linearly, stay, and fall at the end: training can go on from any stable step.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    lr : float
        The learning rate of the stable phase.
    warmup_steps, stable_steps, decay_steps : int
        Lengths of the phases.
    start_factor, end_factor : float
        Factor at step 0, and from the end of the decay on.
    decay : {"linear", "cosine", "sqrt"}
        Shape of the fall; "sqrt" is :math:`1-\sqrt{s}` with s from 0 to 1.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    Hu et al., *MiniCPM* (2024), section 4; Hägele et al., *Scaling laws and compute-optimal
    training beyond fixed training durations* (2024), equations 1 and 2. In torch, a
    ``SequentialLR`` of ``LinearLR``, ``ConstantLR`` and the decay.

    Examples
    --------
    >>> t = np.arange(8)
    >>> warmup_stable_decay_lr(t, 1.0, 2, 3, 2, start_factor=0.5).tolist()
    [0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]
    """
    steps = _steps(t)
    _at_least("warmup_steps", warmup_steps, 1)
    _at_least("decay_steps", decay_steps, 1)
    shapes: dict[str, Callable[[NDArray], NDArray]] = {
        "linear": lambda s: 1 - s,
        "cosine": lambda s: (1 + np.cos(np.pi * s)) / 2,
        "sqrt": lambda s: 1 - np.sqrt(s),
    }
    if decay not in shapes:
        raise ValueError(f"decay must be one of {list(shapes)}, got {decay!r}")
    rise = start_factor + (1 - start_factor) * np.minimum(steps, warmup_steps) / warmup_steps
    fallen = (steps - (warmup_steps + stable_steps)) / decay_steps
    fall = end_factor + (1 - end_factor) * shapes[decay](np.clip(fallen, 0.0, 1.0))
    return lr * np.where(steps < warmup_steps + stable_steps, rise, fall)


def range_test_lr(t: ArrayLike, start_lr: float, end_lr: float, steps: int) -> NDArray:
    r"""Sweep the learning rate geometrically, to see where the loss starts to fall and to diverge.

    .. math::
        \gamma_t = \gamma_{\mathrm{start}}
        \left(\gamma_{\mathrm{end}}/\gamma_{\mathrm{start}}\right)^{t/(n-1)}

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    start_lr, end_lr : float
        Learning rate at step 0 and at step ``steps - 1``.
    steps : int
        Length n of the sweep.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    Smith, *Cyclical learning rates for training neural networks* (2017), section 3.3, with the
    usual geometric sweep. In torch, an ``ExponentialLR`` with the γ that reaches the end.

    Examples
    --------
    >>> range_test_lr(np.arange(3), 1e-4, 1.0, steps=3).round(8).tolist()
    [0.0001, 0.01, 1.0]
    """
    _at_least("steps", steps, 2)
    if not (start_lr > 0 and end_lr > 0):
        raise ValueError(f"start_lr and end_lr must be positive, got {start_lr} and {end_lr}")
    return start_lr * (end_lr / start_lr) ** (_steps(t) / (steps - 1))


def sequential_lr(
    t: ArrayLike, schedules: Sequence[Callable[[NDArray], Any]], milestones: Sequence[int]
) -> NDArray:
    """Run one schedule after another, each counting its steps from its own beginning.

    Parameters
    ----------
    t : array_like
        Steps, from 0.
    schedules : sequence of callables
        Functions of the step alone.
    milestones : sequence of ints
        The step at which each schedule but the first begins, increasing.

    Returns
    -------
    ndarray
        Learning rates, of the shape of `t`.

    References
    ----------
    ``torch.optim.lr_scheduler.SequentialLR``.

    Examples
    --------
    >>> warmup = lambda t: linear_lr(t, 1.0, start_factor=0.5, total_iters=2)
    >>> fall = lambda t: exponential_lr(t, 1.0, gamma=0.5)
    >>> sequential_lr(np.arange(5), [warmup, fall], milestones=[2]).tolist()
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """
    if len(milestones) != len(schedules) - 1 or np.any(np.diff(milestones) <= 0):
        raise ValueError(
            f"{len(schedules)} schedules need {len(schedules) - 1} increasing milestones, "
            f"got {list(milestones)}"
        )
    steps = _steps(t)
    index = np.searchsorted(np.asarray(milestones), steps, side="right")
    lr = np.empty(steps.shape)
    for i, (schedule, start) in enumerate(zip(schedules, [0, *milestones], strict=True)):
        mine = index == i
        lr[mine] = schedule(steps[mine] - start)
    return lr
