"""External embeddings join by site, pixel and date; what does not fit is refused with the remedy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from pyproj import Transformer

from ecoembed.errors import ConfigError, FileError, GridError, TableError, UnitError, VariableError
from ecoembed.footprints.extents import fixed_radius
from ecoembed.footprints.extract import extract
from ecoembed.gpp.external import check_external, external_file, external_series
from ecoembed.gpp.features import feature_table
from tests.gpp import worlds

EAST = 4.3  # degrees, about where the cube of `worlds` lies


def place(dates=6, size=12, start="2020-11-01T10:30", step="20D"):
    cube = worlds.cube(size=size, dates=dates)
    return cube.assign_coords(time=pd.date_range(start, periods=dates, freq=step))


def disc(cube, radius=35):
    return fixed_radius(cube, radius)


def store(cube, years=(2020, 2021), bands=3, seed=0, **change):
    """An annual store on the cube's own grid, wider by two pixels; one attribute of it may be another."""
    rng = np.random.default_rng(seed)
    x, y = cube["x"].values, cube["y"].values
    coords = {
        "year": list(years), "band": [f"t{i}" for i in range(bands)],
        "y": np.r_[y[0] + 20, y[0] + 10, y, y[-1] - 10, y[-1] - 20],
        "x": np.r_[x[0] - 20, x[0] - 10, x, x[-1] + 10, x[-1] + 20],
    }  # fmt: skip
    values = rng.normal(size=[len(c) for c in coords.values()]).astype("float32")
    return xr.DataArray(values, coords, tuple(coords)).rio.write_crs(cube.rio.crs)


def saved(values, path: Path):
    dataset = values if isinstance(values, xr.Dataset) else values.to_dataset(name="embedding")
    dataset.to_zarr(path, zarr_format=3) if path.suffix == ".zarr" else dataset.to_netcdf(path)
    return path


def read(path, cube, weights=None):
    return external_series(path, "tessera", cube, disc(cube) if weights is None else weights, EAST)


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_each_date_has_the_footprint_mean_of_its_year(tmp_path, suffix):
    cube = place()
    values = store(cube)
    series = read(saved(values, tmp_path / f"XX-T01{suffix}"), cube)
    inner = values.sel(x=cube["x"], y=cube["y"])
    expected = inner.sel(year=[t.year for t in cube.indexes["time"]]).rename(year="time")
    expected = expected.assign_coords(time=cube["time"].values).transpose("time", "band", "y", "x")
    by_hand = extract(expected.rio.write_crs(cube.rio.crs), disc(cube))
    np.testing.assert_allclose(series["value"], by_hand["value"], rtol=1e-6)
    np.testing.assert_allclose(series["coverage"], 1.0)
    assert series.attrs["window"] == "annual"
    assert list(series["feature"].values) == ["t0", "t1", "t2"]


def test_any_crs_and_pixel_size_meets_the_pixels_by_the_nearest(tmp_path):
    """Values that are the coordinates themselves: none is farther off than half a pixel of the store."""
    cube = place(size=40)
    lon, lat = Transformer.from_crs(cube.rio.crs, "EPSG:4326", always_xy=True).transform(
        [float(cube["x"].min()), float(cube["x"].max())], [float(cube["y"].min()), float(cube["y"].max())]
    )
    axis = {"y": np.arange(lat[0] - 1e-3, lat[1] + 1e-3, 3e-4), "x": np.arange(lon[0] - 1e-3, lon[1] + 1e-3, 4e-4)}
    y, x = np.meshgrid(axis["y"], axis["x"], indexing="ij")
    values = xr.DataArray(
        np.stack([x, y])[None].astype("float64"), {"year": [2020], "band": ["lon", "lat"], **axis},
        ("year", "band", "y", "x"),
    ).rio.write_crs("EPSG:4326")  # fmt: skip
    path, at = saved(values, tmp_path / "XX-T01.zarr"), cube.isel(time=[0])
    for row, column in ((3, 30), (20, 11), (37, 2)):
        one = xr.zeros_like(disc(cube))
        one[row, column] = 1.0
        seen = read(path, at, one)["value"].values[0]
        back = Transformer.from_crs(cube.rio.crs, "EPSG:4326", always_xy=True)
        expected = back.transform(float(cube["x"][column]), float(cube["y"][row]))
        assert np.abs(seen - expected)[0] <= 2.001e-4
        assert np.abs(seen - expected)[1] <= 1.501e-4


