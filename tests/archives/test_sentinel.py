from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.archives.satellite.backscatter import backscatter_unit, to_db, to_power
from ecoembed.archives.satellite.overpass import at_overpass
from ecoembed.archives.satellite.rasters import open_raster
from ecoembed.archives.satellite.sentinel1 import open_sentinel1
from ecoembed.archives.satellite.sentinel2 import boa_offset, open_sentinel2
from ecoembed.cubes.mosaic import merge_slices
from ecoembed.errors import FileError, GridError, ProductError, UnitError
from ecoembed.sensors import S1, S2_L2A, Sensor
from tests.archives import fakes

N, SIZE = 3, 4


def fine(tmp_path: Path, layers: dict[str, np.ndarray] | None = None, **keywords: object) -> Path:
    layers = layers or fakes.numbers(N, SIZE, fakes.FINE)
    return fakes.write_raster(tmp_path / "s2.nc", layers, fakes.times(N), resolution=10, **keywords)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("delivered", "declared", "said"),
    [
        ("numbers", 1e-4, "as declared"),
        ("numbers", None, "not declared, inferred"),
        ("numbers", 1.0, "not declared, inferred"),
        ("float numbers", 1e-4, "as declared"),
        ("float numbers", None, "not declared, inferred"),
        ("reflectance", None, "physical values"),
        ("reflectance", 1e-4, "declared but not applied"),
    ],
)
def test_reflectance_is_the_same_whatever_the_file_declares(
    tmp_path: Path, delivered: str, declared: float | None, said: str
) -> None:
    numbers = fakes.numbers(N, SIZE, fakes.FINE)
    layers = {
        "numbers": numbers,
        "float numbers": {band: values.astype("float32") for band, values in numbers.items()},
        "reflectance": {band: (values * 1e-4).astype("float32") for band, values in numbers.items()},
    }[delivered]
    raster = open_sentinel2(fine(tmp_path, layers, band_attrs={} if declared is None else {"scale_factor": declared}))
    for band, values in numbers.items():
        np.testing.assert_allclose(raster[band], values * 1e-4, atol=1e-6)
        assert said in raster.attrs["scale"][band]


def test_impossible_reflectance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match=r"s2\.nc.*cannot be Sentinel-2"):
        open_sentinel2(fine(tmp_path, band_attrs={"scale_factor": 0.01}))


def test_zero_and_nan_are_missing_but_not_in_the_classes(tmp_path: Path) -> None:
    layers = fakes.numbers(N, SIZE, ("B05",))
    layers["B05"][0, 1, 2] = 0
    classes = np.full((N, SIZE, SIZE), 4, dtype="float32")
    classes[1, 0, 0] = np.nan  # as in files whose integer fill value is NaN
    raster = open_sentinel2(fine(tmp_path, {**layers, "SCL": classes}))
    assert int(raster["B05"].isnull().sum()) == 1
    assert np.isnan(raster["B05"].values[0, 1, 2])
    assert raster["SCL"].dtype == "uint8"
    assert raster["SCL"].values[1, 0, 0] == 0


def test_zero_is_missing_even_if_no_fill_value_is_declared(tmp_path: Path) -> None:
    layers = fakes.numbers(N, SIZE, ("B05",))
    layers["B05"][0, 1, 2] = 0
    with xr.open_dataset(fine(tmp_path, layers), mask_and_scale=False, decode_times=False) as opened:
        raster = opened.load()
    del raster["B05"].attrs["_FillValue"]
    raster.to_netcdf(tmp_path / "bare.nc")
    assert np.isnan(open_sentinel2(tmp_path / "bare.nc")["B05"].values[0, 1, 2])


@pytest.mark.parametrize("baseline", ["05.09", "4.0", "N0400"])
@pytest.mark.parametrize("as_reflectance", [False, True])
def test_offset_of_baseline_04_is_applied(tmp_path: Path, baseline: str, as_reflectance: bool) -> None:
    true = fakes.numbers(N, SIZE, fakes.FINE)
    shifted = {band: (values + 1000).astype("uint16") for band, values in true.items()}
    if as_reflectance:
        shifted = {band: (values * 1e-4).astype("float32") for band, values in shifted.items()}
    raster = open_sentinel2(fine(tmp_path, shifted, attrs={"processing_baseline": baseline}))
    np.testing.assert_allclose(raster["B04"], true["B04"] * 1e-4, atol=1e-6)
    assert "applied here" in raster.attrs["offset"]


