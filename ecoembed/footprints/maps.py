"""Pictures of a footprint: its 50 and 80 % source areas over the true-colour image of the place.

Nothing is told apart by colour alone: the lines differ by their dashes, and stand on a halo.
"""

from __future__ import annotations

import calendar
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.cubes.grid import true_north
from ecoembed.cubes.pictures import TRUE_COLOUR, clearest_date, figure_png, pixels_of, true_colour
from ecoembed.footprints.contours import source_area
from ecoembed.footprints.extract import check_grids
from ecoembed.footprints.pixels import crs_of

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes

#: Shares of the footprint whose source areas are outlined, and how.
SHARES = {0.5: "solid", 0.8: "dashed"}
_SMALL: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}


def footprint_map(weights: xr.DataArray, cube: xr.DataArray | None = None, title: str = "") -> bytes:
    """Map of a footprint, or of each month's.

    Parameters
    ----------
    weights : xr.DataArray, shape (y, x), (month, y, x) or (time, y, x)
        From :func:`~ecoembed.footprints.tower.tower_footprint`. Of overpasses the mean is shown.
    cube : xr.DataArray, shape (time, band, y, x), optional
        Sentinel-2 reflectance on the same grid, shown in true colour on the date with the most valid pixels. Without it
        the footprint itself is shown, darker where a pixel weighs more (by the square root of its weight).
    title : str
        Usually the site.

    Returns
    -------
    bytes
        A PNG, grid north up; its arrow points to true north. It reaches about twice as far as 80 % of the footprint.

    Raises
    ------
    GridError
        If cube and weights are not on the same pixels.
    """
    from matplotlib.figure import Figure

    image, says = None, [title]
    if cube is not None:
        check_grids(cube, weights)
        date = clearest_date((cube, TRUE_COLOUR))
        image = true_colour(pixels_of(cube, date, TRUE_COLOUR))
        says.append(f"Sentinel-2 true colour, {np.datetime_as_string(date, 'D')}")
    tower = (float(weights.attrs["tower_x"]), float(weights.attrs["tower_y"]))
    panels = list(weights) if weights.dims[0] == "month" else [overall(weights)]
    areas = [source_area(panel, list(SHARES)) for panel in panels]
    reach = _reach(areas, tower)
    if len(panels) > 1:
        figure = Figure(figsize=(10.5, 9.0), layout="constrained")
        for axis, panel, area in zip(figure.subplots(3, 4).flat, panels, areas, strict=True):
            draw_place(axis, panel, tower, image, panel, area, reach, labels=False)
            axis.set_title(_month(panel), fontsize=9)
    else:
        figure = Figure(figsize=(6.4, 7.1), layout="constrained")
        draw_place(figure.subplots(), panels[0], tower, image, panels[0], areas[0], reach)
    figure.suptitle("\n".join(filter(None, says)), fontsize=11)
    lines = _caption(weights, areas, shaded=image is None)
    width = 150 if len(panels) > 1 else 95
    figure.supxlabel("\n".join(part for line in lines for part in textwrap.wrap(line, width)), fontsize=9)
    return figure_png(figure)


def draw_place(
    axis: Axes,
    grid: xr.DataArray,
    tower: tuple[float, float],
    image: np.ndarray | None = None,
    weights: xr.DataArray | None = None,
    areas: gpd.GeoDataFrame | None = None,
    reach: float = np.inf,
    labels: bool = True,
) -> None:
    """Draw a place with its tower, scale bar, north arrow and footprint.

    Parameters
    ----------
    axis : matplotlib Axes
    grid : xr.DataArray
        Whose pixels are drawn; with a CRS the arrow points to true north, else to grid north.
    tower : (x, y)
        In the grid's coordinates, m.
    image : array, shape (y, x, 3), optional
        Colours 0 to 1; the weights where there is none.
    weights : xr.DataArray, shape (y, x), optional
        Outlined at 50 and 80 % of the whole footprint; weights without gradient (a disc) at their rim.
    areas : GeoDataFrame, optional
        Their source areas, where they have been computed already.
    reach : float
        Draw no farther than this from the tower, m.
    labels : bool
        Label the tower and the outlines.
    """
    from matplotlib import patheffects

    x, y = grid["x"].values - tower[0], grid["y"].values - tower[1]
    half = abs(float(x[1] - x[0])) / 2
    edges = (x.min() - half, x.max() + half, y.min() - half, y.max() + half)
    left, right, bottom, top = np.clip(edges, -reach, reach)
    ink, halo = ("black", "white") if image is None else ("white", "black")
    style: dict[str, Any] = {"color": ink, "path_effects": [patheffects.withStroke(linewidth=2.5, foreground=halo)]}
    if image is not None:
        axis.imshow(image, extent=edges, origin="upper", interpolation="nearest")
    elif weights is not None:
        axis.pcolormesh(x, y, np.sqrt(weights.values), cmap="Blues", vmin=0)
    if weights is not None:
        _outlines(axis, weights, tower, source_area(weights, list(SHARES)) if areas is None else areas, style, labels)
    axis.plot(0, 0, marker="+", markersize=12 if labels else 7, markeredgewidth=1.5, **style)
    if labels:
        axis.annotate("tower", (0, 0), xytext=(6, -11), **_SMALL, **style)
    _scale_bar(axis, left, right, bottom, style)
    _north_arrow(axis, _north(grid, tower), style)
    axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")


