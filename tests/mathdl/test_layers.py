"""Layers against torch (values, gradients, curvature), and on their own terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mathdl import checks, layers

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

TOLERANCE = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 5e-6}


@dataclass(frozen=True)
class Case:
    """One layer with its options fixed: a function of float arrays alone, and torch's own."""

    forward: Callable
    backward: Callable
    torch: Callable
    shapes: tuple[tuple[int, ...], ...]

    def f(self, *arrays):
        return self.forward(*arrays)[0]

    def vjp(self, *arrays_and_dy):
        *arrays, dy = arrays_and_dy
        gradients = self.backward(dy, self.forward(*arrays)[1])
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        return tuple(g for g in gradients if g is not None)

    def draw(self, seed: int, dtype=np.float64):
        rng = np.random.default_rng(seed)
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]
        dy = rng.standard_normal(self.f(*arrays).shape).astype(dtype)
        return arrays, dy


def conv(shapes, **options):
    return Case(
        lambda *a: layers.conv2d_forward(*a, **options),
        layers.conv2d_backward,
        lambda *a: F.conv2d(*a, **options),
        shapes,
    )


def max_pool(shape, *args, **options):
    return Case(
        lambda x: layers.max_pool2d_forward(x, *args, **options),
        layers.max_pool2d_backward,
        lambda x: F.max_pool2d(x, *args, **options),
        (shape,),
    )


def avg_pool(shape, *args, **options):
    return Case(
        lambda x: layers.avg_pool2d_forward(x, *args, **options),
        layers.avg_pool2d_backward,
        lambda x: F.avg_pool2d(x, *args, **options),
        (shape,),
    )


def layer_norm(shape, normalized, affine=True):
    return Case(
        lambda x, *p: layers.layer_norm_forward(x, normalized, *p),
        layers.layer_norm_backward,
        lambda x, *p: F.layer_norm(x, normalized, *p),
        (shape, normalized, normalized) if affine else (shape,),
    )


def batch_norm(shape, training, affine=True):
    rng = np.random.default_rng(7)
    mean, var = rng.standard_normal(shape[1]), rng.random(shape[1]) + 0.5

    def ours(x, *p):
        real = x.real.dtype
        return layers.batch_norm_forward(
            x, mean.astype(real), var.astype(real), *p, training=training
        )

    def theirs(x, *p):
        stats = torch.tensor(mean).to(x.dtype), torch.tensor(var).to(x.dtype)
        return F.batch_norm(x, *stats, *p, training=training)

    channels = (shape[1],)
    return Case(
        ours, layers.batch_norm_backward, theirs, (shape, channels, channels)[: 3 if affine else 1]
    )


INDICES = np.array([[1, 4, 1], [0, 2, 2]])
KEPT = np.random.default_rng(3).random((3, 4)) < 0.6

