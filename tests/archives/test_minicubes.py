from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from pyproj import CRS, Transformer

from ecoembed import open_cube
from ecoembed.archives.satellite import grids
from ecoembed.archives.satellite.names import COLOURS
from ecoembed.archives.satellite.rasters import open_raster, sensors_of, sources
from ecoembed.errors import FileError, GridError, ProductError, VariableError
from tests.archives import fakes
from tests.archives.formats import SIZE, TIMES, assert_same, numbers, reference

LAYERS = numbers()


def utm_axes(size: int = SIZE, pixel: float = 10.0) -> dict[str, np.ndarray]:
    steps = (np.arange(size) + 0.5) * pixel
    return {"y": fakes.TOP - steps, "x": fakes.LEFT + steps}


def deep_extremes(pixel: float = 10.0) -> xr.Dataset:
    """As DeepExtremes/minicube-generation writes: int16 of 0.0001 with fill -9999, CRS as an attribute, ERA5 beside."""
    numbers = {name: values.astype("int16") for name, values in LAYERS.items() if name != "SCL"}
    numbers["B03"][0, 0, 1] = -9999
    encoded = {"scale_factor": 1e-4, "_FillValue": np.int16(-9999)}
    data = {name: (("time", "y", "x"), values, encoded) for name, values in numbers.items()}
    mask = np.where(LAYERS["SCL"] == 9, 1, 0).astype("uint8")
    mask[2, 7, 7] = 3
    return xr.Dataset(
        {
            **data,
            "SCL": (("time", "y", "x"), LAYERS["SCL"].astype("uint8")),
            "cloudmask_en": (("time", "x", "y"), mask.transpose(0, 2, 1), {"flag_values": [0, 1, 2, 3, 4]}),
            "t2m_mean": ("time", np.full(len(TIMES), 290.0)),
            "cop_dem": (("y", "x"), np.ones((SIZE, SIZE), "float32")),
        },
        coords={"time": TIMES.astype("datetime64[ns]"), **utm_axes(pixel=pixel)},
        attrs={
            "data_id": "mc_7.56_48.72_1.3_20230102_0",
            "location_id": "7.56_48.72",
            "spatial_ref": f"EPSG:{fakes.EPSG}",
            "metadata": {"configuration_versions": {"s2_l2_bands": 1.3}},
            "spatial_res": pixel,
        },
    )


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_deep_extremes_stores_of_both_versions(tmp_path: Path, version: int, consolidated: bool) -> None:
    store = tmp_path / "place" / "mc_7.56_48.72.zarr"
    deep_extremes().to_zarr(store, zarr_format=version, consolidated=consolidated)
    assert sources(store.parent) == [store]
    assert sensors_of(store) == ["S2_L2A"]
    raster = open_raster(store)
    assert set(raster.data_vars) == {*LAYERS, "cloudmask"}
    assert raster["B02"].dtype == "int16"
    assert raster["cloudmask"].dtype == "uint8"
    assert raster["cloudmask"].values[2, 7, 7] == 3
    cube = open_cube(store.parent, dilation=0)
    assert cube.attrs["site"] == "7.56_48.72"
    assert_same(cube, reference(tmp_path / "plain"))
    learned = open_cube(store.parent, mask="learned", dilation=0)
    assert np.isnan(learned.sel(band="B02")[2, 7, 7])
    assert np.isfinite(learned.sel(band="B02")[2, 7, 6])


def test_axes_that_lie_otherwise_are_set_right_and_told(tmp_path: Path) -> None:
    turned = deep_extremes().isel(y=slice(None, None, -1), x=slice(None, None, -1), time=[2, 0, 1])
    turned.transpose("x", "time", "y", missing_dims="ignore").to_zarr(tmp_path / "a.zarr", zarr_format=2)
    cube = open_cube(tmp_path / "a.zarr", dilation=0)
    assert_same(cube, reference(tmp_path / "plain"))
    assert json.loads(cube.attrs["repairs"]) == {"x descending, flipped": 1, "y ascending, flipped": 1}


def test_an_axis_of_bands_is_taken_apart(tmp_path: Path) -> None:
    stacked = xr.DataArray(
        np.stack(list(LAYERS.values()), axis=1),
        dims=("time", "band", "y", "x"),
        coords={"time": TIMES.astype("datetime64[ns]"), "band": list(LAYERS), **utm_axes()},
        attrs={"epsg": fakes.EPSG},
    )
    stacked.to_dataset(name="reflectance").assign_attrs(epsg=fakes.EPSG).to_netcdf(tmp_path / "stack.nc")
    assert_same(open_cube(tmp_path / "stack.nc", dilation=0), reference(tmp_path / "plain"))


