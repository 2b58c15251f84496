"""Where a page can be run: the menu on every page with code, and the branch that it leads to.

Binder, Colab and a JupyterHub open files of a repository, and the notebooks of the pages are made
by the build. So the build's notebooks are published on a branch of their own, with the library and
the files of ``.binder`` beside them: a small repository in which every notebook runs, and in which
each has the same path wherever it is opened.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from . import labs
from .choosing import SHOW_FORM
from .editions import LATEST, VARIABLE, edition_named
from .live import needs_more
from .notebooks import FOLDER, commit_of, notebook_name
from .pages import toc_docnames

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

BRANCH = "notebooks"
BINDER = "https://mybinder.org"
COLAB = "https://colab.research.google.com"
GENERATOR = "https://nbgitpuller.readthedocs.io/en/latest/link.html"
VERSION = 1
# Where it is kept that a page has cells of a kind, or the form.
LAB, LIVE, LINKS = "mathdl-lab", "mathdl-live", "mathdl-links"
# What the published branch holds beside the notebooks: what it takes to install and run them.
KEPT = (".binder", "src/mathdl", "pyproject.toml", "LICENSE", "LICENSE-CC-BY-4.0")
IGNORED = {"ignore": shutil.ignore_patterns("__pycache__", "*.egg-info")}


# ---- links ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where the notebooks are published, and who runs them.

    Parameters
    ----------
    repository : str
        Web address of the repository.
    branch : str
        Branch of the notebooks.
    binder : str
        Address of a BinderHub.
    hub : str
        Address of the JupyterHub of all readers; empty where each has their own.
    """

    repository: str
    branch: str = BRANCH
    binder: str = BINDER
    hub: str = ""

    @property
    def folder(self) -> str:
        """Where a JupyterHub puts the notebooks: not where a clone of the book itself would be."""
        return f"{self.repository.rpartition('/')[2]}-{self.branch}"


def binder_link(place: Place, path: str) -> str:
    """Return the address at which Binder opens a notebook in JupyterLab.

    Parameters
    ----------
    place : Place
        Where the notebooks are.
    path : str
        The notebook, from the root of the branch.

    Examples
    --------
    >>> binder_link(Place("https://github.com/someone/book"), "notebooks/a/b.ipynb")
    'https://mybinder.org/v2/gh/someone/book/notebooks?urlpath=lab/tree/notebooks/a/b.ipynb'
    """
    parts = urlsplit(place.repository)
    name = parts.path.strip("/")
    if parts.netloc == "github.com":
        source = f"gh/{name}"
    elif parts.netloc == "gitlab.com":
        source = f"gl/{quote(name, safe='')}"
    else:
        source = f"git/{quote(place.repository, safe='')}"
    return f"{place.binder}/v2/{source}/{quote(place.branch)}?urlpath={quote(f'lab/tree/{path}')}"


def colab_link(place: Place, path: str) -> str | None:
    """Return the address at which Colab opens a notebook; None where it cannot: it knows GitHub.

    Parameters
    ----------
    place, path
        See `binder_link`.

    Examples
    --------
    >>> colab_link(Place("https://github.com/someone/book"), "notebooks/a/b.ipynb")
    'https://colab.research.google.com/github/someone/book/blob/notebooks/notebooks/a/b.ipynb'
    """
    parts = urlsplit(place.repository)
    if parts.netloc != "github.com":
        return None
    return f"{COLAB}/github/{parts.path.strip('/')}/blob/{quote(place.branch)}/{quote(path)}"


