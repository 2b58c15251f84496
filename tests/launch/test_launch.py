"""Links to a page's notebook, and the branch that they lead to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from browsing import served
from checkouts import NOBODY, git
from launch import execute
from mathdl_book.launch import (
    Notebooks,
    Place,
    binder_link,
    branch_of,
    colab_link,
    downloads,
    generator_link,
    hub_link,
    make_tree,
    runs,
)

ROOT = Path(__file__).parents[2]
PUBLISH = ROOT / "deploy" / "publish-notebooks"
PATH = "notebooks/linear algebra/a+b.ipynb"
PLACES = [
    Place("https://github.com/someone/book"),
    Place("https://gitlab.com/group/sub/book", "notebooks-2026.1"),
    Place("https://git.example.org/a/book", binder="https://binder.example.org"),
]


def at(link: str) -> str:
    """Return the path that a link opens in JupyterLab."""
    (path,) = parse_qs(urlsplit(link).query)["urlpath"]
    assert path.startswith("lab/tree/")
    return path.removeprefix("lab/tree/")


@pytest.mark.parametrize("place", PLACES)
def test_binder_gets_repository_branch_and_path(place: Place) -> None:
    link = urlsplit(binder_link(place, PATH))
    assert f"https://{link.netloc}" == place.binder
    version, provider, *source, branch = link.path.strip("/").split("/")
    assert (version, branch) == ("v2", place.branch)
    owner = unquote("/".join(source))
    expected = {"gh": "https://github.com/", "gl": "https://gitlab.com/", "git": ""}[provider]
    assert expected + owner == place.repository
    assert provider == "gh" or len(source) == 1  # what is not GitHub is one quoted part
    assert at(link.geturl()) == PATH


def test_colab_opens_notebooks_of_github_only() -> None:
    first, *others = PLACES
    link = urlsplit(colab_link(first, PATH))
    assert link.netloc == "colab.research.google.com"
    assert unquote(link.path) == f"/github/someone/book/blob/notebooks/{PATH}"
    assert [colab_link(place, PATH) for place in others] == [None, None]


@pytest.mark.parametrize("place", PLACES)
def test_a_hub_clones_into_the_folder_that_the_path_names(place: Place) -> None:
    link = urlsplit(hub_link(place, PATH, "https://hub.org/class/"))
    assert link.path == "/class/hub/user-redirect/git-pull"
    given = {name: value for name, [value] in parse_qs(link.query).items()}
    assert (given["repo"], given["branch"]) == (place.repository, place.branch)
    assert not given["repo"].endswith(".git")
    folder, _, path = at(link.geturl()).partition("/")
    assert (folder, path) == (given["targetpath"], PATH)
    # Not where nbgitpuller would put a clone of the book itself.
    assert folder != place.repository.rpartition("/")[2]


def test_the_form_of_nbgitpuller_gets_all_but_the_hub() -> None:
    given = parse_qs(urlsplit(generator_link(PLACES[0], PATH)).query)
    assert given["repo"] == ["https://github.com/someone/book"]
    assert given["branch"] == ["notebooks"]
    assert at(generator_link(PLACES[0], PATH)) == f"book/{PATH}"


def test_a_tagged_edition_has_a_branch_of_its_own() -> None:
    assert [branch_of(name) for name in ("", "latest")] == ["notebooks"] * 2
    assert branch_of("2026.1") == "notebooks-2026.1"


def labels(listed: list[dict[str, str]]) -> list[str]:
    return [entry["label"].removeprefix("launch-") for entry in listed]


def test_a_page_is_offered_where_it_can_be_run() -> None:
    github, gitlab, _ = PLACES
    assert labels(runs(github, "a.ipynb", live=True)) == ["run", "binder", "colab", "hub"]
    assert labels(runs(gitlab, "a.ipynb", live=False)) == ["binder", "hub"]
    assert labels(runs(Place(""), "a.ipynb", live=True)) == ["run"]
    hub = Place(github.repository, hub="https://hub.org")
    assert runs(hub, "a.ipynb", live=False)[-1]["url"].startswith("https://hub.org/hub/user-")


def test_downloads_are_named_for_what_they_are() -> None:
    assert [one["text"] for one in downloads(Notebooks("a.ipynb"))] == ["Notebook (.ipynb)"]
    lab = Notebooks("a.ipynb", True, "a-solved.ipynb")
    named = {one["url"]: one["text"] for one in downloads(lab)}
    assert named == {
        "a.ipynb": "Notebook to fill in (.ipynb)",
        "a-solved.ipynb": "Solved notebook (.ipynb)",
    }
    without = Notebooks("a.ipynb", True)  # of a book whose solutions are left out
    assert [one["text"] for one in downloads(without)] == ["Notebook to fill in (.ipynb)"]


# ---- the same in the browser ---------------------------------------------------------------

LINKS = """async ([address, place, path, hub]) => {
  const { binderLink, colabLink, hubLink, hubAddress } = await import(address);
  return [binderLink(place, path), colabLink(place, path), hubLink(place, path, hubAddress(hub))];
}"""
ADDRESS = """async ([address, typed]) => {
  const { hubAddress } = await import(address);
  try { return hubAddress(typed); } catch (error) { return [error.message]; }
}"""


@pytest.fixture(scope="module")
def module(browser: Any, tmp_path_factory: pytest.TempPathFactory):
    """An empty page from a server, and the address of the module there."""
    folder = tmp_path_factory.mktemp("module")
    shutil.copy(ROOT / "src/mathdl_book/static/site/launch.js", folder)
    (folder / "index.html").write_text("<!DOCTYPE html><title>Empty</title>")
    with served(folder) as site:
        page = browser.new_page()
        page.goto(f"{site.url}/index.html")
        yield page, f"{site.url}/launch.js"
        page.close()


@pytest.mark.parametrize("place", PLACES)
def test_the_script_makes_the_same_links(module, place: Place) -> None:
    page, address = module
    hub = "https://hub.org/class"
    given = {"repository": place.repository, "branch": place.branch, "binder": place.binder}
    assert page.evaluate(LINKS, [address, given, PATH, hub + "/"]) == [
        binder_link(place, PATH),
        colab_link(place, PATH),
        hub_link(place, PATH, hub),
    ]


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("https://hub.example.edu", "https://hub.example.edu"),
        ("hub.example.edu/", "https://hub.example.edu"),
        (" http://hub.example.edu:8000/x/ ", "http://hub.example.edu:8000/x"),
        ("https://hub.example.edu/hub/home", "https://hub.example.edu"),
        (
            "https://hub.example.edu/class/user/me/lab/tree/a.ipynb?x#y",
            "https://hub.example.edu/class",
        ),
        ("https://hub.example.edu/hub", "https://hub.example.edu"),
        ("https://hub.example.edu/hubs", "https://hub.example.edu/hubs"),
        ("localhost:8000", "https://localhost:8000"),
        ("http://127.0.0.1:8000/hub/", "http://127.0.0.1:8000"),
        ("10.0.0.7:8000", "https://10.0.0.7:8000"),
        ("HUB.Example.EDU", "https://hub.example.edu"),
    ],
)
def test_the_address_of_a_hub_is_taken_as_people_copy_it(module, typed: str, address: str) -> None:
    page, script = module
    assert page.evaluate(ADDRESS, [script, typed]) == address


@pytest.mark.parametrize(
    "typed",
    [
        *("", "   ", "hub", "my hub", "https://", "javascript:alert(1)", "ftp://hub.example.edu"),
        *("file:///etc/passwd", "https://me:secret@hub.example.edu", "https://hub example.edu"),
        *("data:text/html,x", "//", "https://hub..", "mailto:me@hub.example.edu"),
    ],
)
def test_what_is_no_address_of_a_hub_is_refused_with_words(module, typed: str) -> None:
    page, script = module
    refused = page.evaluate(ADDRESS, [script, typed])
    assert isinstance(refused, list) and refused[0].endswith(".")


# ---- the branch ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(sample_book, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("branch") / "notebooks"
    assert make_tree(ROOT, sample_book.html, target, "A book", "abc") == 3
    return target


def test_the_branch_holds_every_file_that_a_page_links_to(sample_book, tree: Path) -> None:
    launch = json.loads((sample_book.html / "launch.json").read_text())
    for page in launch["pages"].values():
        place = Place(launch["repository"], launch["branch"])
        link = binder_link(place, page["notebook"])
        assert (tree / at(link)).read_bytes() == (sample_book.html / page["notebook"]).read_bytes()
        name = urlsplit(colab_link(place, page["notebook"])).path.partition("/blob/")[2]
        branch, _, path = unquote(name).partition("/")
        assert branch == "notebooks" and (tree / path).is_file()
        folder, _, path = at(hub_link(place, page["notebook"], "https://hub.org")).partition("/")
        assert folder == place.folder and (tree / path).is_file()
    assert launch["pages"]["book/labs/lab-0-sample"] == {
        "notebook": "notebooks/labs/lab-0-sample.ipynb",
        "live": True,
        "solved": "notebooks/labs/lab-0-sample-solved.ipynb",
    }


def test_the_branch_installs_the_library_and_not_the_machinery(tree: Path) -> None:
    for name in (".binder/requirements.txt", ".binder/postBuild", ".binder/runtime.txt"):
        assert (tree / name).read_bytes() == (ROOT / name).read_bytes()
    assert (tree / ".binder/postBuild").stat().st_mode & 0o100
    assert (tree / "src/mathdl/optim.py").is_file()
    assert sorted(path.name for path in (tree / "src").iterdir()) == ["mathdl"]
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    assert all((tree / name).is_file() for name in [project["readme"], *project["license-files"]])
    assert "from commit `abc`" in (tree / "README.md").read_text()


def test_the_branch_of_a_book_without_solutions_has_none(sample_book, tmp_path: Path) -> None:
    site = tmp_path / "html"
    shutil.copytree(sample_book.html / "notebooks", site / "notebooks")
    launch = json.loads((sample_book.html / "launch.json").read_text())
    del launch["pages"]["book/labs/lab-0-sample"]["solved"]
    (site / "launch.json").write_text(json.dumps(launch))
    assert make_tree(ROOT, site, tmp_path / "tree", "A book", "abc") == 2
    assert not list((tmp_path / "tree").rglob("*-solved.ipynb"))


def test_the_branch_grows_and_is_never_replaced(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "there")
    git(tmp_path, "clone", "-q", "there", "here")
    here, folder = tmp_path / "here", tmp_path / "folder"
    (here / ".gitignore").write_text("*.ipynb\n")
    git(here, "add", ".gitignore")
    git(here, "commit", "-qm", "start")
    git(here, "push", "-q", "origin", "HEAD:main")
    (folder / ".binder").mkdir(parents=True)
    (folder / ".binder" / "runtime.txt").write_text("python-3.11\n")
    (folder / "a.ipynb").write_text("1")

    def publish(message: str) -> list[str]:
        command = [PUBLISH, folder, "notebooks", message]
        subprocess.run(command, cwd=here, env=os.environ | NOBODY, check=True)
        there = tmp_path / "there"
        assert git(here, "status", "--short") == ""
        assert git(there, "log", "--format=%s", "main") == "start"
        names = git(there, "ls-tree", "-r", "--name-only", "notebooks").split()
        return [*git(there, "log", "--format=%s", "notebooks").split(), *names]

    assert publish("one") == ["one", ".binder/runtime.txt", "a.ipynb"]
    assert publish("again") == ["one", ".binder/runtime.txt", "a.ipynb"]
    (folder / "a.ipynb").rename(folder / "b.ipynb")
    assert publish("two") == ["two", "one", ".binder/runtime.txt", "b.ipynb"]


# ---- how notebooks must end ----------------------------------------------------------------


def notebook(*codes: str) -> dict[str, Any]:
    return {"cells": [{"cell_type": "code", "source": code} for code in codes]}


WRITE = 'def f(x):\n    raise NotImplementedError("write f")'
CHECK = 'check_step("step-f", check)'


def ended(cell: int, value: str, name: str = "StepFailed") -> dict[str, Any]:
    return {"cell": cell, "name": name, "value": value}


@pytest.mark.parametrize(
    ("codes", "error", "said"),
    [
        (["1", "2"], None, ""),
        (["1", "2"], ended(1, "no", "ValueError"), "cell 1: ValueError: no"),
        ([WRITE, CHECK], ended(1, "step-f: still to be written: `f`"), ""),
        ([WRITE, CHECK], None, "runs to its end"),
        (
            [WRITE, "f(1)", CHECK],
            ended(1, "write f", "NotImplementedError"),
            "stops at cell 1, before",
        ),
        (
            [WRITE, CHECK, CHECK],
            ended(2, "step-f: still to be written: `f`"),
            "stops at cell 2, before",
        ),
        ([WRITE, CHECK], ended(1, "step-f: sign flipped"), "does not say what is missing"),
        ([WRITE, CHECK], ended(1, "step-g: still to be written: `f`"), "does not say"),
        ([WRITE, CHECK], ended(1, "step-f: still to be written: `g`"), "asks for g"),
    ],
)
def test_how_a_notebook_must_end(codes, error, said: str) -> None:
    found = execute.objection(notebook(*codes), error)
    assert found == "" if not said else said in found


def test_a_lab_to_fill_in_and_its_solution_are_told_apart(sample_book) -> None:
    for name, wanted in (("lab-0-sample", 2), ("lab-0-sample-solved", 0)):
        path = sample_book.html / "notebooks" / "labs" / f"{name}.ipynb"
        assert len(execute.asked(json.loads(path.read_text()))) == wanted
