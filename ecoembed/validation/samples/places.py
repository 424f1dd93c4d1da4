"""What a table tells of its sites: where they stand, what grows there, in which climate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, TableError
from ecoembed.validation.samples.columns import as_sites

__all__ = [
    "PLACE_KEYS", "SITE_COLUMNS", "check_places", "coordinates", "places_of", "site_places", "with_site_table",
]  # fmt: skip

#: What may be known of a place: numbers, and classes.
PLACE_KEYS = ("latitude", "longitude", "vegetation", "climate")
#: Their names in a table of sites.
SITE_COLUMNS = {"latitude": "latitude", "longitude": "longitude", "vegetation": "igbp", "climate": "climate"}
_NUMBERS = PLACE_KEYS[:2]
_LIMITS = {"latitude": 90.0, "longitude": 180.0}


def check_places(places: Mapping[str, Any] | None) -> dict[str, str | float]:
    """The mapping, if its keys are known and its values columns (the latitude may be a number).

    Raises
    ------
    ConfigError
        If not.
    """
    given = dict(places or {})
    unknown = set(given) - set(PLACE_KEYS)
    if unknown:
        raise ConfigError("places", found=", ".join(sorted(unknown)), expected=f"some of {', '.join(PLACE_KEYS)}")
    for key, value in given.items():
        if not isinstance(value, str) and not (key == "latitude" and isinstance(value, int | float)):
            raise ConfigError(f"places: {key} is not a column", found=repr(value), expected="a column of the table")
    return given


def coordinates(samples: Any) -> dict[str, tuple[float, float]]:
    """Where the sites of `Samples` stand, of those of which both are known."""
    there = samples.places[["latitude", "longitude"]].dropna()
    return {str(name): (float(row.latitude), float(row.longitude)) for name, row in there.iterrows()}


def places_of(sites: pd.DataFrame) -> pd.DataFrame:
    """What a site table knows of its places: one row for each site, with the columns `PLACE_KEYS`."""
    return pd.DataFrame(sites).reindex(columns=list(SITE_COLUMNS.values())).set_axis(list(SITE_COLUMNS), axis=1)


def with_site_table(
    frame: pd.DataFrame, site: str, places: Mapping[str, str | float], site_table: Any
) -> tuple[pd.DataFrame, dict[str, str | float]]:
    """A flat table with what a site table knows of its places, as columns; and `places` with the names of these.

    Parameters
    ----------
    frame : pandas.DataFrame
    site : str
        The column of the site IDs, as the site table spells them.
    places : mapping
        What the table itself knows; it comes first.
    site_table : geopandas.GeoDataFrame, or path
        `Sites`, or a file that :func:`ecoembed.read_sites` reads.

    Raises
    ------
    TableError
        If the site table knows none of the sites.
    """
    from ecoembed.archives.sites.reader import read_sites

    sites = site_table if isinstance(site_table, pd.DataFrame) else read_sites(site_table)
    ids = as_sites(frame[site])
    if not ids.isin(sites.index).any():
        raise TableError(
            "the site table knows none of the sites", where="site table", found=", ".join(map(str, sites.index[:4])),
            expected=", ".join(map(str, ids.dropna().unique()[:4])),
        )  # fmt: skip
    named = dict(places)
    told: dict[str, pd.Series] = {}
    for key, column in SITE_COLUMNS.items():
        if key not in named and column in sites and sites[column].notna().any():
            named[key] = name = f"place.{key}"
            told[name] = ids.map(sites[column].to_dict())
    return frame.assign(**told), named


def site_places(frame: pd.DataFrame, site: str, places: Mapping[str, str | float]) -> pd.DataFrame:
    """One row for each site of `frame`, sorted, with the columns `PLACE_KEYS`; NaN or None where unknown.

    Raises
    ------
    TableError
        If a site has two classes or two latitudes, or a latitude or longitude is impossible.
    """
    names = pd.Index(np.unique(frame[site].to_numpy(dtype=object)), name=site)
    known = pd.DataFrame(index=names)
    for key in PLACE_KEYS:
        column = places.get(key)
        if isinstance(column, str):
            known[key] = _of_sites(frame, site, column, key).reindex(names)
        else:
            known[key] = np.nan if column is None else float(column)
        known[key] = known[key].astype(float) if key in _NUMBERS else known[key].astype(object)
        if key not in _NUMBERS:
            known[key] = known[key].where(known[key].notna(), None)
    return known


def _of_sites(frame: pd.DataFrame, site: str, column: str, key: str) -> pd.Series:
    told = frame[[site, column]].dropna().drop_duplicates()
    if key in _NUMBERS:
        beyond = told[told[column].abs() > _LIMITS[key]]
        if len(beyond):
            row = beyond.iloc[0]
            raise TableError(
                f"no {key}", where=f"{row[site]}, {column}", found=row[column],
                expected=f"degrees, at most {_LIMITS[key]:g}", remedy="Are latitude and longitude exchanged?",
            )  # fmt: skip
        spread = told.groupby(site)[column].agg(np.ptp)
        moved = spread.index[spread > 0.1]
        told = told.groupby(site)[column].median()
    else:
        told[column] = told[column].astype(str)
        moved = told[site][told[site].duplicated()]
        told = told.drop_duplicates(site).set_index(site)[column]
    if len(moved):
        found = ", ".join(map(str, frame.loc[frame[site] == moved[0], column].dropna().unique()[:4]))
        raise TableError(
            f"one site, several values of {key}", where=f"{moved[0]}, {column}", found=found, expected="one for a site",
            remedy="Correct the table: each place has one",
        )  # fmt: skip
    return told
