"""The tables in the files that a user has, told from their content, and the columns wanted of them.

A table may be a text file (plain or gzipped), a workbook's sheet, a member of a zip, or several of these that continue
each other; or what a user's own TOML describes (:mod:`ecoembed.archives.flux.owntable`). Nothing is extracted to disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ecoembed.archives.containers import Part, list_parts
from ecoembed.archives.flux.collection import CollectionSource, is_collection, open_collection
from ecoembed.archives.flux.layout import sniff
from ecoembed.archives.flux.owntable import Description, open_text, read_description, unit_of
from ecoembed.archives.flux.products import (
    BASE,
    ONEFLUX,
    OTHER,
    OWN,
    RAW,
    REANALYSIS,
    RESOLUTIONS,
    STAMPS,
    find_clock,
    find_family,
    find_kind,
    find_resolution,
    find_site,
)
from ecoembed.archives.flux.textcolumns import TextSource
from ecoembed.archives.workbooks import is_workbook, list_sheets
from ecoembed.errors import FileError, ProductError, check_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BASE",
    "ONEFLUX",
    "OTHER",
    "OWN",
    "RAW",
    "REANALYSIS",
    "RESOLUTIONS",
    "FluxFile",
    "find_tables",
    "read_columns",
]

_TEXT = (".csv", ".txt", ".tsv", ".dat")


@dataclass(frozen=True)
class FluxFile:
    """One table of one site, in one or several parts.

    ``family`` is the product (``ONEFLUX``, ``BASE``...), ``resolution`` a key of ``RESOLUTIONS`` or ``"?"``. For a
    table that a TOML describes, ``columns`` are the TOML's names and ``originals`` the file's own, ``units`` are the
    TOML's (or a collection's own), ``sites`` are all sites of the file, and ``utc_offset`` is in h.
    """

    sources: tuple[TextSource | CollectionSource, ...] = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    family: str
    resolution: str
    product: str
    site: str | None
    sites: tuple[str, ...] = field(default=(), repr=False)
    utc_offset: float | None = None
    units: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    originals: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(source.part for source in self.sources)

    @property
    def path(self) -> Path:
        return self.parts[0].path

    @property
    def name(self) -> str:
        """The first part's, and how many more there are."""
        return self.parts[0].name + (f" and {len(self.parts) - 1} more" if len(self.parts) > 1 else "")

    def describe(self) -> str:
        period = RESOLUTIONS.get(self.resolution)
        return f"{period} {self.family} ({self.name})" if period else f"{self.family}, not a time series ({self.name})"


def find_tables(path: str | Path | Sequence[str | Path], description: str | Path | None = None) -> list[FluxFile]:
    """Every table in a file, a zip, a workbook, a collection, or several files.

    What belongs to one site, product and resolution (yearly members, several files) is one table of several parts.

    Parameters
    ----------
    path : path or sequence of paths
    description : path, optional
        The TOML that describes a user's own table or collection.

    Raises
    ------
    FileError
        Absent, empty, truncated or corrupt; two sites in one name; an archive that is not to be trusted.
    ProductError
        No table at all; a collection without its description; a stamp that may mark start or end.
    ConfigError
        A description that is wrong, or does not fit.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    own = None if description is None else read_description(description)
    found = [table for one in paths for table in (_described(one, own) if own else _networks(one))]
    if not found:
        names = ", ".join(one.name for one in paths) or "no file"
        raise ProductError("no table of fluxes in it", where=names, expected="CSV, workbook, or a zip that holds them")
    groups: list[list[FluxFile]] = []
    for table in found:
        group = next((group for group in groups if _continues(group[0], table)), None)
        if group is None:
            groups.append([table])
        else:
            group.append(table)
    return [_joined(group) for group in groups]


def read_columns(table: FluxFile, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns as float64, missing values as NaN; the others are not converted.

    Returns
    -------
    pd.DataFrame
        Rows as in the file (unsorted, perhaps repeated), indexed by ``time``: the start of the averaging period in
        local standard time. ``attrs["repairs"]`` counts what was repaired, by reason; ``attrs["parts"]`` are the names
        of the parts, each with its number of rows.

    Raises
    ------
    FileError
        A damaged table: a row with too few fields, text among numbers, a time stamp that cannot be read...
    ProductError
        No time stamps, or none that can be understood.
    ConfigError
        A column that the table does not have; the nearest is named.
    """
    import pandas as pd

    for name in columns:
        check_name(name, table.columns, "column", where=table.name)
    repairs: Counter[str] = Counter()
    pieces = [source.read(columns, repairs) for source in table.sources]
    for name in columns:
        for piece in pieces:
            if name not in piece:
                piece[name] = np.full(len(piece["time"]), np.nan)
                repairs[f"rows of parts without {name}"] += len(piece["time"])
    parts = [(name, len(piece["time"])) for name, piece in zip(part_names(table.parts), pieces, strict=True)]
    arrays = {name: _concatenated([piece.pop(name) for piece in pieces]) for name in ("time", *dict.fromkeys(columns))}
    index = pd.DatetimeIndex(arrays.pop("time"), name="time")
    frame = pd.DataFrame(arrays, index=index, columns=list(columns), copy=False)
    frame.attrs |= {"repairs": dict(repairs), "parts": parts}
    return frame


