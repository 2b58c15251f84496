"""Git for the tests that need a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROLES = ("AUTHOR", "COMMITTER")
NOBODY = {f"GIT_{one}_{key}": "a@b" for one in ROLES for key in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str, day: str = "2026-01-01") -> str:
    """Run git in a folder as nobody in particular, on a given day; return what it says."""
    when = {f"GIT_{one}_DATE": f"{day}T12:00:00Z" for one in ROLES}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **NOBODY, **when},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
