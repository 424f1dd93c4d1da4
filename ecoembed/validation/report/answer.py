"""What was asked and what came out, in words: a difference is only told with its interval."""

from __future__ import annotations

import pandas as pd

from ecoembed.validation.nested import NESTED_BEST
from ecoembed.validation.report.style import number
from ecoembed.validation.report.view import View
from ecoembed.validation.result import Result
from ecoembed.validation.scores.comparison import ALPHA, least_p
from ecoembed.validation.scores.pairs import ASKED

__all__ = ["answer", "asked", "sentences"]

_MOST = 5  # comparisons told in words besides the first
_LABELS = {"unseen-site": "that the models never saw", "seen-site": "of which the models had seen other days"}


def answer(result: Result) -> str:
    """The result in a few sentences, the first of which is the answer.

    It tells of the set with embeddings that scores highest, or of the best set where none has embeddings, against the
    rival that scores highest; then of the same set against its other rivals. The words are those of the comparison
    (:func:`ecoembed.validation.scores.comparison.compare`), which says ``beats`` only where its interval and its test
    agree.
    """
    return " ".join(sentences(View(result)))


def sentences(view: View) -> list[str]:
    """The sentences of :func:`answer`."""
    best = view.scores.iloc[0]
    highest = (
        f"The highest r2 of all models is that of {best['features']} ({best['regressor']}): {number(best['r2'], 3)}, "
        f"with an RMSE of {number(best['rmse'])} {view.unit}."
    )
    if best["r2"] <= 0:
        highest += " That is no better than the mean over all sites."
    where = f"At {best['sites']} sites {_LABELS[view.record['label']]}"
    rows = _of_the_subject(view.result.comparisons)
    if rows.empty:
        return [f"{where}, {highest[0].lower()}{highest[1:]}", "No pair of feature sets was compared."]
    first, *others = (str(says) for says in rows["says"])
    told = [f"{where}: {first}", highest, *map(_capital, others[:_MOST])]
    if len(others) > _MOST:
        told.append(f"Its comparisons with {len(others) - _MOST} more sets stand below.")
    sites, pairs = int(rows["sites"].iloc[0]), len(view.result.comparisons)
    if least_p(sites) * pairs >= ALPHA:
        told.append(
            f"{sites} sites are too few for {pairs} comparisons: were all sites of one mind, p would still be "
            f"{number(min(1.0, least_p(sites) * pairs))} after Holm. Compare fewer sets, or bring more sites."
        )
    return told


def asked(view: View) -> str:
    """The question, in a sentence."""
    scores = view.scores[view.scores["features"] != NESTED_BEST]
    sets, regressors = (list(dict.fromkeys(scores[key].astype(str))) for key in ("features", "regressor"))
    where = "sites never seen" if view.record["label"] == "unseen-site" else "other days of known sites"
    has = any(ASKED in name.split("+") for name in sets)
    what = "what embeddings add over the other drivers" if has else "which drivers estimate it best"
    return (
        f"How well {view.record['target']} is estimated at {where}, and {what}: "
        f"{len(sets)} feature sets ({', '.join(sets)}) and {len(regressors)} "
        f"regressor{'s' if len(regressors) > 1 else ''} ({', '.join(regressors)})."
    )


def _of_the_subject(table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of the set that the answer is about, each rival set by its best side, the strongest first."""
    if table.empty:
        return table
    table = table[(table["score"] == table["score"].iloc[0]) & (table["features_a"] != NESTED_BEST)]
    with_embeddings = table[[ASKED in str(name).split("+") for name in table["features_a"]]]
    candidates = with_embeddings if len(with_embeddings) else table
    subject = candidates.sort_values("a", ascending=False, kind="stable")["features_a"].iloc[0]
    own = candidates[candidates["features_a"] == subject]
    return own.sort_values("b", ascending=False, kind="stable").drop_duplicates("features_b")


def _capital(text: str) -> str:
    """The verdict without a winner begins a sentence; the name of a set does not change."""
    return text[0].upper() + text[1:] if text.startswith("no difference") else text
