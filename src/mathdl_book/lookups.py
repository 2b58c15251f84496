"""Answers that Sphinx and pybtex would look up anew for every reference, remembered for a build.

A reference to a numbered figure makes Sphinx load the whole page that has it; a citation makes
pybtex read the metadata of every installed package. In a book of chapters that is a good part of
the time that writing takes.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pybtex.plugin
from docutils import nodes
from sphinx.domains.std import StandardDomain

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


class Remembering:
    """An environment that loads each page once, for those who only look into it.

    Parameters
    ----------
    env : BuildEnvironment
        The environment of the build.
    """

    def __init__(self, env: BuildEnvironment) -> None:
        self._env = env
        self._pages: dict[str, nodes.document] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def get_doctree(self, docname: str) -> nodes.document:
        """Return a page as it was read; not to be changed."""
        if docname not in self._pages:
            self._pages[docname] = self._env.get_doctree(docname)
        return self._pages[docname]


class RememberingDomain(StandardDomain):
    """Sphinx's standard domain, with references to numbers from remembered pages."""

    def _resolve_numref_xref(self, env: BuildEnvironment, *args: Any) -> nodes.Element | None:
        if not hasattr(env.app, "_mathdl_remembering"):
            env.app._mathdl_remembering = Remembering(env)
        return super()._resolve_numref_xref(env.app._mathdl_remembering, *args)


def setup(app: Sphinx) -> dict[str, Any]:
    """Put the remembering domain in place of Sphinx's own, and let pybtex remember."""
    app.add_domain(RememberingDomain, override=True)
    load = pybtex.plugin._load_entry_point
    if not hasattr(load, "cache_info"):
        pybtex.plugin._load_entry_point = cache(load)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
