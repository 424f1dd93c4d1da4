"""What a flux file is, from its content: product, resolution, site and columns; plain, gzipped, or members of a zip.

Nothing is extracted to disk. Source of the names: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3), Table 1; the
FLUXNET shuttle's products, whose ``FLUXMET`` is the former ``FULLSET``; AmeriFlux's half-hourly data format.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ecoembed.archives.containers import Part, is_workbook, list_parts, readable, zipped
from ecoembed.archives.layout import Layout, sniff
from ecoembed.archives.stamps import parse_digits
from ecoembed.archives.textcolumns import read_text
from ecoembed.errors import FileError, ProductError, VariableError

if TYPE_CHECKING:
    import pandas as pd

ONEFLUX, BASE, RAW = "ONEFlux", "AmeriFlux BASE", "raw half-hours"
OWN, REANALYSIS, OTHER = "own table", "reanalysis meteorology", "table of unknown origin"

RESOLUTIONS = {"HH": "half-hourly", "HR": "hourly", "DD": "daily", "WW": "weekly", "MM": "monthly", "YY": "yearly"}

_SITE = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2}-[A-Za-z0-9]{3})(?![A-Za-z0-9])")
_SET = re.compile(r"_(FULLSET|SUBSET|FLUXMET)_")
_ONEFLUX_COLUMN = re.compile(r"(GPP|RECO)_(NT|DT)_|NEE_(VUT|CUT)_|\w+_F_MDS(_QC)?$|(TA|WS|PA|VPD|SW_IN|P)_F(_QC)?$")
_TEXT = (".csv", ".txt", ".tsv", ".dat")
_MISSING = -9999.0


@dataclass(frozen=True)
class FluxFile:
    """One table of fluxes, in one or several parts (files, or members of a zip) that follow each other.

    ``family`` is the product (``ONEFLUX``, ``BASE``...), ``resolution`` a key of ``RESOLUTIONS`` or ``"?"``.
    """

    parts: tuple[Part, ...]
    layouts: tuple[Layout, ...] = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    family: str
    resolution: str
    site: str | None
    sites: tuple[str, ...] = ()
    utc_offset: float | None = None
    units: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def path(self) -> Path:
        return self.parts[0].path

    @property
    def name(self) -> str:
        more = f" and {len(self.parts) - 1} more" if len(self.parts) > 1 else ""
        return self.parts[0].name + more

    @property
    def product(self) -> str:
        """For example ``FLUXNET2015 FULLSET DD``."""
        if self.family != ONEFLUX:
            return f"{self.family} {self.resolution}"
        release = "FLUXNET2015" if "FLUXNET2015" in self.name else "FLUXNET"
        return f"{release} {_kind(self.parts[0].name, self.columns)} {self.resolution}"

    def describe(self) -> str:
        return f"{RESOLUTIONS.get(self.resolution, 'not a time series')} {self.family} ({self.name})"


def find_tables(path: str | Path | Sequence[str | Path], description: str | Path | None = None) -> list[FluxFile]:
    """Every table in a file, a zip, or several files; those of one site, product and resolution are one table.

    Raises
    ------
    FileError
        Absent, truncated, corrupt or empty file; a zip member whose name leaves the archive.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
    groups: dict[tuple[str | None, ...], list[FluxFile]] = {}
    for table in (table for p in paths for table in _tables(p)):
        groups.setdefault((table.site, table.family, table.product), []).append(table)
    return [_joined(group) for group in groups.values()]


def _joined(tables: Sequence[FluxFile]) -> FluxFile:
    first = tables[0]
    if len(tables) == 1:
        return first
    ordered = sorted(
        tables, key=lambda table: (table.layouts[0].rows[0][:1], table.name) if table.layouts[0].rows else ((), "")
    )
    columns = tuple(dict.fromkeys(name for table in ordered for name in table.columns))
    parts, layouts = tuple(p for t in ordered for p in t.parts), tuple(y for t in ordered for y in t.layouts)
    return FluxFile(parts, layouts, columns, first.family, first.resolution, first.site)


