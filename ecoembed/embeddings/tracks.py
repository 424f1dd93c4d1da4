"""What the embedding of each date sees of each sensor's cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ecoembed.cubes.pairing import nearest, pair_coordinates
from ecoembed.embeddings.batches import (
    MARGIN,
    MAX_OFFSET_DAYS,
    Frames,
    Window,
    days_of,
    neighbours,
    observed_dates,
    read_frames,
)
from ecoembed.embeddings.card import ANCHOR, SensorCard
from ecoembed.embeddings.checks import check_input
from ecoembed.embeddings.dates import asked_dates
from ecoembed.errors import ConfigError, GridError, TableError, VariableError
from ecoembed.schema import check_cube
from ecoembed.sensors import S1


@dataclass(frozen=True)
class Part:
    """Frames of a part of one sensor's cube; centre and gap of each date, as in its `Track`."""

    frames: Frames
    centres: np.ndarray
    gap: np.ndarray


@dataclass(frozen=True)
class Track:
    """One sensor's cube of a place, on disk or in memory, and its window at each date.

    Attributes
    ----------
    cube : xr.DataArray
    frames : np.ndarray (frame,)
        Where in the cube something was observed.
    centres : np.ndarray (date,)
        Day around which the sensor's window lies: the date, or that of the acquisition it was paired with; NaN where
        the sensor is missing.
    paired : np.ndarray (date,)
        Where in the cube that acquisition is, -1 where there is none; of the anchor, always.
    gap : np.ndarray (date,)
        Days from the date to there.
    index : np.ndarray (date, 11)
        The window's frames, -1 where there is none.
    """

    cube: xr.DataArray
    frames: np.ndarray
    centres: np.ndarray
    paired: np.ndarray
    gap: np.ndarray
    index: np.ndarray

    def read(self, times: slice, rows: slice, columns: slice) -> Part | None:
        """The frames that the windows of the dates `times` see, 7 px wider all round; None if they see none."""
        wide = [slice(s.start - MARGIN, s.stop + MARGIN) for s in (rows, columns)]
        seen = np.setdiff1d(self.index[times], -1)
        if not seen.size:
            return None
        return Part(read_frames(self.cube, self.frames[seen], *wide), self.centres[times], self.gap[times])

    def values_a_date(self) -> float:
        """Values of a pixel that are read for one date, if many are read together."""
        return self.cube.sizes["band"] * len(np.setdiff1d(self.index, -1)) / len(self.index)


@dataclass(frozen=True)
class Timeline:
    """The dates to embed, and what they see.

    Attributes
    ----------
    times : np.ndarray (date,), datetime64[ns]
    tracks : dict of str to Track
        Of the sensors that were given.
    pairs : dict
        Coordinates over the dates: gap and orbit of the acquisitions of every sensor but the anchor.
    window : {"centred", "causal"}
    any_date : bool
        Whether dates were asked for, and not the anchor's own.
    without : int
        Dates for which no sensor has an acquisition in reach: they have no embedding.
    """

    times: np.ndarray
    tracks: dict[str, Track]
    pairs: dict[str, Any]
    window: Window
    any_date: bool
    without: int


def given_cubes(
    sensors: Mapping[str, SensorCard], s2: xr.DataArray | None, s1: xr.DataArray | None, more: Sequence[xr.DataArray]
) -> dict[str, xr.DataArray]:
    """The cubes by sensor, checked; one without dates is as one that is not given.

    Raises
    ------
    VariableError, UnitError
        As :func:`check_input`; and if the weights do not know the sensor, or it is given twice.
    GridError
        If the cubes lie on different grids.
    TableError
        If there is no acquisition at all.
    """
    named = [(ANCHOR, s2), (S1.name, s1), *((str(check_cube(cube).attrs["sensor"]), cube) for cube in more)]
    cubes: dict[str, xr.DataArray] = {}
    for name, cube in named:
        if not isinstance(cube, xr.DataArray | None):
            found, remedy = type(cube).__name__, "Open it with ecoembed.open_cube"
            raise VariableError("not a cube", where=name, found=found, expected="xr.DataArray", remedy=remedy)
        if cube is None or not cube.sizes.get("time", 1):
            continue
        if name in cubes or name not in sensors:
            what = "two cubes of one sensor" if name in cubes else "the weights know no such sensor"
            raise VariableError(what, where=cube.attrs.get("site"), found=name, expected=", ".join(sensors))
        cubes[name] = check_input(cube, name, sensors[name])
        _refuse_other_grid(next(iter(cubes.values())), cube)
    if not cubes:
        raise TableError("no acquisition of any sensor", where="encode", expected=f"cubes of {', '.join(sensors)}")
    return cubes


