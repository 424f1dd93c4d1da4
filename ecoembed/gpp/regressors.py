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

So alpha is fixed: tuning it inside the fold costs 35 more fits and gains nothing.
"""

from __future__ import annotations

import math
from typing import Any

from ecoembed.errors import ConfigError, check_name

__all__ = ["REGRESSORS", "check_regressor", "make_regressor"]

#: The named regressors.
REGRESSORS = ("ridge", "lightgbm")

#: Boosting in many small steps; above so many rows in few large ones: r2 within 0.01, in a third of the time or less.
_SMALL_STEPS: dict[str, Any] = {"n_estimators": 200, "learning_rate": 0.03, "subsample": 0.7, "subsample_freq": 1}
_LARGE_STEPS: dict[str, Any] = {"n_estimators": 40, "learning_rate": 0.15}
_MANY_ROWS = 20_000


def check_regressor(name: str) -> str:
    """The name of a regressor, unchanged; cheap, so that a wrong one is refused before any work.

    Raises
    ------
    ConfigError
        If `name` is not one of `REGRESSORS`.
    """
    return check_name(name, REGRESSORS, "regressor", otherwise="Or pass a scikit-learn estimator")


def make_regressor(regressor: str | Any, n_samples: int, seed: int = 0) -> Any:
    """A fresh, unfitted scikit-learn estimator.

    Parameters
    ----------
    regressor : {"ridge", "lightgbm"} or scikit-learn estimator
        An estimator is cloned; where its ``random_state`` is None it gets `seed`.
    n_samples : int
        Number of training rows; the size of LightGBM's trees follows it.
    seed : int, default 0

    Returns
    -------
    sklearn.base.BaseEstimator
        ``ridge`` standardises its features on the rows that it is fitted on.

    Raises
    ------
    ConfigError
        If the name is unknown, or the object has no ``fit`` and ``predict``.

    Examples
    --------
    >>> make_regressor("ridge", n_samples=900)
    Pipeline(steps=[('standardscaler', StandardScaler()), ('ridge', Ridge())])
    """
    if isinstance(regressor, str):
        return _ridge() if check_regressor(regressor) == "ridge" else _lightgbm(n_samples, seed)
    if not (hasattr(regressor, "fit") and hasattr(regressor, "predict") and hasattr(regressor, "get_params")):
        raise ConfigError(
            "not a regressor", found=repr(regressor), expected="a name or an unfitted scikit-learn estimator"
        )
    from sklearn.base import clone

    own = clone(regressor)
    unset = [k for k, v in own.get_params().items() if k.rpartition("__")[2] == "random_state" and v is None]
    return own.set_params(**dict.fromkeys(unset, seed))


def _ridge() -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=1.0))


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