def hub_link(place: Place, path: str, hub: str) -> str:
    """Return the address at which a JupyterHub fetches the notebooks and opens one in JupyterLab.

    Parameters
    ----------
    place, path
        See `binder_link`.
    hub : str
        Address of the JupyterHub, which has nbgitpuller.

    Notes
    -----
    nbgitpuller keeps what a reader has changed and adds what is new. The folder is named: its own
    choice, the last part of the repository's address, would also be that of a clone of the book.

    Examples
    --------
    >>> print(hub_link(Place("https://github.com/someone/book"), "a.ipynb", "https://hub.org"))
    https://hub.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fsomeone%2Fbook&branch=notebooks&targetpath=book-notebooks&urlpath=lab%2Ftree%2Fbook-notebooks%2Fa.ipynb
    """
    given = {
        "repo": place.repository,
        "branch": place.branch,
        "targetpath": place.folder,
        "urlpath": f"lab/tree/{place.folder}/{path}",
    }
    return f"{hub.rstrip('/')}/hub/user-redirect/git-pull?{urlencode(given)}"


def generator_link(place: Place, path: str) -> str:
    """Return the address of nbgitpuller's own form, filled in but for the hub.

    It is what a reader gets whose browser runs no scripts, and from it the script reads what there
    is to open.

    Parameters
    ----------
    place, path
        See `binder_link`.
    """
    folder = place.repository.rpartition("/")[2]
    given = {
        "repo": place.repository,
        "branch": place.branch,
        "urlpath": f"lab/tree/{folder}/{path}",
    }
    return f"{GENERATOR}?{urlencode(given, safe='/:')}"


def branch_of(edition: str) -> str:
    """Return the branch on which the notebooks of a build are published.

    Parameters
    ----------
    edition : str
        See `editions.edition_named`. Those of a tagged one stay as they are.

    Examples
    --------
    >>> branch_of("latest"), branch_of("2026.1")
    ('notebooks', 'notebooks-2026.1')
    """
    return BRANCH if edition in ("", LATEST) else f"{BRANCH}-{edition}"


# ---- what a page has -----------------------------------------------------------------------


@dataclass(frozen=True)
class Notebooks:
    """The notebooks of a page.

    Parameters
    ----------
    first : str
        The one to open, of a lab the one to fill in: its path below the site's root, which is also
        its path on the published branch.
    lab : bool
        Whether there is something to fill in.
    solved : str
        The solved one of a lab; empty where there is none.
    """

    first: str
    lab: bool = False
    solved: str = ""


def notebooks_of(app: Sphinx, docname: str) -> Notebooks | None:
    """Return the notebooks that have been written for a page, None if it has no code.

    Parameters
    ----------
    app : Sphinx
        Has read the pages and written this one.
    docname : str
        The page.
    """
    out = Path(app.outdir)
    first, solved = notebook_name(docname), notebook_name(docname, solved=True)
    if docname not in app.env.found_docs or not (out / first).is_file():
        return None
    lab = LAB in app.env.metadata[docname]
    return Notebooks(first, lab, solved if lab and (out / solved).is_file() else "")


