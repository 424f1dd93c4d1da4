"""A real place in Belgium: 16 months of Sentinel-2 at 10 m and 20 m, and of Sentinel-1."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ecoembed import open_cube
from ecoembed.cubes.grid import tower_position
from ecoembed.cubes.pairing import pair, smooth
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.errors import FileError, GridError, VariableError
from ecoembed.sensors import S2_L2A
from tests.archives import fakes


@pytest.fixture(scope="module")
def folder(real: Path) -> Path:
    return next((real / "cubes").glob("belgium_*"))


@pytest.fixture(scope="module")
def s2(folder: Path) -> xr.DataArray:
    return open_cube(sorted(folder.glob("S2_*.nc")))


@pytest.fixture(scope="module")
def s1(folder: Path) -> xr.DataArray:
    return open_cube(sorted(folder.glob("S1_*.nc")), "S1")


def test_sentinel2(s2: xr.DataArray) -> None:
    assert s2.shape == (65, 10, 64, 64)
    assert tuple(s2["band"].values) == S2_L2A.band_names
    assert (s2.attrs["dates_in"], s2.attrs["dates_dropped"]) == (118, 53)
    assert s2.rio.crs.to_epsg() == 32631
    valid = s2.values[np.isfinite(s2.values)]
    assert valid.min() >= 0
    assert np.mean(valid <= 1) > 0.9999
    assert 0.7 < valid.size / s2.size < 0.9
    summer = s2.sel(time=slice("2018-06-15", "2018-07-15")).median(("time", "y", "x"))
    red, near_infrared = float(summer.sel(band="B04")), float(summer.sel(band="B08"))
    assert 0.01 < red < 0.2 < near_infrared < 0.6  # fields in June


def test_both_resolutions_agree_where_their_bands_overlap(s2: xr.DataArray) -> None:
    """B08 (10 m) and B8A (20 m) see the same infrared: a wrong scale or a flipped grid of either file would show.

    The files as delivered are out of register by 10 m from north to south (moving B08 by one row gives 0.99); we
    believe the coordinates that they declare.
    """
    broad, narrow = (s2.sel(band=band).coarsen(x=2, y=2).reduce(np.mean).values.ravel() for band in ("B08", "B8A"))
    both = np.isfinite(broad) & np.isfinite(narrow)
    assert np.corrcoef(broad[both], narrow[both])[0, 1] > 0.95
    assert np.median(narrow[both] / broad[both]) == pytest.approx(1.0, abs=0.1)


def test_sentinel1(s1: xr.DataArray) -> None:
    assert s1.shape == (159, 2, 64, 64)
    days = s1["time"].values.astype("datetime64[D]")
    assert len(np.unique(days)) == len(days)
    vv, vh = (float(s1.sel(band=band).median()) for band in ("VV", "VH"))
    assert vv == pytest.approx(-8.6, abs=0.2)
    assert vh == pytest.approx(-16.3, abs=0.2)
    assert float(s1.quantile(0.001)) > -35
    assert float(s1.quantile(0.999)) < 10


def test_pairs(s2: xr.DataArray, s1: xr.DataArray) -> None:
    index, gap = pair(s2, s1)
    assert (index >= 0).all()
    assert np.abs(gap).max() < 3  # two orbits in six days
    assert (gap < 0).any()
    assert (gap > 0).any()
    np.testing.assert_allclose((s1["time"].values[index] - s2["time"].values) / np.timedelta64(1, "D"), gap, rtol=1e-5)


def test_smoothing_lowers_the_speckle(s1: xr.DataArray) -> None:
    before, after = (float(cube.diff("time").std()) for cube in (s1, smooth(s1)))
    assert after < 0.5 * before


def test_growing_the_clouds_takes_away_what_is_too_bright(folder: Path) -> None:
    """What stands more than 0.05 in the blue above the pixel's own median: cloud edges and haze, mostly."""
    usual = open_cube(folder, dilation=100, bands=["B02"]).median("time")
    bright, kept = [], []
    for distance in (0, 20, 60):
        blue = open_cube(folder, dilation=distance, bands=["B02"])
        kept.append(int(blue.notnull().sum()))
        bright.append(float((blue > usual + 0.05).sum()) / kept[-1])
    assert bright[0] > 1.25 * bright[1] > 1.25 * bright[2]  # 9.9, 7.4 and 5.8 %
    assert kept[1] > 0.95 * kept[0]


