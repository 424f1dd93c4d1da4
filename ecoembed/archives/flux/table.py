"""From the columns of a flux file to a `FluxTable`: read in order, with units, quality, uncertainty and account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed import units
from ecoembed.archives.flux import columns as names
from ecoembed.archives.flux import partition, quality
from ecoembed.archives.flux.closure import TERMS, energy_balance
from ecoembed.archives.flux.files import ONEFLUX, FluxFile, read_columns
from ecoembed.archives.flux.stamps import MINUTES
from ecoembed.archives.flux.sun import Position, check_clock
from ecoembed.archives.flux.targets import Target, find_test
from ecoembed.archives.flux.times import SUB_DAILY, gaps, put_in_order
from ecoembed.archives.flux.uncertainty import LONG_NAMES, uncertainties
from ecoembed.errors import UnitError, VariableError

#: Unit of a carbon flux in the networks' files, by resolution.
FLUX_UNITS = {
    **dict.fromkeys(("HH", "HR"), units.CARBON_FLUX),
    **dict.fromkeys(("DD", "WW", "MM"), units.DAILY_CARBON_FLUX),
    "YY": units.YEARLY_CARBON_FLUX,
}
_RAIN_UNITS = {"HH": "mm", "HR": "mm", "YY": "mm y-1"}
_ROWS = {"HH": "measured half-hours", "HR": "measured hours", "DD": "days"}
#: Roles that are carbon fluxes.
FLUXES = ("target", "low", "high", "other", "random_uncertainty", "joint_uncertainty")
#: Roles that are other estimates of the target, and what they are: how far they lie apart bounds any score.
VARIANTS = {
    "other": "the same flux by the other partitioning",
    "low": "the same flux, lower version by USTAR threshold",
    "high": "the same flux, upper version by USTAR threshold",
}


@dataclass
class Series:
    """Columns in one resolution: ``values`` by what they are to the target, or by our name; and what is known of them.

    ``time`` (n,); ``resolution`` of the values; ``flags``: ``values["quality"]`` holds flags, not shares.
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
    measured = wanted.get("NEE") or target.roles.get("unfilled") or target.column
    wanted["turbulence"] = None if oneflux or measured is None else find_test(measured, table.columns)
    if oneflux:
        wanted |= {f"{name}_QC": f"{wanted.get(name)}_QC" for name in ("H", "LE")}
        wanted.pop("PPFD_IN")
    return {name: column for name, column in wanted.items() if column is not None and column in table.columns}


def read_series(table: FluxFile, wanted: Mapping[str, str]) -> Series:
    """The columns in order, in the networks' units, with the account of what was repaired."""
    frame = read_columns(table, list(dict.fromkeys(wanted.values())))
    repairs = dict(frame.attrs.get("repairs", {}))
    minutes = SUB_DAILY.get(table.resolution)
    ordered, counts = put_in_order(frame, minutes, table.name)
    rows = {"in": len(frame), "repeated": counts.pop("repeated", 0), "out": len(ordered)}
    values = {name: ordered[column].to_numpy(dtype="float64") for name, column in wanted.items()}
    bounds = _bounds_at(table.resolution)
    for name, column in wanted.items():
        own, unit, where = unit_of(name, table.resolution), table.units.get(column), f"{table.name}, column {column}"
        if name != "MO_LENGTH":  # is without bounds by nature
            quality.refuse_missing_codes(values[name], None, where)
        if own and unit and not (name == "P" and units.standard(unit) == "mm"):
            values[name] = _converted(values[name], unit, own, where)
        low, high, _ = bounds.get("NEE" if name in FLUXES else name, (-np.inf, np.inf, ""))
        quality.refuse_missing_codes(values[name], (low, high), where)
    time = pd.DatetimeIndex(ordered.index.to_numpy(dtype="datetime64[ns]"))
    attrs: dict[str, Any] = {"rows_read": rows, "repairs": {**repairs, **counts}}
    if table.resolution in (*SUB_DAILY, "DD"):
        attrs["gaps"] = gaps(time, minutes or MINUTES["DD"])
    original = {name: table.originals.get(column, column) for name, column in wanted.items()}
    return Series(time, values, table.resolution, original, attrs=attrs)


