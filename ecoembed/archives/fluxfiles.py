"""What a flux file is, from its content: product, resolution, site and columns; plain CSV or the CSVs of a zip.

Nothing is extracted to disk. Source of the names: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3), Table 1, and
the FLUXNET shuttle's products, whose ``FLUXMET`` is the former ``FULLSET``.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from ecoembed.errors import FileError, ProductError

if TYPE_CHECKING:
    import pandas as pd

ONEFLUX, BASE, REANALYSIS, OTHER = "ONEFlux", "AmeriFlux BASE", "reanalysis meteorology", "table of unknown origin"

RESOLUTIONS = {"HH": "half-hourly", "HR": "hourly", "DD": "daily", "WW": "weekly", "MM": "monthly", "YY": "yearly"}

_SITE = re.compile(r"(?<![A-Za-z0-9])([A-Z]{2}-[A-Za-z0-9]{3})(?![A-Za-z0-9])")
_SET = re.compile(r"_(FULLSET|SUBSET|FLUXMET)_")
_ONEFLUX_COLUMN = re.compile(r"(GPP|RECO|NEE)_|(TA|WS|PA)_F$|H_F_MDS$")
_HEADER_LIMIT = 1 << 20  # a header line longer than this is no table


@dataclass(frozen=True)
class FluxFile:
    """One table of fluxes: a file, or the member of a zip.

    ``family`` is the product (``ONEFLUX``, ``BASE``...), ``resolution`` a key of ``RESOLUTIONS`` or ``"?"``.
    """

    path: Path
    member: str | None
    columns: tuple[str, ...]
    family: str
    resolution: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def site(self) -> str | None:
        """FLUXNET site ID (CC-SSS) in the member's or else the file's name."""
        found = _SITE.search(self.name) or _SITE.search(self.path.name)
        return found.group(1) if found else None

    @property
    def product(self) -> str:
        """For example ``FLUXNET2015 FULLSET DD``."""
        named = _SET.search(self.name)
        kind = named.group(1) if named else ("FULLSET" if "TA_F_MDS" in self.columns else "SUBSET")
        release = "FLUXNET2015" if "FLUXNET2015" in self.name else "FLUXNET"
        return f"{release} {kind} {self.resolution}"

    def describe(self) -> str:
        return f"{RESOLUTIONS.get(self.resolution, 'not a time series')} {self.family} ({self.name})"


def find_table(path: str | Path, resolutions: Sequence[str]) -> FluxFile:
    """The one ONEFlux table of the wanted resolution in a CSV file or in a zip of CSV files.

    Raises
    ------
    FileError
        Absent, truncated or corrupt file; a zip member whose name leaves the archive.
    ProductError
        Another product or resolution; several tables that would do.
    """
    path = Path(path)
    wanted = " or ".join(RESOLUTIONS[r] for r in resolutions)
    expected = f"a {wanted} FLUXNET2015/ONEFlux FULLSET or SUBSET table (.csv, or the .zip that holds it)"
    refuse_workbook(path, expected)
    tables = list(_tables(path))
    fit = [table for table in tables if table.family == ONEFLUX and table.resolution in resolutions]
    if len(fit) > 1:
        names = ", ".join(sorted(table.name for table in fit))
        raise ProductError(f"{len(fit)} {wanted} tables in one archive", where=path.name, found=names, expected="one")
    if not fit:
        found = "; ".join(table.describe() for table in tables) or "no CSV file"
        raise ProductError(
            f"no {wanted} ONEFlux table", where=path.name, found=found, expected=expected, remedy=_remedy(tables)
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


def read_columns(table: FluxFile, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns only: time stamps as text, all others as float64 with -9999 as NaN.

    Raises
    ------
    FileError
        A row with too few fields, text in a column of numbers, or a damaged archive.
    """
    import numpy as np
    import pyarrow as arrow
    from pyarrow import csv

    types = {name: arrow.string() if name.startswith("TIMESTAMP") else arrow.float64() for name in columns}
    convert = csv.ConvertOptions(include_columns=list(columns), column_types=types)
    with _opened(table.path, table.member) as stream:
        try:
            frame = csv.read_csv(stream, convert_options=convert).to_pandas()
        except arrow.ArrowInvalid as exc:
            raise FileError(
                "the table is damaged or truncated",
                where=table.name,
                found="not text in UTF-8" if "UTF8" in str(exc) else str(exc).split("\n")[0][:200],
                expected=f"{len(table.columns)} fields in every row, numbers below the header",
                remedy="Download the file again",
            ) from None
    numbers = [name for name in columns if not name.startswith("TIMESTAMP")]
    frame[numbers] = frame[numbers].mask(frame[numbers] == -9999.0, np.nan)
    return frame


def refuse_workbook(path: Path, expected: str) -> None:
    """Raise if `path` is absent, a folder or an Excel workbook, judged by its content."""
    if path.is_dir():
        raise FileError("this is a folder", where=path, expected=expected, remedy="Give the file itself")
    if not path.is_file():
        raise FileError("no such file", where=path, remedy="Check the path")
    with path.open("rb") as stream:
        magic = stream.read(8)
    with _readable(path):
        workbook = magic.startswith(b"\xd0\xcf\x11\xe0") or (
            magic.startswith(b"PK") and any(n.startswith("xl/") for n in zipfile.ZipFile(path).namelist())
        )
    if workbook:
        raise ProductError(
            "the file is an Excel workbook", where=path.name, expected=expected, remedy="Save the sheet as CSV (UTF-8)"
        )


def _tables(path: Path) -> Iterator[FluxFile]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    if not zipped:
        yield _identify(path, None)
        return
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name):
            raise FileError(
                "a member's name leaves the archive", where=path.name, found=name, remedy="Do not trust this archive"
            )
    for name in names:
        if name.lower().endswith(".csv"):
            yield _identify(path, name)


def _identify(path: Path, member: str | None) -> FluxFile:
    with _opened(path, member) as stream:
        lines: list[str] = []
        comments = False
        while len(lines) < 2 and (raw := stream.readline(_HEADER_LIMIT)):
            line = raw.decode("utf-8-sig", errors="replace").strip()
            comments |= line.startswith("#")
            if line and not line.startswith("#"):
                lines.append(line)
    columns = tuple(cell.strip().strip('"') for cell in lines[0].split(",")) if lines else ()
    row = dict(zip(columns, (cell.strip() for cell in lines[1].split(",")), strict=False)) if len(lines) > 1 else {}
    name = member or path.name
    return FluxFile(path, member, columns, _family(columns, comments, name), _resolution(row))


def _family(columns: Sequence[str], comments: bool, name: str) -> str:
    data = [column for column in columns if not column.startswith("TIMESTAMP")]
    if len(data) == len(columns):
        return OTHER
    if comments or "_BASE_" in name:
        return BASE
    if any(_ONEFLUX_COLUMN.match(column) for column in data):
        return ONEFLUX
    return REANALYSIS if data and all(column.endswith("_ERA") for column in data) else OTHER


def _resolution(row: dict[str, str]) -> str:
    """From the first row's time stamps: 8 digits are a day, 12 the start of a half-hour or an hour."""
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


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    with _readable(path):
        if member is None:
            with path.open("rb") as stream:
                yield stream
        else:
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                yield stream


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the ways in which an archive can be damaged into one error."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as exc:
        raise FileError(
            "the archive is truncated, damaged or encrypted",
            where=path.name,
            found=str(exc) or type(exc).__name__,
            expected="a whole zip",
            remedy="Download it again",
        ) from None