def test_nbar_takes_the_step_between_two_orbits_away(folder: Path, s2: xr.DataArray) -> None:
    """The place is seen from the east and from the west in turn, days apart."""
    nadir = open_cube(folder, nbar=True)
    coarse = next(folder.glob("S2_L2A_20m*.nc"))
    with xr.open_dataset(coarse, mask_and_scale=False) as opened:
        east = opened["viewAzimuthMean"].sel(timestamp=s2["time"].values).values < 180
    days = np.diff(s2["time"].values) / np.timedelta64(1, "D")
    turns = np.flatnonzero((np.diff(east.astype(int)) != 0) & (days < 8))
    assert turns.size > 20
    for band in ("B02", "B04", "B08"):
        steps = []
        for cube in (s2, nadir):
            series = cube.sel(band=band).median(("y", "x")).values
            steps.append(np.median(np.where(east[turns + 1], 1, -1) * np.diff(series)[turns]) / np.median(series))
        assert abs(steps[1]) < 0.7 * abs(steps[0])


def test_interpolated_20_m_bands_are_nearer_to_the_10_m_ones(folder: Path, s2: xr.DataArray) -> None:
    found = []
    for cube in (s2, open_cube(folder, resampling="bilinear")):
        pair = cube.sel(band=["B08", "B8A"]).values
        found.append(np.corrcoef(*(pair[:, i][np.isfinite(pair).all(axis=1)] for i in (0, 1)))[0, 1])
        np.testing.assert_array_equal(np.isnan(cube), np.isnan(s2))
    assert found[1] > found[0] + 0.005


def test_provenance_says_what_was_decided(s2: xr.DataArray, folder: Path) -> None:
    files = json.loads(s2.attrs["provenance"])["files"]
    assert [entry["file"] for entry in files] == [path.name for path in sorted(folder.glob("S2_*.nc"))]
    for entry in files:
        assert entry["offset"] == "not declared"
        assert all("0.0001" in note for note in entry["scale"].values())


def test_the_whole_folder_opens_and_is_stored(folder: Path, s2: xr.DataArray, s1: xr.DataArray, tmp_path: Path) -> None:
    xr.testing.assert_identical(open_cube(folder), s2)  # the meteorology beside it is passed over
    save_cubes({"S2_L2A": s2, "S1": s1}, tmp_path / "belgium.zarr")
    xr.testing.assert_identical(open_cube(tmp_path / "belgium.zarr"), s2)
    xr.testing.assert_identical(load_cube(tmp_path / "belgium.zarr", "S1", lazy=True).compute(), s1)


def test_positions(s2: xr.DataArray) -> None:
    x, y = tower_position(s2, 50.81594, 3.02397)
    assert (x, y) == pytest.approx((501_689, 5_629_370), abs=20)  # the centroid that the files declare
    with pytest.raises(GridError, match=r"outside the cube.*km|m beyond its"):
        tower_position(s2, 50.9, 3.02397)


def test_a_truncated_or_missing_file(folder: Path, tmp_path: Path) -> None:
    fine, coarse = sorted(folder.glob("S2_*.nc"))
    with pytest.raises(VariableError, match=r"6 of 10 bands absent"):
        open_cube(fine)
    copy = tmp_path / coarse.name
    shutil.copyfile(coarse, copy)
    fakes.truncate(copy, 0.9)
    with pytest.raises(FileError, match="truncated"):
        open_cube([fine, copy])
