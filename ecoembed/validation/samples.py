"""One frozen sample index: the rows that have the target and every named column, sorted by site and date."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, TableError
from ecoembed.gpp.baselines import seasonal_cycle
from ecoembed.gpp.rows import describe_rows
from ecoembed.schema import check_feature_table
from ecoembed.validation.columns import as_dates, as_numbers, as_sites, factors, require
from ecoembed.validation.kept import Reason, keep_rows

__all__ = ["Samples", "check_sets", "feature_sets", "make_samples"]


@dataclass(frozen=True)
class Samples:
    """What is scored: n rows that all feature sets share.

    Attributes
    ----------
    site : numpy.ndarray of str, shape (n,)
    date : pandas.DatetimeIndex, shape (n,)
    observed : numpy.ndarray of float, shape (n,)
    features : dict of numpy.ndarray of float, each of shape (n, columns)
    columns : dict of numpy.ndarray of float, each of shape (n,)
        Every column of the table that a feature is made of, and every feature but those of the climatology.
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
    features: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]
    rows: dict[str, int]
    site_rows: dict[str, dict[str, int]]
    digest: str

    @property
    def sites_without_rows(self) -> dict[str, str]:
        """Of each site of the table that lost all its rows: how, in words."""
        return {name: describe_rows(rows) for name, rows in self.site_rows.items() if not rows["out"]}


