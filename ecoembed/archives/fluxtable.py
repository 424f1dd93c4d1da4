"""From the columns of a flux file to a `FluxTable`: days out of half-hours, quality, uncertainty, units, account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed import units
from ecoembed.archives import columns as names
from ecoembed.archives import partition, quality
from ecoembed.archives.closure import TERMS, energy_balance
from ecoembed.archives.days import LEAST_PRESENT, Days, group_days
from ecoembed.archives.fluxfiles import ONEFLUX, FluxFile, read_columns
from ecoembed.archives.sun import DARK, Position, check_clock, tell_night
from ecoembed.archives.targets import Target
from ecoembed.archives.times import MINUTES, gaps, put_in_order
from ecoembed.archives.uncertainty import LONG_NAMES, uncertainties
from ecoembed.errors import VariableError

#: Unit of a carbon flux in the networks' files, by resolution.
FLUX_UNITS = {
    **dict.fromkeys(("HH", "HR"), units.CARBON_FLUX),
    **dict.fromkeys(("DD", "WW", "MM"), units.DAILY_CARBON_FLUX),
    "YY": units.YEARLY_CARBON_FLUX,
}
_RAIN_UNITS = {"HH": "mm", "HR": "mm", "YY": "mm y-1"}
_FLUXES = ("target", "low", "high", "other", "random_uncertainty", "joint_uncertainty")


@dataclass
class Series:
    """Columns in one resolution: ``values`` by what they are to the target, or by our name; and what is known of them.

    ``time`` (n,); ``resolution`` of the values; ``flags``: ``values["quality"]`` holds ONEFlux's flags, not shares.
    """

    time: pd.DatetimeIndex
    values: dict[str, np.ndarray]
    resolution: str
    columns: dict[str, str]
    flags: bool = False
    incomplete: np.ndarray | None = None
    attrs: dict[str, Any] = field(default_factory=dict)


def wanted_columns(table: FluxFile, target: Target) -> dict[str, str]:
    """The columns to read: role or our name -> the file's name."""
    oneflux = table.family == ONEFLUX
    wanted: dict[str, str | None] = {"target": target.column, **target.roles}
    if target.column is None:
        wanted = {**partition.inputs(table.columns, table.name)}
    more = (*names.DRIVERS, *TERMS, "PPFD_IN")
    wanted |= {name: names.find_column(name, table.columns, oneflux) for name in more}
    if oneflux:
        wanted |= {f"{name}_QC": f"{wanted.get(name)}_QC" for name in ("H", "LE")}
        wanted.pop("PPFD_IN")
    return {name: column for name, column in wanted.items() if column is not None and column in table.columns}


def read_series(table: FluxFile, wanted: Mapping[str, str]) -> Series:
    """The columns in order, in the networks' units, with the account of what was repaired."""
    frame = read_columns(table, list(dict.fromkeys(wanted.values())))
    repairs = dict(frame.attrs.get("repairs", {}))
    minutes = MINUTES.get(table.resolution)
    ordered, counts = put_in_order(frame, minutes, table.name)
    rows = {"in": len(frame), "repeated": counts.pop("repeated", 0), "out": len(ordered)}
    values = {name: ordered[column].to_numpy(dtype="float64") for name, column in wanted.items()}
    for name, column in wanted.items():
        if (unit := table.units.get(column)) and (own := unit_of(name, table.resolution)):
            values[name] = units.convert(values[name], unit, own)
    time = pd.DatetimeIndex(ordered.index.to_numpy(dtype="datetime64[ns]"))
    attrs: dict[str, Any] = {"rows_read": rows, "repairs": {**repairs, **counts}}
    if table.resolution in (*MINUTES, "DD"):
        attrs["gaps"] = gaps(time, minutes or 1440)
    return Series(time, values, table.resolution, dict(wanted), table.family == ONEFLUX and bool(minutes), attrs=attrs)


def unit_of(name: str, resolution: str) -> str | None:
    """The networks' unit of a role or quantity at a resolution."""
    if name in (*_FLUXES, "NEE", "SC", "unfilled"):
        return FLUX_UNITS[resolution]
    if name == "P":
        return _RAIN_UNITS.get(resolution, units.PRECIPITATION)
    return names.DRIVERS.get(name) or units.HALF_HOURLY.get(name)


