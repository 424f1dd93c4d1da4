"""A user's own table, or collection of many sites, described by a small TOML.

The names on the left are the package's (targets such as ``GPP_NT``, drivers such as ``TA``, half-hours such as
``USTAR``) or any other; ``column`` is the table's own. An unknown key is refused. For a logger's table with its units
in a second line, decimal commas, and UTC stamps at the end of each half-hour::

    product = "our tower, 2023"     # words for the reports
    site = "XX-Own"                 # or site_column = "station", for a table of several sites
    utc_offset = 1.0                # local standard time minus UTC, h; for several sites {XX-Own = 1.0, ...}
    separator = ";"                 # otherwise the commonest of comma, semicolon and tab in the header
    decimal = ","                   # otherwise "."
    missing = [-9999, "NAN"]        # otherwise -9999; empty cells and NA always are
    header_row = 1                  # otherwise the first line that is neither blank nor starts with #
    rows_after_header = 1           # lines of units or types below the header; otherwise 0

    [time]
    column = ["date", "time"]       # one column, or several, joined by a blank
    format = "%d.%m.%Y %H:%M"       # as Python's strptime; otherwise digits, YYYYMMDD or YYYYMMDDHHMM (24:00 is known)
    stamp = "end"                   # which moment of the averaging period a stamp marks: start, middle or end
    zone = "UTC"                    # UTC, or local (standard time all year; daylight saving is never understood)

    [columns]
    GPP_NT = {column = "gpp", unit = "umol m-2 s-1"}
    TA = {column = "Tair", unit = "degC"}

UTC stamps become local standard time by ``utc_offset``, which is then required. The names that are understood, with the
package's unit; another that converts to it (``ecoembed.units``) will do, in any usual spelling (µmol/m2/s, °C):

=========================================  ======================================================================
GPP, RECO, NEE, FC (also _NT, _DT, _PI)    umol m-2 s-1; days gC m-2 d-1; years gC m-2 y-1. With _F: gap-filled
that name with _QC                         no unit. Days: share measured or well filled, 0 to 1 (or unit = "%");
                                           half-hours: 0 measured, 1 well filled, 2 or 3 worse
FC_SSITC_TEST, NEE_SSITC_TEST              no unit: 0, 1, or 2 where turbulence was poor
SC                                         umol m-2 s-1, storage to be added to FC
TA, SW_IN, VPD, PPFD_IN                    degC, W m-2, hPa, umol m-2 s-1
P                                          mm in a half-hour or hour; days mm d-1
H, LE, NETRAD, G                           W m-2
USTAR, WS, V_SIGMA, WD, PA, MO_LENGTH      m s-1 (three), degree, kPa, m
=========================================  ======================================================================

GPP_NT, RECO_NT and NEE are made from half-hourly FC or NEE with TA and USTAR where the table does not have them. For a
Zarr store or a NetCDF file ``time.column`` and ``site_column`` are dimensions, ``column`` is a variable, a ``unit``
that is left out is the variable's own attribute, and the keys about text do not apply.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ecoembed import units
from ecoembed.archives.containers import Part
from ecoembed.archives.flux.layout import Layout, sniff
from ecoembed.archives.flux.products import find_site
from ecoembed.archives.flux.stamps import DIGITS, Clock, Convention, find_step, parse_text
from ecoembed.archives.flux.textcolumns import TextSource, find_sites
from ecoembed.errors import ConfigError, FileError, check_name
from ecoembed.files import read_toml

__all__ = ["open_text", "read_description"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TimeDescription(_Strict):
    """The stamps of an own table."""

    column: str | tuple[str, ...] = Field(description="the column of the stamps, or several, as a list")
    format: str | None = None
    stamp: Convention = Field(description="start, middle or end: which moment of its period a stamp marks")
    zone: Literal["local", "UTC"] = Field(description="UTC, or local (standard time all year)")

    @field_validator("format")
    @classmethod
    def _known(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            parse_text(["x"], pattern)
            if "%z" in pattern.lower() or "%y" not in pattern.lower():
                raise ValueError("a date without zone is needed: %Y or %y, and no %z (utc_offset says it)")
        return pattern

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if isinstance(self.column, str) else self.column


class ColumnDescription(_Strict):
    """A column of an own table, or a variable of a collection."""

    column: str = Field(description="the table's own name of it")
    unit: str | None = None


class Description(_Strict):
    """The whole TOML: see the module's text for each key."""

    product: str = "own table"
    site: str | None = None
    site_column: str | None = None
    utc_offset: float | dict[str, float] | None = None
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    missing: tuple[float | str, ...] = (-9999.0,)
    header_row: int | None = Field(default=None, ge=1)
    rows_after_header: int = Field(default=0, ge=0)
    time: TimeDescription = Field(description="[time] with column, stamp and zone")
    columns: dict[str, ColumnDescription] = Field(
        min_length=1, description="[columns] with lines such as TA = {column = ..., unit = ...}"
    )

    def offset(self, site: str | None, where: str) -> float | None:
        """Local standard time minus UTC of a site, in h.

        Raises
        ------
        ConfigError
            Unknown although the stamps are UTC, or impossible.
        """
        known = self.utc_offset
        value = known.get(site or "") if isinstance(known, dict) else known
        if value is None and self.time.zone == "UTC":
            raise ConfigError(
                "UTC stamps without the site's offset",
                where=where,
                found=f"no utc_offset for {site or 'the site'}",
                remedy="Add utc_offset = 1.0 (local standard time minus UTC, h), or one for each site",
            )
        if value is not None and not -12 <= value <= 14:
            raise ConfigError("no such UTC offset", where=where, found=f"{value} h", expected="-12 to 14 h")
        return value

    def ahead(self, site: str | None, where: str) -> float:
        """Hours to add to a stamp to reach local standard time."""
        return (self.offset(site, where) or 0.0) if self.time.zone == "UTC" else 0.0

    @property
    def missing_numbers(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.missing if not isinstance(value, str))

    @property
    def missing_text(self) -> tuple[str, ...]:
        return tuple(value for value in self.missing if isinstance(value, str))


