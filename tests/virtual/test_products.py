"""Files as delivered: what is written is read back by the normal readers, traps and all."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed.archives.satellite.sentinel2 import open_sentinel2
from ecoembed.cubes.build import open_cube
from ecoembed.sensors import S2_L2A
from ecoembed.virtual import canopy, orbits, products, radiance
from ecoembed.virtual.satellites import write_satellites
from ecoembed.virtual.world import World
from tests.virtual.conftest import SEED

ANGLES = {
    "sunZenithAngles": "sun_zenith",
    "sunAzimuthAngles": "sun_azimuth",
    "viewZenithMean": "view_zenith",
    "viewAzimuthMean": "view_azimuth",
}


@pytest.fixture(scope="module")
def passes(crop_world: World) -> orbits.Passes:
    """As if the year had been that in which the offset came: half of the acquisitions before it, half after."""
    days = pd.date_range("2021-07-01", periods=len(crop_world.daily), freq="D", unit="ns")
    return orbits.optical_passes(crop_world.place, days, np.random.default_rng(SEED))


@pytest.fixture(scope="module")
def scenes(crop_world: World, passes: orbits.Passes) -> radiance.Scenes:
    args = (crop_world.growth, crop_world.land, crop_world.leaf_area, passes, np.full(len(passes.day), 0.3))
    return radiance.observe(*args, np.random.default_rng(0))


@pytest.fixture(
    scope="module", params=[(False, False), (True, False), (False, True)], ids=["plain", "undeclared", "c1"]
)
def folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    crop_world: World,
    passes: orbits.Passes,
    scenes: radiance.Scenes,
) -> Path:
    path = tmp_path_factory.mktemp("satellite")
    unscaled, reprocessed = request.param
    products.write_sentinel2(path, crop_world.place, passes, scenes, unscaled=unscaled, reprocessed=reprocessed)
    return path


def _truth(scenes: radiance.Scenes, band: str) -> np.ndarray:
    """Known reflectance on the 10 m grid, NaN outside the swath."""
    values = scenes.reflectance[:, canopy.BANDS.index(band)]
    inside = scenes.observed.repeat(2, 1).repeat(2, 2)
    if {b.name: b for b in S2_L2A.bands}[band].resolution_m == 20:
        values = radiance.coarsen(values).repeat(2, 1).repeat(2, 2)
    return np.where(inside, values, np.nan)


def test_the_known_reflectance_comes_back(folder: Path, scenes: radiance.Scenes, passes: orbits.Passes) -> None:
    cube = open_cube(sorted(folder.glob("S2_*.nc")), sensor="S2_L2A", dilation=0)
    position = pd.Series(range(len(passes.day)), passes.times)[cube.indexes["time"]].to_numpy()
    assert len(position) > 40
    for band in S2_L2A.band_names:
        read, truth = cube.sel(band=band).to_numpy(), _truth(scenes, band)[position]
        valid = np.isfinite(read)
        assert valid.mean() > 0.3
        assert np.isfinite(truth[valid]).all()  # nothing outside the swath
        stored = np.maximum(truth[valid], 1e-4)  # without an offset nothing below 1 can be stored
        error = np.minimum(np.abs(read[valid] - stored), np.abs(read[valid] - truth[valid]))
        assert error.max() < 5.1e-5 + 1e-6


def test_the_offset_follows_the_baseline_not_the_date(folder: Path, passes: orbits.Passes) -> None:
    with xr.open_dataset(next(folder.glob("S2_L2A_10m*.nc")), mask_and_scale=False) as raster:
        numbers = raster["B02"].to_numpy().astype(float)
        baseline = raster["processing_baseline"].to_numpy().astype(float)
    after = passes.times >= pd.Timestamp("2022-01-25")
    assert 0.2 < after.mean() < 0.8
    assert (baseline[after] >= 4).all()
    assert len(np.unique(baseline)) >= 2
    lowest = np.array([date[date > 0].min() if (date > 0).any() else np.nan for date in numbers])
    assert np.nanmin(lowest[baseline >= 4]) > 800
    if (baseline < 4).any():
        assert np.nanmin(lowest[baseline < 4]) < 600


def test_a_reprocessed_archive_has_the_offset_before_its_date() -> None:
    times = pd.DatetimeIndex(["2018-06-01", "2020-02-04", "2021-07-01", "2022-01-24", "2022-01-25", "2023-12-13"])
    assert products.baselines(times, False).tolist() == ["02.13", "02.14", "03.01", "03.01", "04.00", "05.10"]
    assert products.baselines(times, True).tolist() == ["05.00", "05.00", "05.00", "03.01", "04.00", "05.10"]
    assert products.offsets(products.baselines(times, False)).tolist() == [0, 0, 0, 0, 1000, 1000]
    assert products.offsets(products.baselines(times, True)).tolist() == [1000, 1000, 1000, 0, 1000, 1000]


def test_angles_orbits_and_all_twelve_bands_are_in_the_file(folder: Path, passes: orbits.Passes) -> None:
    with xr.open_dataset(next(folder.glob("S2_L2A_20m*.nc")), mask_and_scale=False) as raster:
        assert {"B01", "B09", "SCL"} <= set(raster.data_vars)
        for name, ours in ANGLES.items():
            assert raster[name].dims == ("timestamp",)
            np.testing.assert_allclose(raster[name], getattr(passes, ours), rtol=1e-5)
        assert raster["orbit"].to_numpy().tolist() == passes.orbit.tolist()
        coarse = raster["B01"].to_numpy()[:, :3, :3].astype(float)
        seen = coarse[(coarse > 0).all((1, 2))]
        assert (seen == seen[:, :1, :1]).all()  # a block of 60 m
        for name in ("B01", "B11"):
            assert raster[name].attrs["_FillValue"] == 0
            assert raster[name].dtype == np.uint16
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_sentinel2(next(folder.glob("S2_L2A_20m*.nc")))
    assert set(ANGLES) <= set(opened.variables)


def test_radar_files_of_each_direction_are_read_as_one_cube(tmp_path: Path, crop_world: World) -> None:
    cloud = write_satellites(tmp_path, crop_world, 2, SEED)
    assert cloud.dims == ("acquisition", "y", "x")
    assert 0.1 < float(cloud.mean()) < 0.9
    names = sorted(path.name.split("_")[1] for path in tmp_path.glob("S1_*.nc"))
    assert names == ["GRD-ASCENDING", "GRD-DESCENDING"]
    cube = open_cube(sorted(tmp_path.glob("S1_*.nc")), sensor="S1")
    assert 58 <= cube.sizes["time"] <= 62
    assert np.isfinite(cube).all()
    assert {str(label)[0] for label in cube["orbit"].values} == {"A", "D"}
    sliced = 0
    for path in tmp_path.glob("S1_*.nc"):
        with xr.open_dataset(path) as raster:
            sliced += int((np.diff(raster["timestamp"]) < np.timedelta64(1, "D")).sum())
    assert sliced >= 4


def test_each_trap_lies_at_some_of_the_sites(tmp_path: Path, crop_world: World) -> None:
    undeclared, reprocessed = set(), set()
    for number in range(1, 5):
        write_satellites(tmp_path / str(number), crop_world, number, SEED)
        with xr.open_dataset(next((tmp_path / str(number)).glob("S2_L2A_20m*.nc")), mask_and_scale=False) as raster:
            undeclared |= set() if "scale_factor" in raster["B11"].attrs else {number}
            baseline = set(raster["processing_baseline"].values)
        assert baseline in ({"05.00"}, {"02.13", "02.14"})  # all of 2020, by the same date with and without the offset
        reprocessed |= {number} if baseline == {"05.00"} else set()
    assert undeclared == {3}
    assert reprocessed == {2}


def test_nbar_takes_the_orbits_steps_out_of_a_cube(tmp_path: Path, crop_world: World, passes: orbits.Passes) -> None:
    still = {name: np.broadcast_to(values[180], values.shape) for name, values in vars(crop_world.growth).items()}
    args = (type(crop_world.growth)(**still), crop_world.land, np.broadcast_to(2.5, crop_world.leaf_area.shape))
    seen = radiance.canopy_reflectance(*args, passes)
    size = crop_world.leaf_area.shape[-1]
    classes = np.full((len(seen), size // 2, size // 2), 4, np.uint8)
    clear = radiance.Scenes(seen, classes, np.zeros((len(seen), size, size), bool), classes > 0)
    products.write_sentinel2(tmp_path, crop_world.place, passes, clear, unscaled=False, reprocessed=False)
    steps = {}
    for nbar in (False, True):
        cube = open_cube(sorted(tmp_path.glob("S2_*.nc")), sensor="S2_L2A", nbar=nbar)
        series = np.log(cube.mean(("y", "x")).to_numpy())
        steps[nbar] = np.abs(series[1:-1] - 0.5 * (series[:-2] + series[2:])).mean(0)  # against both neighbours
    assert (steps[False] > 0.01).all()
    assert (steps[True] < 0.8 * steps[False]).all()  # one set of kernel weights for all land, as Roy et al. mean it
    assert steps[True].mean() < 0.5 * steps[False].mean()


def test_what_would_not_fit_is_clipped_not_wrapped(crop_world: World, scenes: radiance.Scenes) -> None:
    extreme = replace(scenes, reflectance=np.where(scenes.reflectance > 0.2, 9.0, -0.5).astype(np.float32))
    numbers = products.digital_numbers(extreme, np.full(len(scenes.classes), 1000))
    inside = scenes.observed.repeat(2, 1).repeat(2, 2)
    assert set(np.unique(numbers["B08"][inside])) == {1, np.iinfo(np.uint16).max}
    assert (numbers["B08"][~inside] == 0).all()
