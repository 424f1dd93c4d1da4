"""Site tables: a plain CSV, one row for each tower, in our own column names or in FLUXNET's.

Source of the spellings: FLUXNET BADM variable names (fluxnet.org, BADM data product) and the FLUXNET shuttle catalogue.
"""

from __future__ import annotations

import functools
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ecoembed import schema
from ecoembed.archives.fluxfiles import refuse_workbook
from ecoembed.errors import FileError, TableError

if TYPE_CHECKING:
    import geopandas

#: Our name -> the other spellings that are understood (compared without regard to case).
ALIASES: dict[str, tuple[str, ...]] = {
    "site_id": ("site", "siteid"),
    "latitude": ("location_lat", "lat"),
    "longitude": ("location_long", "location_lon", "lon", "long"),
    "elevation": ("location_elev", "elev"),
    "igbp": (),
    "canopy_height": ("heightc",),
    "measurement_height": ("sensor_height",),
    "utc_offset": (),
    "licence": ("license", "data_policy"),
    "citation": ("product_citation",),
}
NUMBERS = ("latitude", "longitude", "elevation", "canopy_height", "measurement_height", "utc_offset")
REQUIRED = ("site_id", "latitude", "longitude")

#: Four decimals of a degree are 11 m, about one Sentinel-2 pixel.
DECIMALS = 4

#: Farther than this from ``longitude / 15``, in h, no civil time lies (western China comes closest).
MAX_OFFSET = 3.0

_UNITS = {"latitude": "degrees", "longitude": "degrees", "utc_offset": "h"}  # all other numbers are in m

_MISSING = ("", "NA", "NaN", "nan", "N/A", "-9999", "-9999.0")


def read_sites(path: str | Path) -> geopandas.GeoDataFrame:
    """Read a site table from a CSV file.

    Parameters
    ----------
    path : path
        CSV with ``site_id``, ``latitude``, ``longitude`` (degrees, WGS 84) and, where known, ``elevation`` (m),
        ``igbp``, ``canopy_height`` and ``measurement_height`` (m above ground), ``utc_offset`` (h), ``licence``,
        ``citation``.
        FLUXNET's spellings (``SITE_ID``, ``LOCATION_LAT``, ``LOCATION_LONG``, ``LOCATION_ELEV``, ``IGBP``, ``HEIGHTC``,
        ``SENSOR_HEIGHT``, ``UTC_OFFSET``) are understood; further columns are kept as they are.

    Returns
    -------
    geopandas.GeoDataFrame
        Indexed by ``site_id``; points in EPSG:4326 at the file's full precision; absent optional columns are missing.

    Warns
    -----
    UserWarning
        Coordinates with fewer than four decimals: the tower may stand in another pixel. A ``utc_offset`` that does not
        fit the longitude: its days are cut at the wrong hour. Each is said once for a file.

    Raises
    ------
    FileError, ProductError
        The file cannot be read, or is a workbook.
    TableError
        Another separator than the comma; a column is absent or given twice; a value is impossible; row and column are
        named.
    """
    import geopandas

    path = Path(path)
    text = _named(_read_text(path), path)
    table = text.copy()
    for column in NUMBERS:
        table[column] = _numbers(text[column], text["site_id"], path)
    _warn_if_rounded(text, path)
    table = table.set_index(table.pop("site_id").rename("site_id"))
    _refuse_breaches(table, path)
    points = geopandas.points_from_xy(table["longitude"], table["latitude"])
    _warn_of_offsets(table, path)
    sites = geopandas.GeoDataFrame(table, geometry=points, crs="EPSG:4326")
    return schema.check_sites(sites, where=path.name)


def _read_text(path: Path) -> pd.DataFrame:
    """All cells as text, so that the decimals can be counted and no digit is lost before it is converted."""
    refuse_workbook(path, expected="a CSV site table")
    _refuse_other_separator(path)
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=list(_MISSING), encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as exc:
        raise FileError(
            "the site table cannot be read",
            where=path.name,
            found=_plain(exc),
            expected="a comma-separated file in UTF-8",
        ) from None
    return table.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)


def _refuse_other_separator(path: Path) -> None:
    with path.open("rb") as stream:
        header = stream.readline()
    for separator, name in ((b";", "';'"), (b"\t", "a tab")):
        if header.count(separator) > header.count(b","):
            raise TableError(
                f"the separator is {name}",
                where=path.name,
                expected="','",
                remedy="Save it with a comma between columns and a point in numbers",
            )


def _plain(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return "not text in UTF-8"
    if isinstance(exc, pd.errors.EmptyDataError):
        return "an empty file"
    fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(exc))
    return "row {1} has {2} fields, not {0}".format(*fields.groups()) if fields else "a quote that is never closed"


