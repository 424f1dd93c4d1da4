"""Claims from BADM's interchange format (BIF), where a site's numbers lie scattered over groups with dates.

Several entries of one variable are ranked, the best first; the others stay as candidates:

- location, IGBP, UTC offset: the latest date; an entry without a date comes last; of two alike the larger group number;
- canopy height: the latest year; in it the mean (or the median, or a single observation) before upper percentiles and
  the maximum, the whole canopy before one species, and of those the tallest: the grown canopy, under which most carbon
  is taken up. Minima and spreads are no canopy height;
- measurement height: that of the friction velocity, else of a flux (``VAR_INFO_HEIGHT``); the latest date, the highest.

``GROUP_ID`` is not unique: two sites, or two kinds of group, may share one (FLUXNET2015's own file has such).

Source: BADM Standards of AmeriFlux and FLUXNET (ameriflux.lbl.gov/data/badm).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from ecoembed.archives.sites.claims import Claim, Source, parse
from ecoembed.archives.sites.tables import BIF, Table
from ecoembed.errors import TableError

Key = tuple[str, str, str]  # site, variable group, group number
Entry = dict[str, str]  # BADM variable -> text

#: Column -> the BADM group and variable it is read from, and the variable that dates it.
_WHERE = {
    "latitude": ("GRP_LOCATION", "LOCATION_LAT", "LOCATION_DATE_START"),
    "longitude": ("GRP_LOCATION", "LOCATION_LONG", "LOCATION_DATE_START"),
    "elevation": ("GRP_LOCATION", "LOCATION_ELEV", "LOCATION_DATE_START"),
    "igbp": ("GRP_IGBP", "IGBP", "IGBP_DATE_START"),
    "utc_offset": ("GRP_UTC_OFFSET", "UTC_OFFSET", "UTC_OFFSET_DATE_START"),
    "canopy_height": ("GRP_HEIGHTC", "HEIGHTC", "HEIGHTC_DATE"),
    "measurement_height": ("GRP_VAR_INFO", "VAR_INFO_HEIGHT", "VAR_INFO_DATE"),
    "citation": ("GRP_DOI", "DOI_CITATION", ""),
    "mat": ("GRP_CLIM_AVG", "MAT", ""),
    "map": ("GRP_CLIM_AVG", "MAP", ""),
}
_GROUPS = {group for group, _, _ in _WHERE.values()}
#: The variables that qualify a value; they are named with it, so that a reader sees why it was chosen.
_QUALIFIERS = {"canopy_height": ("HEIGHTC_STATISTIC", "HEIGHTC_SPP"), "measurement_height": ("VAR_INFO_VARNAME",)}

_CENTRE = ("", "mean", "median", "50th percentile", "single observation")
_UPPER = re.compile(r"maximum|([6-9]\d|100)th percentile")
_FLUXES = ("USTAR", "FC", "NEE", "H", "LE", "TAU")


def badm_claims(table: Table) -> Source:
    """The claims of a BIF table; entries that cannot be used are counted by reason.

    Raises
    ------
    TableError
        A column of the format is absent.
    """
    left_out: Counter[str] = Counter()
    entries, rows = _entries(table, left_out)
    claims: list[Claim] = []
    for column, (group, variable, dated) in _WHERE.items():
        ranked = []
        for (site, kind, number), entry in entries.items():
            if kind != group or variable not in entry:
                continue
            if not _wanted(column, entry):
                continue
            text, date = entry[variable], entry.get(dated, "")
            try:
                value = parse(column, text)
            except TableError as exc:
                left_out[f"{variable} {exc.what}"] += 1
                continue
            named = "; ".join((variable, *(entry[q] for q in _QUALIFIERS.get(column, ()) if q in entry)))
            rank = (*_rank(column, entry, value, _digits(date)), number.zfill(20), text)
            ranked.append((rank, Claim(site, column, value, text, table.name, named, number, date)))
        claims += [claim for _, claim in sorted(ranked, reverse=True)]
    columns = list(dict.fromkeys(claim.column for claim in claims))
    return Source(table.path, table.name, claims, columns, rows, strict=False, left_out=left_out)


def _entries(table: Table, left_out: Counter[str]) -> tuple[dict[Key, Entry], dict[str, int]]:
    """The groups that matter here, and the first row of every site."""
    names = [column.upper() for column in table.columns]
    if absent := [name for name in BIF if name not in names]:
        raise TableError(
            f"column {', '.join(absent)} absent",
            where=table.name,
            found=", ".join(table.columns),
            expected=f"BADM's interchange format: {', '.join(BIF)}",
        )
    at = [names.index(name) for name in BIF]
    entries: defaultdict[Key, Entry] = defaultdict(dict)
    twice: set[tuple[Key, str]] = set()
    rows: dict[str, int] = {}
    for row, cells in table.rows:
        site, number, group, variable, text = (cells[i] for i in at)
        group = group.rpartition("\\")[2]  # a few exports carry the path of the maker's disk before the name
        if group not in _GROUPS or not text:
            continue
        if not site:
            left_out["rows without SITE_ID"] += 1
            continue
        rows.setdefault(site, row)
        key = (site, group, number)
        if entries[key].setdefault(variable, text) != text:
            twice.add((key, variable))
    for key, variable in twice:  # which of the two is meant, nobody can say
        entries[key].pop(variable)
        left_out[f"{variable} given twice in one group"] += 1
    return entries, rows


def _wanted(column: str, entry: Entry) -> bool:
    """Not every height is one of the whole canopy, or of the fluxes."""
    if column == "canopy_height":
        return _statistic(entry) in _CENTRE or _UPPER.fullmatch(_statistic(entry)) is not None
    return column != "measurement_height" or _flux(entry) in _FLUXES


def _rank(column: str, entry: Entry, value: float | str, date: str) -> tuple[float | str, ...]:
    """Greater is better."""
    if column == "canopy_height":
        return date[:4], _statistic(entry) in _CENTRE, "HEIGHTC_SPP" not in entry, value, date
    if column == "measurement_height":
        return -_FLUXES.index(_flux(entry)), date, value
    return (date,)


def _statistic(entry: Entry) -> str:
    return entry.get("HEIGHTC_STATISTIC", "").lower()


def _flux(entry: Entry) -> str:
    """``NEE_VUT_REF`` is NEE, ``FC_1_1_1`` is FC; ``H2O`` is not H."""
    return entry.get("VAR_INFO_VARNAME", "").partition("_")[0]


def _digits(date: str) -> str:
    """2004, 201205, 20130524 and 201104281630 in one order: a year alone comes before its months."""
    return re.sub(r"\D", "", date).ljust(12, "0") if date else ""