CASES = {
    "linear": Case(layers.linear_forward, layers.linear_backward, F.linear, ((6, 3), (5, 3), (5,))),
    "linear without bias": Case(
        layers.linear_forward, layers.linear_backward, F.linear, ((6, 3), (5, 3))
    ),
    "linear of a vector": Case(
        layers.linear_forward, layers.linear_backward, F.linear, ((3,), (5, 3), (5,))
    ),
    "linear on leading axes": Case(
        layers.linear_forward, layers.linear_backward, F.linear, ((2, 4, 6, 3), (1, 3), (1,))
    ),
    "layer norm": layer_norm((4, 6), (6,)),
    "layer norm over two axes": layer_norm((2, 3, 4, 5), (4, 5)),
    "layer norm of a vector": layer_norm((6,), (6,)),
    "layer norm without parameters": layer_norm((4, 6), (6,), affine=False),
    "batch norm in training": batch_norm((7, 3), True),
    "batch norm in training on images": batch_norm((4, 3, 2, 5), True),
    "batch norm in training without parameters": batch_norm((7, 3), True, affine=False),
    "batch norm in evaluation": batch_norm((7, 3), False),
    "batch norm in evaluation on sequences": batch_norm((4, 3, 5), False),
    "batch norm in evaluation without parameters": batch_norm((7, 3), False, affine=False),
    "conv2d": conv(((2, 3, 6, 5), (4, 3, 3, 2), (4,))),
    "conv2d of one image": conv(((3, 6, 5), (4, 3, 3, 2), (4,))),
    "conv2d with stride and padding": conv(
        ((2, 3, 7, 6), (4, 3, 3, 3), (4,)), stride=(2, 3), padding=(1, 2)
    ),
    "conv2d same": conv(((2, 3, 6, 5), (4, 3, 4, 2), (4,)), padding="same"),
    "conv2d valid": conv(((2, 3, 6, 5), (4, 3, 4, 2)), padding="valid"),
    "conv2d dilated": conv(((2, 3, 9, 8), (4, 3, 3, 2), (4,)), dilation=(2, 3), stride=2),
    "conv2d in groups": conv(((2, 6, 5, 5), (4, 3, 3, 3), (4,)), groups=2, padding=1),
    "conv2d by depth": conv(((2, 4, 5, 5), (4, 1, 3, 3), (4,)), groups=4),
    "max pool": max_pool((2, 3, 6, 7), 2),
    "max pool overlapping": max_pool((2, 3, 6, 7), 3, 1, 1),
    "max pool dilated": max_pool((3, 9, 8), (2, 3), stride=(1, 2), dilation=(3, 2)),
    "avg pool": avg_pool((2, 3, 6, 7), 2),
    "avg pool overlapping": avg_pool((2, 3, 6, 7), (3, 2), (2, 1), (1, 1)),
    "avg pool not counting padding": avg_pool((3, 6, 7), 3, 2, 1, count_include_pad=False),
    "embedding": Case(
        lambda w: layers.embedding_forward(INDICES, w),
        layers.embedding_backward,
        lambda w: F.embedding(torch.tensor(INDICES), w),
        ((6, 3),),
    ),
    "dropout": Case(
        lambda x: layers.dropout_forward(x, 0.4, mask=KEPT),
        layers.dropout_backward,
        lambda x: x * torch.tensor(KEPT).to(x.dtype) / 0.6,
        ((3, 4),),
    ),
}


def assert_close(actual, expected, dtype=np.float64, sizes=None):
    """Compare, relative to the largest of `sizes`, which are those of the result unless given."""
    expected = np.asarray(expected.detach() if isinstance(expected, torch.Tensor) else expected)
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if expected.size:
        scale = np.abs(expected if sizes is None else sizes.detach().numpy()).max() or 1.0
        assert np.abs(actual - expected).max() <= TOLERANCE[np.dtype(dtype)] * scale


def values_and_gradients(case: Case, arrays, dy):
    """What torch finds: the values, then the gradient for each array."""
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = case.torch(*tensors)
    return [y, *torch.autograd.grad(y, tensors, torch.tensor(dy))]


def compare(case: Case, arrays, dy, dtype=np.float64, *, sums=False):
    """Values and all gradients against torch; those that are sums, by the sizes of their terms."""
    expected = values_and_gradients(case, arrays, dy)
    sizes = [None] * len(expected)
    if sums:
        sizes = values_and_gradients(case, [np.abs(a) for a in arrays], np.abs(dy))
    found = [case.f(*arrays), *case.vjp(*arrays, dy)]
    for ours, theirs, size in zip(found, expected, sizes, strict=True):
        assert_close(ours, theirs, dtype, size)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_torchs(name, dtype):
    for seed in range(3):
        arrays, dy = CASES[name].draw(seed, dtype)
        compare(CASES[name], arrays, dy, dtype)


@pytest.mark.parametrize("name", CASES)
def test_vjp_passes_the_check(name):
    case = CASES[name]
    arrays, _ = case.draw(5)
    result = checks.check_vjp(case.f, case.vjp, *arrays, torch=case.torch)
    assert result.passed
    assert {"complex step", "central differences"} <= {r.name for r in result.routes} or (
        len(result.routes) >= 2
    )