def overall(weights: xr.DataArray) -> xr.DataArray:
    """One footprint, shape (y, x): the mean over months or overpasses where there are several."""
    return weights.mean(str(weights.dims[0]), keep_attrs=True) if weights.ndim > 2 else weights


def _reach(areas: list[gpd.GeoDataFrame], tower: tuple[float, float]) -> float:
    """Twice as far from the tower as the source areas lie; without end where one is not known."""
    if any(area.geometry.isna().any() for area in areas):
        return np.inf
    bounds = np.abs(np.stack([area.total_bounds for area in areas]) - np.tile(tower, 2))
    return max(100.0, 2 * float(bounds.max()))


def _outlines(
    axis: Axes,
    weights: xr.DataArray,
    tower: tuple[float, float],
    areas: gpd.GeoDataFrame,
    style: dict[str, Any],
    labels: bool,
) -> None:
    if areas.geometry.isna().all() and weights.attrs.get("n", 0) == 0:  # a disc
        x, y = weights["x"].values - tower[0], weights["y"].values - tower[1]
        rim = axis.contour(x, y, weights.values, levels=[float(weights.max()) / 2], colors=style["color"])
        rim.set_path_effects(style["path_effects"])
    for share, area in zip(areas["share"], areas.geometry, strict=True):
        if area is None:
            continue
        rings = [np.array(ring.coords) - tower for part in area.geoms for ring in (part.exterior, *part.interiors)]
        for ring in rings:
            axis.plot(*ring.T, linewidth=1.3, linestyle=SHARES[share], **style)
        if labels:  # at the northern end, off the line
            north = max((tuple(ring[ring[:, 1].argmax()]) for ring in rings), key=lambda point: point[1])
            axis.annotate(f"{100 * share:.0f} %", north, xytext=(0, 3), ha="center", **_SMALL, **style)


def _scale_bar(axis: Axes, left: float, right: float, bottom: float, style: dict[str, Any]) -> None:
    """About a quarter of the width, of a round length."""
    quarter = (right - left) / 4
    power = 10.0 ** np.floor(np.log10(quarter))
    length = power * max(step for step in (1, 2, 5) if step * power <= quarter)
    margin = 0.06 * (right - left)
    at = [left + margin, left + margin + length]
    axis.plot(at, [bottom + margin] * 2, linewidth=3, solid_capstyle="butt", **style)
    axis.annotate(f"{length:g} m", (sum(at) / 2, bottom + margin), xytext=(0, 4), ha="center", **_SMALL, **style)


def _north_arrow(axis: Axes, north: float, style: dict[str, Any]) -> None:
    """In the upper right corner, `north` degrees clockwise from up."""
    east, up = 0.07 * np.sin(np.radians(north)), 0.07 * np.cos(np.radians(north))
    tail, place = (0.93, 0.83), {"xycoords": "axes fraction", "textcoords": "axes fraction"}
    arrow = {"arrowstyle": "->", "linewidth": 1.5, **style}
    axis.annotate("", (tail[0] + east, tail[1] + up), xytext=tail, arrowprops=arrow, **place)  # type: ignore[arg-type]
    at = (tail[0] + 1.5 * east, tail[1] + 1.5 * up)
    axis.annotate("N", at, xytext=at, ha="center", va="center", fontsize=9, **place, **style)  # type: ignore[arg-type]


def _north(grid: xr.DataArray, tower: tuple[float, float]) -> float:
    crs = crs_of(grid)
    if crs is None:
        return 0.0
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*tower)
    return true_north(crs, latitude, longitude)


def _month(panel: xr.DataArray) -> str:
    name = calendar.month_abbr[int(panel["month"])]
    used = "that of all half-hours" if bool(panel["stand_in"]) else f"n = {int(panel['n'])}"
    return f"{name}: {used}, {float(panel['inside']):.0%} inside".replace("%", " %")


def _caption(weights: xr.DataArray, areas: list[gpd.GeoDataFrame], shaded: bool) -> list[str]:
    attrs = weights.attrs
    halfhours = f"; {attrs['n']} half-hours" if attrs["n"] else ""
    halfhours += f"; mean of {len(weights)} overpasses" if weights.dims[0] == "time" else ""
    outside = f"{max(0.0, 1 - attrs['inside']):.1%}".replace("%", " %")
    what = "lines hold 50 % (solid) and 80 % (dashed) of the footprint" if attrs["n"] else "the line is its rim"
    lines = [f"{attrs['method']}{halfhours}", f"{what}; {outside} of it lies beyond the grid"]
    lines += ["darker pixels weigh more (square root)"] if shaded else []
    rows = [row for row in areas[0].itertuples() if row.geometry is None and attrs["n"]]
    absent = [f"no {100 * row.share:.0f} % line: {row.reason}" for row in rows]
    return lines + absent + [attrs[name] for name in ("stand_in", "fallback") if name in attrs]
