"""What stands on the map, and everything about one footprint in a folder."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr

from ecoembed import open_cube, read_sites
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.cubes.grid import true_north
from ecoembed.errors import ConfigError, GridError
from ecoembed.footprints import maps
from ecoembed.footprints.contours import source_area
from ecoembed.footprints.extents import fixed_radius
from ecoembed.footprints.extract import extract
from ecoembed.footprints.maps import footprint_map
from ecoembed.footprints.report import write_footprint
from ecoembed.footprints.tower import tower_footprint


@pytest.fixture(scope="module")
def place(network):
    site = read_sites(network / "sites.csv").loc["XX-V01"]
    halfhours = open_halfhours(next((network / "flux").glob("*XX-V01*.zip")))
    return site, halfhours, open_cube(network / "satellite" / "XX-V01")


@pytest.fixture
def figure(monkeypatch):
    """The figure that was drawn last."""
    drawn, png = [], maps.figure_png
    monkeypatch.setattr(maps, "figure_png", lambda figure, **how: drawn.append(figure) or png(figure, **how))
    return lambda: drawn[-1]


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_map_says_what_it_shows(place, figure):
    site, halfhours, cube = place
    weights = tower_footprint(site, halfhours, cube)
    assert footprint_map(weights, cube, title="XX-V01").startswith(b"\x89PNG")
    said = texts(figure())
    assert {"50 %", "tower", "N"} <= set(said)
    assert any(text.endswith(" m") for text in said)
    assert any("Sentinel-2 true colour, 2019-" in text for text in said)
    caption = next(text for text in said if "lies beyond the grid" in text)
    assert f"{100 * (1 - weights.attrs['inside']):.1f} % of it" in caption
    assert f"{weights.attrs['n']} half-hours" in caption
    areas = source_area(weights)
    assert [f"{100 * share:.0f} %" in said for share in areas["share"]] == list(areas.geometry.notna())
    assert [line for line in caption.split("\n") if line.startswith("no ")] == [
        f"no {100 * row.share:.0f} % line: {row.reason}" for row in areas[areas.geometry.isna()].itertuples()
    ]


def test_outlines_and_tower_stand_where_they_are(place, figure):
    site, halfhours, cube = place
    weights = tower_footprint(site, halfhours, cube)
    footprint_map(weights, cube)
    lines = figure().axes[0].lines
    cross = next(line for line in lines if line.get_marker() == "+")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (0, 0)
    polygon = source_area(weights, [0.5]).geometry[0]
    expected = np.array(polygon.bounds) - np.tile([weights.attrs["tower_x"], weights.attrs["tower_y"]], 2)
    drawn = [np.stack(line.get_data()) for line in lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 3]
    every = np.concatenate(drawn, axis=1)
    np.testing.assert_allclose([*every.min(axis=1), *every.max(axis=1)], expected, atol=1e-6)


def test_the_arrow_points_to_true_north(figure):
    """In a corner of its zone, where grid north and true north differ by 2 degrees."""
    x, y = 700_000 + np.arange(-200.0, 201, 10), 5_900_000 - np.arange(-200.0, 201, 10)
    grid = xr.DataArray(np.zeros((41, 41)), {"y": y, "x": x}, ("y", "x")).rio.write_crs("EPSG:32631")
    footprint_map(fixed_radius(grid, 100))
    arrow = next(a for a in figure().axes[0].texts if getattr(a, "arrow_patch", None) is not None)
    east, up = np.array(arrow.xy) - arrow.xyann
    longitude, latitude = 5.97, 53.21
    expected = true_north("EPSG:32631", latitude, longitude)
    assert abs(expected) > 2
    assert np.degrees(np.arctan2(east, up)) == pytest.approx(expected, abs=0.05)


def test_a_disc_is_drawn_at_its_rim(figure):
    x, y = 500_005 + np.arange(-200.0, 201, 10), 5_900_005 - np.arange(-200.0, 201, 10)
    footprint_map(fixed_radius({"x": x, "y": y}, 123))
    rim = figure().axes[0].collections[-1].get_paths()[0].vertices
    np.testing.assert_allclose(np.hypot(*rim.T), 123, atol=3)
    assert any(text.startswith("fixed radius of 123 m\nthe line is its rim; 0.0 %") for text in texts(figure()))


def test_months_and_overpasses_are_drawn(place, figure):
    site, halfhours, cube = place
    footprint_map(tower_footprint(site, halfhours, cube, period="month"), cube)
    titles = [axis.get_title() for axis in figure().axes]
    assert len(titles) == 12
    assert titles[6].startswith("Jul: n = ")
    few = halfhours.sel(time=slice("2019-03-01", "2019-10-31"))
    footprint_map(tower_footprint(site, few, cube, period="month"))
    assert figure().axes[0].get_title().startswith("Jan: that of all half-hours")
    assert any("4 of 12 months have fewer than" in text for text in texts(figure()))
    assert any("darker pixels weigh more" in text for text in texts(figure()))
    footprint_map(tower_footprint(site, few, cube, period="overpass"), cube)
    caption = next(text for text in texts(figure()) if "by overpass" in text)
    assert f"; mean of {cube.sizes['time']} overpasses" in caption
    assert "overpasses have fewer than 2 valid half-hours" in caption
    assert max(map(len, caption.split("\n"))) < 100  # as many as fit beneath one panel
    assert "darker" not in caption


def test_a_map_on_another_grid_is_refused(place):
    site, halfhours, cube = place
    weights = tower_footprint(site, halfhours, cube)
    with pytest.raises(GridError, match="different grids"):
        footprint_map(weights, cube.assign_coords(x=cube["x"] + 10))


def test_everything_about_a_footprint_in_a_folder(place, tmp_path):
    site, halfhours, cube = place
    summary = write_footprint(halfhours, site, tmp_path, cube=cube, period="month")
    assert json.loads(json.dumps(summary)) == summary
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.png", "source_area.geojson", "weights.nc"]
    with xr.open_dataarray(tmp_path / "weights.nc", decode_coords="all") as stored:
        weights = stored.load()
    with xr.open_dataarray(tmp_path / "weights.nc") as plainly:
        assert set(plainly.coords) == set(weights.coords)
    with rasterio.open(f"netcdf:{tmp_path / 'weights.nc'}:weights") as raster:  # as GDAL and QGIS see it
        assert (raster.crs, raster.count) == (cube.rio.crs, 12)
        assert raster.transform == cube.rio.transform()
    monthly = tower_footprint(site, halfhours, cube, period="month")
    xr.testing.assert_allclose(extract(cube, weights), extract(cube, monthly), rtol=1e-12)
    assert weights["stand_in"].dtype == bool
    areas = gpd.read_file(tmp_path / "source_area.geojson")
    assert areas.crs == "EPSG:4326"
    july = areas[(areas["month"] == 7) & (areas["share"] == 0.5)].iloc[0]
    metres = areas.to_crs(cube.rio.crs).geometry[july.name].area
    assert metres == pytest.approx(july["area_m2"], rel=1e-3)
    assert summary["n"] == int(monthly["n"].sum())
    assert set(summary["representativeness"]["cube"]) == {"n", "mean_bias", "location_bias", "bias_in_spreads"}
    assert 0 < summary["jitter"]["features"]["B08"]["mean_change"] < summary["jitter"]["features"]["B08"]["max_change"]
    assert len(summary["source_areas"]) == 24
    assert [month["n"] for month in summary["months"]] == list(monthly["n"].values)
    assert (summary["latitude"], summary["first"]) == (site["latitude"], str(halfhours["time"].values[0])[:10])


def test_the_map_of_a_folder_stands_alone(place, tmp_path, figure):
    site, halfhours, _ = place
    write_footprint(halfhours, site, tmp_path)
    first, last = (str(halfhours["time"].values[i])[:10] for i in (0, -1))
    zm = site["measurement_height"] - 0.67 * site["canopy_height"]
    place = f"{site['latitude']:.5f}, {site['longitude']:.5f}; zm {zm:.2f} m; {first} to {last}"
    assert f"XX-V01\n{place}" in texts(figure())


def test_without_a_cube_the_grid_is_made_around_the_tower(place, tmp_path):
    site, halfhours, _ = place
    summary = write_footprint(halfhours, site, tmp_path)
    with xr.open_dataarray(tmp_path / "weights.nc", decode_coords="all") as weights:
        assert weights.shape == (201, 201)
        assert weights.rio.crs.is_projected
        assert abs(float(weights["x"].mean()) - weights.attrs["tower_x"]) <= 5
    assert summary["inside"] > 0.95
    assert "representativeness" not in summary
    south = write_footprint(halfhours, pd.Series({**site, "latitude": -33.1, "longitude": 151.2}), tmp_path / "south")
    assert south["inside"] > 0.95
    with pytest.raises(ConfigError, match="a file stands where the folder should be"):
        write_footprint(halfhours, site, tmp_path / "map.png")
    with pytest.raises(ConfigError, match="overpasses need a cube"):
        write_footprint(halfhours, site, tmp_path, period="overpass")
