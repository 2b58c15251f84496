"""Pages that only lead on: to where a page has moved, to the newest edition, to the first page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any


def leading_page(
    to: str, title: str, said: str = "", moved: Mapping[str, tuple[str, str]] | None = None
) -> str:
    """Return the HTML of a page that leads to another at once and keeps query and fragment.

    Without JavaScript a refresh and a link lead there.

    Parameters
    ----------
    to : str
        Address of the other page, relative to this one.
    title : str
        What the page is called.
    said : str, optional
        What stands before the link.
    moved : mapping, optional
        Fragment with its ``#`` → page and fragment, where it is not the same in the other page.

    Examples
    --------
    >>> '<a href="b.html">B</a>' in leading_page("b.html", "B")
    True
    """
    there = escape(to)
    name = escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{name}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="canonical" href="{there}">\n'
        f"<script>const moved = {script_json(dict(moved or {}))};\n"
        f"const [page, id] = moved[location.hash] ?? [{script_json(to)}, location.hash];\n"
        "location.replace(page + location.search + id);</script>\n"
        f'<noscript><meta http-equiv="refresh" content="0; url={there}"></noscript>\n'
        f"</head>\n<body>\n<p>{escape(said)}{' ' * bool(said)}"
        f'<a href="{there}">{name}</a></p>\n</body>\n</html>\n'
    )


def script_json(value: Any) -> str:
    """Return JSON that may stand in a script.

    Examples
    --------
    >>> print(script_json(["a", "b"]))
    ["a", "b"]
    >>> "<" in script_json("</script>")
    False
    """
    return json.dumps(value).replace("<", "\\u003c")
