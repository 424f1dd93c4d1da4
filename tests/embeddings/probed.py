"""Places whose truth is known, and encoders of which it is known what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rioxarray  # noqa: F401
import xarray as xr

from ecoembed.cubes.store import save_cubes, save_series
from ecoembed.embeddings.probes.encoders import Raw, Seen
from ecoembed.embeddings.probes.places import ProbePlace
from ecoembed.embeddings.probes.views import _truth
from ecoembed.sensors import SENSORS

SIDE, DATES, COVERS = 20, 80, ("meadow", "forest", "crop")


def write_place(
    folder: Path,
    number: int,
    *,
    labels: bool = True,
    cloudy: bool = False,
    offset: float = 0.0,
    clear: Sequence[int] = (),
) -> Path:
    """A place of 5 x 5 px fields with a season, one harvest of the crops, whole clouded dates, and S1 that follows.

    Only the dates `clear` are, if there are any.
    """
    rng = np.random.default_rng([number, 7])
    day = np.arange(DATES) * 6.0 + 0.45
    field = (np.arange(SIDE)[:, None] // 5 * 4 + np.arange(SIDE)[None] // 5).astype(np.int16)
    cover = rng.permutation(np.arange(16) % 3).astype(np.int16)[field]
    phase, wiggle = rng.uniform(0, 0.1, 16)[field], rng.uniform(8, 14, 16)[field]
    at = day[:, None, None]
    green = 0.45 + 0.15 * cover / 2 + 0.25 * np.sin(2 * np.pi * (at / 365 - 0.2 + phase)) + 0.05 * np.sin(at / wiggle)
    green = np.where((cover == 2) & (at > 215 + 40 * phase) & (at < 280), 0.12, green).clip(0.03, 0.95)
    soil, leaf = np.linspace(0.12, 0.3, 10), np.array([0.03, 0.06, 0.03, 0.1, 0.3, 0.4, 0.42, 0.43, 0.2, 0.1])
    s2 = (1 - green[:, None]) * soil[:, None, None] + green[:, None] * leaf[:, None, None] + offset
    s2 = s2 + rng.normal(0, 0.004, s2.shape)
    radar = np.stack([-14 + 4 * green, -22 + 9 * green + cover], axis=1) + rng.normal(0, 0.3, (DATES, 2, SIDE, SIDE))
    clouded = rng.random(DATES) < (0.999 if cloudy else 0.25)
    s2[~np.isin(np.arange(DATES), clear) if clear else clouded] = np.nan
    site = f"XX-P{number:02d}"
    cubes = {
        name: _cube(name, values, day + k, site) for k, (name, values) in enumerate({"S2_L2A": s2, "S1": radar}.items())
    }
    path = folder / f"{site}{'' if offset == 0 else '-other'}.zarr"
    save_cubes(cubes, path)
    if labels:
        data = {"land_cover": (("y", "x"), cover, {"flag_meanings": " ".join(COVERS)}), "field": (("y", "x"), field)}
        save_series({"labels": xr.Dataset(data)}, path)
    return path


def _cube(sensor: str, values: np.ndarray, day: np.ndarray, site: str) -> xr.DataArray:
    return xr.DataArray(
        values.astype(np.float32),
        dims=("time", "band", "y", "x"),
        coords={
            "time": np.datetime64("2020-01-01", "ns") + (day * 86_400e9).astype("timedelta64[ns]"),
            "band": list(SENSORS[sensor].band_names),
            "y": 5_600_000.0 - 10 * np.arange(SIDE),
            "x": 500_000.0 + 10 * np.arange(SIDE),
        },
        attrs={"sensor": sensor, "units": SENSORS[sensor].unit, "site": site},
    ).rio.write_crs(32631)


class Noise(Raw):
    """Knows nothing."""

    def see(self, place, dates, *, kept, s1=True, window="centred"):
        rng = np.random.default_rng(len(place.id) + dates.sum() + int(kept.sum()) + place.pixels[0])
        return Seen(rng.normal(size=(len(dates), place.clear.shape[1], 7)))

    def random(self, seed):
        return self


class Perfect(Noise):
    """Knows what is behind every cloud and in every other mask, and what will be asked."""

    def random(self, seed):
        return Noise()

    def see(self, place, dates, *, kept, s1=True, window="centred"):
        bands = place.values[dates]
        asked = [_truth(place, dates, name) for name in ("ndvi_now", "ndvi_next", "vh_vv")]
        cover = _truth(place, dates, "land_cover")
        known = [bands, *(a[..., None] for a in asked), *((cover == c)[..., None] for c in COVERS)]
        return Seen(np.nan_to_num(np.concatenate(known, axis=-1)), bands)


class Leaky(Raw):
    """Raw values of an encoder that peeps: it is shown everything."""

    def see(self, place, dates, *, kept, s1=True, window="centred"):
        return super().see(place, dates, kept=np.ones_like(kept), s1=s1, window=window)


class Stated(Noise):
    """Rebuilds reflectance with an error that it knows, and states `factor` times it; it is larger without S1."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def see(self, place: ProbePlace, dates, *, kept, s1=True, window="centred"):
        truth = place.values[dates]
        rng = np.random.default_rng(int(kept.sum()) + 2 * s1)
        mean = rng.uniform(0.005, 0.03, truth.shape[:2]) * (1 if s1 else 2)
        error = rng.normal(size=truth.shape) * (mean * np.sqrt(np.pi / 2))[..., None]
        return Seen(rng.normal(size=(*truth.shape[:2], 7)), truth + error, self.factor * mean)