def add_closure(series: Series, min_qc: float) -> None:
    """Energy-balance closure of the rows whose turbulent fluxes were measured, as ``attrs["closure"]``."""
    if series.resolution not in (*MINUTES, "DD"):
        return
    terms = {name: series.values[name] for name in TERMS if name in series.values}
    for name in ("H", "LE"):
        if f"{name}_QC" in series.values:
            share = series.values[f"{name}_QC"]
            terms[name] = np.where(share == 0 if series.flags else share >= min_qc, terms[name], np.nan)
    series.attrs["closure"] = energy_balance(terms, "days" if series.resolution == "DD" else "measured half-hours")


def make_flux(series: Series, target: Target, position: Position | None, where: str) -> None:
    """For a half-hourly table without ONEFlux's columns: the flux itself, partitioned where the file has none.

    Leaves ``quality`` as a flag: 0 measured, 2 filled by the site's team.
    """
    minutes = MINUTES[series.resolution]
    light = {name: series.values[name] for name in DARK if name in series.values}
    night = tell_night(light, series.time, minutes, position)
    series.values["night"], series.values["known"] = night.dark, night.known
    if target.column is None:
        if not night.known.any():
            raise VariableError(
                "night cannot be told from day", where=where, expected="SW_IN or PPFD_IN in the file",
                remedy="Pass latitude, longitude and utc_offset",
            )  # fmt: skip
        parts = {name: series.values[name] for name in ("NEE", "SC", "TA", "USTAR") if name in series.values}
        fluxes, series.attrs["partition"] = partition.partition(pd.DataFrame(parts, series.time), night, where)
        series.values["target"] = fluxes[target.flux]
        series.values["quality"] = np.where(np.isnan(fluxes["NEE"]), 2.0, 0.0)
    elif "quality" not in series.values:
        measured = series.values.get("unfilled", None if "_F" in target.name else series.values["target"])
        if measured is not None:
            series.values["quality"] = np.where(np.isnan(measured), 2.0, 0.0)
    series.flags = True


def to_days(series: Series, target: Target, oneflux: bool) -> Series:
    """Half-hours to days, in daily units; ``quality`` becomes a share.

    Filled fluxes and drivers are means of the half-hours; a flux with gaps is the mean of day-time and of night, each
    weighted by its length. GPP's quality is then the share of the **day-time** half-hours that were measured.
    """
    days = group_days(series.time, MINUTES[series.resolution])
    old, new = series.values, {}
    gappy = target.column is None or (not oneflux and "_F" not in target.name)
    for name in _FLUXES:
        if name in old:
            new[name] = _mean_flux(days, name, old, gappy, oneflux)
            new[name] = units.convert(new[name], units.CARBON_FLUX, units.DAILY_CARBON_FLUX)
    for name in names.DRIVERS:
        if name in old:
            new[name] = days.mean(old[name], LEAST_PRESENT) * (days.steps if name == "P" else 1)
    if "quality" in old:
        new["quality"] = _share(days, old, old["quality"] <= quality.GOOD_FLAG, target)
        if oneflux:
            new["measured"] = days.share(old["quality"] == 0)
    how = "means of day-time and night weighted by their length" if gappy else "means"
    least = "all" if oneflux else f"at least {LEAST_PRESENT:.0%}"
    attrs = series.attrs | {
        "aggregated": f"{how} of {series.resolution} rows" + ("" if gappy else f", of which {least} are there"),
        "halfhour_rows": series.attrs["rows_read"],
        "rows_read": {"in": days.time.size, "repeated": 0, "out": days.time.size},
    }
    some = days.count(~np.isnan(old["target"])) > 0
    incomplete = some & np.isnan(new["target"])
    return Series(pd.DatetimeIndex(days.time), new, "DD", series.columns, False, incomplete, attrs)


def _mean_flux(days: Days, name: str, old: Mapping[str, np.ndarray], gappy: bool, oneflux: bool) -> np.ndarray:
    if name == "random_uncertainty":
        return days.random_uncertainty(old[name])
    if gappy:
        return np.where(days.count(~old["known"]) == 0, days.mean_of_parts(old[name], old["night"]), np.nan)
    return days.mean(old[name], 1.0 if oneflux else LEAST_PRESENT)


def _share(days: Days, old: Mapping[str, np.ndarray], good: np.ndarray, target: Target) -> np.ndarray:
    if target.column is not None or target.flux != "GPP":
        return days.share(good)
    light = days.count(~old["night"])
    with np.errstate(invalid="ignore"):
        return np.where(light > 0, days.count(good & ~old["night"]) / light, 1.0)  # a polar night has no GPP to measure


