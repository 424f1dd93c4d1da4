from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed import open_cube
from ecoembed.sensors import S2_L2A
from tests.archives import fakes

SIZE = 8
WEST, EAST = (slice(None), slice(0, 5)), (slice(None), slice(3, None))


def tile(
    folder: Path, name: str, number: int, time: str, where: tuple[slice, slice], scl: int = 4, **attrs: object
) -> Path:
    """A file of one tile as it is fetched: on the whole place's grid, 0 outside the tile."""
    attrs = {"processing_baseline": "03.01", **attrs}
    inside = np.zeros((1, SIZE, SIZE), dtype=bool)
    inside[(0, *where)] = True
    layers = {band: np.where(inside, number + i, 0).astype("uint16") for i, band in enumerate(S2_L2A.band_names)}
    layers["SCL"] = np.where(inside, scl, 0).astype("uint8")
    stamp = np.array([time], dtype="datetime64[ns]")
    return fakes.write_raster(folder / f"{name}.nc", layers, stamp, resolution=10, attrs=attrs)


EVERYWHERE = (slice(None), slice(None))


def test_two_tiles_of_a_pass_are_one_date(tmp_path: Path) -> None:
    tile(tmp_path, "b", 2000, "2023-05-01T10:30:00", WEST, orbit="D008")
    tile(tmp_path, "a", 1000, "2023-05-01T10:30:15", EAST, orbit="D008")
    tile(tmp_path, "c", 3000, "2023-05-06T10:30:15", EVERYWHERE, orbit="D051")
    cube = open_cube(tmp_path)
    assert [str(t)[:19] for t in cube["time"].values] == ["2023-05-01T10:30:15", "2023-05-06T10:30:15"]
    assert list(cube["orbit"].values) == ["D008", "D051"]
    assert json.loads(cube.attrs["mosaicked"]) == {"dates": 1, "tiles": 2}
    assert cube.attrs["dates_in"] == 2
    first = cube.isel(time=0, band=0)
    np.testing.assert_allclose(first[:, :3], 0.2)
    np.testing.assert_allclose(first[:, 3:], 0.1)  # of equal baselines the last
    assert not cube.isnull().any()


def test_the_newest_baseline_has_the_overlap_each_with_its_own_offset(tmp_path: Path) -> None:
    tile(tmp_path, "a", 1000, "2023-05-01T10:30:15", EAST, processing_baseline="03.01")
    tile(tmp_path, "b", 3000, "2023-05-01T10:30:00", WEST, processing_baseline="05.10")
    first = open_cube(tmp_path).isel(time=0, band=0)
    np.testing.assert_allclose(first[:, :5], 0.2, atol=1e-6)  # 3000 less the offset, though the other came later
    np.testing.assert_allclose(first[:, 5:], 0.1, atol=1e-6)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_one_scene_under_two_baselines_is_the_newer(tmp_path: Path, names: tuple[str, str]) -> None:
    tile(tmp_path, names[0], 1500, "2021-05-01T10:30:00", EVERYWHERE, processing_baseline="02.14")
    tile(tmp_path, names[1], 2600, "2021-05-01T10:30:00", EVERYWHERE, processing_baseline="05.00")
    cube = open_cube(tmp_path)
    np.testing.assert_allclose(cube.isel(time=0, band=0), 0.16, atol=1e-6)
    reasons = {"applied here (baseline 5.00)": 1, "none before baseline 4.00 (this is 2.14)": 1}
    assert json.loads(cube.attrs["offset"]) == reasons


def test_the_classification_goes_with_the_pixel(tmp_path: Path) -> None:
    tile(tmp_path, "a", 1000, "2023-05-01T10:30:15", EAST, scl=9)
    tile(tmp_path, "b", 2000, "2023-05-01T10:30:00", WEST)
    bare = open_cube(tmp_path, dilation=0).isel(time=0, band=0)
    assert bare[:, :3].notnull().all()
    assert bare[:, 3:].isnull().all()
    grown = open_cube(tmp_path, dilation=10).isel(time=0, band=0)  # across the seam
    assert grown[:, :2].notnull().all()
    assert grown[:, 2:].isnull().all()


def test_eleven_minutes_are_two_passes(tmp_path: Path) -> None:
    tile(tmp_path, "a", 1000, "2023-05-01T10:30:00", EVERYWHERE)
    tile(tmp_path, "b", 2000, "2023-05-01T10:41:00", EVERYWHERE)
    assert open_cube(tmp_path).sizes["time"] == 2
    tile(tmp_path, "b", 2000, "2023-05-01T10:40:00", EVERYWHERE)
    assert open_cube(tmp_path).sizes["time"] == 1


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_pixel_is_missing_only_where_no_tile_has_it(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the tiles' shapes and baselines: all that one of them has is there, and is what it has."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    numbers, holes = [1500, 2500, 3500], rng.random((3, SIZE, SIZE)) < 0.4
    for i, number in enumerate(numbers):
        layers = {band: np.where(holes[i], 0, number)[None].astype("uint16") for band in S2_L2A.band_names}
        layers["SCL"] = np.where(holes[i], 0, 4)[None].astype("uint8")
        stamp = np.array([f"2023-05-01T10:3{i}:00"], dtype="datetime64[ns]")
        baseline = {"processing_baseline": f"03.0{rng.integers(0, 3)}"}
        fakes.write_raster(folder / f"{i}.nc", layers, stamp, resolution=10, attrs=baseline)
    first = open_cube(folder).isel(time=0, band=0)
    np.testing.assert_array_equal(first.isnull(), holes.all(axis=0))
    for i, number in enumerate(numbers):
        assert not holes[i][np.isclose(first, number * 1e-4)].any()


def test_a_tower_on_a_seam_sees_the_same_as_one_tile(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    numbers = fakes.numbers(1, SIZE, S2_L2A.band_names) | {"SCL": np.full((1, SIZE, SIZE), 4, dtype="uint8")}
    fakes.write_raster(whole / "one.nc", numbers, fakes.times(1), resolution=10)
    for name, columns in (("a", slice(0, 5)), ("b", slice(4, 8))):
        part = {key: np.zeros_like(values) for key, values in numbers.items()}
        for key, values in numbers.items():
            part[key][:, :, columns] = values[:, :, columns]
        fakes.write_raster(tmp_path / f"{name}.nc", part, fakes.times(1), resolution=10)
    xr.testing.assert_equal(open_cube([tmp_path / "a.nc", tmp_path / "b.nc"]), open_cube(whole))
