from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from ecoembed import open_cube
from ecoembed.cubes.store import save_cubes
from ecoembed.errors import ConfigError, FileError, GridError, ProductError, VariableError
from ecoembed.gpp.features import local_days
from ecoembed.sensors import S1, S2_L2A
from tests.archives import fakes


def test_a_place_becomes_one_10_m_cube(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    cube = open_cube([place["10m"], place["20m"]])
    assert cube.dims == ("time", "band", "y", "x")
    assert cube.shape == (6, 10, 8, 8)
    assert tuple(cube["band"].values) == S2_L2A.band_names
    assert cube.rio.crs.to_epsg() == fakes.EPSG
    assert (cube.attrs["sensor"], cube.attrs["units"], cube.attrs["site"]) == ("S2_L2A", "1", fakes.SITE)
    fine, coarse = fakes.numbers(6, 8, fakes.FINE), fakes.numbers(6, 4, fakes.COARSE)
    np.testing.assert_allclose(cube.sel(band="B08"), fine["B08"] * 1e-4, atol=1e-6)
    np.testing.assert_allclose(cube.sel(band="B11"), coarse["B11"].repeat(2, 1).repeat(2, 2) * 1e-4, atol=1e-6)
    assert (float(cube["x"][0]), float(cube["y"][0])) == (fakes.LEFT + 5, fakes.TOP - 5)
    provenance = json.loads(cube.attrs["provenance"])
    assert [entry["file"] for entry in provenance["files"]] == [place["10m"].name, place["20m"].name]
    assert "as declared" in provenance["files"][0]["scale"]["B02"]
    assert "not declared, inferred" in provenance["files"][1]["scale"]["B05"]
    assert provenance["files"][0]["offset"] == "not declared"
    assert "time" not in provenance["files"][0]  # as in the file
    assert str(tmp_path) not in cube.attrs["provenance"]


def test_sentinel1_lands_on_the_same_grid(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    s2, s1 = open_cube(tmp_path), open_cube(place["S1"], "S1")
    assert s1.shape == (6, 2, 8, 8)
    assert tuple(s1["band"].values) == S1.band_names
    assert s1.attrs["units"] == "dB"
    np.testing.assert_array_equal(s1["x"], s2["x"])
    np.testing.assert_array_equal(s1["y"], s2["y"])
    assert s1.rio.crs == s2.rio.crs


def test_files_of_other_products_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    fakes.write_raster(tmp_path / "AgERA5.nc", {"rain": np.ones((6, 2, 2))}, fakes.times(6), resolution=1000)
    chosen = open_cube([place["20m"], place["10m"]])
    assert open_cube(tmp_path).identical(chosen)
    assert open_cube(sorted(tmp_path.glob("*.nc"))).identical(chosen)
    place["10m"].rename(place["10m"].with_suffix(".NC"))
    assert open_cube(tmp_path).equals(chosen)


def test_unclear_pixels_are_missing_in_all_bands_and_sparse_dates_dropped(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path, size=16)
    classes = np.full((6, 8, 8), 4, dtype="uint8")
    classes[0, 2, 3] = 9  # a cloud: four pixels of 10 m
    classes[1] = 8
    classes[2] = 10
    classes[2, 0, 0] = 5  # 4 of 256 pixels, 1.6 %
    classes[3] = 3
    classes[3, 0, :2] = 5  # 8 of 256 pixels, 3.1 %
    classes[4, 0, 0] = 0
    layers = {**fakes.numbers(6, 8, fakes.COARSE), "SCL": classes}
    fakes.write_raster(place["20m"], layers, fakes.times(6), resolution=20)
    cube = open_cube(tmp_path, dilation=0)
    assert (cube.attrs["dates_in"], cube.attrs["dates_dropped"]) == (6, 2)
    np.testing.assert_array_equal(cube["time"], fakes.times(6)[[0, 3, 4, 5]])
    missing = cube.isnull()
    assert missing.isel(time=0).all("band").sum() == missing.isel(time=0).any("band").sum() == 4
    assert missing.isel(time=0, band=0, y=slice(4, 6), x=slice(6, 8)).all()
    assert missing.isel(time=1).sum() == 10 * (256 - 8)
    assert missing.isel(time=2, y=slice(0, 2), x=slice(0, 2)).all()
    classes[:] = 9
    fakes.write_raster(place["20m"], layers, fakes.times(6), resolution=20)
    with pytest.raises(VariableError, match=r"no date with enough valid pixels.*6 dates"):
        open_cube(tmp_path)


def test_periods_are_joined(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    later = fakes.write_place(tmp_path / "A", seed=5)  # a folder that sorts before the earlier period's files
    for path in later.values():
        with xr.open_dataset(path, decode_times=False, mask_and_scale=False) as opened:
            raster = opened.load()
        raster["timestamp"].attrs["units"] = raster["timestamp"].attrs["units"].replace("2019", "2020")
        raster.to_netcdf(path)
    cube = open_cube([*place.values(), *later.values()])
    assert cube.sizes["time"] == 12
    assert cube.indexes["time"].is_monotonic_increasing
    assert cube.isel(time=slice(0, 6)).equals(open_cube(place.values()))
    assert open_cube([*place.values(), *later.values()], "S1").sizes["time"] == 12


def test_slices_of_one_pass_from_two_files_are_one_acquisition(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    once = open_cube(tmp_path, "S1")
    darker = {band: np.full((6, 4, 4), -300_000, dtype="int32") for band in ("VV", "VH")}
    darker["VV"][:, 0, 0] = 0
    fakes.write_raster(
        tmp_path / "second.nc", darker, fakes.times(6, "2019-03-02T17:31:35"), resolution=20, attrs={}, band_attrs={}
    )
    merged = open_cube([place["S1"], tmp_path / "second.nc"], "S1")
    np.testing.assert_array_equal(merged["time"], once["time"] + np.timedelta64(25, "s"))  # when it was whole
    expected = 10 * np.log10((10 ** (once.astype(float) / 10) + 1e-3) / 2)
    expected[:, 0, :2, :2] = once[:, 0, :2, :2]
    np.testing.assert_allclose(merged, expected, atol=1e-4)


def test_hidden_files_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    once = open_cube(tmp_path)
    (tmp_path / f"._{place['10m'].name}").write_bytes(b"\x00\x05\x16\x07")  # AppleDouble, on a drive that met a Mac
    fakes.truncate(place["20m"].rename(tmp_path / f".{place['20m'].name}"))  # a download that was cut off
    fakes.write_place(tmp_path)
    assert open_cube(tmp_path).identical(once)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "._S2.nc").write_bytes(b"\x00\x05\x16\x07")
    with pytest.raises(FileError, match="no raster file"):
        open_cube(tmp_path / "hidden")


@pytest.mark.parametrize("sensor", ["S2_L2A", "S1"])
def test_dates_without_a_time_of_day_keep_their_local_day(tmp_path: Path, sensor: str) -> None:
    """At 120 degrees west, midnight UTC of a date is 16:00 of the day before."""
    west: dict[str, Any] = {"epsg": 32611, "left": 210_000.0, "top": 4_400_000.0}
    dates = fakes.times(3, "2019-03-01T00:00:00")
    layers = {**fakes.numbers(3, 5, fakes.COARSE), "SCL": np.full((3, 5, 5), 4, dtype="uint8")}  # another middle
    fakes.write_raster(tmp_path / "10m.nc", fakes.numbers(3, 8, fakes.FINE), dates, resolution=10, **west)
    fakes.write_raster(tmp_path / "20m.nc", layers, dates, resolution=20, **west)
    db = np.full((3, 4, 4), -10.0, dtype="float32")
    fakes.write_raster(tmp_path / "S1.nc", {"VV": db, "VH": db}, dates, resolution=20, **west)
    cube = open_cube(tmp_path, sensor)
    np.testing.assert_array_equal(cube["time"].values.astype("datetime64[D]"), dates)
    np.testing.assert_array_equal(local_days(cube["time"].values, -8.0), dates)
    for entry in json.loads(cube.attrs["provenance"])["files"]:
        assert entry["time"].startswith("time of day not in the file; taken as")


def test_absent_bands_and_classes_are_named(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    with pytest.raises(VariableError, match=r"XX-T01: 6 of 10 bands absent \(B05, B06, B07, B8A, B11, B12\)"):
        open_cube(place["10m"])
    layers = fakes.numbers(6, 4, fakes.COARSE)
    fakes.write_raster(place["20m"], layers, fakes.times(6), resolution=20)
    with pytest.raises(VariableError, match=r"scene classification \(SCL\) absent"):
        open_cube(tmp_path)


def test_other_acquisition_times_are_refused(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    layers = {**fakes.numbers(6, 4, fakes.COARSE), "SCL": np.full((6, 4, 4), 4, dtype="uint8")}
    fakes.write_raster(place["20m"], layers, fakes.times(6, days=5.5), resolution=20)
    with pytest.raises(VariableError, match=r"XX-T01: .* were not acquired at the same times \(found 10 times"):
        open_cube(tmp_path)


def test_the_same_acquisitions_in_two_files_are_one(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    once = open_cube(tmp_path)
    for path in (place["10m"], place["20m"]):
        (tmp_path / f"copy-{path.name}").write_bytes(path.read_bytes())
    twice = open_cube(tmp_path)
    assert twice.equals(once)
    assert json.loads(twice.attrs["mosaicked"]) == {"dates": 6, "tiles": 12}
    assert json.loads(once.attrs["mosaicked"]) == {"dates": 0, "tiles": 0}


def test_other_places_and_grids_are_refused(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    layers = {**fakes.numbers(6, 4, fakes.COARSE), "SCL": np.full((6, 4, 4), 4, dtype="uint8")}

    def coarse(**keywords: object) -> None:
        fakes.write_raster(place["20m"], layers, fakes.times(6), resolution=20, **keywords)  # type: ignore[arg-type]

    coarse(left=fakes.LEFT + 40)
    with pytest.raises(GridError, match=r"same ground along x.*40 m uncovered"):
        open_cube(tmp_path)
    coarse(top=fakes.TOP - 3)
    with pytest.raises(GridError, match=r"edges along y do not coincide.*3\.00 m"):
        open_cube(tmp_path)
    coarse(epsg=32633)
    with pytest.raises(GridError, match="different CRS"):
        open_cube(tmp_path)
    coarse(attrs={"location_id": "XX-T02"})
    with pytest.raises(GridError, match=r"several places.*XX-T02"):
        open_cube(tmp_path)


def test_wrong_sensor_and_damaged_files(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    with pytest.raises(ProductError, match=r"no Sentinel-1.*S2_L2A"):
        open_cube([place["10m"], place["20m"]], "S1")
    with pytest.raises(ConfigError, match="unknown sensor"):
        open_cube(tmp_path, "S3")
    with pytest.raises(FileError, match="no raster file"):
        open_cube([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="no raster file"):
        open_cube(tmp_path / "empty")
    fakes.truncate(place["20m"])
    with pytest.raises(FileError, match=r"20m.*truncated"):
        open_cube([place["10m"], place["20m"]])


def test_a_store_opens_by_sensor(tmp_path: Path) -> None:
    fakes.write_place(tmp_path)
    s2, s1 = open_cube(tmp_path), open_cube(tmp_path, "S1")
    store = tmp_path / "XX-T01.zarr"
    save_cubes({"S2_L2A": s2, "S1": s1}, store)
    assert open_cube(store).identical(s2)
    assert open_cube(store, "S1").identical(s1)
    with pytest.raises(VariableError, match="cube of another sensor"):
        open_cube(store, "S1", group="S2_L2A")


def test_a_stored_cube_takes_no_choices(tmp_path: Path) -> None:
    fakes.write_place(tmp_path)
    save_cubes({"S2_L2A": open_cube(tmp_path)}, tmp_path / "a.zarr")
    choices: list[dict[str, Any]] = [
        {"mask": "both"}, {"dilation": 0}, {"resampling": "bilinear"}, {"nbar": True}, {"bands": ["B04"]}
    ]  # fmt: skip
    for choice in choices:
        with pytest.raises(ConfigError, match="masked and resampled already"):
            open_cube(tmp_path / "a.zarr", **choice)


def test_some_bands_are_enough_where_only_they_are_asked_for(tmp_path: Path) -> None:
    layers = fakes.numbers(2, 8, ("B04", "B8A")) | {"SCL": np.full((2, 8, 8), 4, dtype="uint8")}
    fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(2), resolution=10)
    cube = open_cube(tmp_path, bands=["B8A", "B04"])
    assert list(cube["band"].values) == ["B04", "B8A"]
    np.testing.assert_allclose(cube.sel(band="B8A"), layers["B8A"] * 1e-4, atol=1e-6)
    with pytest.raises(VariableError, match="8 of 10 bands absent"):
        open_cube(tmp_path)


def test_a_crs_that_is_not_that_of_the_coordinates_is_refused(tmp_path: Path) -> None:
    layers = fakes.numbers(2, 8, S2_L2A.band_names) | {"SCL": np.full((2, 8, 8), 4, dtype="uint8")}
    for place in ({"left": 4_321_000.0}, {"top": 15_400_000.0}):
        fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(2), resolution=10, **place)  # type: ignore[arg-type]
        with pytest.raises(GridError, match="the CRS is not that of the coordinates"):
            open_cube(tmp_path)


def test_files_in_two_zones_are_named(tmp_path: Path) -> None:
    for name, epsg in (("a", 32631), ("b", 32632), ("c", 32632)):
        layers = fakes.numbers(1, 8, S2_L2A.band_names) | {"SCL": np.full((1, 8, 8), 4, dtype="uint8")}
        fakes.write_raster(tmp_path / f"{name}.nc", layers, fakes.times(1), resolution=10, epsg=epsg)
    with pytest.raises(
        GridError, match=r"different CRS \(found EPSG:32631: 1, such as a\.nc; EPSG:32632: 2, such as b"
    ):
        open_cube(tmp_path)


@pytest.mark.slow
def test_three_hundred_files_of_one_date_are_one_cube(tmp_path: Path) -> None:
    attrs = {"processing_baseline": "05.10", "orbit": "D008", "item": "S2A_MSIL2A"}
    for i in range(300):
        coarse = {band: v.repeat(2, 1).repeat(2, 2) for band, v in fakes.numbers(1, 24, fakes.COARSE, i).items()}
        layers = {band: v + 1000 for band, v in (fakes.numbers(1, 48, fakes.FINE, i) | coarse).items()}
        layers["SCL"] = np.full((1, 48, 48), 4, dtype="uint8")
        when = fakes.times(1) + np.timedelta64(5 * i, "D")
        fakes.write_raster(tmp_path / f"{i:03d}.nc", layers, when, resolution=10, attrs=attrs)
    cube = open_cube(tmp_path)
    assert cube.shape == (300, 10, 48, 48)
    assert json.loads(cube.attrs["offset"]) == {"applied here (baseline 5.10)": 300}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore:Failed to open Zarr store")
def test_a_minicube_in_zarr_is_not_taken_for_a_store_of_ours(tmp_path: Path, version: int) -> None:
    layers = fakes.numbers(2, 8, S2_L2A.band_names) | {"SCL": np.full((2, 8, 8), 4, dtype="uint8")}
    path = fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(2), resolution=10)
    with xr.open_dataset(path, mask_and_scale=False) as opened:
        minicube = opened.load().rename(timestamp="time").drop_encoding()
    minicube.to_zarr(tmp_path / "mini" / "a.zarr", zarr_format=version, consolidated=False)
    assert open_cube(tmp_path / "mini" / "a.zarr").equals(open_cube(path))
    assert open_cube(tmp_path / "mini").equals(open_cube(path))
