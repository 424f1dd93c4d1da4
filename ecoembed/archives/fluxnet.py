"""FLUXNET2015/ONEFlux tables: daily fluxes for the target, half-hours for the footprint."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from ecoembed import schema, units
from ecoembed.archives.fluxfiles import FluxFile, find_table, read_columns
from ecoembed.archives.quality import filter_days, get_target, warn_outside_bounds
from ecoembed.errors import FileError, ProductError, VariableError

#: Daily meteorological drivers, kept where present: our name -> (the file's column, unit).
DRIVERS = {
    "TA": ("TA_F", units.TEMPERATURE),
    "SW_IN": ("SW_IN_F", units.RADIATION),
    "VPD": ("VPD_F", units.PRESSURE_DEFICIT),
    "P": ("P_F", units.PRECIPITATION),
}

#: Half-hourly variables that footprint models use, kept where present: our name -> (the file's column, unit).
HALFHOURS = {
    name: (column, units.HALF_HOURLY[name])
    for name, column in {
        "USTAR": "USTAR",
        "WD": "WD",
        "WS": "WS_F",
        "H": "H_F_MDS",
        "LE": "LE_F_MDS",
        "TA": "TA_F",
        "PA": "PA_F",
        "SW_IN": "SW_IN_F",
    }.items()
}


def open_flux(
    path: str | Path,
    target: str = "GPP_NT_VUT_REF",
    min_qc: float = 0.75,
    *,
    site: str | None = None,
    utc_offset: float | None = None,
) -> xr.Dataset:
    """Open the daily fluxes of one site: FLUXNET2015/ONEFlux FULLSET or SUBSET, ``.csv`` or the ``.zip`` that holds it.

    Days whose target fails the quality control keep their drivers; their target is NaN, and they are counted by reason.
    Negative GPP is kept, since cutting it would bias the mean, and counted. Days out of order are sorted; a day that is
    repeated identically is counted and dropped, one repeated with other values is an error.

    Parameters
    ----------
    path : path
        The file as downloaded. What it is is judged by its content.
    target : str
        A daily carbon flux, by its FLUXNET name; its QC column follows from a fixed map (``quality.TARGETS``).
    min_qc : float
        Least share (0 to 1) of the day's half-hours that were measured or gap-filled with good quality.
    site : str, optional
        Site ID, for a file whose name does not hold it.
    utc_offset : float, optional
        Local standard time minus UTC, in h. FLUXNET tables do not hold it; the site table does.

    Returns
    -------
    xr.Dataset
        Over ``time`` (local calendar day): the target (gC m-2 d-1), its QC column (share), its uncertainty and the
        drivers TA (degC), SW_IN (W m-2), VPD (hPa), P (mm d-1) where the file has them. ``attrs``: site,
        utc_offset (NaN if not given), target, product, rows (days in, lost by reason, and out), negative (days kept
        with a target below zero), source (file).

    Raises
    ------
    FileError
        Absent, truncated or corrupt file; contradictory days.
    ProductError
        Another product or resolution (half-hourly, AmeriFlux BASE, a workbook...).
    VariableError
        Target or its QC column absent; close names are listed.

    Source
    ------
    Pastorello et al. 2020, doi 10.1038/s41597-020-0534-3.
    """
    table = find_table(path, ("DD",))
    entry = get_target(target, table.columns, table.name)
    site = _site(table, site)
    variables = {target: (target, entry.unit), entry.qc: (entry.qc, units.FRACTION)}
    if entry.uncertainty is not None:
        variables[entry.uncertainty] = (entry.uncertainty, entry.unit)
    frame, repeated = _frame(table, {**variables, **DRIVERS})
    for name in (target, *DRIVERS):
        if name in frame:
            warn_outside_bounds(name, frame[name].to_numpy(), site)
    n = len(frame) + repeated
    frame[target], counts = filter_days(frame[target], frame[entry.qc], min_qc)
    flux = _dataset(frame, {**variables, **DRIVERS})
    flux.attrs = {
        "site": site,
        "utc_offset": float("nan") if utc_offset is None else float(utc_offset),
        "target": target,
        "product": table.product,
        "rows": {"in": n, "repeated day": repeated, **counts},
        "negative": int((frame[target] < 0).sum()),
        "source": table.name,
    }
    return schema.check_flux(flux)


def open_halfhours(path: str | Path, *, site: str | None = None) -> xr.Dataset:
    """Open the half-hours (or hours) of one site that footprint models need, from the FULLSET HH (or HR) table.

    Parameters
    ----------
    path, site
        As in :func:`open_flux`.

    Returns
    -------
    xr.Dataset
        Over ``time``, the start of the half-hour in local standard time: USTAR (m s-1) and, where the file has them, WD
        (degree), WS (m s-1), H (W m-2), TA (degC), PA (kPa), SW_IN (W m-2). Missing values are NaN.

    Raises
    ------
    FileError, ProductError
        As in :func:`open_flux`.
    VariableError
        No USTAR (SUBSET tables do not hold it at this resolution).
    """
    table = find_table(path, ("HH", "HR"))
    if "USTAR" not in table.columns:
        raise VariableError(
            "USTAR absent; footprints need it", where=table.name, remedy="Give the FULLSET HH file of the site"
        )
    site = _site(table, site)
    frame, repeated = _frame(table, HALFHOURS)
    halfhours = _dataset(frame, HALFHOURS)
    n = len(frame) + repeated
    missing = int(frame["USTAR"].isna().sum())
    halfhours.attrs = {
        "site": site,
        "product": table.product,
        "rows": {"in": n, "repeated": repeated, "missing USTAR": missing, "out": len(frame) - missing},
        "source": table.name,
    }
    return halfhours


def _site(table: FluxFile, given: str | None) -> str:
    site = given or table.site
    if site is None:
        raise ProductError(
            "the file's name holds no site ID",
            where=table.name,
            expected="for example FLX_US-Ha1_FLUXNET2015_FULLSET_DD_1992-2012_1-3.csv",
            remedy="Keep the name it was downloaded under, or rename it; from Python, pass site=...",
        )
    return site


def _frame(table: FluxFile, names: dict[str, tuple[str, str]]) -> tuple[pd.DataFrame, int]:
    """The columns of `names` that the table has, indexed by sorted, unique time; and how many rows were repeated."""
    present = {column: name for name, (column, _) in names.items() if column in table.columns}
    frame = read_columns(table, list(present)).rename(columns=present)
    unique = frame.reset_index().drop_duplicates()
    _refuse_contradictions(unique["time"], table)
    return unique.set_index("time").sort_index(), len(frame) - len(unique)


def _refuse_contradictions(time: pd.Series, table: FluxFile) -> None:
    twice = time[time.duplicated()]
    if len(twice):
        raise FileError(
            f"{len(twice)} time stamps repeated with different values",
            where=table.name,
            found=f"first at {twice.min():%Y-%m-%d %H:%M}",
            expected="each once",
            remedy="Keep the right row of each",
        )


def _dataset(frame: pd.DataFrame, names: dict[str, tuple[str, str]]) -> xr.Dataset:
    data = {
        name: ("time", frame[name].to_numpy(dtype="float64"), {"units": unit, "column": column})
        for name, (column, unit) in names.items()
        if name in frame
    }
    return xr.Dataset(data, coords={"time": frame.index.to_numpy(dtype="datetime64[ns]")})
