from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecoembed import open_cube
from ecoembed.cubes import masks
from ecoembed.errors import ConfigError, UnitError, VariableError
from ecoembed.sensors import HLS, S2_L2A
from tests.archives import fakes

SIZE = 8


def write(folder: Path, name: str = "a", dates: int = 2, first: str = "2019-03-01T10:30:21", **layers: Any) -> Path:
    """One file with all bands at 10 m; `layers` replace or add variables (dates, y, x)."""
    full = fakes.numbers(dates, SIZE, S2_L2A.band_names)
    full["SCL"] = np.full((dates, SIZE, SIZE), 4, dtype="uint8")
    full |= {key: np.broadcast_to(values, (dates, SIZE, SIZE)) for key, values in layers.items()}
    return fakes.write_raster(folder / f"{name}.nc", full, fakes.times(dates, first), resolution=10)


def scene(**classes: tuple[int, int]) -> np.ndarray:
    scl = np.full((SIZE, SIZE), 4, dtype="uint8")
    for name, (row, column) in classes.items():
        scl[row, column] = int(name[1:])
    return scl


def brute(cloud: np.ndarray, distance: float) -> np.ndarray:
    """Every pixel within `distance` of any cloud, one by one."""
    rows, columns = np.indices(cloud.shape)
    grown = np.zeros_like(cloud)
    for r, c in np.argwhere(cloud):
        grown |= 10.0 * np.hypot(rows - r, columns - c) <= distance
    return grown


@settings(max_examples=50, deadline=None)
@given(cloud=hnp.arrays(bool, (2, 7, 9), elements=st.booleans()), distance=st.sampled_from([0, 10, 14.2, 20, 40, 60]))
def test_clouds_grow_by_a_disc(cloud: np.ndarray, distance: float) -> None:
    expected = np.stack([brute(one, distance) for one in cloud])
    np.testing.assert_array_equal(masks.near(cloud, distance), expected)


@pytest.mark.parametrize("number", [3, 8, 9, 10])
def test_only_clouds_and_shadows_grow(tmp_path: Path, number: int) -> None:
    """At the corner, so that the edge is met; snow (11) and dark ground (2) are unclear, but nothing around them is."""
    write(tmp_path, SCL=scene(**{f"c{number}": (0, 0)}))
    missing = open_cube(tmp_path, dilation=20).isnull().isel(time=0, band=0).values
    np.testing.assert_array_equal(missing, brute(scene(**{f"c{number}": (0, 0)}) == number, 20))
    write(tmp_path, SCL=scene(c11=(0, 0), c2=(5, 5)))
    cube = open_cube(tmp_path, dilation=20)
    assert int(cube.isnull().isel(time=0, band=0).sum()) == 2
    assert (cube.attrs["mask"], cube.attrs["dilation"]) == ("scl", 20.0)


def test_dilation_is_monotonic(tmp_path: Path) -> None:
    write(tmp_path, SCL=scene(c9=(3, 4), c3=(7, 0)))
    before = open_cube(tmp_path, dilation=0).isnull()
    for distance in (10, 20, 30):
        now = open_cube(tmp_path, dilation=distance).isnull()
        assert bool((now | ~before).all())
        before = now


def test_a_learned_mask(tmp_path: Path) -> None:
    learned = np.zeros((SIZE, SIZE), dtype="float32")  # which declares no fill value
    learned[0, 0] = 2
    write(tmp_path, SCL=scene(c9=(7, 7)), cloudmask=learned)
    found = {mask: open_cube(tmp_path, mask=mask, dilation=0).isnull().isel(time=0, band=0) for mask in masks.MASKS}  # type: ignore[arg-type]
    assert [tuple(np.argwhere(m.values)[0]) for m in (found["scl"], found["learned"])] == [(7, 7), (0, 0)]
    np.testing.assert_array_equal(found["both"], found["scl"] | found["learned"])
    assert int(open_cube(tmp_path, mask="learned", dilation=10).isnull().isel(time=0, band=0).sum()) == 3
    assert open_cube(tmp_path, mask="both").attrs["mask"] == "both"


def test_a_learned_mask_that_is_absent_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path)
    for mask in ("learned", "both"):
        with pytest.raises(VariableError, match=rf"learned cloud mask \(cloudmask\) absent \(found {path.name}"):
            open_cube(tmp_path, mask=mask)
    write(tmp_path, "b", first="2020-03-01T10:30:21", cloudmask=np.float32(0))
    with pytest.raises(VariableError, match=r"cloudmask and B02|B02 and cloudmask"):
        open_cube(tmp_path, mask="learned")


