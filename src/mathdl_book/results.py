"""Executed pages kept between builds, and reused only if nothing they depended on has changed.

Each page has an executed notebook and a sidecar below ``_build/execution``. The sidecar says what
the result depended on: the cells and the environment (one digest, the key) and every file that
the kernel had read, with its bytes' digest. A page that failed is never reused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from .running import Run

SCHEMA = 1  # raise it when a result of the same sources may become another
FOLDER = "execution"
# The tags that change what running a cell does; the others are for drawing it.
RUNNING_TAGS = {"raises-exception", "skip-execution"}
PACKAGES = ("ipykernel", "ipython", "matplotlib", "numpy", "scikit-learn", "scipy", "torch")


@dataclass(frozen=True)
class Result:
    """A page as it was executed.

    Parameters
    ----------
    notebook : NotebookNode
        Its cells with their outputs.
    digest : str
        Of the notebook; changes when an output does.
    duration : float
        Seconds that the page took.
    peak_bytes : int
        Largest resident memory of its kernel.
    """

    notebook: NotebookNode
    digest: str
    duration: float
    peak_bytes: int


@dataclass(frozen=True)
class Measured:
    """What building a page took when it was last executed."""

    seconds: float
    peak_bytes: int


def digest(data: bytes | str) -> str:
    """Return the SHA-256 of bytes or text."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def environment(root: Path, device: str) -> dict[str, str]:
    """Return what every page depends on: lock file, Python, packages, device, flags.

    Parameters
    ----------
    root : Path
        The book's folder.
    device : str
        What ``MATHDL_DEVICE`` stands for, as exactly as is known.
    """
    lock = root / "requirements.txt"
    found = find_spec("mathdl")
    return {
        "schema": str(SCHEMA),
        "lock": digest(lock.read_bytes()) if lock.is_file() else "",
        "python": sys.version,
        "optimize": str(sys.flags.optimize),
        "device": device,
        "mathdl": _name(Path(found.origin), root) if found and found.origin else "",
        **{name: _version(name) for name in PACKAGES},
    }


def key(notebook: NotebookNode, docname: str, surroundings: dict[str, str]) -> str:
    """Return the digest of what is known before a page runs.

    Parameters
    ----------
    notebook : NotebookNode
        The page as myst-nb reads it.
    docname : str
        Its name: a page runs in its own folder.
    surroundings : dict
        See `environment`.
    """
    cells = [
        [cell.source, sorted(RUNNING_TAGS & set(cell.metadata.get("tags") or []))]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    return digest(json.dumps([docname, cells, surroundings], sort_keys=True))


class Store:
    """The executed pages below one build folder.

    Parameters
    ----------
    build : Path
        The build folder (``_build``).
    root : Path
        The book's folder, to which recorded paths are relative.
    """

    def __init__(self, build: Path, root: Path) -> None:
        self.folder = build / FOLDER
        self.root = root
        self._digest_of = cache(_file_digest)

    def load(self, docname: str, wanted: str) -> Result | None:
        """Return the page's result if it is whole and everything it depended on is unchanged."""
        sidecar = self._sidecar(docname)
        if sidecar.get("key") != wanted or sidecar.get("failure") is not None:
            return None
        try:
            text = self._path(docname, ".ipynb").read_text(encoding="utf-8")
            if digest(text) != sidecar["notebook"]:
                return None
            for name, recorded in sidecar["files"].items():
                if self._digest_of(self.root / name) != recorded:
                    return None
            notebook = nbformat.reads(text, as_version=4)
            return Result(notebook, sidecar["notebook"], sidecar["seconds"], sidecar["peak_bytes"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # a damaged entry is made again

    def keep(self, docname: str, wanted: str, run: Run) -> Result:
        """Keep what came of running a page, whole or not at all.

        Parameters
        ----------
        docname, wanted : str
            The page and its `key`.
        run : Run
            What came of it.
        """
        recorded = {}
        for path in map(Path, run.files):
            # What changed while the page ran may have been read before or after: never reused.
            stable = path.stat().st_mtime < run.started
            recorded[_name(path, self.root)] = _file_digest(path) if stable else "changed"
        text = nbformat.writes(run.notebook) + "\n"
        result = Result(run.notebook, digest(text), run.duration, run.peak_bytes)
        sidecar = {
            "schema": SCHEMA,
            "key": wanted,
            "notebook": result.digest,
            "files": recorded,
            "seconds": run.duration,
            "cells": {str(number): round(value, 6) for number, value in run.seconds.items()},
            "peak_bytes": run.peak_bytes,
            "failure": run.failure,
        }
        # The sidecar last: without it, or with one that does not fit, there is no result.
        write_whole(self._path(docname, ".ipynb"), text)
        write_whole(self._path(docname, ".json"), json.dumps(sidecar, indent=1) + "\n")
        return result

    def measured(self, docname: str) -> Measured | None:
        """Return what the page took when it was last executed, whatever changed since."""
        sidecar = self._sidecar(docname)
        try:
            return Measured(float(sidecar["seconds"]), int(sidecar["peak_bytes"]))
        except (KeyError, TypeError, ValueError):
            return None

    def files(self, docname: str) -> dict[str, str]:
        """Return the files that the page's last result depended on, with their digests."""
        return dict(self._sidecar(docname).get("files") or {})

    def tidy(self, docnames: Sequence[str]) -> None:
        """Remove results of pages that are no longer there, and leftovers of a killed build."""
        kept = {self._path(name, suffix) for name in docnames for suffix in (".ipynb", ".json")}
        for path in self._all_files():
            if path not in kept:
                path.unlink(missing_ok=True)

    def _all_files(self) -> Iterator[Path]:
        return (path for path in list(self.folder.rglob("*")) if path.is_file())

    def _path(self, docname: str, suffix: str) -> Path:
        return self.folder / f"{docname}{suffix}"

    def _sidecar(self, docname: str) -> dict[str, Any]:
        try:
            sidecar = json.loads(self._path(docname, ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return sidecar if isinstance(sidecar, dict) else {}


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it holds all of `text` or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _file_digest(path: Path) -> str:
    try:
        return digest(path.read_bytes())
    except OSError:
        return "missing"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
