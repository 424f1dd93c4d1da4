"""What of a result the report shows first: the days that count, the best model and the one it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.validation.nested import NESTED_BEST
from ecoembed.validation.report.style import number, superscripts
from ecoembed.validation.result import NO_UNIT, Result
from ecoembed.validation.scores.pairs import BASELINE
from ecoembed.validation.scores.rows import Model

__all__ = ["AbsentError", "View", "drawn_sites", "in_words", "of_model"]

_MOST_SITES, _SHOWN = 48, 24  # of more sites than the first, as many as the second are drawn


class AbsentError(Exception):
    """A part of the report that the result has nothing for; the message says why."""


def of_model(table: pd.DataFrame, model: Model) -> pd.DataFrame:
    """The rows of one feature set and regressor."""
    return table[(table["features"] == model[0]) & (table["regressor"] == model[1])]


def in_words(model: Model) -> str:
    """A model as the report names it."""
    return model[0] if model[0] == model[1] else f"{model[0]}, {model[1]}"


def drawn_sites(scores: pd.Series) -> list[str]:
    """The sites to draw, by name; of many sites 24, by rank, from the highest score to the lowest.

    Examples
    --------
    >>> drawn_sites(pd.Series({"b": 0.1, "a": 0.5}))
    ['a', 'b']
    >>> many = drawn_sites(pd.Series({f"{i:03d}": -i for i in range(150)}))
    >>> len(many), many[0], many[1], many[-1]
    (24, '000', '006', '149')
    """
    if len(scores) <= _MOST_SITES:
        return sorted(scores.index)
    ranked = scores.sort_values(ascending=False, kind="stable", na_position="last").index
    return [str(ranked[i]) for i in np.linspace(0, len(ranked) - 1, _SHOWN).round().astype(int)]


@dataclass(frozen=True)
class View:
    """A result as the report shows it; tables of scores are narrowed to the days that count."""

    result: Result

    @property
    def record(self) -> dict[str, Any]:
        return self.result.record

    @cached_property
    def days(self) -> str:
        """``"measured"`` where measured and all days are told apart, for filled days are partly made of the drivers."""
        known = set(self.result.scores["days"])
        return "measured" if "measured" in known else "all"

    @cached_property
    def scores(self) -> pd.DataFrame:
        return self._counting(self.result.scores)

    @cached_property
    def site_scores(self) -> pd.DataFrame:
        return self._counting(self.result.site_scores)

    @cached_property
    def group_scores(self) -> pd.DataFrame:
        return self._counting(self.result.group_scores)

    def _counting(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table["days"] == self.days].reset_index(drop=True) if "days" in table else table

    @cached_property
    def sets(self) -> list[Model]:
        """Each feature set with the regressor of its higher pooled r2, the best first."""
        first = self.scores[self.scores["features"] != NESTED_BEST].drop_duplicates("features")
        return list(zip(first["features"].astype(str), first["regressor"].astype(str), strict=True))

    @cached_property
    def models(self) -> list[Model]:
        """The best model and the one to hold it against: NIRv x radiation, or where that is itself the best or absent,
        the best of another set.
        """
        best, *others = self.sets
        baseline = [model for model in others if model[0] == BASELINE]
        return [best, *(baseline or others)[:1]]

    @cached_property
    def predictions(self) -> dict[Model, pd.DataFrame]:
        """The rows of the two models, by site and date."""
        table = self.result.predictions
        return {model: of_model(table, model).sort_values(["site", "date"], kind="stable") for model in self.models}

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best model's scores, by site."""
        return of_model(self.site_scores, self.models[0]).set_index("site")

    @cached_property
    def places(self) -> pd.DataFrame:
        """What is known of the scored sites: latitude, longitude, vegetation, climate."""
        return self.result.places.reindex(self.best.index)

    @property
    def label(self) -> str:
        """What stands beside every score, also in a figure that is taken out of the report."""
        return f"{self.record['label']}{', measured days' if self.days == 'measured' else ''}"

    @property
    def units(self) -> str:
        """The unit of the target, as it stands at an axis or in the head of a column."""
        return superscripts(str(self.record["units"]))

    @property
    def drawn(self) -> list[str]:
        """The sites that have a panel, one's own among them."""
        sites = drawn_sites(self.best["r2"])
        own = (str(one["site"]) for one in self.record.get("own_sites", ()))
        return [*sites, *(site for site in own if site in self.best.index and site not in sites)]

    @property
    def unit(self) -> str:
        """The unit of the target, after a number; in brackets where there is none."""
        return f"({NO_UNIT})" if self.units == NO_UNIT else self.units

    @property
    def quantity(self) -> str:
        return f"{self.record['target']} ({self.units})"

    @property
    def ceiling(self) -> float | None:
        """The r2 that the noise of the target allows, where that is known."""
        value = self.record.get("noise_ceiling", {}).get("r2")
        return None if value is None else float(value)

    @cached_property
    def retrospective(self) -> list[str]:
        """The feature sets that see days after the one they estimate."""
        return [name for name, _ in self.sets] if self.record.get("retrospective") else []

    def titled(self, site: str) -> str:
        """A site with what one wants to know of it first."""
        row = self.best.loc[site]
        kind = self.places.loc[site, "vegetation"]
        known = f" ({kind})" if isinstance(kind, str) else ""
        return f"{site}{known}: {self.label}, n = {number(row['n'], 0)}, r2 = {number(row['r2'])}"
