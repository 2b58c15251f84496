"""Planted gradient bugs: the checks refuse every one and say why; other methods do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mathdl import checks, gradcheck
from mathdl.bugs import gradients
from mathdl.bugs.gradients import BESTIARY, GRADIENT_BUGS, INITS, METHODS, SHARED_BUGS, find

BY_NAME = {bug.name: bug for bug in GRADIENT_BUGS}
# Several bugs live in one function: each right gradient is tried once.
SUBJECTS = {id(bug.right): bug for bug in GRADIENT_BUGS}.values()


def test_there_are_enough_and_each_says_what_it_is():
    assert len(GRADIENT_BUGS) >= 45
    assert len(BY_NAME) == len(GRADIENT_BUGS)
    assert len({bug.imitates for bug in GRADIENT_BUGS}) == len(GRADIENT_BUGS)
    for bug in GRADIENT_BUGS:
        assert bug.imitates.endswith(".")
        assert len(bug.diagnosis) >= 8
    assert len(BESTIARY) == len({bug.name for bug in BESTIARY}) == 20


@pytest.mark.parametrize("topic", [
    "linear", "columns", "one-sample", "svd", "mse", "bce", "cross-entropy", "relu", "leaky-relu",
    "gelu", "sigmoid", "tanh", "softmax", "log-softmax", "dropout", "layer-norm", "batch-norm",
    "conv", "max-pool", "avg-pool", "embedding", "attention", "heads", "mlp", "deep", "recurrent",
    "residual", "tied", "stale",
])  # fmt: skip
def test_every_topic_has_its_bug(topic):
    assert any(name.startswith(f"{topic}-") for name in BY_NAME)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("name", BY_NAME)
def test_every_bug_is_refused_and_diagnosed(name, init):
    bug = BY_NAME[name]
    for seed in range(3):
        inputs = bug.make_inputs(np.random.default_rng(seed), init)
        with pytest.raises(checks.CheckFailed) as failure:
            checks.check_vjp(bug.f, bug.wrong, *inputs, seed=seed)
        assert bug.diagnosis in str(failure.value)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("bug", SUBJECTS, ids=lambda bug: bug.name)
def test_the_right_gradient_is_never_refused(bug, init):
    for seed in range(10):
        inputs = bug.make_inputs(np.random.default_rng(seed), init)
        assert checks.check_vjp(bug.f, bug.right, *inputs, seed=seed).passed


@pytest.mark.parametrize("name", BY_NAME)
def test_the_wrong_gradient_leaves_its_arguments_alone(name):
    """A bug that spoiled the arrays of its caller would be caught for the wrong reason."""
    bug = BY_NAME[name]
    inputs = bug.make_inputs(np.random.default_rng(0), "he")
    dy = np.random.default_rng(1).standard_normal(np.shape(bug.f(*inputs)))[()]
    before = [np.copy(a) for a in (*inputs, dy)]
    bug.wrong(*inputs, dy)
    for array, copy in zip((*inputs, dy), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_an_unknown_name_or_initialisation_is_refused():
    with pytest.raises(KeyError, match="no gradient bug 'linear'; there are linear-weight"):
        find("linear")
    with pytest.raises(ValueError, match=r"init must be one of \('he', 'small'\), got 'zero'"):
        BESTIARY[0].make_inputs(np.random.default_rng(0), "zero")


# The table of methods ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    return gradients.detection_table()


def test_the_check_catches_all_and_no_other_method_does(table):
    for method in METHODS:
        caught = [table[name][init][method] for name in BY_NAME for init in INITS]
        if method == "mathdl.checks":
            assert all(caught)
        else:
            assert 0.8 * len(caught) < sum(caught) < len(caught)


def test_no_method_refuses_a_right_gradient():
    table = gradients.detection_table(SUBJECTS, right=True)
    alarms = [
        (name, init, method)
        for name, row in table.items()
        for init, caught in row.items()
        for method, alarm in caught.items()
        if alarm
    ]
    assert not alarms


def test_what_each_method_cannot_see(table):
    """The reasons that the chapter gives, each by one bug."""
    absolute, relative, gradcheck_, direction, _ = METHODS
    # Nothing is scaled: an error of a gradient that is itself a millionth is below 1e-5.
    assert table["deep-first-layer-doubled"]["he"][absolute]
    assert not table["deep-first-layer-doubled"]["small"][absolute]
    assert not table["deep-first-layer-doubled"]["small"][gradcheck_]
    # Scaled, but all tensors together: what is small beside the others is rounding.
    assert not table["mlp-decay-in-the-gradient"]["small"][relative]
    # Finite differences know seven digits at best.
    for method in (absolute, relative, gradcheck_):
        assert not table["mlp-backward-in-single-precision"]["he"][method]
    # Cotangents that are unit vectors are never negative.
    assert not table["relu-mask-of-the-gradient"]["he"][gradcheck_]
    # Everything is evaluated at one point.
    assert not table["stale-cache"]["he"][direction]


def test_bestiary_is_told_by_all_columns(table):
    patterns = {
        method: tuple(table[bug.name][init][method] for bug in BESTIARY for init in INITS)
        for method in METHODS
    }
    assert len(set(patterns.values())) == len(METHODS)


def torch_accepts(bug, vjp, inputs):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            return torch.as_tensor(bug.f(*(t.detach().numpy() for t in tensors)))

        @staticmethod
        def backward(ctx, dy):
            arrays = [t.detach().numpy() for t in ctx.saved_tensors]
            found = vjp(*arrays, dy.detach().numpy()[()])
            found = found if isinstance(found, tuple) else (found,)
            return tuple(torch.as_tensor(np.array(g)) for g in found)

    tensors = [torch.tensor(a, requires_grad=True) for a in inputs]
    try:
        return torch.autograd.gradcheck(Function.apply, tensors, raise_exception=False)
    except RuntimeError:  # a gradient of a shape that autograd itself refuses
        return False


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("name", BY_NAME)
def test_gradcheck_decides_as_torchs_does(name, init):
    bug = BY_NAME[name]
    inputs = bug.make_inputs(np.random.default_rng(0), init)
    for vjp in (bug.wrong, bug.right):
        try:
            ours = gradients.accepts_gradcheck(bug.f, vjp, inputs)
        except ValueError:
            ours = False
        assert ours == torch_accepts(bug, vjp, inputs)


# What lies outside of a table -------------------------------------------------------------------


@pytest.mark.parametrize("vjp", ["right", "wrong"])
def test_a_point_where_every_relu_is_dead_shows_nothing(vjp):
    """Zeros equal zeros, whatever the gradient: refused, not passed."""
    bug = find("relu-mask-of-the-gradient")
    dead = -np.ones((3, 4)) - np.random.default_rng(0).random((3, 4))
    with pytest.raises(checks.CheckFailed, match="all zero"):
        checks.check_vjp(bug.f, getattr(bug, vjp), dead)


def test_xor_with_zero_biases_sits_on_the_kink():
    """Naive differences call the right gradient wrong; the check knows a kink."""
    rng = np.random.default_rng(0)
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    weight, bias = rng.standard_normal((8, 2)), np.zeros(8)

    def f(weight, bias):
        return np.where((z := x @ weight.T + bias).real > 0, z, 0 * z)

    def vjp(weight, bias, dy):
        dz = dy * (x @ weight.T + bias > 0)
        return dz.T @ x, dz.sum(axis=0)

    dy = rng.standard_normal((4, 8))
    naive = gradcheck.numerical_gradient(lambda b: (dy * f(weight, b)).sum(), bias, h=1e-5)
    assert np.abs(naive - vjp(weight, bias, dy)[1]).max() > 0.03
    assert not gradients.accepts_absolute(f, vjp, (weight, bias))
    assert checks.check_vjp(f, vjp, weight, bias).passed


@pytest.mark.parametrize("bug", SHARED_BUGS, ids=lambda bug: bug.name)
def test_a_mistake_that_forward_shares_needs_a_referee(bug):
    inputs = bug.make_inputs(np.random.default_rng(0), "he")
    assert checks.check_vjp(bug.f, bug.vjp, *inputs).passed
    assert gradients.accepts_gradcheck(bug.f, bug.vjp, inputs)
    with pytest.raises(checks.CheckFailed):
        checks.check_equal(bug.f(*inputs), bug.intended(*inputs))


def test_the_torch_route_is_such_a_referee():
    bug = next(b for b in SHARED_BUGS if b.name == "attention-never-scaled")
    inputs = bug.make_inputs(np.random.default_rng(0), "he")
    with pytest.raises(checks.CheckFailed, match="autograd"):
        checks.check_vjp(
            bug.f, bug.vjp, *inputs, torch=torch.nn.functional.scaled_dot_product_attention
        )
