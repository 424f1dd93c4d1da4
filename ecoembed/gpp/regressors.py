"""Named regressors. Each is a scikit-learn estimator, so a user's own drops in beside them.

Defaults were chosen on daily GPP of FLUXNET2015 (GPP_NT) from TA, SW_IN, VPD, season and latitude, at unseen sites, in
five sizes: 10 sites x 60 measured days, 36 x 27, 100 x 100, 150 sites with their 121 000 measured days, and with all
their 371 000 days. Of what this project scores, only the results ``fluxnet2015_*`` hold these towers. r2, by
``evaluation/regressor_defaults.py``:

=====================================  =======  =======  =========  ========  =====
regressor                              10 x 60  36 x 27  100 x 100  measured  all
=====================================  =======  =======  =========  ========  =====
``ridge``: alpha = 1                   0.201    0.407    0.440      0.474     0.452
ridge, alpha by inner site-grouped CV  0.143    0.407    0.440      0.474     0.451
LightGBM as the library ships it       0.308    0.358    0.459      0.578     0.534
``lightgbm``, small steps throughout   0.396    0.432    0.494      0.588     0.548
``lightgbm``                           0.396    0.432    0.494      0.592     0.546
=====================================  =======  =======  =========  ========  =====

So alpha is fixed: tuning it inside the fold costs 35 more fits and gains nothing. Gaussian process
and mixed model are what their libraries do, on a bounded number of rows, so that 150 folds end.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any

from ecoembed.errors import ConfigError, check_name
from ecoembed.gpp.windows import Windows

__all__ = ["MOST_COLUMNS", "OF_A_SET", "REGRESSORS", "check_regressor", "make_regressor", "models_of"]

#: The named regressors.
REGRESSORS = ("ridge", "random_forest", "lightgbm", "gaussian_process", "transformer", "gru", "mixed_model")
#: Sets that have a regressor of their own, and no other.
OF_A_SET = {"p_model": "scale", "climatology": "mean_cycle"}
#: Columns beyond which a regressor is left out of a set.
MOST_COLUMNS = {"gaussian_process": 8, "mixed_model": 30}
#: Those that read the days of a window one after another.
_SEQUENCES = ("transformer", "gru")

#: Boosting in many small steps; above so many rows in few large ones: r2 within 0.01, in a third of the time or less.
_SMALL_STEPS: dict[str, Any] = {"n_estimators": 200, "learning_rate": 0.03, "subsample": 0.7, "subsample_freq": 1}
_LARGE_STEPS: dict[str, Any] = {"n_estimators": 40, "learning_rate": 0.15}
_MANY_ROWS = 20_000
_ROWS_OF_A_TREE = 20_000  # of a random forest


def check_regressor(name: str) -> str:
    """The name of a regressor, unchanged, so that a wrong one is refused before any work.

    Parameters
    ----------
    name : str
        One of `REGRESSORS`, or with a dot the import path of a class: ``"sklearn.neighbors.KNeighborsRegressor"``.

    Raises
    ------
    ConfigError
        If it is neither; if the module or the class is absent, or is no regressor.
    """
    if "." in name:
        _imported(name)
        return name
    return check_name(name, REGRESSORS, "regressor", otherwise="Or give the import path of your own: package.Class")


def make_regressor(regressor: str | Any, n_samples: int, seed: int = 0) -> Any:
    """A fresh, unfitted scikit-learn estimator.

    Parameters
    ----------
    regressor : str or scikit-learn estimator
        One of `REGRESSORS` or of the values of `OF_A_SET`; the import path of a class, which is made without arguments;
        or an estimator, which is cloned, so that nothing it may have been fitted to remains. Where a ``random_state``
        of the last two is None it gets `seed`.
    n_samples : int
        Number of training rows; the size of trees follows it.
    seed : int, default 0

    Returns
    -------
    sklearn.base.BaseEstimator
        What standardises its features does so on the rows that it is fitted on.

    Raises
    ------
    ConfigError
        If the name is unknown, or the object has no ``fit`` and ``predict``.

    Examples
    --------
    >>> make_regressor("ridge", n_samples=900)
    Pipeline(steps=[('standardscaler', StandardScaler()), ('ridge', Ridge())])
    >>> make_regressor("sklearn.tree.ExtraTreeRegressor", n_samples=900, seed=7)
    ExtraTreeRegressor(random_state=7)
    """
    if isinstance(regressor, str):
        if "." not in regressor:
            if regressor not in OF_A_SET.values():
                check_regressor(regressor)
            return _NAMED[regressor](n_samples, seed)
        regressor = _imported(regressor)
    needs = ("fit", "predict", "get_params")  # by the class: some show predict only once they are fitted
    if isinstance(regressor, type) or not all(hasattr(regressor, n) or hasattr(type(regressor), n) for n in needs):
        raise ConfigError(
            "not a regressor", found=repr(regressor), expected="a name or an unfitted scikit-learn estimator"
        )
    from sklearn.base import clone

    own = clone(regressor)
    unset = [k for k, v in own.get_params().items() if k.rpartition("__")[2] == "random_state" and v is None]
    return own.set_params(**dict.fromkeys(unset, seed))


def models_of(
    features: Mapping[str, Any], regressors: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Which regressors each feature set meets.

    Parameters
    ----------
    features : mapping of set to numpy.ndarray of shape (n, columns) or Windows
        ``Samples.features``.
    regressors : mapping of name to model
        What :func:`make_regressor` takes.

    Returns
    -------
    models : dict of set to dict of name to model
        ``p_model`` meets ``scale`` alone, one coefficient through the origin; ``climatology`` meets ``mean_cycle``
        alone; every other set all `regressors` that can read it.
    left_out : dict of str
        ``"set, regressor"`` -> why it is not there.

    Raises
    ------
    ConfigError
        If ``p_model`` has more than one column, no regressor can read a set, or one that reads windows meets none.

    Examples
    --------
    >>> import numpy as np
    >>> sets = {"bands": np.zeros((9, 10)), "p_model": np.zeros((9, 1))}
    >>> models, left_out = models_of(sets, {"ridge": "ridge", "gaussian_process": "gaussian_process"})
    >>> models
    {'bands': {'ridge': 'ridge'}, 'p_model': {'scale': 'scale'}}
    >>> left_out
    {'bands, gaussian_process': '10 columns; it takes 8 at most'}
    """
    models: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for name, values in features.items():
        if name in OF_A_SET:
            models[name] = {OF_A_SET[name]: OF_A_SET[name]}
            continue
        why = {label: _unfit(model, values) for label, model in regressors.items()}
        models[name] = {label: model for label, model in regressors.items() if why[label] is None}
        left_out |= {f"{name}, {label}": reason for label, reason in why.items() if reason is not None}
    for label, model in regressors.items():
        of_all = {name: named for name, named in models.items() if name not in OF_A_SET}
        if model in _SEQUENCES and of_all and not any(label in named for named in of_all.values()):
            raise ConfigError(
                "it reads days one after another, and no set has windows of them", where=label,
                expected="window_days = 90, say", remedy="Ask for windows, or leave it out",
            )  # fmt: skip
    for name in (name for name, named in models.items() if not named):
        found = "; ".join(f"{label}: {left_out[f'{name}, {label}']}" for label in regressors)
        raise ConfigError("no regressor can read this set", where=name, found=found, remedy="Add ridge or lightgbm")
    if "p_model" in features and features["p_model"].shape[1] != 1:
        raise ConfigError(
            "the P-model has one scale, hence one column", where="p_model", found=features["p_model"].shape[1],
            remedy="Rename a set of your own that is called p_model",
        )  # fmt: skip
    return models, left_out


