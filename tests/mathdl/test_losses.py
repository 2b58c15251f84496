"""Losses against torch (values and VJPs, every option), against exact values, and complex steps."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mathdl import losses
from mathdl.activations import log_softmax
from mathdl.checks import CheckFailed, check_vjp
from mathdl.numerics import logsumexp

TOLERANCE = {np.float64: 1e-13, np.float32: 2e-6}
RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(2, 6, 5)) * 2
P, Q = RNG.uniform(0.02, 0.98, size=(2, 6, 5))
W = RNG.uniform(0.5, 2.0, size=(6, 5))
PROBABILITIES = P / P.sum(1, keepdims=True)
LOG_Q = np.log(Q / Q.sum(1, keepdims=True))
SPARSE = np.where(P < 0.3, 0.0, P)
LABELS = np.array([0, 4, 2, 2, 1, 3])
IMAGE = RNG.normal(size=(3, 4, 2, 5))
IMAGE_LABELS = RNG.integers(0, 4, size=(3, 2, 5))
IMAGE_P = np.exp(log_softmax(RNG.normal(size=IMAGE.shape), axis=1))
CLASS_W5, CLASS_W4 = RNG.uniform(0.2, 3.0, size=5), RNG.uniform(0.2, 3.0, size=4)
VAR = RNG.uniform(0.1, 3.0, size=(6, 5))

ELEMENTWISE = [
    ("mse_loss", (X, T), {}),
    ("l1_loss", (X, T), {}),
    ("huber_loss", (X, T), {}),
    ("huber_loss", (X, T), {"delta": 0.3}),
    ("binary_cross_entropy", (P, Q), {}),
    ("binary_cross_entropy", (P, Q), {"weight": W}),
    ("binary_cross_entropy", (P, Q), {"weight": W[0]}),
    ("binary_cross_entropy_with_logits", (X, Q), {}),
    ("binary_cross_entropy_with_logits", (X * 30, Q), {"weight": W, "pos_weight": CLASS_W5}),
    ("kl_div", (LOG_Q, PROBABILITIES), {}),
    ("kl_div", (LOG_Q, SPARSE), {}),
    ("kl_div", (LOG_Q, np.log(PROBABILITIES)), {"log_target": True}),
]
CLASSES = [
    ("nll_loss", (LOG_Q, LABELS), {}),
    ("nll_loss", (LOG_Q, LABELS), {"weight": CLASS_W5, "ignore_index": 2}),
    ("nll_loss", (IMAGE, IMAGE_LABELS), {"weight": CLASS_W4}),
    ("nll_loss", (LOG_Q[0], LABELS[1]), {}),
    ("cross_entropy", (X[0], LABELS[1]), {}),
    ("cross_entropy", (X[0], PROBABILITIES[1]), {"label_smoothing": 0.2}),
]
CLASSES += [
    ("cross_entropy", (x, t), {"weight": w, "ignore_index": i, "label_smoothing": s})
    for (x, t, w4), i, s in itertools.product(
        [(X, LABELS, CLASS_W5), (IMAGE, IMAGE_LABELS, CLASS_W4)], [-100, 2], [0.0, 0.3]
    )
    for w in (None, w4)
]
CLASSES += [
    ("cross_entropy", (x, t), {"weight": w, "label_smoothing": s})
    for (x, t, w4), s in itertools.product(
        [(X, PROBABILITIES, CLASS_W5), (IMAGE, IMAGE_P, CLASS_W4)], [0.0, 0.3]
    )
    for w in (None, w4)
]
GAUSSIAN = [
    ("gaussian_nll_loss", (X, T, var), options)
    for var, options in itertools.product(
        [VAR, VAR[:, 0], VAR[:, :1]], [{}, {"full": True}, {"eps": 0.5}]
    )
]
ALL = [
    (name, arguments, {**options, "reduction": reduction})
    for name, arguments, options in ELEMENTWISE + CLASSES + GAUSSIAN
    for reduction in ("mean", "sum", "none")
]
ALL += [
    ("kl_div", (LOG_Q, SPARSE), {"reduction": "batchmean"}),
    ("kl_div", (LOG_Q, LOG_Q - 1), {"reduction": "batchmean", "log_target": True}),
]


def label(case):
    name, arguments, options = case
    shapes = ["x".join(map(str, np.shape(a))) or "scalar" for a in arguments]
    words = [f"{k}={np.shape(v) if isinstance(v, np.ndarray) else v}" for k, v in options.items()]
    return "-".join([name, *shapes, *words])


pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
every_case = pytest.mark.parametrize(("name", "arguments", "options"), ALL, ids=map(label, ALL))


def cast(value, dtype):
    return (
        value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
    )


def functions(name, options, dtype=np.float64):
    """Return loss, VJP and torch's loss with the options filled in; torch's takes tensors."""
    ours = {k: cast(v, dtype) for k, v in options.items()}
    theirs = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in ours.items()}
    loss, vjp = getattr(losses, name), getattr(losses, name + "_vjp")

    def reference(*tensors):
        return getattr(F, name)(*map(torch.as_tensor, tensors), **theirs)

    return functools.partial(loss, **ours), functools.partial(vjp, **ours), reference


def differentiated(name):
    return (0, 2) if name == "gaussian_nll_loss" else (0,)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@every_case
def test_value_and_vjp_equal_torch(name, arguments, options, dtype):
    loss, vjp, reference = functions(name, options, dtype)
    arguments = [cast(np.asarray(a), dtype) for a in arguments]
    y = loss(*arguments)
    dy = np.asarray(np.random.default_rng(1).normal(size=y.shape), dtype)[()]
    wrt = differentiated(name)
    tensors = [torch.tensor(a, requires_grad=i in wrt) for i, a in enumerate(arguments)]
    theirs = reference(*tensors)
    theirs.backward(torch.tensor(dy))
    expected = [theirs.detach().numpy(), *(tensors[i].grad.numpy() for i in wrt)]
    gradients = vjp(*arguments, dy)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for ours, want in zip([y, *gradients], expected, strict=True):
        assert ours.dtype == dtype and np.shape(ours) == want.shape
        assert np.abs(ours - want).max() <= TOLERANCE[dtype] * np.abs(want).max()


@every_case
def test_vjp_passes_the_check_by_three_routes(name, arguments, options):
    loss, vjp, reference = functions(name, options)
    wrt = differentiated(name)
    if options.get("eps") == 0.5:
        # The clamp moves the value only: no difference quotient can agree. See its own test.
        arguments = (*arguments[:2], arguments[2] + 0.5)
    result = check_vjp(loss, vjp, *arguments, wrt=wrt, torch=reference)
    assert result.passed and len(result.record()["routes"]) == 3


@pytest.mark.parametrize(("name", "arguments", "options"), ELEMENTWISE + CLASSES)
def test_a_missing_reduction_factor_is_refused(name, arguments, options):
    loss, vjp, _ = functions(name, options)
    with pytest.raises(CheckFailed):
        check_vjp(loss, lambda *a: vjp(*a) * 1.001, *arguments, wrt=0)


@every_case
def test_complex_step_through_loss_and_vjp(name, arguments, options):
    """The loss's first derivative, and its second through the VJP against torch's."""
    loss, vjp, reference = functions(name, options)
    arguments = [np.asarray(a) for a in arguments]
    rng = np.random.default_rng(2)
    v = rng.normal(size=arguments[0].shape)
    moved = [arguments[0] + 1e-30j * v, *arguments[1:]]
    y = loss(*moved)
    assert y.dtype == np.complex128
    dy = np.asarray(rng.normal(size=y.shape))[()]

    t = torch.tensor(arguments[0], requires_grad=True)
    value = reference(t, *arguments[1:])
    if name == "binary_cross_entropy":  # torch's own second derivative adds 1e-12 to p and 1 - p
        target = torch.tensor(arguments[1])
        value = -(target * t.log() + (1 - target) * torch.log1p(-t))
        value = value * torch.as_tensor(options.get("weight", 1.0))
        value = {"mean": value.mean(), "sum": value.sum(), "none": value}[options["reduction"]]
    (g,) = torch.autograd.grad(value, t, torch.tensor(dy), create_graph=True)
    first = np.sum(g.detach().numpy() * v)
    assert abs(np.sum(dy * y.imag / 1e-30) - first) <= 1e-13 * np.abs(g.detach().numpy() * v).sum()

    second = np.zeros_like(v)
    if g.requires_grad:
        (second,) = torch.autograd.grad(g, t, torch.tensor(v), allow_unused=True)
        second = np.zeros_like(v) if second is None else second.numpy(force=True)
    ours = vjp(*moved, dy)
    ours = ours[0] if isinstance(ours, tuple) else ours
    assert ours.dtype == np.complex128
    scale = np.abs(second).max() + np.abs(g.detach().numpy()).max()
    assert np.abs(ours.imag / 1e-30 - second).max() <= 1e-13 * scale


def test_complex64_stays_complex64():
    for name, arguments, options in ELEMENTWISE + CLASSES + GAUSSIAN:
        loss, vjp, _ = functions(name, options, np.float32)
        arguments = [cast(np.asarray(a), np.float32) for a in arguments]
        moved = [arguments[0] + np.complex64(1e-20j), *arguments[1:]]
        assert loss(*moved).dtype == np.complex64, name
        gradient = vjp(*moved, 1.0)
        for g in gradient if isinstance(gradient, tuple) else (gradient,):
            assert g.dtype == np.complex64, name


def test_mean_divides_by_every_entry_averaged():
    """Rows alone would be wrong by the number of columns."""
    y, t = np.ones((4, 3)), np.zeros((4, 3))
    np.testing.assert_array_equal(losses.mse_loss_vjp(y, t), np.full((4, 3), 2 / 12))
    np.testing.assert_array_equal(losses.l1_loss_vjp(y, t), np.full((4, 3), 1 / 12))


def test_slopes_at_the_kinks_are_those_of_torch():
    x, t = np.array([0.0, 1.0, -1.0]), np.zeros(3)
    for name, options in [("l1_loss", {}), ("huber_loss", {"delta": 1.0})]:
        _, vjp, reference = functions(name, {**options, "reduction": "sum"})
        tensor = torch.tensor(x, requires_grad=True)
        reference(tensor, t).backward()
        np.testing.assert_array_equal(vjp(x, t), tensor.grad.numpy())


def test_cross_entropy_of_a_confident_mistake_does_not_saturate():
    """Through clipped probabilities it would be 23 with a gradient of zero."""
    x, t = np.array([[0.0, 50.0]]), np.array([0])
    assert losses.cross_entropy(x, t) == 50.0
    np.testing.assert_allclose(losses.cross_entropy_vjp(x, t), [[-1.0, 1.0]])
    sure = losses.cross_entropy(np.array([[50.0, 0.0]]), t)
    assert abs(sure / np.exp(-50.0) - 1) < 1e-14


@settings(max_examples=40, deadline=None)
@given(st.floats(-700, 700), st.sampled_from([0.0, 1.0, 0.25]))
def test_bce_with_logits_is_right_in_both_tails(x, t):
    z = np.array([x])
    exact = t * logsumexp(np.array([0.0, -x])) + (1 - t) * logsumexp(np.array([0.0, x]))
    ours = losses.binary_cross_entropy_with_logits(z, np.array([t]))
    np.testing.assert_allclose(ours, exact, rtol=1e-14)
    two = np.stack([np.zeros(1), z], axis=1)
    np.testing.assert_allclose(
        losses.cross_entropy(two, np.array([[1 - t, t]])), ours, rtol=1e-13, atol=1e-300
    )


def test_infinite_scores():
    inf = np.array([np.inf, -np.inf])
    bce = losses.binary_cross_entropy_with_logits(inf, np.array([1.0, 0.0]), reduction="none")
    np.testing.assert_array_equal(bce, [0, 0])
    wrong = losses.binary_cross_entropy_with_logits(inf, np.array([0.0, 1.0]), reduction="none")
    np.testing.assert_array_equal(wrong, [np.inf, np.inf])
    masked = np.array([[1.0, -np.inf, 1.0]])
    p = np.array([[0.5, 0.0, 0.5]])
    np.testing.assert_allclose(losses.cross_entropy(masked, p), math.log(2))
    np.testing.assert_allclose(losses.cross_entropy_vjp(masked, p), np.zeros((1, 3)), atol=1e-16)
    assert losses.cross_entropy(masked, np.array([1])) == np.inf


def test_bce_clamps_as_torch_does():
    p = np.array([0.0, 1.0, 0.0, 1.0, 1e-30, 1 - 1e-16, 3e-13])
    t = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    tensor = torch.tensor(p, requires_grad=True)
    expected = F.binary_cross_entropy(tensor, torch.tensor(t), reduction="none")
    expected.sum().backward()
    np.testing.assert_allclose(
        losses.binary_cross_entropy(p, t, reduction="none"), expected.detach().numpy(), rtol=1e-15
    )
    ours = losses.binary_cross_entropy_vjp(p, t, reduction="sum")
    # torch's floor of the denominator is 1e-12 in float32.
    np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=5e-9)


def test_kl_of_a_point_mass_where_q_is_zero():
    log_q = np.array([[-np.inf, 0.0]])
    assert losses.kl_div(log_q, np.array([[0.0, 1.0]]), reduction="sum") == 0
    assert losses.kl_div(log_q, np.array([[1.0, 0.0]]), reduction="sum") == np.inf
    assert losses.kl_div(log_q, np.array([[-np.inf, 0.0]]), "sum", log_target=True) == 0


def test_gaussian_clamp_moves_the_value_and_not_the_slope():
    """A complex step in a clamped variance gives torch's slope, which is not zero."""
    x, t, var = np.array([1.0, 1.0]), np.array([0.0, 0.5]), np.array([0.0, 1e-3])
    tensor = torch.tensor(var, requires_grad=True)
    F.gaussian_nll_loss(torch.tensor(x), torch.tensor(t), tensor, eps=0.1).backward()
    _, dvar = losses.gaussian_nll_loss_vjp(x, t, var, eps=0.1)
    np.testing.assert_allclose(dvar, tensor.grad.numpy(), rtol=1e-14)
    for i in range(2):
        moved = var.astype(complex)
        moved[i] += 1e-30j
        step = losses.gaussian_nll_loss(x, t, moved, eps=0.1).imag / 1e-30
        np.testing.assert_allclose(step, dvar[i], rtol=1e-14)


