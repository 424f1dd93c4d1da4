"""Site tables: where each tower stands and how it is built, from one source or from several, merged by site.

A source is a plain table (CSV or a sheet of a workbook), the FLUXNET shuttle's catalogue, or BADM's interchange format
(BIF) as a workbook, a CSV or inside a flux product's zip.
"""

from __future__ import annotations

import functools
import itertools
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecoembed import schema
from ecoembed.archives.sites.badm import badm_claims
from ecoembed.archives.sites.claims import ALIASES, NUMBERS, OPTIONAL, Chosen, Source
from ecoembed.archives.sites.doubts import doubts, earlier_conflicts
from ecoembed.archives.sites.merge import choose, conflict_table, gather, origin_table
from ecoembed.archives.sites.plain import no_coordinates, plain_claims
from ecoembed.archives.sites.tables import Table, read_tables
from ecoembed.errors import EcoembedError, ProductError, TableError
from ecoembed.files import atomic

if TYPE_CHECKING:
    import geopandas

_BESIDE = ("origin", "conflicts")  # what is written beside a table: sites.csv, sites.origin.csv, sites.conflicts.csv

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class SiteRecords(NamedTuple):
    """Sites with the origin of every value, and with the disagreements of their sources.

    Attributes
    ----------
    sites : geopandas.GeoDataFrame
        As of :func:`read_sites`.
    origin : pandas.DataFrame
        One row for each value that is not missing: site, column, value, text (as it is written there), source (file),
        variable (the column or BADM variable there), group and date (of a BIF entry), candidates (different values that
        the source gives).
    conflicts : pandas.DataFrame
        site, column, value taken, its source, other value, its source, difference, unit (m, h).
    """

    sites: geopandas.GeoDataFrame
    origin: pd.DataFrame
    conflicts: pd.DataFrame


def read_sites(path: Paths) -> geopandas.GeoDataFrame:
    """Read the site table of one source, or of several merged by site.

    Parameters
    ----------
    path : path or sequence of paths
        Files in order of trust: for each value the first that knows it wins. Each is one of

        - a plain table (CSV with commas, or with semicolons and decimal commas; .xlsx) of one row for each site, with
          ``site_id``, ``latitude``, ``longitude`` (degrees, WGS 84) and, where known, ``elevation`` (m), ``igbp``,
          ``canopy_height`` and ``measurement_height`` (m above ground), ``utc_offset`` (h), ``licence``, ``citation``.
          FLUXNET's spellings (``SITE_ID``, ``LOCATION_LAT``, ``LOCATION_LONG``, ``LOCATION_ELEV``, ``IGBP``,
          ``HEIGHTC``, ``SENSOR_HEIGHT``, ``UTC_OFFSET``, ``ZM_F``) are understood, so the FLUXNET shuttle's catalogue
          is one; further columns of the first table are kept as they are, those of others are not;
        - BADM's interchange format (BIF; .xlsx, .csv), or the zip of a flux product that holds one.

        Beside others a table needs only ``site_id``.

    Returns
    -------
    geopandas.GeoDataFrame
        Indexed by ``site_id``; points in EPSG:4326 at the file's full precision; absent optional columns are missing.
        ``aerodynamic_height`` (m above displacement) is there only if a source has it.

    Warns
    -----
    UserWarning
        Coordinates with fewer than four decimals: the tower may stand in another pixel. A ``utc_offset`` that does not
        fit the longitude: its days are cut at the wrong hour. Sources that disagree; entries of an archive left out;
        decimal commas. Each is said once for the same files.

    Raises
    ------
    FileError, ProductError
        A file cannot be read, or holds no site information.
    TableError
        Another separator than comma and semicolon; a column is absent or given twice; a value is impossible; row and
        column are named.
    """
    return merge_sites(path).sites


def read_site(path: Paths, site: str) -> geopandas.GeoDataFrame:
    """As :func:`read_sites`, with one site alone: nothing is said of the others.

    What another source knows otherwise is said once more where the table is one that :func:`write_sites` wrote, with
    its conflicts beside it, and still holds the value that was taken then.

    Raises
    ------
    TableError
        The sources do not hold the site.
    """
    return site_records(path, site).sites


