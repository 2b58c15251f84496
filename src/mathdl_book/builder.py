"""Build the book: execute, set, check, and say in one line what came of it."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import unchanged
from .kernels import preloads, start_early
from .pages import VARIABLE as SOLUTIONS

HTML = "html"
FAILED = "failed"
WATCHED = ("book", "src", "explorables", "_config.yml", "_toc.yml", "requirements.txt")
IGNORED = re.compile(r"(^|/)(__pycache__|_build|\.[^/]+|[^/]+~)(/|$)|\.pyc$")


def build(root: Path, *, device: str = "cpu", jobs: int = 0, keep: bool = False) -> int:
    """Build the book and print the page to open and the totals.

    Parameters
    ----------
    root : Path
        Folder that holds ``_config.yml`` and ``_toc.yml``.
    device : {"cpu", "cuda", "mps"}
        Where the autograd route of the checks and the torch cells run.
    jobs : int
        Pages executed at a time; 0: as many as there are cores.
    keep : bool
        Leave the pages where they are even if the build fails (while serving them).

    Returns
    -------
    int
        Exit status: 0 if the book was built and nothing was found wrong with it.
    """
    began = time.monotonic()
    html = root / "_build" / HTML
    os.environ["MATHDL_DEVICE"] = device
    given = unchanged.inputs(root)  # now: what changes while the book is built is not in it
    # On a GPU the build also proves that the device is there.
    if device == "cpu" and unchanged.is_unchanged(root, given):
        return _built(html, read_ledger(html), began)
    unchanged.forget(root)
    if jobs:
        os.environ["MATHDL_JOBS"] = str(jobs)
    if not (root / "_build" / "execution").is_dir():  # every page will run
        start_early(
            preloads("".join(path.read_text("utf-8") for path in (root / "book").rglob("*.md")))
        )
    # jsonschema imports it if it can, for a check of addresses that no notebook needs; it builds
    # its grammars on import, which is a third of a build in which nothing has changed.
    sys.modules.setdefault("rfc3987_syntax", None)
    from .execution import describe_device

    try:
        described = describe_device(device)
    except RuntimeError as error:
        return _fail(str(error))
    if device != "cpu":
        print(f"device: {described}")
    status = 1
    try:
        with _sigterm_exits(), _old_objects_left_alone():
            status = _jupyter_book(root, html)
        ledger = read_ledger(html)
        if (
            status == 0
            and device != "cpu"
            and not any(d.startswith(device) for d in devices(ledger))
        ):
            status = _fail(f"DEVICE={device}, but the ledger has no check that ran on {device}")
        if status == 0:
            shutil.rmtree(root / "_build" / FAILED, ignore_errors=True)
            unchanged.remember(root, given)
            _built(html, ledger, began)
    finally:
        if status != 0 and not keep:
            set_aside(root / "_build")
    return status


def _built(html: Path, ledger: dict[str, Any], began: float) -> int:
    print(f"Open {html / 'index.html'}")
    print(totals(ledger, time.monotonic() - began))
    return 0


def set_aside(build_folder: Path) -> None:
    """Move the pages of a failed build from ``html`` to ``failed``, to be looked at only."""
    html, failed = build_folder / HTML, build_folder / FAILED
    if html.is_dir():
        shutil.rmtree(failed, ignore_errors=True)
        html.rename(failed)
        print(f"The build failed; what there is of its pages is in {failed}", file=sys.stderr)


def read_ledger(html: Path) -> dict[str, Any]:
    """Return the ledger of a built book; empty where there is none."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads((html / "ledger.json").read_text(encoding="utf-8"))
    return {}


def devices(ledger: Any) -> set[str]:
    """Return the devices on which the ledger's checks ran.

    Examples
    --------
    >>> devices({"claims": [{"checks": [{"device": "cuda"}]}]})
    {'cuda'}
    """
    if isinstance(ledger, dict):
        own = ledger.get("device")
        return ({own} if isinstance(own, str) else set()) | devices(list(ledger.values()))
    if isinstance(ledger, list):
        return set().union(*map(devices, ledger))
    return set()


def totals(ledger: dict[str, Any], seconds: float) -> str:
    """Return the one line that sums the build up.

    Parameters
    ----------
    ledger : dict
        Content of ``ledger.json``.
    seconds : float
        Time that the build took.

    Examples
    --------
    >>> counted = {"pages": 2, "claims": 3, "claims_checked": 3, "checks": 5, "worst_error": 2e-13}
    >>> totals({"totals": counted}, 4.2)
    '2 pages, 3 of 3 claims checked, 5 checks, worst error of a derivative 2.0e-13, 4.2 s'
    """
    counted = ledger.get("totals") or {}
    parts = []
    if counted:
        worst = counted["worst_error"]
        parts = [
            f"{counted['pages']} pages",
            f"{counted['claims_checked']} of {counted['claims']} claims checked",
            f"{counted['checks']} checks",
            f"worst error of a derivative {'none' if worst is None else format(worst, '.1e')}",
        ]
    return ", ".join([*parts, f"{seconds:.1f} s"])


def clean(root: Path) -> int:
    """Remove everything that a build has made."""
    shutil.rmtree(root / "_build", ignore_errors=True)
    return 0