def _unfit(model: Any, values: Any) -> str | None:
    """Why a regressor cannot read these columns."""
    if not isinstance(model, str):
        return None
    if model in _SEQUENCES and not isinstance(values, Windows):
        return "it reads days one after another; the set has no window of them (window_days)"
    columns = values.shape[1]
    most = MOST_COLUMNS.get(model, columns)
    return None if columns <= most else f"{columns} columns; it takes {most} at most"


def _imported(path: str) -> Any:
    """An estimator of the class that an import path names."""
    module, _, name = path.rpartition(".")
    if not module or not name:
        raise ConfigError("not an import path", found=repr(path), expected="package.module.Class")
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as exc:
        raise ConfigError(
            f"no such module: {exc}", where=path, expected="package.module.Class",
            remedy="Install the package, or put its folder into PYTHONPATH",
        ) from None  # fmt: skip
    if kind is None:
        raise ConfigError("no such class in the module", where=path, found=f"no {name} in {module}")
    if not isinstance(kind, type) or not all(hasattr(kind, need) for need in ("fit", "predict", "get_params")):
        raise ConfigError(
            "not a regressor", where=path, found=repr(kind), expected="a class of a scikit-learn estimator"
        )
    try:
        return kind()
    except TypeError as exc:
        raise ConfigError(
            f"the class asks for arguments: {exc}", where=path,
            remedy="Give each a default, or pass an estimator from Python",
        ) from None  # fmt: skip


