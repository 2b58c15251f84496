"""The backend of Matplotlib in live cells: nothing shows before `plt.show` or the cell's end."""

from mathdl_live import show_figures
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas

__all__ = ["FigureCanvas", "show"]


def show(*_, **__):
    """Show the open figures and close them."""
    show_figures()
