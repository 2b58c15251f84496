"""Trajectories against torch.optim, the papers' algorithms, and the rules of `mathdl.optim`."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.testing._internal.common_optimizers import optim_db

from mathdl import optim
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
    assert error(mine, theirs) <= 1e-15


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("RMSprop", {"momentum": 0.9}),
        ("RMSprop", {"alpha": 0.3, "centered": True}),
        ("Adam", {"betas": (0.3, 0.4), "eps": 1e-3}),
        ("Adam", {"amsgrad": True, "decoupled_weight_decay": True, "weight_decay": 0.1}),
        ("NAdam", {"betas": (0.5, 0.6)}),
        ("SGD", {"momentum": 0.5, "nesterov": True, "maximize": True, "weight_decay": 0.01}),
        ("Adagrad", {"eps": 1e-3, "lr_decay": 0.1, "maximize": True}),
    ],
)
def test_options_that_the_database_leaves_out_equal_torch(name, kwargs):
    mine, theirs = both(getattr(torch.optim, name), getattr(optim, name), kwargs, *problem(seed=2))
    assert error(mine, theirs) <= 1e-15


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "Adam", "AdamW"])
def test_float32_equals_torch_to_rounding(name, fused):
    x0, grads, factors = problem(dtype=np.float32)
    cls, ours = getattr(torch.optim, name), getattr(optim, name)
    mine = trajectory(lambda x: ours(x, lr=0.01), x0, grads, 0.01 * factors)
    theirs = trajectory(lambda x: Torch(cls, x, lr=0.01, fused=fused), x0, grads, 0.01 * factors)
    assert all(m.dtype == np.float32 for m in mine.values())
    assert error(mine, theirs) <= 1000 * 2.0**-24


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_long_array_is_stepped_whole(dtype):
    rng = np.random.default_rng(0)
    x0 = rng.standard_normal(123_457).astype(dtype)
    grads = rng.standard_normal((5, x0.size)).astype(dtype)
    mine = trajectory(lambda x: optim.Adam(x, lr=0.1), x0, grads)
    theirs = trajectory(lambda x: Torch(torch.optim.Adam, x, lr=0.1), x0, grads)
    assert np.abs(mine - theirs).max() <= 4 * np.finfo(dtype).eps * np.abs(theirs).max()


# Muon, Lion, Shampoo ------------------------------------------------------------------------------


def literal_muon(w, g, state, lr, t, **kw):
    """Keller Jordan's update, in float64, one matrix."""
    a, b, c = kw.get("ns_coefficients", (3.4445, -4.7750, 2.0315))
    mu = kw.get("momentum", 0.95)
    buf = state["buf"] = mu * state.get("buf", 0.0) + (1 - mu) * g
    u = (1 - mu) * g + mu * buf if kw.get("nesterov", True) else buf
    u = u / max(np.linalg.norm(u), kw.get("eps", 1e-7))
    for _ in range(kw.get("ns_steps", 5)):
        gram = u @ u.T
        u = a * u + b * gram @ u + c * gram @ gram @ u
    m, n = w.shape
    scale = math.sqrt(max(1, m / n))
    if kw.get("adjust_lr_fn") == "match_rms_adamw":
        scale = 0.2 * math.sqrt(max(m, n))
    return (1 - lr * kw.get("weight_decay", 0.1)) * w - lr * scale * u


def literal_lion(w, g, state, lr, t, **kw):
    """Algorithm 2 of Chen et al. (2023), line by line."""
    beta1, beta2 = kw.get("betas", (0.9, 0.99))
    m = state.get("m", np.zeros_like(w))
    c = beta1 * m + (1 - beta1) * g
    w = (1 - lr * kw.get("weight_decay", 0.0)) * w - lr * np.sign(c)
    state["m"] = beta2 * m + (1 - beta2) * g
    return w


def literal_shampoo(w, g, state, lr, t, **kw):
    """Algorithms 1 and 2 of Gupta, Koren and Singer (2018), line by line."""
    g = g + kw.get("weight_decay", 0.0) * w
    k, u = w.ndim, g
    for i, d in enumerate(w.shape):
        matrix = np.moveaxis(g, i, 0).reshape(d, -1)
        start = kw.get("matrix_eps", 1e-6) * np.eye(d)
        state[i] = state.get(i, start) + matrix @ matrix.T
        if t == 1 or t % kw.get("preconditioning_compute_steps", 1) == 0:
            left, values, right = np.linalg.svd(state[i])
            state["root", i] = left @ np.diag(values ** (-1 / (2 * k))) @ right
        u = np.moveaxis(np.tensordot(state["root", i], u, axes=(1, i)), 0, i)
    return w - lr * u


