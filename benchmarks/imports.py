"""How long importing each module of `mathdl` takes over NumPy's own import.

Run ``python benchmarks/imports.py``. Each import in a fresh process, in turn; medians.
"""

from __future__ import annotations

import pkgutil
import statistics
import subprocess
import sys

import mathdl

ROUNDS = 7
SCRIPT = """
import time
import numpy
start = time.process_time()
import mathdl.{name}
print(time.process_time() - start)
"""


def names() -> list[str]:
    """Return the public modules and packages."""
    found = (module.name for module in pkgutil.iter_modules(mathdl.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def seconds(name: str) -> float:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name=name)], capture_output=True, text=True, check=True
    )
    return float(result.stdout)


if __name__ == "__main__":
    for name in names():
        seconds(name)  # the bytecode is compiled
    times: dict[str, list[float]] = {name: [] for name in names()}
    for _ in range(ROUNDS):
        for name, samples in times.items():
            samples.append(seconds(name))
    for name, samples in sorted(times.items(), key=lambda item: -statistics.median(item[1])):
        print(f"  mathdl.{name:14s} {statistics.median(samples):.3f} s over NumPy's import")
