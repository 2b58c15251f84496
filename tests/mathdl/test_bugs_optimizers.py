"""Every planted optimizer bug is refused and named; right optimizers, however written, pass."""

from __future__ import annotations

import functools
import inspect

import numpy as np
import pytest
import torch

from mathdl import optim
from mathdl.bugs import optimizers as bugs
from mathdl.bugs.optimizers import OPTIMIZER_BUGS, ByHand, check_trajectory
from mathdl.checks import CheckFailed, check_equal

NAMES = [bug.name for bug in OPTIMIZER_BUGS]


def diagnosis_of(candidate, right, **kwargs):
    with pytest.raises(CheckFailed) as failure:
        check_trajectory(candidate, right, **kwargs)
    return str(failure.value)


def named(text):
    """Return the bugs whose diagnosis a text contains."""
    return {bug.name for bug in OPTIMIZER_BUGS if f": {bug.diagnosis}" in text}


def test_there_are_at_least_twenty_bugs_with_names_of_their_own():
    assert len(OPTIMIZER_BUGS) >= 50
    assert len(set(NAMES)) == len(NAMES)
    assert len({bug.diagnosis for bug in OPTIMIZER_BUGS}) == len(NAMES)
    assert bugs.find(NAMES[3]) is OPTIMIZER_BUGS[3]
    with pytest.raises(KeyError, match="no optimizer bug is called 'adam'"):
        bugs.find("adam")


@pytest.mark.parametrize(("seed", "steps"), [(0, 1000), (1, 200)])
@pytest.mark.parametrize("name", NAMES)
def test_each_bug_is_refused_and_named_and_no_other(name, seed, steps):
    bug = bugs.find(name)
    text = diagnosis_of(bug.wrong, bug.right, config=bug.config, seed=seed, steps=steps)
    # going down where one should go up is the same as flipping the step's sign
    twins = {"adam-maximize-ignored": {"adam-ascends"}}
    assert named(text) == {name} | twins.get(name, set())


# Right optimizers written by hand, in another order of operations --------------------------------


def right_sgd(p, g, s, h):
    g = (-g if h.maximize else g) + h.weight_decay * p
    if h.momentum:
        s.buf = g.copy() if h.t == 1 else h.momentum * s.buf + (1 - h.dampening) * g
        g = g + h.momentum * s.buf if h.nesterov else s.buf
    p -= h.lr * g


def right_adagrad(p, g, s, h):
    g = (-g if h.maximize else g) + h.weight_decay * p
    s.v = s.v + g**2
    p -= h.lr * (g / (np.sqrt(s.v) + h.eps)) / (1 + (h.t - 1) * h.lr_decay)


def right_rmsprop(p, g, s, h):
    g = (-g if h.maximize else g) + h.weight_decay * p
    s.v = h.alpha * s.v + (1 - h.alpha) * g**2
    s.m = h.alpha * s.m + (1 - h.alpha) * g
    root = np.sqrt(s.v - s.m**2 if h.centered else s.v)
    s.buf = h.momentum * s.buf + g / (root + h.eps)
    p -= h.lr * s.buf


def right_adam(p, g, s, h):
    g = -g if h.maximize else g
    if h.decoupled_weight_decay:
        p -= h.lr * h.weight_decay * p
    else:
        g = g + h.weight_decay * p
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
    s.top = np.maximum(getattr(s, "top", 0.0), s.v)
    m, v = s.m / (1 - h.beta1**h.t), (s.top if h.amsgrad else s.v) / (1 - h.beta2**h.t)
    p -= h.lr * m / (np.sqrt(v) + h.eps)


def right_nadam(p, g, s, h):
    g = g + h.weight_decay * p
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * g**2
    mu, nu = (h.beta1 * (1 - 0.5 * 0.96 ** (t * h.momentum_decay)) for t in (h.t, h.t + 1))
    s.product = getattr(s, "product", 1.0) * mu
    m = (1 - mu) / (1 - s.product) * g + nu / (1 - s.product * nu) * s.m
    p -= h.lr * m / (np.sqrt(s.v / (1 - h.beta2**h.t)) + h.eps)


def right_lion(p, g, s, h):
    g = -g if h.maximize else g
    p -= h.lr * (np.sign(h.beta1 * s.m + (1 - h.beta1) * g) + h.weight_decay * p)
    s.m = h.beta2 * s.m + (1 - h.beta2) * g


def right_shampoo(p, g, s, h):
    g = (-g if h.maximize else g) + h.weight_decay * p
    u = g
    for i, d in enumerate(p.shape):
        rows = np.moveaxis(g, i, 0).reshape(d, -1)
        old = getattr(s, f"statistics{i}", h.matrix_eps * np.eye(d))
        setattr(s, f"statistics{i}", old + rows @ rows.T)
        left, values, right = np.linalg.svd(old + rows @ rows.T)
        root = left @ np.diag(values ** (-0.5 / p.ndim)) @ right
        u = np.moveaxis(np.tensordot(root, u, axes=(1, i)), 0, i)
    p -= h.lr * u


