"""What the skill at a site goes with: how far it lies from the training, on the ground and in feature space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecoembed.validation.report.style import COLOURS, FLOOR, bare, number, paper
from ecoembed.validation.report.view import AbsentError, View, in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["skill_and_dissimilarity", "skill_and_distance"]


def skill_and_distance(view: View) -> Figure:
    """r2 of each site against the distance to the nearest site that its model was trained on."""
    km = pd.Series(view.record.get("nearest_training_km") or {}, dtype=float)
    if km.reindex(view.best.index).notna().sum() < 2:
        raise AbsentError("the distances to the training sites are not known: the coordinates were not given")
    label = "distance to the nearest training site (km)"
    if (km <= 0).all():
        raise AbsentError("each site is its own nearest training site: it was trained on other days of itself")
    return _skill(view, km.clip(lower=0.1), label, log=True)


def skill_and_dissimilarity(view: View) -> Figure:
    """r2 of each site against the median of its days' dissimilarity to the training rows, for the best set."""
    table = view.result.applicability
    features = view.models[0][0]
    if table.empty or features not in set(table["features"]):
        raise AbsentError("the area of applicability was not asked for (explain = true)")
    own = table[table["features"] == features].set_index("site")["dissimilarity"]
    label = f"median dissimilarity to the training days\nin the space of {features} (no unit)"
    return _skill(view, own, label, log=False)


def _skill(view: View, x: pd.Series, label: str, log: bool) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    r2 = view.best["r2"].dropna()
    x = x.reindex(r2.index).dropna()
    r2 = r2[x.index]
    low = r2 < FLOOR
    with paper():
        figure = Figure(figsize=(3.6, 2.7), layout="constrained")
        axis = figure.subplots()
        axis.axhline(0, color="#888888", linewidth=0.7)
        axis.plot(x[~low], r2[~low], "o", color=COLOURS[1], markersize=4.5, alpha=0.75, markeredgewidth=0)
        axis.plot(x[low], np.full(low.sum(), FLOOR), "v", color=COLOURS[2], markersize=5, clip_on=False)
        if log:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if x.max() < 1000 * x.min() else (1.0,)))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_ylim(min(FLOOR if low.any() else r2.min() - 0.05, -0.05), 1.0)
        axis.set(xlabel=label, ylabel=f"r2 at the site ({view.label})\n{in_words(view.models[0])}")
        axis.set_title(_correlation(x, r2), fontsize=8)
        bare(axis, "both")
    return figure


def _correlation(x: pd.Series, r2: pd.Series) -> str:
    """Spearman's rank correlation with its p, for a few points lie on a line soon."""
    from scipy.stats import spearmanr

    sites = f"{len(x)} sites"
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(r2) == 0:
        return sites
    rho, p = spearmanr(x, r2)
    return f"{sites}; rank correlation {number(rho)}, p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"
