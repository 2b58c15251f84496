"""Editions: ``/latest/`` from the main branch, beside it a folder for each tag, kept for good.

A build with ``MATHDL_EDITION`` is one edition: its own address is below the site's, search engines
are led to the latest one, and pages of a tagged one look on load whether there is a newer.
``assemble`` puts a built edition into the folder of the whole site, in which it replaces that
edition and nothing else; ``publish`` does so in the branch that Pages serves. Both need Python and
git only, so that the job which may write to the repository installs nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mathdl_book.leading import leading_page

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

LATEST = "latest"
NAME = re.compile(r"latest|20\d\d(?:[.-][a-z0-9]+)*")
VARIABLE = "MATHDL_EDITION"
ABOUT = "edition.json"  # in an edition: its line of the list
LIST = "editions.json"  # at the root of the site
SCRIPT = "editions.js"
BRANCH = "gh-pages"
# What the newest edition lends to the root, where it is looked for: a host asks for these there,
# and other books' references that name the root still find theirs.
LENT = ("404.html", "robots.txt", "objects.inv")
PAGES = "book"  # folder of an edition's pages, whose addresses at the root lead on
LARGEST = 1_000_000_000  # bytes of a site on GitHub Pages


# ---- assembling the site -------------------------------------------------------------------


def in_order(listed: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return editions as readers choose from them: the latest, then from new to old.

    Parameters
    ----------
    listed : list of dict
        Editions with ``name``, ``title``, ``date`` and ``url``.

    Examples
    --------
    >>> names = [("2026.2", "2026-03-01"), ("2026.10", "2026-03-01"), ("latest", "2026-01-01")]
    >>> [one["name"] for one in in_order([{"name": n, "date": d} for n, d in names])]
    ['latest', '2026.10', '2026.2']
    """

    def place(one: dict[str, str]) -> tuple[bool, str, list[tuple[bool, int, str]]]:
        words = re.split(r"[.-]", one["name"])
        parts = [(word.isdigit(), int(word) if word.isdigit() else 0, word) for word in words]
        return one["name"] == LATEST, one["date"], parts

    return sorted(listed, key=place, reverse=True)


def about_site(site: Path, name: str | None) -> dict[str, str]:
    """Return what a built site says of the edition that it is.

    Parameters
    ----------
    site : Path
        The built site.
    name : str or None
        The edition that it should be, if that matters.

    Raises
    ------
    ValueError
        If it is none, or another.
    """
    path = site / ABOUT
    if not path.is_file():
        wanted = name or LATEST
        raise ValueError(f"{site} is no edition: build the book with {VARIABLE}={wanted}")
    about = json.loads(path.read_text(encoding="utf-8"))
    if name and about["name"] != name:
        raise ValueError(f"{site} is edition {about['name']}: build with {VARIABLE}={name}")
    return about


def assemble(site: Path, into: Path, name: str | None = None) -> list[dict[str, str]]:
    """Put an edition into the folder of the whole site; return all editions that are there now.

    The edition takes the place of one with the same name; no other is touched. The root leads to
    the newest, and so do the addresses that its pages would have at the root.

    Parameters
    ----------
    site : Path
        The built edition.
    into : Path
        Folder of the whole site; made if it is not there.
    name : str, optional
        The edition that it must be.

    Raises
    ------
    ValueError
        If the built site is no edition, or another one than named.
    """
    about = about_site(site, name)
    into.mkdir(parents=True, exist_ok=True)
    target, coming = into / about["name"], into / f".{about['name']}"
    shutil.rmtree(coming, ignore_errors=True)
    shutil.copytree(site, coming)
    shutil.rmtree(target, ignore_errors=True)
    coming.rename(target)
    path = into / LIST
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    others = [one for one in kept if one["name"] != about["name"] and (into / one["name"]).is_dir()]
    listed = in_order([*others, about])
    path.write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_root(into, listed[0]["name"])
    return listed


def write_root(into: Path, newest: str) -> None:
    """Write what stands at the root: the ways into the newest edition, and what it lends.

    Parameters
    ----------
    into : Path
        Folder of the whole site.
    newest : str
        Name of the edition that the root leads to.
    """
    edition = into / newest
    (into / ".nojekyll").touch()  # or Pages leaves out folders such as _static
    page = leading_page(f"{newest}/", "The newest edition", "The book is in")
    (into / "index.html").write_text(page, encoding="utf-8")
    for name in LENT:
        (into / name).unlink(missing_ok=True)
        if (edition / name).is_file():
            shutil.copyfile(edition / name, into / name)
    shutil.rmtree(into / PAGES, ignore_errors=True)
    for path in sorted((edition / PAGES).rglob("*.html")):
        name = path.relative_to(edition)
        up = "../" * (len(name.parts) - 1)
        way = into / name
        way.parent.mkdir(parents=True, exist_ok=True)
        to = f"{up}{newest}/{name.as_posix()}"
        page = leading_page(to, name.with_suffix("").as_posix(), "This page is now at")
        way.write_text(page, encoding="utf-8")


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# ---- publishing it -------------------------------------------------------------------------


