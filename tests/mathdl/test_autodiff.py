"""`mathdl.autodiff` against torch autograd on a corpus of expressions, forward and backward."""

import ast
import inspect
import itertools
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mathdl import activations, autodiff, layers, losses
from mathdl.autodiff import Dual, Node
from mathdl.checks import check_gradient

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3))
W = RNG.standard_normal((5, 3))
V = RNG.standard_normal(3)
P = RNG.uniform(0.5, 2, (4, 3))
T = RNG.standard_normal((2, 4, 3))

# name: (function, the same in torch or None where the spelling serves both, point)
CORPUS = {
    "sum of squares": (lambda x: (x * x).sum(), None, X),
    "a tie in addition": (lambda x: (x + x).sum(), None, X),
    "broadcast row": (
        lambda x: ((x - V) / (1 + x**2)).sum(),
        lambda x: ((x - tensor(V)) / (1 + x**2)).sum(),
        X,
    ),
    "broadcast column": (
        lambda x: (x * np.ones((4, 5))).sum(),
        lambda x: (x * torch.ones(4, 5)).sum(),
        X[:, :1],
    ),
    "power": (lambda x: (x**3 + x**0.5 + 2.0**x).sum(), None, P),
    "power of arrays": (lambda x: (x**x).sum(), None, P),
    "integer power at zero": (lambda x: (x**2 + x**1).sum(), None, np.zeros(3)),
    "reflected operators": (lambda x: (1 / x - (2 - x)).sum(), None, P),
    "exp log": (
        lambda x: np.log(np.exp(x) + 1).sum(),
        lambda x: torch.log(torch.exp(x) + 1).sum(),
        X,
    ),
    "log1p expm1": (
        lambda x: (np.log1p(x) * np.expm1(x)).sum(),
        lambda x: (torch.log1p(x) * torch.expm1(x)).sum(),
        P,
    ),
    "trigonometry": (
        lambda x: (np.sin(x) * np.cos(x)).sum(),
        lambda x: (torch.sin(x) * torch.cos(x)).sum(),
        X,
    ),
    "tanh": (lambda x: np.tanh(x).sum(), lambda x: torch.tanh(x).sum(), X),
    "square reciprocal sqrt": (
        lambda x: (np.square(x) + np.reciprocal(x) + np.sqrt(x)).sum(),
        lambda x: (torch.square(x) + torch.reciprocal(x) + torch.sqrt(x)).sum(),
        P,
    ),
    "absolute": (lambda x: abs(x).sum(), None, np.array([-2.0, 0.0, 3.0])),
    "maximum with a tie": (
        lambda x: np.maximum(x, 1.0).sum(),
        lambda x: torch.maximum(x, torch.ones(3)).sum(),
        np.array([0.5, 1.0, 2.0]),
    ),
    "minimum of two": (
        lambda x: np.minimum(x, x**2).sum(),
        lambda x: torch.minimum(x, x**2).sum(),
        P,
    ),
    "where": (
        lambda x: np.where(x > 0, x**2, -x).sum(),
        lambda x: torch.where(x > 0, x**2, -x).sum(),
        X,
    ),
    "mean over an axis": (
        lambda x: (x.mean(axis=0) ** 2).sum(),
        lambda x: (x.mean(dim=0) ** 2).sum(),
        X,
    ),
    "mean of all": (lambda x: (x**2).mean(), None, X),
    "sum keepdims": (
        lambda x: (x / x.sum(axis=-1, keepdims=True)).mean(),
        lambda x: (x / x.sum(dim=-1, keepdim=True)).mean(),
        P,
    ),
    "sum over two axes": (
        lambda x: (x.sum(axis=(0, 2)) ** 3).sum(),
        lambda x: (x.sum(dim=(0, 2)) ** 3).sum(),
        T,
    ),
    "max with ties": (
        lambda x: (x.max(axis=1) ** 2).sum(),
        lambda x: (x.amax(dim=1) ** 2).sum(),
        np.array([[1.0, 2.0, 2.0], [3.0, 0.0, 1.0]]),
    ),
    "logsumexp": (
        lambda x: np.log(np.sum(np.exp(x - np.max(x, axis=1, keepdims=True)), axis=1)).sum(),
        lambda x: torch.log(torch.sum(torch.exp(x - x.amax(dim=1, keepdim=True)), dim=1)).sum(),
        X,
    ),
    "matmul": (lambda x: np.tanh(x @ W.T).sum(), lambda x: torch.tanh(x @ tensor(W).T).sum(), X),
    "matmul from the right": (lambda x: (W @ x.T).sum(), lambda x: (tensor(W) @ x.T).sum(), X),
    "matrix vector": (lambda x: np.sin(W @ x).sum(), lambda x: torch.sin(tensor(W) @ x).sum(), V),
    "vector matrix": (
        lambda x: np.sin(x @ W.T).sum(),
        lambda x: torch.sin(x @ tensor(W).T).sum(),
        V,
    ),
    "inner product": (lambda x: x @ x, None, V),
    "batched matmul": (
        lambda x: (x @ x.swapaxes(-1, -2)).mean(),
        lambda x: (x @ x.transpose(-1, -2)).mean(),
        T,
    ),
    "batch times matrix": (lambda x: (T @ x.T).mean(), lambda x: (tensor(T) @ x.T).mean(), W),
    "batch times vector": (
        lambda x: np.sin(T @ x).sum(),
        lambda x: torch.sin(tensor(T) @ x).sum(),
        V,
    ),
    "vector times batch": (
        lambda x: np.sin(x @ T).sum(),
        lambda x: torch.sin(x @ tensor(T)).sum(),
        RNG.standard_normal(4),
    ),
    "reshape and ravel": (
        lambda x: (x.reshape(3, 4) ** 2 @ np.ones(4)).sum() + x.ravel()[5],
        lambda x: (x.reshape(3, 4) ** 2).sum() + x.ravel()[5],
        X,
    ),
    "transpose axes": (
        lambda x: (np.transpose(x, (2, 0, 1)) * np.arange(4.0)).sum(),
        lambda x: (x.permute(2, 0, 1) * torch.arange(4.0)).sum(),
        T,
    ),
    "slice": (lambda x: (x[1:, ::2] ** 2).sum(), None, X),
    "repeated index": (
        lambda x: (x[np.array([0, 0, 2])] ** 2).sum(),
        lambda x: (x[torch.tensor([0, 0, 2])] ** 2).sum(),
        X,
    ),
    "pairs of indices": (lambda x: (x[[0, 1, 1], [2, 0, 0]] ** 2).sum(), None, X),
    "mask": (
        lambda x: (x[np.array([True, False, True])] ** 2).sum(),
        lambda x: (x[torch.tensor([True, False, True])] ** 2).sum(),
        V,
    ),
    "concatenate": (
        lambda x: (np.concatenate([x, x**2, X], axis=1) ** 2).sum(),
        lambda x: (torch.cat([x, x**2, tensor(X)], dim=1) ** 2).sum(),
        X,
    ),
    "stack": (
        lambda x: (np.stack([x, V, x**2], axis=1) ** 2).sum(),
        lambda x: (torch.stack([x, tensor(V), x**2], dim=1) ** 2).sum(),
        V,
    ),
    "expand squeeze broadcast": (
        lambda x: (
            np.broadcast_to(np.expand_dims(x, 0), (2, 3)) * np.squeeze(np.expand_dims(x, 1), 1)
        ).sum(),
        lambda x: (x[None].expand(2, 3) * x).sum(),
        V,
    ),
    "einsum attention": (
        lambda x: np.einsum("bik,bjk->bij", x, np.sin(x)).mean(),
        lambda x: torch.einsum("bik,bjk->bij", x, torch.sin(x)).mean(),
        T,
    ),
    "einsum with a lonely axis": (
        lambda x: np.einsum("ij,k->k", x, V).sum(),
        lambda x: torch.einsum("ij,k->k", x, tensor(V)).sum(),
        X,
    ),
    "a diamond": (
        lambda x: ((x**2) * np.exp(x**2)).sum(),
        lambda x: ((x**2) * torch.exp(x**2)).sum(),
        V,
    ),
}


