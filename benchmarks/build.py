"""How long the book takes to build, each figure beside its peer, in one run on the same pages.

The book's sources are copied into a temporary folder and built there: cold, by `make book`'s
builder and by a serial `jupyter-book build .` (whose pages myst-nb executes, one after the other,
in kernels started from nothing); again with nothing changed; after an edit of one page's prose;
after an edit of one module of `mathdl`. Last, what badges, records and the ledger add to the
execution of the pages, the checking itself apart.

    python benchmarks/build.py [--repeat N] [--json FILE]

The exit status is 1 if a figure misses its mark.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell

from mathdl_book import ledger, results
from mathdl_book.kernels import open_kernels
from mathdl_book.pages import toc_docnames
from mathdl_book.parallel import cores
from mathdl_book.running import code_cells, run_page

ROOT = Path(__file__).parents[1]
SOURCES = ("_config.yml", "_toc.yml", "requirements.txt", "pyproject.toml", "book", "src")
SOURCES += ("explorables", "CITATION.cff", "CHANGELOG.md")
MARKS = {"cold ratio": 0.5, "nothing changed": 5.0, "overhead": 0.02}

# Runs before a page's own cells and sums the time that showing records and values takes.
METER = """
def _meter():
    import functools, time
    from mathdl import _records
    spent = [0.0]
    def metered(show):
        @functools.wraps(show)
        def timed(*args, **kwargs):
            began = time.perf_counter()
            try:
                return show(*args, **kwargs)
            finally:
                spent[0] += time.perf_counter() - began
        return timed
    _records.publish = metered(_records.publish)
    return spent
_spent = _meter()
"""


@dataclass
class Built:
    """One build: its wall time and the pages that it executed."""

    seconds: float
    ran: list[str]


def copy_book(target: Path) -> Path:
    """Copy the sources of the book; return the folder."""
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "node_modules", "_build")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=leave)
        elif source.exists():
            shutil.copy(source, target / name)
    return target


def build(root: Path, *command: str) -> Built:
    """Build the book in `root` and insist that it succeeds."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MATHDL_")}
    environment["PYTHONPATH"] = str(root / "src")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"the build failed: {' '.join(command)}\n{done.stdout}\n{done.stderr}")
    ran = re.findall(r"^\[ *\d+/\d+\] (\S+): executed", done.stdout, flags=re.MULTILINE)
    return Built(seconds, ran)


def ours(root: Path) -> Built:
    return build(root, "-m", "mathdl_book", "build")


def serial(root: Path) -> Built:
    """Build as without the machinery's execution: by myst-nb, page by page, from no cache."""
    path = root / "_config.yml"
    before = path.read_text(encoding="utf-8")
    config = yaml.safe_load(before)
    config["sphinx"].setdefault("config", {})["mathdl_execute_ahead"] = False
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    try:
        start = "from jupyter_book.cli.main import main; main()"
        return build(root, "-c", start, "build", ".", "-n", "-W", "--keep-going", "-q")
    finally:
        path.write_text(before, encoding="utf-8")


def empty(root: Path) -> None:
    shutil.rmtree(root / "_build", ignore_errors=True)


def edit_prose(root: Path, docname: str) -> None:
    with (root / f"{docname}.md").open("a", encoding="utf-8") as page:
        page.write("\nOne more sentence.\n")


def edit_module(root: Path) -> tuple[str, list[str]]:
    """Append a comment to the module that fewest pages have imported; return both."""
    store = results.Store(root / "_build", root)
    importers: dict[str, list[str]] = {}
    for docname in toc_docnames(root):
        for name in store.files(docname):
            if name.startswith("src/mathdl/") and not name.endswith("__init__.py"):
                importers.setdefault(name, []).append(docname)
    module = min(importers, key=lambda name: (len(importers[name]), name))
    with (root / module).open("a", encoding="utf-8") as source:
        source.write("# edited by the benchmark\n")
    return module, sorted(importers[module])


