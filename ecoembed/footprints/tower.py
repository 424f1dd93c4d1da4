"""A tower's footprint on a cube's grid, from its half-hours and its row of the site table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.cubes.grid import tower_position, true_north
from ecoembed.errors import GridError, VariableError, check_name
from ecoembed.footprints.climatology import footprint_climatology
from ecoembed.footprints.extents import fixed_radius
from ecoembed.footprints.periods import OVERPASS_HOURS, PERIODS, months, overpasses, weights_by
from ecoembed.footprints.pixels import crs_of
from ecoembed.footprints.turbulence import daytime, step_minutes, turbulence


def tower_footprint(
    site: Mapping[str, Any],
    halfhours: xr.Dataset,
    grid: xr.DataArray,
    *,
    period: str = "all",
    when: str = "day",
    model: str = "kljun",
    hours: float = OVERPASS_HOURS,
    radius: float | None = None,
) -> xr.DataArray:
    """Weights of a tower's footprint on the grid of a cube.

    Parameters
    ----------
    site : mapping, such as a row of the site table
        ``latitude`` and ``longitude`` in degree; heights as in :func:`~ecoembed.footprints.turbulence.turbulence`;
        ``utc_offset`` in h.
    halfhours : xr.Dataset
        From :func:`~ecoembed.archives.flux.reader.open_halfhours`.
    grid : xr.DataArray
        A Cube, for its pixels and CRS; with ``period="overpass"`` its times are the acquisitions, UTC.
    period : "all", "month" or "overpass"
        One footprint of all half-hours; of each calendar month, over all years; or of each acquisition, from the
        half-hours within `hours` of it on its local day. Where a month has fewer than 48 valid half-hours, or an
        overpass fewer than 2, the footprint of all stands in, which is said and counted (``stand_in``).
    when : "day" or "all"
        Half-hours of daytime only (:func:`~ecoembed.footprints.turbulence.daytime`), or of day and night.
    model : {"kljun", "kormann"}
        As in :func:`~ecoembed.footprints.climatology.footprint_climatology`.
    hours : float
        Half the window around an overpass, h.
    radius : float, optional
        Where a height or a variable is not known, give the disc of this radius (m), with the reason in
        ``attrs["fallback"]``, instead of an error. What is known and contradictory is an error all the same.

    Returns
    -------
    xr.DataArray
        Weights (y, x), (month, y, x) or (time, y, x), as :func:`~ecoembed.footprints.climatology.footprint_climatology`
        and :func:`~ecoembed.footprints.periods.weights_by` describe them; :func:`~ecoembed.footprints.extract.extract`
        takes them all.

    Raises
    ------
    VariableError
        If a height, a variable or the UTC offset is not known, or no half-hour is daytime.
    FootprintError
        If the heights contradict each other, or no half-hour is within the range of the footprint model.
    GridError
        If the tower stands outside the grid, or the grid has no CRS.
    ConfigError
        If `period`, `when` or `model` is unknown.
    """
    check_name(period, PERIODS, "footprint period")
    if crs_of(grid) is None:
        raise GridError("the grid has no CRS", where="footprint grid", remedy="Give it one: grid.rio.write_crs(...)")
    x, y = tower_position(grid, float(site["latitude"]), float(site["longitude"]))
    try:
        inputs, chosen = _inputs(site, halfhours, grid, when)
        offset = np.nan if period == "all" else _utc_offset(site)
    except VariableError as reason:
        if radius is None:
            raise
        return fixed_radius(grid, radius, x=x, y=y).assign_attrs(fallback=reason.what)
    how: dict[str, Any] = {"grid": grid, "x": x, "y": y, "model": model}
    whole = footprint_climatology(**inputs, **how)
    if period == "all":
        return whole
    if period == "month":
        return weights_by("month", months(chosen["time"].values), inputs, whole.assign_attrs(utc_offset=offset), **how)
    inputs["notes"]["period"] = f"half-hours within {hours:g} h of an overpass, on its local day"
    middle = chosen.indexes["time"] + pd.Timedelta(minutes=step_minutes(halfhours) / 2)
    passes = overpasses(middle.to_numpy(), grid["time"].values, offset, hours)
    return weights_by("time", passes, inputs, whole, **how)


def _inputs(
    site: Mapping[str, Any], halfhours: xr.Dataset, grid: xr.DataArray, when: str
) -> tuple[dict[str, Any], xr.Dataset]:
    """What the climatology needs, with winds on the grid, and the half-hours it belongs to."""
    note = None
    if when == "day":
        bright, note = daytime(halfhours, site)
        halfhours, when = halfhours.isel(time=np.flatnonzero(bright)), "all"
    north = true_north(grid.rio.crs, float(site["latitude"]), float(site["longitude"]))
    inputs = turbulence(halfhours, site, north=north, when=when)
    if note:
        inputs["notes"]["half-hours"] = note
    if inputs["ustar"].size and np.isnan(inputs["ustar"]).all():
        raise VariableError(f"USTAR is missing in every half-hour of {halfhours.attrs.get('source', 'the file')}")
    return inputs, halfhours


def _utc_offset(site: Mapping[str, Any]) -> float:
    offset = site.get("utc_offset")
    if offset is None or not np.isfinite(float(offset)):
        remedy = "Give the hours that its local standard time is ahead of UTC"
        raise VariableError("no utc_offset in the site table", where=getattr(site, "name", "site"), remedy=remedy)
    return float(offset)
