"""Small cubes with structure in space and time: fields with their own phase, clouds, a dense and a sparse sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from ecoembed.sensors import SENSORS

if TYPE_CHECKING:
    from ecoembed.embeddings.encode import Encoder


def make_cube(
    sensor: str,
    n: int = 30,
    side: int = 20,
    seed: int = 0,
    every: float = 5.0,
    cloud: float = 0.2,
    start: str = "2020-01-01",
) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    bands, unit = len(SENSORS[sensor].bands), SENSORS[sensor].unit
    day = np.arange(n) * every + (0.73 if sensor == "S1" else 0.45)
    fields = rng.integers(0, 4, size=(side // 4 + 1, side // 4 + 1)).repeat(4, 0).repeat(4, 1)[:side, :side]
    phase = np.sin(2 * np.pi * (day[:, None, None] / 365 + fields / 4))
    values = 0.3 + 0.15 * phase[:, None] * rng.uniform(0.3, 1, size=(1, bands, 1, 1))
    values = values + rng.normal(0, 0.01, size=(n, bands, side, side))
    if sensor == "S1":
        values = -20 + 20 * values
    cube = xr.DataArray(
        values.astype(np.float32),
        dims=("time", "band", "y", "x"),
        coords={
            "time": np.datetime64(start, "ns") + (day * 86_400e9).astype("timedelta64[ns]"),
            "band": list(SENSORS[sensor].band_names),
            "y": 5_600_000.0 - 10 * np.arange(side),
            "x": 500_000.0 + 10 * np.arange(side),
        },
        attrs={"sensor": sensor, "units": unit, "site": f"XX-T{seed:02d}"},
    )
    clear = rng.random((n, side, side)) > cloud
    return cube.where(xr.DataArray(clear, dims=("time", "y", "x"))).rio.write_crs(32631)


@pytest.fixture(scope="session")
def s2() -> xr.DataArray:
    return make_cube("S2_L2A")


@pytest.fixture(scope="session")
def s1() -> xr.DataArray:
    return make_cube("S1", n=26, every=6.0, cloud=0.0)


@pytest.fixture(scope="session")
def place(tmp_path_factory, s2, s1):
    """A Zarr store of one place, as `ecoembed cube` writes it."""
    from ecoembed.cubes.store import save_cubes

    path = tmp_path_factory.mktemp("place") / "XX-T00.zarr"
    save_cubes({"S2_L2A": s2, "S1": s1}, path)
    return path


def make_encoder(*sensors: str, **card: Any) -> Encoder:
    """An encoder with random weights and a plausible normalisation: what the structure promises needs no training."""
    from ecoembed.embeddings.batches import Normalisation
    from ecoembed.embeddings.card import ModelCard, sensor_card
    from ecoembed.embeddings.encode import Encoder
    from ecoembed.embeddings.weights import random_model

    def norm(name: str) -> Normalisation:
        bands = len(SENSORS[name].bands)
        mean, std = (-14.0, 3.0) if name == "S1" else (0.3, 0.1)
        return Normalisation(*SENSORS[name].valid_range, (mean,) * bands, (std,) * bands)

    given = {
        "sensors": {name: sensor_card(name, norm(name)) for name in sensors},
        "places": (), "objective": "paper", "objective_note": "not trained", "steps": {}, "seed": 0,
    }  # fmt: skip
    made = ModelCard(**(given | card))
    return Encoder(random_model(3, made.sensors), made)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return make_encoder("S2_L2A", "S1")
