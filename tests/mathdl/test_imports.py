"""What importing a module brings along."""

import pkgutil
import subprocess
import sys

import mathdl

OTHERS = ("torch", "scipy", "sklearn", "matplotlib", "sphinx", "IPython")
SCRIPT = """
import importlib, sys
for name in sys.argv[1].split():
    importlib.import_module(name)
    for other in sys.argv[2].split():
        if other in sys.modules:
            sys.exit(f"{name} imports {other}")
"""


def test_no_module_imports_more_than_numpy() -> None:
    names = [module.name for module in pkgutil.walk_packages(mathdl.__path__, "mathdl.")]
    assert {"mathdl.plots", "mathdl.checks", "mathdl.optim"} < set(names)
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, " ".join(names), " ".join(OTHERS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_package_itself_imports_nothing() -> None:
    code = "import mathdl, sys; print([name for name in sys.modules if name.startswith('mathdl.')])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