def tensor(array):
    return torch.tensor(array)


@pytest.mark.parametrize("name", CORPUS)
def test_gradient_tangent_and_curvature_are_autograds(name):
    ours, theirs, x = CORPUS[name]
    theirs = theirs or ours
    t = torch.tensor(x, requires_grad=True)
    value = theirs(t)
    (expected,) = torch.autograd.grad(value, t)
    got_value, got = autodiff.value_and_grad(ours)(x)
    scale = max(1.0, float(expected.abs().max()))
    assert got_value == pytest.approx(value.item(), rel=1e-13)
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-13 * scale, rtol=0)
    v = RNG.standard_normal(x.shape)
    _, tangent = autodiff.jvp(ours, x, v)
    assert tangent == pytest.approx(np.sum(expected.numpy() * v), abs=1e-12 * scale)


SMOOTH = [
    name
    for name in CORPUS
    if not any(
        word in name for word in ("tie", "absolute", "maximum", "minimum", "max", "integer power")
    )
]


@pytest.mark.parametrize("name", SMOOTH)
def test_hessian_vector_products_are_autograds(name):
    ours, theirs, x = CORPUS[name]
    v = np.random.default_rng(1).standard_normal(x.shape)
    _, expected = torch.autograd.functional.hvp(theirs or ours, torch.tensor(x), torch.tensor(v))
    scale = max(1.0, float(expected.abs().max()))
    np.testing.assert_allclose(
        autodiff.hvp(ours, x, v), expected.numpy(), atol=1e-12 * scale, rtol=0
    )