@pytest.mark.parametrize(
    ("attrs", "band_attrs", "said"),
    [
        ({"processing_baseline": "05.09", "boa_offset_applied": 1}, {}, "applied by the archive"),
        ({"processing_baseline": "05.09", "boa_offset_applied": "true"}, {}, "applied by the archive"),
        ({"processing_baseline": "02.07"}, {}, "none before baseline 4.00"),
        ({}, {}, "not declared"),
    ],
)
def test_offset_is_not_applied_twice(
    tmp_path: Path, attrs: dict[str, object], band_attrs: dict[str, object], said: str
) -> None:
    numbers = fakes.numbers(N, SIZE, fakes.FINE)
    raster = open_sentinel2(fine(tmp_path, numbers, attrs=attrs, band_attrs=band_attrs))
    np.testing.assert_allclose(raster["B02"], numbers["B02"] * 1e-4, atol=1e-6)
    assert said in raster.attrs["offset"]


def test_declared_add_offset_counts_as_the_offset(tmp_path: Path) -> None:
    true = fakes.numbers(N, SIZE, fakes.FINE)
    shifted = {band: (values + 1000).astype("uint16") for band, values in true.items()}
    declared = {"scale_factor": 1e-4, "add_offset": -0.1}
    raster = open_sentinel2(fine(tmp_path, shifted, attrs={"processing_baseline": "05.09"}, band_attrs=declared))
    np.testing.assert_allclose(raster["B02"], true["B02"] * 1e-4, atol=1e-6)
    assert "add_offset" in raster.attrs["offset"]


def test_offset_that_the_values_contradict_is_refused(tmp_path: Path) -> None:
    dark = {band: np.full((N, SIZE, SIZE), 300, dtype="uint16") for band in fakes.FINE}
    dark["B08"] += 600
    with pytest.raises(UnitError, match=r"offset of baseline 04\.00.*boa_offset_applied = 1"):
        open_sentinel2(fine(tmp_path, dark, attrs={"processing_baseline": "05.09"}))
    with pytest.raises(UnitError, match="processing baseline not understood"):
        open_sentinel2(fine(tmp_path, attrs={"processing_baseline": "new"}))
    with pytest.raises(UnitError, match="boa_offset_applied not understood"):
        open_sentinel2(fine(tmp_path, attrs={"boa_offset_applied": "perhaps"}))


def test_offset_is_decided_at_one_place() -> None:
    assert boa_offset(5.11, False)[0] == -1000.0
    assert boa_offset(5.11, True)[0] == boa_offset(3.01, None)[0] == boa_offset(None, None)[0] == 0.0


def s1(tmp_path: Path, values: np.ndarray, **band_attrs: object) -> Path:
    path = tmp_path / "s1.nc"
    return fakes.write_raster(
        path, {"VV": values, "VH": values}, fakes.times(len(values)), resolution=20, band_attrs=band_attrs
    )


DB = np.random.default_rng(0).normal(-12, 3, (N, SIZE, SIZE))


@pytest.mark.parametrize(
    ("values", "band_attrs"),
    [
        (np.round(DB * 1e4).astype("int32"), {"scale_factor": 1e-4}),
        (np.round(DB * 1e4).astype("int32"), {}),
        (DB.astype("float32"), {"units": "dB"}),
        (to_power(DB).astype("float32"), {"units": "linear power"}),
        (to_power(DB).astype("float32"), {}),
    ],
)
def test_backscatter_is_in_db_whatever_the_file_holds(
    tmp_path: Path, values: np.ndarray, band_attrs: dict[str, object]
) -> None:
    raster = open_sentinel1(s1(tmp_path, values, **band_attrs))
    np.testing.assert_allclose(raster["VV"], DB, atol=1e-3)
    assert raster["VV"].attrs["units"] == "dB"


