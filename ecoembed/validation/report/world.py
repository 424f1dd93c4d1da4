"""The map of the sites over land outlines; the colour is the skill, each point leads to its site."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecoembed.validation.land import land_outlines
from ecoembed.validation.report.style import anchor, paper
from ecoembed.validation.report.view import AbsentError, View, in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["site_map"]

_FONT = 6.5  # of the site IDs, points
_LABELLED = 60  # more names than this are a thicket
_LEAST_SPAN = 4.0  # degrees: a map of one country shows that country's neighbours
_LAND, _SEA = "#e9e7e1", "#ffffff"


def site_map(view: View) -> Figure:
    """Where the sites lie; red is worse than the mean of the observed values, blue better, white no different."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.figure import Figure

    here = view.places[["latitude", "longitude"]].astype(float).dropna()
    if here.empty:
        raise AbsentError("the coordinates of the sites were not given")
    r2 = view.best["r2"].reindex(here.index)
    colours = ScalarMappable(TwoSlopeNorm(0.0, -1.0, 1.0), "RdBu")
    west, east, south, north = _extent(here)
    aspect = 1 / np.cos(np.radians(np.clip((south + north) / 2, -60, 60)))
    height = float(np.clip(5.4 * aspect * (north - south) / (east - west), 2.2, 5.6))
    with paper():
        figure = Figure(figsize=(7.2, height + 0.5), layout="constrained")
        axis = figure.subplots()
        axis.set_facecolor(_SEA)
        _draw_land(axis, (west, east, south, north))
        for site, value in r2.sort_values(ascending=False, na_position="first", kind="stable").items():
            colour = colours.to_rgba(value) if np.isfinite(value) else "white"
            axis.plot(here.loc[site, "longitude"], here.loc[site, "latitude"], marker="o", linestyle="",
                      markersize=6 if len(here) <= _LABELLED else 4.5,
                      markerfacecolor=colour, markeredgecolor="#222222", markeredgewidth=0.6,
                      url=f"#{anchor(str(site))}", zorder=3)  # fmt: skip
        axis.set(xlim=(west, east), ylim=(south, north), aspect=aspect)
        axis.set(xlabel="longitude (degrees east)", ylabel="latitude (degrees north)")
        label = f"r2 at the site ({view.label})\n{in_words(view.models[0])}"
        figure.colorbar(colours, ax=axis, label=label, shrink=0.85, extend="min", ticks=[-1, -0.5, 0, 0.5, 1])
        if len(here) <= _LABELLED:
            _label(figure, axis, here)
    return figure


def _draw_land(axis: Axes, extent: tuple[float, float, float, float]) -> None:
    """The outlines that reach into the map, the largest first; what lies within another is water."""
    from matplotlib.path import Path

    west, east, south, north = extent
    land: list[Path] = []
    for ring in land_outlines():
        (left, bottom), (right, top) = ring.min(axis=0), ring.max(axis=0)
        if left < east and right > west and bottom < north and top > south:
            within = sum(other.contains_point(ring[0]) for other in land) % 2
            axis.fill(*ring.T, facecolor=_SEA if within else _LAND, edgecolor="#bdb9ae", linewidth=0.4)
            land.append(Path(ring))


def _extent(here: pd.DataFrame) -> tuple[float, float, float, float]:
    """West, east, south and north of the map: the sites and a margin, never beyond the world."""
    low, high = here.min(), here.max()
    margin = np.maximum(0.08 * (high - low), _LEAST_SPAN)
    low, high = low - margin, high + margin
    wide, tall = (float(high[key] - low[key]) for key in ("longitude", "latitude"))
    low["latitude"] -= max(0.0, (wide / 3 - tall) / 2)
    high["latitude"] += max(0.0, (wide / 3 - tall) / 2)
    low["longitude"] -= max(0.0, (tall - wide) / 2)
    high["longitude"] += max(0.0, (tall - wide) / 2)
    return (
        max(float(low["longitude"]), -180.0), min(float(high["longitude"]), 180.0),
        max(float(low["latitude"]), -90.0), min(float(high["latitude"]), 90.0),
    )  # fmt: skip


def _label(figure: Figure, axis: Axes, sites: pd.DataFrame) -> None:
    """Write the site IDs where they meet no marker, no other ID and no border; a site without such a place has none."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # only a drawn figure knows where its points lie
    points = axis.transData.transform(sites[["longitude", "latitude"]].to_numpy()) * 72 / figure.dpi
    left, bottom, right, top = (np.asarray(axis.bbox.extents) * 72 / figure.dpi).tolist()
    map_ = Box(left, bottom, right, top)
    taken = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    for name, (x, y) in zip(sites.index, points, strict=True):
        wide, high = 0.66 * _FONT * len(name), 1.1 * _FONT
        sides = ((5, 1), (-5 - wide, 1), (5, -high - 1), (-5 - wide, -high - 1), (-wide / 2, 6), (-wide / 2, -13))
        for dx, dy in sides:
            box = Box(x + dx, y + dy, x + dx + wide, y + dy + high)
            if box.within(map_) and not any(box.meets(other) for other in taken):
                taken.append(box)
                axis.annotate(name, sites.loc[name, ["longitude", "latitude"]].astype(float), xytext=(dx, dy),
                              textcoords="offset points", fontsize=_FONT)  # fmt: skip
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

    def within(self, other: Box) -> bool:
        return (
            self.left > other.left and self.right < other.right and self.bottom > other.bottom and self.top < other.top
        )
