"""Claims from a plain site table: one row for each tower, in our own column names or in FLUXNET's.

A user can correct such a table, so whatever cannot be used in it is an error that names row and column.
"""

from __future__ import annotations

from ecoembed.archives.sites.claims import ALIASES, Claim, Source, allowed, parse
from ecoembed.archives.sites.tables import Table
from ecoembed.errors import TableError

_OURS = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
_COORDINATES = ("latitude", "longitude")
_NO_VALUES = ("site_id", "geometry")  # a table that geopandas wrote has its points once more, as text


def plain_claims(table: Table, alone: bool) -> Source:
    """The claims of a plain table; `alone`, it must give the coordinates of all its sites.

    Raises
    ------
    TableError
        A column is absent or given twice; a site has no name or stands in two rows; a value is impossible.
    """
    columns = _columns(table, alone)
    at = columns.index("site_id")
    claims: list[Claim] = []
    rows: dict[str, int] = {}
    for number, cells in table.rows:
        site = _site(cells[at], rows, f"{table.name}, row {number}, column site_id")
        rows[site] = number
        given = {c: text for c, text in zip(columns, cells, strict=True) if text and c not in _NO_VALUES}
        for column in _COORDINATES:
            if column not in given and (alone or given.keys() & _COORDINATES):
                raise no_coordinates(table.name, number, site, column)
        for spelled, column in zip(table.columns, columns, strict=True):
            if column in given:
                value = _parsed(column, given[column], f"{table.name}, row {number} ({site}), column {column}")
                claims.append(Claim(site, column, value, given[column], table.name, spelled))
    values = [column for column in columns if column not in _NO_VALUES]
    return Source(table.path, table.name, claims, values, rows, strict=True, decimal_commas=table.decimal_commas)


def no_coordinates(name: str, row: int, site: str, column: str, remedy: str | None = None) -> TableError:
    where = f"{name}, row {row} ({site}), column {column}"
    return TableError("impossible value", where=where, found="an empty cell", expected=allowed(column), remedy=remedy)


def _columns(table: Table, alone: bool) -> list[str]:
    """Our names for the known spellings; all others as they are."""
    names = [_OURS.get(column.lower(), column) for column in table.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        both = [column for column, name in zip(table.columns, names, strict=True) if name in twice]
        raise TableError(
            f"column {', '.join(twice)} given twice", where=table.name, found=both, remedy="Keep one of them"
        )
    required = ("site_id", *(_COORDINATES if alone else ()))
    if absent := [name for name in required if name not in names]:
        spellings = (" or ".join((name, *(alias.upper() for alias in ALIASES[name]))) for name in absent)
        raise TableError(
            f"column {', '.join(absent)} absent",
            where=table.name,
            found=", ".join(table.columns),
            expected="; ".join(spellings),
        )
    return names


def _site(name: str, seen: dict[str, int], where: str) -> str:
    if not name:
        raise TableError("site without a name", where=where, found="an empty cell", expected="its site ID")
    before = next((other for other in seen if other.upper() == name.upper()), None)
    if before is not None:
        also = "" if before == name else f" as {before}"
        raise TableError("site given twice", where=where, found=f"{name}, in row {seen[before]}{also}")
    return name


def _parsed(column: str, text: str, where: str) -> float | str:
    try:
        return parse(column, text)
    except TableError as exc:
        raise TableError(exc.what, where=where, **{k: v for k, v in exc.facts().items() if k != "where"}) from None
