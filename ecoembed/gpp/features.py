"""Join site series and tower fluxes into one table: every feature set on the same (site, day) rows.

The columns of a `FeatureTable`, each (set, feature):

===========================  ============================================================================
``observed``                 the target, by its name; gC m-2 d-1
``variants``                 other estimates of it, by the names of their columns; NaN where there is none
``noise``                    ``random``: its random uncertainty, one standard deviation; NaN where unknown
``bands``                    Sentinel-2 reflectance, 0 to 1: ``B02`` ... ``B12``
``indices``                  spectral indices, by their names in the spyndex catalogue
``s1``                       backscatter of the last pass, dB: ``VV``, ``VH``, and their difference ``VH-VV``
``embeddings`` and others    ``z1`` ... ``z7``, without unit; of an external model, its own bands
``nirv_x_radiation``         NIRv x SW_IN, W m-2
``kndvi_x_radiation``        kNDVI x SW_IN, W m-2
``p_model``                  GPP of the P-model, gC m-2 d-1
``meteo``                    TA (degC), SW_IN (W m-2), VPD (hPa), P (mm d-1), of the day
===========================  ============================================================================

Where gaps are filled, every set that comes from a satellite has one column more, ``age``: days since the last clear
acquisition.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.errors import TableError
from ecoembed.gpp.acquisitions import local_days, usable
from ecoembed.gpp.baselines import METEO, RADIATION, kndvi_x_radiation, nirv_x_radiation
from ecoembed.gpp.daily import common_target, common_unit, tower_days, utc_offset
from ecoembed.gpp.gaps import AGE, check_gaps, fill_days, seen_of_the_future
from ecoembed.gpp.p_model import DRIVERS, p_model_gpp
from ecoembed.gpp.rows import describe_rows, pool_rows
from ecoembed.schema import check_feature_table, check_flux, check_series, check_sites

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["feature_table", "local_days", "without_elevation"]

#: What the feature table keeps of each flux table's attributes.
_ACCOUNT = ("target", "product", "rows", "negative")
#: One index times radiation: set -> (the index, how they are multiplied).
_LIGHT = {"nirv_x_radiation": ("NIRv", nirv_x_radiation), "kndvi_x_radiation": ("kNDVI", kndvi_x_radiation)}


def feature_table(
    series: Mapping[str, Mapping[str, xr.Dataset]],
    flux: Mapping[str, xr.Dataset],
    sites: gpd.GeoDataFrame,
    target: str | Sequence[str] = "GPP_NT_VUT_REF",
    min_coverage: float = 0.5,
    gaps: str = "none",
    max_age: float = 30.0,
) -> pd.DataFrame:
    """One row for each site and day on which **every** feature set is there, and the target.

    Parameters
    ----------
    series : mapping of site to mapping of set name to xarray.Dataset
        `SiteSeries` at UTC acquisition times, e.g. ``{"DE-Gri": {"bands": ..., "indices": ..., "embeddings": ...}}``.
        All sites have the same sets with the same features. ``attrs["listed"]`` of a series names the features of its
        set, where it holds others, too: the indices that baselines need.
    flux : mapping of site to xarray.Dataset
        `FluxTable` of each site; a day whose target is NaN was not measured.
    sites : geopandas.GeoDataFrame
        `Sites`; latitude, elevation, ``igbp`` and ``utc_offset`` are read.
    target : str or sequence of str, default "GPP_NT_VUT_REF"
        Names that a flux table's target may have, where the products differ; the column is named by those that occur.
    min_coverage : float, default 0.5
        The least share of the footprint that must be valid, in every series.
    gaps : {"none", "last", "linear"}
        Days between clear acquisitions, for all sets alike: see :mod:`ecoembed.gpp.gaps`. With another than ``"none"``
        the days without a measured target stay, as history for windows of past days; their target is NaN.
    max_age : float, default 30
        How many days an acquisition holds.

    Returns
    -------
    pandas.DataFrame
        A `FeatureTable`: index (site, local standard day), columns (set, feature) as the module's table says.
        ``attrs["rows"]`` counts the acquisitions in (with gaps filled: the days of the flux records; ``counted`` says
        which), those dropped by reason, and the rows out; ``attrs["site_rows"]`` holds the same counts for each site,
        ``attrs["acquisitions"]`` those of the acquisitions, and ``attrs["sites_without_rows"]`` says of each site with
        no row why (it is also warned of). ``attrs["left_out"]`` says which set or driver could not be built, and why;
        ``attrs["future"]`` what knows later days than its own, by name, and ``attrs["retrospective"]`` whether anything
        does. ``attrs["places"]`` tells where the sites stand and what grows there, ``attrs["windows"]`` what embeddings
        see.

    Raises
    ------
    TableError
        If sites or sets do not match, a UTC offset is unknown, or no row remains.
    ConfigError
        If `gaps` or `max_age` is impossible.

    Notes
    -----
    The counts add up: ``in`` = ``out`` + all reasons. Of two acquisitions on one local day the one of higher coverage
    is kept, for all sets alike. A driver without any finite value at a site is absent there, hence left out for all:
    kept, it would drop every row of that site.
    """
    check_sites(sites)
    check_gaps(gaps, max_age)
    series = {site: {name: _dimensions(s) for name, s in sets.items()} for site, sets in series.items()}
    names = _common_sets(series, flux, sites)
    name = common_target((target,) if isinstance(target, str) else tuple(target), {s: flux[s] for s in series})
    drivers, left_out = _available(names, {site: flux[site] for site in series}, sites.loc[sorted(series)])
    parts, site_rows, acquisitions = [], {}, []
    for site in sorted(series):
        offset = utc_offset(site, sites, check_flux(flux[site], where=site))
        seen, rows = usable(series[site], offset, min_coverage)
        acquisitions.append({**rows, "out": len(seen)})
        days = tower_days(flux[site], name, drivers)
        seen, rows = _at_acquisitions(seen, days, rows) if gaps == "none" else _filled(seen, days, gaps, max_age)
        part = _joined(site, seen, days, rows, history=gaps != "none")
        parts.append(part)
        site_rows[site] = {**rows, "out": len(part)}
    counted = "acquisitions" if gaps == "none" else "days"
    table = pd.concat(parts).sort_index()
    pooled = pool_rows(site_rows.values())
    if table.empty:
        raise TableError("no row has the target and all feature sets", found=pooled)
    listed = {n: list(s.attrs["listed"]) for n, s in next(iter(series.values())).items() if "listed" in s.attrs}
    table = _with_baselines(table, list(names), listed, sites, drivers, left_out)
    without = {site: describe_rows(rows, counted) for site, rows in site_rows.items() if not rows["out"]}
    for reason in (*left_out.values(), *(f"{site} contributes no row: {why}" for site, why in without.items())):
        warnings.warn(reason, stacklevel=2)
    windows = {k: s.attrs["window"] for sets in series.values() for k, s in sets.items() if "window" in s.attrs}
    future = seen_of_the_future(gaps, windows)
    table.attrs = {
        "rows": pooled, "site_rows": site_rows, "counted": counted, "acquisitions": pool_rows(acquisitions),
        "sites_without_rows": without, "left_out": left_out,
        "target": name, "units": common_unit(flux, site_rows),
        "flux": {site: {k: flux[site].attrs.get(k) for k in _ACCOUNT} for site in site_rows},
        "places": _places(sites.loc[list(site_rows)]), "windows": windows,
        "gaps": gaps, **({"max_age": max_age} if gaps != "none" else {}), "future": future,
        "retrospective": bool(future),
    }  # fmt: skip
    return check_feature_table(table)


def _places(sites: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What is known of the sites, by site, under the names that a benchmark asks for."""
    columns = {"latitude": "latitude", "longitude": "longitude", "vegetation": "igbp", "climate": "climate"}
    return {key: sites[name].to_dict() for key, name in columns.items() if name in sites}


