"""Scores of groups of days: by vegetation, climate, season, drought, tail, year, and area of applicability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.validation.samples import Samples
from ecoembed.validation.scores.calendar import Calendar
from ecoembed.validation.scores.classes import Classes, classes_of
from ecoembed.validation.scores.families import day_scores
from ecoembed.validation.scores.rows import Predicted, day_sets, predicted_by, rows_of
from ecoembed.validation.scores.sums import day_sums

__all__ = ["summarise_groups"]

_SCORES = ("n", "r2", "rmse", "mae", "bias", "coverage", "width")
#: What the name of a group begins with whose days nobody can tell the class of; the reason follows.
_UNKNOWN = "not known: "


class _Groups(NamedTuple):
    by: str
    names: np.ndarray
    code: np.ndarray
    first: np.ndarray
    sites: np.ndarray


def summarise_groups(predictions: pd.DataFrame, samples: Samples, inside: pd.DataFrame | None = None) -> pd.DataFrame:
    """Scores of each (features, regressor) in each group of days; of measured days where these are known.

    Parameters
    ----------
    predictions : pandas.DataFrame
        `PredictionTable`.
    samples : Samples
    inside : pandas.DataFrame, optional
        ``features, site, date, inside``: whether a day lies in the area of applicability of a feature set.

    Returns
    -------
    pandas.DataFrame
        ``features, regressor, days, by, group, n, sites, r2, rmse, mae, bias``; ``coverage`` and ``width`` where any
        prediction has an interval. r2 is about the mean of the group itself.

        ========================  ===============================================================================
        ``vegetation, climate``   as the table tells of the sites
        ``season``                meteorological, of the site's hemisphere
        ``drought``               the tenth of its days at which a site's soil is driest, or, where no soil moisture
                                  is among the features, VPD highest; and the others
        ``tail``                  the tenth of its days with the highest, and with the lowest target, at each site
        ``year``                  calendar year
        ``applicability``         inside and outside the area of applicability
        ========================  ===============================================================================

        Days of which the class is not known are a group of their own, whose name says why.
    """
    days, kept = next(iter(day_sets(samples).items()))
    parts: list[pd.DataFrame] = []
    shared: list[_Groups] | None = None
    areas: dict[str, _Groups] = {}
    for said in predicted_by(predictions, samples):
        part, features = said.of(kept), said.model[0]
        if shared is None:
            calendar = Calendar.of(samples, part.rows)
            shared = [_groups(classes, calendar) for classes in classes_of(calendar, samples, part.rows)]
        if inside is not None and features not in areas and (inside["features"] == features).any():
            areas[features] = _groups(_area(inside, features, samples, part.rows), calendar)
        own = [areas[features]] if features in areas else []
        parts += [_scores(groups, part, days) for groups in [*shared, *own]]
    table = pd.concat(parts, ignore_index=True).astype({"n": int})
    return table.drop(columns=["coverage", "width"]) if table["coverage"].isna().all() else table


def _scores(groups: _Groups, said: Predicted, days: str) -> pd.DataFrame:
    level = float(said.observed.mean())
    scores = day_scores(day_sums(groups.code, groups.first, said, level), level)
    line = {"features": said.model[0], "regressor": said.model[1], "days": days, "by": groups.by, "group": groups.names}
    return pd.DataFrame(line | {"n": scores["n"], "sites": groups.sites} | {name: scores[name] for name in _SCORES[1:]})


def _groups(classes: Classes, calendar: Calendar) -> _Groups:
    """The groups that hold a day, those of which nothing is known last."""
    number = np.where(classes.code < 0, len(classes.names), classes.code)
    held, first, code = np.unique(number, return_index=True, return_inverse=True)
    names = np.array([*classes.names, _UNKNOWN + classes.unknown], dtype=object)[held]
    present = np.bincount(code * len(calendar.sites) + calendar.site, minlength=len(held) * len(calendar.sites)) > 0
    return _Groups(classes.by, names, code, first, present.reshape(len(held), -1).sum(axis=1))


def _area(inside: pd.DataFrame, features: str, samples: Samples, rows: np.ndarray) -> Classes:
    told = inside[inside["features"] == features]
    code = np.full(len(samples.site), -1)
    code[rows_of(told, samples, "the area of applicability")] = np.where(told["inside"].to_numpy(dtype=bool), 0, 1)
    return Classes("applicability", ["inside", "outside"], code[rows], "the day's dissimilarity was not computed")