def test_the_crs_is_found_where_cf_puts_it(tmp_path: Path) -> None:
    placed = deep_extremes().drop_attrs(deep=False)
    placed["utm"] = ((), 0, {k: v for k, v in CRS.from_epsg(fakes.EPSG).to_cf().items() if k != "crs_wkt"})
    for name in LAYERS:
        placed[name].attrs["grid_mapping"] = "utm"
    placed.to_netcdf(tmp_path / "cf.nc")
    raster = open_raster(tmp_path / "cf.nc")
    assert raster.rio.crs.linear_units in ("metre", "m")
    np.testing.assert_allclose(raster["x"], utm_axes()["x"])
    placed.drop_vars("utm").to_netcdf(tmp_path / "none.nc")
    with pytest.raises(GridError, match="no CRS"):
        open_raster(tmp_path / "none.nc")


def earth_net(size: int = 32, pixel: float = 20.0, learned: bool = True) -> xr.Dataset:
    """As earthnet-minicuber writes: degrees, evenly spaced; daily with an acquisition each fifth day; int16."""
    back = Transformer.from_crs(fakes.EPSG, 4326, always_xy=True)
    west, south, east, north = back.transform_bounds(
        fakes.LEFT, fakes.TOP - size * pixel, fakes.LEFT + size * pixel, fakes.TOP
    )
    lon, lat = np.linspace(west, east, size), np.linspace(north, south, size)
    x, y = Transformer.from_crs(4326, fakes.EPSG, always_xy=True).transform(*np.meshgrid(lon, lat))
    days, rng = 20, np.random.default_rng(1)
    seen = np.arange(days) % 5 == 4
    dims = ("time", "lat", "lon")

    def daily(values: np.ndarray) -> np.ndarray:
        whole = np.full((days, size, size), -32767, dtype="int16")
        whole[seen] = values
        return whole

    def band(values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, dict[str, object]]:
        scale, offset = 1.3e-5, 0.4
        packed = np.round((values - offset) / scale)
        attrs = {"scale_factor": scale, "add_offset": offset, "_FillValue": np.int16(-32767)}
        return dims, daily(packed), attrs

    plain = {"scale_factor": 1.0, "add_offset": 0.0, "_FillValue": np.int16(-32767)}
    masks = {"s2_mask": (dims, daily(np.ones((4, size, size))), plain)}
    if learned:
        masks["s2_dlmask"] = (dims, daily(np.where(x[None] < x.mean(), 1, 0).repeat(4, 0)), plain)
    cubes = xr.Dataset(
        {
            "s2_B02": band(((x - fakes.LEFT) / 2000)[None].repeat(4, 0)),
            "s2_B03": band(((fakes.TOP - y) / 2000)[None].repeat(4, 0)),
            "s2_B04": band(rng.uniform(0.02, 0.2, (4, size, size))),
            "s2_B8A": band(rng.uniform(0.2, 0.5, (4, size, size))),
            "s2_SCL": (dims, daily(np.full((4, size, size), 4)), plain),
            **masks,
            "s2_avail": ("time", seen.astype("float32")),
            "eobs_tg": ("time", np.full(days, 12.0, dtype="float32")),
            "esawc_lc": (("lat", "lon"), np.ones((size, size), "float32")),
        },
        coords={"time": np.datetime64("2018-05-01", "ns") + np.arange(days) * np.timedelta64(1, "D")},
        attrs={"dataset_name": "EarthNet2021x"},
    )
    return cubes.assign_coords(lat=lat, lon=lon)