def literal(rule, x0, grads, lrs, **kwargs):
    path, states = {k: [] for k in x0}, {k: {} for k in x0}
    w = dict(x0)
    for t, lr in enumerate(lrs):
        for k in w:
            w[k] = rule(w[k], grads[k][t], states[k], lr, t + 1, **kwargs)
            path[k].append(w[k])
    return {k: np.array(p) for k, p in path.items()}


MUON = [case.values[1] for case in configurations({"Muon"})]


@pytest.mark.parametrize(
    "kwargs", [*MUON, {"adjust_lr_fn": "match_rms_adamw"}, {"nesterov": False}], ids=str
)
def test_muon_equals_the_reference_in_float64(kwargs):
    x0, grads, factors = problem(MATRICES)
    lr = kwargs.get("lr", 1e-3)
    kwargs = {k: v for k, v in kwargs.items() if k != "lr"}
    mine = trajectory(lambda x: optim.Muon(x, lr=lr, **kwargs), x0, grads, lr * factors)
    reference = literal(literal_muon, x0, grads, lr * factors, **kwargs)
    assert error(mine, reference) <= 2e-15


@pytest.mark.parametrize(
    "kwargs", [*MUON, {"adjust_lr_fn": "match_rms_adamw"}, {"nesterov": False}], ids=str
)
def test_muon_equals_torch_to_bfloat16(kwargs):
    """The moves of all steps, from the same momenta, agree to the rounding of bfloat16."""
    x0, grads, _ = problem(MATRICES, steps=200)
    x0 = {k: np.zeros_like(x) for k, x in x0.items()}
    kwargs = {**kwargs, "weight_decay": 0.0}
    mine = trajectory(lambda x: optim.Muon(x, **kwargs), x0, grads)
    theirs = trajectory(lambda x: Torch(torch.optim.Muon, x, **kwargs), x0, grads)
    for k in x0:
        moves, others = np.diff(mine[k], axis=0), np.diff(theirs[k], axis=0)
        off = np.linalg.norm(moves - others, axis=(1, 2)) / np.linalg.norm(others, axis=(1, 2))
        # ε of bfloat16 is 2^-7; five steps of three products amplify it where σ is small
        assert 0 < np.median(off) <= 4 * 2.0**-7
        assert off.max() <= 16 * 2.0**-7


@pytest.mark.parametrize("kwargs", [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.8)}], ids=str)
def test_lion_equals_its_algorithm(kwargs):
    x0, grads, factors = problem()
    mine = trajectory(lambda x: optim.Lion(x, **kwargs), x0, grads, 1e-3 * factors)
    assert error(mine, literal(literal_lion, x0, grads, 1e-3 * factors, **kwargs)) <= 1e-15


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"weight_decay": 0.1}, {"matrix_eps": 1e-2}, {"preconditioning_compute_steps": 7}],
    ids=str,
)
def test_shampoo_equals_its_algorithm(kwargs):
    shapes = {"matrix": (3, 4), "vector": (3,), "tensor": (2, 3, 2)}
    x0, grads, factors = problem(shapes, peak=0.0)
    mine = trajectory(lambda x: optim.Shampoo(x, **kwargs), x0, grads, 0.01 * factors)
    # the inverse root of a matrix of condition κ is known to κ^(1/2k) ε and more
    assert error(mine, literal(literal_shampoo, x0, grads, 0.01 * factors, **kwargs)) <= 1e-11


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["Lion", "Shampoo"])
def test_trajectory_equals_the_published_package(name, seed):
    package = pytest.importorskip("pytorch_optimizer", reason="test-only reference")
    x0, grads, factors = problem({"matrix": (3, 4), "vector": (3,)}, seed=seed, peak=0.0)
    ours, cls = getattr(optim, name), getattr(package, name)
    kwargs = {"weight_decay": 0.01}
    mine = trajectory(lambda x: ours(x, **kwargs), x0, grads, 0.01 * factors)
    theirs = trajectory(lambda x: Torch(cls, x, **kwargs), x0, grads, 0.01 * factors)
    assert error(mine, theirs) <= (1e-15 if name == "Lion" else 1e-11)


def test_muon_in_float32_stays_near_the_reference_in_float64():
    x0, grads, factors = problem(MATRICES, steps=200, dtype=np.float32)
    mine = trajectory(optim.Muon, x0, grads, 0.01 * factors)
    wide = [{k: a.astype(float) for k, a in tree.items()} for tree in (x0, grads)]
    assert all(m.dtype == np.float32 for m in mine.values())
    assert 1e-9 < error(mine, literal(literal_muon, *wide, 0.01 * factors)) <= 1e-5