def test_dated_embeddings_serve_the_month_after_them_and_no_day_before(tmp_path):
    cube = place(dates=9, start="2020-03-01T10:30", step="10D")
    stamps = pd.to_datetime(["2020-03-05", "2020-04-04", "2020-05-15"])
    values = store(cube, years=stamps).rename(year="time")
    values[:] = np.arange(3, dtype="float32")[:, None, None, None]
    series = read(saved(values, tmp_path / "XX-T01.zarr"), cube)
    assert series.attrs["window"] == "causal"
    last = [max((i for i, s in enumerate(stamps) if s <= t), default=-1) for t in cube.indexes["time"]]
    near = [k >= 0 and t - stamps[k] <= pd.Timedelta(days=31) for k, t in zip(last, cube.indexes["time"], strict=True)]
    expected = np.where(near, last, np.nan)
    np.testing.assert_allclose(series["value"][:, 0], expected, atol=1e-12)
    np.testing.assert_array_equal(series["coverage"] > 0.99, near)
    assert np.isnan(expected).sum() == 2


def test_a_later_dated_embedding_never_changes_an_earlier_date(tmp_path):
    cube = place(dates=9, start="2020-03-01T10:30", step="10D")
    values = store(cube, years=pd.to_datetime(["2020-03-01", "2020-03-31", "2020-04-20"])).rename(year="time")
    first = read(saved(values, tmp_path / "a.zarr"), cube)
    values[2] += 9
    second = read(saved(values, tmp_path / "b.zarr"), cube)
    early = cube["time"].values < np.datetime64("2020-04-20")
    np.testing.assert_array_equal(first["value"][early], second["value"][early])
    assert (first["value"][~early] != second["value"][~early]).any()


def test_dates_a_year_apart_are_composites_of_a_year(tmp_path):
    cube = place()
    values = store(cube, years=pd.to_datetime(["2020-07-01", "2021-07-01"])).rename(year="time")
    series = read(saved(values, tmp_path / "XX-T01.zarr"), cube)
    assert series.attrs["window"] == "annual"
    assert (series["coverage"] > 0.99).all()


