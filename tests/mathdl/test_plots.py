from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from mathdl import plots
from mathdl.autodiff import Node, graph

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
    assert re.findall(r"^  --book-paper: (#\w+)", css.read_text(), re.MULTILINE) == [
        *PAPER.values()
    ]


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


# --- ready-made figures -------------------------------------------------------------------------

A, B = np.linspace(-1, 1, 9), np.linspace(-2, 2, 11)
BOWL = 0.5 + A[:, None] ** 2 + B**2
WALK = np.array([[0.9, 1.5], [0.4, 0.2], [0.0, 0.0]])
STEPS = np.arange(40)
RUNS = 0.9**STEPS * np.linspace(1, 2, 5)[:, None]


def product() -> Node:
    x, w = Node(np.ones((4, 3)), "x"), Node(np.ones(3), "w")
    return np.sum((x @ w) * (x @ w)) + np.sum(w * w)


GALLERY = {
    "landscape": lambda: plots.plot_loss_landscape(A, B, BOWL, path=WALK, log=True),
    "curve": lambda: plots.plot_training_curve({"SGD": RUNS, "Adam": 0.8**STEPS}),
    "optimizers": lambda: plots.plot_optimizer_comparison(
        A, B, BOWL, {"SGD": WALK, "Adam": WALK / 2}, minimum=[0, 0]
    ),
    "svd": lambda: plots.plot_svd_analysis([4.0, 2.0, 1.0, 0.5], tol=0.3),
    "density": lambda: plots.plot_distribution(
        B, {"p": np.exp(-(B**2)), "q": np.exp(-np.abs(B))}, samples=np.sin(np.arange(99))
    ),
    "probabilities": lambda: plots.plot_distribution(
        [0, 1, 2], [0.2, 0.3, 0.5], samples=[0, 2, 2, 1], discrete=True
    ),
    "check": lambda: plots.plot_gradient_check(
        {"w": np.eye(3), "b": np.ones(2)}, {"w": np.eye(3) * 1.001, "b": np.ones(2)}, tol=1e-6
    ),
    "graph": lambda: plots.plot_graph(product()),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", GALLERY)
def test_a_ready_made_figure_draws_without_a_warning_and_follows_the_theme(name: str) -> None:
    svg = plots.figure_svg(GALLERY[name]().figure)
    body = svg.partition("</style>")[2]
    fixed = {*plots.ON_FIELD.values(), plots.CARD}
    used = set(re.findall(r"(?:fill|stroke): (#\w{6})", body))
    if name == "landscape":  # the field and what lies on it look the same in both themes
        assert fixed <= used
        used -= fixed
        assert svg.count("<image") == 2  # field and colour bar
    assert plots.INK in used
    assert used <= set(plots.DARK)


@pytest.mark.parametrize("name", GALLERY)
def test_text_has_the_colour_of_ink_or_an_edge_of_its_own(name: str) -> None:
    figure = GALLERY[name]().figure
    figure.canvas.draw()
    words = [t for t in figure.findobj(mpl.text.Text) if t.get_text().strip()]
    assert words
    for text in words:
        colour = mpl.colors.to_hex(text.get_color())
        if colour == plots.ON_FIELD["light"]:
            [edge] = text.get_path_effects()
            assert edge._gc["foreground"] == plots.ON_FIELD["dark"]
        else:
            assert colour in (plots.INK, plots.MUTED)


@pytest.mark.parametrize("name", [n for n in GALLERY if n != "graph"])
def test_axes_are_named(name: str) -> None:
    ax = GALLERY[name]()
    assert ax.get_xlabel() and ax.get_ylabel()


@pytest.mark.parametrize("name", ["curve", "optimizers", "svd", "check"])
def test_no_two_series_differ_by_colour_alone(name: str) -> None:
    marked = [line for line in GALLERY[name]().lines if line.get_marker() in plots.MARKERS]
    lines = [line for line in marked if line.get_color() in plots.COLORS.values()]
    assert len(lines) >= 2
    for one, other in combinations(lines, 2):
        assert one.get_color() != other.get_color()
        assert one.get_marker() != other.get_marker()


@pytest.mark.parametrize("name", GALLERY)
def test_it_draws_where_it_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    monkeypatch.setattr(plots, "_axes", lambda given, size=None: given or ax)
    assert GALLERY[name]() is ax
    plots_with_axes = plots.plot_training_curve([1.0, 0.5], ax=ax)
    assert plots_with_axes is ax


def test_the_landscape_is_that_of_the_losses() -> None:
    holed = BOWL.copy()
    holed[0, 3] = np.nan
    ax = plots.plot_loss_landscape(A, B, holed, path=WALK)
    [mesh] = (c for c in ax.collections if isinstance(c, mpl.collections.QuadMesh))
    np.testing.assert_array_equal(mesh.get_array().filled(np.nan), holed.T)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), WALK)
    assert mpl.colors.to_hex(ax.get_facecolor()) == plots.CARD
    assert mesh.get_cmap().name == "viridis"
    words = [t.get_text() for t in ax.texts]
    assert {"start", "end"} <= set(words)