def timeline_of(
    sensors: Mapping[str, SensorCard], cubes: dict[str, xr.DataArray], dates: Any, window: Window
) -> Timeline:
    """What each date sees of cubes from :func:`given_cubes`: of all dates of the anchor, or of those asked for.

    Raises
    ------
    ConfigError
        If `dates` are wrong, or all out of reach.
    """
    site = next(iter(cubes.values())).attrs.get("site", "encode")
    frames = {name: np.flatnonzero(observed_dates(cube)) for name, cube in cubes.items()}
    anchor = cubes[ANCHOR]["time"].values if ANCHOR in cubes else np.empty(0, "datetime64[ns]")
    if dates is None and ANCHOR not in cubes:
        remedy = "Say on which dates to embed: encode(None, s1, dates=...)"
        raise ConfigError(f"without {ANCHOR} there are no dates", where=site, expected="dates", remedy=remedy)
    times = anchor if dates is None else asked_dates(dates, anchor[frames.get(ANCHOR, [])])
    tracks = {
        name: _track(cubes[name], frames[name], times, window, sensors[name]) for name in sensors if name in cubes
    }
    lost = ~np.any([np.isfinite(track.centres) for track in tracks.values()], axis=0)
    if lost.all():
        reach = [str(end) for track in tracks.values() for end in track.cube["time"].values[track.frames[[0, -1]]]]
        raise ConfigError(
            "no acquisition in reach of any date",
            where=site,
            found=f"{str(times[0])[:10]} to {str(times[-1])[:10]}",
            expected=f"dates within {MAX_OFFSET_DAYS:g} days of {min(reach)[:10]} to {max(reach)[:10]}",
        )
    pairs: dict[str, Any] = {}
    for name in [name for name in sensors if name != ANCHOR]:
        if name in tracks:
            pairs |= pair_coordinates(cubes[name], tracks[name].paired, tracks[name].gap)
        else:
            pairs[f"{name.lower()}_gap"] = ("time", np.full(len(times), np.nan, dtype="f4"))
    return Timeline(times, tracks, pairs, window, dates is not None, int(lost.sum()))


def _track(cube: xr.DataArray, frames: np.ndarray, times: np.ndarray, window: Window, card: SensorCard) -> Track:
    """The window of the anchor lies around the date, that of another sensor around its acquisition nearest to it."""
    dates, days = days_of(times), days_of(cube["time"].values[frames])
    if cube.attrs["sensor"] == ANCHOR:
        paired, gap, centres = np.full(len(dates), -1), np.zeros(len(dates), dtype="f4"), dates
    else:
        found, gap = nearest(dates, days, card.max_gap_days, causal=window == "causal")
        paired, centres = np.append(frames, -1)[found], np.append(days, np.nan)[found]
    index = neighbours(days, centres, window)  # of a date without a pair, which is NaN, none
    alone = (index < 0).all(axis=1)
    gap = np.where(alone, np.float32(np.nan), gap)
    return Track(cube, frames, np.where(alone, np.nan, centres), paired, gap, index)


def _refuse_other_grid(first: xr.DataArray, cube: xr.DataArray) -> None:
    same = first.rio.crs == cube.rio.crs and all(
        first.sizes[d] == cube.sizes[d] and np.allclose(first[d], cube[d], rtol=0, atol=1e-3) for d in ("y", "x")
    )
    if not same:
        raise GridError(
            "the cubes lie on different grids",
            where=first.attrs.get("site", "encode"),
            found=f"{cube.sizes['y']} x {cube.sizes['x']} px in {cube.rio.crs}, {cube.attrs['sensor']}",
            expected=f"{first.sizes['y']} x {first.sizes['x']} px in {first.rio.crs}, {first.attrs['sensor']}",
            remedy="Open all with open_cube, which brings them to one 10 m grid",
        )
