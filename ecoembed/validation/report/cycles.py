"""Mean seasonal cycles, observed and predicted: whether a model knows when the season is, and how high."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ecoembed.validation.report.style import COLOURS, MARKS, bare, paper
from ecoembed.validation.report.view import View, in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["seasonal_cycles"]

_MOST = 12  # groups; of more the ones with most sites
_COLUMNS = 4


def seasonal_cycles(view: View) -> Figure:
    """By vegetation type, or by site where the types are unknown: means of the sites' monthly means."""
    from matplotlib.figure import Figure

    months = {model: _monthly(view, table) for model, table in view.predictions.items()}
    counts = months[view.models[0]].groupby("group")["site"].nunique().sort_values(ascending=False, kind="stable")
    groups = counts.index[:_MOST]
    columns = min(_COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    with paper():
        figure = Figure(figsize=(max(3.0, 1.8 * columns), 0.6 + 1.45 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axis, group in zip(axes, groups, strict=False):
            for colour, mark, (model, table) in zip(COLOURS[1:], MARKS, months.items(), strict=False):
                mean = table[table["group"] == group].groupby("month")[["observed", "predicted"]].mean()
                mean = mean.reindex(range(1, 13))
                axis.plot(
                    mean.index, mean["predicted"], color=colour, marker=mark, markersize=2.4, label=in_words(model)
                )
            axis.plot(mean.index, mean["observed"], color=COLOURS[0], marker="o", markersize=3.2, linestyle="--",
                      linewidth=0.8, markerfacecolor="none", label="observed")  # fmt: skip
            sites = "" if counts[group] == 1 else f" ({counts[group]} sites)"
            axis.set_title(f"{group}{sites}", pad=3)
            axis.set_xticks([1, 4, 7, 10], ["Jan", "Apr", "Jul", "Oct"])
            bare(axis, "y")
        for axis in axes[len(groups) - columns : len(groups)]:
            axis.tick_params(labelbottom=True)
        for axis in axes[len(groups) :]:
            axis.set_visible(False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3 if columns > 2 else 1)
        figure.supylabel(view.quantity, fontsize=8)
    return figure


def _monthly(view: View, table: pd.DataFrame) -> pd.DataFrame:
    """Group, site, month and the means of observed and predicted; south of the equator the year begins in July."""
    places = view.places
    month = table["date"].dt.month + 6 * table["site"].map(places["latitude"] < 0).astype(int)
    table = table.assign(month=(month - 1) % 12 + 1)
    means = table.groupby(["site", "month"], observed=True)[["observed", "predicted"]].mean().reset_index()
    kinds = places["vegetation"]
    group = means["site"].map(kinds).fillna("type unknown") if kinds.notna().any() else means["site"]
    return means.assign(group=group)
