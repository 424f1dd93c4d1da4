"""Scores by vegetation, climate, season, drought and tails; and what the intervals hold by type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecoembed.validation.report.style import COLOURS, FLOOR, MARKS, bare, number, paper
from ecoembed.validation.report.view import AbsentError, View, in_words, of_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["GROUPINGS", "coverage_by_type", "group_scores"]

#: By what, and how the report says it.
GROUPINGS = {
    "vegetation": "vegetation type", "climate": "climate", "season": "season", "drought": "drought",
    "tail": "tail of the observed values", "year": "year", "applicability": "area of applicability",
}  # fmt: skip
_UNKNOWN = "not known"  # such groups are in the table alone
_MOST = 20  # years


def group_scores(view: View) -> Figure:
    """r2 and bias of both models in each group; r2 within a group of narrow range is low for any model."""
    from matplotlib.figure import Figure

    table = view.group_scores
    rows = _rows(table, view)
    if rows.empty:
        raise AbsentError("nothing is known by which days or sites could be grouped")
    with paper():
        figure = Figure(figsize=(7.2, 1.15 + 0.155 * -rows["y"].min()), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
        for order, (colour, mark, model) in enumerate(zip(COLOURS[1:], MARKS, view.models, strict=False)):
            own = of_model(table, model).set_index(["by", "group"])
            own = own[~own.index.duplicated()].reindex(rows.index)
            y = rows["y"] + 0.13 * (1 - 2 * order)
            low = own["r2"] < FLOOR
            left.plot(own["r2"][~low], y[~low], mark, color=colour, markersize=4, label=in_words(model))
            left.plot(np.full(low.sum(), FLOOR), y[low], "<", color=colour, markersize=4.5, clip_on=False)
            right.plot(own["bias"], y, mark, color=colour, markersize=4)
        _name_rows(left, rows)
        left.axvline(0, color="#888888", linewidth=0.7)
        right.axvline(0, color="#888888", linewidth=0.7)
        left.set(xlabel=f"r2 within the group ({view.label})", xlim=(FLOOR, 1.0))
        right.set(xlabel=f"bias ({view.units})")
        right.tick_params(axis="y", length=0)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2)
        for axis in (left, right):
            bare(axis, "x")
            for y in rows["y"][rows["first"]].iloc[1:]:
                axis.axhline(y + 1.7, color="#cccccc", linewidth=0.6)
    return figure


def _rows(table: pd.DataFrame, view: View) -> pd.DataFrame:
    """The groups to draw, indexed by (by, group): where on the axis, how many sites and days, first of its kind."""
    own = table if table.empty else of_model(table, view.models[0])
    parts = [own.head(0)]
    if own.empty:
        return own
    for by in (by for by in GROUPINGS if by in set(own["by"])):
        part = own[(own["by"] == by) & ~own["group"].str.startswith(_UNKNOWN)].drop_duplicates("group")
        parts.append(part.nlargest(_MOST, "n").sort_values("group", kind="stable") if by == "year" else part)
    rows = pd.concat(parts).set_index(["by", "group"])[["n", "sites"]]
    kind = rows.index.get_level_values("by")
    rows["first"] = ~kind.duplicated()
    rows["y"] = -(np.arange(len(rows)) + 1.4 * np.cumsum(rows["first"]))  # each kind has a line for its name
    return rows


def _name_rows(axis: Axes, rows: pd.DataFrame) -> None:
    names = [
        f"{group}  ({_counted(row['sites'], 'site')}, {_counted(row['n'], 'day')})"
        for (_, group), row in rows.iterrows()
    ]
    axis.set_yticks(rows["y"], names)
    axis.set_ylim(rows["y"].min() - 0.7, 0.3)
    axis.tick_params(axis="y", length=0)
    for (by, _), row in rows[rows["first"]].iterrows():
        axis.annotate(GROUPINGS[by], (0, row["y"] + 1), xycoords=("axes fraction", "data"), xytext=(-4, 0),
                      textcoords="offset points", ha="right", va="center", fontweight="bold")  # fmt: skip


def coverage_by_type(view: View) -> Figure:
    """The share of days that the intervals hold, and their width, by vegetation type (by site where unknown)."""
    from matplotlib.figure import Figure

    level = view.record.get("intervals")
    if level is None:
        raise AbsentError("prediction intervals were not asked for (intervals = 0.9)")
    sites = view.best[["n", "coverage", "width"]].dropna()
    kinds = view.places["vegetation"].reindex(sites.index)
    known = kinds.notna().any()
    group = kinds.fillna("type unknown") if known else pd.Series("all sites", index=sites.index)
    order = sorted(group.unique())
    with paper():
        figure = Figure(figsize=(7.2, 0.9 + 0.26 * len(order)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axis, column, scale in ((left, "coverage", 100.0), (right, "width", 1.0)):
            for y, kind in enumerate(order):
                values = scale * sites[column][group == kind]
                axis.plot(values, np.full(len(values), y), "|", color="#888888", markersize=9)
                mean = np.average(values, weights=sites["n"][values.index])
                axis.plot(mean, y, "D", color=COLOURS[1], markersize=4.5)
            bare(axis, "x")
        left.axvline(100 * level, color=COLOURS[2], linewidth=1)
        left.set(xlabel=f"days within the interval (%; {view.label}); asked for: {100 * level:g} %", xlim=(None, 101))
        right.set(xlabel=f"mean width ({view.units})", xlim=(0, None))
        left.set_yticks(range(len(order)), [f"{k} ({_counted((group == k).sum(), 'site')})" for k in order])
        left.set_ylim(len(order) - 0.4, -0.6)
        for axis in (left, right):
            axis.tick_params(axis="y", length=0)
    return figure


def _counted(count: int, what: str) -> str:
    return f"{number(count, 0)} {what}{'' if count == 1 else 's'}"
