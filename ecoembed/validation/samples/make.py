"""One frozen sample index: the rows that have the target and every named column, sorted by site and date."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, TableError
from ecoembed.gpp.baselines import seasonal_cycle
from ecoembed.gpp.rows import describe_rows
from ecoembed.gpp.windows import make_windows
from ecoembed.schema import check_feature_table
from ecoembed.validation.samples.asked import Asked
from ecoembed.validation.samples.columns import as_dates, as_numbers, as_sites, factors, require
from ecoembed.validation.samples.kept import Reason, keep_rows
from ecoembed.validation.samples.places import site_places
from ecoembed.validation.samples.plausible import implausible, refuse_no_share

__all__ = ["Samples", "make_samples"]

#: Sets that a window of past days leaves as they are.
INSTANTANEOUS = ("climatology", "p_model")


@dataclass(frozen=True)
class Samples:
    """What is scored: n rows that all feature sets share.

    Attributes
    ----------
    site : numpy.ndarray of str, shape (n,)
    date : pandas.DatetimeIndex, shape (n,)
    observed : numpy.ndarray of float, shape (n,)
    features : dict of numpy.ndarray of float, each of shape (n, columns), or of Windows
    columns : dict of numpy.ndarray of float, each of shape (n,)
        Every column of the table that a feature is made of, and every feature but those of the climatology.
    names : dict of list of str
        The name of each column of a set, in order; of a `FeatureTable` with its group: ``meteo.TA``.
    places : pandas.DataFrame
        Indexed by site, sorted: ``latitude``, ``longitude`` (degrees, NaN = unknown), ``vegetation``, ``climate`` (None
        = unknown).
    measured : numpy.ndarray of bool, shape (n,), or None
        Which days were measured, where days that were not are kept.
    variants : dict of numpy.ndarray of float, each of shape (n,)
        Other estimates of the target (another partitioning, another u* threshold); NaN where there is none.
    noise : numpy.ndarray of float, shape (n,), or None
        Random uncertainty of the target, one standard deviation in its unit; NaN where unknown.
    rows : dict of int
        Rows in, rows dropped by reason, rows out.
    site_rows : dict of dict
        The same of each site of the table.
    digest : str
        SHA-256 (first 16 hex digits) of sites, dates, target and the columns used.
    """

    site: np.ndarray
    date: pd.DatetimeIndex
    observed: np.ndarray
    features: dict[str, Any]
    columns: dict[str, np.ndarray]
    names: dict[str, list[str]]
    places: pd.DataFrame
    measured: np.ndarray | None
    variants: dict[str, np.ndarray]
    noise: np.ndarray | None
    rows: dict[str, int]
    site_rows: dict[str, dict[str, int]]
    digest: str

    @property
    def sites_without_rows(self) -> dict[str, str]:
        """Of each site of the table that lost all its rows: how, in words."""
        return {name: describe_rows(rows) for name, rows in self.site_rows.items() if not rows["out"]}


def make_samples(table: pd.DataFrame, asked: Asked) -> Samples:
    """Check the columns, drop incomplete and doubtful rows (counted by reason), sort by site and date.

    Parameters
    ----------
    table : pandas.DataFrame
        Flat, or a `FeatureTable` (then `site` and `date` of `asked` name its index).
    asked : Asked

    Raises
    ------
    TableError
        Absent, non-numeric or infinite columns; undeclared fill values; a negative uncertainty; the target, another
        estimate of it, its uncertainty, site or date among the features; site or date as anything else; dates in
        another notation; two spellings of one site; two different rows of one site and day; a target that never
        changes; no row left.
    UnitError
        Values that the target cannot have in its unit; a quality that is no share where a least share is asked.
    ConfigError
        A set of the user's that is called climatology where that set is made; the target as its own variant or noise.

    Notes
    -----
    A window whose days lack a value is incomplete, and its row dropped; days without a target are history.
    """
    if len(table) == 0:
        raise TableError("the table has no rows", expected="one row for each site and day")
    if table.columns.nlevels == 2:
        table, asked = _flat(table, asked)
    parts = {name: [p for c in columns for p in factors(c, table.columns)] for name, columns in asked.sets.items()}
    names = list(dict.fromkeys(part for listed in parts.values() for part in listed))
    made = asked.climatology and {"vegetation", "latitude"} <= set(asked.places)
    if made and "climatology" in asked.sets:
        raise ConfigError(
            "the set of this name is made of the places", where="features, climatology", remedy="Rename your own"
        )
    _refuse_no_feature(asked, names)
    _refuse_two_roles(asked)
    if asked.target in (*asked.variants, asked.noise):
        raise ConfigError(
            "the target is said to be its own variant or noise", where=asked.target,
            expected="columns of other estimates of it, and of its uncertainty",
        )  # fmt: skip
    frame = _read(table, asked, names)
    windows: dict[str, Any] = {}
    reasons = _reasons(frame, asked, parts)
    if asked.window_days > 1:
        windows, complete = _windows(frame, asked)
        reasons += [(f"window of {asked.window_days} days incomplete", ~complete)]
    frame, rows, site_rows = keep_rows(frame, asked.site, asked.date, reasons)
    features: dict[str, Any] = {
        name: windows[name][frame.index.to_numpy()] if name in windows else _matrix(frame, columns)
        for name, columns in asked.sets.items()
    }
    sites, values = frame[asked.site].to_numpy(dtype=object), frame[[asked.target, *names]].to_numpy(dtype=float)
    if np.ptp(values[:, 0]) == 0:
        raise TableError(
            "the target never changes, so that r2 is undefined", where=asked.target,
            found=f"{values[0, 0]:g} in every row",
        )  # fmt: skip
    columns = {c: _values(frame, c) for listed in asked.sets.values() for c in listed}
    columns = dict(zip(names, values.T[1:], strict=True)) | columns
    dates, known = pd.DatetimeIndex(frame[asked.date]), site_places(frame, asked.site, asked.places)
    listed_names = {name: list(listed) for name, listed in asked.sets.items()}
    if made:
        cycle = seasonal_cycle(dates, known["latitude"].loc[sites].to_numpy(), known["vegetation"].loc[sites], sites)
        features["climatology"], listed_names["climatology"] = cycle.to_numpy(), list(cycle.columns)
    return Samples(
        sites, dates, values[:, 0], features, columns, listed_names, known, _measured(frame, asked.quality),
        {name: frame[name].to_numpy() for name in asked.variants},
        None if asked.noise is None else frame[asked.noise].to_numpy(), rows, site_rows, _digest(sites, dates, values),
    )  # fmt: skip


def _refuse_no_feature(asked: Asked, names: Sequence[str]) -> None:
    """Refuse among the features what identifies a row, and what is the target, estimates it or grows with it."""
    known: dict[str | None, str] = {
        **dict.fromkeys(asked.variants, "another estimate of the target"), asked.noise: "the target's uncertainty",
        asked.target: "the target", asked.site: "the site", asked.date: "the date",
    }  # fmt: skip
    for name in names:
        if name in known:
            raise TableError(f"{known[name]} is among the features", where=name, remedy="Leave it out of every set")


def _refuse_two_roles(asked: Asked) -> None:
    """Refuse the column that identifies a row as anything else of it."""
    if asked.site == asked.date:
        raise TableError("one column is named as the site and as the date", where=asked.site, expected="one of each")
    for name, what in ((asked.site, "site"), (asked.date, "date")):
        if name in asked.columns_of_its_own:
            raise TableError(
                f"the column of the {what} is named as something else, too", where=name,
                expected="another column as target, in [places] and [quality], as variant and noise",
            )  # fmt: skip


def _read(table: pd.DataFrame, asked: Asked, names: list[str]) -> pd.DataFrame:
    """The columns that are named, as text, dates and numbers."""
    require(table, [asked.site, asked.date, *names, *asked.columns_of_its_own])
    kept = dict.fromkeys([asked.site, asked.date, *names, *asked.columns_of_its_own])
    frame = table[list(kept)].copy()
    frame[asked.site], frame[asked.date] = as_sites(frame[asked.site]), as_dates(frame[asked.date])
    classes = ("vegetation", "climate")
    texts = {asked.places.get(key) for key in classes}
    others = replace(asked, places={key: name for key, name in asked.places.items() if key not in classes})
    numbers = {*names, *others.columns_of_its_own}  # some may be named as a class, too
    for name in list(kept)[2:]:
        if name in numbers or name not in texts:
            frame[name] = as_numbers(frame[name])
    if asked.noise is not None and (negative := frame[asked.noise] < 0).any():
        raise TableError(
            "an uncertainty below zero", where=asked.noise, found=f"{int(negative.sum())} of {len(frame)} rows",
            expected="one standard deviation, in the target's unit", remedy="Leave missing values empty",
        )  # fmt: skip
    return frame


def _windows(frame: pd.DataFrame, asked: Asked) -> tuple[dict[str, Any], pd.Series]:
    """Of each set the windows that end on the row's day; and which rows have all of them whole."""
    site, date = frame[asked.site].to_numpy(), pd.DatetimeIndex(frame[asked.date])
    found, complete = {}, np.ones(len(frame), dtype=bool)
    for name, columns in asked.sets.items():
        if name in INSTANTANEOUS:
            continue
        found[name], whole = make_windows(
            site, date, _matrix(frame, columns), np.ones(len(frame), dtype=bool), asked.window_days
        )
        complete &= whole
    return found, pd.Series(complete, index=frame.index)