def test_the_year_is_that_of_the_local_day(tmp_path):
    """22:30 UTC of New Year's Eve is the first of January in New Zealand."""
    cube = place(dates=1, start="2020-12-31T22:30")
    path = saved(store(cube), tmp_path / "XX-T01.zarr")
    west, east = (external_series(path, "t", cube, disc(cube), lon)["value"].values for lon in (-70.0, 172.0))
    whole = store(cube).sel(x=cube["x"], y=cube["y"]).values
    weights = disc(cube).values
    np.testing.assert_allclose(west[0], (whole[0] * weights).sum(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(east[0], (whole[1] * weights).sum(axis=(1, 2)), rtol=1e-4)


def test_what_the_store_does_not_cover_counts_as_not_seen(tmp_path):
    cube = place()
    half = store(cube).isel(x=slice(0, 8))
    half[0, 1, 4:9, 4] = np.nan
    series = read(saved(half, tmp_path / "XX-T01.zarr"), cube)
    weights = disc(cube).values
    assert series["coverage"].values[-1] == pytest.approx(weights[:, :6].sum(), abs=1e-6)
    assert series["coverage"].values[0] < series["coverage"].values[-1]


def test_an_external_set_meets_the_same_rows_and_is_labelled(tmp_path):
    cube = place(dates=20, start="2020-03-02T10:30", step="5D")
    outside = read(saved(store(cube), tmp_path / "XX-T01.zarr"), cube)
    series = {"XX-T01": {**worlds.all_series(cube.indexes["time"]), "tessera": outside}}
    table = feature_table(series, {"XX-T01": worlds.flux("XX-T01")}, worlds.sites(["XX-T01"]))
    assert list(table["tessera"].columns) == ["t0", "t1", "t2"]
    assert len(table) == 20
    assert table.attrs["future"] == {"tessera": "made of the whole year (annual)"}
    assert table.attrs["retrospective"] is True


def with_time(cube, stamps):
    return store(cube, years=stamps).rename(year="time")


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda c: store(c).drop_vars("spatial_ref"), GridError, r"no CRS.*write_crs"),
        (
            lambda c: store(c).assign_coords(x=store(c)["x"] + 5e4),
            GridError,
            r"do not overlap.*found x 649980 to 650130.*expected x 600000",
        ),
        (lambda c: store(c).rio.write_crs("EPSG:4326"), GridError, r"do not overlap"),
        (lambda c: store(c).rename(y="lat", x="lon"), VariableError, r"no cube.*lat, lon.*rename"),
        (lambda c: store(c).isel(year=0, drop=True), VariableError, r"no cube of embeddings"),
        (lambda c: store(c).drop_vars("year"), VariableError, r"no dates along year.*assign_coords"),
        (lambda c: with_time(c, [0.0, 1.0]), VariableError, r"no dates along time.*datetimes \(UTC\)"),
        (lambda c: store(c, years=(20, 21)), VariableError, r"no dates along year"),
        (lambda c: store(c, years=(2020, 2020)), VariableError, r"dates stand twice .found 1 different ones of 2"),
        (lambda c: store(c, years=(2017, 2018)), TableError, r"no date in common.*found 2017 to 2018.*of those years"),
        (lambda c: store(c).astype("int8"), UnitError, r"whole numbers.*int8.*dequantised"),
        (lambda c: store(c) * np.inf, UnitError, r"infinite values.*NaN"),
        (lambda c: store(c) * 0 - 9999, UnitError, r"fill values \(-9999\)"),
        (lambda c: store(c).assign_coords(band=["a", "a", "b"]), VariableError, r"bands stand twice"),
        (lambda c: store(c).assign_coords(x=store(c)["x"] + np.arange(16) ** 2), GridError, r"no regular grid along x"),
        (lambda c: store(c).to_dataset(name="a").assign(b=store(c)), VariableError, r"several cubes of embeddings"),
    ],
)
def test_a_wrong_store_is_refused_with_the_remedy(tmp_path, make, error, says):
    cube = place()
    path = saved(make(cube), tmp_path / "XX-T01.zarr")
    with pytest.raises(error, match=says) as caught:
        read(path, cube)
    assert "XX-T01.zarr" in str(caught.value)


def test_a_damaged_store_is_refused(tmp_path):
    cube = place()
    (tmp_path / "XX-T01.nc").write_bytes(b"CDF")
    (tmp_path / "XX-T02.zarr").mkdir()
    for name in ("XX-T01.nc", "XX-T02.zarr"):
        with pytest.raises((FileError, VariableError)) as caught:
            read(tmp_path / name, cube)
        assert name in str(caught.value)


def test_the_stores_file_is_found_by_the_sites_name(tmp_path):
    with pytest.raises(FileError, match=r"no external embeddings of the site.*no such folder"):
        external_file(tmp_path / "tessera", "XX-T01")
    with pytest.raises(FileError, match="found an empty folder; expected"):
        external_file(tmp_path, "XX-T01")
    (tmp_path / "XX-T02.zarr").mkdir()
    with pytest.raises(FileError, match=r"XX-T01 in .*found XX-T02\.zarr; expected XX-T01\.zarr or XX-T01\.nc"):
        external_file(tmp_path, "XX-T01")
    (tmp_path / "XX-T02.nc").touch()
    with pytest.raises(FileError, match="two stores of one site"):
        external_file(tmp_path, "XX-T02")


@pytest.mark.parametrize("name", ["bands", "a+b", "a b", "", "tess.era", "übung"])
def test_a_set_cannot_be_called_anything(name):
    with pytest.raises(ConfigError, match="impossible name"):
        check_external({name: "folder"}, {"bands": None})