def feature_sets(table: pd.DataFrame, features: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    """Set name -> columns. In a `FeatureTable` a set may be named by the sets that it unites; all sets by default."""
    if table.columns.nlevels == 1:
        if not features:
            raise ConfigError("no feature set named", expected='features={"name": ["column", ...]}')
        sets = {name: list(columns) for name, columns in features.items()}
    else:
        own = {str(s): _columns_of(table, s) for s in table.columns.unique(0) if s != "observed"}
        wanted = {name: [name] for name in own} if features is None else features
        for name in dict.fromkeys(part for parts in wanted.values() for part in parts):
            if name not in own:
                raise TableError(
                    f"no feature set {name!r} in the table", found=", ".join(own), where=_left_out(table, name)
                )
        sets = {name: [column for part in parts for column in own[part]] for name, parts in wanted.items()}
    empty = [name for name, columns in sets.items() if not columns]
    if empty or not sets:
        raise ConfigError("feature set without columns", found=", ".join(empty) or "no set")
    return sets


def check_sets(features: Any) -> None:
    """Refuse text where a mapping or a list of names belongs: iterating over it would name its letters."""
    if features is not None and not isinstance(features, Mapping):
        raise ConfigError(
            "the feature sets have no names", found=repr(features), expected='features={"name": ["column", ...]}'
        )
    for name, columns in (features or {}).items():
        if isinstance(columns, str):
            raise ConfigError(
                "text where a list of columns belongs", where=f"features, {name}", found=repr(columns),
                expected=f"[{columns!r}]",
            )  # fmt: skip


def make_samples(
    table: pd.DataFrame,
    target: str,
    site: str,
    date: str,
    sets: Mapping[str, Sequence[str]],
    climatology: Mapping[str, str | float] | None = None,
    quality: Mapping[str, Any] | None = None,
) -> Samples:
    """Check the columns, drop incomplete and doubtful rows (counted by reason), sort by site and date.

    Parameters
    ----------
    table : pandas.DataFrame
        Flat, or a `FeatureTable` (then `site` and `date` are its index).
    target, site, date : str
    sets : mapping of set name to columns
        ``"A * B"`` is the product of two columns.
    climatology : mapping, optional
        ``{"type": column, "latitude": column or number}``: adds the set ``climatology``.
    quality : mapping, optional
        ``{"column": column, "min": number}``: only rows with at least so much in that column are kept.

    Raises
    ------
    TableError
        Absent, non-numeric or infinite columns; undeclared fill values; dates in another notation; two spellings of
        one site; two different rows of one site and date; a target that never changes; no row left.
    """
    if len(table) == 0:
        raise TableError("the table has no rows", expected="one row for each site and day")
    frame = table
    if table.columns.nlevels == 2:
        frame, target = _flat(table, site, date), f"observed.{target}"
    parts = {name: [p for c in columns for p in factors(c, frame.columns)] for name, columns in sets.items()}
    names = list(dict.fromkeys(part for listed in parts.values() for part in listed))
    cycle = {key: value for key, value in (climatology or {}).items() if isinstance(value, str)}
    measure = [quality["column"]] if quality else []
    require(frame, [site, date, target, *names, *cycle.values(), *measure])
    if target in names:
        raise TableError("the target is among the features", where=target)
    frame = frame[list(dict.fromkeys([site, date, target, *names, *cycle.values(), *measure]))].copy()
    frame[site], frame[date] = as_sites(frame[site]), as_dates(frame[date])
    for name in dict.fromkeys((target, *names, *measure, *(v for k, v in cycle.items() if k == "latitude"))):
        frame[name] = as_numbers(frame[name])
    if "latitude" in cycle:
        parts["climatology"] = [cycle["latitude"]]
    frame, rows, site_rows = keep_rows(frame, site, date, _reasons(frame, [site, date], target, quality, parts))
    features = {name: np.column_stack([_values(frame, c) for c in columns]) for name, columns in sets.items()}
    sites, values = frame[site].to_numpy(dtype=object), frame[[target, *names]].to_numpy(dtype=float)
    if np.ptp(values[:, 0]) == 0:
        raise TableError(
            "the target never changes, so that r2 is undefined", where=target, found=f"{values[0, 0]:g} in every row"
        )
    columns = {c: features[name][:, i] for name, listed in sets.items() for i, c in enumerate(listed)}
    columns = dict(zip(names, values.T[1:], strict=True)) | columns
    if climatology is not None:
        features["climatology"] = _seasonal(frame, date, climatology)
    dates = pd.DatetimeIndex(frame[date])
    return Samples(sites, dates, values[:, 0], features, columns, rows, site_rows, _digest(sites, dates, values))


def _reasons(
    frame: pd.DataFrame,
    index: list[str],
    target: str,
    quality: Mapping[str, Any] | None,
    sets: Mapping[str, Sequence[str]],
) -> list[Reason]:
    """What makes a row useless, in the order in which it is asked."""
    reasons = [("site or date missing", _incomplete(frame, index)), (f"{target} missing", frame[target].isna())]
    if quality:
        column, least = quality["column"], quality["min"]
        reasons += [(f"{column} missing", frame[column].isna()), (f"{column} below {least:g}", frame[column] < least)]
    return [*reasons, *((f"{name} missing", _incomplete(frame, columns)) for name, columns in sets.items())]


def _incomplete(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    return frame[list(dict.fromkeys(columns))].isna().any(axis=1)


def _left_out(table: pd.DataFrame, name: str) -> str | None:
    reason: str | None = table.attrs.get("left_out", {}).get(name)
    return reason


def _columns_of(table: pd.DataFrame, name: str) -> list[str]:
    return [f"{name}.{feature}" for feature in table[name].columns]


def _flat(table: pd.DataFrame, site: str, date: str) -> pd.DataFrame:
    """A `FeatureTable` with columns ``set.feature`` and its index as the columns `site` and `date`."""
    frame = check_feature_table(table).copy()
    frame.columns = pd.Index([f"{name}.{feature}" for name, feature in frame.columns])
    frame.index = frame.index.set_names([site, date])
    return frame.reset_index()


def _values(frame: pd.DataFrame, column: str) -> np.ndarray:
    return np.prod([frame[part].to_numpy(dtype=float) for part in factors(column, frame.columns)], axis=0)


def _seasonal(frame: pd.DataFrame, date: str, climatology: Mapping[str, str | float]) -> np.ndarray:
    place = climatology["latitude"]
    latitude = frame[place].to_numpy() if isinstance(place, str) else np.full(len(frame), float(place))
    return seasonal_cycle(pd.DatetimeIndex(frame[date]), latitude, frame[str(climatology["type"])].tolist()).to_numpy()


def _digest(sites: np.ndarray, dates: pd.DatetimeIndex, values: np.ndarray) -> str:
    total = hashlib.sha256("\n".join(sites).encode())
    total.update(dates.to_numpy().astype("datetime64[ns]").astype("<i8").tobytes())
    total.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return total.hexdigest()[:16]