def finish(
    series: Series, target: Target, table: FluxFile, site: str, min_qc: float, agreement: float | None
) -> xr.Dataset:
    """Filter, and hand over as a Dataset with units and account."""
    values, resolution = series.values, series.resolution
    _warn(series, target, site)
    share = values.get("quality")
    if share is None and min_qc > 0:
        raise VariableError(
            f"no column tells measured from filled {target.name}", where=table.name,
            expected=f"{target.name}_QC, or the flux before its gaps were filled",
            remedy="Pass min_qc=0 to take it all",
        )  # fmt: skip
    flux = values["target"]
    filters = [("incomplete day", series.incomplete)] if series.incomplete is not None else []
    checks = quality.quality_filters(flux, np.zeros(flux.size) if share is None else share, min_qc, series.flags)
    kept, counts = quality.keep_rows(flux, [*filters, *checks])
    if agreement is not None:
        if "other" not in values:
            raise VariableError("no other partitioning to agree with", where=table.name, found=target.name)
        last = quality.agreement_filters(kept, values["other"], agreement)
        kept, counts = quality.keep_rows(flux, [*filters, *checks, *last])
    found = uncertainties(target, flux, values, "halfhour_rows" in series.attrs)
    unit = FLUX_UNITS[resolution]
    made = {"formula": f"{target.flux} by night-time partitioning of {series.columns.get('NEE')}"}
    variables = {target.name: (kept, {"units": unit, **({"column": target.column} if target.column else made)})}
    if share is not None:
        meaning = _quality_words(series, target)
        origin = target.roles.get("quality") or target.roles.get("unfilled") or target.column or series.columns["NEE"]
        variables["quality"] = share, {"units": units.FRACTION, "column": origin, "long_name": meaning}
    if "measured" in values:
        words = {"units": units.FRACTION, "long_name": "share of half-hours that were measured (QC 0)"}
        variables["measured"] = values["measured"], words
    for name, (array, attrs) in found.items():
        variables[name] = array, {"units": unit, "long_name": LONG_NAMES[name], **attrs}
    for name in names.DRIVERS:
        if name in values:
            words = {"units": str(unit_of(name, resolution)), "long_name": names.LONG_NAMES[name]}
            variables[name] = values[name], {**words, "column": series.columns[name]}
    read = series.attrs.pop("rows_read")
    rows = {"in": read["in"], **({"repeated": read["repeated"]} if read["repeated"] else {})}
    rows |= {reason: count for reason, count in counts.items() if reason != "in"}
    data = {name: ("time", array, attrs) for name, (array, attrs) in variables.items()}
    flux_table = xr.Dataset(data, coords={"time": series.time.to_numpy(dtype="datetime64[ns]")})
    return flux_table.assign_attrs(
        site=site, target=target.name, resolution=resolution, product=table.product, source=table.name,
        rows=rows, negative=int((kept < 0).sum()), **series.attrs,
    )  # fmt: skip


def _warn(series: Series, target: Target, site: str) -> None:
    sub = series.resolution in MINUTES
    bounds = units.HALF_HOURLY_BOUNDS if sub else units.DAILY_BOUNDS
    bounds = bounds | units.YEARLY_BOUNDS if series.resolution == "YY" else bounds
    for name in ("target", *names.DRIVERS):
        quantity = target.flux if name == "target" else name
        if name in series.values and not (name == "P" and series.resolution == "YY"):
            shown = target.name if name == "target" else series.columns[name]
            quality.warn_outside_bounds(shown, series.values[name], bounds[quantity], site)


def _quality_words(series: Series, target: Target) -> str:
    if series.flags:
        return "0 measured, 1 filled with good quality, 2 medium, 3 poor"
    if target.roles.get("quality"):
        return "share of half-hours that were measured or filled with good quality"
    part = "day-time half-hours" if target.column is None and target.flux == "GPP" else "half-hours"
    return f"share of {part} whose net exchange was measured" + ("" if target.column else " and kept by the u* filter")


def check_sun(series: Series, site: str, position: Position | None) -> None:
    """Compare the stamps with the sun, as ``attrs["sun"]``."""
    if "SW_IN" in series.values and series.resolution in MINUTES:
        light = pd.Series(series.values["SW_IN"], series.time)
        _, longitude, offset = position or (None, None, None)
        series.attrs["sun"] = check_clock(light, MINUTES[series.resolution], site, longitude, offset)
