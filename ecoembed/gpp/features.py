"""Join site series and tower fluxes into one table: every feature set on the same (site, day) rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.errors import TableError
from ecoembed.gpp.baselines import METEO, RADIATION, nirv_x_radiation
from ecoembed.gpp.p_model import DRIVERS, p_model_gpp
from ecoembed.gpp.rows import describe_rows, pool_rows
from ecoembed.schema import check_feature_table, check_flux, check_series, check_sites

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["feature_table", "local_days"]

#: What the feature table keeps of each flux table's attributes.
_ACCOUNT = ("target", "product", "rows", "negative")


def feature_table(
    series: Mapping[str, Mapping[str, xr.Dataset]],
    flux: Mapping[str, xr.Dataset],
    sites: gpd.GeoDataFrame,
    target: str | Sequence[str] = "GPP_NT_VUT_REF",
    min_coverage: float = 0.5,
) -> pd.DataFrame:
    """One row for each site and day on which **every** feature set and the target are there.

    Parameters
    ----------
    series : mapping of site to mapping of set name to xarray.Dataset
        `SiteSeries` at UTC acquisition times, e.g. ``{"DE-Gri": {"bands": ..., "indices": ..., "embeddings": ...}}``.
        All sites have the same sets with the same features.
    flux : mapping of site to xarray.Dataset
        `FluxTable` of each site; a day whose target is NaN was not measured and is dropped.
    sites : geopandas.GeoDataFrame
        `Sites`; latitude, elevation, ``igbp`` and ``utc_offset`` are read.
    target : str or sequence of str, default "GPP_NT_VUT_REF"
        Names that a flux table's target may have, where the products differ; the column is named by those that occur.
    min_coverage : float, default 0.5
        The least share of the footprint that must be valid, in every series.

    Returns
    -------
    pandas.DataFrame
        A `FeatureTable`: index (site, local standard day), columns (set, feature). The level ``observed`` holds the
        target; ``nirv_x_radiation``, ``p_model`` and ``meteo`` are added to the sets given.
        ``attrs["rows"]`` counts the acquisitions in, those dropped by reason, and the rows out; ``attrs["site_rows"]``
        holds the same counts for each site, and ``attrs["sites_without_rows"]`` says of each site with no row why (it
        is also warned of). ``attrs["left_out"]`` says which set or driver could not be built, and why.
        ``attrs["places"]`` tells where the sites stand and what grows there, ``attrs["windows"]`` what embeddings
        see.

    Raises
    ------
    TableError
        If sites or sets do not match, a UTC offset is unknown, or no row remains.

    Notes
    -----
    The counts add up: ``in`` = ``out`` + all reasons. Of two acquisitions on one local day the one of higher coverage
    is kept, for all sets alike. A driver without any finite value at a site is absent there, hence left out for all:
    kept, it would drop every row of that site.
    """
    check_sites(sites)
    series = {site: {name: _dimensions(s) for name, s in sets.items()} for site, sets in series.items()}
    names = _common_sets(series, flux, sites)
    name = _target_name((target,) if isinstance(target, str) else tuple(target), {s: flux[s] for s in series})
    drivers, left_out = _available(names, {site: flux[site] for site in series}, sites.loc[sorted(series)])
    site_rows: dict[str, dict[str, int]] = {}
    parts = []
    for site in sorted(series):
        offset = _utc_offset(site, sites, check_flux(flux[site], where=site))
        rows: Counter[str] = Counter()
        acquisitions = _usable(series[site], offset, min_coverage, rows)
        parts.append(_with_flux(site, acquisitions, flux[site], name, drivers, rows))
        site_rows[site] = {**rows, "out": len(parts[-1])}
    table = pd.concat(parts).sort_index()
    pooled = pool_rows(site_rows.values())
    if table.empty:
        raise TableError("no row has the target and all feature sets", found=pooled)
    table = _with_baselines(table, sites, drivers, left_out)
    without = {site: describe_rows(rows, "acquisitions") for site, rows in site_rows.items() if not rows["out"]}
    for reason in (*left_out.values(), *(f"{site} contributes no row: {why}" for site, why in without.items())):
        warnings.warn(reason, stacklevel=2)
    table.attrs = {
        "rows": pooled, "site_rows": site_rows, "sites_without_rows": without, "left_out": left_out,
        "target": name, "units": _common_unit(flux, site_rows),
        "flux": {site: {k: flux[site].attrs.get(k) for k in _ACCOUNT} for site in site_rows},
        "places": _places(sites.loc[list(site_rows)]),
        "windows": {k: s.attrs["window"] for sets in series.values() for k, s in sets.items() if "window" in s.attrs},
    }  # fmt: skip
    return check_feature_table(table)


def _places(sites: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What is known of the sites, by site, under the names that a benchmark asks for."""
    columns = {"latitude": "latitude", "longitude": "longitude", "vegetation": "igbp", "climate": "climate"}
    return {key: sites[name].to_dict() for key, name in columns.items() if name in sites}