def site_records(path: Paths, site: str) -> SiteRecords:
    """As :func:`read_site`, with the origin of every value and the conflicts between sources."""
    paths = _as_paths(path)
    sources = _sources(paths)
    known = {each.upper(): each for source in sources for each in source.rows}
    if site.upper() not in known:
        near = [known[each] for each in get_close_matches(site.upper(), known, n=1)]
        raise TableError(
            "no such site in the site table",
            where=", ".join(path.name for path in paths),
            found=site,
            remedy=f"Did you mean {near[0]!r}?" if near else None,
        )
    _restrict(sources, [site])
    records = _merged(sources)
    for text in earlier_conflicts(records.sites, [_beside(path)["conflicts"] for path in paths]):
        _warn_once(tuple(paths), text)
    return records._replace(sites=records.sites.rename(index={records.sites.index[0]: site}))


def merge_sites(path: Paths) -> SiteRecords:
    """As :func:`read_sites`, with the origin of every value and the conflicts between sources."""
    return _merged(_sources(_as_paths(path)))


def study_sites(folder: str | Path) -> SiteRecords:
    """The sites of a study's ``sites.csv``, whose empty cells the tables in ``sites/`` complete.

    Those (.csv, .xlsx, .zip) are read in the order of their names, and after them the BIF tables inside the zips of
    ``flux/``. None of them adds a site; without them ``sites.csv`` is all there is.
    """
    folder = Path(folder)
    zips = [path for path in list_tables(folder / "flux") if path.suffix.lower() == ".zip"]
    first, *others = _sources([folder / "sites.csv", *list_tables(folder / "sites")], zips)
    _restrict(others, first.rows)
    return _merged([first, *others])


def write_sites(records: SiteRecords, path: str | Path) -> None:
    """Write the sites as a plain CSV, which :func:`read_sites` reads back unchanged.

    Beside ``sites.csv`` come ``sites.origin.csv`` and ``sites.conflicts.csv``.
    """
    path = Path(path)
    tables = (records.origin, records.conflicts)
    for table, target in zip(tables, _beside(path).values(), strict=True):
        with atomic(target) as temporary:
            table.to_csv(temporary, index=False)
    sites = records.sites.drop(columns="geometry")
    for column in ("latitude", "longitude"):  # as they are spelled: 38.1230 has four decimals, 38.123 has three
        spelled = records.origin[records.origin["column"] == column].set_index("site")["text"].reindex(sites.index)
        sites[column] = spelled.where(pd.to_numeric(spelled) == sites[column], sites[column])
    with atomic(path) as temporary:
        sites.to_csv(temporary)


def count_origins(records: SiteRecords) -> pd.DataFrame:
    """How many sites have each known column from each source, and how many lack it."""
    known = [column for column in ALIASES if column in records.sites]
    counts = pd.crosstab(records.origin["column"], records.origin["source"])
    counts = counts.reindex(index=known, columns=records.origin["source"].unique(), fill_value=0)
    return counts.assign(missing=len(records.sites) - counts.sum(axis=1)).rename_axis(index="column", columns=None)


def _as_paths(path: Paths) -> list[Path]:
    return [Path(each) for each in ([path] if isinstance(path, str | os.PathLike) else path)]


def _beside(path: Path) -> dict[str, Path]:
    return {end: path.with_name(f"{path.stem}.{end}.csv") for end in _BESIDE}


def _restrict(sources: Iterable[Source], ids: Iterable[str]) -> None:
    """Leave out all other sites."""
    wanted = {site.upper() for site in ids}
    for source in sources:
        source.claims[:] = [claim for claim in source.claims if claim.site.upper() in wanted]
        for site in [site for site in source.rows if site.upper() not in wanted]:
            del source.rows[site]


