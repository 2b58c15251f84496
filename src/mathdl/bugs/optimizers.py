"""Planted optimizer bugs: each the update that somebody wrote, beside the right optimizer.

A :class:`Bug` names the right optimizer of :mod:`mathdl.optim`, a wrong one that is built and
stepped in the same way, and a configuration in which the mistake matters. Nearly all of them go
downhill, so that "it converges" says nothing. :func:`check_trajectory` runs an optimizer beside the
right one, over gradients of all scales and a changing learning rate, and says which mistake it
makes.

Examples
--------
>>> bug = find("adam-no-bias-correction")
>>> bug.imitates
'm and v are used as they are, though they start at zero.'
>>> from mathdl.checks import CheckFailed
>>> try:
...     check_trajectory(bug.wrong, optim.Adam)
... except CheckFailed as failure:
...     print(bug.diagnosis in str(failure))
True
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import optim
from mathdl.checks import CheckResult, check_equal

__all__ = ["OPTIMIZER_BUGS", "Bug", "ByHand", "check_trajectory", "find", "problem"]

# A rule changes one parameter in place: rule(p, g, s, h), where s is that parameter's state
# (m, v, buf start at zero) and h holds the hyperparameters, the step t and the learning rate.
Rule = Callable[[NDArray, NDArray, SimpleNamespace, SimpleNamespace], None]


@dataclass(frozen=True)
class Bug:
    """One planted mistake.

    Attributes
    ----------
    name : str
        Such as ``"adam-no-bias-correction"``.
    imitates : str
        One sentence: the mistake, as it is made.
    right : type
        The optimizer of :mod:`mathdl.optim` that it should have been.
    wrong : callable
        ``wrong(params, **config)`` -> an optimizer with ``step(grads)`` and ``lr``.
    diagnosis : str
        What the check must say of it.
    config : mapping
        Hyperparameters at which the mistake shows.
    rule : callable
        The wrong update itself.
    """

    name: str
    imitates: str
    right: type
    wrong: Callable[..., Any]
    diagnosis: str
    config: Mapping[str, Any]
    rule: Rule


def check_trajectory(
    candidate: Callable[..., Any],
    right: type,
    *,
    claim: str | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    steps: int = 1000,
    tol: float | None = None,
) -> CheckResult:
    """Check that an optimizer takes the same steps as the right one, and name its mistake if not.

    Parameters
    ----------
    candidate : callable
        ``candidate(params, **config)`` -> an optimizer with ``step(grads)``, which changes the
        list of arrays `params` in place, and an attribute ``lr`` that may be set between steps.
    right : type
        The optimizer of :mod:`mathdl.optim` that it should be.
    claim : str, optional
        Label of the equation that is checked.
    config : mapping, optional
        Hyperparameters for both; `right`'s defaults otherwise.
    seed : int
        Of the start and the gradients, see :func:`problem`.
    steps : int
        Length of the trajectory; even.
    tol : float, optional
        Relative to the trajectory's largest entry.

    Returns
    -------
    CheckResult
        Published in the notebook.

    Raises
    ------
    CheckFailed
        If the trajectories differ; its text names the mistake if it is one of `OPTIMIZER_BUGS`.

    Examples
    --------
    >>> check_trajectory(optim.SGD, optim.SGD, config={"momentum": 0.9}).passed
    True
    """
    config = tuple(sorted((config or {}).items()))
    known = functools.partial(_known_path, right=right, config=config, seed=seed, steps=steps)
    expected = known(right)
    actual = _path(candidate, right, dict(config), seed, steps)
    mistakes = {
        bug.diagnosis: functools.partial(known, bug.wrong)
        for bug in OPTIMIZER_BUGS
        if issubclass(right, bug.right)
    }
    if not np.all(np.isfinite(actual)):
        # nan equals nothing, so the holes are compared as a value far off the trajectory
        hole = 1e3 * np.max(np.abs(expected))
        mistakes = {
            f"{name} (nan or inf at the same places)": _filled(path, hole)
            for name, wrong in mistakes.items()
            if not np.all(np.isfinite(path := wrong()))
        }
        filled = _filled(actual, hole)
        if any(np.array_equal(filled == hole, path == hole) for path in mistakes.values()):
            actual = filled
    return check_equal(actual, expected, claim=claim, tol=tol, hypotheses=mistakes)


def _filled(path: NDArray, hole: float) -> NDArray:
    return np.where(np.isfinite(path), path, hole)


def problem(seed: int = 0, steps: int = 1000) -> tuple[list[NDArray], list[NDArray], NDArray]:
    """Make a start, gradients and learning-rate factors at which every planted bug shows.

    Parameters
    ----------
    seed : int
        Of the start and the gradients.
    steps : int
        Length of the trajectory; even, since each gradient is used for two steps.

    Returns
    -------
    x0 : list of arrays, shapes (4,), (4,), (2, 2)
        The start.
    grads : list of arrays (steps / 2, ...)
        Gradients of scales from 1e-9 to 1e2, by entry and over time, with a mean of their own.
    factors : array (steps,)
        Factors of the learning rate, constant for a tenth of the steps at a time.
    """
    rng = np.random.default_rng(seed)
    shapes = [(4,), (4,), (2, 2)]
    x0 = [rng.standard_normal(shape) for shape in shapes]
    swell = 10.0 ** (-3 * np.sin(np.arange(steps // 2) / 30) ** 2)
    scales = iter(10.0 ** rng.permutation(np.linspace(-6, 2, 12)))
    grads = []
    for shape in shapes:
        scale = np.array([next(scales) for _ in range(4)]).reshape(shape)
        drift = 0.5 * rng.standard_normal(shape)
        noise = rng.standard_normal((steps // 2, *shape))
        grads.append((noise + drift) * scale * swell.reshape(-1, *(1,) * len(shape)))
    levels = np.array([1.0, 0.5, 0.8, 1.2, 0.3, 0.6, 1.0, 0.4, 0.2, 0.1])
    return x0, grads, levels[np.arange(steps) * 10 // steps]


def _defaults(right: type) -> dict[str, Any]:
    parameters = inspect.signature(right).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return defaults | ({"decoupled_weight_decay": True} if right is optim.AdamW else {})


def _path(
    factory: Callable[..., Any], right: type, config: dict[str, Any], seed: int, steps: int
) -> NDArray:
    """Run a trajectory and return it as one array (steps, entries)."""
    x0, grads, factors = problem(seed, steps)
    settings = dict(config)
    if isinstance(factory, functools.partial) and factory.func is ByHand:
        settings = _defaults(right) | config  # AdamW's defaults for Adam's bugs
    base = config.get("lr", _defaults(right)["lr"])
    path = optim.trajectory(lambda x: factory(x, **settings), x0, grads, base * factors, hold=2)
    return np.concatenate([p.reshape(len(p), -1) for p in path], axis=1)


@functools.lru_cache(maxsize=256)
def _known_path(
    factory: Callable[..., Any],
    right: type,
    config: tuple[tuple[str, Any], ...],
    seed: int,
    steps: int,
) -> NDArray:
    """Keep the trajectories that every failing check asks for again."""
    path = _path(factory, right, dict(config), seed, steps)
    path.flags.writeable = False
    return path


class ByHand:
    """An optimizer as one writes it by hand: a loop over the parameters, one rule for each.

    Parameters
    ----------
    rule : callable
        ``rule(p, g, s, h)`` changes `p` in place.
    defaults : mapping
        Hyperparameters and their defaults.
    params : array, or dict or list of arrays
        Changed in place by :meth:`step`.
    **config
        Hyperparameters that differ from the defaults.
    """

    def __init__(self, rule: Rule, defaults: Mapping[str, Any], params: Any, **config: Any) -> None:
        self.rule = rule
        self.params = [p for _, p in optim._leaves(params)]
        settings = {**defaults, **config}
        self.lr = settings["lr"]
        if "betas" in settings:
            settings["beta1"], settings["beta2"] = settings["betas"]
        self.h = SimpleNamespace(**settings, t=0, lr_at_start=self.lr, calls=0, shared={})
        self.states = [
            SimpleNamespace(m=np.zeros_like(p), v=np.zeros_like(p), buf=np.zeros_like(p))
            for p in self.params
        ]

    def step(self, grads: Any) -> None:
        """Change the parameters in place."""
        self.h.t += 1
        self.h.lr = self.lr
        gradients = [g for _, g in optim._leaves(grads)]
        with np.errstate(all="ignore"):  # a wrong rule may well divide by zero
            for p, g, s in zip(self.params, gradients, self.states, strict=True):
                self.rule(p, g, s, self.h)


OPTIMIZER_BUGS: list[Bug] = []


def find(name: str) -> Bug:
    """Return the bug of that name.

    Raises
    ------
    KeyError
        If there is none.
    """
    for bug in OPTIMIZER_BUGS:
        if bug.name == name:
            return bug
    raise KeyError(f"no optimizer bug is called {name!r}")


def _planted(
    name: str, right: type, imitates: str, diagnosis: str, **config: Any
) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        wrong = functools.partial(ByHand, rule, _defaults(right))
        OPTIMIZER_BUGS.append(Bug(name, imitates, right, wrong, diagnosis, config, rule))
        return rule

    return register


# Adam, and what its bugs do right --------------------------------------------------------------


def _decayed(p: NDArray, g: NDArray, h: SimpleNamespace) -> NDArray:
    if h.maximize:
        g = -g
    if h.decoupled_weight_decay:
        p *= 1 - h.lr * h.weight_decay
        return g
    return g + h.weight_decay * p


def _moments(g: NDArray, s: SimpleNamespace, h: SimpleNamespace) -> None:
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
    if h.amsgrad:
        s.largest = np.maximum(getattr(s, "largest", 0.0), s.v)


def _second(s: SimpleNamespace, h: SimpleNamespace) -> NDArray:
    return s.largest if h.amsgrad else s.v


def _move(p: NDArray, s: SimpleNamespace, h: SimpleNamespace) -> None:
    m = s.m / (1 - h.beta1**h.t)
    v = _second(s, h) / (1 - h.beta2**h.t)
    p -= h.lr * m / (np.sqrt(v) + h.eps)


@_planted(
    "adam-no-bias-correction",
    optim.Adam,
    "m and v are used as they are, though they start at zero.",
    "Adam without bias correction",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    p -= h.lr * s.m / (np.sqrt(_second(s, h)) + h.eps)


@_planted(
    "adam-t-from-zero",
    optim.Adam,
    "The step is counted from 0, so that the first correction is 0.",
    "Adam with t counted from 0: the first step divides by zero",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    t = h.t - 1
    m, v = s.m / (1 - h.beta1**t), _second(s, h) / (1 - h.beta2**t)
    p -= h.lr * m / (np.sqrt(v) + h.eps)


@_planted(
    "adam-t-not-advanced",
    optim.Adam,
    "t stays 1, so that every step is corrected like the first.",
    "Adam whose t is never advanced",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    m, v = s.m / (1 - h.beta1), _second(s, h) / (1 - h.beta2)
    p -= h.lr * m / (np.sqrt(v) + h.eps)


@_planted(
    "adam-t-per-parameter",
    optim.Adam,
    "t is advanced inside the loop over the parameters.",
    "Adam whose t is advanced once per parameter instead of once per step",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    h.calls += 1
    m, v = s.m / (1 - h.beta1**h.calls), _second(s, h) / (1 - h.beta2**h.calls)
    p -= h.lr * m / (np.sqrt(v) + h.eps)


@_planted(
    "adam-only-m-corrected",
    optim.Adam,
    "The bias of v is forgotten.",
    "Adam with bias correction of m only",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    p -= h.lr * s.m / (1 - h.beta1**h.t) / (np.sqrt(_second(s, h)) + h.eps)


@_planted(
    "adam-only-v-corrected",
    optim.Adam,
    "The bias of m is forgotten.",
    "Adam with bias correction of v only",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    p -= h.lr * s.m / (np.sqrt(_second(s, h) / (1 - h.beta2**h.t)) + h.eps)


@_planted(
    "adam-correction-stored",
    optim.Adam,
    "The corrected moments overwrite the running ones.",
    "Adam that stores the corrected moments, and corrects them again",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    s.m = s.m / (1 - h.beta1**h.t)
    s.v = s.v / (1 - h.beta2**h.t)
    p -= h.lr * s.m / (np.sqrt(s.v) + h.eps)


@_planted(
    "adam-eps-inside-sqrt",
    optim.Adam,
    "ε stands under the root, where it counts as √ε.",
    "Adam with eps inside the square root",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    v = _second(s, h) / (1 - h.beta2**h.t)
    p -= h.lr * s.m / (1 - h.beta1**h.t) / np.sqrt(v + h.eps)


@_planted(
    "adam-eps-before-correction",
    optim.Adam,
    "ε is added before the bias correction, as in the paper's remark on efficiency.",
    "Adam with eps added before the bias correction",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    rate = h.lr * np.sqrt(1 - h.beta2**h.t) / (1 - h.beta1**h.t)
    p -= rate * s.m / (np.sqrt(_second(s, h)) + h.eps)


@_planted(
    "adam-eps-missing",
    optim.Adam,
    "ε is left out.",
    "Adam without eps",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    v = _second(s, h) / (1 - h.beta2**h.t)
    p -= h.lr * s.m / (1 - h.beta1**h.t) / np.sqrt(v)


@_planted(
    "adam-sqrt-missing",
    optim.Adam,
    "The step is divided by v instead of by its root.",
    "Adam without the square root",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    v = _second(s, h) / (1 - h.beta2**h.t)
    p -= h.lr * s.m / (1 - h.beta1**h.t) / (v + h.eps)


@_planted(
    "adam-v-not-squared",
    optim.Adam,
    "v averages the gradient instead of its square, and the root of a negative number is nan.",
    "Adam whose v averages g instead of g²",
)
def _(p, g, s, h):
    g = _decayed(p, g, h)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * g
    s.largest = np.maximum(getattr(s, "largest", 0.0), s.v)
    _move(p, s, h)


@_planted(
    "adam-v-of-absolute-value",
    optim.Adam,
    "v averages |g| instead of g².",
    "Adam whose v averages |g| instead of g²",
)
def _(p, g, s, h):
    g = _decayed(p, g, h)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * np.abs(g)
    s.largest = np.maximum(getattr(s, "largest", 0.0), s.v)
    _move(p, s, h)


@_planted(
    "adam-v-centred",
    optim.Adam,
    "v averages (g − m)², taking Adam's second moment for a variance.",
    "Adam with a centred second moment",
)
def _(p, g, s, h):
    g = _decayed(p, g, h)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * (g - s.m) ** 2
    s.largest = np.maximum(getattr(s, "largest", 0.0), s.v)
    _move(p, s, h)


@_planted(
    "adam-betas-swapped",
    optim.Adam,
    "β₁ and β₂ change places.",
    "Adam with beta1 and beta2 swapped",
)
def _(p, g, s, h):
    swapped = SimpleNamespace(**{**vars(h), "beta1": h.beta2, "beta2": h.beta1})
    _moments(_decayed(p, g, h), s, swapped)
    _move(p, s, swapped)


@_planted(
    "adam-m-not-averaged",
    optim.Adam,
    "m adds the whole gradient, as SGD's momentum does, without the factor 1 − β₁.",
    "Adam whose m lacks the factor 1 - beta1",
)
def _(p, g, s, h):
    g, m = _decayed(p, g, h), s.m
    _moments(g, s, h)
    s.m = h.beta1 * m + g
    _move(p, s, h)


@_planted(
    "adam-old-moments",
    optim.Adam,
    "The parameters move before the moments take in the new gradient.",
    "Adam that steps before it updates the moments",
)
def _(p, g, s, h):
    g = _decayed(p, g, h)
    if h.t > 1:
        _move(p, s, h)
    _moments(g, s, h)


@_planted(
    "adam-shared-state",
    optim.Adam,
    "One m and one v serve all parameters of a shape.",
    "Adam whose state is shared between parameters",
)
def _(p, g, s, h):
    shared = h.shared.setdefault(p.shape, s)
    _moments(_decayed(p, g, h), shared, h)
    _move(p, shared, h)


@_planted(
    "adam-lr-cached",
    optim.Adam,
    "The learning rate is read when the optimizer is made, and a schedule does nothing.",
    "Adam that keeps the learning rate of its construction",
)
def _(p, g, s, h):
    fixed = SimpleNamespace(**{**vars(h), "lr": h.lr_at_start})
    _moments(_decayed(p, g, fixed), s, fixed)
    _move(p, s, fixed)


@_planted(
    "adam-reset-by-schedule",
    optim.Adam,
    "A new optimizer is made whenever the learning rate changes, and the state is lost.",
    "Adam that loses its state when the learning rate changes",
)
def _(p, g, s, h):
    if getattr(s, "lr", h.lr) != h.lr:
        s.m, s.v, s.since = np.zeros_like(p), np.zeros_like(p), h.t - 1
        s.largest = np.zeros_like(p)
    s.lr = h.lr
    fresh = SimpleNamespace(**{**vars(h), "t": h.t - getattr(s, "since", 0)})
    _moments(_decayed(p, g, h), s, h)
    _move(p, s, fresh)


@_planted(
    "adam-float32-state",
    optim.Adam,
    "m and v are kept in float32 beside float64 parameters.",
    "Adam with float32 state",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    s.m, s.v = s.m.astype(np.float32), s.v.astype(np.float32)
    if h.amsgrad:
        s.largest = s.largest.astype(np.float32)
    _move(p, s, h)


@_planted(
    "adam-maximize-ignored",
    optim.Adam,
    "Descends though it was told to ascend.",
    "Adam that ignores maximize",
    maximize=True,
)
def _(p, g, s, h):
    down = SimpleNamespace(**{**vars(h), "maximize": False})
    _moments(_decayed(p, g, down), s, h)
    _move(p, s, h)


@_planted(
    "adam-ascends",
    optim.Adam,
    "Adds the step instead of subtracting it.",
    "Adam with the sign of the step flipped",
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    v = _second(s, h) / (1 - h.beta2**h.t)
    p += h.lr * s.m / (1 - h.beta1**h.t) / (np.sqrt(v) + h.eps)


@_planted(
    "adam-decay-decoupled",
    optim.Adam,
    "Decays the weights as AdamW does, where Adam's weight_decay is an L2 penalty.",
    "Adam with decoupled weight decay instead of L2",
    weight_decay=0.1,
)
def _(p, g, s, h):
    decoupled = SimpleNamespace(**{**vars(h), "decoupled_weight_decay": True})
    _moments(_decayed(p, g, decoupled), s, h)
    _move(p, s, h)


@_planted(
    "adam-decay-in-place",
    optim.Adam,
    "λθ is added to the caller's gradient in place, and again when that is used again.",
    "Adam that adds the weight decay to the caller's gradient in place",
    weight_decay=0.1,
)
def _(p, g, s, h):
    g += h.weight_decay * p
    _moments(-g if h.maximize else g, s, h)
    _move(p, s, h)


@_planted(
    "adam-decay-sign",
    optim.Adam,
    "λθ is subtracted from the gradient, so that weights grow.",
    "Adam with the sign of the weight decay flipped",
    weight_decay=0.1,
)
def _(p, g, s, h):
    grows = SimpleNamespace(**{**vars(h), "weight_decay": -h.weight_decay})
    _moments(_decayed(p, g, grows), s, h)
    _move(p, s, h)


@_planted(
    "amsgrad-ignored",
    optim.Adam,
    "amsgrad is accepted and does nothing.",
    "Adam that ignores amsgrad",
    amsgrad=True,
)
def _(p, g, s, h):
    plain = SimpleNamespace(**{**vars(h), "amsgrad": False})
    _moments(_decayed(p, g, h), s, plain)
    _move(p, s, plain)


@_planted(
    "amsgrad-corrected",
    optim.Adam,
    "The maximum is taken over the corrected v, which is largest when it is least known.",
    "AMSGrad with the maximum over the corrected v",
    amsgrad=True,
)
def _(p, g, s, h):
    _moments(_decayed(p, g, h), s, h)
    v = s.v / (1 - h.beta2**h.t)
    s.peak = np.maximum(getattr(s, "peak", 0.0), v)
    p -= h.lr * s.m / (1 - h.beta1**h.t) / (np.sqrt(s.peak) + h.eps)


@_planted(
    "amsgrad-fed-back",
    optim.Adam,
    "The maximum replaces v itself, which then never forgets.",
    "AMSGrad that feeds the maximum back into v",
    amsgrad=True,
)
def _(p, g, s, h):
    g, old = _decayed(p, g, h), s.v
    _moments(g, s, h)
    s.v = np.maximum(old, s.v)
    s.largest = s.v
    _move(p, s, h)


# AdamW -----------------------------------------------------------------------------------------


def _adam(p, g, s, h):
    """Adam's step with the gradient as it is."""
    _moments(-g if h.maximize else g, s, h)
    _move(p, s, h)


