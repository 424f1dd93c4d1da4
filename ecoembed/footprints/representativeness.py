"""Does the footprint stand for the land around the tower?"""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from ecoembed.errors import VariableError
from ecoembed.footprints.extents import TARGET_RADII, fixed_radius
from ecoembed.footprints.extract import extract

#: A date counts where at least this share of the footprint, and of the target area, was seen.
LEAST_SEEN = 0.5
#: A disc of which less lies inside the cube is no target area.
_WITHIN = 0.999


def representativeness(cube: xr.DataArray, weights: xr.DataArray, radii: Sequence[float] = TARGET_RADII) -> xr.Dataset:
    """Sensor location bias: the footprint-weighted mean against that of the land around, date by date.

    Parameters
    ----------
    cube : xr.DataArray
        Sentinel-2 reflectance (time, band, y, x), of which NDVI is taken; or a cube of one band (any index).
    weights : xr.DataArray
        What :func:`~ecoembed.footprints.extract.extract` takes, on the same grid.
    radii : sequence of float
        Of the target areas around the tower, m; those that do not fit into the cube are left out. The whole cube is a
        target too.

    Returns
    -------
    xr.Dataset
        In the unit of the feature (NDVI: 1). Over ``time``: ``footprint``, its weighted mean. Over (``time``,
        ``target``): ``area``, the target's mean; ``spread``, its standard deviation over pixels; ``bias``, footprint
        less area. Over ``target``, all its dates together: ``n`` dates; ``mean_bias``; ``location_bias``, mean_bias as
        a share of the area's mean (1); ``bias_in_spreads``, mean_bias in mean spreads (1). A date is missing where less
        than half of the footprint or of the target was seen.

    Raises
    ------
    VariableError
        If the cube is neither of one band nor holds B04 and B08.
    GridError, FootprintError
        As :func:`~ecoembed.footprints.extract.extract`.

    Notes
    -----
    Both means are over the same valid pixels of a date. Near zero a share of the mean says little: read ``mean_bias``
    and ``bias_in_spreads`` where the land is bare.

    Source: the idea of a sensor location bias, Schmid and Lloyd (1999), doi 10.1016/S0168-1923(98)00119-1; of NDVI, in
    per cent, Kim et al. (2006), doi 10.1016/j.agrformet.2004.11.015; of a vegetation index in target areas of several
    radii, Chu et al. (2021), doi 10.1016/j.agrformet.2021.108350. The formulas are those stated here: figures in those
    papers may differ by the choice of dates, resolution and denominator.
    """
    index = _index(cube)
    name = str(index["band"].values[0])
    moments = xr.concat([index, (index**2).assign_coords(band=["square"])], "band")
    moments.attrs = {**cube.attrs, "units": "1" if name == "NDVI" else cube.attrs.get("units", "1")}
    own = extract(moments, weights)
    footprint = own["value"].isel(feature=0, drop=True).where(own["coverage"] >= LEAST_SEEN)
    targets = _targets(index, weights, radii)
    areas = xr.concat([_area(moments, field) for field in targets.values()], "target").assign_coords(
        target=list(targets)
    )
    bias = footprint - areas["area"]
    shown = bias.notnull()
    mean_area, mean_bias = areas["area"].where(shown).mean("time"), bias.mean("time")
    found = xr.Dataset(
        {
            "footprint": footprint,
            "area": areas["area"],
            "spread": areas["spread"],
            "bias": bias,
            "n": shown.sum("time"),
            "mean_bias": mean_bias,
            "location_bias": mean_bias / mean_area,
            "bias_in_spreads": mean_bias / areas["spread"].where(shown).mean("time"),
        }
    ).transpose("time", "target", ...)
    for variable in ("footprint", "area", "spread", "bias", "mean_bias"):
        found[variable].attrs["units"] = moments.attrs["units"]
    return found.assign_attrs(feature=name, site=cube.attrs.get("site", ""))


def _index(cube: xr.DataArray) -> xr.DataArray:
    """NDVI of reflectance, or the cube's only band, as (time, band, y, x)."""
    bands = [str(band) for band in cube["band"].values]
    if len(bands) == 1:
        return cube
    if not {"B04", "B08"} <= set(bands):
        raise VariableError(
            "no NDVI in this cube",
            where=cube.attrs.get("site") or cube.attrs.get("sensor", "cube"),
            found=", ".join(bands),
            expected="B04 and B08, or one band",
        )
    red, infrared = (cube.sel(band=[band]).assign_coords(band=["NDVI"]) for band in ("B04", "B08"))
    total = infrared + red
    return ((infrared - red) / total.where(total > 0)).assign_attrs(cube.attrs)


def _targets(cube: xr.DataArray, weights: xr.DataArray, radii: Sequence[float]) -> dict[str, xr.DataArray]:
    """Equal weights in the discs that fit into the cube, and in the whole of it."""
    discs = {
        f"{radius:g} m": fixed_radius(cube, radius, x=weights.attrs["tower_x"], y=weights.attrs["tower_y"])
        for radius in radii
    }
    fitting = {name: disc for name, disc in discs.items() if disc.attrs["inside"] >= _WITHIN}
    plane = weights.isel({weights.dims[0]: 0}, drop=True) if weights.ndim > 2 else weights
    return {**fitting, "cube": xr.full_like(plane, 1.0 / plane.size)}


def _area(moments: xr.DataArray, field: xr.DataArray) -> xr.Dataset:
    """Mean and standard deviation over the pixels of a target area, on the dates that show enough of it."""
    series = extract(moments, field)
    mean, square = (series["value"].isel(feature=k, drop=True) for k in (0, 1))
    seen = series["coverage"] >= LEAST_SEEN
    spread = (square - mean**2).clip(min=0.0) ** 0.5
    return xr.Dataset({"area": mean.where(seen), "spread": spread.where(seen)})