def _sources(paths: Sequence[Path], zips: Sequence[Path] = ()) -> list[Source]:
    """Every table of every file, and of `zips` that may hold none; one that stands alone must be complete."""
    files = {path.absolute(): path in paths for path in (*paths, *zips)}
    names = Counter(path.name for path in files)
    tables: list[Table] = []
    for path, needed in files.items():
        try:
            found = read_tables(path, path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}")
        except EcoembedError:
            if needed:
                raise
            continue  # told where its fluxes are read, and only its own site fails
        if needed and not found:
            raise ProductError(
                "no site information in the archive",
                where=path.name,
                expected="a table in BADM's interchange format (BIF) in it",
                remedy="Give the site table itself",
            )
        tables += found
    return [badm_claims(table) if table.bif else plain_claims(table, alone=len(tables) == 1) for table in tables]


def list_tables(folder: Path) -> list[Path]:
    """The tables and zips of a folder by name, without what `write_sites` wrote beside another."""
    own = tuple(f".{end}.csv" for end in _BESIDE)
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    tables = [path for path in paths if path.suffix.lower() in (".csv", ".xlsx", ".zip")]
    return [path for path in tables if not path.name.startswith(".") and not path.name.endswith(own)]


def _merged(sources: Sequence[Source]) -> SiteRecords:
    """Merge, warn, and make the table."""
    import geopandas

    where = ", ".join(source.name for source in sources)
    claims, respelled = gather(sources)
    chosen = choose(claims)
    ids, left_out = _placed(sources, chosen)
    if not ids:
        expected = "at least one row with coordinates below the header"
        raise TableError("no site", where=where, expected=expected, remedy="ecoembed add-site adds one to a study")
    columns = _columns(sources)
    chosen = {key: chosen[key] for key in itertools.product(ids, columns) if key in chosen}
    table = _table(chosen, ids, columns)
    conflicts = conflict_table(chosen, claims)
    commas = sum(source.decimal_commas for source in sources)
    for text in doubts(table, chosen, conflicts, left_out, respelled, commas):
        _warn_once(tuple(source.path for source in sources), f"{where}: {text}")
    points = geopandas.points_from_xy(table["longitude"], table["latitude"])
    sites = geopandas.GeoDataFrame(table, geometry=points, crs="EPSG:4326")
    return SiteRecords(schema.check_sites(sites, where=where), origin_table(chosen, claims), conflicts)


def _placed(sources: Sequence[Source], chosen: Chosen) -> tuple[list[str], Counter[str]]:
    """The sites with coordinates, in order of appearance; one that only an archive knows may lack them: counted."""
    left_out = sum((source.left_out for source in sources), Counter[str]())
    ids: dict[str, None] = {}
    seen: dict[str, str] = {}
    for source in sources:
        for spelled, row in source.rows.items():
            site = seen.setdefault(spelled.upper(), spelled)
            absent = [column for column in ("latitude", "longitude") if (site, column) not in chosen]
            if not absent:
                ids[site] = None
            elif source.strict:
                raise no_coordinates(source.name, row, spelled, absent[0], "No other source knows them")
            else:
                left_out[f"{site} without coordinates"] = 1
    return list(ids), left_out


def _columns(sources: Sequence[Source]) -> list[str]:
    """The known ones first; then what else the first table has, and the archives. Others' own columns stay there."""
    kept = [source for source in sources if source is sources[0] or not source.strict]
    known_somewhere = [column for source in sources for column in source.columns if column in ALIASES]
    given = dict.fromkeys([*known_somewhere, *(column for source in kept for column in source.columns)])
    known = [column for column in ALIASES if column != "site_id" and (column not in OPTIONAL or column in given)]
    return [*known, *(column for column in given if column not in known)]


def _table(chosen: Chosen, ids: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    index = pd.Index(list(ids), name="site_id", dtype=object)
    table = {}
    for column in columns:
        absent, dtype = (np.nan, "float64") if column in NUMBERS else (None, object)
        claims = (chosen.get((site, column)) for site in ids)
        table[column] = pd.Series([claim.value if claim else absent for claim in claims], index, dtype=dtype)
    return pd.DataFrame(table, index=index)


@functools.cache
def _warn_once(files: tuple[Path, ...], text: str) -> None:
    """Warn without a line of our source, which tells a user nothing; a run reads its site table several times."""
    warnings.warn_explicit(text, UserWarning, filename="ecoembed", lineno=0)