def test_gaussian_variance_may_be_one_number():
    ours = losses.gaussian_nll_loss(X, T, 2.0)
    theirs = F.gaussian_nll_loss(torch.tensor(X), torch.tensor(T), 2.0).item()
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    same = np.full_like(X, 2.0)
    _, dvar = losses.gaussian_nll_loss_vjp(X, T, 2.0)
    _, each = losses.gaussian_nll_loss_vjp(X, T, same)
    np.testing.assert_allclose(dvar, each.sum(), rtol=1e-13)
    narrow = losses.gaussian_nll_loss_vjp(X.astype(np.float32), T.astype(np.float32), 2.0)
    assert [g.dtype for g in narrow] == [np.float32, np.float32]


def test_class_axis_can_be_named():
    """``axis=-1`` batches over any leading axes, as a grid of networks needs."""
    grid = RNG.normal(size=(7, 6, 5))
    labels = np.broadcast_to(LABELS, (7, 6))
    each = losses.cross_entropy(grid, labels, reduction="none", axis=-1)
    assert each.shape == (7, 6)
    np.testing.assert_allclose(each[3], losses.cross_entropy(grid[3], LABELS, reduction="none"))
    moved = np.moveaxis(grid, -1, 1)
    np.testing.assert_allclose(each.mean(), losses.cross_entropy(moved, labels), rtol=1e-14)
    np.testing.assert_allclose(
        losses.cross_entropy_vjp(grid, labels, axis=-1),
        np.moveaxis(losses.cross_entropy_vjp(moved, labels), 1, -1),
    )
    logs = log_softmax(grid)
    np.testing.assert_allclose(losses.nll_loss(logs, labels, axis=-1), each.mean(), rtol=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_one_sample_and_one_class(n, c, random):
    rng = np.random.default_rng(random.randrange(2**32))
    x, labels = rng.normal(size=(n, c)), rng.integers(0, c, size=n)
    loss = losses.cross_entropy(x, labels)
    onehot = np.eye(c)[labels]
    np.testing.assert_allclose(loss, losses.cross_entropy(x, onehot), rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(
        loss, losses.nll_loss(log_softmax(x), labels), rtol=1e-14, atol=1e-300
    )
    gradient = losses.cross_entropy_vjp(x, labels)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)
    if c == 1:
        assert loss == 0 and not gradient.any()


def test_the_mean_of_nothing_is_nan_as_in_torch():
    empty = np.zeros((0, 3))
    for name in ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"):
        loss, _, reference = functions(name, {})
        with pytest.warns(RuntimeWarning):
            assert np.isnan(loss(empty, empty))
        assert torch.isnan(reference(empty, empty))
        assert functions(name, {"reduction": "sum"})[0](empty, empty) == 0
        assert functions(name, {"reduction": "none"})[0](empty, empty).shape == (0, 3)
        assert functions(name, {"reduction": "sum"})[1](empty, empty).shape == (0, 3)
    ignored = np.full(6, -100)
    with pytest.warns(RuntimeWarning):
        assert np.isnan(losses.cross_entropy(X, ignored))
    assert losses.cross_entropy(X, ignored, reduction="sum") == 0
    assert not losses.cross_entropy_vjp(X, ignored, reduction="sum").any()
    assert losses.cross_entropy(empty, np.zeros(0, int), reduction="sum") == 0


REFUSED = [
    (
        lambda: losses.mse_loss(np.ones((3, 1)), np.ones(3)),
        ValueError,
        r"shape \(3, 1\), got \(3,\)",
    ),
    (lambda: losses.mse_loss(np.ones(3, int), np.ones(3)), TypeError, "input must hold"),
    (lambda: losses.mse_loss(np.ones(3), np.ones(3, int)), TypeError, "target must hold"),
    (lambda: losses.mse_loss(X, T, "average"), ValueError, "reduction must be"),
    (lambda: losses.mse_loss_vjp(X, T, 1.0, "average"), ValueError, "reduction must be"),
    (lambda: losses.mse_loss_vjp(X, T, np.ones(3), "none"), ValueError, "dy must have shape"),
    (lambda: losses.mse_loss_vjp(X, T, np.ones((6, 5))), ValueError, r"shape \(\), got \(6, 5\)"),
    (lambda: losses.huber_loss(X, T, delta=0.0), ValueError, "delta must be positive"),
    (lambda: losses.huber_loss_vjp(X, T, delta=-1.0), ValueError, "delta must be positive"),
    (lambda: losses.cross_entropy(X, LABELS + 1), IndexError, "target 5 is out of bounds for 5"),
    (lambda: losses.cross_entropy(X, LABELS - 1), IndexError, "target -1 is out of bounds"),
    (lambda: losses.cross_entropy(X, LABELS[:, None]), ValueError, "target .* shape"),
    (lambda: losses.cross_entropy(X, PROBABILITIES[0]), ValueError, "target .* shape"),
    (lambda: losses.cross_entropy(X, LABELS == 0), TypeError, "got dtype bool"),
    (lambda: losses.cross_entropy(X, LABELS, np.ones(4)), ValueError, r"weight .* \(5,\)"),
    (lambda: losses.cross_entropy(X, LABELS, label_smoothing=1.5), ValueError, "between 0 and 1"),
    (lambda: losses.cross_entropy(X, PROBABILITIES, ignore_index=0), ValueError, "ignore_index"),
    (lambda: losses.cross_entropy(np.float64(1.0), np.array(0)), ValueError, "class axis"),
    (lambda: losses.nll_loss(LOG_Q, PROBABILITIES), TypeError, "class indices"),
    (lambda: losses.binary_cross_entropy(P + 1, Q), ValueError, "input must lie"),
    (lambda: losses.binary_cross_entropy(P, Q - 1), ValueError, "target must lie"),
    (lambda: losses.binary_cross_entropy(P, Q, W[:, 0]), ValueError, "weight must broadcast"),
    (
        lambda: losses.binary_cross_entropy_with_logits(X, Q, pos_weight=W[None]),
        ValueError,
        "pos_weight must broadcast",
    ),
    (lambda: losses.gaussian_nll_loss(X, T, -VAR), ValueError, "must not be negative"),
    (lambda: losses.gaussian_nll_loss(X, T, VAR[0]), ValueError, "var must have shape"),
    (lambda: losses.gaussian_nll_loss(X, T, VAR, eps=0.0), ValueError, "eps must be positive"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
