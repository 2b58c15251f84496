"""What is kept of each page from when Sphinx reads it until it reads it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.environment.collectors import EnvironmentCollector

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


class PerPage(EnvironmentCollector):
    """Keeps in the environment what `look` finds on each page.

    A subclass names the environment's attribute, ``kept_as``, and defines ``look``. Who changes
    what ``look`` returns raises the version of the environment in `mathdl_book.setup`.
    """

    kept_as: str

    def look(self, env: BuildEnvironment, doctree: nodes.document) -> Any:
        """Return what is to be kept of the page that has just been read, ``env.docname``."""
        raise NotImplementedError

    @classmethod
    def of(cls, env: BuildEnvironment) -> dict[str, Any]:
        """Return what is kept, by page."""
        if not hasattr(env, cls.kept_as):
            setattr(env, cls.kept_as, {})
        return getattr(env, cls.kept_as)

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Look at a page."""
        self.of(app.env)[app.env.docname] = self.look(app.env, doctree)

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        """Forget a page that is read again or is gone."""
        self.of(env).pop(docname, None)

    def merge_other(
        self, app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment
    ) -> None:
        """Take over the pages that another process has read."""
        theirs = self.of(other)
        self.of(env).update({name: theirs[name] for name in docnames if name in theirs})
