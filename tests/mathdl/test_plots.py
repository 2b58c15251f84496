from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import nbformat
import pytest
from nbclient import NotebookClient

from mathdl import plots

PAPER = {"light": "#fffefc", "dark": "#15181c"}

mpl.use("agg")


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def figure():
    import matplotlib.pyplot as plt

    with mpl.rc_context(plots.style()):
        drawn, ax = plt.subplots()
        for k in range(6):
            ax.plot([0, 1], [0, k], label=f"$k={k}$")
        ax.set(xlabel="$x$", ylabel="height")
        ax.legend()
        plt.close(drawn)
    return drawn


def test_the_papers_here_are_those_of_the_site() -> None:
    css = Path(__file__).parents[2] / "src/mathdl_book/static/site/mathdl.css"
    assert re.findall(r"--book-paper: (#\w+)", css.read_text()) == list(PAPER.values())


def test_contrast_is_that_of_black_on_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_and_lines_are_seen_in_both_themes(theme: str) -> None:
    def shown(colour: str) -> str:
        return plots.DARK[colour] if theme == "dark" else colour

    for colour in (plots.INK, plots.MUTED):
        assert contrast(shown(colour), PAPER[theme]) >= 4.5
    for colour in plots.COLORS.values():
        assert contrast(shown(colour), PAPER[theme]) >= 3


def test_lines_differ_in_dash_as_well_as_in_colour() -> None:
    [*lines] = figure().axes[0].lines
    looks = [(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines]
    for (colour, dash), (other_colour, other_dash) in combinations(looks, 2):
        assert colour != other_colour
        assert dash != other_dash


def test_a_figure_is_the_same_whenever_it_is_drawn() -> None:
    first = plots.figure_svg(figure())
    assert first == plots.figure_svg(figure())
    assert "<metadata" not in first
    assert not re.search(r"20\d\d-\d\d", first)


def test_every_house_colour_in_a_figure_has_its_dark_rule() -> None:
    svg = plots.figure_svg(figure())
    head, _, body = svg.partition("</style>")
    assert f'<style id="{plots.MARK}">@media (prefers-color-scheme: dark)' in head
    used = set(re.findall(r"(?:fill|stroke): (#\w{6})", body))
    assert used <= set(plots.DARK)
    assert {plots.INK, plots.GRID, *plots.COLORS.values()} <= used
    for colour in used:
        assert f": {colour}" in head and plots.DARK[colour] in head


def test_a_figure_has_no_background_of_its_own() -> None:
    assert "#ffffff" not in plots.figure_svg(figure())


def test_fields_are_drawn_in_viridis() -> None:
    assert plots.style()["image.cmap"] == "viridis"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_in_a_notebook_figures_become_svg_that_follows_the_theme() -> None:
    code = (
        "from mathdl import plots\nplots.use_style()\nimport matplotlib.pyplot as plt",
        "fig, ax = plt.subplots()\nax.plot([0, 1], [0, 1]);",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in code])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    [output] = notebook.cells[1].outputs
    assert set(output["data"]) == {"image/svg+xml", "text/plain"}
    svg = output["data"]["image/svg+xml"]
    assert f'<style id="{plots.MARK}">' in svg
    assert plots.COLORS["blue"] in svg


def test_outside_ipython_only_the_settings_change() -> None:
    code = (
        "import sys; from mathdl import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.use_style()\n"
        "assert 'IPython' not in sys.modules\n"
        "import matplotlib; print(matplotlib.rcParams['text.color'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == plots.INK
