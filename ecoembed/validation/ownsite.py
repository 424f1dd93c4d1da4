"""A scientist's own site: how well it is predicted by all others, whether it is like them, what its own data add.

The model that is looked at is the one that predicts the *other* sites best: to choose it by its skill at the own site
would flatter it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.errors import EcoembedError
from ecoembed.gpp.windows import Windows
from ecoembed.validation.predict import predict_held_out
from ecoembed.validation.result import NO_UNIT, Result
from ecoembed.validation.samples import Samples
from ecoembed.validation.scores.metrics import bias, r2, rmse
from ecoembed.validation.scores.sums import bootstrap_counts
from ecoembed.validation.splits.folds import OUT, SEEN, UNSEEN, Fold, Folds
from ecoembed.validation.trust.applicability import applicability

__all__ = ["describe_own", "own_site"]

#: Days of the own site, before and after a block, that are not trained on when the block is predicted: what drives a
#: flux beyond its season (weather, soil water, a cut) lasts days to weeks. Windows ask for their own length.
EMBARGO = 30
#: A year is a block, and a block is scored, with so many of the site's days at least; blocks where there are no years.
_YEAR, _LEAST, _BLOCKS = 30, 10, 4
#: Resamples of months for the interval of a difference, and the fewest months that give one.
_RESAMPLES, _MONTHS = 2000, 6


def own_site(
    samples: Samples, models: Mapping[str, Mapping[str, Any]], result: Result, site: str, seed: int
) -> dict[str, Any]:
    """What the benchmark says of one site.

    Parameters
    ----------
    samples : Samples
    models : mapping of set to mapping of name to model
        What was benchmarked.
    result : Result
        Of these samples and models.
    site : str
    seed : int

    Returns
    -------
    dict, JSON-able
        ``site``, ``n`` days, ``vegetation``, ``days`` (which are scored, ``measured`` where known, else ``all``);
        ``others`` (features, regressor, n, r2, rmse, bias: of models that never saw the site, by which ``protocol``);
        ``inside`` (share of its days within the area of applicability of all other sites) and ``dissimilarity``
        (median), or None with ``inside_why``; ``rank`` (``of`` ``among`` the sites of its ``vegetation`` by r2, with
        their ``r2s``; or ``not_possible``); ``with_own`` (scheme, label, embargo_days, n, blocks, scores ``without``
        and ``with`` its own data, ``rmse_lowered`` with its interval, says; or ``not_possible``); ``missing``, to be
        filled by who knows the site. A site without a day, or without a measured one, has ``not_possible``.

    Notes
    -----
    ``with_own`` predicts each block of the site's days from all other sites and the site's other blocks, but for the
    days within an embargo, and compares that with all other sites alone, on the same days. Blocks are years where at
    least two hold 30 days, else four stretches of equal length. Beside these scores stands ``seen-site``.
    """
    rows = np.flatnonzero(samples.site == site)
    found: dict[str, Any] = {"site": site, "n": len(rows), "vegetation": None, "missing": []}
    if not len(rows):
        return found | {"not_possible": samples.sites_without_rows.get(site, "it has no day in the benchmark")}
    if not len(_scored(samples, rows)):
        return found | {"not_possible": f"none of its {len(rows)} days was measured"}
    vegetation = samples.places.loc[site].get("vegetation")
    found["vegetation"] = None if pd.isna(vegetation) else str(vegetation)
    features, regressor = _best_elsewhere(result.predictions, models, site)
    days = "all" if samples.measured is None else "measured"
    model = {features: {regressor: models[features][regressor]}}
    number = np.where(samples.site == site, 0, OUT)
    others = Folds("all-other-sites", UNSEEN, True, [Fold(samples.site != site, rows)], [site], number)
    without = _predicted(samples, model, others, seed)
    found |= {"days": days, "others": _others(samples, result, days, features, regressor, rows, without)}
    found |= _inside(samples, others, features) | {"rank": _rank(samples, result, days, features, regressor, site)}
    return found | {"with_own": _with_own(samples, model, rows, without, seed, result.record["units"])}


def _best_elsewhere(predictions: pd.DataFrame, models: Mapping[str, Mapping[str, Any]], site: str) -> tuple[str, str]:
    """Features and regressor with the least squared error over the other sites; all are scored on the same rows."""
    there = predictions[(predictions["site"] != site).to_numpy()]
    error = (there["observed"] - there["predicted"]) ** 2
    total = error.groupby([there["features"], there["regressor"]], observed=True).sum()
    features, regressor = total[[f in models and r in models[f] for f, r in total.index]].idxmin()
    return str(features), str(regressor)


def _predicted(samples: Samples, model: Mapping[str, Mapping[str, Any]], folds: Folds, seed: int) -> np.ndarray:
    """The predictions of one model, (n,), NaN where no fold tests."""
    values = np.full(len(samples.observed), np.nan)
    table = predict_held_out(samples, model, folds, seed, progress=False).table
    values[np.sort(np.concatenate([fold.test for fold in folds.folds]))] = table["predicted"].to_numpy()
    return values


def _scored(samples: Samples, rows: np.ndarray) -> np.ndarray:
    return rows if samples.measured is None else rows[samples.measured[rows]]


def _scores(samples: Samples, rows: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Scores, None where undefined (a target that does not vary, no measured day)."""
    rows = _scored(samples, rows)
    observed, said = samples.observed[rows], predicted[rows]
    values = {f.__name__: f(observed, said) for f in (r2, rmse, bias)} if len(rows) else {}
    return {"n": len(rows), **{name: _known(values.get(name, np.nan)) for name in ("r2", "rmse", "bias")}}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _others(
    samples: Samples, result: Result, days: str, features: str, regressor: str, rows: np.ndarray, without: np.ndarray
) -> dict[str, Any]:
    """Skill of models that never saw the site: as held out by the protocol, else as fitted here on all other sites."""
    about = {"features": features, "regressor": regressor}
    if result.record["label"] == SEEN:
        return about | {"protocol": "all other sites"} | _scores(samples, rows, without)
    line = _site_scores(result, days, features, regressor).loc[str(samples.site[rows[0]])]
    scores = {name: _known(line[name]) for name in ("r2", "rmse", "bias")}
    return about | {"protocol": result.record["protocol"], "n": int(line["n"])} | scores


