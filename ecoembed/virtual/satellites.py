"""The satellite files of a virtual place, and what they do not tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.virtual import backscatter, orbits, products, radiance
from ecoembed.virtual.places import streams
from ecoembed.virtual.world import World

#: Every n-th site has a 20 m file that does not declare its scale, every n-th one an archive that was reprocessed.
_UNSCALED, _REPROCESSED = 4, 3
#: Radar is delivered in slices, s apart, on every n-th pass of a direction.
_SLICE_SECONDS, _SLICED = 25, 8


def write_satellites(folder: Path, world: World, number: int, seed: int) -> xr.DataArray:
    """Write the Sentinel-2 and Sentinel-1 files of a place; return where cloud or shadow truly stood."""
    rng = streams(seed, number)
    sky, radar = rng["sky"], rng["radar"]
    days = pd.DatetimeIndex(world.daily.index)
    seen = world.growth, world.land, world.leaf_area
    passes = orbits.optical_passes(world.place, days, sky)
    local = passes.times + pd.Timedelta(hours=world.place.utc_offset)
    cover = world.halfhours["CLOUD"].reindex(local.floor("30min"), method="nearest").to_numpy()
    scenes = radiance.observe(*seen, passes, cover, sky)
    traps = {"unscaled": number % _UNSCALED == 3, "reprocessed": number % _REPROCESSED == 2}
    products.write_sentinel2(folder, world.place, passes, scenes, **traps)
    cloud = xr.DataArray(scenes.cloud, dims=("acquisition", "y", "x"), coords={"acquisition": passes.times})
    passes = orbits.radar_passes(world.place, days, radar)
    weather = backscatter.weather_at(passes, world.halfhours, world.place.utc_offset)
    bands = backscatter.backscatter(*seen, passes, weather, radar)
    products.write_sentinel1(folder, world.place, *_sliced(passes, bands))
    return cloud


def _sliced(passes: orbits.Passes, bands: dict[str, np.ndarray]) -> tuple[orbits.Passes, dict[str, np.ndarray]]:
    """Cut every n-th pass of a direction into the two slices in which it is delivered: they overlap, seconds apart."""
    ascending = np.char.startswith(passes.orbit, "A")
    turn = np.where(ascending, np.cumsum(ascending), np.cumsum(~ascending)) - 1
    cut = np.flatnonzero(turn % _SLICED == 3)
    order = np.sort(np.concatenate([np.arange(len(turn)), cut]))
    second = np.concatenate([[False], order[1:] == order[:-1]])
    first = np.concatenate([second[1:], [False]])
    rows = np.arange(next(iter(bands.values())).shape[1])
    hidden = (first[:, None] & (rows >= 0.6 * len(rows))) | (second[:, None] & (rows < 0.4 * len(rows)))
    passes = passes[order]
    times = passes.times + pd.to_timedelta(np.where(second, _SLICE_SECONDS, 0), unit="s")
    bands = {name: np.where(hidden[:, :, None], np.nan, values[order]) for name, values in bands.items()}
    return replace(passes, times=times), bands