def _converted(values: np.ndarray, unit: str, own: str, where: str) -> np.ndarray:
    try:
        return np.asarray(units.convert(values, unit, own))
    except UnitError as exc:
        raise UnitError(exc.what, where=where, found=exc.found, expected=exc.expected, remedy=exc.remedy) from None


def unit_of(name: str, resolution: str) -> str | None:
    """The networks' unit of a role or quantity at a resolution."""
    if name in (*FLUXES, "NEE", "SC", "unfilled"):
        return FLUX_UNITS[resolution]
    if name == "P":
        return _RAIN_UNITS.get(resolution, units.PRECIPITATION)
    return units.FRACTION if name == "quality" else names.DRIVERS.get(name) or units.HALF_HOURLY.get(name)


def add_closure(series: Series, min_qc: float) -> None:
    """Energy-balance closure of the rows whose turbulent fluxes were measured, as ``attrs["closure"]``."""
    if series.resolution not in _ROWS:
        return
    terms = {name: series.values[name] for name in TERMS if name in series.values}
    for name in ("H", "LE"):
        if f"{name}_QC" in series.values:
            share = series.values[f"{name}_QC"]
            measured = share == 0 if series.resolution in SUB_DAILY else share >= min_qc
            terms[name] = np.where(measured, terms[name], np.nan)
    series.attrs["closure"] = energy_balance(terms, _ROWS[series.resolution])


def check_sun(series: Series, site: str, position: Position | None) -> None:
    """Compare the stamps with the sun, as ``attrs["sun"]``."""
    if "SW_IN" in series.values and series.resolution in SUB_DAILY:
        light = pd.Series(series.values["SW_IN"], series.time)
        _, longitude, offset = position or (None, None, None)
        series.attrs["sun"] = check_clock(light, SUB_DAILY[series.resolution], site, longitude, offset)


def finish(
    series: Series, target: Target, table: FluxFile, site: str, min_qc: float, agreement: float | None
) -> xr.Dataset:
    """Filter, and hand over as a Dataset with units and account."""
    if "quality" not in series.values and min_qc > 0:
        raise VariableError(
            f"no column tells measured from filled {target.name}", where=table.name,
            expected=f"{target.name}_QC, or the flux before its gaps were filled",
            remedy="Pass min_qc=0 to take it all",
        )  # fmt: skip
    if agreement is not None and "other" not in series.values:
        raise VariableError("no other partitioning to agree with", where=table.name, found=target.name)
    kept, counts = _filtered(series, min_qc, agreement)
    read = series.attrs.pop("rows_read")
    repeated = {"repeated": read["repeated"]} if read["repeated"] else {}
    rows = {**counts, "in": read["in"], **repeated}
    variables = _flux_variables(series, target, kept) | _driver_variables(series)
    if target.flux == "NEE" and target.column and table.family != ONEFLUX:
        series.attrs["notes"] = [
            *series.attrs.get("notes", ()),
            f"{target.name} as in the file: no u* filter applied here",
        ]
    if "quality" in variables:
        share = pd.Series(series.values["quality"]).groupby(series.time.year).mean().round(4)
        series.attrs["coverage"] = {int(year): float(value) for year, value in share.items()}
    data = {name: ("time", array, attrs) for name, (array, attrs) in variables.items()}
    flux = xr.Dataset(data, coords={"time": series.time.to_numpy(dtype="datetime64[ns]")})
    return flux.assign_attrs(
        site=site, target=target.name, resolution=series.resolution, product=table.product, source=table.name,
        rows={name: rows[name] for name in dict.fromkeys(["in", *repeated, *counts])}, negative=int((kept < 0).sum()),
        **series.attrs,
    )  # fmt: skip


def _filtered(series: Series, min_qc: float, agreement: float | None) -> tuple[np.ndarray, dict[str, int]]:
    flux = series.values["target"]
    share = series.values.get("quality", np.zeros(flux.size))
    filters = [("incomplete day", series.incomplete)] if series.incomplete is not None else []
    filters += quality.quality_filters(flux, share, min_qc, series.flags)
    kept, counts = quality.keep_rows(flux, filters)
    if agreement is None:
        return kept, counts
    return quality.keep_rows(flux, filters + quality.agreement_filters(kept, series.values["other"], agreement))