@_planted(
    "adamw-l2",
    optim.AdamW,
    "λθ is added to the gradient, and divided by √v with it.",
    "AdamW with L2 instead of decoupled weight decay",
    weight_decay=0.1,
)
def _(p, g, s, h):
    coupled = SimpleNamespace(**{**vars(h), "decoupled_weight_decay": False})
    _moments(_decayed(p, g, coupled), s, h)
    _move(p, s, h)


@_planted(
    "adamw-decay-after",
    optim.AdamW,
    "The weights decay after the step, on the new θ.",
    "AdamW that decays after the step",
    weight_decay=0.1,
)
def _(p, g, s, h):
    _adam(p, g, s, h)
    p *= 1 - h.lr * h.weight_decay


@_planted(
    "adamw-decay-unscaled",
    optim.AdamW,
    "The decay is not multiplied by the learning rate.",
    "AdamW with a decay not scaled by lr",
    weight_decay=0.01,
)
def _(p, g, s, h):
    p *= 1 - h.weight_decay
    _adam(p, g, s, h)


@_planted(
    "adamw-decay-missing",
    optim.AdamW,
    "weight_decay is accepted and does nothing.",
    "AdamW without its weight decay",
    weight_decay=0.1,
)
def _(p, g, s, h):
    _adam(p, g, s, h)


