"""Run every notebook of the built book in the environment of `.binder`, without its machinery.

    python tests/launch/execute.py [PART OF A PATH ...]

Makes the branch of the notebooks in `_build/notebooks`, as it is published, installs an environment
from the `.binder/requirements.txt` in it, copies each notebook to a folder elsewhere and runs it
there. The environment has the library and what notebooks need; `mathdl_book`, Sphinx and this
repository are out of reach, and nothing may be installed by a notebook's first cell. A page's
notebook and a solved lab must run to their end. A lab to fill in must run to the check of its first
step, and that must say what is still to be written.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mathdl_book.labs import steps_checked

ROOT = Path(__file__).parents[2]
TREE, WORK = ROOT / "_build" / "notebooks", ROOT / "_build" / "launch"
ENVIRONMENT = WORK / "environment"
CELL_LIMIT = 300  # seconds; two of these may run beside other work
# Runs in the environment, with what JupyterLab itself uses; then asks the kernel what it had
# at hand.
RUNNER = """
import json, sys, warnings
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
path, limit = sys.argv[1], int(sys.argv[2])
notebook = nbformat.read(path, as_version=4)
client = NotebookClient(notebook, timeout=limit, kernel_name="python3",
                        resources={"metadata": {"path": path.rpartition("/")[0]}})
found = {"error": None}
with client.setup_kernel():
    for index, cell in enumerate(notebook.cells):
        try:
            client.execute_cell(cell, index)
        except CellExecutionError as error:
            found["error"] = {"cell": index, "name": error.ename, "value": error.evalue}
            break
    ask = nbformat.v4.new_code_cell(
        "import importlib.util as u, json, mathdl, resource, sys\\n"
        "print(json.dumps({'library': list(mathdl.__path__)[0],"
        " 'machinery': u.find_spec('mathdl_book') is not None or u.find_spec('sphinx') is not None,"
        " 'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))")
    notebook.cells.append(ask)
    client.execute_cell(ask, len(notebook.cells) - 1)
    found.update(json.loads(ask.outputs[0]["text"]))
print(json.dumps(found))
"""


def python_of(environment: Path) -> Path:
    """Return the Python of an environment."""
    return environment / "bin" / "python"


def install(tree: Path, environment: Path) -> None:
    """Install the environment of a tree, unless it is there already."""
    wanted = tree / ".binder" / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes() + str(tree).encode()).hexdigest()
    stamp = environment / "installed"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    print(f"installing {wanted.relative_to(ROOT)} into {environment.relative_to(ROOT)}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(python_of(environment)), "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "-r", ".binder/requirements.txt"]
    subprocess.run(command, cwd=tree, env=clean_environment(environment), check=True)
    stamp.write_text(digest)


def clean_environment(environment: Path, home: str = "") -> dict[str, str]:
    """Return environment variables that know nothing of this repository."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "MATHDL_", "JUPYTER", "MPL"))
    }
    kept["PATH"] = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    kept |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return kept | ({"HOME": home, "PIP_NO_INDEX": "1"} if home else {})


def asked(notebook: dict[str, Any]) -> set[str]:
    """Return what a notebook asks its reader to write, by the names in its messages."""
    codes = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    return {
        name
        for code in codes
        for name in re.findall(r'raise NotImplementedError\("write ([^"]+)"\)', code)
    }


def objection(notebook: dict[str, Any], error: dict[str, Any] | None) -> str:
    """Return what is wrong with the way a notebook ended; empty where it ended as it must.

    Parameters
    ----------
    notebook : dict
        As it was before it ran.
    error : dict or None
        Index of the cell that failed, name and words of its error.
    """
    missing = asked(notebook)
    if not missing:
        return f"cell {error['cell']}: {error['name']}: {error['value']}" if error else ""
    if error is None:
        return "runs to its end although something is still to be written"
    codes = ["".join(cell["source"]) for cell in notebook["cells"]]
    first = next(
        (
            index
            for index, cell in enumerate(notebook["cells"])
            if cell["cell_type"] == "code" and steps_checked(codes[index])
        ),
        None,
    )
    if error["cell"] != first:
        return (
            f"stops at cell {error['cell']}, before or behind the check of its first step "
            f"(cell {first}): {error['name']}: {error['value']}"
        )
    (step, *_) = steps_checked(codes[first])
    said = re.match(rf"{re.escape(str(step))}: still to be written: `([^`]+)`", error["value"])
    if error["name"] != "StepFailed" or not said:
        return f"the check of {step} does not say what is missing: {error['value']}"
    written = {name.rpartition(".")[2] for name in missing}
    return "" if said[1] in written else f"the check of {step} asks for {said[1]}, which none is"


def run(path: Path, name: str, environment: Path, tree: Path) -> dict[str, Any]:
    """Run one notebook in a folder of its own, and return how it ended."""
    before = json.loads(path.read_text(encoding="utf-8"))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        command = [str(python_of(environment)), "-I", "-W", "ignore", "-c", RUNNER]
        done = subprocess.run(
            [*command, str(copy), str(CELL_LIMIT)],
            env=clean_environment(environment, home=folder),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    result = {"name": name, "seconds": round(time.monotonic() - started, 1)}
    if done.returncode:
        return result | {"objection": f"could not be run: {done.stderr.strip()[-2000:]}"}
    found = json.loads(done.stdout.splitlines()[-1])
    wrong = objection(before, found["error"])
    if not wrong and found["machinery"]:
        wrong = "the machinery of the book was at hand"
    if not wrong and Path(found["library"]) != tree / "src" / "mathdl":
        wrong = f"the library came from {found['library']}"
    return result | {"objection": wrong, "peak": found["peak"]}


def main() -> None:
    """Run the notebooks, print how each ended, and exit with 1 if one did not as it must."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="only paths that contain one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    command = [sys.executable, "-m", "mathdl_book.launch", str(TREE)]
    subprocess.run(command, cwd=ROOT, check=True)
    install(TREE, ENVIRONMENT)
    names = sorted(p.relative_to(TREE).as_posix() for p in (TREE / "notebooks").rglob("*.ipynb"))
    names = [n for n in names if not given.parts or any(part in n for part in given.parts)]
    if not names:
        sys.exit("no such notebook")
    started = time.monotonic()
    results = []
    with concurrent.futures.ThreadPoolExecutor(max(1, given.jobs)) as pool:
        waiting = [pool.submit(run, TREE / name, name, ENVIRONMENT, TREE) for name in names]
        for done in concurrent.futures.as_completed(waiting):
            result = done.result()
            results.append(result)
            size = f"{result['peak'] / 2**20:5.0f} MiB" if "peak" in result else " " * 9
            said = result["objection"] or "as it must"
            print(f"{result['seconds']:6.1f} s {size}  {result['name']}: {said}", flush=True)
    report = WORK / "notebooks.json"
    known = json.loads(report.read_text()) if report.is_file() and given.parts else {}
    known |= {result["name"]: result for result in results}
    report.write_text(json.dumps(dict(sorted(known.items())), indent=1))
    wrong = [result for result in results if result["objection"]]
    took = time.monotonic() - started
    print(f"{len(results)} notebooks, {len(wrong)} not as they must, {took:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