def bright_is_cloud(cube: xr.DataArray) -> xr.DataArray:
    assert cube.dims == ("time", "band", "y", "x")
    assert cube.notnull().all()  # unmasked
    return cube.sel(band="B02", drop=True) < 0.3


def test_a_mask_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path, SCL=np.uint8(9))  # the classification is not asked
    cube = open_cube(tmp_path, mask=bright_is_cloud)
    blue = fakes.numbers(2, SIZE, S2_L2A.band_names)["B02"]
    np.testing.assert_array_equal(cube.isel(band=3).notnull(), blue < 3000)
    assert cube.attrs["mask"].endswith("test_masks.bright_is_cloud")
    for wrong in (lambda c: c.isel(band=0), lambda c: np.ones((2, SIZE, SIZE + 1), dtype=bool)):
        with pytest.raises(VariableError, match=r"did not return where the ground is clear.*expected bool \(2, 8, 8\)"):
            open_cube(tmp_path, mask=wrong)


def test_choices_that_cannot_be(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ConfigError, match=r"unknown mask.*Did you mean 'scl'"):
        open_cube(tmp_path, mask="scll")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="dilation out of range"):
        open_cube(tmp_path, dilation=-1)
    with pytest.raises(ConfigError, match="dilation out of range"):
        open_cube(tmp_path, dilation=float("nan"))
    with pytest.raises(ConfigError, match="sees through clouds"):
        open_cube(tmp_path, "S1", mask="learned")
    with pytest.raises(ConfigError, match="unknown resampling"):
        open_cube(tmp_path, resampling="cubic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown band of S2_L2A"):
        open_cube(tmp_path, bands=["B01"])


def test_bits() -> None:
    """Fmask of HLS: cloud, beside it, shadow, snow; water (bit 5) and aerosol (6, 7) are clear, 255 is no data."""
    quality = np.array([0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 3 << 6, 255], dtype="uint8")
    assert masks.is_clear(quality, HLS).tolist() == [True, False, False, False, False, True, True, False]


def test_reflectance_that_no_ground_has_is_counted_or_refused(tmp_path: Path) -> None:
    numbers = np.full((2, SIZE, SIZE), 2000, dtype="uint16")
    numbers[0, 0, :2] = 16_001
    write(tmp_path, B11=numbers)
    cube = open_cube(tmp_path)
    assert json.loads(cube.attrs["repairs"]) == {"reflectance below -0.2 or above 1.6, made missing": 2}
    assert np.argwhere(cube.isnull().values).tolist() == [[0, 8, 0, 0], [0, 8, 0, 1]]
    numbers[:] = 17_000
    write(tmp_path, B11=numbers)
    with pytest.raises(UnitError, match=r"or above 1\.6 \(found 128 of 1280 clear values, from 0.* to 1\.7"):
        open_cube(tmp_path)


def test_what_is_masked_is_not_counted_as_repaired(tmp_path: Path) -> None:
    numbers = np.full((2, SIZE, SIZE), 2000, dtype="uint16")
    numbers[:, 0, 0] = 20_000
    write(tmp_path, B11=numbers, SCL=scene(c9=(0, 0)))
    assert open_cube(tmp_path).attrs["repairs"] == "{}"


def test_a_year_without_a_view_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", first="2020-03-01T10:30:21", SCL=np.uint8(9))
    with pytest.warns(UserWarning, match="no clear date in 2020, of 2 acquisitions"):
        cube = open_cube(tmp_path)
    assert json.loads(cube.attrs["years_without_view"]) == ["2020"]
    assert json.loads(open_cube(tmp_path / "a.nc").attrs["years_without_view"]) == []
    with pytest.raises(VariableError, match="no date with enough valid pixels"):
        open_cube(tmp_path / "b.nc")


def test_an_offset_left_in_the_values_is_told(tmp_path: Path) -> None:
    bright = {band: np.full((2, SIZE, SIZE), 1400, dtype="uint16") for band in S2_L2A.band_names}
    write(tmp_path, **bright)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=r"2 of 2 clear dates.*may still be in the values"):
        open_cube(tmp_path)
