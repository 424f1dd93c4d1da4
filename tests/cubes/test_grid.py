from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer

from ecoembed import open_cube
from ecoembed.archives.satellite import grids
from ecoembed.cubes import grid
from ecoembed.errors import GridError
from tests.archives import fakes


@pytest.fixture
def cube(tmp_path: Path) -> xr.DataArray:
    fakes.write_place(tmp_path)
    return open_cube(tmp_path)


def geographic(x: float, y: float) -> tuple[float, float]:
    longitude, latitude = Transformer.from_crs(fakes.EPSG, 4326, always_xy=True).transform(x, y)
    return latitude, longitude


def test_tower_position_is_not_rounded(cube: xr.DataArray) -> None:
    latitude, longitude = geographic(fakes.LEFT + 33.3, fakes.TOP - 41.7)
    x, y = grid.tower_position(cube, latitude, longitude)
    assert (x - fakes.LEFT, fakes.TOP - y) == pytest.approx((33.3, 41.7), abs=1e-6)
    for jitter in (1e-5, 1e-6, 1e-7):  # about 1 m, 0.1 m, 1 cm
        moved = grid.tower_position(cube, latitude + jitter, longitude)
        assert np.hypot(moved[0] - x, moved[1] - y) == pytest.approx(jitter * 111_200, rel=0.01)


def test_a_tower_outside_says_by_how_far(cube: xr.DataArray) -> None:
    with pytest.raises(GridError, match=r"XX-T01: the tower stands outside.*found 120 m beyond its east edge;"):
        grid.tower_position(cube, *geographic(fakes.LEFT + 80 + 120, fakes.TOP - 40))
    with pytest.raises(GridError, match="12 m beyond its west edge, 7 m beyond its north edge"):
        grid.tower_position(cube, *geographic(fakes.LEFT - 12, fakes.TOP + 7))
    with pytest.raises(GridError, match="outside the cube"):
        grid.tower_position(cube, float("nan"), 9.0)
    inside = geographic(fakes.LEFT + 79.9, fakes.TOP - 0.1)  # within the last pixel, beyond its centre
    grid.tower_position(cube, *inside)


def coarse(size: float, n: int = 3, left: float = 0.0) -> xr.DataArray:
    values = np.arange(n * n, dtype=float).reshape(n, n)
    centres = (np.arange(n) + 0.5) * size
    return xr.DataArray(values, coords={"y": -centres, "x": left + centres}, dims=("y", "x"))


@pytest.mark.parametrize(("size", "parts"), [(10, 1), (20, 2), (60, 6)])
def test_each_coarse_pixel_fills_its_fine_ones(size: float, parts: int) -> None:
    array = coarse(size)
    x, y = grid.fine_axes(array)
    fine = array.values[np.ix_(*grid.positions(array, x, y))]
    assert fine.shape == (3 * parts, 3 * parts)
    np.testing.assert_array_equal(fine, array.values.repeat(parts, 0).repeat(parts, 1))
    np.testing.assert_array_equal(fine[::parts, ::parts], array)


def test_a_larger_raster_is_cut(cube: xr.DataArray) -> None:
    array = coarse(20, n=5, left=-20.0)
    fine = array.values[np.ix_(*grid.positions(array, np.arange(5.0, 40, 10), -np.arange(5.0, 40, 10)))]
    np.testing.assert_array_equal(fine[0], [1, 1, 2, 2])
    np.testing.assert_array_equal(fine[:, 0], [1, 1, 6, 6])


def test_uneven_grids_are_refused() -> None:
    array = coarse(20)
    with pytest.raises(GridError, match="even, square"):
        grid.pixel_size(array.assign_coords(x=[10.0, 30.0, 60.0]))
    with pytest.raises(GridError, match="even, square"):
        grid.pixel_size(array.assign_coords(x=[10.0, 40.0, 70.0]))
    with pytest.raises(GridError, match=r"do not divide into 10 m ones.*15 m"):
        grid.fine_axes(coarse(15))


def test_true_north_is_the_meridian_convergence() -> None:
    """Against the convergence of a transverse Mercator projection: tan(g) = tan(dl) sin(lat)."""
    for latitude, longitude in ((50.0, 5.9), (50.0, 0.2), (-33.0, 4.5), (65.0, 5.0)):
        expected = -np.degrees(np.arctan(np.tan(np.radians(longitude - 3.0)) * np.sin(np.radians(latitude))))
        crs = 32631 if latitude > 0 else 32731
        assert grid.true_north(crs, latitude, longitude) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("latitude", "longitude", "epsg"),
    [
        (50.0, 5.9999, 32631),
        (50.0, 6.0001, 32632),
        (-50.0, 5.9999, 32731),
        (60.0, 4.0, 32632),  # Norway
        (75.0, 8.0, 32631),  # Svalbard
        (75.0, 10.0, 32633),
        (10.0, -180.0, 32601),
        (10.0, 180.0, 32601),
        (10.0, 179.9999, 32660),
        (0.0, 0.0, 32631),
    ],
)
@pytest.mark.parametrize("size", [2, 48, 50])
def test_a_site_has_its_own_grid(latitude: float, longitude: float, epsg: int, size: int) -> None:
    found, x, y = grid.site_grid(latitude, longitude, size)
    assert found == epsg
    assert len(x) == len(y) == size
    assert (np.diff(x) == 10).all()
    assert (np.diff(y) == -10).all()
    assert (x[0] - 5) % 20 == (y[0] + 5) % 20 == 0
    easting, northing = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    assert abs(x.mean() - easting) <= 10
    assert abs(y.mean() - northing) <= 10


def test_a_place_without_a_grid_is_refused() -> None:
    for latitude, longitude in ((84.1, 0.0), (-81.0, 0.0), (50.0, 181.0), (float("nan"), 5.0)):
        with pytest.raises(GridError, match="no UTM zone"):
            grid.site_grid(latitude, longitude, 48)
    with pytest.raises(GridError, match="even number"):
        grid.site_grid(50.0, 5.0, 47)


def test_pixels_too_coarse_for_a_tower_are_refused_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = {name: np.full((1, 400, 400), -10, "float32") for name in ("VV", "VH")}
    path = fakes.write_raster(tmp_path / "a.nc", layers, fakes.times(1), resolution=1000)
    with pytest.raises(GridError, match=r"too coarse for a tower .found 1000 m"):
        open_cube(path, "S1")
    path = fakes.write_raster(tmp_path / "b.nc", layers, fakes.times(1), resolution=100)
    monkeypatch.setattr(grids, "MAX_BYTES", 100 << 20)
    with pytest.raises(GridError, match=r"too large.*1 x 2 x 4000 x 4000"):
        open_cube(path, "S1")