@pytest.mark.parametrize("name", CASES)
def test_complex_step_through_backward_gives_curvature(name):
    """The backward pass is complex-safe: its complex step is torch's double backward."""
    case = CASES[name]
    arrays, dy = case.draw(11)
    rng = np.random.default_rng(12)
    v = [rng.standard_normal(a.shape) for a in arrays]
    stepped = case.vjp(*(a + 1e-30j * d for a, d in zip(arrays, v, strict=True)), dy)
    actual = [g.imag / 1e-30 for g in stepped]

    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    first = torch.autograd.grad(case.torch(*tensors), tensors, torch.tensor(dy), create_graph=True)
    product = sum((g * torch.tensor(d)).sum() for g, d in zip(first, v, strict=True))
    if product.requires_grad:
        expected = torch.autograd.grad(product, tensors, allow_unused=True)
    else:  # the layer is linear: no curvature
        expected = [None] * len(tensors)
    scale = max([1.0, *(g.abs().max().item() for g in expected if g is not None)])
    for a, e in zip(actual, expected, strict=True):
        e = 0.0 if e is None else e.numpy()
        assert np.abs(a - e).max() <= 1e-12 * scale


@pytest.mark.parametrize("name", CASES)
def test_complex64_stays_complex64(name):
    case = CASES[name]
    arrays, dy = case.draw(2, np.complex64)
    assert case.f(*arrays).dtype == np.complex64
    assert {g.dtype for g in case.vjp(*arrays, dy)} == {np.dtype(np.complex64)}


@pytest.mark.parametrize("name", CASES)
def test_refuses_integers_and_a_cotangent_of_another_shape(name):
    case = CASES[name]
    arrays, dy = case.draw(2)
    for i, array in enumerate(arrays):
        wrong = [*arrays[:i], np.ones(array.shape, dtype=int), *arrays[i + 1 :]]
        with pytest.raises(TypeError, match=r"int(32|64)"):
            case.f(*wrong)
    with pytest.raises(ValueError, match=r"dy must have the shape of the output"):
        case.vjp(*arrays, dy[..., None])
    with pytest.raises(ValueError, match=r"dy must have the shape of the output"):
        case.vjp(*arrays, dy[..., :1] if dy.shape[-1] > 1 else np.concatenate([dy, dy], -1))
    with pytest.raises(TypeError, match="dy must hold"):
        case.vjp(*arrays, np.ones(dy.shape, dtype=int))


# Linear ---------------------------------------------------------------------------------------


