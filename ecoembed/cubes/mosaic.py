"""What one pass delivered in parts, put together: one acquisition of several tiles, or of a radar's slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.backscatter import to_db, to_power
from ecoembed.archives.satellite.sentinel2 import baseline_number
from ecoembed.cubes.layers import Layers

#: A longer step between two slices begins another pass: slices are seconds apart, the next pass most of an hour away.
MAX_STEP = np.timedelta64(10, "m")


def mosaic(layers: Layers, bands: list[str]) -> tuple[Layers, dict[str, int]]:
    """One layer for each pass, where tiles meet or one scene comes under two baselines.

    Acquisitions less than ``MAX_STEP`` apart are one pass. Each pixel is taken whole, bands and classification, from
    one tile: of those with every band valid there (else any), that of the newest processing baseline, and of equal ones
    the last. A pass has the time of its last tile.

    Returns
    -------
    Layers
    dict of str to int
        ``dates`` that are made of several tiles, and ``tiles`` in them.
    """
    first = np.flatnonzero(np.diff(layers.time, prepend=layers.time[:1] - 2 * MAX_STEP) > MAX_STEP)
    stops = np.append(first[1:], len(layers.time))
    several = [(i, start, stop) for i, (start, stop) in enumerate(zip(first, stops, strict=True)) if stop - start > 1]
    if not several:
        return layers, {"dates": 0, "tiles": 0}
    values = {name: array[stops - 1] for name, array in layers.values.items()}
    for i, start, stop in several:
        source = _sources(layers, slice(start, stop), bands)[None]
        for name, array in layers.values.items():
            values[name][i] = np.take_along_axis(array[start:stop], source, axis=0)[0]
    metadata = {name: [column[stop - 1] for stop in stops] for name, column in layers.metadata.items()}
    merged = replace(layers, time=layers.time[stops - 1], values=values, metadata=metadata)
    return merged, {"dates": len(several), "tiles": int(sum(stop - start for _, start, stop in several))}


def _sources(layers: Layers, tiles: slice, bands: list[str]) -> np.ndarray:
    """Which of the tiles of one pass each pixel (y, x) is taken from."""
    finite = np.stack([np.isfinite(layers.values[band][tiles]) for band in bands])
    worth = finite.any(axis=0).astype("int8") + finite.all(axis=0)
    baselines = [baseline_number(value, "mosaic") or -1.0 for value in layers.metadata["processing_baseline"][tiles]]
    source = np.zeros(worth.shape[1:], dtype="int64")
    best = np.full(worth.shape[1:], -1, dtype="int8")
    for tile in np.argsort(baselines, kind="stable"):
        source = np.where(worth[tile] >= best, tile, source)
        best = np.maximum(best, worth[tile])
    return source


def merge_slices(slices: xr.DataArray) -> xr.DataArray:
    """One acquisition for each pass: the mean of its slices in linear power, over their valid pixels.

    A pass is delivered in slices a few seconds apart, each of which may cover a part of the place; a pass ends where
    more than ``MAX_STEP`` go by until the next slice, be it before or after midnight, or where the orbit is another.
    The morning's and the evening's pass of one day stay apart: they look from opposite sides, and merged they would be
    one acquisition of either time. The time is that of the last slice, so that no value is dated before it was seen.

    Parameters
    ----------
    slices : xr.DataArray
        (time, ...) in dB, time sorted; time stamps may repeat. ``orbit`` over time where it is known.
    """
    times = slices["time"].values
    begins = np.diff(times, prepend=times[:1] - 2 * MAX_STEP) > MAX_STEP
    if "orbit" in slices.coords:
        orbits = slices["orbit"].values
        begins[1:] |= orbits[1:] != orbits[:-1]
    first = np.flatnonzero(begins)
    if len(first) == len(times):
        return slices
    power = to_power(slices.values)
    valid = np.isfinite(power)
    total = np.add.reduceat(np.where(valid, power, 0.0), first, axis=0)
    count = np.add.reduceat(valid, first, axis=0, dtype="int64")
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    last = np.append(first[1:], len(times)) - 1
    return slices.isel(time=last).copy(data=to_db(mean))