def by_hand(rule, right):
    return functools.partial(ByHand, rule, bugs._defaults(right))


RIGHT = {
    optim.SGD: right_sgd,
    optim.Adagrad: right_adagrad,
    optim.RMSprop: right_rmsprop,
    optim.Adam: right_adam,
    optim.AdamW: right_adam,
    optim.NAdam: right_nadam,
    optim.Lion: right_lion,
    optim.Shampoo: right_shampoo,
}
# roots of ill-conditioned matrices by eigenvalues and by singular values
TOLERANCES = {optim.Shampoo: 1e-10}
CONFIGS = sorted(
    {(bug.right.__name__, tuple(sorted(bug.config.items()))) for bug in OPTIMIZER_BUGS}, key=str
)


@pytest.mark.parametrize(("name", "items"), CONFIGS, ids=str)
def test_no_false_alarm_in_any_configuration_of_a_bug(name, items):
    right = getattr(optim, name)
    for seed in range(5):
        check = check_trajectory(by_hand(RIGHT[right], right), right, config=dict(items), seed=seed)
        assert check.passed


@pytest.mark.parametrize(
    "right", [cls for cls in RIGHT if cls is not optim.Shampoo], ids=lambda cls: cls.__name__
)
def test_no_false_alarm_over_ten_thousand_seeds(right):
    """Every seed has its own start and gradients; all run at once along a leading axis."""
    seeds, steps = 10_000, 100
    rng = np.random.default_rng(0)
    x0 = rng.standard_normal((seeds, 4))
    scales = 10.0 ** rng.uniform(-9, 2, (seeds, 4))
    grads = rng.standard_normal((steps, seeds, 4)) * scales
    lrs = 0.01 * rng.uniform(0.1, 1.0, steps)
    expected = optim.trajectory(right, x0, grads, lrs)
    hand = optim.trajectory(by_hand(RIGHT[right], right), x0, grads, lrs)
    check = check_equal(list(hand.swapaxes(0, 1)), list(expected.swapaxes(0, 1)))
    assert check.passed
    assert check.record()["points"] >= seeds


# Mistakes that others made, not written like ours ------------------------------------------------


class TorchOptimizer:
    """torch's optimizer with arguments of one's own choice, to be mistaken for another."""

    def __init__(self, cls, params, lr, **kwargs):
        self.tensors = [torch.nn.Parameter(torch.from_numpy(p)) for p in params]
        self.optimizer = cls(self.tensors, lr=lr, **kwargs)
        self._lr = lr

    def _set_lr(self, value):
        self.optimizer.param_groups[0]["lr"] = value

    lr = property(lambda self: self._lr, _set_lr)

    def step(self, grads):
        for tensor, grad in zip(self.tensors, grads, strict=True):
            tensor.grad = torch.from_numpy(grad.copy())
        self.optimizer.step()


class FrozenRate(TorchOptimizer):
    def _set_lr(self, value):
        pass

    lr = property(lambda self: self._lr, _set_lr)


MISUSED = {
    "adamw-l2": (TorchOptimizer, torch.optim.Adam, optim.AdamW, {"weight_decay": 0.1}, {}),
    "adam-decay-decoupled": (
        TorchOptimizer,
        torch.optim.AdamW,
        optim.Adam,
        {"weight_decay": 0.1},
        {},
    ),
    "adamw-decay-missing": (
        TorchOptimizer,
        torch.optim.AdamW,
        optim.AdamW,
        {"weight_decay": 0.1},
        {"weight_decay": 0.0},
    ),
    "adam-betas-swapped": (
        TorchOptimizer,
        torch.optim.Adam,
        optim.Adam,
        {},
        {"betas": (0.999, 0.9)},
    ),
    "adam-eps-missing": (TorchOptimizer, torch.optim.Adam, optim.Adam, {}, {"eps": 0.0}),
    "adam-maximize-ignored": (
        TorchOptimizer,
        torch.optim.Adam,
        optim.Adam,
        {"maximize": True},
        {"maximize": False},
    ),
    "amsgrad-ignored": (
        TorchOptimizer,
        torch.optim.Adam,
        optim.Adam,
        {"amsgrad": True},
        {"amsgrad": False},
    ),
    "adam-lr-cached": (FrozenRate, torch.optim.Adam, optim.Adam, {}, {}),
    "sgd-nesterov-ignored": (
        TorchOptimizer,
        torch.optim.SGD,
        optim.SGD,
        {"momentum": 0.9, "nesterov": True},
        {"nesterov": False},
    ),
    "sgd-dampening-ignored": (
        TorchOptimizer,
        torch.optim.SGD,
        optim.SGD,
        {"momentum": 0.9, "dampening": 0.5},
        {"dampening": 0.0},
    ),
    "rmsprop-centred": (
        TorchOptimizer,
        torch.optim.RMSprop,
        optim.RMSprop,
        {},
        {"centered": True},
    ),
}


