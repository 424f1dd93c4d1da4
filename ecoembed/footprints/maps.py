"""Pictures of a footprint: its 50 and 80 % source areas over the true-colour image of the place.

Nothing is told apart by colour alone: the lines differ by their dashes, and are white on a black halo.
"""

from __future__ import annotations

import calendar
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.cubes.grid import true_north
from ecoembed.errors import TableError
from ecoembed.footprints.extract import check_grids
from ecoembed.footprints.pixels import crs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Sentinel-2's bands for red, green and blue.
TRUE_COLOUR = ("B04", "B03", "B02")
#: Shares of the footprint whose source areas are outlined, and how.
SHARES = {0.5: "solid", 0.8: "dashed"}
_MISSING = 0.75  # grey of pixels without data
_WHITE: dict[str, Any] = {"color": "white"}


def footprint_map(weights: xr.DataArray, cube: xr.DataArray | None = None, title: str = "") -> bytes:
    """Map of a footprint, or of each month's.

    Parameters
    ----------
    weights : xr.DataArray, shape (y, x), (month, y, x) or (time, y, x)
        From :func:`~ecoembed.footprints.tower.tower_footprint`. Of overpasses the mean is shown.
    cube : xr.DataArray, shape (time, band, y, x), optional
        Sentinel-2 reflectance on the same grid, shown in true colour on the date with the most valid pixels. Without it
        the footprint itself is shown: for each pixel, the share that comes from pixels that weigh as much or more.
    title : str
        Usually the site.

    Returns
    -------
    bytes
        A PNG, grid north up; its arrow points to true north.

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
        image = stretch(pixels_of(cube, date, TRUE_COLOUR), together=True)
        says.append(f"Sentinel-2 true colour, {np.datetime_as_string(date, 'D')}")
    tower = (float(weights.attrs["tower_x"]), float(weights.attrs["tower_y"]))
    if weights.dims[0] == "month":
        figure = Figure(figsize=(10.5, 9.0), layout="constrained")
        for axis, panel in zip(figure.subplots(3, 4).flat, weights, strict=False):
            draw_place(axis, panel, tower, image, panel, labels=False)
            axis.set_title(_month(panel), fontsize=9)
    else:
        figure = Figure(figsize=(6.4, 7.1), layout="constrained")
        mean = weights.mean("time", keep_attrs=True) if "time" in weights.dims else weights
        draw_place(figure.subplots(), mean, tower, image, mean)
    figure.suptitle("\n".join(filter(None, says)), fontsize=11)
    figure.supxlabel("\n".join(_caption(weights)), fontsize=9)
    return figure_png(figure)


def draw_place(
    axis: Axes,
    grid: xr.DataArray,
    tower: tuple[float, float],
    image: np.ndarray | None = None,
    weights: xr.DataArray | None = None,
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
        Colours 0 to 1; the footprint's shares where there is none.
    weights : xr.DataArray, shape (y, x), optional
        Outlined at 50 and 80 % of the whole footprint; a disc at its rim.
    labels : bool
        Label the tower and the outlines.
    """
    from matplotlib import patheffects

    x, y = grid["x"].values - tower[0], grid["y"].values - tower[1]
    half = abs(float(x[1] - x[0])) / 2
    left, right, bottom, top = x.min() - half, x.max() + half, y.min() - half, y.max() + half
    halo = [patheffects.withStroke(linewidth=2.5, foreground="black")]
    if image is not None:
        axis.imshow(image, extent=(left, right, bottom, top), origin="upper", interpolation="nearest")
    elif weights is not None:
        share = np.where(weights.values > 0, 100 * footprint_share(weights.values), np.nan)
        axis.pcolormesh(x, y, share, cmap="cividis", vmin=0, vmax=100)
    if weights is not None:
        _outlines(axis, x, y, weights.values, halo, labels)
    axis.plot(0, 0, marker="+", markersize=12, markeredgewidth=1.8, path_effects=halo, **_WHITE)
    if labels:
        axis.annotate(
            "tower", (0, 0), xytext=(6, 6), textcoords="offset points", fontsize=8, path_effects=halo, **_WHITE
        )
    _scale_bar(axis, left, right, bottom, halo)
    _north_arrow(axis, _north(grid, tower), halo)
    axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")


def footprint_share(weights: np.ndarray) -> np.ndarray:
    """For each pixel, the share of the footprint in all pixels that weigh at least as much; 1 where there is none."""
    flat = np.sort(weights.ravel())[::-1]
    share = np.cumsum(flat)[np.searchsorted(-flat, -weights.ravel(), side="right") - 1]
    return np.where(weights > 0, share.reshape(weights.shape), 1.0)