def vector_valued(x):
    return np.tanh(W @ x) * np.sum(x)


def test_jacobian_both_ways_and_products_agree():
    expected = torch.autograd.functional.jacobian(
        lambda x: torch.tanh(tensor(W) @ x) * torch.sum(x), torch.tensor(V)
    ).numpy()
    for mode in (None, "reverse", "forward"):
        np.testing.assert_allclose(autodiff.jacobian(vector_valued, V, mode), expected, atol=1e-13)
    u, v = np.arange(5.0), np.arange(3.0)
    _, pull_back = autodiff.vjp(vector_valued, V)
    _, tangent = autodiff.jvp(vector_valued, V, v)
    assert u @ tangent == pytest.approx(pull_back(u) @ v, rel=1e-13)


def test_hessian_is_autograds_for_any_shape():
    def f(x):
        return (x @ x.T).sum() ** 2

    expected = torch.autograd.functional.hessian(f, torch.tensor(X)).numpy()
    np.testing.assert_allclose(autodiff.hessian(f, X), expected, rtol=1e-12, atol=1e-11)


def test_structures_keep_their_structure_and_unused_parts_get_zero():
    point = {"w": W, "rest": (V, np.ones(2))}
    value, gradient = autodiff.value_and_grad(lambda p, x: (p["w"] @ p["rest"][0] * x).sum())(
        point, 2.0
    )
    assert value == pytest.approx(2 * (W @ V).sum())
    np.testing.assert_allclose(gradient["w"], np.tile(2 * V, (5, 1)))
    np.testing.assert_allclose(gradient["rest"][0], 2 * W.sum(axis=0))
    np.testing.assert_array_equal(gradient["rest"][1], np.zeros(2))


def test_gradients_do_not_share_memory():
    gradient = autodiff.grad(lambda p: (p["a"] + p["b"]).sum())({"a": V, "b": V.copy()})
    gradient["a"] += 1
    np.testing.assert_array_equal(gradient["b"], np.ones(3))


def test_backward_twice_adds_exactly_twice():
    x = Node(V)
    y = np.sum(np.sin(x) * x)
    y.backward()
    once = x.grad.copy()
    y.backward()
    np.testing.assert_array_equal(x.grad, 2 * once)


def test_a_chain_a_hundred_thousand_deep_works():
    x = Node(np.array(1.0))
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    y.backward()
    assert x.grad == pytest.approx(1.00001**100_000, rel=1e-9)
    del y


def test_a_deep_graph_is_freed_whole_and_at_once():
    x = Node(np.array(1.0))
    held = sys.getrefcount(x)
    left = right = x
    for _ in range(1000):
        left, right = np.tanh(left * right), 0.5 * right + x
    assert sys.getrefcount(x) > held + 900
    del left, right
    assert sys.getrefcount(x) == held


def test_a_graph_with_many_paths_is_visited_once_per_node():
    x = Node(np.array(1.0))
    y = x
    for _ in range(200):  # 2**200 paths
        y = (y + y) * 0.5
    y.backward()
    assert x.grad == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_the_dtype_is_kept(dtype):
    x = X.astype(dtype)
    gradient = autodiff.grad(lambda x: (np.tanh(x) * x).mean() + x[0].sum())(x)
    assert gradient.dtype == dtype
    for power in (lambda x: x**3, lambda x: 2.0**x, lambda x: (x * x) ** 0.5, lambda x: x**0):
        y, pull_back = autodiff.vjp(power, x)
        assert y.dtype == pull_back(y).dtype == dtype
    # Where the function itself widens the numbers, the gradient is narrowed again.
    wide = autodiff.grad(lambda x: np.sum(x * np.float64(2)))(x.real)
    assert wide.dtype == x.real.dtype


def test_relu_takes_torchs_side_of_the_kink_through_its_own_vjp():
    relu = autodiff.primitive(activations.relu, lambda g, y, x: activations.relu_vjp(x, g))
    x = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(autodiff.grad(lambda x: relu(x).sum())(x), [0, 0, 1])
    np.testing.assert_array_equal(relu(x), activations.relu(x))


