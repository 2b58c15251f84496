"""Each schedule against the scheduler of torch, step for step."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as torch_lr

from mathdl import schedules as s

STEPS = 200
LR = 0.3


def torch_rates(make, steps=STEPS, lr=LR, key="lr"):
    """Learning rates of the first steps under a torch scheduler made for an optimizer."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0][key])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def wsd(optimizer, decay, warmup=20, stable=50, start_factor=0.01):
    """Warmup, stable, decay, out of torch's schedulers."""
    parts = [
        torch_lr.LinearLR(optimizer, start_factor=start_factor, total_iters=warmup),
        torch_lr.ConstantLR(optimizer, factor=1.0),
        decay(optimizer),
    ]
    return torch_lr.SequentialLR(optimizer, parts, milestones=[warmup, warmup + stable])


CASES = {
    "constant": (lambda t: s.constant_lr(t, LR), lambda o: torch_lr.ConstantLR(o)),
    "constant factor": (
        lambda t: s.constant_lr(t, LR, factor=0.7, total_iters=30),
        lambda o: torch_lr.ConstantLR(o, factor=0.7, total_iters=30),
    ),
    "step": (
        lambda t: s.step_lr(t, LR, step_size=30),
        lambda o: torch_lr.StepLR(o, step_size=30),
    ),
    "step gamma": (
        lambda t: s.step_lr(t, LR, step_size=7, gamma=0.9),
        lambda o: torch_lr.StepLR(o, step_size=7, gamma=0.9),
    ),
    "multi-step": (
        lambda t: s.multi_step_lr(t, LR, milestones=[80, 20, 20, 130], gamma=0.5),
        lambda o: torch_lr.MultiStepLR(o, milestones=[80, 20, 20, 130], gamma=0.5),
    ),
    "exponential": (
        lambda t: s.exponential_lr(t, LR, gamma=0.97),
        lambda o: torch_lr.ExponentialLR(o, gamma=0.97),
    ),
    "polynomial": (lambda t: s.polynomial_lr(t, LR), lambda o: torch_lr.PolynomialLR(o)),
    "polynomial power": (
        lambda t: s.polynomial_lr(t, LR, total_iters=150, power=2.5),
        lambda o: torch_lr.PolynomialLR(o, total_iters=150, power=2.5),
    ),
    "linear": (lambda t: s.linear_lr(t, LR), lambda o: torch_lr.LinearLR(o)),
    "warmup": (
        lambda t: s.linear_lr(t, LR, start_factor=0.01, total_iters=40),
        lambda o: torch_lr.LinearLR(o, start_factor=0.01, total_iters=40),
    ),
    "linear decay": (
        lambda t: s.linear_lr(t, LR, 1.0, 0.0, total_iters=120),
        lambda o: torch_lr.LinearLR(o, 1.0, 0.0, total_iters=120),
    ),
    "cosine": (
        lambda t: s.cosine_annealing_lr(t, LR, T_max=STEPS),
        lambda o: torch_lr.CosineAnnealingLR(o, T_max=STEPS),
    ),
    "cosine past its minimum": (
        lambda t: s.cosine_annealing_lr(t, LR, T_max=37, eta_min=0.01),
        lambda o: torch_lr.CosineAnnealingLR(o, T_max=37, eta_min=0.01),
    ),
    "restarts": (
        lambda t: s.cosine_annealing_warm_restarts(t, LR, T_0=30),
        lambda o: torch_lr.CosineAnnealingWarmRestarts(o, T_0=30),
    ),
    "growing restarts": (
        lambda t: s.cosine_annealing_warm_restarts(t, LR, T_0=5, T_mult=3, eta_min=1e-3),
        lambda o: torch_lr.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=3, eta_min=1e-3),
    ),
    "one-cycle": (
        lambda t: s.one_cycle_lr(t, 1.5, total_steps=STEPS),
        lambda o: torch_lr.OneCycleLR(o, 1.5, total_steps=STEPS),
    ),
    "one-cycle linear": (
        lambda t: s.one_cycle_lr(t, 1.5, STEPS, 0.123, "linear", 10.0, 100.0),
        lambda o: torch_lr.OneCycleLR(
            o, 1.5, STEPS, None, None, 0.123, "linear", True, 0.85, 0.95, 10.0, 100.0
        ),
    ),
    "one-cycle in three phases": (
        lambda t: s.one_cycle_lr(t, 1.5, STEPS, pct_start=0.27, three_phase=True),
        lambda o: torch_lr.OneCycleLR(o, 1.5, STEPS, pct_start=0.27, three_phase=True),
    ),
    "range test": (
        lambda t: s.range_test_lr(t, LR, 1e3 * LR, steps=STEPS),
        lambda o: torch_lr.ExponentialLR(o, gamma=1e3 ** (1 / (STEPS - 1))),
    ),
    "warmup, stable, linear decay": (
        lambda t: s.warmup_stable_decay_lr(t, LR, 20, 50, 60, end_factor=0.1),
        lambda o: wsd(o, lambda o: torch_lr.LinearLR(o, 1.0, 0.1, total_iters=60)),
    ),
    "warmup, stable, square-root decay": (
        lambda t: s.warmup_stable_decay_lr(t, LR, 20, 50, 60, decay="sqrt"),
        lambda o: wsd(o, lambda o: torch_lr.LambdaLR(o, lambda t: 1 - math.sqrt(min(t, 60) / 60))),
    ),
    "sequence": (
        lambda t: s.sequential_lr(
            t,
            [
                lambda t: s.linear_lr(t, LR, total_iters=10),
                lambda t: s.step_lr(t, LR, step_size=20, gamma=0.5),
                lambda t: s.polynomial_lr(t, LR, total_iters=50, power=2.0),
            ],
            [10, 75],
        ),
        lambda o: torch_lr.SequentialLR(
            o,
            [
                torch_lr.LinearLR(o, total_iters=10),
                torch_lr.StepLR(o, step_size=20, gamma=0.5),
                torch_lr.PolynomialLR(o, total_iters=50, power=2.0),
            ],
            [10, 75],
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_torch_step_for_step(name):
    ours, theirs = CASES[name]
    expected = torch_rates(theirs)
    actual = ours(np.arange(STEPS))
    assert actual.shape == expected.shape
    # torch multiplies up from step to step, so its rounding grows with the number of steps
    np.testing.assert_allclose(actual, expected, rtol=0, atol=STEPS * 2e-16 * expected.max())
    assert np.ptp(expected) > 0


def test_every_schedule_of_the_module_is_compared():
    source = inspect.getsource(inspect.getmodule(test_equals_torch_step_for_step))
    public = [n for n, f in inspect.getmembers(s, inspect.isfunction) if not n.startswith("_")]
    assert len(public) == 13
    for name in public:
        assert f"s.{name}(" in source


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_momentum_of_the_cycle_equals_torch(strategy, three_phase):
    def make(o):
        return torch_lr.OneCycleLR(o, 1.0, STEPS, anneal_strategy=strategy, three_phase=three_phase)

    expected = torch_rates(make, key="momentum")
    actual = s.one_cycle_momentum(
        np.arange(STEPS), STEPS, anneal_strategy=strategy, three_phase=three_phase
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-14)


def test_cosine_decay_after_a_stable_phase():
    t = np.arange(STEPS)
    whole = s.warmup_stable_decay_lr(t, LR, 20, 50, 60, decay="cosine")
    tail = s.cosine_annealing_lr(np.arange(60), LR, T_max=60)
    np.testing.assert_allclose(whole[70:130], tail, rtol=0, atol=1e-15 * LR)
    assert np.all(whole[130:] == 0)


@pytest.mark.parametrize("name", CASES)
def test_a_number_and_an_array_of_any_shape_give_the_same(name):
    ours, _ = CASES[name]
    flat = ours(np.arange(STEPS))
    assert np.array_equal(ours(np.arange(STEPS).reshape(4, 5, 10)).ravel(), flat)
    assert [float(ours(t)) for t in (0, 7, 150)] == flat[[0, 7, 150]].tolist()
    assert ours(np.array([], int)).shape == (0,)


def test_warm_restarts_are_exact_at_every_boundary_of_long_runs():
    starts = [0]
    for n in range(30):
        starts.append(starts[-1] + 7 * 2**n)
    rates = s.cosine_annealing_warm_restarts(np.array(starts), LR, T_0=7, T_mult=2)
    assert np.all(rates == LR)
    before = s.cosine_annealing_warm_restarts(np.array(starts[1:]) - 1, LR, T_0=7, T_mult=2)
    assert np.all(before < 0.06 * LR)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.step_lr(-1, LR, 3), "negative"),
        (lambda: s.step_lr("a", LR, 3), "real"),
        (lambda: s.step_lr(1, LR, 0), "step_size must be at least 1"),
        (lambda: s.one_cycle_lr(STEPS, LR, STEPS), "total_steps - 1 = 199"),
        (lambda: s.one_cycle_lr(0, LR, STEPS, anneal_strategy="sin"), "anneal_strategy"),
        (lambda: s.one_cycle_lr(0, LR, 10, pct_start=0.1), "no steps"),
        (lambda: s.warmup_stable_decay_lr(0, LR, 1, 1, 1, decay="step"), "decay must be one of"),
        (lambda: s.range_test_lr(0, 0.0, 1.0, 10), "positive"),
        (lambda: s.sequential_lr(0, [lambda t: t], [3]), "1 schedules need 0"),
    ],
)
def test_refuses_what_makes_no_sense(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