@pytest.mark.filterwarnings("ignore:.*put on 20 m pixels")
def test_earthnet_minicubes_are_put_on_utm(tmp_path: Path) -> None:
    path = tmp_path / "29SND_2018-05-01.nc"
    earth_net().to_netcdf(path)
    raster = open_raster(path)
    assert raster.rio.crs.to_epsg() == fakes.EPSG
    assert raster.sizes["time"] == 4
    assert set(raster.data_vars) == {"B02", "B03", "B04", "B8A", "SCL", "cloudmask", "s2_avail"}
    repairs = json.loads(raster.attrs["repairs"])
    assert repairs.pop("days without an acquisition, left out") == 16
    (reason,) = repairs
    assert reason.startswith("grid in EPSG:4326 put on 20 m pixels of EPSG:32632 by nearest neighbour, moved by up to ")
    told = float(reason.rsplit("up to ", 1)[1].split()[0])
    cube = open_cube(tmp_path, bands=["B02", "B03", "B04", "B8A"], dilation=0)
    assert np.all(cube["time"].values.astype("datetime64[D]") == np.datetime64("2018-05-05") + np.arange(4) * 5)
    found = cube.sel(band="B02")[0] * 2000 + fakes.LEFT - cube["x"]
    below = fakes.TOP - cube.sel(band="B03")[0] * 2000 - cube["y"]
    assert float(np.hypot(found, below).max()) <= told + 7.1 + 0.2 < 25  # and half the diagonal of 10 m in 20 m
    assert cube.sizes["x"] >= 0.9 * 64


@pytest.mark.filterwarnings("ignore:.*put on 20 m pixels")
def test_the_learned_mask_comes_before_the_older_one(tmp_path: Path) -> None:
    for learned in (True, False):
        earth_net(learned=learned).to_netcdf(tmp_path / f"{learned}.nc")
    assert open_raster(tmp_path / "True.nc")["cloudmask"].values.mean() == pytest.approx(0.5, abs=0.1)
    assert (open_raster(tmp_path / "False.nc")["cloudmask"].values == 1).all()


def test_a_minicube_with_axes_of_its_own_for_coarse_bands_is_refused(tmp_path: Path) -> None:
    mixed = deep_extremes()
    mixed["B05"] = mixed["B05"].isel(y=slice(0, 4), x=slice(0, 4)).rename(y="y20", x="x20")
    mixed.to_zarr(tmp_path / "a.zarr", zarr_format=2)
    with pytest.raises(ProductError, match=r"several grids in one file.*Save the bands of each grid"):
        open_raster(tmp_path / "a.zarr")