def unit_of(name: str, stated: str | None, where: str) -> str:
    """The unit of what the package calls `name`; quality, flags and tests have none.

    Raises
    ------
    ConfigError
        Nobody states it.
    """
    unit = stated or (units.FRACTION if name.endswith(("_QC", "_TEST")) else None)
    if not unit:
        raise ConfigError(f"columns.{name}: no unit", where=where, remedy="Add unit = ...")
    return unit


def read_description(path: str | Path) -> Description:
    """Read and check the TOML of an own table or collection.

    Raises
    ------
    FileError
        Absent.
    ConfigError
        Not TOML, an unknown key (the nearest is named), an impossible value, or both `site` and `site_column`.
    """
    description = read_toml(Path(path), Description)
    if description.site is not None and description.site_column is not None:
        raise ConfigError("both site and site_column", where=path, expected="one of them")
    if description.time.format is None and len(description.time.columns) > 1:
        raise ConfigError("several time columns without a format", where=path, remedy="Add time.format")
    return description


def open_text(parts: Sequence[Part], own: Description) -> list[tuple[TextSource, str]]:
    """What each site has in each part (a file, members of a zip, sheets), with its resolution.

    Parts without the time column are passed over (a read-me, a title sheet), unless none has it.

    Raises
    ------
    ConfigError
        A column that the table does not have (the nearest is named), or no unit.
    FileError
        No rows, or time stamps that cannot be read.
    """
    layouts = [sniff(part, own.separator, own.header_row, own.rows_after_header) for part in parts]
    fit = [(p, y) for p, y in zip(parts, layouts, strict=True) if set(own.time.columns) <= set(y.columns)]
    return [
        source
        for part, layout in fit or list(zip(parts, layouts, strict=True))[:1]
        for source in _sources(part, layout, own)
    ]


def _sources(part: Part, layout: Layout, own: Description) -> list[tuple[TextSource, str]]:
    site_column = [own.site_column] if own.site_column else []
    for column in [*own.time.columns, *site_column, *(one.column for one in own.columns.values())]:
        check_name(column, layout.columns, "column", where=part.name)
    for name, one in own.columns.items():
        unit_of(name, one.unit, part.name)
    clock, resolution = _clock(part, layout, own)
    sites: Sequence[str | None] = [find_site(layout, part, own.site)]
    if own.site_column:
        sites = find_sites(part, layout, own.site_column)
    return [
        (
            TextSource(
                part,
                layout,
                replace(clock, ahead=own.ahead(site, part.name)),
                own.decimal,
                own.missing_numbers,
                own.missing_text,
                {name: one.column for name, one in own.columns.items()},
                own.site_column,
                site,
                own=True,
            ),
            resolution,
        )
        for site in sites
    ]


def _clock(part: Part, layout: Layout, own: Description) -> tuple[Clock, str]:
    """The clock (as if local), with the commonest step of the first rows, which also is the resolution."""
    positions = [layout.columns.index(name) for name in own.time.columns]
    cells = [[row[i] for i in positions] for row in layout.rows if len(row) > max(positions)]
    if not cells:
        raise FileError("a header without rows", where=part.name)
    digits = Counter(len(row[0]) for row in cells).most_common(1)[0][0]
    clock = Clock(own.time.columns, digits, own.time.format)
    if own.time.format is None:
        whole = [int(row[0]) if row[0].isascii() and row[0].isdigit() and len(row[0]) <= 12 else 0 for row in cells]
        times = clock.starts([np.array(whole)]) if digits in DIGITS else np.array(["NaT"], dtype="datetime64[ns]")
    else:
        times = clock.starts([[row[i] for row in cells] for i in range(len(positions))])
    if np.isnat(times).all():
        raise FileError(
            "time stamps that cannot be read",
            where=f"{part.name}, column {' and '.join(own.time.columns)}",
            found=" ".join(cells[0]),
            expected=own.time.format or "digits: YYYYMMDD or YYYYMMDDHHMM",
            remedy="Correct time.format in the TOML",
        )
    step, resolution = find_step(times)
    if own.time.stamp != "start" and not step:
        raise FileError(
            "the length of the averaging period cannot be told",
            where=part.name,
            found=f"first stamp {' '.join(cells[0])}",
            expected="at least two rows that follow each other by 30, 60 or 1440 minutes",
            remedy="Check time.format",
        )
    return replace(clock, convention=own.time.stamp, step=step), resolution
