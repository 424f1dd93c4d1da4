"""Everything about one tower's footprint, in a folder: weights, source areas, map; and its figures in a summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ecoembed.cubes.pictures import TRUE_COLOUR
from ecoembed.errors import ConfigError
from ecoembed.files import atomic
from ecoembed.footprints.contours import source_area
from ecoembed.footprints.jitter import jitter
from ecoembed.footprints.maps import footprint_map, overall
from ecoembed.footprints.representativeness import representativeness
from ecoembed.footprints.tower import tower_footprint

if TYPE_CHECKING:
    import geopandas as gpd

#: Pixels of 10 m along each side of the grid that is made where there is no cube: 2 km.
_PIXELS = 201


def write_footprint(
    halfhours: xr.Dataset,
    site: Mapping[str, Any],
    out: str | Path,
    *,
    cube: xr.DataArray | None = None,
    model: str = "kljun",
    period: str = "all",
    when: str = "day",
) -> dict[str, Any]:
    """Compute a tower's footprint and write ``weights.nc``, ``source_area.geojson`` and ``map.png`` into a folder.

    Parameters
    ----------
    halfhours : xr.Dataset
        From :func:`~ecoembed.archives.flux.reader.open_halfhours`.
    site : row of the site table
        As in :func:`~ecoembed.footprints.tower.tower_footprint`.
    out : path
        Folder; files of these names in it are replaced, each only once it is whole.
    cube : xr.DataArray, optional
        Sentinel-2 reflectance, whose grid is taken. Without it the grid is one of 10 m around the tower, 2 km wide, in
        its UTM zone, and there is no representativeness and no jitter.
    model, period, when
        As in :func:`~ecoembed.footprints.tower.tower_footprint`; overpasses need a cube.

    Returns
    -------
    dict
        ``site``, ``latitude``, ``longitude``, ``first`` and ``last`` day of the half-hours, ``method``, ``n``
        half-hours, ``excluded`` (reason -> half-hours), ``inside`` (share), ``notes`` (how the inputs came about),
        ``stand_in`` where the footprint of all half-hours stands in for some period, ``source_areas`` (share, area in
        m2 or reason, of each month), ``months`` (of footprints by month: month, n, inside, stand_in), ``files``; with a
        cube ``representativeness`` (target -> n, mean_bias, location_bias, bias_in_spreads, of NDVI) and ``jitter``
        (feature -> mean_change, max_change, relative_mean, relative_max over the directions, at 30 m). Plain numbers
        and text.

    Raises
    ------
    ConfigError
        If overpasses are asked for without a cube, or `out` is a file.
    VariableError, FootprintError, GridError
        As :func:`~ecoembed.footprints.tower.tower_footprint`.
    """
    if Path(out).is_file():
        raise ConfigError("a file stands where the folder should be", where=str(out), remedy="Choose another folder")
    if period == "overpass" and cube is None:
        raise ConfigError("overpasses need a cube, whose times they are", where="footprint", remedy="Give --cube")
    grid = cube if cube is not None else _grid_around(float(site["latitude"]), float(site["longitude"]))
    weights = tower_footprint(site, halfhours, grid, period=period, when=when, model=model)
    name = str(getattr(site, "name", "") or halfhours.attrs.get("site", ""))
    areas = _source_areas(weights)
    about = {
        "site": name,
        **{axis: float(site[axis]) for axis in ("latitude", "longitude")},
        **{end: str(halfhours["time"].values[i])[:10] for end, i in (("first", 0), ("last", -1))},
    }
    notes = json.loads(weights.attrs["notes"])
    picture = footprint_map(weights, cube if cube is not None and _coloured(cube) else None, title=_title(about, notes))
    files = {file: Path(out) / file for file in ("weights.nc", "source_area.geojson", "map.png")}
    with atomic(files["weights.nc"]) as path:
        _georeferenced(weights).to_netcdf(path)
    with atomic(files["source_area.geojson"]) as path:
        path.write_text(areas.to_crs("EPSG:4326").to_json(drop_id=True) + "\n", encoding="utf-8")
    with atomic(files["map.png"]) as path:
        path.write_bytes(picture)
    summary: dict[str, Any] = {
        **about,
        "method": weights.attrs["method"],
        "n": weights.attrs["n"],
        "excluded": json.loads(weights.attrs["excluded"]),
        "inside": weights.attrs["inside"],
        "notes": notes,
        "source_areas": json.loads(areas.drop(columns="geometry").to_json(orient="records")),
        "files": {file: str(path) for file, path in files.items()},
    }
    if weights.dims[0] == "month":
        summary["months"] = _months(weights)
    if "stand_in" in weights.attrs:
        summary["stand_in"] = weights.attrs["stand_in"]
    if cube is not None and _coloured(cube):
        summary["representativeness"] = _rows(
            representativeness(cube, weights), "target", ("n", "mean_bias", "location_bias", "bias_in_spreads")
        )
        moved = jitter(cube, weights)
        worst = moved.max("direction").assign(
            mean_change=moved["mean_change"].mean("direction"), relative_mean=moved["relative_mean"].mean("direction")
        )
        names = ("mean_change", "max_change", "relative_mean", "relative_max")
        summary["jitter"] = {"distance_m": moved.attrs["distance"], "features": _rows(worst, "feature", names)}
    return summary


def _georeferenced(weights: xr.DataArray) -> xr.DataArray:
    """As GDAL and QGIS (by CF's grid mapping) and a plain ``xr.open_dataarray`` (by ``coordinates``) read it whole."""
    stored = weights.rio.write_crs(weights.rio.crs).rio.write_coordinate_system()
    stored.encoding["coordinates"] = " ".join(str(name) for name in stored.coords if name not in stored.dims)
    return stored


def _source_areas(weights: xr.DataArray) -> gpd.GeoDataFrame:
    """Of the footprint, of each month's, or of the mean of all overpasses'."""
    import pandas as pd

    if weights.dims[0] != "month":
        return source_area(overall(weights))
    months = [source_area(panel).assign(month=int(panel["month"])) for panel in weights]
    return pd.concat(months, ignore_index=True)


def _title(about: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """What a map needs to stand alone: which tower, where, how high above displacement, and when."""
    height = notes["zm"].partition(" = ")[0]
    place = f"{about['latitude']:.5f}, {about['longitude']:.5f}; zm {height}"
    return f"{about['site']}\n{place}; {about['first']} to {about['last']}"


def _months(weights: xr.DataArray) -> list[dict[str, Any]]:
    return [{n: panel[n].item() for n in ("month", "n", "inside", "stand_in")} for panel in weights]


def _rows(table: xr.Dataset, along: str, names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """Label -> name -> number; a missing one is None."""
    return {
        str(row[along].values): {n: row[n].item() if np.isfinite(row[n]) else None for n in names}
        for row in (table.isel({along: k}) for k in range(table.sizes[along]))
    }


def _coloured(cube: xr.DataArray) -> bool:
    return {*TRUE_COLOUR, "B08"} <= {str(band) for band in cube["band"].values}


def _grid_around(latitude: float, longitude: float) -> xr.DataArray:
    """Pixels of 10 m around a tower, on its UTM zone's grid."""
    import rioxarray  # noqa: F401
    from pyproj import Transformer
    from pyproj.aoi import AreaOfInterest
    from pyproj.database import query_utm_crs_info

    place = AreaOfInterest(longitude, latitude, longitude, latitude)
    zone = query_utm_crs_info(datum_name="WGS 84", area_of_interest=place)[0].code
    x, y = Transformer.from_crs("EPSG:4326", f"EPSG:{zone}", always_xy=True).transform(longitude, latitude)
    axis = 10.0 * (np.arange(_PIXELS) - _PIXELS // 2)
    coords = {"y": 10 * np.floor(y / 10) + 5 - axis, "x": 10 * np.floor(x / 10) + 5 + axis}
    return xr.DataArray(np.zeros((_PIXELS, _PIXELS), "float32"), coords, ("y", "x")).rio.write_crs(f"EPSG:{zone}")
