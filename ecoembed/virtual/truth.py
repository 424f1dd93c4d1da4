"""The file of truth beside a virtual site: what no tower and no satellite can know. No stage reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.archives.netcdf import write
from ecoembed.virtual.production import DAILY
from ecoembed.virtual.tower import Record
from ecoembed.virtual.vegetation import COVERS
from ecoembed.virtual.weather import HALF_HOURS, daily_means
from ecoembed.virtual.world import World

#: The disc that a study without footprints takes, m.
DISC_RADIUS = 100.0


def truth(world: World, record: Record, cloud: xr.DataArray, comment: str) -> xr.Dataset:
    """Truth of a place: fluxes by day, pixels by month, and where cloud or shadow stood at each acquisition."""
    land, month, kinds = world.land, world.month, list(COVERS)
    months = pd.DatetimeIndex(world.daily.index[np.flatnonzero(np.diff(month, prepend=-1))])
    monthly = np.stack([world.gpp[month == m].mean(0) for m in range(len(months))])
    meaning = {"flag_values": np.arange(len(kinds), dtype=np.int8), "flag_meanings": " ".join(kinds)}
    cover = np.array([kinds.index(name) for name in land.cover], dtype=np.int8)[land.field]
    daytime = world.halfhours["SW_IN_F"].to_numpy() > 0.0

    def flux(values: np.ndarray, name: str) -> tuple[str, np.ndarray, dict[str, str]]:
        return "time", values, {"units": "gC m-2 d-1", "long_name": name}

    inside = daily_means(world.view.inside * daytime) / np.maximum(daily_means(daytime), 1.0 / HALF_HOURS)
    return xr.Dataset(
        {
            "cover": (("y", "x"), cover, meaning),
            "field": (("y", "x"), land.field.astype(np.int16)),
            "weights": (("month", "y", "x"), world.weights.astype(np.float32), {"units": "1"}),
            "gpp_month": (("month", "y", "x"), monthly.astype(np.float32), {"units": "gC m-2 d-1"}),
            "gpp_tower": flux(daily_means(world.tower_gpp) * DAILY, "GPP in the footprint, half-hour by half-hour"),
            "reco_tower": flux(daily_means(world.tower_reco) * DAILY, "respiration in the footprint"),
            "nee_unbiased": flux(daily_means(record.unbiased) * DAILY, "net exchange, the tower's bias in it"),
            "gpp_cube": flux(world.gpp.mean((1, 2)), "mean GPP of the cube"),
            "gpp_disc": flux(world.gpp[:, world.disc(DISC_RADIUS)].mean(1), f"GPP within {DISC_RADIUS:g} m"),
            "inside": ("time", inside, {"units": "1", "long_name": "share of the daylight footprint inside the cube"}),
            "soil_water": ("time", world.growth.water[:, 0], {"units": "1", "long_name": "root zone, tower's field"}),
            "drought": ("time", world.daily["DROUGHT"].to_numpy(), {"units": "1", "long_name": "severity of drought"}),
            "cloud": cloud,
        },
        coords={"time": pd.DatetimeIndex(world.daily.index), "month": months, "y": land.y, "x": land.x},
        attrs={"site": world.place.site_id, "epsg": world.place.epsg, "comment": comment},
    )


def write_truth(path: Path, data: xr.Dataset) -> None:
    """Write the file, whole or not at all."""
    packed: dict[str, dict[str, object]] = {
        str(name): {"zlib": True, "complevel": 1} for name in data.data_vars if data[name].ndim > 1
    }
    write(data, path, packed)
