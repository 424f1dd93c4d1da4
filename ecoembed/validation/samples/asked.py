"""What of a table is scored: its columns by role, its sets of features, the length of a sample's window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ecoembed.errors import ConfigError, TableError

__all__ = ["Asked", "check_sets", "check_window", "feature_sets"]

#: Those of a `FeatureTable` that are no features.
_NO_FEATURES = ("observed", "variants", "noise")


@dataclass(frozen=True)
class Asked:
    """What of a table is scored, and how its columns are called; of a `FeatureTable` most is known.

    Attributes
    ----------
    target, site, date : str
    sets : mapping of set name to columns
        ``"A * B"`` is the product of two columns.
    places : mapping, optional
        ``latitude``, ``longitude``, ``vegetation``, ``climate`` -> a column; the latitude may be one number for all.
        With vegetation and latitude there is the set ``climatology``.
    quality : mapping, optional
        ``{"column": column, "min": number, "days": "measured" or "all"}``: rows with less in that column are dropped,
        or kept and marked.
    variants : sequence of str
        Columns of other estimates of the target.
    noise : str, optional
        The column of its random uncertainty.
    window_days : int, default 1
        Days up to and including the target's that a sample sees.
    climatology : bool, default True
        Whether there shall be that set.
    units : str, optional
        Unit of the target.
    """

    target: str
    site: str
    date: str
    sets: Mapping[str, Sequence[str]]
    places: Mapping[str, str | float] = field(default_factory=dict)
    quality: Mapping[str, Any] | None = None
    variants: Sequence[str] = ()
    noise: str | None = None
    window_days: int = 1
    climatology: bool = True
    units: str | None = None

    @property
    def columns(self) -> list[str]:
        """Every column that is named, but site and date."""
        return [column for columns in self.sets.values() for column in columns] + self.columns_of_its_own

    @property
    def columns_of_its_own(self) -> list[str]:
        """Every column that is named, but site, date and those of the sets."""
        places = [column for column in self.places.values() if isinstance(column, str)]
        others = [(self.quality or {}).get("column"), self.noise, *self.variants]
        return [self.target, *places, *(name for name in others if isinstance(name, str))]


def feature_sets(table: pd.DataFrame, features: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    """Set name -> columns. In a `FeatureTable` a set may be named by the sets that it unites; all sets by default."""
    if table.columns.nlevels == 1:
        if not features:
            raise ConfigError("no feature set named", expected='features={"name": ["column", ...]}')
        sets = {name: list(columns) for name, columns in features.items()}
    else:
        own = {str(s): _columns_of(table, s) for s in table.columns.unique(0) if s not in _NO_FEATURES}
        wanted = {name: [name] for name in own} if features is None else dict(features)
        wanted.pop("climatology", None)  # made of the places, for every table
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
        twice = sorted({str(column) for column in columns if list(columns).count(column) > 1})
        if twice:
            raise ConfigError(
                "a column stands twice in a set", where=f"features, {name}", found=", ".join(twice),
                expected="each once",
            )  # fmt: skip


def check_window(days: int) -> int:
    """The length of a window in days, unchanged.

    Raises
    ------
    ConfigError
        If it is not a whole number from 1 to 365.
    """
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= 365:
        raise ConfigError("impossible window", found=days, expected="1 to 365 days")
    return days


def _left_out(table: pd.DataFrame, name: str) -> str | None:
    reason: str | None = table.attrs.get("left_out", {}).get(name)
    return reason


def _columns_of(table: pd.DataFrame, name: str) -> list[str]:
    return [f"{name}.{feature}" for feature in table[name].columns]