@pytest.mark.parametrize("name", MISUSED)
def test_the_same_mistake_made_with_torch_gets_the_same_name(name):
    wrapper, cls, right, config, mistake = MISUSED[name]
    base = bugs._defaults(right)["lr"]

    def candidate(params, **given):
        return wrapper(cls, params, **{"lr": base, **given, **mistake})

    assert name in named(diagnosis_of(candidate, right, config=config))


def test_the_same_mistake_written_otherwise_gets_the_same_name():
    class Adam:
        """Adam in one flat vector, without bias correction."""

        def __init__(self, params, lr=1e-3):
            self.params, self.lr = params, lr
            self.m = self.v = 0.0

        def step(self, grads):
            g = np.concatenate([np.ravel(g) for g in grads])
            self.m = self.m + (g - self.m) / 10
            self.v = self.v + (g * g - self.v) / 1000
            move = self.lr * self.m / (self.v**0.5 + 1e-8)
            for i, p in enumerate(self.params):
                p -= move[4 * i : 4 * i + 4].reshape(p.shape)

    assert named(diagnosis_of(Adam, optim.Adam)) == {"adam-no-bias-correction"}


def test_an_unknown_mistake_is_refused_without_a_name():
    def rule(p, g, s, h):
        right_adam(p, g, s, h)
        p += 1e-9

    text = diagnosis_of(by_hand(rule, optim.Adam), optim.Adam)
    assert named(text) == set()
    assert "expected" in text

    def diverges(p, g, s, h):
        p *= np.inf if h.t == 7 else 0.5

    assert "not finite" in diagnosis_of(by_hand(diverges, optim.Adam), optim.Adam)


def test_convergence_on_a_quadratic_catches_few_of_them():
    """The loss falls a hundredfold from the start, which is what tutorials ask of an optimizer."""
    curvature = np.array([1.0, 3.0, 10.0])

    def converges(bug, factory):
        config = {k: v for k, v in bug.config.items() if k != "maximize"}
        config["lr"] = 1.0 if bug.right in (optim.Adagrad, optim.Shampoo) else 0.02
        x = [np.array([1.0, -1.0, 0.5])]
        optimizer = factory(x, **config)
        start = np.sum(curvature * x[0] ** 2)
        with np.errstate(all="ignore"):
            for _ in range(1000):
                optimizer.step([curvature * x[0]])
            return np.sum(curvature * x[0] ** 2) < 1e-2 * start

    assert all(converges(bug, bug.right) for bug in OPTIMIZER_BUGS)
    caught = {bug.name for bug in OPTIMIZER_BUGS if not converges(bug, bug.wrong)}
    assert {"adam-t-from-zero", "adam-ascends", "adam-v-not-squared"} <= caught
    assert len(caught) <= len(OPTIMIZER_BUGS) / 5


def test_the_look_ahead_in_gradient_units_diverges():
    """Erratum: with a velocity in units of the gradient the look-ahead is θ − lr·μ·b."""
    curvature = np.array([1.0, 10.0])

    def descend(unit):
        x, buf = np.ones(2), np.zeros(2)
        path = []
        with np.errstate(all="ignore"):
            for _ in range(200):
                buf = 0.9 * buf + curvature * (x - unit * 0.9 * buf)
                x = x - 0.05 * buf
                path.append(np.sum(x**2))
        return np.array(path)

    assert descend(unit=0.05)[-1] < 1e-6
    assert not descend(unit=1.0)[-1] < 1.0


def test_the_first_uncorrected_step_is_too_large():
    """Erratum: (1 − β₁)/√(1 − β₂) = 3.16 times too large for the defaults, not too small."""
    x, y = np.zeros(1), np.zeros(1)
    optim.Adam(x, lr=0.1).step(np.array([5.0]))
    bugs.find("adam-no-bias-correction").wrong([y], lr=0.1).step([np.array([5.0])])
    assert y / x == pytest.approx(0.1 / np.sqrt(0.001), rel=1e-6)


def test_the_problem_is_what_it_says():
    x0, grads, factors = bugs.problem(seed=3, steps=1000)
    sizes = np.abs(np.concatenate([g.reshape(500, -1) for g in grads], axis=1))
    assert sizes.min() < 1e-9
    assert 1e2 < sizes.max() < 1e3
    assert [x.shape for x in x0] == [(4,), (4,), (2, 2)]
    assert factors.shape == (1000,)
    assert len(np.unique(factors)) > 5


def test_every_rule_changes_only_its_own_line_of_sight():
    """A rule is short enough to print on a page."""
    assert all(len(inspect.getsource(bug.rule).splitlines()) <= 24 for bug in OPTIMIZER_BUGS)