def _named(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Rename the known spellings to ours; add the absent optional columns as missing."""
    ours = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
    names = [ours.get(str(column).strip().lower(), str(column)) for column in table.columns]
    twice = sorted({name for name in names if name in ALIASES and names.count(name) > 1})
    if twice:
        both = [str(c) for c, name in zip(table.columns, names, strict=True) if name in twice]
        raise TableError(
            f"column {', '.join(twice)} given twice", where=path.name, found=both, remedy="Keep one of them"
        )
    absent = [name for name in REQUIRED if name not in names]
    if absent:
        spellings = {name: " or ".join((name, *(a.upper() for a in ALIASES[name]))) for name in absent}
        raise TableError(
            f"column {', '.join(absent)} absent",
            where=path.name,
            found=", ".join(map(str, table.columns)),
            expected="; ".join(spellings.values()),
        )
    table = table.set_axis(names, axis=1)
    for what, rows in (
        ("site without a name", table["site_id"].isna()),
        ("site given twice", table["site_id"].duplicated()),
    ):
        if rows.any():
            row = int(np.flatnonzero(rows)[0])
            raise TableError(
                what, where=f"{path.name}, row {row + 2}, column site_id", found=table["site_id"].iloc[row]
            )
    return table.assign(**{name: None for name in ALIASES if name not in names})


def _numbers(column: pd.Series, sites: pd.Series, path: Path) -> pd.Series:
    numbers = column.map(_number).astype("float64")
    for row in np.flatnonzero(numbers.isna() & column.notna()):
        raise TableError(
            "not a number",
            where=f"{path.name}, row {row + 2} ({sites.iloc[row]}), column {column.name}",
            found=repr(column.iloc[row]),
            expected="a number, or an empty cell where unknown",
        )
    return numbers


def _number(cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _warn_if_rounded(text: pd.DataFrame, path: Path) -> None:
    coordinates = text[["latitude", "longitude"]]
    decimals = coordinates.map(lambda cell: len(str(cell).partition(".")[2])).where(coordinates.notna(), DECIMALS)
    rounded = text["site_id"][decimals.min(axis=1) < DECIMALS]
    if len(rounded):
        shown = ", ".join(map(str, rounded.iloc[:5])) + (", ..." if len(rounded) > 5 else "")
        _warn_once(
            path.absolute(),
            f"{path.name}: the coordinates of {len(rounded)} of {len(text)} sites carry fewer than {DECIMALS} decimals "
            f"({shown}): a tower may stand tens of metres from where they say",
        )


def _warn_of_offsets(table: pd.DataFrame, path: Path) -> None:
    """Local time follows the sun to a few hours; beside the date line a whole day may lie between them."""
    beside = (table["utc_offset"] - table["longitude"] / 15 + 12) % 24 - 12
    odd = table[beside.abs() > MAX_OFFSET]
    if len(odd):
        rows = zip(odd.index[:5], odd["utc_offset"], odd["longitude"], strict=False)
        shown = "; ".join(f"{site}: {offset:+g} h at longitude {longitude:g}" for site, offset, longitude in rows)
        shown += "; ..." if len(odd) > 5 else ""
        _warn_once(
            path.absolute(),
            f"{path.name}: utc_offset of {len(odd)} of {len(table)} sites differs from longitude / 15 by more than "
            f"{MAX_OFFSET:g} h ({shown}): expected local standard time minus UTC, in h",
        )


@functools.cache
def _warn_once(path: Path, text: str) -> None:
    """Warn without a line of our source, which tells a user nothing; a run reads its site table several times."""
    warnings.warn_explicit(text, UserWarning, filename="ecoembed", lineno=0)


def _refuse_breaches(table: pd.DataFrame, path: Path) -> None:
    """Name row and column of the first value that the schema refuses."""
    try:
        schema.SITES.validate(table, lazy=True)
    except pa.errors.SchemaErrors as exc:
        first = exc.failure_cases.iloc[0]
        site = first["index"]
        raise TableError(
            "impossible value",
            where=f"{path.name}, row {table.index.get_loc(site) + 2} ({site}), column {first['column']}",
            found=_value(first["failure_case"]),
            expected=_allowed(str(first["column"])),
        ) from None


def _value(cell: object) -> str:
    if pd.isna(cell):
        return "an empty cell"
    return repr(cell) if isinstance(cell, str) else str(cell)


def _allowed(column: str) -> str:
    """What the schema allows in `column`, in words."""
    facts = schema.SITES.columns[column].checks[0].statistics
    if "allowed_values" in facts:
        return f"one of {', '.join(facts['allowed_values'])}, or an empty cell where unknown"
    return f"between {facts['min_value']} and {facts['max_value']} {_UNITS.get(column, 'm')}"
