"""Which product a table is, how long its periods are and whose it is, from its header, first rows and comments.

Source of the names: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3), Table 1; the FLUXNET shuttle's products,
whose ``FLUXMET`` is the former ``FULLSET``; AmeriFlux's half-hourly and hourly data format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ecoembed.archives.containers import Part
from ecoembed.archives.flux.layout import Layout
from ecoembed.archives.flux.stamps import MINUTES, Clock, Convention, find_step, parse_digits
from ecoembed.errors import FileError, ProductError

ONEFLUX, BASE, RAW = "ONEFlux", "AmeriFlux BASE", "raw half-hours"
OWN, REANALYSIS, OTHER = "own table", "reanalysis meteorology", "table of unknown origin"

RESOLUTIONS = {"HH": "half-hourly", "HR": "hourly", "DD": "daily", "WW": "weekly", "MM": "monthly", "YY": "yearly"}
_SITE = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2}-[A-Za-z0-9]{3})(?![A-Za-z0-9])")
_SET = re.compile(r"_(FULLSET|SUBSET|FLUXMET)_")
_PARTITIONED = re.compile(r"(GPP|RECO)_(NT|DT)_(VUT|CUT)_|NEE_(VUT|CUT)_")
_FILLED = re.compile(r"\w+_F_MDS(_QC)?$|(TA|WS|PA|VPD|SW_IN|P)_F(_QC)?$")
#: What spreadsheets make of stamps: dates with separators, rounded numbers, days since 1900.
_SPREADSHEET = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}(:\d{2})?)?( [AP]M)?|\d[.,]?\d*E\+?\d+|\d{5}([.,]\d+)?"
)
#: Columns of time stamps in the networks' tables, in the order in which they are preferred.
STAMPS = ("TIMESTAMP_START", "TIMESTAMP", "TIMESTAMP_END")


def find_family(layout: Layout, part: Part) -> str:
    """The product that the columns, or else the comments and the name, speak of."""
    data = [column for column in layout.columns if column not in STAMPS]
    if len(data) == len(layout.columns) or not data:
        return OTHER
    if any(_PARTITIONED.match(column) for column in data):
        return ONEFLUX
    if any(line.startswith(("Site:", "Version:")) for line in layout.comments) or "_BASE_" in part.name:
        return BASE
    if any(_FILLED.match(column) for column in data):
        return ONEFLUX
    if all(column.endswith(("_ERA", "_ERA5")) for column in data):
        return REANALYSIS
    return RAW if find_resolution(layout) in ("HH", "HR") else OTHER


def find_kind(layout: Layout, part: Part) -> str:
    """For example ``FLUXNET2015 FULLSET``; what the name does not say follows from the columns."""
    named = _SET.search(part.name)
    kind = named.group(1) if named else ("FULLSET" if "TA_F_MDS" in layout.columns else "SUBSET")
    if "FLUXNET2015" in part.name:
        return f"FLUXNET2015 {kind}"
    return f"ICOS FLUXNET {kind}" if part.name.startswith("ICOS") else f"FLUXNET {kind}"


def find_site(layout: Layout, part: Part, described: str | None = None) -> str | None:
    """The site of the table's description, or the FLUXNET ID (CC-SSS) in its comments, its name, or its archive's name.

    Raises
    ------
    FileError
        If they differ.
    """
    stated = [line for line in layout.comments if line.lower().startswith("site:")]
    said = {"its comment": stated[0] if stated else "", "its name": part.name, "its archive": part.path.name}
    sites = {place: found.group(1) for place, text in said.items() if (found := _SITE.search(text))}
    if described:
        sites["its description"] = described
    if len(set(sites.values())) > 1:
        raise FileError(
            "the file speaks of two sites",
            where=part.name,
            found=", ".join(f"{site} in {place}" for place, site in sites.items()),
            expected="one",
            remedy="Find out whose data these are, and rename the file",
        )
    return next(iter(sites.values()), None)


def find_resolution(layout: Layout) -> str:
    """A key of `RESOLUTIONS`, or ``"?"``: the commonest of the first rows, whatever one damaged stamp says."""
    name = next((name for name in STAMPS if name in layout.columns), "")
    stamps = _stamps(layout, name)
    digits = _digits(stamps)
    if digits == 12:
        ends = _stamps(layout, "TIMESTAMP_END") if name == "TIMESTAMP_START" else []
        return find_step(parse_digits(np.array(stamps), 12), parse_digits(np.array(ends), 12) if ends else None)[1]
    if digits == 8:
        return "WW" if name == "TIMESTAMP_START" and "TIMESTAMP_END" in layout.columns else "DD"
    return {4: "YY", 6: "MM"}.get(digits, "?")


def find_clock(layout: Layout, resolution: str, part: Part) -> Clock:
    """What the stamps mark. START is preferred; a single stamp is told by the day's first one.

    Raises
    ------
    ProductError
        No time stamps, or a single one that may mark the start as well as the end.
    """
    stamps = [name for name in STAMPS if name in layout.columns]
    if stamps and resolution not in RESOLUTIONS and _digits(_stamps(layout, stamps[0])) == 12:
        raise ProductError(
            "averaging periods that are neither half-hours nor hours",
            where=part.name,
            found=", ".join(layout.rows[0][:2]),
            expected="periods of 30 or 60 minutes",
            remedy="Average it to half-hours",
        )
    changed = next((cell for cell in _cells(layout, stamps[0]) if _SPREADSHEET.fullmatch(cell)), "") if stamps else ""
    if changed and resolution not in RESOLUTIONS:
        raise FileError(
            "a spreadsheet has changed the time stamps",
            where=part.name,
            found=changed,
            expected="YYYYMMDD or YYYYMMDDHHMM, as the network writes them",
            remedy="Download the file again and give it as it is, never opened and saved in a spreadsheet; if it is "
            "your own table, describe it by a TOML",
        )
    if not stamps or resolution not in RESOLUTIONS:
        raise ProductError(
            "no time stamps that can be read",
            where=part.name,
            found=", ".join(layout.rows[0][:3]),
            expected="TIMESTAMP_START, TIMESTAMP_END or TIMESTAMP as YYYYMMDD or YYYYMMDDHHMM",
            remedy="If this is your own table, describe it by a TOML",
        )
    cells = _stamps(layout, stamps[0])
    digits = _digits(cells)
    convention: Convention = "end" if stamps[0] == "TIMESTAMP_END" else "start"
    if stamps[0] == "TIMESTAMP" and digits == 12:
        convention = _told(next(str(cell) for cell in cells if len(str(cell)) == 12), MINUTES[resolution], part)
    return Clock((stamps[0],), digits, None, convention, MINUTES.get(resolution, 0.0))


def _told(first: str, step: float, part: Part) -> Convention:
    """A table starts with the day's first period: stamped 00:00 at its start, 00:30 at its end."""
    minute = int(first[-4:-2]) * 60 + int(first[-2:])
    conventions: dict[float, Convention] = {0: "start", step / 2: "middle", step: "end"}
    if minute not in conventions:
        raise ProductError(
            "the single TIMESTAMP may mark the start or the end of its period",
            where=part.name,
            found=f"first stamp {first}",
            expected="TIMESTAMP_START or TIMESTAMP_END, or a table that starts with the first period of a day",
            remedy="Rename the column, or describe the table by a TOML",
        )
    return conventions[minute]


def _cells(layout: Layout, name: str) -> list[str]:
    position = layout.columns.index(name)
    return [row[position] if len(row) > position else "" for row in layout.rows]


def _stamps(layout: Layout, name: str) -> list[int]:
    """The first rows' stamps; 0 where it is not a whole number."""
    cells = _cells(layout, name) if name in layout.columns else []
    return [int(cell) if cell.isascii() and cell.isdigit() and len(cell) <= 12 else 0 for cell in cells]


def _digits(stamps: Sequence[int]) -> int:
    found = Counter(len(str(stamp)) for stamp in stamps if stamp).most_common(1)
    return found[0][0] if found else 0