def _site_scores(result: Result, days: str, features: str, regressor: str) -> pd.DataFrame:
    table = result.site_scores
    kept = (table["features"] == features) & (table["regressor"] == regressor) & (table["days"] == days)
    return table[kept].set_index("site")


def _inside(samples: Samples, others: Folds, features: str) -> dict[str, Any]:
    try:
        table = applicability(samples, others, features)
    except EcoembedError as reason:
        return {"inside": None, "dissimilarity": None, "inside_why": reason.what}
    return {"inside": float(table["inside"].mean()), "dissimilarity": float(table["dissimilarity"].median())}


def _rank(samples: Samples, result: Result, days: str, features: str, regressor: str, site: str) -> dict[str, Any]:
    """Where the site stands among those of its vegetation type, by the r2 of the same model."""
    own = samples.places.loc[site].get("vegetation")
    nowhere: dict[str, Any] = {"of": None, "among": 0, "vegetation": None if pd.isna(own) else str(own), "r2s": []}
    if pd.isna(own):
        return nowhere | {"not_possible": "its vegetation type is not known"}
    if result.record["label"] == SEEN:
        return nowhere | {"not_possible": f"{result.record['protocol']} trains on the sites that it scores"}
    alike = samples.places.index[samples.places["vegetation"] == own]
    values = _site_scores(result, days, features, regressor)["r2"].reindex(alike).dropna().sort_values(ascending=False)
    if site not in values.index:
        return nowhere | {"not_possible": "its own r2 is not defined"}
    if len(values) == 1:
        return nowhere | {"not_possible": f"no other site of its type, {own}, has an r2"}
    rank = int((values > values[site]).sum()) + 1
    return nowhere | {"of": rank, "among": len(values), "r2s": [float(value) for value in values]}


def _with_own(
    samples: Samples, model: Mapping[str, Mapping[str, Any]], rows: np.ndarray, without: np.ndarray, seed: int,
    units: str,
) -> dict[str, Any]:  # fmt: skip
    """The same days predicted with and without the site's other days."""
    (features,) = model
    values = samples.features[features]
    embargo = max(EMBARGO, values.length if isinstance(values, Windows) else 0)
    scheme, blocks = _blocks(samples.date[rows], rows)
    folds = dict(_folds(samples, rows, blocks, embargo))
    if not folds:
        why = f"of its {len(rows)} days no block of {_LEAST} has {_LEAST} others more than {embargo} days away"
        return {"not_possible": why}
    number = np.full(len(samples.observed), OUT)
    for k, fold in enumerate(folds.values()):
        number[fold.test] = k
    seen = Folds("own-blocks", SEEN, False, list(folds.values()), list(folds), number)
    tested = np.flatnonzero(number >= 0)
    own = _predicted(samples, model, seen, seed)
    lowered = _rmse_lowered(samples, _scored(samples, tested), without, own, seed)
    return {
        "scheme": scheme, "label": SEEN, "embargo_days": embargo, "blocks": list(folds),
        "n": len(_scored(samples, tested)), "without": _scores(samples, tested, without),
        "with": _scores(samples, tested, own), "rmse_lowered": lowered, "says": _says(lowered, units),
    }  # fmt: skip


