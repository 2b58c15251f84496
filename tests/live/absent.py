"""pytest plugin for the browser's Python: a test that uses what no browser has is skipped.

Modules that are absent have stand-ins, which may be imported and named but not called by a test.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import subprocess
import sys
import threading
import types
from collections import Counter
from collections.abc import Iterator

import pytest

ABSENT = {"torch", "scipy", "sklearn", "onnx", "pytorch_optimizer", "nbclient", "nbformat"}
# Steps of an optimizer that are too many for a browser, where fewer are tried as well.
TOO_MANY = 1000
testing = False


class Absent(types.ModuleType):
    """Stands for a module, and for all that is in it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Absent:
        if name == "__version__":
            return self()
        if name.startswith("__"):
            raise AttributeError(name)
        made = Absent(f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made

    def __call__(self, *_: object, **__: object) -> Absent:
        if testing:
            pytest.skip(f"needs {self.__name__.partition('.')[0]}")
        return Absent(self.__name__)

    def __or__(self, _: object) -> Absent:
        return self

    def __iter__(self) -> Iterator[object]:
        self()
        return iter(())

    def __len__(self) -> int:
        self()
        return 0

    def __hash__(self) -> int:
        self()
        return id(self)

    def __bool__(self) -> bool:
        return True

    def __instancecheck__(self, _: object) -> bool:
        return False

    def __mro_entries__(self, _: object) -> tuple[type, ...]:
        return ()


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what is absent."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in ABSENT | {"IPython"}:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Absent:
        return Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


def lacking(what: str):
    """Return what is called in place of what a browser does not do."""

    def skip(*_: object, **__: object) -> None:
        pytest.skip(f"needs {what}")

    return skip


def pytest_configure() -> None:
    sys.meta_path.insert(0, Finder())
    sys.modules["IPython"].__path__ = []  # the live cells' own, which is no package
    subprocess.run = subprocess.Popen = lacking("processes")
    threading.Thread.start = lacking("threads")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if getattr(item, "callspec", None) and item.callspec.params.get("steps", 0) == TOO_MANY:
            item.add_marker(pytest.mark.skip(reason=f"{TOO_MANY} steps; fewer are tried, too"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    global testing
    testing = True
    yield
    testing = False


def pytest_terminal_summary(terminalreporter) -> None:
    stats = terminalreporter.stats
    counts = {kind: len(found) for kind, found in stats.items() if kind}
    reasons = Counter(r.longrepr[2].removeprefix("Skipped: ") for r in stats.get("skipped", []))
    terminalreporter.write_line(f"COUNTS {json.dumps([counts, dict(reasons.most_common())])}")