def _dimensions(series: xr.Dataset) -> xr.Dataset:
    """A series without the expected error of an embedding on any date, which is no dimension of it."""
    return series.drop_sel(feature="error") if "error_unit" in series.attrs else series


def _target_name(wanted: tuple[str, ...], flux: Mapping[str, xr.Dataset]) -> str:
    """The targets that the sites have, in the order wanted."""
    own = {site: str(table.attrs["target"]) for site, table in flux.items()}
    for site, name in own.items():
        if name not in wanted or name not in flux[site]:
            raise TableError("target absent from the flux table", where=site, found=name, expected=" or ".join(wanted))
    return " or ".join(name for name in wanted if name in own.values())


def _common_unit(flux: Mapping[str, xr.Dataset], sites: Collection[str]) -> str:
    units = {str(flux[site][flux[site].attrs["target"]].attrs["units"]) for site in sites}
    if len(units) > 1:
        raise TableError("the sites' targets have different units", found=", ".join(sorted(units)), expected="one")
    return units.pop()


def local_days(times: Any, utc_offset: float) -> pd.DatetimeIndex:
    """The tower's local standard day (at 00:00, datetime64[ns]) of UTC `times`; `utc_offset` in hours.

    Examples
    --------
    >>> str(local_days(["2020-06-01T23:30"], utc_offset=1.0)[0].date())
    '2020-06-02'
    """
    utc = pd.DatetimeIndex(times).as_unit("ns")
    return (utc + pd.Timedelta(hours=float(utc_offset))).floor("D")


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
    if RADIATION not in drivers or "NIRv" not in names.get("indices", []):
        lacking = f"{RADIATION} at every site" if RADIATION not in drivers else "NIRv among the indices"
        left_out["nirv_x_radiation"] = f"no nirv_x_radiation: it needs {lacking}"
    unknown = ", ".join(map(str, sites.index[sites["elevation"].isna()]))
    absent = [f"{driver} at every site" for driver in DRIVERS if driver not in drivers]
    absent += ["NDVI among the indices"] if "NDVI" not in names.get("indices", []) else []
    absent += [f"the elevation of {unknown}"] if unknown else []
    if absent:
        left_out["p_model"] = f"no p_model: it needs {' and '.join(absent)}"
    return drivers, left_out


def _utc_offset(site: str, sites: pd.DataFrame, flux: xr.Dataset) -> float:
    """Hours to add to UTC; the site table and the flux file must agree where both know it."""
    known = [v for v in (sites.loc[site, "utc_offset"], flux.attrs["utc_offset"]) if v is not None and np.isfinite(v)]
    if not known:
        raise TableError(
            "UTC offset unknown: the overpass has no local day",
            where=site,
            remedy="Add utc_offset (h) to the site table",
        )
    if abs(known[0] - known[-1]) > 1e-6:
        raise TableError(
            "site table and flux file give different UTC offsets", where=site,
            found=f"{known[0]} h and {known[-1]} h", remedy="Correct utc_offset in the site table",
        )  # fmt: skip
    return float(known[0])