def test_backscatter_that_contradicts_its_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match=r"contradicts the values.*declared dB"):
        open_sentinel1(s1(tmp_path, to_power(DB).astype("float32"), units="dB"))
    with pytest.raises(UnitError, match=r"contradicts the values.*declared linear"):
        open_sentinel1(s1(tmp_path, DB.astype("float32"), units="linear"))
    with pytest.raises(UnitError, match="unknown unit"):
        open_sentinel1(s1(tmp_path, DB.astype("float32"), units="nepers"))
    with pytest.raises(UnitError, match="not backscatter"):
        backscatter_unit(np.array([40.0, 50.0]), None, "file")


def test_slices_of_a_pass_are_merged_in_linear_power(tmp_path: Path) -> None:
    db = np.array([-10.0, -20.0, -12.0, -14.0])[:, None, None] * np.ones((4, SIZE, SIZE))
    db[1, 0, 0] = np.nan
    db[2:, 1, 1] = np.nan
    time = np.array(["2019-03-02T17:31:10", "2019-03-02T17:31:35", "2019-03-08T17:31:10", "2019-03-08T17:31:35"])
    path = fakes.write_raster(
        tmp_path / "s1.nc", {"VV": db.astype("float32")}, time.astype("datetime64[ns]"), resolution=20
    )
    merged = merge_slices(open_sentinel1(path)["VV"])
    assert list(merged["time"].values.astype("datetime64[s]").astype(str)) == [time[1], time[3]]
    np.testing.assert_allclose(merged.values[0, 2, 2], to_db(np.array((0.1 + 0.01) / 2)), rtol=1e-5)
    np.testing.assert_allclose(merged.values[0, 0, 0], -10.0, rtol=1e-5)  # only one slice saw it
    assert np.isnan(merged.values[1, 1, 1])


def stamped(*stamps: str) -> xr.DataArray:
    db = -10.0 - np.arange(len(stamps), dtype="float32")
    return xr.DataArray(db, dims="time", coords={"time": np.array(stamps, dtype="datetime64[ns]")})


def test_morning_and_evening_pass_of_a_day_stay_apart() -> None:
    passes = stamped("2019-03-02T05:50:10", "2019-03-02T17:30:40")
    xr.testing.assert_identical(merge_slices(passes), passes)


def test_slices_on_both_sides_of_midnight_are_one_pass_dated_when_it_was_whole() -> None:
    merged = merge_slices(stamped("2019-03-02T23:59:50", "2019-03-03T00:00:15", "2019-03-03T17:30:00"))
    assert list(merged["time"].values.astype("datetime64[s]").astype(str)) == [
        "2019-03-03T00:00:15",
        "2019-03-03T17:30:00",
    ]
    np.testing.assert_allclose(merged[0], 10 * np.log10((10**-1.0 + 10**-1.1) / 2), rtol=1e-6)


def test_no_slices_merge_into_none() -> None:
    assert merge_slices(stamped()).sizes["time"] == 0


@pytest.mark.parametrize(
    ("sensor", "longitude", "expected"),
    [
        (S2_L2A, 0.0, "10:30"),
        (S2_L2A, -120.0, "18:30"),
        (S2_L2A, 175.0, "22:50"),  # 10:30 of the next local day: the file's day is UTC's
        (S1, 0.0, "18:00"),
        (S1, -120.0, "14:00"),  # at 06:00; 18:00 would be 02:00 UTC of the next day
        (S1, 120.0, "22:00"),
    ],
)
def test_dates_are_moved_to_the_overpass_within_the_utc_day(sensor: Sensor, longitude: float, expected: str) -> None:
    days = np.array(["2019-03-02", "2019-03-07"], dtype="datetime64[ns]")
    moved = at_overpass(xr.Dataset(coords={"time": days}), sensor, longitude)
    assert [str(time)[:16] for time in moved["time"].values] == [f"2019-03-02T{expected}", f"2019-03-07T{expected}"]
    assert moved["time"].dtype == "datetime64[ns]"
    assert f"time of day not in the file; taken as {expected} UTC" in moved.attrs["time"]


def test_files_with_times_of_day_are_believed() -> None:
    times = np.array(["2019-03-02T00:00:00", "2019-03-07T10:31:00"], dtype="datetime64[ns]")
    raster = xr.Dataset(coords={"time": times})
    xr.testing.assert_identical(at_overpass(raster, S2_L2A, -120.0), raster)