def publish(
    site: Path,
    repository: Path,
    name: str | None = None,
    *,
    remote: str = "origin",
    branch: str = BRANCH,
    attempts: int = 5,
) -> list[dict[str, str]]:
    """Put an edition into the branch that Pages serves; return all editions that are there now.

    The branch has one commit without a history, so that clones stay small. If another job has
    published meanwhile, this edition is put into what it left.

    Parameters
    ----------
    site : Path
        The built edition.
    repository : Path
        A checkout whose remote may be pushed to.
    name : str, optional
        The edition that it must be.
    remote, branch : str, optional
        Where to.
    attempts : int, optional
        How often to begin anew when someone else was faster.

    Raises
    ------
    RuntimeError
        If git refuses, or someone else was always faster.
    ValueError
        See `assemble`.
    """
    ref = f"refs/heads/{branch}"
    for _ in range(attempts):
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "site"
            whole.mkdir()
            # The checkout lends its objects and its credentials; its files are left alone.
            about = _git(repository, "rev-parse", "--absolute-git-dir")
            env = {"GIT_DIR": about, "GIT_WORK_TREE": str(whole), "GIT_INDEX_FILE": f"{whole}.idx"}
            before = _git(whole, "ls-remote", remote, ref, env=env).partition("\t")[0]
            if before:
                _git(whole, "fetch", "--quiet", "--no-tags", remote, ref, env=env)
                _git(whole, "read-tree", before, env=env)
                _git(whole, "checkout-index", "--all", env=env)
            listed = assemble(site, whole, name)
            if (bytes_ := size_of(whole)) > LARGEST:
                print(f"warning: the site has {bytes_ / 1e9:.1f} GB; Pages takes 1", flush=True)
            _git(whole, "add", "--all", "--force", ".", env=env)
            tree = _git(whole, "write-tree", env=env)
            said = f"Publish {about_site(site, name)['name']}"
            who = ("-c", "user.name=editions", "-c", "user.email=editions@localhost")
            commit = _git(whole, *who, "commit-tree", tree, "-m", said, env=env)
            lease = f"--force-with-lease={ref}:{before}"
            pushed = _run(whole, "push", "--quiet", lease, remote, f"{commit}:{ref}", env=env)
            if pushed.returncode == 0:
                return listed
            if not re.search(r"stale info|fetch first|cannot lock ref|rejected", pushed.stderr):
                raise RuntimeError(f"git push: {pushed.stderr.strip()}")
    raise RuntimeError(f"{branch} changed {attempts} times while this was being published")


def _run(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _git(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    done = _run(folder, *arguments, env=env)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments, by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m mathdl_book.editions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    into = commands.add_parser("assemble", help="put a built edition into the whole site's folder")
    into.add_argument("--into", type=Path, required=True, help="the folder of the whole site")
    onto = commands.add_parser("publish", help="put it into the branch that Pages serves")
    onto.add_argument("--remote", default="origin", help="of the checkout that this runs in")
    onto.add_argument("--branch", default=BRANCH)
    for command in (into, onto):
        command.add_argument("site", type=Path, help="the built edition, as _build/html")
        command.add_argument("--edition", help="the edition that it must be")
    options = parser.parse_args(arguments)
    try:
        if options.command == "assemble":
            listed = assemble(options.site, options.into, options.edition)
        else:
            where = {"remote": options.remote, "branch": options.branch}
            listed = publish(options.site, Path(), options.edition, **where)
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print("editions: " + ", ".join(one["name"] for one in listed))
    return 0


# ---- building one --------------------------------------------------------------------------


def edition_named(name: str | None) -> str:
    """Return the edition that a build is, empty if it is none.

    Parameters
    ----------
    name : str or None
        As the environment gives it.

    Raises
    ------
    ValueError
        If it is no name for an edition.

    Examples
    --------
    >>> edition_named("2026.1"), edition_named("2026-autumn"), edition_named(None)
    ('2026.1', '2026-autumn', '')
    """
    if name and not NAME.fullmatch(name):
        raise ValueError(f"{VARIABLE}={name!r}: an edition is 'latest', or a year and more: 2026.1")
    return name or ""


def described(name: str, date: str) -> dict[str, str]:
    """Return the line of an edition in the list of all.

    Parameters
    ----------
    name : str
        The edition.
    date : str
        Day of its last change.

    Examples
    --------
    >>> described("2026.1", "2026-02-03")["title"]
    'Edition 2026.1'
    """
    title = "Latest" if name == LATEST else f"Edition {name}"
    return {"name": name, "title": title, "date": date, "url": f"{name}/"}


def last_change(root: Path) -> str:
    """Return the day of a checkout's last commit, today where there is none."""
    try:
        return _git(root, "log", "-1", "--format=%cs")
    except (RuntimeError, OSError):  # no checkout, or no git here
        return datetime.datetime.now(datetime.UTC).date().isoformat()


def configure(app: Sphinx, config: Config) -> None:
    """Put the edition into the site's address, and let a tagged one look for a newer."""
    name = config.mathdl_edition = edition_named(os.environ.get(VARIABLE))
    if not name:
        return
    if config.html_baseurl:
        config.html_baseurl = f"{config.html_baseurl.rstrip('/')}/{name}/"
    if name != LATEST:
        # What a tag holds is not edited.
        config.html_theme_options["use_edit_page_button"] = False
        app.add_js_file(SCRIPT, loading_method="defer", **{"data-edition": name})


def lead_to_latest(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Name the latest edition's page as the one that search engines should show."""
    name, base = app.config.mathdl_edition, app.config.html_baseurl
    if name and base and context.get("pageurl"):
        whole = base.removesuffix(f"{name}/")
        context["pageurl"] = f"{whole}{LATEST}/{context['pageurl'].removeprefix(base)}"


def write_about(app: Sphinx, exception: Exception | None) -> None:
    """Write what edition this is; a build that is none leaves no such file behind."""
    if exception or app.builder.format != "html":
        return
    path, name = Path(app.outdir) / ABOUT, app.config.mathdl_edition
    path.unlink(missing_ok=True)
    if name:
        about = described(name, last_change(Path(app.srcdir)))
        path.write_text(json.dumps(about) + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.add_config_value("mathdl_edition", "", "html", str)
    app.connect("config-inited", configure, priority=610)  # the site's address is known
    app.connect("html-page-context", lead_to_latest)
    app.connect("build-finished", write_about)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.exit(main())
