"""Linear models of standardised z, their penalty chosen by leaving out places: ridge, and logistic for classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ecoembed.embeddings.probes.views import Sample

#: Penalties to choose from, of ridge as a share of the number of samples; folds of whole places.
ALPHAS, INVERSE_PENALTIES, FOLDS = (1e-5, 1e-3, 1e-2, 0.1, 1.0), (0.01, 1.0, 100.0), 4


def fit(samples: list[Sample], *, classes: bool = False) -> Any:
    """A scikit-learn pipeline, fitted on the samples of two or more trained places.

    Parameters
    ----------
    samples : list of Sample
        Of one place each.
    classes : bool
        Classes (logistic regression, all classes of the same weight) instead of numbers (ridge).
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    z, truth = (np.concatenate([getattr(s, key) for s in samples]) for key in ("z", "truth"))
    fold = np.repeat(np.arange(len(samples)) % FOLDS, [len(s.z) for s in samples])

    def logistic(c: float) -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=2000))

    if classes:
        scores = [
            np.mean([_recall(logistic(c), z, truth, fold == f) for f in np.unique(fold)]) for c in INVERSE_PENALTIES
        ]
        return logistic(INVERSE_PENALTIES[int(np.argmax(scores))]).fit(z, truth)
    alpha = _ridge_penalty(z, truth.reshape(len(truth), -1), fold)
    return make_pipeline(StandardScaler(), Ridge(alpha * len(z))).fit(z, truth)


def _recall(model: Any, z: np.ndarray, truth: np.ndarray, held: np.ndarray) -> float:
    """Balanced accuracy at the places held out, over the classes that they hold."""
    if len(np.unique(truth[~held])) < 2:
        return 0.0
    guess, truth_held = model.fit(z[~held], truth[~held]).predict(z[held]), truth[held]
    return float(np.mean([(guess[truth_held == c] == c).mean() for c in np.unique(truth_held)]))


def _ridge_penalty(z: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> float:
    """The penalty of least squared error at places held out, in closed form: sums of products add up over folds."""
    x = (z - z.mean(axis=0)) / np.where(z.std(axis=0) > 0, z.std(axis=0), 1.0)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    folds = np.unique(fold)
    gram = {f: x[fold == f].T @ x[fold == f] for f in folds}
    product = {f: x[fold == f].T @ truth[fold == f] for f in folds}
    free = np.diag([1.0] * z.shape[1] + [0.0])  # the intercept is not penalised
    errors = []
    for alpha in ALPHAS:
        error = 0.0
        for f in folds:
            rest = [other for other in folds if other != f]
            n = (fold != f).sum()
            left = sum(gram[o] for o in rest) + alpha * n * free
            weights = np.linalg.solve(left, sum(product[o] for o in rest))
            error += float(((x[fold == f] @ weights - truth[fold == f]) ** 2).sum())
        errors.append(error)
    return ALPHAS[int(np.argmin(errors))]
