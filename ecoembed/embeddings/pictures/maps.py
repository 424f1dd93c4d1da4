"""Pictures of an embedding beside true colour: maps of several dates, and a line of pixels through the seasons.

Nothing here needs torch. Source: the figures of Peters et al. (2025), arXiv 2511.11706.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.cubes.pictures import check_picture, clear_shares, figure_png, save_figure
from ecoembed.embeddings.pictures.colours import Colours, fit_colours
from ecoembed.embeddings.pictures.panels import FONT, draw_dates, draw_strip, rows_of
from ecoembed.errors import ConfigError, GridError, TableError
from ecoembed.schema import check_cube, check_embedding_cube

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Share of the place that a date must show to be taken for a picture.
CLEAR = 0.5
#: Dates in one picture, at most.
MOST_DATES = 8
#: Dates of an embedding from which on there is a line through time to draw.
SEASON = 4
_DPI = 150
_PANEL, _MARGIN, _BAR = 2.2, 0.8, 0.8  # inches: side of a panel, labels left of it, colour bar right of it


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
    _check(z, s2)
    return figure_png(_maps(z, s2, _chosen(z, s2, dates, n)), _DPI)


def _maps(z: xr.DataArray, s2: xr.DataArray, chosen: tuple[np.ndarray, np.ndarray]) -> Figure:
    from matplotlib.figure import Figure

    colours = fit_colours(z)
    figure = Figure(figsize=(_width(z, len(chosen[0])), _maps_height(z) + 2 * FONT / 72), layout="constrained")
    draw_dates(figure, z, s2, chosen, colours)
    _say(figure, z, colours)
    return figure


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
    figure = Figure(figsize=(_width(z, 4), _strip_height(z)), layout="constrained")
    draw_strip(figure, z, s2, row, colours)
    _say(figure, z, colours)
    return figure_png(figure, _DPI)


def save_picture(z: xr.DataArray, s2: xr.DataArray, path: str | Path, dates: Sequence[Any] | None = None) -> None:
    """Both on one page, as PNG, SVG or PDF: maps of several dates and, below them, the line that is marked on them.

    Of an embedding of fewer than four dates there are the maps alone.

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
    chosen, row = _chosen(z, s2, dates, 4), _row(z, None)
    if z.sizes["time"] < SEASON:
        save_figure(_maps(z, s2, chosen), path, _DPI)
        return
    colours = fit_colours(z)
    heights = _maps_height(z), _strip_height(z)
    figure = Figure(figsize=(_width(z, max(len(chosen[0]), 4)), sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    draw_dates(above, z, s2, chosen, colours, row, columns=4)
    draw_strip(below, z, s2, row, colours)
    _say(figure, z, colours)
    save_figure(figure, path, _DPI)


def clear_dates(s2: xr.DataArray) -> dict[np.datetime64, float]:
    """Dates of Sentinel-2 that show enough of the place to be drawn, and their clear shares.

    Raises
    ------
    TableError
        If there is none: no picture can then be drawn of any embedding of this cube.
    """
    shares = clear_shares(s2)
    found = {time: float(share) for time, share in zip(s2["time"].values, shares, strict=True) if share >= CLEAR}
    if not found:
        raise TableError(
            "no date clear enough for a picture",
            where=s2.attrs.get("site"),
            found=f"{100 * shares.max(initial=0):.0f} % at most, on {len(shares)} dates",
            expected=f"{100 * CLEAR:.0f} % of the place at least",
            remedy="Check the cube's mask",
        )
    return found


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


def _chosen(z: xr.DataArray, s2: xr.DataArray, dates: Sequence[Any] | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of z to show, and for each the acquisition of Sentinel-2 to draw: the nearest one that is clear enough."""
    times, shares = z["time"].values, clear_dates(s2)
    clear = np.array(list(shares))
    if dates is not None:
        shown = _on_days(z, dates)
    elif "error" in z["band"].values:  # on dates that somebody chose, clear or not
        shown = times[np.unique(np.linspace(0, len(times) - 1, n).round().astype(int))]
    else:
        shown = _spread(np.intersect1d(times, clear), shares, n)
    if not len(shown):
        where, expected = s2.attrs.get("site"), f"a clear one of the {len(clear)} of Sentinel-2"
        raise TableError("no date clear enough", where=where, found="other dates", expected=expected)
    return shown, np.array([clear[np.abs(clear - when).argmin()] for when in shown])


def _spread(times: np.ndarray, shares: Mapping[np.datetime64, float], n: int) -> np.ndarray:
    """The clearest of `n` parts, one after the other, of the calendar year with most times."""
    years = times.astype("datetime64[Y]")
    names, counts = np.unique(years, return_counts=True)
    of_year = times[years == names[counts.argmax()]] if len(times) else times
    parts = np.array_split(of_year, min(n, len(of_year))) if len(of_year) else []
    return np.array([max(part, key=lambda time: shares[time]) for part in parts], dtype=times.dtype)


def _on_days(z: xr.DataArray, dates: Sequence[Any]) -> np.ndarray:
    """Times of z on these UTC days."""
    try:
        asked = np.unique(np.array(list(dates), dtype="datetime64[D]"))
    except ValueError as exc:
        raise ConfigError("not a date", found=exc, expected="dates such as 2020-05-31") from None
    if not 1 <= len(asked) <= MOST_DATES:
        raise ConfigError("dates do not fit a picture", found=len(asked), expected=f"1 to {MOST_DATES}")
    days = z["time"].values.astype("datetime64[D]")
    for day in asked:
        if day not in days:
            nearest = days[np.abs(days - day).argmin()]
            where, remedy = z.attrs.get("site"), "Ask for a day of the embedding, or embed that day"
            raise TableError(f"no embedding on {day}", where=where, found=f"{nearest} as the nearest", remedy=remedy)
    found: np.ndarray = z["time"].values[np.searchsorted(days, asked)]
    return found


def _width(z: xr.DataArray, dates: int) -> float:
    return _MARGIN + max(dates, 2) * _PANEL + (_BAR if rows_of(z) == 3 else 0)


def _maps_height(z: xr.DataArray) -> float:
    return 0.9 + rows_of(z) * (0.1 + _PANEL * float(np.clip(z.sizes["y"] / z.sizes["x"], 0.3, 3)))


def _strip_height(z: xr.DataArray) -> float:
    return 1.0 + 1.3 * rows_of(z)


def _say(figure: Figure, z: xr.DataArray, colours: Colours) -> None:
    """Title: which place, which weights. Below: what the colours are."""
    attrs = z.attrs
    title = [attrs.get("site", ""), f"weights {attrs['weights']}", f"{attrs['window']} window"]
    figure.suptitle(", ".join(filter(None, title)), fontsize=FONT + 2)
    caption = (
        f"embedding: {colours} of the variance of the whole cube, each from its 2nd to its 98th percentile; "
        "the same colour is the same embedding on every date; grey: missing"
    )
    figure.supxlabel("\n".join(textwrap.wrap(caption, int(14 * figure.get_figwidth()))), fontsize=FONT)
