"""svd-rank against LAPACK and `mathdl.linalg`."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl.linalg import low_rank_errors, rank_for_error, truncated_svd

NAME = "svd-rank"
MATRICES = ["picture", "weights", "planted", "level", "slanted"]


@pytest.mark.parametrize("name", MATRICES)
def test_the_decomposition_is_lapacks(call, node, name: str) -> None:
    matrix = np.array(call(NAME, "matrix", name), float)
    assert matrix.shape == (64, 64) and np.abs(matrix).max() > 0
    found = call(NAME, "svd", matrix.tolist())
    u, s, v = (np.array(found[key], float) for key in "usv")
    np.testing.assert_allclose(s, np.linalg.svd(matrix, compute_uv=False), atol=1e-9 * s[0])
    np.testing.assert_allclose((u.T * s) @ v, matrix, atol=1e-9 * s[0])
    held = s > 1e-9 * s[0]
    np.testing.assert_allclose(u[held] @ u[held].T, np.eye(held.sum()), atol=1e-9)
    np.testing.assert_allclose(v @ v.T, np.eye(64), atol=1e-9)


@pytest.mark.parametrize("name", ["picture", "planted"])
def test_truncation_and_errors_are_those_of_the_library(call, node, name: str) -> None:
    matrix = np.array(call(NAME, "matrix", name), float)
    s = call(NAME, "svd", matrix.tolist())["s"]
    scale = np.linalg.norm(matrix)
    exact = low_rank_errors(np.array(s))
    exact = np.asarray(exact) / exact[0]
    np.testing.assert_allclose(call(NAME, "errors", s), exact, atol=1e-9)
    body = """
        const all = m.svd(m.matrix(given[0]));
        const from = given[2] && { sum: m.truncate(all, given[2]), rank: given[2] };
        return m.truncate(all, given[1], from || undefined);
    """
    for rank, start in ((1, 0), (4, 0), (17, 0), (64, 0), (17, 9), (4, 9), (9, 9)):
        u, kept, vt = truncated_svd(matrix, rank)
        mine = np.array(node(NAME, body, name, rank, start), float).reshape(64, 64)
        np.testing.assert_allclose(mine, (u * kept) @ vt, atol=1e-9 * scale)
        lost = np.linalg.norm(matrix - mine) / scale
        assert lost == pytest.approx(call(NAME, "errors", s)[rank], abs=1e-9)
    for error in (0.5, 0.1, 0.01):
        assert call(NAME, "rankFor", s, error) == rank_for_error(matrix, error)


def test_the_random_numbers_look_normal(node) -> None:
    body = "const g = m.normals(7); return Array.from({ length: 20000 }, () => g.next().value);"
    z = np.array(node(NAME, body))
    error = 5 / np.sqrt(len(z))
    assert abs(z.mean()) < error and abs(z.var() - 1) < np.sqrt(2) * error
    assert abs(np.mean(z[1:] * z[:-1])) < error


def test_what_the_page_says_of_the_five_is_so(call) -> None:
    values = {name: call(NAME, "svd", call(NAME, "matrix", name))["s"] for name in MATRICES}
    ranks = {name: call(NAME, "rankFor", s, 0.1) for name, s in values.items()}
    assert ranks["level"] == 1 < ranks["slanted"] and ranks["weights"] > 32 > ranks["picture"]
    errors = call(NAME, "errors", values["planted"])
    assert errors[3] > 1.5 * errors[4] and errors[4] < 1.1 * errors[6]
