"""Pictures of an embedding beside true colour: maps of several dates, and a line of pixels through the seasons.

Nothing here needs torch. Source: the figures of Peters et al. (2025), arXiv 2511.11706.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.cubes.pictures import (
    MISSING,
    TRUE_COLOUR,
    check_picture,
    clear_shares,
    figure_png,
    save_figure,
    true_colour,
)
from ecoembed.embeddings.colours import Colours, dimensions, fit_colours
from ecoembed.errors import ConfigError, GridError, TableError
from ecoembed.schema import check_cube, check_embedding_cube

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

#: Share of the place that a date must show to be taken for a picture.
CLEAR = 0.5
#: Dates in one picture, at most.
MOST_DATES = 8
_SIDE = 400  # pixels along a side of a panel; of wider places, means over blocks are shown
_DPI, _FONT = 150, 8
_PANEL, _MARGIN = 2.2, 1.0  # inches
_DAY = np.timedelta64(1, "D")


def dates_picture(z: xr.DataArray, s2: xr.DataArray, dates: Sequence[Any] | None = None, n: int = 4) -> bytes:
    """Maps of several dates: true colour, below it the embedding's colours, and its expected error where it has one.

    Parameters
    ----------
    z : xr.DataArray, shape (time, band, y, x)
        `EmbeddingCube`; may have been opened lazily.
    s2 : xr.DataArray, shape (time, band, y, x)
        Sentinel-2 reflectance on the same grid. If a date of z shows less than half of the place, or is none of
        Sentinel-2's, the nearest date that shows more is drawn above it, and named.
    dates : sequence of dates, optional
        UTC days of z; by default `n` clear ones spread over the calendar year that has most of them.
    n : int
        How many dates to choose.

    Returns
    -------
    bytes
        A PNG, grid north up.

    Raises
    ------
    GridError
        If z and s2 lie on different grids.
    TableError
        If no date is clear enough, or z has none of a day asked for.
    ConfigError
        If more than eight dates are asked for.
    """
    from matplotlib.figure import Figure

    _check(z, s2)
    shown, colours = _chosen(z, s2, dates, n), fit_colours(z)
    figure = Figure(figsize=(_width(len(shown)), _maps_height(z) + 2 * _FONT / 72), layout="constrained")
    _draw_dates(figure, z, s2, shown, colours)
    _say(figure, z, colours)
    return figure_png(figure, _DPI)


def season_strip(z: xr.DataArray, s2: xr.DataArray, row: int | None = None) -> bytes:
    """One line of pixels from west to east through time: true colour, the embedding's colours, its expected error.

    Parameters
    ----------
    z, s2 : xr.DataArray
        As in :func:`dates_picture`.
    row : int, optional
        Index into ``y``; the middle one by default.

    Returns
    -------
    bytes
        A PNG. A date is drawn as wide as the usual time between two; longer gaps are grey.

    Raises
    ------
    GridError
        If z and s2 lie on different grids, or there is no such row.
    TableError
        If z has no valid pixels.
    """
    from matplotlib.figure import Figure

    _check(z, s2)
    row, colours = _row(z, row), fit_colours(z)
    figure = Figure(figsize=(_width(4), _strip_height(z)), layout="constrained")
    _draw_strip(figure, z, s2, row, colours)
    _say(figure, z, colours)
    return figure_png(figure, _DPI)


def save_picture(z: xr.DataArray, s2: xr.DataArray, path: str | Path, dates: Sequence[Any] | None = None) -> None:
    """Both on one page, as PNG, SVG or PDF: maps of several dates and, below them, the line that is marked on them.

    Raises
    ------
    ConfigError
        If `path` has another ending, or more than eight dates are asked for.
    GridError, TableError
        As :func:`dates_picture`.
    """
    from matplotlib.figure import Figure

    check_picture(path)
    _check(z, s2)
    shown, row, colours = _chosen(z, s2, dates, 4), _row(z, None), fit_colours(z)
    heights = _maps_height(z), _strip_height(z)
    figure = Figure(figsize=(_width(max(len(shown), 4)), sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_dates(above, z, s2, shown, colours, row)
    _draw_strip(below, z, s2, row, colours)
    _say(figure, z, colours)
    save_figure(figure, path, _DPI)


def _check(z: xr.DataArray, s2: xr.DataArray) -> None:
    check_embedding_cube(z)
    check_cube(s2, "S2_L2A")
    if s2.rio.crs != z.rio.crs or not (np.array_equal(z["x"], s2["x"]) and np.array_equal(z["y"], s2["y"])):
        found, expected = (f"{c.sizes['y']} x {c.sizes['x']} px in {c.rio.crs}" for c in (s2, z))
        where, remedy = z.attrs.get("site"), "Take the cube that was embedded"
        what = "Sentinel-2 and the embedding lie on different grids"
        raise GridError(what, where=where, found=found, expected=f"{expected}, the same x and y", remedy=remedy)


def _row(z: xr.DataArray, row: int | None) -> int:
    rows = z.sizes["y"]
    if row is not None and not 0 <= row < rows:
        raise GridError("no such row", where=z.attrs.get("site"), found=row, expected=f"0 to {rows - 1}")
    return rows // 2 if row is None else row


def _chosen(z: xr.DataArray, s2: xr.DataArray, dates: Sequence[Any] | None, n: int) -> np.ndarray:
    """Times of z to show."""
    times = z["time"].values
    if dates is not None:
        return _on_days(z, dates)
    if "error" in z["band"].values:  # on dates that somebody chose, clear or not
        return times[np.unique(np.linspace(0, len(times) - 1, n).round().astype(int))]
    common = np.intersect1d(times, s2["time"].values)
    shares = clear_shares(s2.sel(time=common))
    clear, years = shares >= CLEAR, common.astype("datetime64[Y]")
    if not clear.any():
        raise _unclear(s2, shares)
    names, counts = np.unique(years[clear], return_counts=True)
    candidates = np.flatnonzero(clear & (years == names[counts.argmax()]))
    groups = np.array_split(candidates, min(n, len(candidates)))
    return common[[group[shares[group].argmax()] for group in groups]]


def _on_days(z: xr.DataArray, dates: Sequence[Any]) -> np.ndarray:
    if not 1 <= len(dates) <= MOST_DATES:
        raise ConfigError("dates do not fit a picture", found=len(dates), expected=f"1 to {MOST_DATES}")
    days, asked = z["time"].values.astype("datetime64[D]"), np.sort(np.array(dates, dtype="datetime64[D]"))
    for day in asked:
        if day not in days:
            nearest = days[np.abs(days - day).argmin()]
            where, remedy = z.attrs.get("site"), "Ask for a day of the embedding, or embed that day"
            raise TableError(f"no embedding on {day}", where=where, found=f"{nearest} as the nearest", remedy=remedy)
    return z["time"].values[np.searchsorted(days, asked)]


def _unclear(s2: xr.DataArray, shares: np.ndarray) -> TableError:
    best = f"{100 * shares.max():.0f} % at most, on {len(shares)} dates" if len(shares) else "no date in common"
    expected = f"{100 * CLEAR:.0f} % of the place at least"
    remedy = "Ask for certain dates, or check the cube's mask"
    return TableError("no date clear enough", where=s2.attrs.get("site"), found=best, expected=expected, remedy=remedy)


def _seen(s2: xr.DataArray, shown: np.ndarray) -> np.ndarray:
    """For each time shown, the acquisition of Sentinel-2 nearest to it that is clear enough."""
    shares = clear_shares(s2)
    clear = s2["time"].values[shares >= CLEAR]
    if not len(clear):
        raise _unclear(s2, shares)
    return np.array([clear[np.abs(clear - when).argmin()] for when in shown])


def _width(dates: int) -> float:
    return _MARGIN + max(dates, 2) * _PANEL


def _rows(z: xr.DataArray) -> int:
    return 3 if "error" in z["band"].values else 2


def _maps_height(z: xr.DataArray) -> float:
    return 0.9 + _rows(z) * (0.1 + _PANEL * float(np.clip(z.sizes["y"] / z.sizes["x"], 0.3, 3)))


def _strip_height(z: xr.DataArray) -> float:
    return 1.0 + 1.3 * _rows(z)


def _draw_dates(
    figure: FigureBase,
    z: xr.DataArray,
    s2: xr.DataArray,
    shown: np.ndarray,
    colours: Colours,
    row: int | None = None,
) -> None:
    seen = _seen(s2, shown)
    axes = figure.subplots(_rows(z), len(shown), squeeze=False, sharex=True, sharey=True)
    optical = true_colour(np.stack([_image(s2, when, TRUE_COLOUR) for when in seen]))
    embedded = [colours.rgb(_image(z, when, dimensions(z))) for when in shown]
    for column, (when, other, *images) in enumerate(zip(shown, seen, optical, embedded, strict=True)):
        axes[0, column].set_title(_title(when, other), fontsize=_FONT + 1)
        for axis, image in zip(axes[:, column], images, strict=False):
            _map(axis, z, image, row)
    _names(axes[:, 0], "m north")
    if _rows(z) == 3:
        errors = np.stack([_image(z, when, ("error",))[..., 0] for when in shown])
        maps = [_map(a, z, e, row, **_scale(errors)) for a, e in zip(axes[2], errors, strict=True)]
        figure.colorbar(maps[0], ax=list(axes[2]), label=_error_label(z), extend="max")
    for axis in axes[-1]:
        axis.set_xlabel("m east", fontsize=_FONT)


def _image(cube: xr.DataArray, when: np.datetime64, bands: tuple[str, ...]) -> np.ndarray:
    """Bands of one time, shape (y, x, band); of a wide place, means over blocks of what is valid."""
    image = cube.sel(time=when, band=list(bands))
    step = -(-max(image.sizes["y"], image.sizes["x"]) // _SIDE)
    image = image.coarsen(y=step, x=step, boundary="trim").mean() if step > 1 else image
    values: np.ndarray = image.transpose("y", "x", "band").values
    return values.astype(float)


def _map(axis: Axes, z: xr.DataArray, image: np.ndarray, row: int | None, **how: Any) -> Any:
    """One panel, in m from the south-western corner, with both ends of the line of the strip."""
    west, east, south, north = _edges(z)
    drawn = axis.imshow(image, extent=(0, east - west, 0, north - south), **how)
    axis.set_facecolor(str(MISSING))
    axis.tick_params(labelsize=_FONT)
    axis.locator_params(nbins=4)
    if row is not None:
        at = float(z["y"].values[row]) - south
        for end, marker in ((0, ">"), (east - west, "<")):
            axis.plot(end, at, marker=marker, markersize=5, color="black", clip_on=False, zorder=5)
    return drawn


def _edges(z: xr.DataArray) -> tuple[float, float, float, float]:
    """West, east, south and north of the place, m."""
    x, y = z["x"].values, z["y"].values
    half = abs(float(x[1] - x[0])) / 2 if len(x) > 1 else 5.0
    return float(x.min()) - half, float(x.max()) + half, float(y.min()) - half, float(y.max()) + half


def _draw_strip(figure: FigureBase, z: xr.DataArray, s2: xr.DataArray, row: int, colours: Colours) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    optical = _line(s2, row, TRUE_COLOUR)
    axes = figure.subplots(_rows(z), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    _strip(axes[0], s2, true_colour(optical))
    _strip(axes[1], z, colours.rgb(_line(z, row, dimensions(z))))
    if _rows(z) == 3:
        errors = _line(z, row, ("error",))[..., 0]
        drawn = _strip(axes[2], z, errors, **_scale(errors))
        figure.colorbar(drawn, ax=axes[2], label=_error_label(z), extend="max")
    _names(axes, "m east")
    north = _edges(z)[3] - float(z["y"].values[row])
    axes[0].set_title(f"the line from west to east {north:.0f} m south of the northern edge", fontsize=_FONT + 1)
    locator = AutoDateLocator(minticks=4, maxticks=12)
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes[-1].set_xlabel("date", fontsize=_FONT)


def _line(cube: xr.DataArray, row: int, bands: tuple[str, ...]) -> np.ndarray:
    """Bands along one row, shape (x, time, band)."""
    values: np.ndarray = cube.sel(band=list(bands)).isel(y=row).transpose("x", "time", "band").values
    return values.astype(float)


def _strip(axis: Axes, cube: xr.DataArray, image: np.ndarray, **how: Any) -> Any:
    """Columns of an image (x, time, ...) at their times; grey where no acquisition is near."""
    times = cube["time"].values
    days = (times - times[0]) / _DAY
    reach = max(0.5, float(np.median(np.diff(days))) / 2) if len(days) > 1 else 0.5
    middle = (days[1:] + days[:-1]) / 2
    left = np.maximum(days - reach, np.append(-np.inf, middle))
    right = np.minimum(days + reach, np.append(middle, np.inf))
    west, east, *_ = _edges(cube)
    y = np.linspace(0, east - west, cube.sizes["x"] + 1)
    for i, column in enumerate(np.moveaxis(image, 1, 0)):
        edges = times[0] + (np.array([left[i], right[i]]) * 86_400e9).astype("timedelta64[ns]")
        drawn = axis.pcolormesh(edges, y, column[:, None], rasterized=True, **how)
    axis.set_facecolor(str(MISSING))
    axis.tick_params(labelsize=_FONT)
    return drawn


def _scale(errors: np.ndarray) -> dict[str, Any]:
    """One scale for all errors shown, from 0 to their 98th percentile."""
    top = float(np.nanpercentile(errors, 98)) if np.isfinite(errors).any() else 1.0
    return {"cmap": "cividis", "vmin": 0.0, "vmax": max(top, 1e-6)}


def _error_label(z: xr.DataArray) -> str:
    return f"expected error\n({z.attrs.get('error_unit', 'reflectance')})"


def _names(axes: Iterable[Axes], unit: str) -> None:
    for axis, name in zip(axes, ("true colour", "embedding", "expected error"), strict=False):
        axis.set_ylabel(f"{name}\n{unit}", fontsize=_FONT)


def _title(when: np.datetime64, other: np.datetime64) -> str:
    day, shown = (np.datetime_as_string(t, "D") for t in (when, other))
    return day if day == shown else f"{day}\n(true colour: {shown})"


def _say(figure: Figure, z: xr.DataArray, colours: Colours) -> None:
    """Title: which place, which weights. Below: what the colours are."""
    attrs = z.attrs
    title = [attrs.get("site", ""), f"weights {attrs['weights']}", f"{attrs['window']} window"]
    figure.suptitle(", ".join(filter(None, title)), fontsize=_FONT + 2)
    caption = (
        f"embedding: {colours} of the variance of the whole cube, each from its 2nd to its 98th percentile; "
        "the same colour is the same embedding on every date; grey: missing"
    )
    figure.supxlabel("\n".join(textwrap.wrap(caption, int(14 * figure.get_figwidth()))), fontsize=_FONT)