def test_momentum_of_nine_tenths_makes_steps_ten_times_as_long():
    """Erratum: 1/(1 − μ) times, once the buffer is full."""
    path = trajectory(lambda x: optim.SGD(x, lr=0.01, momentum=0.9), np.zeros(1), np.ones((300, 1)))
    assert path[0] == pytest.approx(-0.01)
    assert path[-1] - path[-2] == pytest.approx(-0.1, rel=1e-9)


def test_muon_moves_along_orthogonal_matrices():
    rng = np.random.default_rng(0)
    w = np.zeros((4, 8, 5))
    optim.Muon(w, lr=1.0, weight_decay=0.0).step(rng.standard_normal(w.shape))
    values = np.linalg.svd(w / math.sqrt(8 / 5), compute_uv=False)
    assert values.min() > 0.3
    assert values.max() < 1.3


# Batches, sweeps, derivatives through a trajectory ------------------------------------------------


def test_a_hyperparameter_changed_in_place_counts_from_the_next_step():
    eps, x, y = np.array(1e-8), np.zeros(2), np.zeros(2)
    changed, plain = optim.Adam(x, lr=0.1, eps=eps), optim.Adam(y, lr=0.1)
    for step in range(3):
        plain.eps = eps[...] = 10.0**-step
        changed.step(np.array([1.0, -2.0]))
        plain.step(np.array([1.0, -2.0]))
        assert np.array_equal(x, y)


@pytest.mark.parametrize("cls", ELEMENTWISE)
def test_a_thousand_starts_at_once_equal_each_alone(cls):
    rng = np.random.default_rng(0)
    x0, grads = rng.standard_normal((1000, 2)), rng.standard_normal((20, 1000, 2))
    together = trajectory(lambda x: cls(x, lr=0.1), x0, grads)
    for i in (0, 499, 999):
        alone = trajectory(lambda x: cls(x, lr=0.1), x0[i], grads[:, i])
        assert np.array_equal(together[:, i], alone)


