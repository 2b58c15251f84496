"""What other books can refer to by name: also equations, definitions, theorems and exercises.

Sphinx lists headings and captioned figures in ``objects.inv``, but neither equations nor what its
extensions number. Here they follow as labels, so that ``{external+mathdl:ref}`eq-chain-rule```
works from any Sphinx book that names this one in its ``intersphinx_mapping``.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalogue import entries
from .choosing import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

INVENTORY = "objects.inv"
HEADER_LINES = 4


def extended(inventory: bytes, listed: Iterable[dict[str, Any]]) -> bytes:
    """Return an inventory with a label for everything of the catalogue that it lacks.

    Parameters
    ----------
    inventory : bytes
        As Sphinx writes it: four lines of header, then compressed lines.
    listed : iterable of dict
        Entries of the catalogue.

    Raises
    ------
    ValueError
        If it is no inventory of version 2.
    """
    *header, packed = inventory.split(b"\n", HEADER_LINES)
    if header[:1] != [b"# Sphinx inventory version 2"]:
        raise ValueError("objects.inv is no inventory of version 2")
    lines = zlib.decompress(packed).decode().splitlines()
    listed = list(listed)
    # An exercise is listed, but with nothing for its name but the word.
    bare = {entry["id"] for entry in listed if entry["kind"] == "exercise"}
    lines = [line for line in lines if line.split(" ", 1)[0] not in bare]
    known = {line.split(" ", 1)[0] for line in lines if " std:label " in line}
    for entry in listed:
        if entry["id"] not in known:
            said = " ".join(named(entry).split())
            lines.append(f"{entry['id']} std:label -1 {entry['url']} {said}")
    text = "".join(f"{line}\n" for line in sorted(lines))
    return b"\n".join([*header, zlib.compress(text.encode(), 9)])


def extend(app: Sphinx, exception: Exception | None) -> None:
    """Add to the inventory that Sphinx has written."""
    path = Path(app.outdir) / INVENTORY
    if exception or app.builder.format != "html" or not path.is_file():
        return
    path.write_bytes(extended(path.read_bytes(), entries(app.env)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook."""
    app.connect("build-finished", extend)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
