"""Half-hours that become a flux, and half-hourly series that become days."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ecoembed import units
from ecoembed.archives.flux import columns as names
from ecoembed.archives.flux import partition, quality
from ecoembed.archives.flux.days import LEAST_PRESENT, Days, group_days
from ecoembed.archives.flux.sun import DARK, Position, tell_night
from ecoembed.archives.flux.table import FLUXES, Series
from ecoembed.archives.flux.targets import Target
from ecoembed.archives.flux.times import SUB_DAILY
from ecoembed.errors import VariableError


def make_flux(series: Series, target: Target, position: Position | None, where: str) -> None:
    """For a half-hourly table without ONEFlux's columns: the flux itself, partitioned where the file has none.

    Leaves ``quality`` as a flag: 0 measured, 2 filled by the site's team; and ``poor``, where turbulence was tested.
    """
    minutes = SUB_DAILY[series.resolution]
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
    notes = _poor_turbulence(series, _gappy(target, oneflux=False))
    if not night.known.all() and position is None and _gappy(target, oneflux=False):
        notes.append(
            f"night is not known in {(~night.known).mean():.1%} of the rows; latitude, longitude and utc_offset (on "
            "the command line a site table, --sites) would tell it by the sun"
        )
    series.attrs["notes"] = notes


def _poor_turbulence(series: Series, gappy: bool) -> list[str]:
    """Mark, and say, where the flux was measured although the turbulence test failed; nothing is dropped for it."""
    if "turbulence" not in series.values:
        return []
    name, test = series.columns["turbulence"], series.values["turbulence"]
    if not np.isin(test[~np.isnan(test)], (0, 1, 2)).all():
        return [f"{name} has other values than 0, 1 and 2: not understood, not used"]
    flux = next(series.values[role] for role in ("NEE", "unfilled", "target") if role in series.values)
    measured = ~np.isnan(flux)
    poor = measured & (test == 2)
    series.values["poor"] = poor.astype("float64")
    share = poor.sum() / max(measured.sum(), 1)
    what = "kept here" if gappy else "kept or filled by the site's team, not by us"
    return [f"{name} is 2 (poor turbulence) in {share:.0%} of the measured half-hours: {what}; see poor_turbulence"]


def _gappy(target: Target, oneflux: bool) -> bool:
    """Whether the flux has gaps, which nobody has filled."""
    return target.column is None or (not oneflux and "_F" not in target.name)


def to_days(series: Series, target: Target, oneflux: bool) -> Series:
    """Half-hours to days, in daily units; ``quality`` becomes a share.

    Filled fluxes and drivers are means of the half-hours; a flux with gaps is the mean of day-time and of night, each
    weighted by its length. GPP's quality is then the share of the **day-time** half-hours that were measured.
    """
    days = group_days(series.time, SUB_DAILY[series.resolution])
    old, new = series.values, {}
    gappy = _gappy(target, oneflux)
    for name in (name for name in FLUXES if name != "joint_uncertainty"):  # a day's follows from its own parts
        if name in old:
            new[name] = _mean_flux(days, name, old, gappy, oneflux)
            new[name] = units.convert(new[name], units.CARBON_FLUX, units.DAILY_CARBON_FLUX)
    for name in names.DRIVERS:
        if name in old:
            new[name] = days.mean(old[name], LEAST_PRESENT) * (days.steps if name == "P" else 1)
    if "quality" in old and series.flags:
        new["quality"] = _share(days, old, old["quality"] <= quality.GOOD_FLAG, target)
        if oneflux:
            new["measured"] = days.share(old["quality"] == 0)
    elif "quality" in old:
        new["quality"] = days.sum(old["quality"]) / days.steps
    if "poor" in old:
        new["poor"] = _share(days, old, old["poor"] == 1, target, empty=0.0)
    attrs = series.attrs | {
        "aggregated": f"from {series.resolution}: {_how(days.steps, gappy, oneflux)}",
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
        parted = days.count(~old["known"]) == 0
        return np.where(parted, days.mean_of_parts(old[name], old["night"]), days.mean(old[name], LEAST_PRESENT))
    return days.mean(old[name], 1.0 if oneflux else LEAST_PRESENT)


def _how(steps: int, gappy: bool, oneflux: bool) -> str:
    """How days come about, and which are incomplete."""
    least = f"{np.ceil(LEAST_PRESENT * steps):.0f} of the {steps}"
    if gappy:
        return (
            f"mean of day-time and of night, weighted by their length; incomplete without one of the {steps} rows, or "
            f"without any value by day or by night (night not known: with fewer than {least} values)"
        )
    if oneflux:
        return f"mean of all {steps} rows; a day that lacks even one of them is incomplete"
    return f"mean of at least {least} rows; incomplete with fewer"


def _share(
    days: Days, old: Mapping[str, np.ndarray], good: np.ndarray, target: Target, empty: float = 1.0
) -> np.ndarray:
    if target.column is not None or target.flux != "GPP":
        return days.share(good)
    light = days.count(~old["night"])
    with np.errstate(invalid="ignore"):
        return np.where(
            light > 0, days.count(good & ~old["night"]) / light, empty
        )  # a polar night has no GPP to measure
