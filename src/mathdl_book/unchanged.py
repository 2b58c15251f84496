"""Know that a build would make again what is there: same inputs as a good build, same outputs.

The mark that a good build leaves is a digest of all that it could depend on (every file of the
book and of its packages, the commit, the environment, Python and what is installed) and of the
names, sizes and times of everything that it wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "unchanged"
OUTPUTS = ("html", "jupyter_execute", ".doctrees", "execution")
CACHES = {"_build", "__pycache__", "node_modules", "tests", "benchmarks"}
VARIABLES = ("MATHDL_", "GITHUB_", "CI_", "PYTHON", "MPL", "SOURCE_DATE_EPOCH", "LANG", "LC_", "TZ")


def inputs(root: Path) -> str:
    """Return the digest of everything that a build of this book depends on.

    Parameters
    ----------
    root : Path
        Folder that holds ``_config.yml``.
    """
    seen = hashlib.sha256()
    for path in _sources(root):
        seen.update(f"{path.relative_to(root)}\0".encode())
        seen.update(hashlib.sha256(path.read_bytes()).digest())
    environment = {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)}
    installed = sorted(
        name
        for folder in {*map(sysconfig.get_path, ("purelib", "platlib"))}
        for name in os.listdir(folder)
    )
    seen.update(json.dumps([environment, installed, sys.version, sys.flags.optimize]).encode())
    seen.update(_commit(root))
    return seen.hexdigest()


def outputs(root: Path) -> str:
    """Return the digest of names, sizes and times of what builds have written.

    Parameters
    ----------
    root : Path
        Folder that holds ``_build``.
    """
    seen = hashlib.sha256()
    for name in OUTPUTS:
        for path in sorted(path for path in (root / "_build" / name).rglob("*") if path.is_file()):
            about = path.stat()
            seen.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
    return seen.hexdigest()


def is_unchanged(root: Path, given: str) -> bool:
    """Return whether the last build was good and one of these inputs would repeat it.

    Parameters
    ----------
    root : Path
        The book's folder.
    given : str
        Its `inputs` now.
    """
    mark = root / "_build" / MARK
    return mark.is_file() and mark.read_text(encoding="utf-8") == f"{given} {outputs(root)}"


def forget(root: Path) -> None:
    """Take the mark away: a build begins."""
    (root / "_build" / MARK).unlink(missing_ok=True)


def remember(root: Path, given: str) -> None:
    """Leave the mark: the build of these inputs was good."""
    (root / "_build" / MARK).write_text(f"{given} {outputs(root)}", encoding="utf-8")


@contextmanager
def added_to(root: Path) -> Iterator[None]:
    """Keep the mark, if it holds, while something is added to what the last build has written.

    Parameters
    ----------
    root : Path
        The book's folder.
    """
    mark = root / "_build" / MARK
    given, _, before = mark.read_text("utf-8").partition(" ") if mark.is_file() else ("", "", "")
    good = bool(given) and before == outputs(root)
    yield
    if good:
        remember(root, given)


def _sources(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in CACHES
            and not name.startswith(".")
            and not name.endswith(".egg-info")
            and not (Path(folder, name) / "pyvenv.cfg").exists()
        )
        yield from (path for name in sorted(names) if (path := Path(folder, name)).is_file())


def _commit(root: Path) -> bytes:
    """Return the commit, the branch and the remotes: pages name and link them."""
    said = b""
    for question in (("rev-parse", "HEAD", "--abbrev-ref", "HEAD"), ("remote", "-v")):
        try:
            asked = subprocess.run(["git", "-C", str(root), *question], capture_output=True)
        except OSError:  # no git here
            return b""
        said += asked.stdout
    return said
