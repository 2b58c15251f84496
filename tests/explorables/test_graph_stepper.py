"""graph-stepper against `mathdl.autodiff`."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl.autodiff import Node

NAME = "graph-stepper"
PROGRAMS = {
    "product": lambda a, b: a * b * (a * b + a),
    "neuron": lambda a, b: (np.tanh(a * b) - b) * (np.tanh(a * b) - b),
    "powers": lambda a, b: a * a * (a * a) + a * a * b,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_last_moment_is_the_gradient_of_the_engine(call, program: str) -> None:
    last = call(NAME, "length", program)
    for x in np.random.default_rng(0).uniform(-3, 3, size=(12, 2)):
        a, b = Node(np.array(x[0]), "a"), Node(np.array(x[1]), "b")
        y = PROGRAMS[program](a, b)
        y.backward()
        now = call(NAME, "moment", program, x.tolist(), last)
        assert now["values"][-1] == pytest.approx(float(y.value), abs=1e-9, rel=1e-9)
        for k, leaf in enumerate((a, b)):
            assert sum(now["adjoints"][k]) == pytest.approx(float(leaf.grad), abs=1e-9, rel=1e-9)
        assert not any(now["waits"])


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_passed_on_before_it_is_whole(call, program: str) -> None:
    last = call(NAME, "length", program)
    operations = (last - 1) // 2
    before = None
    for step in range(last + 1):
        now = call(NAME, "moment", program, [1.5, -0.7], step)
        known = sum(value is not None for value in now["values"])
        assert known == 2 + min(step, operations)
        if step <= operations:
            assert not any(now["adjoints"])
        if now["phase"] == "reverse":
            # The node that gives has had all its shares one moment earlier.
            assert not before["waits"][now["at"]]
        before = now


def test_the_moments_of_the_page(call) -> None:
    now = call(NAME, "moment", "product", [2.0, 3.0], 5)
    assert now["values"] == [2, 3, 6, 8, 48]
    assert now["adjoints"] == [[], [], [8], [6], [1]] and now["waits"][2]
    now = call(NAME, "moment", "product", [2.0, 3.0], 7)
    assert now["adjoints"] == [[6, 42], [28], [8, 6], [6], [1]]