def _dimensions(series: xr.Dataset) -> xr.Dataset:
    """A series without the expected error of an embedding on any date, which is no dimension of it."""
    return series.drop_sel(feature="error") if "error_unit" in series.attrs else series


def _common_sets(
    series: Mapping[str, Mapping[str, xr.Dataset]], flux: Mapping[str, xr.Dataset], sites: pd.DataFrame
) -> dict[str, list[str]]:
    """Set name -> features, the same at every site."""
    if not series:
        raise TableError("no site has a series", remedy="Extract the series first: ecoembed.extract(cube, weights)")
    common: dict[str, list[str]] = {}
    for site, sets in series.items():
        for place, holder in (("the flux tables", flux), ("the site table", sites.index)):
            if site not in holder:
                raise TableError(f"the site has a series but is absent from {place}", where=site)
        here = {name: _features(s, f"{site}, {name}") for name, s in sets.items()}
        common = common or here
        if here != common:
            differing = sorted(k for k in common.keys() | here.keys() if common.get(k) != here.get(k))
            raise TableError(
                "feature sets differ from those of the first site", where=site,
                found={k: here.get(k) for k in differing}, expected={k: common.get(k) for k in differing},
                remedy="Build every site with the same stages",
            )  # fmt: skip
    return common


def _features(series: xr.Dataset, where: str) -> list[str]:
    return [str(f) for f in check_series(series, where=where)["feature"].values]