def overhead(root: Path) -> tuple[float, float, float]:
    """Return seconds of execution, of showing records in it, and of collecting the ledger."""
    store = results.Store(root / "_build", root)
    notebooks = {}
    for docname in toc_docnames(root):
        path = store.folder / f"{docname}.ipynb"
        if path.is_file():
            notebooks[docname] = nbformat.read(path, as_version=4)
    pages = {name: nb for name, nb in notebooks.items() if code_cells(nb)}

    async def metered() -> tuple[float, float]:
        total = shown = 0.0
        async with open_kernels(["numpy", "matplotlib", "torch", "scipy"], root) as kernels:
            for docname, notebook in pages.items():
                notebook.cells.insert(0, new_code_cell(METER))
                notebook.cells.append(new_code_cell("print('spent', _spent[0])"))
                cwd = (root / docname).parent
                run = await run_page(notebook, kernels, cwd=cwd, root=root, limit=600)
                if run.failure:
                    sys.exit(f"{docname}: {run.failure}")
                total += run.duration
                said = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
                shown += float(said.rsplit("spent", 1)[1])
        return total, shown

    os.environ["PYTHONPATH"] = str(root / "src")
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        total, shown = runner.run(metered())
    began = time.perf_counter()
    ledger.collect(notebooks)
    return total, shown, time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=1, help="builds of each kind; medians count")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mathdl-bench-") as folder:
        figures = measure(copy_book(Path(folder).resolve()), given.repeat)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0 if all(figures["marks"].values()) else 1


def measure(root: Path, repeat: int) -> dict:
    """Measure everything on the book in `root`, print it, and return it."""
    ours(root)  # compiles bytecode and fills the system's file cache, for both sides
    cold, peer = [], []
    for _ in range(repeat):  # side by side, so that a busy moment meets both
        empty(root)
        peer.append(serial(root).seconds)
        empty(root)
        cold.append(ours(root))
    executed = cold[-1].ran
    cold_seconds, peer_seconds = (
        statistics.median(one.seconds for one in cold),
        statistics.median(peer),
    )
    print(f"{cores()} cores, {len(toc_docnames(root))} pages, {len(executed)} of them executed")
    print(f"cold: {cold_seconds:.1f} s; serial jupyter-book: {peer_seconds:.1f} s; ", end="")
    print(f"ratio {cold_seconds / peer_seconds:.2f}")

    same = [ours(root) for _ in range(repeat)]
    same_seconds = statistics.median(one.seconds for one in same)
    print(f"nothing changed: {same_seconds:.1f} s, {sum(len(one.ran) for one in same)} pages run")

    edit_prose(root, executed[0])
    prose = ours(root)
    print(f"prose of {executed[0]} edited: {prose.seconds:.1f} s, {len(prose.ran)} pages run")

    module, importers = edit_module(root)
    edited = ours(root)
    print(f"{module} edited: {edited.seconds:.1f} s, ran {sorted(edited.ran)}, of {importers}")

    total, shown, collected = overhead(root)
    share = (shown + collected) / total
    print(
        f"badges and ledger: {1e3 * shown:.0f} ms + {1e3 * collected:.0f} ms "
        f"of {total:.1f} s of execution: {100 * share:.2f} %"
    )
    marks = {
        "cold ratio": cold_seconds / peer_seconds <= MARKS["cold ratio"],
        "nothing changed": same_seconds <= MARKS["nothing changed"]
        and not any(one.ran for one in same),
        "prose edited": not prose.ran,
        "module edited": sorted(edited.ran) == importers,
        "overhead": share < MARKS["overhead"],
    }
    for name, met in marks.items():
        print(f"{'met   ' if met else 'MISSED'} {name}")
    return {
        "cores": cores(),
        "pages": len(toc_docnames(root)),
        "executed": len(executed),
        "cold": cold_seconds,
        "serial": peer_seconds,
        "nothing changed": same_seconds,
        "prose edited": prose.seconds,
        "module edited": edited.seconds,
        "overhead": share,
        "marks": marks,
    }


if __name__ == "__main__":
    sys.exit(main())