# SGD -------------------------------------------------------------------------------------------


def _sgd_gradient(p: NDArray, g: NDArray, h: SimpleNamespace) -> NDArray:
    return (-g if h.maximize else g) + h.weight_decay * p


def _heavy_ball(g: NDArray, s: SimpleNamespace, h: SimpleNamespace) -> None:
    s.buf = g.copy() if h.t == 1 else h.momentum * s.buf + (1 - h.dampening) * g


def _sgd_move(p: NDArray, g: NDArray, s: SimpleNamespace, h: SimpleNamespace) -> None:
    p -= h.lr * (g + h.momentum * s.buf if h.nesterov else s.buf)


@_planted(
    "sgd-momentum-averaged",
    optim.SGD,
    "The buffer averages, with the factor 1 − μ, so that steps are ten times too small.",
    "SGD whose momentum has a factor 1 - momentum",
    lr=0.01,
    momentum=0.9,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.buf = h.momentum * s.buf + (1 - h.momentum) * g
    _sgd_move(p, g, s, h)


@_planted(
    "sgd-lr-inside-momentum",
    optim.SGD,
    "The learning rate is inside the velocity, so that old gradients keep their old rate.",
    "SGD whose velocity keeps the learning rates of its past",
    lr=0.01,
    momentum=0.9,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.buf = h.lr * g if h.t == 1 else h.momentum * s.buf + (1 - h.dampening) * h.lr * g
    p -= h.lr * g + h.momentum * s.buf if h.nesterov else s.buf


@_planted(
    "sgd-dampened-first-step",
    optim.SGD,
    "Dampening is applied at the first step too.",
    "SGD that dampens the first step",
    lr=0.01,
    momentum=0.9,
    dampening=0.5,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.buf = h.momentum * s.buf + (1 - h.dampening) * g
    _sgd_move(p, g, s, h)


@_planted(
    "sgd-dampening-ignored",
    optim.SGD,
    "dampening is accepted and does nothing.",
    "SGD that ignores dampening",
    lr=0.01,
    momentum=0.9,
    dampening=0.5,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.buf = h.momentum * s.buf + g
    _sgd_move(p, g, s, h)


@_planted(
    "sgd-nesterov-units",
    optim.SGD,
    "The look-ahead is θ − μb with b in units of the gradient: the learning rate is missing.",
    "SGD with Nesterov's look-ahead in units of the gradient (lr missing)",
    lr=0.01,
    momentum=0.9,
    nesterov=True,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    _heavy_ball(g, s, h)
    p -= h.lr * g + h.momentum * s.buf


@_planted(
    "sgd-nesterov-ignored",
    optim.SGD,
    "nesterov is accepted and the ball is heavy as ever.",
    "SGD that ignores nesterov",
    lr=0.01,
    momentum=0.9,
    nesterov=True,
)
def _(p, g, s, h):
    _heavy_ball(_sgd_gradient(p, g, h), s, h)
    p -= h.lr * s.buf


@_planted(
    "sgd-buffer-is-gradient",
    optim.SGD,
    "The first buffer is the caller's gradient array itself, not a copy.",
    "SGD whose momentum buffer is the caller's gradient array",
    lr=0.01,
    momentum=0.9,
)
def _(p, g, s, h):
    if h.t == 1:
        s.buf = g
    else:
        s.buf *= h.momentum
        s.buf += (1 - h.dampening) * g
    _sgd_move(p, g, s, h)


@_planted(
    "sgd-decay-after-momentum",
    optim.SGD,
    "λθ is added after the momentum instead of before.",
    "SGD with weight decay outside the momentum",
    lr=0.01,
    momentum=0.9,
    weight_decay=0.1,
)
def _(p, g, s, h):
    g, decay = (-g if h.maximize else g), h.weight_decay * p
    _heavy_ball(g, s, h)
    _sgd_move(p, g, s, h)
    p -= h.lr * decay


@_planted(
    "sgd-decay-sign",
    optim.SGD,
    "λθ is subtracted from the gradient, so that weights grow.",
    "SGD with the sign of the weight decay flipped",
    lr=0.01,
    weight_decay=0.1,
)
def _(p, g, s, h):
    g = (-g if h.maximize else g) - h.weight_decay * p
    _heavy_ball(g, s, h)
    _sgd_move(p, g, s, h)


# Adagrad, RMSprop, NAdam, Lion, Shampoo --------------------------------------------------------


@_planted(
    "adagrad-eps-inside-sqrt",
    optim.Adagrad,
    "ε stands under the root, where it counts as √ε.",
    "Adagrad with eps inside the square root",
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.v += g**2
    p -= h.lr / (1 + (h.t - 1) * h.lr_decay) * g / np.sqrt(s.v + h.eps)


@_planted(
    "adagrad-sum-of-absolute-values",
    optim.Adagrad,
    "Divides by the sum of |g| instead of by the root of the sum of squares.",
    "Adagrad with a sum of |g|",
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.v += np.abs(g)
    p -= h.lr / (1 + (h.t - 1) * h.lr_decay) * g / (s.v + h.eps)


@_planted(
    "adagrad-sum-after-step",
    optim.Adagrad,
    "The sum takes in the gradient after the step, which first divides by ε alone.",
    "Adagrad that adds the square after the step",
    eps=1e-3,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    p -= h.lr / (1 + (h.t - 1) * h.lr_decay) * g / (np.sqrt(s.v) + h.eps)
    s.v += g**2


@_planted(
    "adagrad-lr-decay-off-by-one",
    optim.Adagrad,
    "The learning rate decays before the first step.",
    "Adagrad whose lr_decay starts one step early",
    lr_decay=0.1,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.v += g**2
    p -= h.lr / (1 + h.t * h.lr_decay) * g / (np.sqrt(s.v) + h.eps)


def _mean_square(g: NDArray, s: SimpleNamespace, h: SimpleNamespace) -> None:
    s.v = h.alpha * s.v + (1 - h.alpha) * g**2
    s.m = h.alpha * s.m + (1 - h.alpha) * g


@_planted(
    "rmsprop-centred",
    optim.RMSprop,
    "The squared mean is subtracted though nobody asked for it.",
    "RMSprop centred by mistake",
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    _mean_square(g, s, h)
    p -= h.lr * g / (np.sqrt(s.v - s.m**2) + h.eps)


@_planted(
    "rmsprop-eps-inside-sqrt",
    optim.RMSprop,
    "ε stands under the root, where it counts as √ε.",
    "RMSprop with eps inside the square root",
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    _mean_square(g, s, h)
    p -= h.lr * g / np.sqrt(s.v + h.eps)


@_planted(
    "rmsprop-bias-corrected",
    optim.RMSprop,
    "The running mean is corrected for its bias, which RMSprop does not do.",
    "RMSprop with Adam's bias correction",
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    _mean_square(g, s, h)
    p -= h.lr * g / (np.sqrt(s.v / (1 - h.alpha**h.t)) + h.eps)


@_planted(
    "rmsprop-not-averaged",
    optim.RMSprop,
    "v adds the whole square, without the factor 1 − α.",
    "RMSprop whose v lacks the factor 1 - alpha",
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    s.v = h.alpha * s.v + g**2
    p -= h.lr * g / (np.sqrt(s.v) + h.eps)


@_planted(
    "rmsprop-momentum-before",
    optim.RMSprop,
    "Momentum collects gradients, and the sum is divided; it should collect quotients.",
    "RMSprop with momentum before the division",
    momentum=0.9,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    _mean_square(g, s, h)
    s.buf = h.momentum * s.buf + g
    p -= h.lr * s.buf / (np.sqrt(s.v) + h.eps)


@_planted(
    "nadam-constant-momentum",
    optim.NAdam,
    "β₁ stands where the momentum of the schedule μ_t should.",
    "NAdam with beta1 in place of its momentum schedule",
)
def _(p, g, s, h):
    g = _decayed(p, g, h)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
    m = (1 - h.beta1) / (1 - h.beta1**h.t) * g + h.beta1 / (1 - h.beta1 ** (h.t + 1)) * s.m
    p -= h.lr * m / (np.sqrt(s.v / (1 - h.beta2**h.t)) + h.eps)


def _lion_decay(p: NDArray, g: NDArray, h: SimpleNamespace) -> NDArray:
    p *= 1 - h.lr * h.weight_decay
    return -g if h.maximize else g


@_planted(
    "lion-sign-of-momentum",
    optim.Lion,
    "The sign is that of the new momentum, not of the interpolation with β₁.",
    "Lion with the sign of the momentum",
)
def _(p, g, s, h):
    g = _lion_decay(p, g, h)
    s.m = h.beta2 * s.m + (1 - h.beta2) * g
    p -= h.lr * np.sign(s.m)


@_planted(
    "lion-betas-swapped",
    optim.Lion,
    "β₁ and β₂ change places.",
    "Lion with beta1 and beta2 swapped",
)
def _(p, g, s, h):
    g = _lion_decay(p, g, h)
    p -= h.lr * np.sign(h.beta2 * s.m + (1 - h.beta2) * g)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g


@_planted(
    "lion-no-sign",
    optim.Lion,
    "The sign is left out, and the step follows the gradient's scale.",
    "Lion without the sign",
)
def _(p, g, s, h):
    g = _lion_decay(p, g, h)
    p -= h.lr * (h.beta1 * s.m + (1 - h.beta1) * g)
    s.m = h.beta2 * s.m + (1 - h.beta2) * g


def _root(matrix: NDArray, power: float) -> NDArray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors * values**power @ vectors.T


def _collected(g: NDArray, axis: int, s: SimpleNamespace, h: SimpleNamespace) -> NDArray:
    """Add the second moment of one axis to its statistics, and return them."""
    rows = np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)
    if h.t == 1:
        setattr(s, f"axis{axis}", h.matrix_eps * np.eye(len(rows)))
    statistics = getattr(s, f"axis{axis}")
    statistics += rows @ rows.T
    return statistics


def _turned(root: NDArray, g: NDArray, axis: int) -> NDArray:
    return np.moveaxis(np.tensordot(root, g, axes=(1, axis)), 0, axis)


@_planted(
    "shampoo-power",
    optim.Shampoo,
    "The power is −1/k for a tensor of order k, −1/2 for a matrix, where the paper has −1/(2k).",
    "Shampoo with the power -1/k instead of -1/(2k)",
    matrix_eps=0.1,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    direction = g
    for axis in range(g.ndim):
        root = _root(_collected(g, axis, s, h), -1 / g.ndim)
        direction = _turned(root, direction, axis)
    p -= h.lr * direction


@_planted(
    "shampoo-preconditioned-statistics",
    optim.Shampoo,
    "Later axes collect statistics of the gradient that earlier ones have preconditioned already.",
    "Shampoo with statistics of the preconditioned gradient",
    matrix_eps=0.1,
)
def _(p, g, s, h):
    g = _sgd_gradient(p, g, h)
    for axis in range(g.ndim):
        g = _turned(_root(_collected(g, axis, s, h), -1 / (2 * g.ndim)), g, axis)
    p -= h.lr * g