def test_a_constant_landscape_has_no_contour_lines() -> None:
    ax = plots.plot_loss_landscape(A, B, np.ones_like(BOWL), log=True)
    assert len(ax.collections) == 1


def test_of_several_runs_the_median_and_the_range_are_drawn() -> None:
    ax = plots.plot_training_curve({"SGD": RUNS, "Adam": 0.8**STEPS})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(RUNS, axis=0))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 0.8**STEPS)
    [band] = ax.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].max() == RUNS.max() and corners[:, 1].min() == RUNS.min()
    assert [t.get_text() for t in ax.texts] == ["Adam", "SGD"]  # from below
    heights = [t.get_position()[1] for t in ax.texts]
    assert heights[1] - heights[0] >= 0.07


def test_labels_of_curves_that_end_together_stand_apart() -> None:
    ax = plots.plot_training_curve({str(k): 0.9**STEPS * (1 + k / 1e6) for k in range(6)})
    heights = sorted(t.get_position()[1] for t in ax.texts)
    assert min(np.diff(heights)) >= 0.07


def test_a_run_that_diverges_ends() -> None:
    curve = 2.0**STEPS
    curve[20:] = np.inf
    [line] = plots.plot_training_curve(curve).lines
    assert np.isfinite(line.get_ydata()[:20]).all() and np.isnan(line.get_ydata()[20:]).all()


def test_paths_are_drawn_as_they_are() -> None:
    ax = plots.plot_optimizer_comparison(A, B, BOWL, {"SGD": WALK, "Adam": WALK / 2})
    for line, path in zip(ax.lines, (WALK, WALK / 2), strict=False):
        np.testing.assert_array_equal(line.get_xydata(), path)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["SGD", "Adam"]


def test_the_rank_marked_is_the_smallest_within_the_tolerance() -> None:
    s = np.array([4.0, 2.0, 1.0, 0.5])
    for tol in (0.6, 0.3, 0.2, 0.05):
        ax = plots.plot_svd_analysis(s, tol=tol)
        rank = int(ax.texts[-1].get_text().split()[1])
        errors = [np.sqrt(np.sum(s[k:] ** 2) / np.sum(s**2)) for k in range(5)]
        assert errors[rank] <= tol < errors[rank - 1]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), s / np.linalg.norm(s))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), errors[1:4])


def test_a_histogram_has_area_one_and_frequencies_add_up() -> None:
    ax = GALLERY["density"]()
    assert sum(bar.get_width() * bar.get_height() for bar in ax.patches) == pytest.approx(1)
    ax = GALLERY["probabilities"]()
    assert [bar.get_height() for bar in ax.patches] == [0.25, 0.25, 0.5]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.2, 0.3, 0.5])


