from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import zoom

from ecoembed import open_cube
from ecoembed.cubes.resample import bilinear, is_blocky
from tests.archives import fakes

reflectance = st.floats(0.0, 1.0, width=32)


def spread(coarse: np.ndarray, parts: int = 2) -> np.ndarray:
    return coarse.repeat(parts, -2).repeat(parts, -1)


@settings(max_examples=40, deadline=None)
@given(coarse=hnp.arrays("float32", (2, 5, 4), elements=reflectance), parts=st.sampled_from([2, 3, 6]))
def test_agrees_with_scipy(coarse: np.ndarray, parts: int) -> None:
    """Its zoom in grid mode is the interpolation between pixel centres, the edge's value beyond them."""
    expected = zoom(coarse.astype("float64"), (1, parts, parts), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(bilinear(spread(coarse, parts), parts, 0, 0), expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    coarse=hnp.arrays("float32", (1, 4, 4), elements=reflectance),
    holes=hnp.arrays(bool, (1, 8, 8)),
    row=st.integers(0, 1),
    column=st.integers(0, 1),
)
def test_missing_stays_missing_and_lends_nothing(coarse: np.ndarray, holes: np.ndarray, row: int, column: int) -> None:
    fine = np.where(holes, np.nan, spread(coarse))[:, row:, column:]
    found = bilinear(fine, 2, row, column)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(fine))
    clouded = np.where(holes, 99.0, spread(coarse))[:, row:, column:]  # whatever stood under the mask
    clouded[np.isnan(fine)] = np.nan
    np.testing.assert_array_equal(bilinear(clouded, 2, row, column), found)
    if not np.isnan(fine).all():
        assert np.nanmin(found) >= np.nanmin(fine) - 1e-6
        assert np.nanmax(found) <= np.nanmax(fine) + 1e-6


def test_a_plane_is_reproduced_within() -> None:
    coarse = (np.arange(6)[:, None] * 2.0 + np.arange(6) * 3.0)[None]
    fine = (np.arange(12) + 0.5) / 2 - 0.5
    expected = fine[:, None] * 2.0 + fine * 3.0
    np.testing.assert_allclose(bilinear(spread(coarse), 2, 0, 0)[0, 1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)
    cut = bilinear(spread(coarse)[:, 1:, 1:], 2, 1, 1)  # the grid begins within a coarse pixel
    np.testing.assert_allclose(cut[0, :-1, :-1], expected[1:-1, 1:-1], atol=1e-5)


def test_blocks_are_recognised_at_any_phase() -> None:
    fine = spread(np.random.default_rng(0).random((2, 6, 6)))
    for row in (0, 1):
        for column in (0, 1):
            assert is_blocky(fine[:, row:, column:], 2, row, column)
            assert not is_blocky(fine[:, row:, column:], 2, 1 - row, column)


def test_a_cube_says_how_its_coarse_bands_became_fine(tmp_path: Path) -> None:
    fakes.write_place(tmp_path)
    nearest, smooth = open_cube(tmp_path), open_cube(tmp_path, resampling="bilinear")
    assert (nearest.attrs["resampling"], smooth.attrs["resampling"]) == ("nearest", "bilinear")
    fine = [band in fakes.FINE for band in nearest["band"].values]
    np.testing.assert_array_equal(smooth.values[:, fine], nearest.values[:, fine])
    assert not np.allclose(smooth.values[:, ~np.array(fine)], nearest.values[:, ~np.array(fine)])
    b05 = zoom(fakes.numbers(6, 4, fakes.COARSE)["B05"] * 1e-4, (1, 2, 2), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(smooth.sel(band="B05"), b05, atol=1e-5)


@pytest.mark.parametrize("left", [fakes.LEFT, fakes.LEFT - 10])
def test_coarse_bands_that_were_fetched_on_10_m_are_interpolated_too(tmp_path: Path, left: float) -> None:
    """Pixels of 20 m begin at multiples of 20 m, also where the grid of the file does not."""
    coarse = fakes.numbers(1, 5, fakes.COARSE)
    shift = int((left - fakes.LEFT) % 20) // 10
    layers = {key: spread(v)[:, :8, shift : 8 + shift] for key, v in coarse.items()} | fakes.numbers(1, 8, fakes.FINE)
    layers["SCL"] = np.full((1, 8, 8), 4, dtype="uint8")
    fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(1), resolution=10, left=left)
    cube = open_cube(tmp_path, resampling="bilinear")
    assert cube.attrs["resampling"] == "bilinear"
    expected = bilinear(spread(coarse["B05"] * 1e-4)[:, :8, shift : 8 + shift], 2, 0, shift)
    np.testing.assert_allclose(cube.sel(band="B05"), expected, atol=1e-6)


def test_what_was_interpolated_before_is_left(tmp_path: Path) -> None:
    layers = fakes.numbers(1, 8, (*fakes.FINE, *fakes.COARSE)) | {"SCL": np.full((1, 8, 8), 4, dtype="uint8")}
    fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(1), resolution=10)
    cube = open_cube(tmp_path, resampling="bilinear")
    assert cube.attrs["resampling"] == "bilinear; as delivered at 10 m: B05, B06, B07, B8A, B11, B12"
    assert cube.equals(open_cube(tmp_path))
