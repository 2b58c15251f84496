"""The programs of Node's world that look at a built site, pinned in package-lock.json."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from mathdl_book.typesetting import node_binary

HERE = Path(__file__).parent / "site"
WHERE = HERE.parents[1] / "_build" / "site-tools"


def npm() -> list[str]:
    """Return the command that is npm: Node's own from PyPI, else the system's."""
    node = Path(node_binary())
    script = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)] if script.is_file() else ["npm"]


def installed(*, everything: bool = False) -> Path:
    """Return the folder with the programs, installed there if they are not yet.

    Parameters
    ----------
    everything : bool
        With Lighthouse, which is large; else html-validate alone.
    """
    folder = WHERE / ("all" if everything else "few")
    locked = (HERE / "package-lock.json").read_bytes()
    stamp = folder / "installed"
    if not stamp.is_file() or stamp.read_text() != hashlib.sha256(locked).hexdigest():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        if not everything:
            command.append("--omit=optional")
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        stamp.write_text(hashlib.sha256(locked).hexdigest())
    return folder


def invalid(pages: list[Path]) -> list[str]:
    """Return what html-validate finds wrong in HTML files, as `file:line: rule: message`.

    It holds to the HTML standard, all of it: no rule of that preset is switched off.

    Parameters
    ----------
    pages : list of Path
        The files.
    """
    folder = installed()
    tool = folder / "node_modules" / "html-validate" / "bin" / "html-validate.mjs"
    command = [node_binary(), "--max-old-space-size=4096", str(tool), "--formatter", "json"]
    result = subprocess.run(
        [*command, "--config", str(HERE / "html-validate.json"), *map(str, pages)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode not in (0, 1) or not result.stdout:
        raise RuntimeError(result.stderr)
    return [
        f"{one['filePath']}:{message['line']}: {message['ruleId']}: {message['message']}"
        for one in json.loads(result.stdout)
        for message in one["messages"]
    ]
