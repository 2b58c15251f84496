"""Trajectories against torch.optim, the papers' algorithms, and the rules of `mathdl.optim`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing._internal.common_optimizers import optim_db

from mathdl import optim
from mathdl.linalg import newton_schulz
from mathdl.optim import trajectory

STEPS = 1000
SHAPES = {"weight": (4, 3), "bias": (4,), "gain": ()}
MATRICES = {"wide": (3, 5), "tall": (6, 2)}
ELEMENTWISE = [
    optim.SGD,
    optim.Adagrad,
    optim.RMSprop,
    optim.Adam,
    optim.AdamW,
    optim.NAdam,
    optim.Lion,
]
EVERY = [*ELEMENTWISE, optim.Muon, optim.Shampoo]

# torch's optimizers that this package does not have, and why
NOT_OURS = {
    "Adadelta": "not in the book",
    "Adafactor": "not in the book",
    "Adamax": "not in the book",
    "ASGD": "the book averages iterates itself",
    "LBFGS": "needs a closure, no step(grads)",
    "RAdam": "not in the book",
    "Rprop": "not in the book",
    "SparseAdam": "sparse gradients",
}


class Torch:
    """A torch optimizer with this package's interface, on the memory of NumPy arrays."""

    def __init__(self, cls, params, **kwargs):
        self.names, arrays = zip(*optim._leaves(params), strict=True)
        self.tensors = [torch.nn.Parameter(torch.from_numpy(a)) for a in arrays]
        self.optimizer = cls(self.tensors, **kwargs)

    def _set_lr(self, value):
        for group in self.optimizer.param_groups:
            group["lr"] = float(value)

    lr = property(None, _set_lr)

    def step(self, grads):
        for tensor, (_, grad) in zip(self.tensors, optim._leaves(grads), strict=True):
            tensor.grad = torch.from_numpy(np.array(grad))
        self.optimizer.step()


@pytest.fixture(autouse=True)
def _float64_scalars():
    """Make torch keep NAdam's product of momenta, a scalar of the default dtype, in float64."""
    old = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(old)


def problem(shapes=SHAPES, steps=STEPS, seed=0, dtype=np.float64, peak=2.0):
    """Starts, gradients whose scales run over 1e-9…1e2 by entry and by step, and learning rates."""
    rng = np.random.default_rng(seed)
    x0 = {k: np.asarray(rng.standard_normal(s), dtype) for k, s in shapes.items()}
    t = np.arange(steps)
    swell = 10.0 ** (-3 * np.sin(t / 60) ** 2)
    grads = {}
    for k, s in shapes.items():
        scale = 10.0 ** rng.uniform(-6, peak, s)
        g = rng.standard_normal((steps, *s)) + 0.3 * rng.standard_normal(s)
        grads[k] = (g * scale * swell.reshape(-1, *(1,) * len(s))).astype(dtype)
    factors = np.where(t < 50, (t + 1) / 50, 0.5 * (1 + np.cos(np.pi * t / steps)))
    return x0, grads, factors


def error(actual, expected):
    """Largest difference over the trajectory, in units of each tensor's own largest entry."""
    return max(np.abs(actual[k] - expected[k]).max() / np.abs(expected[k]).max() for k in expected)


def configurations(names):
    """Return every configuration of torch's database for these optimizers."""
    return [
        pytest.param(
            info.optim_cls,
            {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in entry.kwargs.items()},
            id=f"{info.optim_cls.__name__}-{entry.desc}",
        )
        for info in optim_db
        if info.optim_cls.__name__ in names
        for entry in info.optim_inputs_func("cpu")
    ]


def both(cls, ours, kwargs, x0, grads, factors):
    lrs = kwargs.get("lr", ours(np.zeros((2, 2))).lr) * factors
    mine = trajectory(lambda x: ours(x, **kwargs), x0, grads, lrs)
    theirs = trajectory(lambda x: Torch(cls, x, **kwargs), x0, grads, lrs)
    return mine, theirs


def test_every_torch_optimizer_is_either_compared_or_listed_with_its_reason():
    names = {info.optim_cls.__name__ for info in optim_db}
    compared = {cls.__name__ for cls in EVERY} & names
    assert compared == {"SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "NAdam", "Muon"}
    assert names - compared == set(NOT_OURS)


@pytest.mark.parametrize(
    ("cls", "kwargs"), configurations({c.__name__ for c in ELEMENTWISE if c is not optim.Lion})
)
@pytest.mark.parametrize("seed", [0, 1])
def test_trajectory_equals_torch(cls, kwargs, seed):
    mine, theirs = both(cls, getattr(optim, cls.__name__), kwargs, *problem(seed=seed))
    print(cls.__name__, kwargs, error(mine, theirs))
    assert error(mine, theirs) <= 1e-15
