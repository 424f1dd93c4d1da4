"""The report's figures: observed and predicted series of each site, and the map of the sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecoembed.cubes.pictures import figure_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "drawn_sites", "map_figure", "series_figures", "too_dense", "value_limits"]

#: Okabe and Ito's palette, which colour-blind readers can tell apart: observed, best, its comparison.
COLOURS = ("#222222", "#0072B2", "#D55E00")
_FONT = 7  # of the site IDs on the map, points
_MARKERS = "os^Dv<>Pp*hX"
_PER_FIGURE, _COLUMNS = 12, 2
_MOST_SITES, _SHOWN = 48, 24  # of more sites than the first, as many as the second are drawn
_MOST_DAYS = 366  # at one site: more of them make a blot of a panel
_LONGEST_LINE = pd.Timedelta(days=40)  # a line over a longer gap would draw what nobody observed


def drawn_sites(scores: pd.Series) -> list[str]:
    """The sites to draw, by name; of many sites 24, by rank, from the highest score to the lowest.

    Examples
    --------
    >>> drawn_sites(pd.Series({"b": 0.1, "a": 0.5}))
    ['a', 'b']
    >>> many = drawn_sites(pd.Series({f"{i:03d}": -i for i in range(150)}))
    >>> len(many), many[0], many[1], many[-1]
    (24, '000', '006', '149')
    """
    if len(scores) <= _MOST_SITES:
        return sorted(scores.index)
    ranked = scores.sort_values(ascending=False, kind="stable", na_position="last").index
    return [str(ranked[i]) for i in np.linspace(0, len(ranked) - 1, _SHOWN).round().astype(int)]


def too_dense(predictions: pd.DataFrame) -> bool:
    """Whether some site has so many days that only their monthly means can be drawn."""
    counts = predictions.groupby(["features", "regressor", "site"], observed=True).size()
    return bool(counts.max() > _MOST_DAYS)


def series_figures(
    predictions: pd.DataFrame, models: Sequence[tuple[str, str]], titles: Mapping[str, str], axis_label: str
) -> list[bytes]:
    """Observed and predicted values over time, one panel for each site, twelve panels to a PNG.

    Parameters
    ----------
    predictions : pandas.DataFrame
        `PredictionTable`.
    models : sequence of (features, regressor), at most two
    titles : mapping of site to title
        The sites to draw, in this order.
    axis_label : str
        Quantity and unit.
    """
    chosen = {
        model: predictions[(predictions["features"] == model[0]) & (predictions["regressor"] == model[1])]
        for model in models
    }
    chosen = {model: table[table["site"].isin(list(titles))] for model, table in chosen.items()}
    if too_dense(predictions):
        chosen = {model: _monthly(table) for model, table in chosen.items()}
    limits = value_limits(chosen.values())
    panels = list(titles.items())
    pages = [dict(panels[i : i + _PER_FIGURE]) for i in range(0, len(panels), _PER_FIGURE)]
    return [_page(page, chosen, axis_label, limits) for page in pages]


def _monthly(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the days of each site and month, placed in the middle of the month."""
    month = table["date"].dt.to_period("M").dt.to_timestamp() + pd.Timedelta(days=14)
    return table.groupby(["site", month])[["observed", "predicted"]].mean().reset_index()


