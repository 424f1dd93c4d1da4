"""What all sources together say of a tower, and the row of sites.csv that makes them say it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from ecoembed.additions.clock import offset_from_light
from ecoembed.additions.texts import with_row
from ecoembed.archives.flux.files import FluxFile
from ecoembed.archives.sites.claims import parse
from ecoembed.archives.sites.reader import SiteRecords, list_tables, site_records
from ecoembed.archives.sites.tables import read_tables
from ecoembed.errors import ConfigError, TableError

__all__ = ["OPTIONS", "as_told", "site_row"]

#: What may be told of a site -> the option of the command line.
OPTIONS = {
    "latitude": "--lat",
    "longitude": "--lon",
    "elevation": "--elevation",
    "igbp": "--igbp",
    "canopy_height": "--canopy-height",
    "measurement_height": "--zm",
    "utc_offset": "--utc-offset",
}


def as_told(column: str, value: str | float) -> str:
    """The text of a value that a user tells, if the column may hold it."""
    if column not in OPTIONS:
        raise ConfigError("not asked of a site", found=column, expected=", ".join(OPTIONS))
    text = str(value).strip()
    try:
        parse(column, text)
    except TableError as exc:
        expected = str(exc.expected).partition(", or an empty cell")[0]
        where = OPTIONS[column]
        raise TableError(exc.what, where=where, found=exc.found, expected=expected, remedy=exc.remedy) from None
    return text


def site_row(
    folder: Path, site: str, told: dict[str, str], paths: Sequence[Path], tables: Sequence[FluxFile],
    halfhours: xr.Dataset | None,
) -> tuple[SiteRecords, str]:  # fmt: skip
    """What all sources together say of the site, and the text of the sites.csv that says it.

    Raises
    ------
    TableError
        Nobody knows its coordinates, or its UTC offset.
    """
    sources = [*list_tables(folder / "sites"), *(p for p in paths if p.suffix.lower() == ".zip" and _has_badm(p))]
    text = with_row(folder / "sites.csv", site, told)
    records = _records(text, sources, site)
    row = records.sites.loc[site]
    if math.isfinite(row["utc_offset"]):
        return records, text
    described = [table for table in tables if table.utc_offset is not None]
    if described:  # the run reads it there, too
        return _with_offset(records, site, float(described[0].utc_offset or 0), described[0].name, "its TOML"), text
    offset = math.nan if halfhours is None else offset_from_light(halfhours, row["longitude"])
    if halfhours is None or not math.isfinite(offset):
        raise TableError(
            "no UTC offset: an overpass has no local day", where=site, found="none in sites.csv, sites/ or the files",
            expected="hours that its local standard time is ahead of UTC",
            remedy=f"Give it: --utc-offset {round(row['longitude'] / 15):g}, if the clock follows the longitude",
        )  # fmt: skip
    text = with_row(folder / "sites.csv", site, told | {"utc_offset": f"{offset:g}"})
    return _with_offset(records, site, offset, halfhours.attrs["source"], "SW_IN_POT"), text


def _with_offset(records: SiteRecords, site: str, offset: float, source: str, variable: str) -> SiteRecords:
    sites = records.sites.copy()
    sites.loc[site, "utc_offset"] = offset
    line = {"site": site, "column": "utc_offset", "value": offset, "source": source, "variable": variable}
    return records._replace(sites=sites, origin=pd.concat([records.origin, pd.DataFrame([line])], ignore_index=True))


def _records(text: str, sources: Sequence[Path], site: str) -> SiteRecords:
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "sites.csv"
        table.write_bytes(text.encode())
        try:
            return site_records([table, *sources], site)
        except TableError as exc:
            if exc.found != "an empty cell" or f"({site})" not in str(exc.where):
                raise
            raise TableError(
                "no coordinates", where=site, found="none in sites.csv, sites/ or the files' own BADM",
                expected="degrees (WGS 84) with five decimals: the pixel is 10 m wide",
                remedy="Give them: --lat 47.21022 --lon 8.41044; or put a BADM workbook or a catalogue into sites/",
            ) from None  # fmt: skip


def _has_badm(path: Path) -> bool:
    return bool(read_tables(path, path.name))