def test_a_raster_of_another_kind_is_refused(tmp_path: Path) -> None:
    place = fakes.write_place(tmp_path)
    with pytest.raises(ProductError, match=r"found Sentinel-1"):
        open_sentinel2(place["S1"])
    with pytest.raises(ProductError, match=r"found Sentinel-2"):
        open_sentinel1(place["10m"])
    with pytest.raises(FileError, match="truncated"):
        open_raster(fakes.truncate(place["20m"]))
    with pytest.raises(FileError, match="no such file"):
        open_raster(tmp_path / "absent.nc")
    (tmp_path / "text.nc").write_text("not a raster")
    with pytest.raises(FileError, match=r"no NetCDF \(found contents that cannot be decoded\)"):
        open_raster(tmp_path / "text.nc")


def test_a_raster_needs_a_crs_in_metres_and_a_time(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="not in metres"):
        open_raster(fine(tmp_path, epsg=4326))
    with xr.open_dataset(fine(tmp_path), decode_times=False) as opened:
        raster = opened.load()
    raster.drop_vars("spatial_ref").to_netcdf(tmp_path / "bare.nc")
    with pytest.raises(GridError, match="no CRS"):
        open_raster(tmp_path / "bare.nc")
    raster.isel(timestamp=0, drop=True).to_netcdf(tmp_path / "still.nc")
    with pytest.raises(ProductError, match="not a raster over time"):
        open_raster(tmp_path / "still.nc")


def reread(raster: xr.Dataset, path: Path) -> xr.Dataset:
    """What was read, written and read again."""
    raster.drop_attrs(deep=False).to_netcdf(path)
    return open_sentinel2(path)