def test_the_worst_entry_is_named() -> None:
    numerical = {"w": np.arange(1.0, 7).reshape(2, 3), "b": np.ones(2)}
    analytic = {name: g.copy() for name, g in numerical.items()}
    analytic["w"][1, 0] *= 1.5  # 4 becomes 6, beside a largest entry of 6
    ax = plots.plot_gradient_check(analytic, numerical)
    assert ax.texts[-1].get_text() == "worst: w[1, 0]"
    assert ax.lines[0].get_ydata()[3] == pytest.approx(2 / 6)
    assert ax.lines[1].get_xdata().tolist() == [6, 7]
    assert (np.delete(ax.lines[0].get_ydata(), 3) == 2.0**-53).all()


def test_the_graph_has_every_node_and_arrow_and_no_two_in_one_place() -> None:
    drawing = graph(product())
    ax = plots.plot_graph(drawing)
    boxes = [t for t in ax.texts if t.get_text()]
    shapes = ["×".join(map(str, shape)) or "scalar" for shape in drawing.shapes]
    assert [t.get_text() for t in boxes] == [
        f"{label}\n{shape}" for label, shape in zip(drawing.labels, shapes, strict=True)
    ]
    places = [t.get_position() for t in boxes]
    assert len(set(places)) == len(places)
    arrows = [t for t in ax.texts if getattr(t, "arrow_patch", None) is not None]
    assert len(arrows) == len(drawing.edges)
    for arrow, (parent, child) in zip(arrows, drawing.edges, strict=True):
        assert (arrow.get_position(), arrow.xy) == (places[parent], places[child])
        assert places[parent][0] < places[child][0]  # from left to right
    frames = {bool(t.get_bbox_patch().get_boxstyle().__class__.__name__ == "Square") for t in boxes}
    assert frames == {True, False}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plots.plot_loss_landscape(A, B, BOWL.T), ValueError, r"\(9, 11\).*\(11, 9\)"),
        (lambda: plots.plot_loss_landscape(-A, B, BOWL), ValueError, "alphas must increase"),
        (lambda: plots.plot_loss_landscape(A, B, BOWL - 1, log=True), ValueError, "positive"),
        (lambda: plots.plot_loss_landscape(A, B, BOWL, path=WALK.T[:, :1]), ValueError, "path"),
        (lambda: plots.plot_loss_landscape(A, B, BOWL + 1j), TypeError, "losses.*complex128"),
        (lambda: plots.plot_loss_landscape(A, B, BOWL * np.nan), ValueError, "no finite"),
        (lambda: plots.plot_training_curve({"a": -STEPS}), ValueError, "a is not positive"),
        (lambda: plots.plot_training_curve({"a": [1, 2]}, steps=[1]), ValueError, "2 steps"),
        (lambda: plots.plot_training_curve([]), ValueError, "empty"),
        (lambda: plots.plot_training_curve({str(k): [1] for k in range(7)}), ValueError, "got 7"),
        (
            lambda: plots.plot_optimizer_comparison(A, B, BOWL, {"a": [1, 2]}),
            ValueError,
            "path a must have 2 axes",
        ),
        (
            lambda: plots.plot_optimizer_comparison(A, B, BOWL, {"a": WALK}, minimum=[0]),
            ValueError,
            "minimum",
        ),
        (lambda: plots.plot_svd_analysis([1.0, 2.0]), ValueError, "sorted"),
        (lambda: plots.plot_svd_analysis([0.0, 0.0]), ValueError, "zero"),
        (lambda: plots.plot_svd_analysis([1.0], tol=2), ValueError, "tol"),
        (lambda: plots.plot_distribution([0, 1], [1, 2, 3]), ValueError, r"\(2,\), got \(3,\)"),
        (lambda: plots.plot_distribution([0, 1], [-1, 1]), ValueError, "log density"),
        (lambda: plots.plot_distribution([1, 0], [1, 1]), ValueError, "x must increase"),
        (lambda: plots.plot_gradient_check({"a": [1]}, {"b": [1]}), ValueError, "names"),
        (lambda: plots.plot_gradient_check([1.0, 2.0], [1.0]), ValueError, "shapes"),
        (lambda: plots.plot_gradient_check([1.0], [1.0], tol=0), ValueError, "tol"),
        (lambda: plots.plot_graph(sum([Node(1.0)] * 62)), ValueError, "at most 60"),
    ],
)
def test_bad_input_is_named(call, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
