"""Why a score is not defined: one cause for every NaN in the tables of scores."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ecoembed.validation.scores.calendar import ANNUAL_DAYS, INTERANNUAL_DAYS, INTERANNUAL_YEARS

__all__ = ["undefined"]

_KEYS = ("features", "regressor", "days", "site", "by", "group")
_SAME = "the observed values are all the same"
#: Scores of values other than days: the column that counts them, and what makes a value.
_COUNTED = {
    "seasonal_cycle_r2": ("seasonal_cycle_sites", "no site has days of two months of the year"),
    "anomaly_r2": ("anomaly_days", "no site has days of one month in two years"),
    "interannual_r2": (
        "interannual_sites",
        f"no site has {INTERANNUAL_YEARS} years of {INTERANNUAL_DAYS} days in months known in two years",
    ),
    "annual_sum_rmse": ("annual_sums", f"no site has a year of {ANNUAL_DAYS} scored days"),
    "annual_sum_bias": ("annual_sums", f"no site has a year of {ANNUAL_DAYS} scored days"),
}
_OF_SITES = ("median_site_r2", "q25_site_r2", "q75_site_r2", "sites_below_zero")


def undefined(**tables: pd.DataFrame) -> list[dict[str, Any]]:
    """Every NaN in the tables of scores, with its cause.

    Parameters
    ----------
    **tables : pandas.DataFrame
        By name: what :func:`~ecoembed.validation.scores.summarise`, ``summarise_sites`` and ``summarise_groups`` gave.

    Returns
    -------
    list of dict
        ``table, features, regressor, where, score, cause``; `where` tells the days, and the site or group. A site
        without a measured day, which has no line among the others' scores of measured days, has ``every score``.

    Examples
    --------
    >>> line = {"features": "f", "regressor": "ridge", "days": "all", "site": "a", "n": 1, "r2": float("nan")}
    >>> undefined(site_scores=pd.DataFrame([line]))[0]["cause"]
    'only one day'
    """
    found = []
    for name, table in tables.items():
        scores = [column for column in table.columns if column not in _KEYS and table[column].dtype.kind == "f"]
        for _, line in table[table[scores].isna().any(axis=1)].iterrows():
            place = [str(line[key]) for key in ("site", "by", "group") if key in line]
            where = ", ".join([*place, f"{line['days']} days"])
            key = {"table": name, "features": line["features"], "regressor": line["regressor"], "where": where}
            found += [{**key, "score": s, "cause": _cause(s, line)} for s in scores if pd.isna(line[s])]
        if "site" in table:
            found += _unmeasured(name, table)
    return found


def _unmeasured(name: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Sites that have no line of measured days, although others do."""
    measured = table.loc[table["days"] == "measured", "site"]
    lines = table[(len(measured) > 0) & ~table["site"].isin(measured)]
    told = {"table": name, "score": "every score", "cause": "none of the site's days was measured"}
    keys = lines[["features", "regressor", "site"]].itertuples(index=False)
    return [{**told, "features": f, "regressor": r, "where": f"{site}, measured days"} for f, r, site in keys]


def _cause(score: str, line: pd.Series) -> str:
    if score in _COUNTED:
        counted, cause = _COUNTED[score]
        return f"{_SAME}, once reduced to this" if line[counted] else cause
    if score in _OF_SITES:
        return "r2 is defined at no site: each has one day, or the same value on all"
    if score == "across_site_r2":
        return "only one site" if line["sites"] == 1 else "the sites' observed means are all the same"
    if score in ("coverage", "width"):
        return "no intervals were computed for this model"
    if score == "nrmse":
        return "the observed mean is not positive"
    if line["n"] == 1:
        return "only one day"
    if pd.isna(line["r2"]):
        return _SAME
    if score == "kge" and not pd.isna(line["pearson_r2"]):
        return "the observed mean is zero"
    return "the predictions are all the same"