def note_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Keep in mind which pages have cells to fill in, and which have cells for a browser."""
    about = app.env.metadata[app.env.docname]
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        if f"tag_{labs.TAG}" in cell["classes"]:
            about[LAB] = "yes"
        shown = any(box.get("nb_element") == "cell_code_source" for box in cell)
        if shown and needs_more(cell["classes"]) is None:
            about[LIVE] = "yes"


# ---- the menu ------------------------------------------------------------------------------


def runs(place: Place, path: str, *, live: bool) -> list[dict[str, str]]:
    """Return where a page can be run, as entries of a menu of the theme.

    Parameters
    ----------
    place : Place
        Where the notebooks are published; without a repository they are nowhere.
    path : str
        Notebook of the page.
    live : bool
        Whether cells of the page run in a browser.
    """
    here = {
        "type": "javascript",
        "javascript": "window.dispatchEvent(new Event('mathdl-run'))",
        "text": "Run here",
        "tooltip": "Run the cells in this page, in your browser",
        "icon": "fas fa-play",
        "label": "launch-run",
    }
    listed = [here] if live else []
    if not place.repository:
        return listed
    hub = hub_link(place, path, place.hub) if place.hub else generator_link(place, path)
    away = (
        ("binder", "JupyterLab (Binder)", binder_link(place, path), "on a server of Binder"),
        ("colab", "Colab", colab_link(place, path), "on a server of Google"),
        ("hub", "My JupyterHub", hub, "on your JupyterHub"),
    )
    return listed + [
        {
            "type": "link",
            "url": html.escape(url),
            "text": text,
            "tooltip": f"Open this page as a notebook {where}",
            "icon": "fas fa-arrow-up-right-from-square",
            "label": f"launch-{name}",
        }
        for name, text, url, where in away
        if url
    ]


def downloads(made: Notebooks) -> list[dict[str, str]]:
    """Return the notebooks of a page as entries of a menu, with their paths as addresses.

    Parameters
    ----------
    made : Notebooks
        The notebooks.
    """
    first = "Notebook to fill in" if made.lab else "Notebook"
    named = [(first, made.first, "notebook"), ("Solved notebook", made.solved, "solved")]
    return [
        {
            "type": "link",
            "url": path,
            "text": f"{said} (.ipynb)",
            "tooltip": f"Download: {said.lower()}",
            "icon": "fas fa-code",
            "label": f"download-{label}-button",
        }
        for said, path, label in named
        if path
    ]


def offer(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Give a page with code its menu, into which what else can be downloaded goes as well."""
    made = notebooks_of(app, pagename)
    if made is None:
        return
    groups = context.get("header_buttons", [])
    taken = [group for group in groups if group.get("label") == "download-buttons"]
    rest = [button for group in taken for button in group["buttons"]]
    for button in rest:
        if button.get("label") == "download-source-button":
            button["text"] = "Source (.md)"
    listed = downloads(made)
    for entry in listed:
        entry["url"] = context["pathto"](entry["url"], 1)
    live = LIVE in app.env.metadata[pagename]
    menu = {
        "type": "group",
        "tooltip": "Run or download this page",
        "icon": "fas fa-rocket",
        "label": "launch-buttons",
        "buttons": [*runs(app.mathdl_place, made.first, live=live), *listed, *rest],
    }
    context["header_buttons"] = [menu, *(group for group in groups if group not in taken)]


def configure(app: Sphinx, config: Config) -> None:
    """Take the places from the configuration, before the theme makes a menu of its own of them."""
    options = config.html_theme_options
    given = options.pop("launch_buttons", None) or {}
    app.mathdl_place = Place(
        options.get("repository_url", ""),
        branch_of(edition_named(os.environ.get(VARIABLE))),
        (given.get("binderhub_url") or BINDER).rstrip("/"),
        (given.get("jupyterhub_url") or "").rstrip("/"),
    )


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write ``launch.json``, from which the link builder knows what can be opened where."""
    if exception or app.builder.format != "html":
        return
    pages = {}
    for docname in toc_docnames(Path(app.srcdir)):
        if made := notebooks_of(app, docname):
            pages[docname] = {"notebook": made.first, "live": LIVE in app.env.metadata[docname]}
            if made.solved:
                pages[docname]["solved"] = made.solved
    launch = {"schema": VERSION, **asdict(app.mathdl_place), "pages": pages}
    path = Path(app.outdir) / "launch.json"
    path.write_text(json.dumps(launch, indent=1) + "\n", encoding="utf-8")


# ---- the form that builds links ------------------------------------------------------------

FORM = """\
<div class="choose linking" data-root="{root}" hidden>
<form>
<p class="choose-form">
<label class="linking-wide">Find <input type="search" name="q" autocomplete="off"></label>
<label class="linking-wide">Link to <select name="id" size="8"></select></label>
<label>In order to <select name="to">
<option value="read">read it</option>
<option value="run">run it in the page</option>
<option value="binder">open it in JupyterLab (Binder)</option>
<option value="hub">open it on my JupyterHub (nbgitpuller)</option>
<option value="colab">open it in Colab</option>
<option value="notebook">download the notebook, of a lab the one to fill in</option>
</select></label>
<label hidden>Edition <select name="edition"></select></label>
<label class="linking-wide" hidden>Address of the JupyterHub
<input type="text" inputmode="url" name="hub" placeholder="https://hub.example.edu"></label>
<label class="linking-wide">Where the book is published
<input type="text" inputmode="url" name="site"></label></p>
<p class="linking-wrong" role="alert"></p>
<p class="choose-form"><label class="linking-wide">The link
<input type="text" class="linking-result" readonly></label></p>
<p class="choose-tools">
<button type="button" data-copy="link" disabled>Copy the link</button>
<button type="button" data-copy="markdown" disabled>As Markdown</button>
<button type="button" data-copy="html" disabled>As HTML</button>
<a class="linking-open">Open it</a></p>
<p class="choose-count" role="status"></p>
</form>
</div>
<p class="choose-offline">The form needs a script, and a catalogue that a browser may not read where
a page was opened from a folder.
Without them: the address of a section is in the sign beside its heading, and the menu of its page
has the links to its notebook.</p>
"""


class LinkBuilder(SphinxDirective):
    """A form for a link to any part of the book, as it is to be opened."""

    def run(self) -> list[nodes.Node]:
        """Return the form, which a script fills."""
        self.env.metadata[self.env.docname][LINKS] = "yes"
        form = FORM.format(root="../" * self.env.docname.count("/"))
        return [nodes.raw("", form + SHOW_FORM, format="html")]


def add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Load the module on the page that needs it."""
    if LINKS in app.env.metadata.get(pagename, ()):
        app.add_js_file("links.js", type="module", **{"data-edition": app.config.mathdl_edition})