@pytest.mark.parametrize(
    ("cls", "kwargs"), [(optim.Muon, {}), (optim.Shampoo, {"batch_ndim": 1})], ids=str
)
def test_a_batch_of_matrices_equals_each_alone(cls, kwargs):
    rng = np.random.default_rng(0)
    x0, grads = rng.standard_normal((5, 3, 4)), rng.standard_normal((20, 5, 3, 4))
    together = trajectory(lambda x: cls(x, lr=0.1, **kwargs), x0, grads)
    for i in range(5):
        alone = trajectory(lambda x: cls(x, lr=0.1), x0[i], grads[:, i])
        np.testing.assert_allclose(together[:, i], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("cls", ELEMENTWISE)
def test_a_sweep_over_learning_rates_equals_each_alone(cls):
    rng = np.random.default_rng(0)
    grads = rng.standard_normal((20, 2))
    rates = np.geomspace(1e-4, 1.0, 30)
    sweep = trajectory(
        lambda x: cls(x, lr=rates[:, None]),
        np.ones((30, 2)),
        np.repeat(grads[:, None], 30, axis=1),
    )
    for i in (0, 17, 29):
        alone = trajectory(lambda x: cls(x, lr=rates[i]), np.ones(2), grads)  # noqa: B023
        np.testing.assert_allclose(sweep[:, i], alone, rtol=1e-14)


def test_a_sweep_over_momenta_equals_each_alone():
    momenta = np.array([0.0, 0.5, 0.9])
    x0 = np.ones((3, 2))
    sweep = trajectory(
        lambda x: optim.SGD(x, lr=0.1, momentum=momenta[:, None]), x0, lambda x: x, steps=30
    )
    for i, momentum in enumerate(momenta):
        alone = trajectory(
            lambda x: optim.SGD(x, lr=0.1, momentum=momentum),  # noqa: B023
            x0[i],
            lambda x: x,
            steps=30,
        )
        np.testing.assert_allclose(sweep[:, i], alone, rtol=1e-13)


@pytest.mark.parametrize("cls", [*ELEMENTWISE, optim.Muon])
def test_complex_step_differentiates_through_a_trajectory(cls):
    """The derivative of the end point with respect to the learning rate."""
    curvature = np.array([[1.0, 2.0], [3.0, 0.5]])

    def end(lr, dtype):
        x0 = np.array([[1.0, -0.5], [0.3, 0.8]], dtype)
        return trajectory(lambda x: cls(x, lr=lr), x0, lambda x: curvature * x, steps=10)[-1]

    derivative = end(0.01 + 1e-30j, complex).imag / 1e-30
    h = 1e-5
    central = (end(0.01 + h, float) - end(0.01 - h, float)) / (2 * h)
    assert np.abs(derivative).max() > 0.1
    np.testing.assert_allclose(derivative, central, rtol=0, atol=1e-6 * np.abs(central).max())


# Parameters in place ------------------------------------------------------------------------------


def shaped(structure, seed=0):
    rng = np.random.default_rng(seed)
    tree = {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal((3, 3))}
    return tree if structure is dict else list(tree.values())


@pytest.mark.parametrize("structure", [dict, list])
@pytest.mark.parametrize("cls", EVERY)
def test_an_arena_changes_nothing_but_speed(cls, structure):
    plain, flat = shaped(structure), optim.arena(shaped(structure))
    before = [a for _, a in optim._leaves(plain)]
    optimizers = cls(plain, lr=0.1), cls(flat, lr=0.1)
    for seed in range(1, 6):
        for optimizer in optimizers:
            optimizer.step(shaped(structure, seed))
    for (_, a), (_, b), old in zip(optim._leaves(plain), optim._leaves(flat), before, strict=True):
        assert a is old
        assert np.array_equal(a, b)
    assert not np.array_equal(before[0], shaped(structure)["w" if structure is dict else 0])


def test_an_arena_is_stepped_without_a_copy():
    flat = optim.arena(shaped(dict))
    optimizer = optim.Adam(flat)
    assert np.shares_memory(optimizer._flat, flat["w"])
    assert np.shares_memory(optimizer._gather(optim.arena(shaped(dict))), optimizer._flat) is False
    assert optimizer._gathered is None


@pytest.mark.parametrize("cls", EVERY)
def test_views_are_changed_in_place_and_changes_between_steps_count(cls):
    block = np.ones((4, 6))
    view, straight = block[::2, 1::2], np.ones((2, 3))
    a, b = cls(view, lr=0.1), cls(straight, lr=0.1)
    for seed in range(3):
        g = np.random.default_rng(seed).standard_normal((2, 3))
        a.step(g)
        b.step(g)
        view *= 0.5
        straight *= 0.5
    assert np.array_equal(block[::2, 1::2], straight)
    assert np.all(block[1::2] == 1)


@pytest.mark.parametrize("cls", EVERY)
@pytest.mark.parametrize("flat", [True, False])
def test_gradients_are_left_alone(cls, flat):
    kwargs = {"weight_decay": 0.1} if cls is not optim.Muon else {}
    x = np.ones((2, 3)) if flat else {"a": np.ones((2, 3)), "b": np.ones((2, 2))}
    grads = optim._map(lambda a: a * 3, x)
    optimizer = cls(x, lr=0.1, **kwargs)
    optimizer.step(grads)
    optimizer.step(grads)
    assert all(np.all(g == 3) for _, g in optim._leaves(grads))


@pytest.mark.parametrize("cls", [*ELEMENTWISE, optim.Shampoo])
def test_a_gradient_that_is_the_parameter_itself_is_read_before_it_changes(cls):
    x, y = np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 3.0])
    a, b = (cls(p, lr=0.1, weight_decay=0.5) for p in (x, y))
    for _ in range(3):
        a.step(x)
        b.step(y.copy())
    assert np.array_equal(x, y)


@pytest.mark.parametrize("cls", ELEMENTWISE)
def test_empty_parameters_are_left_in_peace(cls):
    x = {"a": np.ones((0, 2)), "b": np.ones(1)}
    cls(x, lr=0.1).step({"a": np.ones((0, 2)), "b": np.ones(1)})
    assert x["a"].shape == (0, 2)
    assert x["b"] != 1


def test_order_of_the_keys_does_not_matter_and_scalars_are_parameters():
    x = {"a": np.ones(2), "b": np.array(3.0)}
    optim.SGD(x, lr=1.0).step({"b": np.float64(2.0), "a": np.array([1.0, 0.0])})
    assert x["a"].tolist() == [0.0, 1.0]
    assert x["b"] == 1.0


