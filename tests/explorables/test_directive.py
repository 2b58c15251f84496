"""What the directive makes of a page: plain HTML that stands by itself until the modules come."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mathdl_book.explorables import data_file, live_html, read_spec

EXPLORABLES = Path(__file__).parents[2] / "explorables"
NAMES = sorted(path.parent.name for path in EXPLORABLES.glob("*/spec.json"))


@pytest.mark.parametrize("name", NAMES)
def test_every_control_is_native_and_labelled(name: str) -> None:
    spec = read_spec(EXPLORABLES / name)
    for control in spec["controls"]:
        if isinstance(control.get("options"), str):
            control["options"] = {"a": "A"}
    page = live_html(name, spec, spec["described"])
    ids = re.findall(r'<(?:input|select)[^>]*\sid="([^"]+)"', page)
    assert sorted(ids) == sorted(re.findall(r'<label for="([^"]+)"', page))
    assert len(ids) == len(set(ids))
    for kind in ("range", "select", "check"):
        for control in spec["controls"]:
            if control["type"] == kind:
                assert f'name="{control["name"]}"' in page
    assert 'role="status"' in page and len(spec["described"]) > 60
    for control in spec["controls"]:
        if control["type"] == "range":
            assert control["min"] <= control["value"] <= control["max"]


def test_the_page_holds_controls_data_and_static_figures(explorables_page: Path) -> None:
    page = explorables_page.read_text(encoding="utf-8")
    static = explorables_page.parents[1] / "_static" / "explorables"
    assert all(f'id="explorable-{name}"' in page for name in NAMES)
    assert page.count('class="explorable-live"') == len(NAMES)
    assert page.count("explorable-static") >= len(NAMES)
    assert page.count("explorables/lib/loader.js") == page.count("lib/explorable.css") == 1
    assert "what the explorable" not in page  # the text is for notebooks
    for name in NAMES:
        assert (static / name / "view.js").is_file() and (static / name / "math.js").is_file()
    assert {path.parent.name for path in static.rglob("*.json")} == {"data"}
    for name in ("landscape-3d", "schedule-builder"):
        address = data_file("book/explorables", name)
        assert f'data-data="{address}?v=' in page
        assert json.loads((static / address).read_text(encoding="utf-8"))


def test_other_pages_load_nothing_of_it(explorables_page: Path) -> None:
    other = (explorables_page.parent / "chapter.html").read_text(encoding="utf-8")
    assert "explorables/" not in other


def test_an_unknown_explorable_or_control_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no explorable 'waves'"):
        read_spec(tmp_path / "waves")
    (tmp_path / "spec.json").write_text('{"controls": [{"type": "knob", "name": "x"}]}')
    with pytest.raises(ValueError, match="'knob' is no control"):
        read_spec(tmp_path)