@settings(max_examples=25, deadline=None)
@given(
    baselines=st.lists(st.sampled_from(["02.07", "03.01", "04.00", "05.10", ""]), min_size=N, max_size=N),
    flags=st.lists(st.sampled_from(["true", "false", ""]), min_size=N, max_size=N),
    provider=st.sampled_from([None, "planetary-computer", "earth-search", "copernicus"]),
)
def test_applying_the_offset_twice_is_impossible(
    baselines: list[str], flags: list[str], provider: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Reflectance that was read, written and read again, twice, is the same: it says that nothing is left to apply."""
    folder = tmp_path_factory.mktemp("twice")
    true = fakes.numbers(N, SIZE, fakes.FINE)
    left = np.array([float(b or 0) >= 4 and flag != "true" for b, flag in zip(baselines, flags, strict=True)])
    layers = {band: (values + 1000 * left[:, None, None]).astype("uint16") for band, values in true.items()}
    attrs = {} if provider is None else {"provider": provider}
    path = fakes.write_raster(folder / "s2.nc", layers, fakes.times(N), resolution=10, attrs=attrs)
    with xr.open_dataset(path, mask_and_scale=False, decode_times=False) as opened:
        raster = opened.load()
    raster["processing_baseline"] = ("timestamp", np.array(baselines, dtype=object))
    raster["boa_offset_applied"] = ("timestamp", np.array(flags, dtype=object))
    raster.to_netcdf(path)
    first = open_sentinel2(path)
    for band, values in true.items():
        np.testing.assert_allclose(first[band], values * 1e-4, atol=1e-6)
    second = reread(first, folder / "second.nc")
    third = reread(second, folder / "third.nc")
    for band in true:
        np.testing.assert_array_equal(second[band], first[band])
        np.testing.assert_array_equal(third[band], first[band])


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("planetary-computer", "delivered as produced by planetary-computer"),
        ("copernicus", "delivered as produced by copernicus"),
        ("earth-search-c1", "delivered as produced by earth-search-c1"),
        ("earth-search", "applied here (baseline 5.10)"),
        ("https://stac.example.org", "applied here (baseline 5.10)"),
        (None, "applied here (baseline 5.10)"),
    ],
)
def test_the_provider_enters_the_decision(provider: str | None, said: str) -> None:
    offset, reason = boa_offset(5.1, None, provider)
    assert offset == -1000.0
    assert said in reason
    assert boa_offset(5.1, True, provider)[0] == boa_offset(3.01, False, provider)[0] == 0.0


def test_earth_search_is_overruled_by_the_values_date_by_date(tmp_path: Path) -> None:
    """Its sentinel-2-l2a has items that deny an offset that was applied (Element84/earth-search issues 66 and 71)."""
    dark = {band: np.full((N, SIZE, SIZE), 400, dtype="uint16") for band in fakes.FINE}
    for band in dark.values():
        band[1] += 1000  # one date that still has it
    attrs = {"processing_baseline": "05.11", "earthsearch:boa_offset_applied": "false", "provider": "earth-search"}
    path = fine(tmp_path, dark, attrs={**attrs, "collection": "sentinel-2-l2a"})
    raster = open_sentinel2(path)
    np.testing.assert_allclose(raster["B02"], 0.04, atol=1e-6)
    assert ["denies" in reason for reason in raster["offset"].values] == [True, False, True]
    assert json.loads(raster.attrs["repairs"]) == {"offset found applied though the archive denies it": 2}
    with pytest.raises(UnitError, match=r"s2\.nc, 2019-03-01T10:30:21: .*not in the values"):
        open_sentinel2(fine(tmp_path, dark, attrs={**attrs, "collection": "sentinel-2-c1-l2a"}))


def test_one_date_of_many_that_contradicts_is_named(tmp_path: Path) -> None:
    numbers = {band: values + 1000 for band, values in fakes.numbers(N, SIZE, fakes.FINE).items()}
    for values in numbers.values():
        values[2] = 350
    with pytest.raises(UnitError, match=r"s2\.nc, 2019-03-11T10:30:21: .*below a reflectance of -0\.065"):
        open_sentinel2(fine(tmp_path, numbers, attrs={"processing_baseline": "05.09"}))


def test_numbers_below_the_offset_are_negative_reflectance_and_zero_is_missing(tmp_path: Path) -> None:
    numbers = fakes.numbers(N, SIZE, fakes.FINE)
    numbers["B02"][0, 0] = [0, 1, 950, 1000]
    for band in ("B03", "B04", "B08"):
        numbers[band] += 1000
    numbers["B02"][1:] += 1000
    numbers["B02"][0, 1:] += 1000
    raster = open_sentinel2(fine(tmp_path, numbers, attrs={"processing_baseline": "05.10"}))
    np.testing.assert_allclose(raster["B02"].values[0, 0], [np.nan, -0.0999, -0.005, 0.0], atol=1e-6)


def test_what_an_acquisition_says_is_handed_on(tmp_path: Path) -> None:
    said = {"s2:processing_baseline": "05.10", "orbit": "D008", "sunZenithAngles": 41.5, "provider": "copernicus"}
    numbers = {band: values + 1000 for band, values in fakes.numbers(N, SIZE, fakes.FINE).items()}
    raster = open_sentinel2(fine(tmp_path, numbers, attrs={**said, "item": "S2A_x"}))
    assert list(raster["processing_baseline"].values) == ["05.10"] * N
    assert list(raster["orbit"].values) == ["D008"] * N
    np.testing.assert_array_equal(raster["sunZenithAngles"], 41.5)
    assert "viewZenithMean" not in raster
    assert (raster.attrs["provider"], raster.attrs["item"], raster.attrs["site"]) == ("copernicus", "S2A_x", fakes.SITE)


def test_angles_over_pixels_are_averaged_and_azimuths_around_the_circle(tmp_path: Path) -> None:
    path = fine(tmp_path)
    with xr.open_dataset(path, mask_and_scale=False, decode_times=False) as opened:
        raster = opened.load()
    halves = np.repeat([0, 1], SIZE // 2) * np.ones((N, SIZE, 1))
    raster["viewZenithMean"] = (("timestamp", "y", "x"), 7.0 + 2 * halves)
    raster["viewAzimuthMean"] = (("timestamp", "y", "x"), np.where(halves, 2.0, 358.0))
    raster.to_netcdf(path)
    read = open_sentinel2(path)
    np.testing.assert_allclose(read["viewZenithMean"], 8.0)
    np.testing.assert_allclose((read["viewAzimuthMean"] + 180) % 360, 180.0, atol=1e-9)


def test_the_classification_alone_is_read(tmp_path: Path) -> None:
    classes = {"SCL": np.full((N, SIZE, SIZE), 4, dtype="uint8")}
    raster = open_sentinel2(fine(tmp_path, classes, attrs={"processing_baseline": "05.10"}))
    assert (raster["SCL"] == 4).all()