def _flux_variables(series: Series, target: Target, kept: np.ndarray) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    """The target, its quality and its uncertainty: name -> (values, attributes)."""
    values, columns, unit = series.values, series.columns, FLUX_UNITS[series.resolution]
    found = {target.name: (kept, {"units": unit, **_origin(series, target)})}
    if "quality" in values:
        column = next(columns[role] for role in ("quality", "unfilled", "target", "NEE") if role in columns)
        words = {"units": units.FRACTION, "column": column, "long_name": _quality_words(series, target)}
        found["qc_flag" if series.flags else "quality"] = values["quality"], words
    if "poor" in values:
        whose = f"{columns['turbulence']} is 2 (Mauder and Foken: poor turbulence)"
        of = (
            f"share of {_parts(target)} (0 best) that were measured while " if series.resolution == "DD" else "1 where "
        )
        words = {"units": units.FRACTION, "column": columns["turbulence"], "long_name": of + whose}
        found["poor_turbulence"] = values["poor"], words
    if "measured" in values:
        words = {"units": units.FRACTION, "long_name": "share of half-hours that were measured (QC 0)"}
        found["measured"] = values["measured"], words
    for role, what in VARIANTS.items():
        name = target.roles.get(role)
        if role in values and name is not None and name not in (target.name, *found):
            about = {"units": unit, "column": columns[role], "long_name": what, "variant_of": target.name}
            found[name] = values[role], about
    spreads = uncertainties(target, values["target"], values, "halfhour_rows" in series.attrs)
    for name, (array, attrs) in spreads.items():
        found[name] = array, {"units": unit, "long_name": LONG_NAMES[name], **attrs}
    return found


def _driver_variables(series: Series) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    found = {}
    for name in (name for name in names.DRIVERS if name in series.values):
        words = {"units": str(unit_of(name, series.resolution)), "long_name": names.LONG_NAMES[name]}
        found[name] = series.values[name], {**words, "column": series.columns[name]}
    return found


def check_bounds(
    series: Series, target: Target, site: str, of: Sequence[str] = ("target", "NEE", *names.DRIVERS)
) -> None:
    """Warn of values that can hardly be in their unit."""
    bounds = _bounds_at(series.resolution)
    for name in of:
        quantity = target.flux if name == "target" else name
        if name in series.values and not (name == "P" and series.resolution == "YY"):
            shown = target.name if name == "target" else series.columns[name]
            quality.warn_outside_bounds(shown, series.values[name], bounds[quantity], site)


def _bounds_at(resolution: str) -> dict[str, tuple[float, float, str]]:
    bounds = units.HALF_HOURLY_BOUNDS if resolution in SUB_DAILY else units.DAILY_BOUNDS
    return bounds | units.YEARLY_BOUNDS if resolution == "YY" else bounds


def _quality_words(series: Series, target: Target) -> str:
    if series.flags:
        return "flag: 0 (best) measured, 1 filled with good quality, 2 medium, 3 poor"
    if target.ensemble:
        return "share (1 best) of the half-hours of all versions that were measured or filled with good quality"
    if target.roles.get("quality"):
        return "share (1 best) of half-hours that were measured or filled with good quality"
    kept = "" if target.column else " and kept by the u* filter"
    return f"share (1 best) of {_parts(target)} whose net exchange was measured{kept}"


def _parts(target: Target) -> str:
    return "day-time half-hours" if target.column is None and target.flux == "GPP" else "half-hours"


def _origin(series: Series, target: Target) -> dict[str, str]:
    if target.column is not None:
        return {"column": series.columns["target"]}
    source = series.columns["NEE"] + (f" + {series.columns['SC']}" if "SC" in series.columns else "")
    made = "" if target.flux == "NEE" else f"{target.flux} by night-time partitioning of "
    return {"formula": f"{made}{source}, u*-filtered here"}