def value_limits(tables: Iterable[pd.DataFrame]) -> tuple[float, float]:
    """From below the least to above the greatest of all observed and predicted values: nothing is cut off.

    Examples
    --------
    >>> value_limits([pd.DataFrame({"observed": [-8.0, 1.0], "predicted": [-7.0, 2.0]})])
    (-8.5, 2.5)
    """
    values = pd.concat([table[["observed", "predicted"]] for table in tables])
    low, high = float(values.min().min()), float(values.max().max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _page(
    titles: dict[str, str], chosen: dict[tuple[str, str], pd.DataFrame], axis_label: str, limits: tuple[float, float]
) -> bytes:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    rows = -(-len(titles) // _COLUMNS)
    figure = Figure(figsize=(9.6, 0.6 + 1.55 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True).ravel()
    for axis, (site, title) in zip(axes, titles.items(), strict=False):
        for colour, ((features, regressor), table) in zip(COLOURS[1:], chosen.items(), strict=False):
            rows_here = table[table["site"] == site].sort_values("date")
            days, values = _broken(rows_here["date"], rows_here["predicted"])
            line = {"linewidth": 1.1, "marker": ".", "markersize": 3, "label": f"{features}, {regressor}"}
            axis.plot(days, values, color=colour, **line)
        axis.plot(rows_here["date"], rows_here["observed"], color=COLOURS[0], linestyle="", marker="o", markersize=2.8,
                  markerfacecolor="none", markeredgewidth=0.8, label="observed")  # fmt: skip
        axis.set_title(title, fontsize=9, loc="left", pad=3)
        axis.set_ylim(*limits)
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axis.tick_params(labelsize=8)
        axis.xaxis.get_offset_text().set_fontsize(8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(titles) :]:
        axis.set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    figure.supylabel(axis_label, fontsize=9)
    return figure_png(figure)


def _broken(days: pd.Series, values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The series with a gap in its line wherever two dates are far apart."""
    cut = days[days.diff() > _LONGEST_LINE] - pd.Timedelta(days=1)
    days, values = pd.concat([days, cut]), pd.concat([values, pd.Series(np.nan, index=cut.index)])
    order = np.argsort(days.to_numpy(), kind="stable")
    return days.iloc[order], values.iloc[order]


def map_figure(sites: pd.DataFrame, scores: pd.Series, label: str) -> bytes:
    """Where the sites lie: the marker is the vegetation type, the colour the score.

    Parameters
    ----------
    sites : pandas.DataFrame
        `Sites`: latitude and longitude in degrees, ``igbp``.
    scores : pandas.Series
        One value for each site, by site ID; NaN is drawn empty.
    label : str
        Of the colour bar.
    """
    from matplotlib.figure import Figure

    here = sites.loc[[s for s in scores.index if s in sites.index]]
    values = scores.reindex(here.index).to_numpy(dtype=float)
    low = float(np.clip(np.nanmin(values, initial=0.0), -1.0, 0.0))
    figure = Figure(figsize=(9.2, 4.6), layout="constrained")
    axis = figure.subplots()
    types = here["igbp"].fillna("none").astype(str)
    image = None
    for marker, kind in zip(_cycle(types.nunique()), sorted(types.unique()), strict=True):
        member = (types == kind).to_numpy()
        image = axis.scatter(
            here["longitude"][member], here["latitude"][member], c=values[member], marker=marker, s=60, cmap="cividis",
            vmin=low, vmax=1.0, edgecolors="black", linewidths=0.6, label=kind, plotnonfinite=True, zorder=3,
        )  # fmt: skip
    middle = float(np.clip(here["latitude"].mean(), -75, 75))
    axis.set_aspect(1 / np.cos(np.radians(middle)), adjustable="datalim")
    axis.margins(0.12)
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set(xlabel="longitude (degrees east)", ylabel="latitude (degrees north)")
    axis.legend(title="vegetation (IGBP)", fontsize=8, title_fontsize=8, loc="best")
    if image is not None:
        figure.colorbar(image, ax=axis, label=label, shrink=0.85, extend="min" if low == -1.0 else "neither")
    _label(figure, axis, here)
    return figure_png(figure)


def _label(figure: Figure, axis: Axes, sites: pd.DataFrame) -> None:
    """Write the site IDs where they meet no marker and no other ID; a site without such a place stays unlabelled."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # only a drawn figure knows where its points lie
    points = axis.transData.transform(sites[["longitude", "latitude"]].to_numpy(dtype=float)) * 72 / figure.dpi
    taken = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    for name, (x, y) in zip(sites.index, points, strict=True):
        wide, high = 0.62 * _FONT * len(name), 1.1 * _FONT
        for dx, dy in (
            (7, 2),
            (-7 - wide, 2),
            (7, -high - 2),
            (-7 - wide, -high - 2),
            (-wide / 2, 8),
            (-wide / 2, -17),
        ):
            box = Box(x + dx, y + dy, x + dx + wide, y + dy + high)
            if not any(box.meets(other) for other in taken):
                taken.append(box)
                axis.annotate(name, sites.loc[name, ["longitude", "latitude"]].astype(float), xytext=(dx, dy),
                              textcoords="offset points", fontsize=_FONT, annotation_clip=False)  # fmt: skip
                break


class Box(NamedTuple):
    """A rectangle in points."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def _cycle(count: int) -> str:
    return (_MARKERS * (count // len(_MARKERS) + 1))[:count]