# ---- the branch ----------------------------------------------------------------------------

ABOUT = """\
# Notebooks of {title}

The notebooks of {repository}, made by its build from commit `{commit}`.
This branch is written by that build: change the pages there, not these files.

[![Open in JupyterLab on Binder](https://mybinder.org/badge_logo.svg)]({binder})

`.binder/` installs what they need, and the first cell of each installs what is missing elsewhere.
"""


def make_tree(root: Path, html: Path, target: Path, title: str, commit: str) -> int:
    """Write what the branch of the notebooks holds, and return how many notebooks there are.

    Parameters
    ----------
    root : Path
        The book.
    html : Path
        The built site.
    target : Path
        Folder to write; what is in it goes.
    title : str
        Of the book.
    commit : str
        Commit that was built.
    """
    launch = json.loads((html / "launch.json").read_text(encoding="utf-8"))
    place = Place(**{name: launch[name] for name in ("repository", "branch", "binder", "hub")})
    made = [page.get(key) for page in launch["pages"].values() for key in ("notebook", "solved")]
    names = [name for name in made if name]
    shutil.rmtree(target, ignore_errors=True)
    for name in KEPT:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy2
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(root / name, target / name, **IGNORED if copy is shutil.copytree else {})
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(html / name, target / name)
    about = ABOUT.format(
        title=title,
        repository=place.repository,
        commit=commit,
        binder=binder_link(place, FOLDER),
    )
    (target / "README.md").write_text(about, encoding="utf-8")
    return len(names)


def main(arguments: list[str]) -> None:
    """Write the branch of the notebooks into a folder: ``python -m mathdl_book.launch FOLDER``.

    Parameters
    ----------
    arguments : list of str
        The folder.
    """
    root = Path.cwd()
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    target = Path(arguments[0])
    html = root / "_build" / "html"
    count = make_tree(root, html, target, config["title"], commit_of(str(root)))
    print(f"{count} notebooks, and what they take, in {target}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the menu."""
    rules = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    app.add_config_value("mathdl_launch_rules", rules, "html")  # a change writes every page anew
    app.connect("config-inited", configure, priority=600)  # after the repository is known
    app.connect("doctree-read", note_cells)
    app.add_directive("link-builder", LinkBuilder)
    app.connect("html-page-context", offer, priority=950)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main(sys.argv[1:])