@given(
    shape=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    other=st.lists(st.integers(1, 3), max_size=3).map(tuple),
)
@settings(max_examples=100, deadline=None)
def test_broadcasting_has_its_adjoint(shape, other):
    try:
        np.broadcast_shapes(shape, other)
    except ValueError:
        return
    a, b = RNG.standard_normal(shape), RNG.standard_normal(other)
    ga, gb = autodiff.grad(lambda p: (p[0] * p[1]).sum())((a, b))
    ta, tb = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    ea, eb = torch.autograd.grad((ta * tb).sum(), (ta, tb))
    np.testing.assert_allclose(ga, ea.numpy(), atol=1e-13)
    np.testing.assert_allclose(gb, eb.numpy(), atol=1e-13)


def test_a_wrong_rule_is_caught(monkeypatch):
    from mathdl.checks import CheckFailed, check_gradient

    def f(x):
        return np.sum(np.sin(x) * x)

    point = np.array([0.3, 1.2, -0.7])
    assert check_gradient(f, autodiff.grad(f), point).passed
    monkeypatch.setitem(autodiff.VJP, np.sin, (lambda g, y, x: -g * np.cos(x),))
    with pytest.raises(CheckFailed):
        check_gradient(f, autodiff.grad(f), point)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Node([1, 2]), TypeError, "int(32|64)"),
        (lambda: autodiff.grad(lambda x: x * 2)(V), ValueError, r"shape \(3,\)"),
        (lambda: Node(V).backward(), ValueError, "cotangent"),
        (lambda: Node(V).backward(np.ones((3, 1))), ValueError, r"\(3, 1\)"),
        (lambda: autodiff.grad(lambda x: np.arctan(x).sum())(V), NotImplementedError, "arctan"),
        (lambda: bool(Node(V)), TypeError, "np.where"),
        (lambda: autodiff.jacobian(vector_valued, V, "sideways"), ValueError, "sideways"),
        (lambda: Dual(V, np.ones((3, 1))), ValueError, "tangent"),
        (
            lambda: autodiff.grad(lambda x: np.einsum("ii->i", x).sum())(np.eye(3)),
            NotImplementedError,
            "diagonal",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_engine_stays_a_program_one_can_read():
    source = inspect.getsource(autodiff).split("# --- functions of functions")[0]
    tree = ast.parse(source)
    strings = [
        range(node.lineno, node.end_lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    prose = set(itertools.chain.from_iterable(strings))
    code = [
        line
        for number, line in enumerate(source.splitlines(), 1)
        if number not in prose and line.strip() and not line.strip().startswith("#")
    ]
    assert len(code) <= 200


def test_linear_and_cross_entropy_are_those_of_the_layers_and_losses():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((7, 4)), rng.integers(0, 3, 7)
    params = {"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(3)}

    def loss(p):
        return autodiff.softmax_cross_entropy(autodiff.linear(x, p["w"], p["b"]), labels)

    y, cache = layers.linear_forward(x, params["w"], params["b"])
    assert loss(params) == pytest.approx(losses.cross_entropy(y, labels), rel=1e-15)
    _, dw, db = layers.linear_backward(losses.cross_entropy_vjp(y, labels), cache)
    gradient = autodiff.grad(loss)(params)
    np.testing.assert_allclose(gradient["w"], dw, rtol=0, atol=1e-15)
    np.testing.assert_allclose(gradient["b"], db, rtol=0, atol=1e-15)
    check_gradient(loss, autodiff.grad(loss), params)
    by_input = autodiff.grad(lambda x: autodiff.linear(x, *params.values()).sum())(x[0])
    np.testing.assert_allclose(by_input, params["w"].sum(axis=0), rtol=1e-14)


def test_a_layer_takes_part_in_graphs_with_all_its_arguments():
    rng = np.random.default_rng(1)
    point = {"x": rng.standard_normal((5, 3)), "w": rng.standard_normal(3), "b": np.ones(3)}
    normalize = autodiff.layer(layers.layer_norm_forward, layers.layer_norm_backward)
    weights = rng.standard_normal((5, 3))

    def f(p):
        return np.sum(weights * np.tanh(normalize(p["x"], 3, p["w"], p["b"])))

    check_gradient(f, autodiff.grad(f), point)
    node = autodiff.Node(point["x"])
    y = np.sum(normalize(node, 3) * weights)
    y.backward()
    once = node.grad.copy()
    y.backward()  # the cache serves a second pass
    np.testing.assert_array_equal(node.grad, 2 * once)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_without_a_class_are_refused(labels):
    with pytest.raises(IndexError, match=r"labels must lie in 0\.\.2"):
        autodiff.softmax_cross_entropy(np.ones((2, 3)), np.array(labels))


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\), got \(3,\)"):
        autodiff.softmax_cross_entropy(np.ones((2, 3)), np.array([0, 1, 2]))
