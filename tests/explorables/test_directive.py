"""What the directive makes of a page: plain HTML that stands by itself until the modules come."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mathdl_book.explorables import (
    copy_modules,
    data_file,
    live_html,
    module_files,
    read_spec,
    version,
)

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
    folder = version(EXPLORABLES, module_files(EXPLORABLES, NAMES))
    assert page.count(f"_static/explorables/{folder}/lib/loader.js") == 1
    # Its style comes with the page, after that of all pages.
    assert page.index("/site.css?") < page.index(".explorable-handle {") < page.index("</head>")
    assert "what the explorable" not in page  # the text is for notebooks
    for name in NAMES:
        assert (static / folder / name / "view.js").is_file()
        assert (static / folder / name / "math.js").is_file()
    assert {path.parent.name for path in static.rglob("*.json")} == {"data"}
    for name in ("landscape-3d", "schedule-builder"):
        address = data_file("book/explorables", name)
        assert f'data-data="../{address}?v=' in page
        assert json.loads((static / address).read_text(encoding="utf-8"))


def test_other_pages_load_nothing_of_it(explorables_page: Path) -> None:
    other = (explorables_page.parent / "chapter.html").read_text(encoding="utf-8")
    assert "explorables/" not in other and ".explorable-handle" not in other


def test_an_unknown_explorable_or_control_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no explorable 'waves'"):
        read_spec(tmp_path / "waves")
    spec = {"title": "W", "described": "A wave.", "ratio": 1, "controls": []}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(ValueError, match=r"spec\.json lacks longest"):
        read_spec(tmp_path)
    spec |= {"longest": "It waves.", "controls": [{"type": "knob", "name": "x"}]}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(ValueError, match="'knob' is no control"):
        read_spec(tmp_path)


def test_other_modules_get_another_address_and_the_pages_name_it(tmp_path: Path) -> None:
    shutil.copytree(EXPLORABLES, tmp_path / "explorables")
    static = tmp_path / "html" / "_static" / "explorables"
    app = SimpleNamespace(
        srcdir=tmp_path,
        outdir=tmp_path / "html",
        config=SimpleNamespace(mathdl_explorables="explorables"),
        builder=SimpleNamespace(format="html"),
    )
    env = SimpleNamespace(mathdl_explorables={"book/a": ["svd-rank"], "book/b": []})
    (static / "data").mkdir(parents=True)
    assert copy_modules(app, env) == ["book/a"]
    first = env.mathdl_explorables_version
    assert {path.name for path in (static / first).iterdir()} == {"lib", "svd-rank"}
    assert copy_modules(app, env) == [] and env.mathdl_explorables_version == first
    with (tmp_path / "explorables" / "svd-rank" / "math.js").open("a") as file:
        file.write("// another\n")
    assert copy_modules(app, env) == ["book/a"]
    # No old module is left for a new page, and every import stays within the folder.
    assert {path.name for path in static.iterdir()} == {"data", env.mathdl_explorables_version}
    for module in (static / env.mathdl_explorables_version).rglob("*.js"):
        for address in re.findall(r'(?:from|import\() ?"([^"]+)"', module.read_text("utf-8")):
            assert (module.parent / address).is_file(), (module, address)
