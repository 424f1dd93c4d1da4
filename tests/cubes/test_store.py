from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ecoembed import open_cube
from ecoembed.cubes import store
from ecoembed.cubes.store import load_cube, load_series, save_cube, save_cubes, save_series
from ecoembed.errors import EcoembedError, FileError, VariableError
from tests.archives import fakes


@pytest.fixture
def cubes(tmp_path: Path) -> dict[str, xr.DataArray]:
    fakes.write_place(tmp_path / "raw")
    return {sensor: open_cube(tmp_path / "raw", sensor) for sensor in ("S2_L2A", "S1")}


def test_store_is_zarr_v3_and_gives_back_what_was_saved(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    path = tmp_path / "cubes" / "XX-T01.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_cubes(cubes, path)
        for sensor, cube in cubes.items():
            xr.testing.assert_identical(load_cube(path, sensor), cube)
            assert load_cube(path, sensor).rio.crs == cube.rio.crs
    description = json.loads((path / "S2_L2A" / "cube" / "zarr.json").read_text())
    assert (description["zarr_format"], description["data_type"]) == (3, "float32")
    assert sorted(child.name for child in path.parent.iterdir()) == ["XX-T01.zarr"]


def test_a_lazy_cube_is_streamed_and_can_be_saved(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    long = xr.concat([cubes["S2_L2A"]] * 300, "time", combine_attrs="override")
    long = long.assign_coords(time=fakes.times(long.sizes["time"]))
    save_cube(long, tmp_path / "a.zarr", "S2_L2A")
    lazy = load_cube(tmp_path / "a.zarr", "S2_L2A", lazy=True)
    assert lazy.chunks is not None
    assert len(lazy.chunks[0]) > 1
    assert lazy.chunks[1:] == ((10,), (8,), (8,))
    save_cube(lazy.isel(time=slice(3, None)), tmp_path / "b.zarr", "S2_L2A")
    xr.testing.assert_identical(load_cube(tmp_path / "b.zarr", "S2_L2A"), long.isel(time=slice(3, None)))


def test_text_beside_values_that_are_streamed_is_no_warning(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    cube = cubes["S2_L2A"].assign_coords(s1_orbit=("time", np.array(["a", "b"] * 999)[: cubes["S2_L2A"].sizes["time"]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", xr.SerializationWarning)
        save_cube(cube.chunk(time=1), tmp_path / "a.zarr", "S2_L2A")
    xr.testing.assert_identical(load_cube(tmp_path / "a.zarr", "S2_L2A"), cube)


def test_other_groups_stay(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    path = tmp_path / "a.zarr"
    save_cube(cubes["S1"], path, "S1")
    save_cube(cubes["S2_L2A"], path, "S2_L2A")
    save_cube(cubes["S2_L2A"].isel(time=slice(2)), path, "S2_L2A")
    xr.testing.assert_identical(load_cube(path, "S1"), cubes["S1"])
    assert load_cube(path, "S2_L2A").sizes["time"] == 2


def test_a_failed_write_leaves_the_store_as_it_was(
    tmp_path: Path, cubes: dict[str, xr.DataArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    save_cubes(cubes, path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    write = store._write

    def fail_at_second(dataset: xr.Dataset, folder: Path, group: str) -> None:
        if group == "S1":
            raise OSError("disk full")
        write(dataset, folder, group)

    monkeypatch.setattr(store, "_write", fail_at_second)
    changed = {sensor: cube.isel(time=slice(1)) for sensor, cube in cubes.items()}
    with pytest.raises(OSError, match="disk full"):
        save_cubes(changed, path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert sorted(child.name for child in tmp_path.iterdir()) == ["a.zarr", "raw"]


def test_lost_chunks_are_noticed(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    path = tmp_path / "a.zarr"
    empty = cubes["S2_L2A"].where(False).astype("float32")  # a cube without a valid value is whole, too
    save_cubes({"empty": empty, **cubes}, path)
    assert load_cube(path, "empty").isnull().all()
    next(file for file in (path / "S1" / "cube" / "c").rglob("*") if file.is_file()).unlink()
    with pytest.raises(FileError, match=rf"lost chunks.*0 of 1.*Delete {re.escape(str(path))} and run again"):
        load_cube(path, "S1")
    load_cube(path, "S2_L2A")


def test_damaged_stores(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    path = tmp_path / "a.zarr"
    save_cubes(cubes, path)
    with pytest.raises(VariableError, match=r"no group z.*S1, S2_L2A"):
        load_cube(path, "z")
    for absent in (tmp_path / "absent.zarr", tmp_path / "raw", next((tmp_path / "raw").glob("*.nc"))):
        with pytest.raises(FileError, match=r"no Zarr store.*ecoembed cube FOLDER --out STORE\.zarr"):
            load_cube(absent, "S1")
    chunk = next(file for file in (path / "S1" / "cube" / "c").rglob("*") if file.is_file())
    whole = chunk.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[: len(whole) // 2], whole[:-1], bytes(flipped)):
        chunk.write_bytes(damaged)
        with pytest.raises(
            FileError, match=rf"damaged .found contents that cannot.*Delete {re.escape(str(path))} and run again"
        ):
            load_cube(path, "S1")
    (path / "S2_L2A" / "cube" / "zarr.json").write_text("{")
    with pytest.raises(FileError, match="damaged"):
        load_cube(path, "S2_L2A")


def test_only_cubes_are_saved_and_only_stores_replaced(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    with pytest.raises(EcoembedError):
        save_cube(cubes["S1"].astype("float64"), tmp_path / "a.zarr", "S1")
    assert not (tmp_path / "a.zarr").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(FileError, match="not replaced"):
        save_cube(cubes["S1"], tmp_path / "mine", "S1")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_series_and_weights_round_trip(tmp_path: Path, cubes: dict[str, xr.DataArray]) -> None:
    time = fakes.times(4)
    series = xr.Dataset(
        {"value": (("time", "feature"), np.full((4, 2), np.nan)), "coverage": ("time", np.zeros(4))},
        coords={"time": time, "feature": ["B02", "B8A"]},
        attrs={"site": fakes.SITE, "units": "1"},
    )
    weights = cubes["S1"].isel(time=0, band=0, drop=True).astype("float64").assign_attrs(inside=0.9)
    path = tmp_path / "series.zarr"
    save_series({"bands": series, "footprint": weights.to_dataset(name="weight")}, path)
    xr.testing.assert_identical(load_series(path, "bands"), series)
    xr.testing.assert_identical(load_series(path, "footprint")["weight"], weights.rename("weight"))
    with pytest.raises(VariableError, match="holds no cube"):
        load_cube(path, "bands")
    with pytest.raises(VariableError, match="coverage"):
        save_series({"bands": series.assign(coverage=series["coverage"] + 2)}, path)