def _available(
    names: Mapping[str, list[str]], flux: Mapping[str, xr.Dataset], sites: pd.DataFrame
) -> tuple[list[str], dict[str, str]]:
    """The drivers of which every site has a value; and in words what had to be left out."""
    left_out = {}
    for driver in METEO:
        without = sorted(s for s, table in flux.items() if driver not in table or not np.isfinite(table[driver]).any())
        if without:
            left_out[driver] = f"meteo without {driver}: absent, or without a value, at {', '.join(without)}"
    drivers = [driver for driver in METEO if driver not in left_out]
    if not drivers:
        left_out["meteo"] = "no meteo: the sites have no driver in common"
    unknown = ", ".join(without_elevation(sites))
    needs = {name: ((RADIATION,), index, "") for name, (index, _) in _LIGHT.items()}
    for name, (needed, index, elevation) in {**needs, "p_model": (DRIVERS, "NDVI", unknown)}.items():
        absent = [f"{driver} at every site" for driver in needed if driver not in drivers]
        absent += [f"{index} among the indices"] if index not in names.get("indices", []) else []
        absent += [f"the elevation of {elevation}"] if elevation else []
        if absent:
            left_out[name] = f"no {name}: it needs {' and '.join(absent)}"
    return drivers, left_out


def without_elevation(sites: pd.DataFrame) -> list[str]:
    """The sites whose elevation is unknown, without which there is no P-model."""
    return [str(site) for site in sites.index[sites["elevation"].isna()]]


def _at_acquisitions(seen: pd.DataFrame, days: pd.DataFrame, rows: Counter[str]) -> tuple[pd.DataFrame, Counter[str]]:
    """The acquisitions on days of the flux record."""
    inside = seen.index.isin(days.index)
    rows["day outside the flux record"] += int((~inside).sum())
    return seen[inside], rows


def _filled(seen: pd.DataFrame, days: pd.DataFrame, gaps: str, max_age: float) -> tuple[pd.DataFrame, Counter[str]]:
    """Every day of the flux record that the acquisitions serve, each set with their age."""
    values, age, reasons = fill_days(seen, pd.DatetimeIndex(days.index), gaps, max_age)
    parts = {name: values[name].assign(**{AGE: age}) for name in values.columns.unique(0)}
    return pd.concat(parts, axis=1), Counter({"in": len(days), **reasons})


def _joined(site: str, seen: pd.DataFrame, days: pd.DataFrame, rows: Counter[str], history: bool) -> pd.DataFrame:
    """The tower's columns beside the features of each local day; index (site, date). Counts what is dropped."""
    days = days.reindex(seen.index)
    measured = days["observed"].notna().all(axis=1)
    keep = pd.Series(history and bool(measured.any()), index=days.index) | measured
    rows["target not measured"] += int((~keep).sum())
    for driver in days.get("meteo", pd.DataFrame()).columns:
        absent = days["meteo", driver].isna()
        rows[f"{driver} missing"] += int((keep & absent).sum())
        keep &= ~absent
    joined = pd.concat([days, seen], axis=1)[keep]
    joined.index = pd.MultiIndex.from_product([[site], joined.index], names=["site", "date"])
    joined.columns = joined.columns.set_names(["set", "feature"])
    return joined.astype(float)


def _with_baselines(
    table: pd.DataFrame,
    given: Sequence[str],
    listed: Mapping[str, list[str]],
    sites: pd.DataFrame,
    drivers: list[str],
    left_out: Mapping[str, str],
) -> pd.DataFrame:
    """Add the baselines; leave in each set what is listed; in order: observed, the given sets, the baselines."""
    groups = {name: table[name] for name in ("observed", "variants", "noise", *given) if name in table}
    for name, features in listed.items():
        groups[name] = table[name][[f for f in table[name].columns if f in features or f == AGE]]
    for name, (index, product) in _LIGHT.items():
        if name not in left_out:
            values = product(table["indices", index], table["meteo", RADIATION])
            groups[name] = values.to_frame(f"{index} x {RADIATION}")
    site = table.index.get_level_values("site")
    dates = pd.DatetimeIndex(table.index.get_level_values("date"))
    if "p_model" not in left_out:
        light, air, dryness = (table["meteo", name] for name in DRIVERS)
        gpp = p_model_gpp(table["indices", "NDVI"], light, air, dryness, sites.loc[site, "elevation"], dates.year)
        groups["p_model"] = pd.DataFrame({"GPP of the P-model": gpp}, index=table.index)
    if drivers:
        groups["meteo"] = table["meteo"]
    return pd.concat(groups, axis=1, names=["set", "feature"])
