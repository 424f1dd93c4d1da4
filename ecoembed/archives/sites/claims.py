"""What a source says about a site: one claim for each value, with the place in the source where it stands.

Source of the spellings: FLUXNET BADM variable names (fluxnet.org, BADM data product), the FLUXNET shuttle's catalogue
and the table of aerodynamic heights (``ZM_F``, ``ZM_QC``) that circulates beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ecoembed import schema
from ecoembed.errors import TableError

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
    "aerodynamic_height": ("zm_f",),
    "aerodynamic_height_qc": ("zm_qc",),
}
NUMBERS = (
    "latitude",
    "longitude",
    "elevation",
    "canopy_height",
    "measurement_height",
    "utc_offset",
    "aerodynamic_height",
)
#: Known columns that a site table has only where a source knows them.
OPTIONAL = ("aerodynamic_height", "aerodynamic_height_qc")

#: A value that means nothing without another comes from the same entry of the same source, or is missing.
FOLLOWS = {"longitude": "latitude", "aerodynamic_height_qc": "aerodynamic_height"}

_UNITS = {"latitude": "degrees", "longitude": "degrees", "utc_offset": "h"}  # all other numbers are in m


class Claim(NamedTuple):
    """One value of one site, as one source gives it.

    ``text`` is the cell as it stands, ``variable`` its column or BADM variable with the qualifiers that chose it,
    ``group`` and ``date`` are those of a BIF entry.
    """

    site: str
    column: str
    value: float | str
    text: str
    source: str
    variable: str
    group: str = ""
    date: str = ""


Key = tuple[str, str]  # site, column
Claims = dict[Key, list[Claim]]  # the best first
Chosen = dict[Key, Claim]


@dataclass(frozen=True)
class Source:
    """The claims of one table, the best first for each site and column; its columns, and its sites' rows, in order.

    ``strict`` is a user's table, whose every row must be usable; entries of an archive are left out and counted.
    ``decimal_commas`` counts the numbers that are written with one.
    """

    path: Path
    name: str
    claims: list[Claim]
    columns: list[str]
    rows: dict[str, int]
    strict: bool
    left_out: Counter[str] = field(default_factory=Counter)
    decimal_commas: int = 0


def parse(column: str, text: str) -> float | str:
    """The value of a cell of `column`.

    Raises
    ------
    TableError
        Not a number, or not allowed; without a place, which the caller knows.
    """
    if column in NUMBERS:
        return _number(column, text)
    if column == "igbp" and text not in schema.IGBP:
        remedy = f"Did you mean {text.upper()!r}?" if text.upper() in schema.IGBP else None
        raise TableError("impossible value", found=repr(text), expected=allowed(column), remedy=remedy)
    return text


def _number(column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        point = text.replace(",", ".")
        remedy = f"Write it with a decimal point: {point}" if re.fullmatch(r"[+-]?\d+\.\d+", point) else None
        raise TableError(
            "not a number",
            found=repr(text),
            expected=f"a number in {_UNITS.get(column, 'm')}, or an empty cell where unknown",
            remedy=remedy,
        ) from None
    facts = schema.sites_schema().columns[column].checks[0].statistics
    if facts["min_value"] <= value <= facts["max_value"]:
        return value
    remedy = "Are latitude and longitude exchanged?" if column == "latitude" and abs(value) <= 180 else None
    raise TableError("impossible value", found=value, expected=allowed(column), remedy=remedy)


def allowed(column: str) -> str:
    """What the schema allows in `column`, in words."""
    facts = schema.sites_schema().columns[column].checks[0].statistics
    if "allowed_values" in facts:
        return f"one of {', '.join(facts['allowed_values'])}, or an empty cell where unknown"
    return f"between {facts['min_value']} and {facts['max_value']} {_UNITS.get(column, 'm')}"
