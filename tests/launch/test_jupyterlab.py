"""JupyterLab as Binder starts it, in Chromium: links open notebooks there, and all their cells run.

`make notebooks` makes what it takes and names it in MATHDL_LAUNCH: an environment that has been
installed from `.binder/requirements.txt`, and beside it the branch of the notebooks.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest

from checkouts import NOBODY, git
from mathdl_book.launch import Place, binder_link, hub_link

ROOT = Path(__file__).parents[2]
PUBLISH = ROOT / "deploy" / "publish-notebooks"
pytestmark = pytest.mark.skipif("MATHDL_LAUNCH" not in os.environ, reason="run by make notebooks")
LAB, CHAPTER, TORCH = (
    "labs/lab-5-probability",
    "probability/bayes",
    "linear-algebra/vectors-matrices",
)
LIMIT = 240_000  # milliseconds for all cells of a notebook
READY = """async (path) => {
  const app = window.jupyterapp;
  await app?.restored;
  const widget = app?.shell.currentWidget;
  if (widget?.context?.path !== path) return null;
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  return [widget.hasClass("jp-NotebookPanel"), widget.content?.model?.cells?.length ?? 0];
}"""
CELLS = """() => {
  const { model } = window.jupyterapp.shell.currentWidget.content;
  return Array.from(model.cells, (cell) => cell.toJSON());
}"""
# At rest, and all cells have run or one has failed: the kernel is idle for a moment between cells.
DONE = """() => {
  const { content, context } = window.jupyterapp.shell.currentWidget;
  const cells = Array.from(content.model.cells).filter((cell) => cell.type === "code");
  const failed = (cell) => cell.outputs.toJSON().some((one) => one.output_type === "error");
  return context.sessionContext.session?.kernel?.status === "idle"
    && (cells.every((cell) => cell.executionCount) || cells.some(failed));
}"""


def variables(environment: Path, home: Path) -> dict[str, str]:
    """Return environment variables as in a container of Binder: its programs, an empty home."""
    return {
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "PIP_NO_INDEX": "1",
        "LANG": "C.UTF-8",
    }


@pytest.fixture(scope="module")
def tree() -> Path:
    return Path(os.environ["MATHDL_LAUNCH"]).resolve().parent / "notebooks"


@pytest.fixture(scope="module")
def started(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """JupyterLab in a copy of the branch and of the pages, set up by `.binder/postBuild`."""
    folder, home = tmp_path_factory.mktemp("binder") / "book", tmp_path_factory.mktemp("home")
    shutil.copytree(tree, folder)
    shutil.copytree(ROOT / "book", folder / "book")
    environment = Path(os.environ["MATHDL_LAUNCH"]).resolve() / "environment"
    given = variables(environment, home)
    subprocess.run(["bash", ".binder/postBuild"], cwd=folder, env=given, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [environment / "bin" / "jupyter-lab", "--no-browser", f"--port={port}"]
    options = ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--allow-root"]
    log = home / "log"
    with log.open("w") as said:
        server = subprocess.Popen([*command, *options], cwd=folder, env=given, stderr=said)
        try:
            for _ in range(240):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}/api", timeout=2).close()
                    break
                assert server.poll() is None, log.read_text()[-3000:]
                time.sleep(0.5)
            yield address, folder
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture
def lab(browser: Any, started: tuple[str, Path]) -> Iterator[Any]:
    """Open an address in JupyterLab and return the page once the notebook is there."""
    pages = []

    def opened(path: str, file: str) -> Any:
        page = browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        pages.append(page)
        page.goto(f"{started[0]}/{path}", wait_until="domcontentloaded")
        # A hub's link leads there when everything has been fetched.
        page.wait_for_url(lambda url: "/lab/tree/" in url, timeout=120_000, wait_until="commit")
        page.wait_for_load_state("load")
        deadline = time.monotonic() + 120
        while (found := page.evaluate(READY, file)) is None:
            assert time.monotonic() < deadline, f"{file} did not open: {page.url}"
            page.wait_for_timeout(300)
        # A notebook with cells, not an editor of text.
        assert found[0] and found[1] > 1, found
        return page

    yield opened
    for page in pages:
        page.evaluate(
            "() => window.jupyterapp?.shell.currentWidget?.context.sessionContext.shutdown()"
        )
        page.context.close()


def run_all(page: Any) -> list[dict[str, Any]]:
    """Choose Run All Cells, and return the cells when the kernel has come to rest."""
    page.click(".lm-MenuBar-itemLabel:text-is('Run')")
    page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
    page.wait_for_function(DONE, timeout=LIMIT, polling=500)
    cells = page.evaluate(CELLS)
    return [cell for cell in cells if cell["cell_type"] == "code"]


def errors(cells: list[dict[str, Any]]) -> list[str]:
    return [
        f"{output['ename']}: {output['evalue']}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]


def from_link(name: str) -> tuple[str, str]:
    """Return what a server gets of the link to Binder on a page, and the file that it names."""
    launch = json.loads((ROOT / "_build/html/launch.json").read_text())
    made = launch["pages"][f"book/{name}"]["notebook"]
    place = Place(**{key: launch[key] for key in ("repository", "branch", "binder", "hub")})
    link = binder_link(place, made)
    page = (ROOT / "_build/html/book" / f"{name}.html").read_text(encoding="utf-8")
    assert f'href="{link}"' in page
    (path,) = parse_qs(urlsplit(link).query)["urlpath"]
    return path, made


@pytest.mark.parametrize("name", [CHAPTER, TORCH])
def test_the_link_of_a_chapter_opens_a_notebook_whose_cells_all_run(lab, name: str) -> None:
    path, made = from_link(name)
    source = (ROOT / "_build/html" / made).read_text(encoding="utf-8")
    assert ("import torch" in source) == (name == TORCH)
    cells = run_all(lab(path, made))
    assert errors(cells) == []
    assert all(cell["execution_count"] for cell in cells)
    assert sum(bool(cell["outputs"]) for cell in cells) > 3


def test_the_link_of_a_lab_opens_the_version_to_fill_in(lab) -> None:
    path, made = from_link(LAB)
    cells = run_all(lab(path, made))
    (said,) = errors(cells)
    assert "still to be written" in said


def test_the_solved_lab_runs_to_its_end(lab) -> None:
    made = f"notebooks/{LAB}-solved.ipynb"
    cells = run_all(lab(f"lab/tree/{made}", made))
    assert errors(cells) == []
    assert all(cell["execution_count"] for cell in cells)


def test_a_page_itself_opens_as_a_notebook(lab) -> None:
    """What Binder's settings are for: the source of a page, too, is a notebook and runs."""
    made = f"book/{TORCH}.md"
    page = lab(f"lab/tree/{made}", made)
    cells = run_all(page)
    assert errors(cells) == []
    assert all(cell["execution_count"] for cell in cells)
    # jupyterlab-myst is at work: a directive is a box, not a block of code.
    assert page.locator(".jp-MarkdownOutput .myst, .myst").count()


