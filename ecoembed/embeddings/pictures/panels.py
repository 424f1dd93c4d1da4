"""What stands in the pictures of an embedding: maps of dates, and a line of pixels through time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.cubes.pictures import MISSING, TRUE_COLOUR, true_colour
from ecoembed.embeddings.pictures.colours import Colours, dimensions, sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

FONT = 8
_SIDE = 400  # pixels along a side of a panel; of wider places, means over blocks are shown
_DAY = np.timedelta64(1, "D")


def rows_of(z: xr.DataArray) -> int:
    """True colour, the embedding, and its expected error if it has one."""
    return 3 if "error" in z["band"].values else 2


def draw_dates(
    figure: FigureBase,
    z: xr.DataArray,
    s2: xr.DataArray,
    chosen: tuple[np.ndarray, np.ndarray],
    colours: Colours,
    row: int | None = None,
    columns: int = 1,
) -> None:
    """Maps of the times `chosen` of z and of s2, a column for each of at least `columns`; the line `row` is marked."""
    shown, seen = chosen
    axes = figure.subplots(rows_of(z), max(len(shown), columns), squeeze=False, sharex=True, sharey=True)
    for axis in axes[:, len(shown) :].flat:
        axis.set_visible(False)
    optical = true_colour(np.stack([_image(s2, when, TRUE_COLOUR) for when in seen]))
    for column, (when, other, image) in zip(axes.T, zip(shown, seen, optical, strict=True), strict=False):
        column[0].set_title(_title(when, other), fontsize=FONT + 1)
        _map(column[0], z, image, row)
        _map(column[1], z, colours.rgb(_image(z, when, dimensions(z))), row)
        column[-1].set_xlabel("m east", fontsize=FONT)
    _names(axes[:, 0], "m north")
    if rows_of(z) == 3:
        scale = _scale(z)
        errors = [_map(a, z, _image(z, t, ("error",)), row, **scale) for a, t in zip(axes[2], shown, strict=False)]
        _bar(figure, errors[0], axes, z, shrink=1 / 3, anchor=(0, 0))


def _image(cube: xr.DataArray, when: np.datetime64, bands: tuple[str, ...]) -> np.ndarray:
    """Bands of one time, shape (y, x, band); of a wide place, means over blocks of what is valid."""
    image = cube.sel(time=when, band=list(bands))
    step = _step(cube)
    image = image.coarsen(y=step, x=step, boundary="trim").mean() if step > 1 else image
    values: np.ndarray = image.transpose("y", "x", "band").values
    return values.astype(float)


def _step(cube: xr.DataArray) -> int:
    """Pixels of a place in one of a panel."""
    return -(-max(cube.sizes["y"], cube.sizes["x"]) // _SIDE)


def _map(axis: Axes, z: xr.DataArray, image: np.ndarray, row: int | None, **how: Any) -> Any:
    """One panel, in m from the south-western corner."""
    west, east, south, north = edges(z)
    origin: Any = "upper" if z["y"].values[0] > z["y"].values[-1] else "lower"
    drawn = axis.imshow(image.squeeze(), extent=(0, east - west, 0, north - south), origin=origin, **how)
    axis.set_facecolor(str(MISSING))
    axis.tick_params(labelsize=FONT)
    axis.locator_params(nbins=4)
    if row is not None:
        at = float(z["y"].values[row]) - south
        for end, marker in ((0, ">"), (east - west, "<")):
            axis.plot(end, at, marker=marker, markersize=5, color="black", clip_on=False, zorder=5)
    return drawn


def edges(z: xr.DataArray) -> tuple[float, float, float, float]:
    """West, east, south and north of the place, m."""
    x, y = z["x"].values, z["y"].values
    half = abs(float(x[1] - x[0])) / 2 if len(x) > 1 else 5.0
    return float(x.min()) - half, float(x.max()) + half, float(y.min()) - half, float(y.max()) + half


def draw_strip(figure: FigureBase, z: xr.DataArray, s2: xr.DataArray, row: int, colours: Colours) -> None:
    """The line `row` from west to east over the time of z."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes = figure.subplots(rows_of(z), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    _strip(axes[0], s2, true_colour(_line(s2, row, TRUE_COLOUR)))
    start, end = _strip(axes[1], z, colours.rgb(_line(z, row, dimensions(z)))).get_coordinates()[0, [0, -1], 0]
    if rows_of(z) == 3:
        _bar(
            figure,
            _strip(axes[2], z, _line(z, row, ("error",))[..., 0], **_scale(z)),
            axes,
            z,
            shrink=1 / 3,
            anchor=(0, 0),
        )
    _names(axes, "m east")
    north = edges(z)[3] - float(z["y"].values[row])
    axes[0].set_title(f"the line from west to east {north:.0f} m south of the northern edge", fontsize=FONT + 1)
    locator = AutoDateLocator(minticks=4, maxticks=12)
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes[-1].set_xlim(start, end)
    first, last = (np.datetime_as_string(time, "D") for time in z["time"].values[[0, -1]])
    axes[-1].set_xlabel(f"date ({first} to {last})", fontsize=FONT)