def _blocks(dates: pd.DatetimeIndex, rows: np.ndarray) -> tuple[str, dict[str, np.ndarray]]:
    """The site's rows, which are in the order of time, in blocks that follow each other."""
    years, counts = np.unique(dates.year, return_counts=True)
    if np.sum(counts >= _YEAR) >= 2:
        return "years", {str(year): rows[dates.year == year] for year in years}
    parts = [part for part in np.array_split(np.arange(len(rows)), _BLOCKS) if len(part)]
    spans = {f"{dates[part[0]].date()} to {dates[part[-1]].date()}": rows[part] for part in parts}
    return f"{_BLOCKS} stretches of time", spans


def _folds(
    samples: Samples, rows: np.ndarray, blocks: Mapping[str, np.ndarray], embargo: int
) -> Iterator[tuple[str, Fold]]:
    """Of each block that has days to test, and days far enough from it to train on, its fold."""
    elsewhere, gap = samples.site != samples.site[rows[0]], pd.Timedelta(days=embargo)
    for name, test in blocks.items():
        dates = samples.date[rows]
        far = (dates < samples.date[test].min() - gap) | (dates > samples.date[test].max() + gap)
        if min(len(test), int(far.sum())) >= _LEAST:
            train = elsewhere.copy()
            train[rows[far]] = True
            yield name, Fold(train, test)


def _rmse_lowered(
    samples: Samples, rows: np.ndarray, without: np.ndarray, own: np.ndarray, seed: int
) -> dict[str, float | None]:
    """By how much the own data lower the RMSE, with a 95 % interval: a bootstrap over the site's months.

    It holds for these fitted models: how much other training sites would change them is not in it.
    """
    if not len(rows):
        return {"value": None, "lower": None, "upper": None}
    dates = samples.date[rows]
    _, month = np.unique(dates.year * 12 + dates.month, return_inverse=True)
    errors = [(said[rows] - samples.observed[rows]) ** 2 for said in (without, own)]
    sums = np.stack([np.bincount(month), *(np.bincount(month, error) for error in errors)])
    months = sums.shape[1]
    draws = bootstrap_counts(months, _RESAMPLES, seed)
    days, first, second = (np.vstack([np.ones(months), draws]) @ sums.T).T
    difference = np.sqrt(first / days) - np.sqrt(second / days)
    if months < _MONTHS:
        return {"value": float(difference[0]), "lower": None, "upper": None}
    lower, upper = np.quantile(difference[1:], [0.025, 0.975])
    return {"value": float(difference[0]), "lower": float(lower), "upper": float(upper)}


def _says(lowered: Mapping[str, float | None], units: str) -> str:
    value, lower, upper = (lowered[name] for name in ("value", "lower", "upper"))
    if value is None or lower is None or upper is None:
        return f"no difference shown: fewer than {_MONTHS} months"
    unit = f"({units})" if units == NO_UNIT else units
    interval = f"95 % interval {lower:+.3f} to {upper:+.3f}, over its months"
    if lower <= 0 <= upper:
        return f"no difference shown: the RMSE falls by {value:+.3f} {unit} ({interval})"
    return f"its own data {'lower' if value > 0 else 'raise'} the RMSE by {abs(value):.3f} {unit} ({interval})"


def describe_own(own: Mapping[str, Any], unit: str) -> list[str]:
    """The findings of :func:`own_site` as lines of text."""
    site = own["site"]
    if "not_possible" in own:
        return [f"{site}: {own['not_possible']}"]
    others, rank, with_own = own["others"], own["rank"], own["with_own"]
    model = f"{others['features']}, {others['regressor']}"
    lines = [
        f"{site}, models of all other sites ({model}): r2 {_told(others['r2'])}, RMSE {_told(others['rmse'])} {unit}, "
        f"bias {_told(others['bias'], '+.2f')}, {others['n']} days",
        f"  {own['inside']:.0%} of its days lie inside the area of applicability"
        if own["inside"] is not None
        else f"  area of applicability not known: {own['inside_why']}",
        f"  not ranked: {rank['not_possible']}"
        if "not_possible" in rank
        else f"  rank {rank['of']} of {rank['among']} among the sites of its type, {rank['vegetation']}, by r2",
    ]
    if "not_possible" in with_own:
        return [*lines, f"  what its own data add is not known: {with_own['not_possible']}"]
    before, after = (_told(with_own[name]["r2"]) for name in ("without", "with"))
    how = f"with its own days, {with_own['scheme']} held out in turn ({SEEN})"
    return [*lines, f"  {how}: r2 {before} -> {after}; {with_own['says']}"]


def _told(value: float | None, form: str = ".2f") -> str:
    return "not defined" if value is None else format(value, form)