def clearest_date(*images: tuple[xr.DataArray, tuple[str, ...]]) -> np.datetime64:
    """The date, common to all cubes, on which the smallest share of pixels valid in their bands is highest.

    Raises
    ------
    TableError
        If they have no date in common.
    """
    common = images[0][0]["time"].values
    for cube, _ in images[1:]:
        common = np.intersect1d(common, cube["time"].values)
    if len(common) == 0:
        raise TableError("the cubes have no date in common", where=images[0][0].attrs.get("site"))
    shares = [
        cube.sel(time=common, band=list(bands)).notnull().all("band").mean(("y", "x")).values for cube, bands in images
    ]
    date: np.datetime64 = common[int(np.argmax(np.min(shares, axis=0)))]
    return date


def pixels_of(cube: xr.DataArray, date: np.datetime64, bands: tuple[str, ...]) -> np.ndarray:
    """Three bands of one date, shape (y, x, 3)."""
    image: np.ndarray = cube.sel(time=date, band=list(bands)).transpose("y", "x", "band").values
    return image.astype(float)


def stretch(image: np.ndarray, together: bool = False) -> np.ndarray:
    """(y, x, 3) in [0, 1] between its 2nd and 98th percentile (channel by channel, or `together`); missing is grey."""
    axis = None if together else (0, 1)
    valid = np.isfinite(image).all(axis=-1)
    low, high = np.nanpercentile(np.where(valid[..., None], image, np.nan), (2, 98), axis=axis)
    scaled = np.clip((image - low) / np.maximum(high - low, 1e-9), 0, 1)
    return np.where(valid[..., None], scaled, _MISSING)


def figure_png(figure: Figure, dpi: int = 130) -> bytes:
    """A figure as PNG bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def _outlines(axis: Axes, x: np.ndarray, y: np.ndarray, weights: np.ndarray, halo: list[Any], labels: bool) -> None:
    share = footprint_share(weights)
    levels = [level for level in SHARES if share[weights > 0].min(initial=1) < level < weights.sum()]
    style: dict[str, Any] = {"colors": "white", "linewidths": 1.3}
    if not levels:
        axis.contour(x, y, (weights > 0).astype(float), levels=[0.5], **style).set_path_effects(halo)
        return
    lines = axis.contour(x, y, share, levels=levels, linestyles=[SHARES[level] for level in levels], **style)
    lines.set_path_effects(halo)
    if labels:
        for label in axis.clabel(lines, fmt=lambda level: f"{100 * level:.0f} %", fontsize=8, inline=False):
            label.set_path_effects(halo)


def _scale_bar(axis: Axes, left: float, right: float, bottom: float, halo: list[Any]) -> None:
    """About a quarter of the width, of a round length."""
    quarter = (right - left) / 4
    power = 10.0 ** np.floor(np.log10(quarter))
    length = power * max(step for step in (1, 2, 5) if step * power <= quarter)
    margin = 0.06 * (right - left)
    at = [left + margin, left + margin + length]
    axis.plot(at, [bottom + margin] * 2, linewidth=3, solid_capstyle="butt", path_effects=halo, **_WHITE)
    axis.text(at[0], bottom + 1.4 * margin, f"{length:g} m", fontsize=8, path_effects=halo, **_WHITE)


def _north_arrow(axis: Axes, north: float, halo: list[Any]) -> None:
    """In the upper right corner, `north` degrees clockwise from up."""
    east, up = 0.07 * np.sin(np.radians(north)), 0.07 * np.cos(np.radians(north))
    tail = (0.93, 0.83)
    arrow = {"arrowstyle": "->", "linewidth": 1.5, "path_effects": halo, **_WHITE}
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "axes fraction"}
    axis.annotate("", (tail[0] + east, tail[1] + up), xytext=tail, arrowprops=arrow, **place)
    at = (tail[0] + 1.5 * east, tail[1] + 1.5 * up)
    axis.annotate("N", at, xytext=at, ha="center", va="center", fontsize=9, path_effects=halo, **place, **_WHITE)


def _north(grid: xr.DataArray, tower: tuple[float, float]) -> float:
    crs = crs_of(grid)
    if crs is None:
        return 0.0
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*tower)
    return true_north(crs, latitude, longitude)


def _month(panel: xr.DataArray) -> str:
    name = f"{calendar.month_abbr[int(panel['month'])]}: {float(panel['inside']):.0%} inside"
    return f"{name}, n = {int(panel['n'])}" if not bool(panel["stand_in"]) else f"{name}, of all months"


def _caption(weights: xr.DataArray) -> list[str]:
    inside, attrs = weights.attrs["inside"], weights.attrs
    halfhours = f" of {attrs['n']} half-hours" if attrs["n"] else ""
    lines = [f"{attrs['method']}{halfhours}"]
    lines.append(f"lines hold 50 % (solid) and 80 % (dashed) of the footprint; {1 - inside:.1%} of it lies outside")
    return lines + ([attrs["stand_in"]] if "stand_in" in attrs else [])