def test_a_hubs_link_fetches_opens_and_keeps_what_was_written(
    lab, started: tuple[str, Path], tree: Path, tmp_path: Path
) -> None:
    """nbgitpuller gets the link as a hub forwards it, from a repository on this machine."""

    git(tmp_path, "init", "-q", "--bare", "someone/book")
    git(tmp_path, "clone", "-q", "someone/book", "clone")
    content = tmp_path / "content"
    shutil.copytree(tree / "notebooks" / "linear-algebra", content / "notebooks" / "linear-algebra")
    publish = [PUBLISH, content, "notebooks", "made"]
    subprocess.run(publish, cwd=tmp_path / "clone", env=os.environ | NOBODY, check=True)
    place = Place(f"file://{tmp_path}/someone/book")
    made = f"notebooks/{TORCH}.ipynb"
    link = hub_link(place, made, "https://hub.example.org")
    path = link.removeprefix("https://hub.example.org/hub/user-redirect/")
    lab(path, f"{place.folder}/{made}")
    mine = started[1] / place.folder / made
    notebook = nbformat.read(mine, as_version=4)
    notebook.cells[-1].source += "\n# mine"
    mine.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    (content / "notebooks" / "new.ipynb").write_bytes((content / made).read_bytes())
    subprocess.run(publish, cwd=tmp_path / "clone", env=os.environ | NOBODY, check=True)
    lab(path, f"{place.folder}/{made}")
    assert (started[1] / place.folder / "notebooks" / "new.ipynb").is_file()
    assert "# mine" in mine.read_text(encoding="utf-8")
