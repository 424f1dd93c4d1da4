"""The front doors to flux files: :func:`open_flux` for the target and its drivers, :func:`open_halfhours`.

Every product that :mod:`ecoembed.archives.flux.files` knows goes through the same steps: find the table and the column,
put the rows in order, make days, judge the quality, state the uncertainty, and account for every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed import schema, units
from ecoembed.archives.flux import aggregate
from ecoembed.archives.flux import columns as names
from ecoembed.archives.flux import table as fluxtable
from ecoembed.archives.flux.files import BASE, ONEFLUX, OTHER, OWN, RAW, RESOLUTIONS, FluxFile, find_tables, part_names
from ecoembed.archives.flux.quality import check_quality, check_share
from ecoembed.archives.flux.sun import Position
from ecoembed.archives.flux.targets import find_target
from ecoembed.archives.flux.times import SUB_DAILY
from ecoembed.errors import ProductError, ResolutionError, VariableError, check_name

Paths = str | Path | Sequence[str | Path]

_FAMILIES = (ONEFLUX, OWN, BASE, RAW)


def open_flux(
    path: Paths,
    target: str | Sequence[str] = "GPP_NT_VUT_REF",
    min_qc: float = 0.75,
    *,
    resolution: str = "DD",
    site: str | None = None,
    utc_offset: float | None = None,
    agreement: float | None = None,
    description: str | Path | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> xr.Dataset:
    """Open the carbon flux of one site, with its drivers, quality and uncertainty.

    Rows whose target fails the quality control keep their drivers; their target is NaN, and they are counted by reason.
    Negative GPP is kept, since cutting it would bias the mean, and counted. Rows out of order are sorted; a row that is
    repeated identically is counted and dropped, one repeated with other values is an error.

    Parameters
    ----------
    path : path, or several of one site
        Files as downloaded: FLUXNET2015/ONEFlux of any resolution, AmeriFlux BASE, raw half-hours; plain, zipped, a
        workbook, or an own table with its `description`. What it is is judged by its content.
    target : str, or several in order of preference
        A carbon flux by its name in the file: for ONEFlux any of ``targets.TARGETS``; for BASE ``GPP_PI_F``,
        ``RECO_PI_F``, ``FC_PI_F``, ``NEE_PI_F``... (a position is found by the rule of ``columns``). ``GPP_NT``,
        ``RECO_NT`` and ``NEE`` are made here from half-hourly net exchange where the file has no such column.
    min_qc : float
        Least share (0 to 1) of the day's half-hours that were measured or gap-filled with good quality. Half-hours are
        kept if measured or filled with good quality (of ``..._MEAN``: in this share of its versions). 0 keeps all.
    resolution : {"DD", "HH", "WW", "MM", "YY"}
        Days come from a daily table if there is one, else from half-hours or hours. ``HH`` also reads hours.
    site : str, optional
        Site ID, for a file whose name does not hold it, or to choose one of several.
    utc_offset : float, optional
        Local standard time minus UTC, in h. FLUXNET tables do not hold it; the site table does.
    agreement : float, optional
        Keep the rows whose NT - DT lies within this central share of the site's differences; FLUXCOM's filter is 0.95.
    description : path, optional
        The TOML that describes an own table.
    latitude, longitude : float, optional
        Degrees. They tell night from day where radiation is missing, and check the clock against the sun.

    Returns
    -------
    xr.Dataset
        Over ``time``, the start of the period in local standard time: the target (gC m-2 d-1; half-hourly umol m-2 s-1,
        yearly gC m-2 y-1) under its own name, ``quality`` (share, 1 best) or for half-hours ``qc_flag`` (ONEFlux's, 0
        best), and where the file allows ``poor_turbulence``, ``measured`` (shares), ``random_uncertainty``,
        ``joint_uncertainty``, ``ustar_spread``, ``ntdt_spread`` (unit of the target), other estimates of the target by
        the file's names (the other partitioning, USTAR percentiles; ``attrs["variant_of"]``), TA (degC), SW_IN
        (W m-2), VPD (hPa), P (mm d-1). Each has units and says from which column
        or by which formula. ``attrs``: site, utc_offset (NaN if not known), target, resolution, product, source, rows
        (in, lost by reason, out), negative (rows kept below zero), repairs, gaps, and where they apply aggregated,
        halfhour_rows, coverage (mean quality by year), closure, sun, partition, notes.

    Notes
    -----
    Half-hours with ``FC_SSITC_TEST`` 2 (Mauder and Foken: poor turbulence) are kept, and counted. They lie at dawn,
    dusk and night: left out without gap filling, they bend the days that remain. At US-Tw3 (49 % are 2; by day the team
    itself keeps three quarters of those) GPP_NT minus the team's GPP would rise from +0.5 to +2.1 gC m-2 d-1, and a
    tenth of the days remain. For half-hours, leave them out by ``flux.where(flux.poor_turbulence == 0)``: r with the
    team's GPP rises from 0.989 to 0.993.

    Raises
    ------
    FileError
        Absent, truncated or corrupt file; contradictory rows; stamps off their grid or in civil time.
    ProductError
        Another product, resolution or site.
    VariableError
        Target or its QC column absent; close names are listed.

    Source
    ------
    Pastorello et al. 2020, doi 10.1038/s41597-020-0534-3.
    """
    check_share("min_qc", min_qc)
    check_share("agreement", agreement)
    check_name(resolution, [name for name in RESOLUTIONS if name != "HR"], "resolution")
    table = _choose(find_tables(path, description), resolution, site, path)
    site = _site(table, site)
    offset = _offset(table, utc_offset)
    position = _position(latitude, longitude, offset)
    oneflux = table.family == ONEFLUX
    chosen = find_target(target, table.columns, oneflux, table.name)
    sub_daily = table.resolution in SUB_DAILY
    if chosen.column is None and not sub_daily:
        raise VariableError(f"{chosen.name} is made from half-hours", where=table.name, found=table.describe())
    series = fluxtable.read_series(table, fluxtable.wanted_columns(table, chosen))
    fluxtable.check_bounds(series, chosen, site)
    fluxtable.add_closure(series, min_qc)
    fluxtable.check_sun(series, site, position)
    series.flags = sub_daily and not chosen.ensemble
    if sub_daily and not oneflux:
        aggregate.make_flux(series, chosen, position, site)
    if "quality" in series.values:
        check_quality(series.values["quality"], series.flags, f"{table.name}, {chosen.roles.get('quality')}")
    if sub_daily and resolution == "DD":
        series = aggregate.to_days(series, chosen, oneflux)
    if chosen.column is None or series.resolution != table.resolution:  # made here; what was read has been looked at
        fluxtable.check_bounds(series, chosen, site, ["target"])
    flux = fluxtable.finish(series, chosen, table, site, min_qc, agreement)
    flux.attrs["utc_offset"] = offset
    return schema.check_flux(flux, resolution=flux.attrs["resolution"])


def open_halfhours(path: Paths, *, site: str | None = None, description: str | Path | None = None) -> xr.Dataset:
    """Open the half-hours (or hours) of one site that footprint models need.

    Parameters
    ----------
    path, site, description
        As in :func:`open_flux`: the FULLSET HH (or HR) table, AmeriFlux BASE, raw half-hours, or an own table.

    Returns
    -------
    xr.Dataset
        Over ``time``, the start of the half-hour in local standard time: USTAR (m s-1) and, where the file has them,
        the other variables of ``units.HALF_HOURLY``, in its units; ``attrs["column"]`` of each names the file's column,
        chosen by the rule of :mod:`ecoembed.archives.flux.columns`. Missing values are NaN.

    Raises
    ------
    FileError, ProductError
        As in :func:`open_flux`.
    VariableError
        No USTAR (SUBSET tables do not hold it at this resolution).
    """
    table = _choose(find_tables(path, description), "HH", site, path)
    site = _site(table, site)
    found = {name: names.find_column(name, table.columns, table.family == ONEFLUX) for name in units.HALF_HOURLY}
    wanted = {name: column for name, column in found.items() if column is not None}
    if "USTAR" not in wanted:
        raise VariableError(
            "USTAR absent; footprints need it", where=table.name, remedy="Give the FULLSET HH file of the site"
        )
    series = fluxtable.read_series(table, wanted)
    data = {
        name: ("time", series.values[name], {"units": units.HALF_HOURLY[name], "column": series.columns[name]})
        for name in wanted
    }
    rows = series.attrs["rows_read"]
    missing = int(np.isnan(series.values["USTAR"]).sum())
    rows |= {"missing USTAR": missing, "out": rows.pop("out") - missing}
    halfhours = xr.Dataset(data, coords={"time": series.time.to_numpy(dtype="datetime64[ns]")})
    return halfhours.assign_attrs(
        site=site, product=table.product, resolution=table.resolution, utc_offset=_offset(table, None), rows=rows,
        repairs=series.attrs["repairs"], gaps=series.attrs["gaps"], source=table.name,
    )  # fmt: skip


def _choose(tables: Sequence[FluxFile], resolution: str, site: str | None, path: Paths) -> FluxFile:
    """The table that serves `resolution` best: of it, else, for days, of half-hours; ONEFlux before other families."""
    paths = [path] if isinstance(path, str | Path) else list(path)
    where = ", ".join(Path(one).name for one in paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")
    tables = [table for table in tables if table.family in _FAMILIES] or list(tables)
    sites = sorted({str(table.site) for table in tables if table.site})
    if site is not None and sites and site not in sites:
        raise ProductError(
            "the file is of another site", where=where, found=", ".join(sites[:8]), expected=site,
            remedy="Give that site's file, or its own name as site",
        )  # fmt: skip
    here = [table for table in tables if table.site in (site, None)] if site in sites else list(tables)
    serving = {"DD": ("DD", "HH", "HR"), "HH": ("HH", "HR")}.get(resolution, (resolution,))
    fit = [table for table in here if table.family in _FAMILIES and table.resolution in serving]
    if not fit:
        raise _nothing(here, resolution, serving, where)
    rank = {id(table): (serving.index(table.resolution), _FAMILIES.index(table.family)) for table in fit}
    best = [table for table in fit if rank[id(table)] == min(rank.values())]
    if len({table.site for table in best}) > 1:
        raise ProductError(
            "several sites", where=where, found=", ".join(sites[:8]) + (" ..." if len(sites) > 8 else ""),
            expected="one", remedy="Pass site=...",
        )  # fmt: skip
    if len(best) > 1:
        found = ", ".join(sorted(part_names([table.parts[0] for table in best])))
        raise ProductError(
            f"{len(best)} {RESOLUTIONS[best[0].resolution]} tables would do", where=where, found=found, expected="one",
            remedy="Give, or keep, only one of them",
        )  # fmt: skip
    return best[0]


def _nothing(tables: Sequence[FluxFile], resolution: str, serving: Sequence[str], where: str) -> ResolutionError:
    held = [table.resolution for table in tables if table.family in _FAMILIES and table.resolution in RESOLUTIONS]
    words = [RESOLUTIONS[name] for name in serving]
    wanted = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    other = next((name for name in ("WW", "MM", "YY", "DD") if name in held), None)
    made = resolution in ("WW", "MM", "YY") and {"HH", "HR", "DD"} & set(held)
    strange = all(table.family == OTHER for table in tables)
    remedy = (
        "If it is your own table (of EddyPro, of a logger), describe it by a TOML (description)" if strange else None
    )
    if made:
        remedy = "Weeks, months and years are read where the network made them, never made here: ask for DD"
    elif other and resolution != "HH":
        remedy = f"Ask for resolution {other} to read this one"
    return ResolutionError(
        f"no {wanted} table of fluxes",
        where=where,
        found="; ".join(table.describe() for table in tables) or "no table",
        expected="FLUXNET2015/ONEFlux, AmeriFlux BASE, raw half-hours or an own table with its description",
        remedy=remedy,
    )


def _site(table: FluxFile, given: str | None) -> str:
    site = given or table.site
    if site is None:
        raise ProductError(
            "the file's name holds no site ID",
            where=table.name,
            expected="for example FLX_US-Ha1_FLUXNET2015_FULLSET_DD_1992-2012_1-3.csv",
            remedy="Keep the name it was downloaded under, rename it, or say which site it is (site)",
        )
    return site


def _offset(table: FluxFile, given: float | None) -> float:
    known = [float(value) for value in (given, table.utc_offset) if value is not None]
    if known and abs(known[0] - known[-1]) > 1e-6:
        raise ProductError(
            "another UTC offset than the table's own", where=table.name, found=f"{known[0]:+g} h",
            expected=f"{known[1]:+g} h", remedy="Correct one of them",
        )  # fmt: skip
    return known[0] if known else float("nan")


def _position(latitude: float | None, longitude: float | None, offset: float) -> Position | None:
    return None if latitude is None or longitude is None or np.isnan(offset) else (latitude, longitude, offset)
