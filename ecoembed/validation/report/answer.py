"""What was asked and what came out, in words: a difference is only told with its interval."""

from __future__ import annotations

import pandas as pd

from ecoembed.validation.report.forest import beats
from ecoembed.validation.report.style import number
from ecoembed.validation.report.view import View
from ecoembed.validation.result import Result

__all__ = ["answer", "asked", "sentences"]

_EMBEDDINGS = "embeddings"
_LABELS = {"unseen-site": "that the models never saw", "seen-site": "of which the models had seen other days"}


def answer(result: Result) -> str:
    """The result in a few sentences, the first of which is the answer.

    It tells of the set with embeddings that scores highest, or of the best set where none has embeddings, against the
    rival that scores highest; then of the same set against its other rivals. ``beats`` is said where the comparison
    says it: its interval excludes zero, and its p-value holds after Holm's correction.
    """
    return " ".join(sentences(View(result)))


def sentences(view: View) -> list[str]:
    """The sentences of :func:`answer`."""
    best = view.scores.iloc[0]
    highest = (
        f"The highest r2 of all models is that of {best['features']} ({best['regressor']}): {number(best['r2'])}, "
        f"with an RMSE of {number(best['rmse'])} {view.unit}."
    )
    if best["r2"] <= 0:
        highest += " That is no better than the mean over all sites."
    where = f"At {best['sites']} sites {_LABELS[view.record['label']]}"
    rows = _told(view)
    if rows.empty:
        return [f"{where}, {highest[0].lower()}{highest[1:]}", "No pair of feature sets was compared."]
    first, *others = (_sentence(row) for _, row in rows.iterrows())
    return [f"{where}, {first}", highest, *(_capital(sentence) for sentence in others)]


def asked(view: View) -> str:
    """The question, in a sentence."""
    sets = list(dict.fromkeys(view.scores["features"].astype(str)))
    regressors = list(dict.fromkeys(view.scores["regressor"].astype(str)))
    where = "sites never seen" if view.record["label"] == "unseen-site" else "other days of known sites"
    has = any(_EMBEDDINGS in name.split("+") for name in sets)
    what = "what embeddings add over the other drivers" if has else "which drivers estimate it best"
    return (
        f"How well {view.record['target']} is estimated at {where}, and {what}: "
        f"{len(sets)} feature sets ({', '.join(sets)}) and {len(regressors)} "
        f"regressor{'s' if len(regressors) > 1 else ''} ({', '.join(regressors)})."
    )


def _told(view: View) -> pd.DataFrame:
    """The comparisons of the set that the answer is about, the one with its strongest rival first."""
    table = view.result.comparisons
    if table.empty:
        return table
    table = table[table["score"] == table["score"].iloc[0]]
    with_embeddings = table[[_EMBEDDINGS in str(name).split("+") for name in table["features_a"]]]
    candidates = with_embeddings if len(with_embeddings) else table
    subject = candidates.sort_values("a", ascending=False, kind="stable")["features_a"].iloc[0]
    own = candidates[candidates["features_a"] == subject]
    return own.sort_values("b", ascending=False, kind="stable")


def _sentence(row: pd.Series) -> str:
    a, b = (f"{row[f'features_{side}']} ({row[f'regressor_{side}']})" for side in "ab")
    interval = f"[{number(row['lower'], 3, '+')}, {number(row['upper'], 3, '+')}]"
    numbers = f"{row['score']} {number(row['a'], 3)} against {number(row['b'], 3)}, difference {number(row['difference'], 3, '+')}, 95 % interval {interval}"
    if not beats(row):
        return f"no difference is shown between {a} and {b}: {numbers}."
    ahead, behind = (a, b) if row["difference"] > 0 else (b, a)
    return f"{ahead} beats {behind}: {numbers}."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:] if text.startswith("no ") else text