def _ridge(n_samples: int, seed: int) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=1.0))


def _scale(n_samples: int, seed: int) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression(fit_intercept=False)


def _mean_cycle(n_samples: int, seed: int) -> Any:
    from ecoembed.gpp.mean_cycle import MeanCycle

    return MeanCycle()


def _random_forest(n_samples: int, seed: int) -> Any:
    """A hundred trees, each of 20 000 rows at most; leaves grow with the rows as those of LightGBM do."""
    from sklearn.ensemble import RandomForestRegressor

    few = None if n_samples <= _ROWS_OF_A_TREE else _ROWS_OF_A_TREE
    leaf = max(5, int(math.sqrt(min(n_samples, _ROWS_OF_A_TREE)) / 4))
    return RandomForestRegressor(
        n_estimators=100, min_samples_leaf=leaf, max_features=1 / 3, max_samples=few, random_state=seed, n_jobs=1
    )


def _gaussian_process(n_samples: int, seed: int) -> Any:
    from ecoembed.gpp.gaussian_process import GaussianProcess

    return GaussianProcess(random_state=seed)


def _transformer(n_samples: int, seed: int) -> Any:
    from ecoembed.gpp.sequence import TransformerRegressor

    return TransformerRegressor(random_state=seed)


def _gru(n_samples: int, seed: int) -> Any:
    from ecoembed.gpp.sequence import GRURegressor

    return GRURegressor(random_state=seed)


def _mixed_model(n_samples: int, seed: int) -> Any:
    from ecoembed.gpp.mixed import MixedModel

    return MixedModel(random_state=seed)


def _lightgbm(n_samples: int, seed: int) -> Any:
    """Small trees under strong regularisation; leaves and their size grow with the square root of the rows.

    Rows of one site are alike, so the information grows more slowly than the rows: a leaf of sqrt(n) rows holds several
    sites rather than a few days of one. ``deterministic`` makes the result independent of the number of threads; one
    by default, as the folds of a benchmark run side by side.
    """
    from lightgbm import LGBMRegressor

    root = math.sqrt(n_samples)
    steps = _LARGE_STEPS if n_samples > _MANY_ROWS else _SMALL_STEPS
    return LGBMRegressor(
        **steps,
        num_leaves=int(min(max(root / 8, 6), 31)),
        min_child_samples=max(20, int(root)),
        reg_lambda=10.0,
        colsample_bytree=0.5,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )


_NAMED = {
    "ridge": _ridge,
    "random_forest": _random_forest,
    "lightgbm": _lightgbm,
    "gaussian_process": _gaussian_process,
    "transformer": _transformer,
    "gru": _gru,
    "mixed_model": _mixed_model,
    "scale": _scale,
    "mean_cycle": _mean_cycle,
}