def part_names(parts: Sequence[Part]) -> list[str]:
    """A name for each part: with its archive where two have the same, and with its folder where that is not enough."""
    for say in (lambda part: part.name, lambda part: f"{part.path.name}/{part.name}"):
        names = [say(part) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{part.path}/{part.name}" if part.member else str(part.path) for part in parts]


def _concatenated(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _networks(path: Path) -> Iterator[FluxFile]:
    """The tables whose product is known by its own names."""
    if is_collection(path):
        raise ProductError(
            "a Zarr or NetCDF collection",
            where=path.name,
            expected="a table of fluxes, or a TOML that says which variable is which",
            remedy="Give its description (ecoembed.archives.flux.owntable)",
        )
    for part in _tables(path):
        layout = sniff(part)
        family, resolution = find_family(layout, part), find_resolution(layout)
        if family != OTHER and not layout.rows:
            raise FileError("a header without rows", where=part.name, remedy="Download the file again")
        clock = None if family == OTHER else find_clock(layout, resolution, part)
        product = f"{find_kind(layout, part) if family == ONEFLUX else family} {resolution}"
        if clock is not None and clock.columns == ("TIMESTAMP",) and clock.digits == 12:
            told = f"table whose TIMESTAMP was taken as the {clock.convention} of its period, by its first one"
            layout = replace(layout, notes={**layout.notes, told: 1})
        source = TextSource(part, layout, clock)
        yield FluxFile((source,), layout.columns, family, resolution, product, find_site(layout, part))


def _described(path: Path, own: Description) -> Iterator[FluxFile]:
    """The sites' tables in a file that a user has described."""
    found: list[tuple[TextSource | CollectionSource, str]]
    if is_collection(path):
        sources, resolution, units = open_collection(path, own)
        found = [(source, resolution) for source in sources]
    else:
        found = [*open_text(_tables(path), own)]
        units = {name: unit_of(name, one.unit, path.name) for name, one in own.columns.items()}
    originals = {name: one.column for name, one in own.columns.items()}
    sites = tuple(dict.fromkeys(source.site for source, _ in found if source.site))
    for source, resolution in found:
        site, offset = source.site, own.offset(source.site, source.part.name)
        product = f"{own.product} {resolution}"
        yield FluxFile((source,), tuple(units), OWN, resolution, product, site, sites, offset, units, originals)


def _tables(path: Path) -> list[Part]:
    """The parts that may be tables. A workbook in a zip counts only where there is no text (beside, it is a BIF)."""
    parts = list_parts(path)
    books = [part for part in parts if is_workbook(part)]
    text = [part for part in parts if part not in books and (part.member is None or part.name.lower().endswith(_TEXT))]
    return text or [sheet for book in books for sheet in list_sheets(book)]


def _continues(first: FluxFile, table: FluxFile) -> bool:
    """Whether a table is more rows of the `first` one: same site and product, and mostly the same columns."""
    if (table.site, table.family, table.product) != (first.site, first.family, first.product) or table.family == OTHER:
        return False
    ours, theirs = set(first.columns) - set(STAMPS), set(table.columns) - set(STAMPS)
    return 2 * len(ours & theirs) >= min(len(ours), len(theirs))


def _joined(tables: Sequence[FluxFile]) -> FluxFile:
    sources = sorted((source for table in tables for source in table.sources), key=lambda source: source.part.name)
    columns = dict.fromkeys(name for table in tables for name in table.columns)
    return replace(tables[0], sources=tuple(sources), columns=tuple(columns))
