"""A cube through a footprint, against the sum written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from ecoembed.errors import FootprintError, GridError, VariableError
from ecoembed.footprints import extract as module
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.extents import fixed_radius
from ecoembed.footprints.extract import extract


def cube(n=12, times=7, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.random((times, 3, n, n)).astype("float32")
    values[:, :, rng.random((n, n)) < 0.2] = np.nan
    values[2, 1, 4, 5] = np.inf
    values[5] = np.nan
    coords = {
        "time": pd.date_range("2020-05-01T10:32", periods=times, freq="5D"),
        "band": ["B04", "B08", "B11"],
        "y": 5_600_000.0 - 10 * np.arange(n),
        "x": 500_000.0 + 10 * np.arange(n),
    }
    attrs = {"sensor": "S2_L2A", "units": "1", "site": "XX-V01", "provenance": "{}"}
    return xr.DataArray(values, coords, ("time", "band", "y", "x"), attrs=attrs).rio.write_crs("EPSG:32631")


def weights_for(grid):
    return footprint_climatology(
        zm=3, umean=[3.0, 4.0], h=900, ol=[-30, 80], sigmav=0.6, ustar=0.35, wind_dir=[240, 70], grid=grid
    )


def test_value_and_coverage_are_the_written_sums():
    scene = cube()
    w = weights_for(scene)
    series = extract(scene, w)
    for t in range(scene.sizes["time"]):
        pixels = scene.values[t].astype(float)
        valid = np.isfinite(pixels).all(axis=0)
        share = w.values[valid].sum()
        assert series["coverage"].values[t] == pytest.approx(share, abs=1e-12)
        expected = [np.sum(w.values[valid] * band[valid]) / share if share else np.nan for band in pixels]
        np.testing.assert_allclose(series["value"].values[t], expected, rtol=1e-12)
    assert np.isnan(series["value"].values[5]).all()
    assert series["coverage"].values[5] == 0


def test_the_share_outside_the_cube_counts_as_not_covered():
    scene = cube().fillna(0.3).where(lambda c: np.isfinite(c), 0.3)
    w = fixed_radius(scene, 100.0)
    series = extract(scene, w)
    assert w.attrs["inside"] < 0.5
    np.testing.assert_allclose(series["coverage"], w.attrs["inside"], rtol=1e-12)


def test_series_keeps_what_it_is_about():
    scene = cube()
    series = extract(scene, weights_for(scene))
    assert list(series["feature"].values) == ["B04", "B08", "B11"]
    np.testing.assert_array_equal(series["time"], scene["time"])
    assert (series.attrs["site"], series.attrs["sensor"], series.attrs["units"]) == ("XX-V01", "S2_L2A", "1")
    assert "Kljun" in series.attrs["method"]
    assert series["value"].attrs["units"] == "1"
    assert set(series.coords) == {"time", "feature"}


def test_dask_memory_and_small_blocks_agree(monkeypatch):
    scene = cube(times=9)
    w = weights_for(scene)
    whole = extract(scene, w)
    xr.testing.assert_allclose(whole, extract(scene.chunk({"time": 4, "y": 5, "x": 5}), w), rtol=1e-13)
    monkeypatch.setattr(module, "BLOCK_BYTES", scene[:2].nbytes)
    xr.testing.assert_allclose(whole, extract(scene, w), rtol=1e-13)


def test_a_chunked_cube_is_read_once_and_in_pieces():
    import dask.array as da

    loads = []

    def load(block_info=None):
        loads.append(block_info[None]["array-location"][0])
        return np.ones(block_info[None]["chunk-shape"], "float32")

    lazy = da.map_blocks(load, chunks=((2, 2, 2), (3,), (12,), (12,)), dtype="float32", meta=np.array((), "float32"))
    scene = cube(times=6).copy(data=lazy)
    loads.clear()
    extract(scene, weights_for(scene))
    assert loads == [(0, 2), (2, 4), (4, 6)]


def test_only_the_pixels_that_weigh_are_read():
    scene = cube(n=40)
    w = fixed_radius(scene, 50.0)
    masked = scene.where(w > 0)
    xr.testing.assert_identical(extract(scene, w), extract(masked.assign_attrs(scene.attrs), w))


def test_grids_that_differ_are_an_error_with_both_extents():
    scene = cube()
    w = weights_for(scene)
    with pytest.raises(GridError, match=r"XX-V01: .*found 12 x 12 pixels, x 500010.0 .*expected 12 x 12"):
        extract(scene, w.assign_coords(x=w["x"] + 10))
    with pytest.raises(GridError, match="different grids"):
        extract(scene, w[::-1])
    with pytest.raises(GridError, match="11 x 12"):
        extract(scene, w[1:])
    with pytest.raises(GridError, match="CRS"):
        extract(scene, w.rio.write_crs("EPSG:32632"))


def test_weights_that_are_no_weights_are_an_error():
    scene = cube()
    w = weights_for(scene)
    for bad in (w * 0, -w, w.where(w < w.max())):
        with pytest.raises(FootprintError, match="weights"):
            extract(scene, bad)
    with pytest.raises(VariableError, match="dimensions"):
        extract(scene.isel(band=0), w)
