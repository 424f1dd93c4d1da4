from __future__ import annotations

import json
import threading
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from pyproj import Transformer

from ecoembed import open_cube
from ecoembed.archives.satellite.rasters import fingerprint, open_raster, sensors_of, sources
from ecoembed.errors import ConfigError, FileError, GridError, ProductError, VariableError
from tests.archives import fakes
from tests.archives.formats import SIZE, TIMES, assert_same, numbers, reference, write_tiff

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_patches.toml"
LAYERS = numbers()
BANDS = [name for name in LAYERS if name != "SCL"]
SECONDS = TIMES.astype("datetime64[s]").astype("int64")

#: The description of `write`'s file; tests change what they are about.
PLAIN = {
    "dataset": '"/images"',
    "bands": json.dumps(BANDS),
    "axes": '["patch", "time", "band", "y", "x"]',
    "patch": "1",
    "nodata": "0",
    "datasets.SCL": '"/masks/scl"',
    "time.dataset": '"/time"',
    "time.unit": '"seconds since 1970-01-01"',
    "grid.epsg": str(fakes.EPSG),
    "grid.pixel": "10",
    "grid.x": str(fakes.LEFT),
    "grid.y": str(fakes.TOP),
}


def describe(folder: Path, **changes: str | None) -> Path:
    """`PLAIN` with changes (None: left out), beside ``place.h5``."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = PLAIN | {key.replace("__", "."): value for key, value in changes.items()}
    (folder / "place.toml").write_text(
        "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)
    )
    return folder / "place.h5"


def write(folder: Path, **changes: str | None) -> Path:
    """Two patches, of which the second is the place, in one file, and its description."""
    path = describe(folder, **changes)
    stack = np.stack([LAYERS[band] for band in BANDS], axis=1)
    with h5py.File(path, "w") as file:
        file["images"] = np.stack([np.full_like(stack, 7), stack])
        file["masks/scl"] = np.stack([np.zeros_like(LAYERS["SCL"]), LAYERS["SCL"]]).astype("uint8")
        file["time"] = SECONDS
    return path


def test_a_patch_of_many_is_the_plain_cube(tmp_path: Path) -> None:
    path = write(tmp_path / "place", site='"XX-T01"')
    assert sources(tmp_path / "place") == [path]
    assert sensors_of(path) == ["S2_L2A"]
    cube = open_cube(tmp_path / "place", dilation=0)
    assert cube.attrs["site"] == "XX-T01"
    assert fingerprint(path) in cube.attrs["provenance"]
    assert_same(cube, reference(tmp_path / "plain"))


@pytest.mark.parametrize(
    "axes", [("patch", "time", "band", "y", "x"), ("x", "y", "band", "time"), ("band", "y", "x", "time")]
)
@pytest.mark.parametrize("rows", ["north", "south"])
def test_axes_in_any_order(tmp_path: Path, axes: tuple[str, ...], rows: str) -> None:
    patched = "patch" in axes
    path = describe(tmp_path, axes=json.dumps(axes), patch="0" if patched else None, grid__first_row=f'"{rows}"')
    whole = np.stack([LAYERS[band] for band in BANDS], axis=1)[None]
    whole = whole if rows == "north" else whole[..., ::-1, :]
    scl = LAYERS["SCL"][None] if rows == "north" else LAYERS["SCL"][None, :, ::-1]
    order, plain = ("patch", "time", "band", "y", "x"), ("patch", "time", "y", "x")
    with h5py.File(path, "w") as file:
        file["images"] = np.einsum(whole, [*range(5)], [order.index(axis) for axis in axes])
        file["masks/scl"] = np.einsum(scl, [*range(4)], [plain.index(axis) for axis in axes if axis != "band"])
        file["time"] = SECONDS
    cube = open_cube(path, dilation=0)
    assert_same(cube, reference(tmp_path / "plain"))
    assert json.loads(cube.attrs["repairs"]) == ({"y ascending, flipped": 1} if rows == "south" else {})


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([str(t) for t in TIMES], None),
        ([f"{t}Z".encode() for t in TIMES], None),
        (SECONDS / 86_400 - 10_000, "days since 1997-05-19"),
        (SECONDS / 3_600.0, "hours since 1970-01-01 00:00:00"),
        (SECONDS - SECONDS[0], f"seconds since {TIMES[0]}"),
    ],
)
def test_times_in_any_spelling(tmp_path: Path, values: object, unit: str | None) -> None:
    path = write(tmp_path, time__unit=None if unit is None else f'"{unit}"')
    with h5py.File(path, "r+") as file:
        del file["time"]
        file["time"] = values
    assert np.abs(open_raster(path)["time"].values - TIMES.astype("datetime64[ns]")).max() < np.timedelta64(2, "ms")


@pytest.mark.parametrize(
    ("values", "unit"), [([20190704, 20190709, 20190714], "YYYYMMDD"), ([2019185, 2019190, 2019195], "YYYYDDD")]
)
def test_dates_in_whole_numbers(tmp_path: Path, values: list[int], unit: str) -> None:
    path = write(tmp_path, time__unit=f'"{unit}"')
    with h5py.File(path, "r+") as file:
        file["time"][:] = values
    assert list(open_raster(path)["time"].values.astype("datetime64[D]")) == list(TIMES.astype("datetime64[D]"))
    assert "time of day not in the file" in open_cube(path).attrs["provenance"]


def test_times_in_the_description(tmp_path: Path) -> None:
    listed = '["2019-07-04T10:56:21", 2019-07-09T10:56:29, "20190714T105621"]'
    path = write(tmp_path, time__dataset=None, time__unit=None, time__values=listed)
    assert_same(open_cube(path, dilation=0), reference(tmp_path / "plain"))


def test_scale_offset_and_metadata(tmp_path: Path) -> None:
    path = write(tmp_path, scale="2e-4", offset="-0.05", metadata__orbit='"D094"')
    raster = open_raster(path)
    assert raster["B02"].attrs == {"scale_factor": 2e-4, "add_offset": -0.05, "_FillValue": 0.0}
    assert raster["SCL"].attrs == {}
    cube = open_cube(path, dilation=0)
    np.testing.assert_allclose(cube.sel(band="B02")[2], LAYERS["B02"][2] * 2e-4 - 0.05, atol=1e-6)
    assert list(cube["orbit"].values) == ["D094"] * 3
    path = write(tmp_path / "offset", metadata__processing_baseline='"/baseline"')
    with h5py.File(path, "r+") as file:
        file["baseline"] = np.array([b"02.12", b"04.00", b"05.10"], dtype="S5")
        later = file["images"][1]
        later[1:] += 1000
        file["images"][1] = later
    shifted = open_cube(path, dilation=0)
    np.testing.assert_allclose(shifted.sel(band="B02")[2], LAYERS["B02"][2] * 1e-4, atol=1e-6)
    np.testing.assert_allclose(shifted.sel(band="B02")[0, 4], LAYERS["B02"][0, 4] * 1e-4, atol=1e-6)


def test_a_patch_placed_by_its_centre(tmp_path: Path) -> None:
    half = SIZE * 10 / 2
    to = Transformer.from_crs(fakes.EPSG, 4326, always_xy=True)
    longitude, latitude = to.transform(fakes.LEFT + half + 3, fakes.TOP - half - 4)
    place = {"grid__latitude": repr(latitude), "grid__longitude": repr(longitude)}
    cube = open_cube(write(tmp_path, grid__x=None, grid__y=None, **place), dilation=0)
    assert_same(cube, reference(tmp_path / "plain"))
    assert json.loads(cube.attrs["repairs"]) == {"grid placed by its centre, edges on multiples of 10 m": 1}


def test_the_example(tmp_path: Path) -> None:
    """As its first lines show the file, with fewer patches and dates than there."""
    rng = np.random.default_rng(3)
    images = rng.integers(1200, 5000, (13, 4, 10, 48, 48)).astype("uint16")
    with h5py.File(tmp_path / "patches.h5", "w") as file:
        file["images"], file["scl"] = images, np.full((13, 4, 48, 48), 4, "uint8")
        file["time"] = (18_000 + 5 * np.arange(4) + np.arange(13)[:, None]).astype("int32")
        file["baseline"] = np.full((13, 4), b"04.00", dtype="S5")
    (tmp_path / "patches.toml").write_bytes(EXAMPLE.read_bytes())
    cube = open_cube(tmp_path)
    assert cube.attrs["site"] == "XX-Own"
    assert cube.sizes == {"time": 4, "band": 10, "y": 48, "x": 48}
    assert str(cube["time"].values[0])[:10] == "2019-04-26"
    np.testing.assert_allclose(cube[0].values, images[12, 0] * 1e-4 - 0.1, atol=1e-6)
    longitude, latitude = Transformer.from_crs(32632, 4326, always_xy=True).transform(
        cube["x"].mean(), cube["y"].mean()
    )
    assert (latitude, longitude) == pytest.approx((48.7436, 8.3639), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datset": '"/x"'}, "Did you mean 'dataset'"),
        ({"grid__pixl": "10"}, "Did you mean 'pixel'"),
        ({"dataset": '"/image"'}, r"no such dataset .found /: images, masks, time; expected /image"),
        ({"dataset": '"/masks"'}, "a group, not a dataset"),
        ({"axes": '["time", "band", "y", "x"]', "patch": None}, "axes do not fit the array"),
        ({"axes": '["patch", "time", "band", "band", "x"]'}, "axes are named once each"),
        ({"bands": '["B02"]'}, "sizes do not fit together"),
        ({"patch": "2"}, "no such patch.*found 2 patches; expected 2"),
        ({"patch": None}, "patch .a number from 0. and an axis patch go together"),
        ({"dataset": None}, "dataset, bands and an axis band go together"),
        ({"datasets.SCLL": '"/masks/scl"'}, "unknown band.*Did you mean 'SCL'"),
        ({"metadata.baseline": '"02.12"'}, "unknown key"),
        ({"time__unit": None}, "times in numbers without a known unit"),
        ({"time__unit": '"fortnights since 1970-01-01"'}, "times in numbers without a known unit"),
        ({"time__values": '["2019-07-04"]'}, "either dataset or values"),
        ({"time__dataset": None, "time__unit": None, "time__values": '["2019-07-04"]'}, "sizes do not fit together"),
        ({"grid__x": None}, "either x and y"),
        ({"grid__latitude": "50.0", "grid__longitude": "7.0"}, "either x and y"),
        ({"grid__pixel": "0"}, "greater than 0"),
        ({"grid__pixel": "1000"}, "less than or equal to 100"),
        ({"scale": "nan"}, "finite number"),
        ({"datasets.B2": '"/masks/scl"'}, "each band is named once"),
        ({"metadata.orbit": '"/images"'}, "sizes do not fit together"),
        ({"x": "[" * 5000 + "]" * 5000}, "not valid TOML"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError, match=message):
        open_raster(path)


def test_no_description_asks_for_one(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.with_suffix(".toml").unlink()
    for read in (open_raster, sensors_of, open_cube):
        with pytest.raises(ProductError, match=r"without its description.*examples/own_patches.toml shows how"):
            read(path)


@pytest.mark.parametrize("values", [[SECONDS[0], np.nan, 0.0], [1e300, 0.0, 1.0], ["2019-07-04", "someday", "x"]])
def test_times_that_are_none_are_refused(tmp_path: Path, values: list[object]) -> None:
    path = write(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["time"]
        file["time"] = values
    with pytest.raises(VariableError, match="a time that is no date"):
        open_raster(path)


@pytest.mark.parametrize(
    ("epsg", "error", "message"),
    [
        ("999999", GridError, "CRS is unknown"),
        ("2263", GridError, "not in metres"),
        ("4326", GridError, "coordinates are"),
    ],
)
def test_a_wrong_crs_is_refused(tmp_path: Path, epsg: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_raster(write(tmp_path, grid__epsg=epsg))


def test_what_points_to_other_files_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["images"] = np.ones((2, 3, 10, SIZE, SIZE), "uint16")
    (tmp_path / "raw.bin").write_bytes(b"\1" * (2 * 3 * 10 * SIZE * SIZE * 2))

    def external(file: h5py.File) -> None:
        file["images"] = h5py.ExternalLink(str(secret), "/images")

    def through_a_group(file: h5py.File) -> None:
        file["images"] = h5py.SoftLink("/elsewhere/images")
        file["elsewhere"] = h5py.ExternalLink(str(secret), "/")

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((2, 3, 10, SIZE, SIZE), "uint16")
        layout[:] = h5py.VirtualSource(str(secret), "images", (2, 3, 10, SIZE, SIZE))
        file.create_virtual_dataset("images", layout)

    def stored_outside(file: h5py.File) -> None:
        size = h5py.h5f.UNLIMITED
        file.create_dataset("images", (2, 3, 10, SIZE, SIZE), "uint16", external=[(str(tmp_path / "raw.bin"), 0, size)])

    for i, make in enumerate((external, through_a_group, virtual, stored_outside)):
        path = write(tmp_path / str(i))
        with h5py.File(path, "r+") as file:
            del file["images"]
            make(file)
        with pytest.raises(ProductError, match="which is not followed: it can point to any file"):
            open_raster(path)


def test_huge_and_strange_datasets_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["images"]
        file.create_dataset("images", (2, 3, 10, 1_000_000, 1_000_000), "uint16", chunks=(1, 1, 1, 1000, 1000))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(GridError, match="too large for a place"):
        open_raster(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24  # the pixels of one image would be 2 TB
    with h5py.File(path, "r+") as file:
        del file["images"]
        file["images"] = np.zeros((2, 3, 10, SIZE, SIZE), dtype=[("a", "u2"), ("b", "u2")])
    with pytest.raises(ProductError, match="not an array of numbers"):
        open_raster(path)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    for share in (0.9, 0.3):
        path = fakes.truncate(write(tmp_path), share)
        with pytest.raises(FileError, match="truncated or damaged"):
            open_raster(path)


def test_ten_metres_here_and_twenty_in_a_geotiff_there(tmp_path: Path) -> None:
    """Formats mix in one folder, as long as the acquisitions are the same."""
    fine = ["B02", "B03", "B04", "B08"]
    path = write(tmp_path, bands=json.dumps([b if b in fine else f"not{b}" for b in BANDS]), **{"datasets.SCL": None})
    assert set(open_raster(path).data_vars) == set(fine)
    rest = [name for name in LAYERS if name not in fine]
    for i, moment in enumerate(TIMES):
        stamp = str(moment).replace("-", "").replace(":", "")
        write_tiff(tmp_path / f"{stamp}.tif", [LAYERS[name][i, ::2, ::2] for name in rest], rest, pixel=20)
    cube = open_cube(tmp_path, dilation=0)
    np.testing.assert_allclose(cube.sel(band="B8A")[2, 1, 1], LAYERS["B8A"][2, 0, 0] * 1e-4)
    np.testing.assert_allclose(cube.sel(band="B08")[2, 1, 1], LAYERS["B08"][2, 1, 1] * 1e-4)


def test_many_threads_read_side_by_side_with_netcdf(tmp_path: Path) -> None:
    path = write(tmp_path / "h5")
    plain = reference(tmp_path / "plain")
    failures: list[BaseException] = []

    def read(source: Path) -> None:
        try:
            for _ in range(2):
                assert_same(open_cube(source, dilation=0), plain)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=read, args=(p,)) for p in (path, tmp_path / "plain" / "place.nc") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
