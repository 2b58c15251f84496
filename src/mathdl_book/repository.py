"""Where the book lives: the repository behind launch menus, edit links and the citation.

A fork works untouched: the address and the branch come from the environment of CI, else from the
git remote, and only then from ``_config.yml``.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config


def web_address(remote: str) -> str | None:
    """Return the web address of a git remote, None if it has none.

    Parameters
    ----------
    remote : str
        As ``git remote get-url`` prints it: https, ssh or ``user@host:path`` form, or a folder.

    Examples
    --------
    >>> web_address("git@github.com:someone/book.git")
    'https://github.com/someone/book'
    >>> web_address("ssh://git@example.org:2222/someone/book")
    'https://example.org/someone/book'
    >>> web_address("https://name:secret@github.com/someone/book.git")
    'https://github.com/someone/book'
    >>> web_address("/srv/git/book.git") is None
    True
    """
    remote = remote.strip()
    patterns = (
        r"(?:https?|ssh|git)://(?:[^@/]*@)?(?P<host>[^/:]+)(?::\d+)?/(?P<path>.+)",
        r"(?:[^@/\s]+@)(?P<host>[^/:]+):(?P<path>[^/].*)",
    )
    for pattern in patterns:
        if found := re.fullmatch(pattern, remote):
            path = found["path"].strip("/").removesuffix(".git")
            return f"https://{found['host']}/{path}"
    return None


def from_environment(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return address and branch as CI states them, None outside CI.

    Parameters
    ----------
    environ : mapping of str to str
        Environment variables, of GitHub's or GitLab's CI.
    """
    if environ.get("GITHUB_REPOSITORY"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
        # A pull request's own ref is no branch of this repository; what it is to become part of is.
        branch = environ.get("GITHUB_BASE_REF") or environ.get("GITHUB_REF_NAME") or "main"
        return f"{server}/{environ['GITHUB_REPOSITORY']}", branch
    if environ.get("CI_PROJECT_URL"):
        branch = environ.get("CI_COMMIT_REF_NAME") or environ.get("CI_DEFAULT_BRANCH") or "main"
        return environ["CI_PROJECT_URL"].rstrip("/"), branch
    return None


def git(root: Path, *arguments: str) -> str:
    """Return what git says in a folder, stripped; empty where it fails or there is none.

    Parameters
    ----------
    root : Path
        The folder.
    *arguments : str
        What to ask.
    """
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError:  # no git here
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def from_git(root: Path) -> tuple[str, str] | None:
    """Return address and branch of the git checkout, None if it has no remote on the web.

    Parameters
    ----------
    root : Path
        Root of the book.
    """
    top = git(root, "rev-parse", "--show-toplevel")
    # A book inside a checkout of something else is not that checkout's.
    if not top or Path(top).resolve() != root.resolve():
        return None
    branch = git(root, "symbolic-ref", "--short", "HEAD")
    remote = git(root, "config", f"branch.{branch}.remote") if branch else ""
    url = web_address(git(root, "remote", "get-url", remote or "origin"))
    if url is None:
        return None
    if not branch:  # a detached checkout: the remote's own default
        branch = git(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD").partition("/")[2]
    return url, branch or "main"


def configure(app: Sphinx, config: Config) -> None:
    """Put address and branch where the theme and the pages look for them."""
    found = from_environment(os.environ) or from_git(Path(app.srcdir))
    options = config.html_theme_options
    if found:
        options["repository_url"], options["repository_branch"] = found
    config.myst_substitutions = {
        **config.myst_substitutions,
        "repository": options.get("repository_url", ""),
        "branch": options.get("repository_branch", ""),
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("config-inited", configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
