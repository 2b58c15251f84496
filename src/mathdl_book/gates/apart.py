"""Gate on the cells that no browser runs: what they change, a cell that it runs must not use."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator
from typing import Protocol

APART = {"torch", "scipy"}
DRAWS = (
    "draws from {name}, as cell {later} does, which a browser runs without this one: draw in a "
    "cell above, or from a generator of its own"
)
BINDS = (
    "binds {name}, which cell {later} uses, and a browser runs that one without this one: take "
    "another name, or bind it again"
)


class Cell(Protocol):
    """What is needed of a code cell: its number on the page, its tags, its code."""

    number: int
    source: str

    @property
    def tags(self) -> set[str]:
        """The cell's tags."""


def shared_state(cells: Iterable[Cell]) -> Iterator[tuple[Cell, str]]:
    """Yield the cells that need torch or SciPy and change what a cell for the browser uses.

    The browser leaves such a cell out and has another value there, or none: of a name that the
    cell binds, or of the numbers that a generator gives after it.

    Parameters
    ----------
    cells : iterable of Cell
        A page's code cells in order.

    Yields
    ------
    cell, message
        Each such cell and use, the first of each name.
    """
    drawing: set[str] = set()  # generators, and functions that draw from one
    changed: dict[str, tuple[Cell, str]] = {}
    for cell in cells:
        try:
            statements = ast.parse(cell.source).body
        except SyntaxError:
            continue  # another gate says so
        for statement in statements:
            used, bound = names(statement)
            if APART & cell.tags:
                changed |= dict.fromkeys(used & drawing, (cell, DRAWS))
                changed |= dict.fromkeys(bound, (cell, BINDS))
            else:
                for name in sorted(used & changed.keys()):
                    earlier, told = changed.pop(name)
                    yield earlier, told.format(name=name, later=cell.number)
                for name in bound:
                    changed.pop(name, None)
            drawing = drawing - bound | (bound if draws_later(statement, drawing) else set())


def names(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Return the names that a statement uses, functions in it included, and those that it binds.

    Examples
    --------
    >>> [sorted(found) for found in names(ast.parse("y = [x * k for x in range(n)]").body[0])]
    [['k', 'n', 'range'], ['y']]
    >>> [sorted(found) for found in names(ast.parse("for x in y: print(x)").body[0])]
    [['print', 'y'], ['x']]
    """
    table = symtable.symtable(ast.unparse(statement), "cell", "exec")
    symbols = table.get_symbols()
    bound = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for s in symbols if s.is_referenced()} | set(_globals(table))
    if isinstance(statement, ast.AugAssign):
        return used | bound, bound
    # A loop's variable, unlike what stands on both sides of an assignment, is bound before use.
    return (used if isinstance(statement, ast.Assign) else used - bound), bound


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    """Yield the names of the page that functions and classes within a table use."""
    for inner in table.get_children():
        yield from (s.get_name() for s in inner.get_symbols() if s.is_global())
        yield from _globals(inner)


def draws_later(statement: ast.stmt, drawing: set[str]) -> bool:
    """Return whether what a statement binds is a generator, or a function that draws from one."""
    match statement:
        case ast.FunctionDef() | ast.Assign(value=ast.Lambda()):
            inside = symtable.symtable(ast.unparse(statement), "cell", "exec")
            return bool(drawing.intersection(_globals(inside)))
        case ast.Assign(value=ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name))):
            return name == "default_rng"
    return False
