"""Files in BADM's interchange format, in the real naming, of towers that do not exist."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

HEADER = ("SITE_ID", "GROUP_ID", "VARIABLE_GROUP", "VARIABLE", "DATAVALUE")
Rows = list[tuple[object, ...]]


def group(site: str, number: int, name: str, **values: object) -> Rows:
    """One group of a site: ``group("XX-T01", 7, "GRP_IGBP", IGBP="GRA")``."""
    return [(site, number, name, variable, str(value)) for variable, value in values.items()]


def location(site: str, number: int, latitude: object, longitude: object, **more: object) -> Rows:
    return group(site, number, "GRP_LOCATION", LOCATION_LAT=latitude, LOCATION_LONG=longitude, **more)


def height(site: str, number: int, metres: object, statistic: str = "Mean", date: object = "", **more: object) -> Rows:
    dated = {"HEIGHTC_DATE": date} if date else {}
    return group(site, number, "GRP_HEIGHTC", HEIGHTC=metres, HEIGHTC_STATISTIC=statistic, **dated, **more)


def variable(site: str, number: int, name: str, metres: object, date: object = "") -> Rows:
    dated = {"VAR_INFO_DATE": date} if date else {}
    return group(site, number, "GRP_VAR_INFO", VAR_INFO_VARNAME=name, VAR_INFO_HEIGHT=metres, **dated)


TOWER: Rows = [
    *location("XX-T01", 1, "48.12345", "11.54321", LOCATION_ELEV="512", LOCATION_DATE_START="2004"),
    *group("XX-T01", 2, "GRP_IGBP", IGBP="ENF"),
    *group("XX-T01", 3, "GRP_UTC_OFFSET", UTC_OFFSET="1", UTC_OFFSET_COMMENT="no daylight saving"),
    *height("XX-T01", 4, "25.5", date="20120715"),
    *variable("XX-T01", 5, "USTAR", "42"),
    *group("XX-T01", 6, "GRP_TEAM_MEMBER", TEAM_MEMBER_NAME="Jürgen Müller"),
]


def csv_bytes(rows: Iterable[tuple[object, ...]], header: tuple[str, ...] = HEADER, encoding: str = "utf-8") -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode(encoding)


def write_workbook(path: Path, *sheets: Iterable[tuple[object, ...]], titles: tuple[str, ...] = ("FLX-BIF",)) -> Path:
    """Each of `sheets` is its rows, the header among them."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for title, rows in zip(titles, sheets, strict=True):
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def write_bif(path: Path, rows: Rows) -> Path:
    """A workbook or, by its name, a CSV."""
    if path.suffix == ".csv":
        path.write_bytes(csv_bytes(rows))
        return path
    return write_workbook(path, [HEADER, *rows])


def write_zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
