"""Each site's panel: observed and predicted values over time, with their interval, and against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecoembed.validation.report.style import COLOURS, MARKS, bare, paper
from ecoembed.validation.report.view import View, in_words
from ecoembed.validation.scores.rows import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["series_pages", "site_panels", "too_dense", "value_limits"]

_PER_PAGE, _COLUMNS = 12, 2
_MOST_DAYS = 366  # at one site: more of them make a blot of a panel
_LONGEST_LINE = pd.Timedelta(days=40)  # a line over a longer gap would draw what nobody observed


def too_dense(view: View) -> bool:
    """Whether some site has so many days that only their monthly means can be drawn."""
    counts = view.predictions[view.models[0]].groupby("site", observed=True).size()
    return bool(counts.max() > _MOST_DAYS)


def value_limits(tables: Iterable[pd.DataFrame]) -> tuple[float, float]:
    """From below the least to above the greatest of all values and bounds: nothing is cut off.

    Examples
    --------
    >>> value_limits([pd.DataFrame({"observed": [-8.0, 1.0], "predicted": [-7.0, 2.0]})])
    (-8.5, 2.5)
    """
    drawn = ["observed", "predicted", "lower", "upper"]
    values = pd.concat([table[[key for key in drawn if key in table]] for table in tables])
    low, high = float(values.min().min()), float(values.max().max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def site_panels(view: View, sites: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """(site, its figure): the series of both models beside observed against predicted of the best."""
    from matplotlib.figure import Figure

    chosen = _chosen(view, sites)
    limits = value_limits(chosen.values())
    by_site = {model: dict(tuple(table.groupby("site", observed=True))) for model, table in chosen.items()}
    for site in sites:
        with paper():
            figure = Figure(figsize=(9.2, 2.1))
            wide, square = figure.subplots(1, 2, width_ratios=(3.9, 1))
            figure.subplots_adjust(left=0.085, right=0.995, bottom=0.2, top=0.9, wspace=0.14)
            here = {model: tables[site] for model, tables in by_site.items()}
            _series(wide, here, limits, view.record.get("intervals"))
            wide.set_ylabel(view.quantity.replace(" (", "\n(", 1), fontsize=7)
            wide.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 0.99), borderaxespad=0, handlelength=1.6)
            _scatter(square, here[view.models[0]], limits, view.units)
            yield site, figure


def series_pages(view: View, sites: Sequence[str]) -> Iterator[Figure]:
    """The same series for a paper: twelve sites to a page, with one scale."""
    from matplotlib.figure import Figure

    chosen = _chosen(view, sites)
    limits = value_limits(chosen.values())
    for first in range(0, len(sites), _PER_PAGE):
        page = sites[first : first + _PER_PAGE]
        rows = -(-len(page) // _COLUMNS)
        with paper():
            figure = Figure(figsize=(7.2, 0.6 + 1.3 * rows), layout="constrained")
            axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True).ravel()
            for axis, site in zip(axes, page, strict=False):
                _series(axis, {model: table[table["site"] == site] for model, table in chosen.items()}, limits,
                        view.record.get("intervals"))  # fmt: skip
                axis.set_title(view.titled(site), pad=3)
            for axis in axes[len(page) :]:
                axis.set_visible(False)
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper center", ncols=4)
            figure.supylabel(view.quantity, fontsize=8)
            yield figure


def _chosen(view: View, sites: Sequence[str]) -> dict[Model, pd.DataFrame]:
    """What is drawn of each model: its days, or the means of their months where some site has too many."""
    dense = too_dense(view)
    rows = {model: table[table["site"].isin(list(sites))] for model, table in view.predictions.items()}
    return {model: _monthly(these) if dense else these for model, these in rows.items()}


def _monthly(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the days of each site and month, placed in the middle of the month; of intervals there are none."""
    month = table["date"].dt.to_period("M").dt.to_timestamp() + pd.Timedelta(days=14)
    means = table.groupby(["site", month], observed=True)[["observed", "predicted"]].mean().reset_index()
    return means.assign(lower=np.nan, upper=np.nan)


def _series(axis: Axes, here: dict[Model, pd.DataFrame], limits: tuple[float, float], level: float | None) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    for order, (colour, mark, (model, rows)) in enumerate(zip(COLOURS[1:], MARKS, here.items(), strict=False)):
        days, values, lower, upper = _broken(rows)
        axis.plot(days, values, color=colour, linewidth=1.0, marker=mark, markersize=1.7, label=in_words(model),
                  zorder=3 - order)  # fmt: skip
        if order == 0 and level is not None and np.isfinite(lower).any():
            axis.vlines(rows["date"], rows["lower"], rows["upper"], color=colour, alpha=0.2, linewidth=1.5, zorder=1)
            axis.fill_between(days, lower, upper, color=colour, alpha=0.16, linewidth=0, zorder=1,
                              label=f"its {100 * level:g} % interval")  # fmt: skip
    axis.plot(rows["date"], rows["observed"], color=COLOURS[0], linestyle="", marker="o", markersize=2.6,
              markerfacecolor="none", markeredgewidth=0.7, label="observed", zorder=4)  # fmt: skip
    axis.set_ylim(*limits)
    locator = AutoDateLocator(minticks=3, maxticks=8)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    bare(axis, "y")


def _scatter(axis: Axes, rows: pd.DataFrame, limits: tuple[float, float], units: str) -> None:
    axis.axline((limits[0], limits[0]), slope=1, color="#999999", linewidth=0.7)
    axis.plot(rows["predicted"], rows["observed"], linestyle="", marker="o", markersize=2.4, alpha=0.6,
              color=COLOURS[1], markeredgewidth=0)  # fmt: skip
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    axis.set_xlabel(f"predicted ({units})", fontsize=7)
    axis.set_ylabel(f"observed ({units})", fontsize=7)
    bare(axis)


def _broken(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series, pd.Series]:
    """Days, predictions and their bounds, with a gap in the line wherever two dates are far apart."""
    cut = rows["date"][rows["date"].diff() > _LONGEST_LINE] - pd.Timedelta(days=1)
    whole = pd.concat([rows[["date", "predicted", "lower", "upper"]], cut.to_frame()]).sort_values(
        "date", kind="stable"
    )
    return whole["date"], whole["predicted"], whole["lower"], whole["upper"]