def _line(cube: xr.DataArray, row: int, bands: tuple[str, ...]) -> np.ndarray:
    """Bands along one row, shape (x, time, band); of a wide place, means of what is valid."""
    line = cube.sel(band=list(bands)).isel(y=row)
    step = _step(cube)
    line = line.coarsen(x=step, boundary="trim").mean() if step > 1 else line
    values: np.ndarray = line.transpose("x", "time", "band").values
    return values.astype(float)


def _strip(axis: Axes, cube: xr.DataArray, image: np.ndarray, **how: Any) -> Any:
    """Columns of an image (x, time, ...) at their times, as wide as is usual between two; grey where none is near."""
    times = cube["time"].values
    days = (times - times[0]) / _DAY
    gaps = np.diff(days)
    usual = max(1.0, float(np.median(gaps))) if len(gaps) else 1.0
    half = np.where(gaps <= 1.5 * usual, gaps, usual) / 2
    left, right = days - np.append(usual / 2, half), days + np.append(half, usual / 2)
    columns = np.full((image.shape[0], 2 * len(days) - 1, *image.shape[2:]), MISSING if image.ndim == 3 else np.nan)
    columns[:, ::2] = image  # between two of them one for the gap, mostly of no width
    at = times[0] + (np.stack([left, right], axis=1).ravel() * 86_400e9).astype("timedelta64[ns]")
    west, east, *_ = edges(cube)
    drawn = axis.pcolormesh(at, np.linspace(0, east - west, len(image) + 1), columns, rasterized=True, **how)
    axis.set_facecolor(str(MISSING))
    axis.tick_params(labelsize=FONT)
    return drawn


def _scale(z: xr.DataArray) -> dict[str, Any]:
    """One scale for all errors of a cube, from 0 to their 98th percentile."""
    errors = sample(z, ("error",))
    return {"cmap": "cividis", "vmin": 0.0, "vmax": max(float(np.percentile(errors, 98)), 1e-6)}


def _bar(figure: FigureBase, drawn: Any, axes: Any, z: xr.DataArray, **how: Any) -> None:
    """A colour bar beside all of `axes`, so that they stay below each other."""
    bar = figure.colorbar(drawn, ax=axes, extend="max", aspect=15, **how)
    bar.set_label(f"expected error ({z.attrs['error_unit']})", fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)


def _names(axes: Iterable[Axes], unit: str) -> None:
    for axis, name in zip(axes, ("true colour", "embedding", "expected error"), strict=False):
        axis.set_ylabel(f"{name}\n{unit}", fontsize=FONT)


def _title(when: np.datetime64, other: np.datetime64) -> str:
    day, shown = (np.datetime_as_string(t, "D") for t in (when, other))
    return day if day == shown else f"{day}\n(true colour: {shown})"