def _usable(sets: Mapping[str, xr.Dataset], offset: float, min_coverage: float, rows: Counter[str]) -> pd.DataFrame:
    """Local day x (set, feature): the acquisitions that all sets have, well covered, one for each day."""
    values = {name: s["value"].transpose("time", "feature").to_pandas() for name, s in sets.items()}
    coverage = pd.DataFrame({name: s["coverage"].to_pandas() for name, s in sets.items()})
    present = pd.DataFrame({name: coverage.index.isin(frame.index) for name, frame in values.items()}).all(axis=1)
    rows["in"] += len(coverage)
    rows["acquisition absent from a feature set"] += int((~present).sum())
    least = coverage[present.to_numpy()].min(axis=1, skipna=False)
    kept = least[least >= min_coverage]
    rows[f"coverage below {min_coverage:g}"] += len(least) - len(kept)
    table = pd.concat({name: frame.reindex(kept.index) for name, frame in values.items()}, axis=1)
    complete = table.notna().all(axis=1)
    rows["feature missing"] += int((~complete).sum())
    table, kept = table[complete], kept[complete]
    table = table.iloc[np.argsort(-kept.to_numpy(), kind="stable")]
    table.index = local_days(table.index, offset)
    second = table.index.duplicated()
    rows["second acquisition on the local day"] += int(second.sum())
    return table[~second].sort_index()


def _with_flux(
    site: str, table: pd.DataFrame, flux: xr.Dataset, target: str, drivers: list[str], rows: Counter[str]
) -> pd.DataFrame:
    """Put the target and the drivers beside the features of each local day; index (site, date)."""
    own = flux.attrs["target"]
    daily = flux[[own, *drivers]].to_dataframe()[[own, *drivers]].rename(columns={own: target})
    daily.index = pd.DatetimeIndex(daily.index).as_unit("ns")
    inside = table.index.isin(daily.index)
    rows["day outside the flux record"] += int((~inside).sum())
    table = table[inside]
    daily = daily.reindex(table.index)
    measured = daily[target].notna()
    rows["target not measured"] += int((~measured).sum())
    keep = measured
    for driver in drivers:
        rows[f"{driver} missing"] += int((keep & daily[driver].isna()).sum())
        keep = keep & daily[driver].notna()
    daily.columns = pd.MultiIndex.from_tuples([("observed" if c == target else "meteo", c) for c in daily.columns])
    joined = pd.concat([daily, table], axis=1)[keep]
    joined.index = pd.MultiIndex.from_product([[site], joined.index], names=["site", "date"])
    joined.columns = joined.columns.set_names(["set", "feature"])
    return joined.astype(float)


def _with_baselines(
    table: pd.DataFrame, sites: pd.DataFrame, drivers: list[str], left_out: Mapping[str, str]
) -> pd.DataFrame:
    """Add ``nirv_x_radiation`` and ``p_model``; order: observed, the given sets, the baselines."""
    given = [s for s in dict.fromkeys(table.columns.get_level_values(0)) if s not in ("observed", "meteo")]
    groups = {name: table[name] for name in ("observed", *given)}
    if "nirv_x_radiation" not in left_out:
        product = nirv_x_radiation(table["indices", "NIRv"], table["meteo", RADIATION])
        groups["nirv_x_radiation"] = product.to_frame(f"NIRv x {RADIATION}")
    index = table.index.get_level_values("site")
    dates = pd.DatetimeIndex(table.index.get_level_values("date"))
    if "p_model" not in left_out:
        light, air, dryness = (table["meteo", name] for name in DRIVERS)
        gpp = p_model_gpp(table["indices", "NDVI"], light, air, dryness, sites.loc[index, "elevation"], dates.year)
        groups["p_model"] = pd.DataFrame({"GPP of the P-model": gpp}, index=table.index)
    if drivers:
        groups["meteo"] = table["meteo"]
    return pd.concat(groups, axis=1, names=["set", "feature"])