def _reasons(frame: pd.DataFrame, asked: Asked, sets: Mapping[str, Sequence[str]]) -> list[Reason]:
    """What makes a row useless, in the order in which it is asked."""
    reasons = [
        ("site or date missing", _incomplete(frame, [asked.site, asked.date])),
        (f"{asked.target} missing", frame[asked.target].isna()),
        *implausible(frame, asked.site, asked.target, asked.units),
    ]
    if asked.quality:
        column, least = asked.quality["column"], asked.quality["min"]
        refuse_no_share(frame[column], least)
        reasons += [(f"{column} missing", frame[column].isna())]
        if asked.quality.get("days", "measured") == "measured":
            reasons += [(f"{column} below {least:g}", frame[column] < least)]
    return [*reasons, *((f"{name} missing", _incomplete(frame, columns)) for name, columns in sets.items())]


def _measured(frame: pd.DataFrame, quality: Mapping[str, Any] | None) -> np.ndarray | None:
    if not quality or quality.get("days", "measured") == "measured":
        return None
    return np.asarray(frame[quality["column"]] >= quality["min"])


def _incomplete(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    return frame[list(dict.fromkeys(columns))].isna().any(axis=1)


def _flat(table: pd.DataFrame, asked: Asked) -> tuple[pd.DataFrame, Asked]:
    """A `FeatureTable` with columns ``set.feature``, its index and what it knows of its places as columns."""
    frame = check_feature_table(table).copy()
    frame.columns = pd.Index([f"{name}.{feature}" for name, feature in frame.columns])
    frame.index = frame.index.set_names([asked.site, asked.date])
    frame = frame.reset_index()
    places = {}
    for key, by_site in table.attrs.get("places", {}).items():
        places[key] = f"place.{key}"
        frame[places[key]] = frame[asked.site].map(by_site)
    variants = [column for column in frame.columns if column.startswith("variants.")]
    noise = "noise.random" if "noise.random" in frame else None
    return frame, replace(asked, target=f"observed.{asked.target}", places=places, variants=variants, noise=noise)


def _matrix(frame: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    return np.column_stack([_values(frame, c) for c in columns])


def _values(frame: pd.DataFrame, column: str) -> np.ndarray:
    return np.prod([frame[part].to_numpy(dtype=float) for part in factors(column, frame.columns)], axis=0)


def _digest(sites: np.ndarray, dates: pd.DatetimeIndex, values: np.ndarray) -> str:
    total = hashlib.sha256("\n".join(sites).encode())
    total.update(dates.to_numpy().astype("datetime64[ns]").astype("<i8").tobytes())
    total.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return total.hexdigest()[:16]