def serve(root: Path, *, device: str, jobs: int, host: str, port: int) -> int:
    """Build, serve, and build again when a source changes; browsers reload by themselves."""
    import uvicorn
    from sphinx_autobuild.middleware import JavascriptInjectorMiddleware
    from sphinx_autobuild.server import RebuildServer
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Mount, WebSocketRoute
    from starlette.staticfiles import StaticFiles

    from .gates.building import is_green

    html = root / "_build" / HTML
    again = partial(rebuild, str(root), device, jobs)
    again()
    html.mkdir(parents=True, exist_ok=True)
    watched = [path for name in WATCHED if (path := root / name).exists()]
    watcher = RebuildServer(watched, partial(ignored, str(root)), change_callback=again)
    app = Starlette(
        routes=[
            WebSocketRoute("/websocket-reload", watcher, name="reload"),
            Mount("/", app=StaticFiles(directory=html, html=True), name="static"),
        ],
        middleware=[Middleware(JavascriptInjectorMiddleware, ws_url=f"{host}:{port}")],
        lifespan=watcher.lifespan,
    )
    print(f"Serving http://{host}:{port}/ and building again at every change; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.run(app, host=host, port=port, log_level="warning")
    if not is_green(root / "_build" / ".doctrees"):
        set_aside(root / "_build")
    return 0


def rebuild(root: str, device: str, jobs: int, changed_paths: Iterable[Path] = ()) -> None:
    """Build in a process of its own, so that changes to the machinery count too."""
    for path in list(changed_paths)[:5]:
        print(f"changed: {path}")
    command = [sys.executable, "-m", "mathdl_book", "build", "--keep"]
    command += ["--root", root, "--device", device, "--jobs", str(jobs)]
    subprocess.run(command, check=False)  # it says itself what failed


def ignored(root: str, path: str) -> bool:
    """Say whether a changed file is no reason to build again.

    Examples
    --------
    >>> ignored("/b", "/b/src/mathdl/__pycache__/x.pyc"), ignored("/b", "/b/book/a.md")
    (True, False)
    """
    return bool(IGNORED.search(os.path.relpath(path, root).replace(os.sep, "/")))


def missing(root: Path, groups: Sequence[str]) -> list[str]:
    """Return the requirements in ``pyproject.toml`` that this Python does not have.

    Parameters
    ----------
    root : Path
        Folder that holds ``pyproject.toml``.
    groups : sequence of str
        Names of its optional dependencies.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for group in groups:
        wanted += project["optional-dependencies"][group]
    return [requirement for requirement in wanted if not _importable(requirement)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mathdl_book", description=__doc__)
    parser.add_argument("command", choices=("build", "serve", "clean", "needs"))
    parser.add_argument("--root", type=Path, default=Path(), help="folder of _config.yml")
    parser.add_argument("--device", default=os.environ.get("MATHDL_DEVICE") or "cpu")
    parser.add_argument("--jobs", type=int, default=0, help="pages executed at a time")
    parser.add_argument("--solutions", choices=("all", "none"), help="none leaves them all out")
    parser.add_argument("--keep", action="store_true", help="leave the pages of a failed build")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on")
    parser.add_argument("--port", type=int, default=8000, help="port to serve on")
    parser.add_argument("--groups", default="plots,referees,book", help="what `needs` looks for")
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    if given.command == "clean":
        return clean(root)
    if given.command == "needs":
        return _needs(root, given.groups.split(","))
    if not (root / "_config.yml").is_file():
        return _fail(f"{root} holds no _config.yml: run this in the book's folder, or give --root")
    if given.solutions:
        os.environ[SOLUTIONS] = given.solutions
    if given.command == "serve":
        return serve(root, device=given.device, jobs=given.jobs, host=given.host, port=given.port)
    try:
        return build(root, device=given.device, jobs=given.jobs, keep=given.keep)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _jupyter_book(root: Path, html: Path) -> int:
    """Run ``jupyter-book build . -n -W --keep-going``, without its boxes and status lines."""
    from jupyter_book.sphinx import build_sphinx
    from sphinx.util import console

    if not sys.stderr.isatty():
        console.nocolor()
    outcome = build_sphinx(
        root,
        html,
        noconfig=True,
        path_config=root / "_config.yml",
        confoverrides={
            "external_toc_path": (root / "_toc.yml").as_posix(),
            "latex_individualpages": False,
            "nitpicky": True,
        },
        builder="html",
        warningiserror=True,
        keep_going=True,
        quiet=True,
    )
    if isinstance(outcome, KeyboardInterrupt):
        raise outcome
    return 1 if isinstance(outcome, Exception) else int(outcome or 0)


@contextlib.contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """Collect garbage among young objects only.

    Sphinx keeps millions of objects until it ends; searching all of them for garbage again and
    again takes half of its time and finds next to nothing.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextlib.contextmanager
def _sigterm_exits() -> Iterator[None]:
    """Let SIGTERM unwind the build, so that what must not stay is removed."""

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _needs(root: Path, groups: Sequence[str]) -> int:
    absent = missing(root, groups)
    if not absent:
        return 0
    listed = " ".join(f"'{requirement}'" for requirement in absent)
    return _fail(f"{sys.executable} lacks what the book needs: pip install {listed}")


def _importable(requirement: str) -> bool:
    name = re.match(r"[\w.-]+", requirement)[0]
    try:
        files = importlib.metadata.files(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return False
    tops = {file.parts[0] for file in files if file.suffix == ".py" and ".." not in file.parts}
    modules = {top.removesuffix(".py") for top in tops} - {"tests", "test"}
    return not modules or any(importlib.util.find_spec(module) for module in modules)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1
