"""The tiles of one pass put together: one acquisition, each pixel from one tile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ecoembed.archives.satellite.sentinel1 import MAX_STEP
from ecoembed.archives.satellite.sentinel2 import baseline_number
from ecoembed.cubes.layers import Layers


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
