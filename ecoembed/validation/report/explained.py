"""What the predictions rest on: permutation importance, contributions, and partial dependence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecoembed.validation.report.style import COLOURS, GREY, bare, paper
from ecoembed.validation.report.view import AbsentError, View, in_words, of_model
from ecoembed.validation.scores.rows import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explained_model", "importance", "partial_dependence"]

_MOST = 20  # groups or columns of one panel
_KINDS = {
    "r2": "fall of r2 where permuted",
    "mse": "rise of the mean squared error\nwhere permuted ({unit})²",
    "contribution": "mean absolute contribution\nof a group ({unit})",
    "contribution of the column": "mean absolute contribution\nof a column ({unit})",
}
#: What r2 says already in another unit.
_DRAWN = ("r2", "contribution", "contribution of the column")
_COLUMNS = 4


def explained_model(table: pd.DataFrame, view: View) -> Model:
    """Of the models that a table explains, the one with the highest score; of sets with several groups, if any."""
    known = set(zip(table["features"], table["regressor"], strict=True))
    order = zip(view.scores["features"].astype(str), view.scores["regressor"].astype(str), strict=True)
    ranked = [model for model in order if model in known]
    several = [model for model in ranked if len(set(of_model(table, model).iloc[:, 2])) > 1]
    return (several or ranked)[0]


def importance(view: View) -> Figure:
    """Of the best model with more than one group of columns: one panel for each kind of importance."""
    from matplotlib.figure import Figure

    table = view.result.importance
    if table.empty:
        raise AbsentError("what the models rest on was not asked for (explain = true)")
    model = explained_model(table, view)
    own = of_model(table, model)
    kinds = [kind for kind in _DRAWN if kind in set(own["kind"])]
    panels = [own[own["kind"] == kind].nlargest(_MOST, "value").iloc[::-1] for kind in kinds]
    rows = max(len(panel) for panel in panels)
    with paper():
        figure = Figure(figsize=(7.2, 1.0 + 0.19 * rows), layout="constrained")
        axes = figure.subplots(1, len(kinds), squeeze=False).ravel()
        for axis, kind, panel in zip(axes, kinds, panels, strict=True):
            y = np.arange(len(panel))
            axis.hlines(y, panel["lower"], panel["upper"], color=COLOURS[1], linewidth=1.5)
            axis.plot(panel["value"], y, "s", color=COLOURS[1], markersize=4)
            axis.axvline(0, color="#888888", linewidth=0.7)
            axis.set_yticks(y, panel["group"].astype(str))
            axis.set_ylim(-0.7, rows - 0.3)
            axis.set_xlabel(_KINDS[kind].format(unit=view.units))
            axis.tick_params(axis="y", length=0)
            bare(axis, "x")
        figure.suptitle(in_words(model), fontsize=8.5, x=0.01, ha="left")
    return figure


def partial_dependence(view: View) -> Figure:
    """The mean prediction where one column is set to a value: of the best model with few columns."""
    from matplotlib.figure import Figure

    table = view.result.partial
    if table.empty:
        few = "no set has as few as eight columns"
        raise AbsentError("it was not asked for (explain = true)" if view.result.importance.empty else few)
    model = explained_model(table, view)
    own = of_model(table, model)
    names = list(dict.fromkeys(own["column"]))
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    with paper():
        figure = Figure(figsize=(max(3.2, 1.8 * columns), 0.5 + 1.6 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for axis, name in zip(axes, names, strict=False):
            line = own[own["column"] == name].sort_values("at")
            axis.fill_between(line["at"], line["lower"], line["upper"], color=GREY, alpha=0.25, linewidth=0)
            axis.plot(line["at"], line["value"], color=COLOURS[1])
            axis.set_xlabel(str(name))
            bare(axis, "y")
        for axis in axes[len(names) :]:
            axis.set_visible(False)
        figure.supylabel(f"mean prediction\n({view.units})", fontsize=8)
        figure.suptitle(in_words(model), fontsize=8.5, x=0.01, ha="left")
    return figure