# Clipping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_equals_torch(norm_type, max_norm):
    _, grads, _ = problem(steps=1)
    tensors = [torch.nn.Parameter(torch.zeros(g.shape)) for g in grads.values()]
    for tensor, g in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.from_numpy(g.copy())
    total = torch.nn.utils.clip_grad_norm_(tensors, max_norm, norm_type)
    before = {k: g.copy() for k, g in grads.items()}
    clipped, norm = optim.clip_grad_norm(grads, max_norm, norm_type)
    assert norm == pytest.approx(float(total), rel=1e-14)
    for (k, g), tensor in zip(clipped.items(), tensors, strict=True):
        np.testing.assert_allclose(g, tensor.grad.numpy(), rtol=1e-14)
        assert np.array_equal(grads[k], before[k])


def test_clipping_a_batch_gives_each_copy_its_own_norm():
    g = np.array([[3.0, 4.0], [0.3, 0.4]], np.float32)
    clipped, norm = optim.clip_grad_norm(g, 1.0, batch_ndim=1)
    np.testing.assert_allclose(norm, [5.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(clipped, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    assert clipped.dtype == np.float32


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: optim.SGD(np.ones(2, int)),
            "must hold real or complex floats, got dtype int(32|64)",
        ),
        (lambda: optim.SGD([1.0, 2.0]), "must be a NumPy array"),
        (lambda: optim.SGD([]), "empty"),
        (lambda: optim.SGD([np.ones(2), np.ones(2, np.float32)]), "one dtype"),
        (lambda: optim.SGD([np.ones(2)] * 2), "share memory"),
        (lambda: optim.SGD(np.broadcast_to(1.0, 3)), "read-only"),
        (lambda: optim.SGD(np.ones(2), lr=-1.0), "lr must be in"),
        (lambda: optim.SGD(np.ones(2), nesterov=True), "Nesterov"),
        (lambda: optim.Adam(np.ones(2), betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\)"),
        (lambda: optim.Adam(np.ones(2), eps=-1e-8), "eps must be in"),
        (lambda: optim.RMSprop(np.ones(2), momentum=-1), "momentum must be in"),
        (lambda: optim.Muon(np.ones(2)), "needs matrices"),
        (lambda: optim.Muon(np.ones((2, 2)), adjust_lr_fn="x"), "adjust_lr_fn must be one of"),
        (lambda: optim.Shampoo(np.ones((2, 2), complex)), "real"),
        (lambda: optim.Shampoo(np.ones(2), batch_ndim=1), "more than 1 axes"),
        (lambda: optim.Shampoo(np.ones(2), preconditioning_compute_steps=0), "at least 1"),
        (lambda: optim.clip_grad_norm(np.ones(2), 1.0, 0.0), "norm_type"),
        (lambda: optim.clip_grad_norm(np.ones(2, int), 1.0), "floats"),
        (lambda: trajectory(optim.SGD, np.ones(2), lambda x: x), "how many steps"),
        (lambda: trajectory(optim.SGD, np.ones(2), np.ones((3, 2)), [0.1]), "one entry per step"),
        (
            lambda: optim.SGD([np.ones(2), np.ones(2)], lr=np.ones(2)).step([np.ones(2)] * 2),
            "single parameter array",
        ),
    ],
)
def test_refuses_what_cannot_be_meant(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({"a": np.ones((2, 1))}, "must hold 'a', 'b', got 'a'"),
        ({"a": np.ones(2), "b": np.ones(3)}, r"gradient 'a' must have shape \(2, 1\), got \(2,\)"),
        ({"a": np.ones((2, 1), int), "b": np.ones(3)}, "must have dtype float64, got int(32|64)"),
        ({"a": np.ones((2, 1)), "b": np.ones(3, np.float32)}, "must have dtype float64"),
        (np.ones(5), "must hold 'a', 'b', got one array"),
    ],
)
def test_refuses_gradients_that_do_not_fit(grads, message):
    x = {"a": np.ones((2, 1)), "b": np.ones(3)}
    optimizer = optim.SGD(x)
    with pytest.raises((ValueError, TypeError), match=message):
        optimizer.step(grads)
    assert np.all(x["a"] == 1)
    assert optimizer.t == 0


def test_trajectory_with_held_gradients_shows_each_twice():
    seen = []

    class Watch:
        def __init__(self, params):
            self.params = params

        def step(self, grads):
            seen.append(grads.copy())
            grads += 100.0

    trajectory(Watch, np.zeros(1), np.array([[1.0], [2.0]]), hold=2)
    assert np.ravel(seen).tolist() == [1.0, 101.0, 2.0, 102.0]


def test_import_needs_numpy_alone():
    code = (
        "import sys; import mathdl.optim, mathdl.schedules, mathdl.bugs.optimizers; "
        "print([m for m in ('torch', 'scipy', 'matplotlib', 'IPython') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
