"""What is remembered for a build is what would have been looked up."""

from __future__ import annotations

from types import SimpleNamespace

import pybtex.plugin
import pytest

from mathdl_book import lookups
from mathdl_book.lookups import Remembering


def test_each_page_is_loaded_once():
    loaded = []

    def get_doctree(docname):
        loaded.append(docname)
        return object()

    env = Remembering(SimpleNamespace(get_doctree=get_doctree, config="the configuration"))
    assert env.get_doctree("a") is env.get_doctree("a") is not env.get_doctree("b")
    assert loaded == ["a", "b"]
    assert env.config == "the configuration"
    with pytest.raises(AttributeError, match="absent"):
        _ = env.absent


def test_pybtex_finds_and_misses_as_before(monkeypatch):
    monkeypatch.setattr(pybtex.plugin, "_load_entry_point", pybtex.plugin._load_entry_point)
    domains = []
    lookups.setup(SimpleNamespace(add_domain=lambda domain, override: domains.append(domain.name)))
    assert domains == ["std"]
    style = pybtex.plugin.find_plugin("pybtex.style.formatting", "plain")
    assert style is pybtex.plugin.find_plugin("pybtex.style.formatting", "plain")
    assert style.__name__ == "Style"
    with pytest.raises(pybtex.plugin.PluginNotFound):
        pybtex.plugin.find_plugin("pybtex.style.formatting", "absent")
