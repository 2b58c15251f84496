"""NumPy's operators and functions for classes that stand in for arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np


def getitem(x: Any, index: Any) -> Any:
    """Return ``x[index]``: indexing as a function, so that it can have a rule like the others."""
    return x[index]


class Operators:
    """Hands every NumPy operation to the class's own ``_run(operation, *args, **kwargs)``.

    A class that inherits has an attribute ``value``, the array it stands for.
    """

    __slots__ = ()

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: self._run(np.transpose, self))

    def __len__(self) -> int:
        return len(self.value)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented if method != "__call__" or kwargs else self._run(ufunc, *args)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.concatenate, np.stack):  # their arguments come as one sequence
            axis = kwargs.pop("axis", args[1] if len(args) > 1 else 0)
            return self._run(function, *args[0], axis=axis, **kwargs)
        return self._run(function, *args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        return self._run(getitem, self, index)

    def __bool__(self) -> bool:
        raise TypeError("a branch on a traced value is not differentiable: use np.where, or .value")

    def reshape(self, *shape: Any) -> Any:
        return self._run(np.reshape, self, shape[0] if len(shape) == 1 else shape)


def _method(op: Any, swapped: bool = False) -> Callable:
    if swapped:
        return lambda self, other: self._run(op, other, self)
    return lambda self, *args, **kwargs: self._run(op, self, *args, **kwargs)


for _name, _op in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
    "matmul": np.matmul,
}.items():
    setattr(Operators, f"__{_name}__", _method(_op))
    setattr(Operators, f"__r{_name}__", _method(_op, swapped=True))
for _name, _op in {
    "__neg__": np.negative,
    "__abs__": np.absolute,
    "__gt__": np.greater,
    "__ge__": np.greater_equal,
    "__lt__": np.less,
    "__le__": np.less_equal,
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "swapaxes": np.swapaxes,
    "ravel": np.ravel,
}.items():
    setattr(Operators, _name, _method(_op))


class Parents(list):
    """A list of nodes that frees what it holds after what holds it, not within.

    Python does so itself for a long chain of objects, where it can see the end of its stack. In a
    browser it cannot, and a chain of some thousand nodes would end it.
    """

    _waiting: ClassVar[list] = []

    def __del__(self) -> None:
        waiting = self._waiting
        if waiting:  # within another
            waiting.append(self[:])
            return
        waiting.append([])
        self.clear()
        while len(waiting) > 1:
            waiting.pop().clear()
        waiting.clear()