def read_columns(table: FluxFile, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns as float64, missing values as NaN; nothing else is parsed.

    Returns
    -------
    pd.DataFrame
        Rows as in the file (unsorted, perhaps repeated), indexed by ``time``: the start of the averaging period in the
        file's own local standard time. ``attrs["repairs"]`` counts what was repaired, by reason.

    Raises
    ------
    FileError
        A row with too few fields, text in a column of numbers, unreadable time stamps, or a damaged archive.
    VariableError
        A column that the table does not have.
    """
    import pandas as pd

    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise VariableError(f"{', '.join(absent)} absent", where=table.name)
    repairs: dict[str, int] = {}
    pieces = [
        _read_part(p, y, columns, table.resolution, repairs) for p, y in zip(table.parts, table.layouts, strict=True)
    ]
    time = np.concatenate([piece[0] for piece in pieces])
    data = {name: np.concatenate([piece[1][name] for piece in pieces]) for name in columns}
    frame = pd.DataFrame(data, index=pd.DatetimeIndex(time, name="time"), copy=False)
    frame.attrs["repairs"] = repairs
    return frame


def _read_part(
    part: Part, layout: Layout, columns: Sequence[str], resolution: str, repairs: dict[str, int]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    for note, count in layout.notes.items():
        repairs[note] = repairs.get(note, 0) + count
    stamp = next((n for n in ("TIMESTAMP_START", "TIMESTAMP", "TIMESTAMP_END") if n in layout.columns), None)
    if stamp is None:
        raise ProductError("no time stamps", where=part.name, expected="TIMESTAMP, TIMESTAMP_START or TIMESTAMP_END")
    position = {name: layout.columns.index(name) for name in (stamp, *columns) if name in layout.columns}
    twice = [name for name in position if layout.columns.count(name) > 1]
    if twice:
        raise FileError("a column stands twice in the header", where=part.name, found=", ".join(twice))
    kinds = {i: "int64" if name == stamp else "float64" for name, i in position.items()}
    data = read_text(part, layout, kinds, [_MISSING])
    stamps = data[position[stamp]]
    time = parse_digits(stamps, len(layout.rows[0][position[stamp]]))
    bad = np.flatnonzero(np.isnat(time))
    if bad.size:
        raise FileError(f"{bad.size} time stamps unreadable", where=part.name, found=int(stamps[bad[0]]))
    if stamp == "TIMESTAMP_END":
        time -= np.timedelta64({"HH": 30, "HR": 60}[resolution], "m")
    gap = np.full(len(time), np.nan)
    return time, {name: data[position[name]] if name in position else gap for name in columns}


def _tables(path: Path) -> Iterator[FluxFile]:
    for part in list_parts(path):
        if part.member is None or part.name.lower().endswith(_TEXT):
            yield _identify(part)


def _identify(part: Part) -> FluxFile:
    layout = sniff(part)
    family = _family(layout, part.name)
    resolution = _resolution(layout)
    stated = [m.group(1) for c in layout.comments if c.lower().startswith("# site:") and (m := _SITE.search(c))]
    named = _SITE.search(part.name) or _SITE.search(part.path.name)
    site = named.group(1) if named else (stated[0] if stated else None)
    if stated and stated[0] != site:
        raise FileError("the site in the file and in its name differ", where=part.name, found=stated[0], expected=site)
    return FluxFile((part,), (layout,), layout.columns, family, resolution, site)


def _kind(name: str, columns: Sequence[str]) -> str:
    named = _SET.search(name)
    return named.group(1) if named else ("FULLSET" if "TA_F_MDS" in columns else "SUBSET")


def _family(layout: Layout, name: str) -> str:
    data = [column for column in layout.columns if not column.startswith("TIMESTAMP")]
    if len(data) == len(layout.columns):
        return OTHER
    if layout.comments or "_BASE_" in name:
        return BASE
    if any(_ONEFLUX_COLUMN.match(column) for column in data):
        return ONEFLUX
    if data and all(column.endswith("_ERA") for column in data):
        return REANALYSIS
    return RAW if _resolution(layout) in ("HH", "HR") else OTHER


def _resolution(layout: Layout) -> str:
    """From the first row's time stamps: 8 digits are a day, 12 the start of a half-hour or an hour."""
    row = dict(zip(layout.columns, layout.rows[0], strict=False)) if layout.rows else {}
    stamp = row.get("TIMESTAMP", "")
    if stamp.isdigit():
        return {4: "YY", 6: "MM", 8: "DD"}.get(len(stamp), "?")
    start, end = row.get("TIMESTAMP_START", ""), row.get("TIMESTAMP_END", "")
    if not (start.isdigit() and end.isdigit()):
        return "?"
    if len(start) == 8:
        return "WW"
    minutes = (int(end[-4:-2]) * 60 + int(end[-2:]) - int(start[-4:-2]) * 60 - int(start[-2:])) % 1440
    return {30: "HH", 60: "HR"}.get(minutes, "?") if len(start) == 12 else "?"


def find_table(path: str | Path, resolutions: Sequence[str]) -> FluxFile:
    """The one ONEFlux table of the wanted resolution (kept until its callers use `find_tables`)."""
    wanted = " or ".join(RESOLUTIONS[r] for r in resolutions)
    expected = f"a {wanted} FLUXNET2015/ONEFlux FULLSET or SUBSET table (.csv, or the .zip that holds it)"
    refuse_workbook(Path(path), expected)
    tables = find_tables(path)
    fit = [table for table in tables if table.family == ONEFLUX and table.resolution in resolutions]
    if len(fit) > 1 or (fit and len(fit[0].parts) > 1):
        names = ", ".join(sorted(part.name for table in fit for part in table.parts))
        raise ProductError(f"2 {wanted} tables in one archive", where=Path(path).name, found=names, expected="one")
    if not fit:
        found = "; ".join(table.describe() for table in tables) or "no CSV file"
        raise ProductError(
            f"no {wanted} ONEFlux table",
            where=Path(path).name,
            found=found,
            expected=expected,
            remedy=_remedy(tables),
        )
    return fit[0]


def _remedy(tables: Sequence[FluxFile]) -> str | None:
    kinds = {(table.family, table.resolution) for table in tables}
    if any(family == BASE for family, _ in kinds):
        return "BASE files hold unpartitioned half-hours without QC: download the site's AmeriFlux FLUXNET product"
    if kinds & {(ONEFLUX, "HH"), (ONEFLUX, "HR")}:
        return "Give the DD file of the same product (open_halfhours reads this one)"
    if (ONEFLUX, "DD") in kinds:
        return "Give the HH file of the FULLSET product"
    return None


def refuse_workbook(path: Path, expected: str) -> None:
    """Raise if `path` is absent, a folder or an Excel workbook, judged by its content."""
    if path.is_dir():
        raise FileError("this is a folder", where=path, expected=expected, remedy="Give the file itself")
    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    with path.open("rb") as stream:
        magic = stream.read(8)
    with readable(path.name):
        workbook = magic.startswith(b"\xd0\xcf\x11\xe0") or (
            zipped(path) and is_workbook(zipfile.ZipFile(path).namelist())
        )
    if workbook:
        raise ProductError(
            "the file is an Excel workbook", where=path.name, expected=expected, remedy="Save the sheet as CSV (UTF-8)"
        )
