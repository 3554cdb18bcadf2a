"""Pictures: learning curves, maps of data and embeddings, a page to explore, logs of selection.

Needs the extra ``plot``, except for the page. Importing it loads no matplotlib.
"""

from small_text_ext.plotting.curves import (
    MethodStyle,
    format_time_axis,
    method_styles,
    plot_differences,
    plot_learning_curves,
    summarize_curves,
)
from small_text_ext.plotting.data_maps import (
    plot_acquisitions,
    plot_data_map,
)
from small_text_ext.plotting.embedding_maps import plot_embedding_map
from small_text_ext.plotting.map_differences import plot_map_difference
from small_text_ext.plotting.pages import write_data_map_html
from small_text_ext.plotting.selection_logs import plot_selection_log

__all__ = [
    "MethodStyle",
    "format_time_axis",
    "method_styles",
    "plot_acquisitions",
    "plot_data_map",
    "plot_differences",
    "plot_embedding_map",
    "plot_learning_curves",
    "plot_map_difference",
    "plot_selection_log",
    "summarize_curves",
    "write_data_map_html",
]