@given(
    leading=st.lists(st.integers(0, 4), max_size=3),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    bias=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_linear_on_any_leading_axes(leading, inputs, outputs, bias, dtype, seed):
    shapes = ((*leading, inputs), (outputs, inputs), (outputs,))[: 3 if bias else 2]
    case = Case(layers.linear_forward, layers.linear_backward, F.linear, shapes)
    compare(case, *case.draw(seed, dtype), dtype)


@pytest.mark.parametrize(("rows", "weights", "biases"), [
    ((4, 3), (7, 5, 3), (7, 5)),
    ((7, 4, 3), (7, 5, 3), (7, 5)),
    ((2, 7, 4, 3), (2, 7, 5, 3), (2, 7, 5)),
    ((4, 3), (7, 5, 3), (5,)),
    ((4, 3), (5, 3), (7, 5)),
    ((7, 4, 3), (1, 5, 3), (7, 5)),
])  # fmt: skip
def test_linear_on_a_grid_of_networks(rows, weights, biases):
    def theirs(x, weight, bias):
        bias = bias if bias.ndim == 1 else bias[..., None, :]
        return x @ weight.transpose(-1, -2) + bias

    case = Case(layers.linear_forward, layers.linear_backward, theirs, (rows, weights, biases))
    compare(case, *case.draw(0))


@pytest.mark.parametrize(("shapes", "message"), [
    (((4, 3), (5, 2), (5,)), r"x must have shape \(\.\.\., 2\).*got \(4, 3\)"),
    (((4, 3), (5, 3), (1,)), r"bias must have shape \(5,\).*got \(1,\)"),
    (((4, 3), (5, 3), (4,)), r"bias must have shape \(5,\).*got \(4,\)"),
    (((4, 3), (3,), (4,)), r"weight must have shape \(out, in\), got \(3,\)"),
    (((3,), (7, 5, 3), (7, 5)), r"needs x of shape \(\.\.\., N, in\), got \(3,\)"),
    (((2, 4, 3), (7, 5, 3), (7, 5)), r"x has \(2,\), weight has \(7,\)"),
    (((), (5, 3), (5,)), r"x must have shape \(\.\.\., 3\).*got \(\)"),
])  # fmt: skip
def test_linear_says_which_shape_is_wrong(shapes, message):
    with pytest.raises(ValueError, match=message):
        layers.linear_forward(*(np.ones(shape) for shape in shapes))


# Normalisation --------------------------------------------------------------------------------


@given(
    leading=st.lists(st.integers(0, 3), max_size=2),
    normalized=st.lists(st.integers(2, 5), min_size=1, max_size=2),
    offset=st.sampled_from([0.0, 1e3]),
    seed=st.integers(0, 2**32 - 1),
)
@example(leading=[], normalized=[2], offset=1e3, seed=607)  # two numbers close to each other
@settings(max_examples=60, deadline=None)
def test_layer_norm_of_any_shape_is_standardised(leading, normalized, offset, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*leading, *normalized)) + offset
    y, _ = layers.layer_norm_forward(x, tuple(normalized), eps=0.0)
    axes = tuple(range(-len(normalized), 0))
    # the mean is known to a rounding of the numbers, which the division by their spread enlarges
    bound = 1e-14 + 1e-15 * (1 + offset) / x.std(axis=axes)
    assert (np.abs(y.mean(axis=axes)) <= bound).all()
    assert (np.abs((y * y).mean(axis=axes) - 1) <= bound).all()


def test_layer_norm_on_a_grid_of_networks():
    rng = np.random.default_rng(0)
    for rows in ((4, 6), (5, 4, 6)):
        x, weight, bias = (rng.standard_normal(s) for s in (rows, (5, 6), (5, 6)))
        y, cache = layers.layer_norm_forward(x, 6, weight, bias)
        dy = rng.standard_normal(y.shape)
        dx, dweight, dbias = layers.layer_norm_backward(dy, cache)
        total = 0
        for g in range(5):
            own = x if x.ndim == 2 else x[g]
            expected, one = layers.layer_norm_forward(own, 6, weight[g], bias[g])
            assert_close(y[g], expected)
            dx_one, dweight_one, dbias_one = layers.layer_norm_backward(dy[g], one)
            assert_close(dweight[g], dweight_one)
            assert_close(dbias[g], dbias_one)
            total = total + dx_one
            if x.ndim == 3:
                assert_close(dx[g], dx_one)
        if x.ndim == 2:
            assert_close(dx, total)


@pytest.mark.parametrize(("args", "message"), [
    ((np.ones((4, 6)), 5), r"x must have shape \(\.\.\., 5\), got \(4, 6\)"),
    ((np.ones((4, 6)), (4, 6), np.ones(6)), r"weight must have shape \(4, 6\), got \(6,\)"),
    ((np.ones((4, 6)), 6, np.ones(6), np.ones(1)), r"bias must have shape \(6,\), got \(1,\)"),
    ((np.ones((4, 6)), 6, np.ones((3, 1))), r"weight must have shape \(\.\.\., 6\), got \(3, 1\)"),
    ((np.ones(6), 6, np.ones((3, 6))), r"needs x of shape \(\.\.\., N, n\), got \(6,\)"),
    ((np.ones((2, 4, 6)), 6, np.ones((3, 6))), r"x has \(2,\), weight has \(3,\)"),
    ((np.ones(6), ()), r"x must have shape"),
])  # fmt: skip
def test_layer_norm_says_which_shape_is_wrong(args, message):
    with pytest.raises(ValueError, match=message):
        layers.layer_norm_forward(*args)


