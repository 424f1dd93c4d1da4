"""Is A better than B at sites? Paired differences with intervals, and a verdict that needs two proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecoembed.errors import ConfigError, check_name
from ecoembed.validation.samples import Samples
from ecoembed.validation.scores.families import evaluate, site_scores
from ecoembed.validation.scores.pairs import default_pairs
from ecoembed.validation.scores.rows import Model, day_sets
from ecoembed.validation.scores.sums import SiteSums, bootstrap_counts
from ecoembed.validation.scores.tables import sums_of

__all__ = ["ALPHA", "compare", "least_p"]

#: Scores that can be compared: 1 where more is better, -1 where less is.
SIGNS = {
    **dict.fromkeys(
        (
            "r2", "pearson_r2", "kge", "median_site_r2", "q25_site_r2", "q75_site_r2", "across_site_r2",
            "seasonal_cycle_r2", "anomaly_r2", "interannual_r2",
        ), 1,
    ),
    **dict.fromkeys(("rmse", "nrmse", "mae", "annual_sum_rmse", "sites_below_zero"), -1),
}  # fmt: skip
#: Level of a proof: intervals are of 1 - 0.05.
ALPHA = 0.05
#: The share of resamples in which a score must be defined for an interval to be told.
_DEFINED = 0.95


class _Paired(NamedTuple):
    """What the sites say of one pair."""

    a: float
    b: float
    lower: float
    upper: float
    sites_a_better: int
    sites_b_better: int
    side: float
    p: float
    why: str


def compare(
    predictions: pd.DataFrame,
    samples: Samples,
    *,
    pairs: Sequence[tuple[Model, Model]] | None = None,
    score: str = "r2",
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare models in pairs, on the same days of the same sites (measured days where these are known).

    Parameters
    ----------
    predictions : pandas.DataFrame
        `PredictionTable`.
    samples : Samples
    pairs : sequence of ((features, regressor), (features, regressor)), optional
        By default those of :func:`ecoembed.validation.scores.pairs.default_pairs`.
    score : str, default "r2"
        Any of :mod:`ecoembed.validation.scores.families` of which more, or less, is better.
    resamples : int, default 10 000
    seed : int, default 0

    Returns
    -------
    pandas.DataFrame
        ``features_a, regressor_a, features_b, regressor_b, days, score, a, b, difference, lower, upper, sites,
        sites_a_better, wilcoxon_p, holm_p, says``. `says` holds the verdict, and the cause of any NaN.

    Raises
    ------
    ConfigError
        Unknown score or model; fewer than 100 resamples.

    Notes
    -----
    *Interval* of the difference a - b, 95 %: percentiles of a bootstrap of whole sites, both models on the same draws
    (days of one site are no independent proof), expanded for few sites (Hesterberg 2015, The American Statistician 69,
    sect. 5.3): plain percentiles of 12 sites hold the truth in 89 of 100 cases. *Test*: Wilcoxon's signed-rank test of
    the difference in RMSE at each site, which, unlike r2, is defined at every site, and in which sites with many days
    count no more than others; two sided, equals dropped. `holm_p` corrects it for all pairs of the table (Holm 1979).

    ``A beats B`` is said only if the interval excludes zero, `holm_p` is below 0.05, and both point to A; else there is
    ``no difference shown``, which is not a proof that there is none. Folds share training sites, so that two sites'
    errors are not quite independent: p and interval are somewhat too sure for few sites.
    """
    check_name(score, SIGNS, "score of a comparison")
    if resamples < 100:
        raise ConfigError("too few resamples for an interval", found=resamples, expected="100 or more")
    days = next(iter(day_sets(samples)))
    sums = {(f, r): own for f, r, of, own in sums_of(predictions, samples) if of == days}
    asked = default_pairs({m: _point(own, "r2") for m, own in sums.items()}) if pairs is None else pairs
    wanted = [((a[0], a[1]), (b[0], b[1])) for a, b in asked]
    used = list(dict.fromkeys(model for pair in wanted for model in pair))
    for model in used:
        if model not in sums:
            known = ", ".join(map(" ".join, sums))
            raise ConfigError("a pair names a model that was not scored", found=" ".join(model), expected=known)
    if not wanted:
        return pd.DataFrame(columns=_COLUMNS)
    sites = len(next(iter(sums.values())).sites)
    drawn = bootstrap_counts(sites, resamples, seed)
    resampled = {model: evaluate(sums[model], drawn)[score] for model in used}
    found = [_paired(sums[a], sums[b], score, resampled[a] - resampled[b]) for a, b in wanted]
    corrected = _holm(np.array([one.p for one in found]))
    lines = [
        {
            "features_a": a[0], "regressor_a": a[1], "features_b": b[0], "regressor_b": b[1], "days": days,
            "score": score, "a": one.a, "b": one.b, "difference": one.a - one.b, "lower": one.lower,
            "upper": one.upper, "sites": sites, "sites_a_better": one.sites_a_better, "wilcoxon_p": one.p,
            "holm_p": p, "says": _verdict(a, b, one, score, p, sites),
        }
        for (a, b), one, p in zip(wanted, found, corrected, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=_COLUMNS)


_COLUMNS = [
    "features_a", "regressor_a", "features_b", "regressor_b", "days", "score", "a", "b", "difference", "lower",
    "upper", "sites", "sites_a_better", "wilcoxon_p", "holm_p", "says",
]  # fmt: skip


def _paired(a: SiteSums, b: SiteSums, score: str, differences: np.ndarray) -> _Paired:
    gain = site_scores(b)["rmse"] - site_scores(a)["rmse"]
    gain = np.where(np.abs(gain) < 1e-12 * site_scores(a)["rmse"], 0.0, gain)  # one model under two names
    lower, upper, why = _interval(differences, len(gain))
    values = _point(a, score), _point(b, score)
    if np.isnan(values).any():
        why = f"{score} is not defined for {'both' if np.isnan(values).all() else 'one of them'}"
    better, worse = int((gain > 0).sum()), int((gain < 0).sum())
    return _Paired(*values, lower, upper, better, worse, *_wilcoxon(gain), why)


def _point(sums: SiteSums, score: str) -> float:
    return float(evaluate(sums, np.ones((1, len(sums.sites))))[score][0])


def _interval(differences: np.ndarray, sites: int) -> tuple[float, float, str]:
    """Of 95 %, or NaN and why not."""
    if sites == 1:
        return np.nan, np.nan, "one site alone proves nothing"
    known = differences[np.isfinite(differences)]
    if len(known) < _DEFINED * len(differences):
        share = len(known) / len(differences)
        return np.nan, np.nan, f"the score is defined in {share:.0%} of the resamples only"
    tail = _tail(sites)
    lower, upper = np.quantile(known, [tail, 1 - tail])
    return float(lower), float(upper), ""


def _tail(sites: int) -> float:
    """The share of resamples beyond one end of the interval: widened as Student's t widens a normal interval."""
    from scipy.stats import norm, t

    return float(norm.cdf(np.sqrt(sites / (sites - 1)) * t.ppf(ALPHA / 2, sites - 1)))


def _wilcoxon(gain: np.ndarray) -> tuple[float, float]:
    """Where the signed ranks point (1, 0, -1), and the two-sided p: 1 where all sites are equal, NaN for one site."""
    from scipy.stats import rankdata, wilcoxon

    moved = gain[gain != 0]
    if len(gain) == 1 or len(moved) == 0:
        return 0.0, float("nan") if len(gain) == 1 else 1.0
    return float(np.sign(np.sum(np.sign(moved) * rankdata(np.abs(moved))))), float(wilcoxon(moved).pvalue)


def least_p(sites: int) -> float:
    """The p of the signed-rank test where every one of the sites says the same: no data can give a lower one.

    Examples
    --------
    >>> least_p(6)
    0.03125
    """
    return float(min(1.0, 2.0 ** (1 - sites)))


def _holm(p: np.ndarray) -> np.ndarray:
    """Corrected for all pairs that have a p. Source: Holm (1979), Scand. J. Statistics 6, 65-70."""
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]  # NaN last
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def _verdict(a: Model, b: Model, one: _Paired, score: str, p: float, sites: int) -> str:
    """One sentence: who beats whom by how much, or why no difference is shown."""
    names = [f"{features} ({regressor})" for features, regressor in (a, b)]
    if one.why:
        return f"{names[0]} and {names[1]} cannot be compared by {score}: {one.why}."
    sign, better = SIGNS[score], one.sites_a_better
    side = one.side if p < ALPHA else 0.0
    shown = (one.lower > 0 or one.upper < 0) and sign * np.sign(one.a - one.b) == side
    numbers = [one.a, one.b, one.a - one.b, one.lower, one.upper]
    if shown and side < 0:  # told from the winner's side
        names, better = names[::-1], one.sites_b_better
        numbers = [one.b, one.a, one.b - one.a, -one.upper, -one.lower]
    values = "{:.3f} against {:.3f}, difference {:+.3f} (95 % interval {:+.3f} to {:+.3f}".format(*numbers)
    proof = f"{values}; smaller error at {better} of {sites} sites, p = {p:.2g} after Holm)."
    if shown:
        return f"{names[0]} beats {names[1]}: {score} {proof}"
    return f"no difference shown between {names[0]} and {names[1]}: {score} {proof}"