def test_a_pickle_in_a_store_is_not_opened(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    deep_extremes().to_zarr(store, zarr_format=2, consolidated=True)
    metadata = json.loads((store / ".zmetadata").read_text())
    metadata["metadata"]["B02/.zarray"]["filters"] = [{"id": "pickle", "protocol": 5}]
    (store / ".zmetadata").write_text(json.dumps(metadata))
    for read in (open_raster, sensors_of, open_cube):
        with pytest.raises(FileError, match="pickled objects, which are not read"):
            read(store)


def test_huge_declared_shapes_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    shape = (3, 1_000_000, 1_000_000)
    huge = group.create_array("B02", shape=shape, chunks=(1, 1000, 1000), dtype="uint16")
    huge.attrs["_ARRAY_DIMENSIONS"] = ["time", "y", "x"]
    for axis, size in zip(("time", "y", "x"), shape, strict=True):
        stored = group.create_array(axis, shape=(size,), chunks=(size,), dtype="float64")
        stored[:] = np.arange(size) * 10.0
        stored.attrs.update(_ARRAY_DIMENSIONS=[axis], **({"units": "days since 2019-01-01"} if axis == "time" else {}))
    with pytest.raises(GridError, match="too large for a place"):
        open_raster(tmp_path / "a.zarr")
    monkeypatch.setattr(grids, "MAX_BYTES", 100)
    deep_extremes().drop_attrs(deep=False).to_netcdf(tmp_path / "b.nc")
    with pytest.raises(GridError, match="too large"):
        open_raster(tmp_path / "b.nc")


def test_a_chunk_larger_than_a_place_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    deep_extremes().to_zarr(store, zarr_format=2, consolidated=True)
    metadata = json.loads((store / "B02" / ".zarray").read_text())
    metadata["chunks"] = [3, 1_000_000, 1_000_000]
    (store / "B02" / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(GridError, match="too large"):
        open_raster(store)


@pytest.mark.parametrize("file", ["B02/c/0/0/0", "B02/zarr.json", "zarr.json"])
def test_a_damaged_store_is_refused(tmp_path: Path, file: str) -> None:
    store = tmp_path / "a.zarr"
    deep_extremes().to_zarr(store, zarr_format=3, consolidated=False)
    fakes.truncate(store / file, 0.5)
    with pytest.raises(FileError, match="truncated, damaged or no Zarr store"):
        open_raster(store)


def test_a_store_of_something_else_is_no_raster(tmp_path: Path) -> None:
    xr.Dataset({"t2m": ("time", [1.0])}, coords={"time": TIMES[:1].astype("datetime64[ns]")}).to_zarr(
        tmp_path / "a.zarr"
    )
    assert sensors_of(tmp_path / "a.zarr") == []
    with pytest.raises(ProductError, match=r"not a raster over time \(found variables t2m"):
        open_raster(tmp_path / "a.zarr")
    with pytest.raises(ProductError, match="no Sentinel-2"):
        open_cube(tmp_path)


def write_fetched(folder: Path, dates: int = 3, **changes: object) -> list[Path]:
    """One NetCDF file for each item, as ``ecoembed fetch`` leaves them: metadata as attributes of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(dates):
        attrs = {
            "product": "sentinel-2-l2a",
            "provider": "planetary-computer",
            "item": f"S2A_item_{i}",
            "processing_baseline": ("02.12", "04.00", "05.10")[i],
            "repairs": json.dumps({"tile of the next zone, reprojected": 1}) if i else "{}",
            "sunZenithAngles": 30.0 + i,
            **changes,
        }
        layers = {name: values[i : i + 1].copy() for name, values in LAYERS.items()}
        for name in set(layers) - {"SCL"} if i else ():
            layers[name] = np.where(layers[name] > 0, layers[name] + 1000, 0).astype("uint16")
        moment = TIMES[i : i + 1].astype("datetime64[ns]")
        paths.append(fakes.write_raster(folder / f"S2_L2A_{i}.nc", layers, moment, resolution=10, attrs=attrs))
    return paths


def test_files_of_a_date_each_are_read_as_one_and_each_keeps_its_metadata(tmp_path: Path) -> None:
    paths = write_fetched(tmp_path / "place")
    (source,) = sources(tmp_path / "place")
    assert source.name == "S2_L2A_0.nc and 2 more"
    raster = open_raster(source)
    assert list(raster["processing_baseline"].values) == ["02.12", "04.00", "05.10"]
    assert list(raster["sunZenithAngles"].values) == [30.0, 31.0, 32.0]
    assert raster.attrs["item"] == "S2A_item_0; S2A_item_1; S2A_item_2"
    assert json.loads(raster.attrs["repairs"]) == {"tile of the next zone, reprojected": 2}
    cube = open_cube(tmp_path / "place", dilation=0)
    np.testing.assert_allclose(cube, reference(tmp_path / "plain"), atol=1e-6)  # 0.1 added and taken away
    (told,) = json.loads(cube.attrs["provenance"])["files"]
    assert told["files"] == [path.name for path in paths]
    alone = xr.concat([open_raster(path)["B02"] for path in paths], "time")
    np.testing.assert_array_equal(raster["B02"], alone)


@pytest.mark.parametrize("change", [{"provider": "earth-search"}, {"product": "hls2-s30"}, {"location_id": "XX-T02"}])
def test_files_that_differ_in_more_than_their_dates_stay_apart(tmp_path: Path, change: dict[str, object]) -> None:
    write_fetched(tmp_path, dates=2)
    write_fetched(tmp_path / "other", dates=1, **change)
    (tmp_path / "other" / "S2_L2A_0.nc").rename(tmp_path / "S2_L2A_9.nc")
    assert len(sources(tmp_path)) == 2


def test_a_damaged_file_of_many_is_named(tmp_path: Path) -> None:
    paths = write_fetched(tmp_path)
    fakes.truncate(paths[1])
    with pytest.raises(FileError, match=r"S2_L2A_1\.nc: the raster is truncated"):
        open_cube(tmp_path)


def as_rioxarray() -> xr.Dataset:
    """The place as rioxarray writes it."""
    data = {name: (("time", "y", "x"), values) for name, values in LAYERS.items()}
    plain = xr.Dataset(data, {"time": TIMES.astype("datetime64[ns]"), **utm_axes()})
    return plain.rio.write_crs(fakes.EPSG)


def test_a_crs_under_the_name_that_openeo_gives_it(tmp_path: Path) -> None:
    cube = as_rioxarray().drop_vars("spatial_ref").assign(crs=((), 0, CRS.from_epsg(fakes.EPSG).to_cf()))
    for band in cube.data_vars.values():
        if band.dims:
            band.encoding["grid_mapping"] = "crs"
    cube.rename(time="t").to_netcdf(tmp_path / "openeo.nc")
    assert_same(open_cube(tmp_path / "openeo.nc", dilation=0), reference(tmp_path / "plain"))


def test_names_that_earth_search_gives(tmp_path: Path) -> None:
    """As odc-stac saves them, and as labels of stackstac's axis. Landsat shares some, and is no Sentinel-2."""
    theirs = {ours: name for name, ours in COLOURS.items()}
    cube = as_rioxarray().rename(theirs)
    cube.to_netcdf(tmp_path / "odc.nc")
    cube.to_zarr(tmp_path / "odc.zarr", zarr_format=3, consolidated=False)
    labels = xr.concat([cube[name] for name in theirs.values()], dim="band").assign_coords(band=list(theirs.values()))
    labels.rename("stackstac").to_dataset().to_netcdf(tmp_path / "stack.nc")
    expected = reference(tmp_path / "plain")
    for name in ("odc.nc", "odc.zarr", "stack.nc"):
        assert_same(open_cube(tmp_path / name, dilation=0), expected)
    landsat = cube[["blue", "green", "red", "nir08", "swir16", "swir22"]]
    landsat.to_netcdf(tmp_path / "landsat.nc")
    assert sensors_of(tmp_path / "landsat.nc") == []
    cube.drop_vars(["red", "rededge1"]).to_netcdf(tmp_path / "few.nc")
    with pytest.raises(
        VariableError, match=r"2 of 10 bands absent \(B04, B05\).*found B02, B03.*open_cube\(\.\.\., bands"
    ):
        open_cube(tmp_path / "few.nc")


@pytest.mark.parametrize("constant", [False, True])
def test_what_stackstac_keeps_in_coordinates_and_attributes(tmp_path: Path, constant: bool) -> None:
    """CRS and baseline are coordinates, x and y the upper left corners of the pixels, as its transform tells."""
    layers = numbers()
    values = np.stack([np.where(v > 0, v + 1000, 0) if name != "SCL" else v for name, v in layers.items()], axis=1)
    baseline = "05.00" if constant else ("time", ["05.00"] * 3)
    stack = xr.DataArray(
        values.astype("float64"),
        dims=("time", "band", "y", "x"),
        coords={
            "time": TIMES.astype("datetime64[ns]"),
            "band": list(layers),
            "y": fakes.TOP - 10.0 * np.arange(SIZE),
            "x": fakes.LEFT + 10.0 * np.arange(SIZE),
            "epsg": fakes.EPSG,
            "s2:processing_baseline": baseline,
        },
        attrs={"transform": str(Affine(10, 0, fakes.LEFT, 0, -10, fakes.TOP))},
        name="stackstac",
    )
    stack = stack.where(stack > 0)
    stack.to_dataset().to_zarr(tmp_path / "a.zarr", zarr_format=2, consolidated=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # no noise about metadata that is not consolidated
        cube = open_cube(tmp_path / "a.zarr", dilation=0)
    expected = reference(tmp_path / "plain")
    np.testing.assert_allclose(cube.values, expected.values, atol=1e-6)
    np.testing.assert_array_equal(cube["x"], expected["x"])
    np.testing.assert_array_equal(cube["y"], expected["y"])
    assert json.loads(cube.attrs["repairs"]) == {"coordinates of the pixels' corners, moved to their centres": 1}


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (lambda cube: cube.isel(time=slice(0, 0)), "no acquisition"),
        (
            lambda cube: cube.assign_coords(time=[*cube["time"].values[:2], np.datetime64("NaT", "ns")]),
            "1 of 3",
        ),
        (lambda cube: cube.isel(x=slice(0, 1)), "x tells no grid.*two pixels or more"),
        (lambda cube: cube.isel(y=slice(0, 0)), "y tells no grid"),
        (lambda cube: cube.assign_coords(x=np.append(cube["x"].values[:-1], np.inf)), "x tells no grid"),
        (lambda cube: cube.assign_coords(x=fakes.LEFT + 1000 * cube["x"], y=1000 * cube["y"]), "CRS|too coarse"),
    ],
)
def test_no_date_and_no_grid_are_refused(
    tmp_path: Path, strange: Callable[[xr.Dataset], xr.Dataset], message: str
) -> None:
    strange(as_rioxarray()).to_netcdf(tmp_path / "a.nc")
    with pytest.raises((GridError, VariableError), match=message):
        open_cube(tmp_path / "a.nc")