@pytest.mark.parametrize("shape", [(7, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("momentum", [0.1, 0.7])
def test_running_statistics_are_torchs(shape, momentum):
    rng = np.random.default_rng(1)
    mean, var = np.zeros(3), np.ones(3)
    torch_mean, torch_var = torch.zeros(3).double(), torch.ones(3).double()
    for _ in range(4):
        x = rng.standard_normal(shape) * 3 + 2
        before = mean.copy(), var.copy()
        _, cache = layers.batch_norm_forward(x, mean, var, training=True, momentum=momentum)
        assert (mean == before[0]).all()
        assert (var == before[1]).all()
        mean, var = cache.running_mean, cache.running_var
        F.batch_norm(torch.tensor(x), torch_mean, torch_var, training=True, momentum=momentum)
        assert_close(mean, torch_mean)
        assert_close(var, torch_var)
    _, cache = layers.batch_norm_forward(x, mean, var)
    assert cache.running_mean is mean
    assert cache.running_var is var


@pytest.mark.parametrize(("args", "options", "message"), [
    ((np.ones(4),), {"training": True}, r"x must have shape \(N, C\)"),
    ((np.ones((1, 4)),), {"training": True}, r"at least two values per channel, x has \(1, 4\)"),
    ((np.ones((3, 4)),), {}, r"needs running_mean and running_var"),
    ((np.ones((3, 4)), np.zeros(4)), {}, r"needs running_mean and running_var"),
    ((np.ones((3, 4)), np.zeros(3), np.ones(4)), {}, r"running_mean must have shape \(4,\)"),
    ((np.ones((3, 4)), None, None, np.ones(1)), {"training": True}, r"weight must have shape"),
])  # fmt: skip
def test_batch_norm_says_what_is_wrong(args, options, message):
    with pytest.raises(ValueError, match=message):
        layers.batch_norm_forward(*args, **options)


# Convolution and pooling ----------------------------------------------------------------------

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    leading=st.lists(st.integers(0, 3), max_size=1),
    image=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=pairs,
    dilation=pairs,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    seed=st.integers(0, 2**32 - 1),
)
@example([3], (1, 7), (1, 1), (1, 1), (1, 1), (0, 0), 1, (1, 1), 0)  # its terms nearly cancel
@settings(max_examples=150, deadline=None)
def test_conv2d_of_any_geometry(
    leading, image, kernel, stride, dilation, padding, groups, channels, seed
):
    for n, k, d, p in zip(image, kernel, dilation, padding, strict=True):
        assume(n + 2 * p >= d * (k - 1) + 1)
    inputs, outputs = groups * channels[0], groups * channels[1]
    case = conv(
        ((*leading, inputs, *image), (outputs, channels[0], *kernel), (outputs,)),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    compare(case, *case.draw(seed), sums=True)


@given(
    leading=st.lists(st.integers(1, 3), max_size=1),
    image=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.none() | pairs,
    dilation=pairs,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    count_include_pad=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_pooling_of_any_geometry(
    leading, image, kernel, stride, dilation, padding, count_include_pad, seed
):
    for n, k, d, p in zip(image, kernel, dilation, padding, strict=True):
        assume(2 * p <= k and n + 2 * p >= d * (k - 1) + 1)
    shape = (*leading, 2, *image)
    case = max_pool(shape, kernel, stride, padding, dilation)
    (x,), dy = case.draw(seed)
    if np.isinf(case.f(x)).any():  # a dilated window may see padding alone
        np.testing.assert_array_equal(case.f(x), case.torch(torch.tensor(x)))
    else:
        compare(case, [x], dy)
    case = avg_pool(shape, kernel, stride, padding, count_include_pad=count_include_pad)
    compare(case, *case.draw(seed))


def test_convolution_and_pooling_on_two_leading_axes():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 3, 4, 6, 6)), rng.standard_normal((5, 4, 3, 3))
    flat = x.reshape(6, 4, 6, 6)
    for function, args, shape in (
        (layers.conv2d_forward, (weight,), (2, 3, 5, 4, 4)),
        (layers.max_pool2d_forward, (2,), (2, 3, 4, 3, 3)),
        (layers.avg_pool2d_forward, (2,), (2, 3, 4, 3, 3)),
    ):
        y, _ = function(x, *args)
        assert y.shape == shape
        assert_close(y, function(flat, *args)[0].reshape(shape))


def test_max_pool_of_ties_takes_the_first_as_torch_does():
    x = np.zeros((1, 1, 4, 4))
    case = max_pool((1, 1, 4, 4), 2, 1)
    compare(case, [x], np.arange(1.0, 10.0).reshape(1, 1, 3, 3))


def test_max_pool_never_picks_padding():
    x = np.full((1, 2, 2), -5.0)
    y, cache = layers.max_pool2d_forward(x, 2, 2, 1)
    assert (y == -5).all()
    assert layers.max_pool2d_backward(np.ones_like(y), cache).sum() == 4


@pytest.mark.parametrize(("shapes", "options", "message"), [
    (((6, 5), (4, 3, 3, 3)), {}, r"x must have shape \(\.\.\., C, H, W\), got \(6, 5\)"),
    (((3, 6, 5), (4, 3, 3)), {}, r"weight must have shape \(O, C/groups, KH, KW\), got"),
    (((3, 6, 5), (4, 2, 3, 3)), {}, r"weight must have shape \(4, 3, 3, 3\), got \(4, 2, 3, 3\)"),
    (((3, 6, 5), (4, 3, 3, 3), (1,)), {}, r"bias must have shape \(4,\), got \(1,\)"),
    (((3, 6, 5), (4, 3, 7, 3)), {}, r"the window \(7, 3\).*larger than the padded image \(6, 5\)"),
    (((3, 6, 5), (4, 3, 3, 3)), {"groups": 2}, r"groups=2 must divide C=3 and O=4"),
    (((3, 6, 5), (4, 3, 3, 3)), {"stride": 0}, r"stride must be at least 1, got 0"),
    (((3, 6, 5), (4, 3, 3, 3)), {"padding": -1}, r"padding must be at least 0, got -1"),
    (((3, 6, 5), (4, 3, 3, 3)), {"stride": (1, 2, 3)}, r"stride must be an int or a pair of ints"),
    (((3, 6, 5), (4, 3, 3, 3)), {"padding": "full"}, r"padding must be numbers, .*got 'full'"),
    (((3, 6, 5), (4, 3, 3, 3)), {"padding": "same", "stride": 2}, r"needs stride 1, got \(2, 2\)"),
    (((3, 6, 5), (4, 3, 0, 3)), {}, r"a kernel of at least one pixel"),
])  # fmt: skip
def test_conv2d_says_what_is_wrong(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        layers.conv2d_forward(*(np.ones(shape) for shape in shapes), **options)


@pytest.mark.parametrize("pool", [layers.max_pool2d_forward, layers.avg_pool2d_forward])
def test_pooling_says_what_is_wrong(pool):
    with pytest.raises(ValueError, match=r"at most half of kernel_size \(2, 2\), got 2"):
        pool(np.ones((1, 4, 4)), 2, 2, 2)
    with pytest.raises(ValueError, match=r"the window \(5, 5\)"):
        pool(np.ones((1, 4, 4)), 5)
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., C, H, W\)"):
        pool(np.ones((4, 4)), 2)


# Embedding and dropout ------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    rows=st.integers(1, 5),
    features=st.integers(1, 4),
    padding=st.none() | st.integers(-5, 4),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_embedding_is_torchs(shape, rows, features, padding, seed):
    assume(padding is None or -rows <= padding < rows)
    input = np.random.default_rng(seed).integers(0, rows, shape)
    case = Case(
        lambda w: layers.embedding_forward(input, w, padding),
        layers.embedding_backward,
        lambda w: F.embedding(torch.tensor(input), w, padding),
        ((rows, features),),
    )
    compare(case, *case.draw(seed))


@pytest.mark.parametrize(("args", "error", "message"), [
    ((np.array([0.0]), np.ones((3, 2))), TypeError, "input must hold integers.*float64"),
    ((np.array([3]), np.ones((3, 2))), IndexError, r"0\.\.2, got values in 3\.\.3"),
    ((np.array([-1, 1]), np.ones((3, 2))), IndexError, r"0\.\.2, got values in -1\.\.1"),
    ((np.array([0]), np.ones(3)), ValueError, r"weight must have shape \(V, D\), got \(3,\)"),
    ((np.array([0]), np.ones((3, 2)), 3), ValueError, r"padding_idx must be a row"),
])  # fmt: skip
def test_embedding_says_what_is_wrong(args, error, message):
    with pytest.raises(error, match=message):
        layers.embedding_forward(*args)


@given(
    shape=st.lists(st.integers(0, 5), max_size=3),
    p=st.floats(0, 1),
    dtype=st.sampled_from([np.float64, np.float32, np.complex128]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_dropout_zeroes_or_scales(shape, p, dtype, seed):
    rng = np.random.default_rng(seed)
    x = (rng.random(shape) + 1).astype(dtype)
    y, cache = layers.dropout_forward(x, p, rng=rng)
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    kept = y != 0
    if p < 1:
        np.testing.assert_allclose(y[kept], x[kept] / (1 - p), rtol=1e-6)
    else:
        assert not kept.any()
    np.testing.assert_array_equal(layers.dropout_backward(x, cache), y)


def test_dropout_keeps_the_expectation_and_the_rate():
    x = np.ones(200_000)
    y, _ = layers.dropout_forward(x, 0.3, rng=np.random.default_rng(0))
    deviation = np.sqrt(0.3 / 0.7 / x.size)
    assert abs(y.mean() - 1) < 5 * deviation
    assert abs((y == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / x.size)


def test_dropout_out_of_training_is_the_identity():
    x = np.random.default_rng(0).random(5)
    y, cache = layers.dropout_forward(x, 0.9, training=False)
    assert (y == x).all()
    assert (layers.dropout_backward(x, cache) == x).all()


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"p": 1.5}, ValueError, r"p must be a probability in \[0, 1\], got 1.5"),
    ({}, ValueError, r"rng= .* or mask="),
    ({"mask": np.ones(3)}, TypeError, "mask must hold booleans.*float64"),
    ({"mask": np.ones(1, dtype=bool)}, ValueError, r"mask must have shape \(3,\), got \(1,\)"),
])  # fmt: skip
def test_dropout_says_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        layers.dropout_forward(np.ones(3), **options)


@pytest.mark.parametrize("grid", [(), (3,)], ids=["one network", "grid"])
@pytest.mark.parametrize("rows", [(5,), (2, 5)], ids=["rows", "batch of rows"])
@pytest.mark.parametrize(
    "dtypes",
    [("f8", "c16"), ("c16", "f8"), ("f4", "c8"), ("f4", "c16"), ("f8", "c8"), ("c8", "f8")],
    ids="-".join,
)
def test_linear_of_a_real_and_a_complex_factor_is_that_of_two_complex_ones(dtypes, rows, grid):
    rng = np.random.default_rng(0)

    def draw(shape, dtype):
        values = rng.standard_normal(shape)
        return (values + 1j * rng.standard_normal(shape) if dtype[0] == "c" else values).astype(
            dtype
        )

    lead = (2, 3) if grid and len(rows) == 2 else grid
    rows = rows[-1:] if grid else rows
    x, weight = draw((*rows, 4), dtypes[0]), draw((*lead, 6, 4), dtypes[1])
    y, cache = layers.linear_forward(x, weight)
    dy = draw(y.shape, "c16")
    wide = layers.linear_forward(x.astype("c16"), weight.astype("c16"))
    tolerance = 1e-14 if "4" not in "".join(dtypes) and "c8" not in dtypes else 1e-5
    assert y.dtype == np.result_type(*dtypes)
    np.testing.assert_allclose(y, wide[0], rtol=0, atol=tolerance * np.abs(y).max())
    for dtype in ("c16", "f8"):
        dy = draw(y.shape, dtype)
        got, want = layers.linear_backward(dy, cache), layers.linear_backward(dy, wide[1])
        for one, other in zip(got[:2], want[:2], strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.abs(other).max())
