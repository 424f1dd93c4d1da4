"""Baselines that a claim must beat: NIRv x radiation, meteorology, and the vegetation type's mean seasonal cycle.

A baseline is a set of features, so that every set meets the same regressors, folds and scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["METEO", "RADIATION", "nirv_x_radiation", "seasonal_cycle"]

#: Daily drivers (FLUXNET): air temperature, short-wave radiation, vapour pressure deficit, precipitation.
METEO = ("TA_F", "SW_IN_F", "VPD_F", "P_F")
RADIATION = "SW_IN_F"

_YEAR = 365.2425  # days, Gregorian mean


def nirv_x_radiation(nirv: pd.Series, radiation: pd.Series) -> pd.Series:
    """NIRv times incoming short-wave radiation (W m-2): one feature that follows absorbed light.

    Source
    ------
    Dechant et al. 2022, doi 10.1016/j.rse.2021.112763 (NIRvP, here with short-wave radiation for PAR).
    """
    return nirv * radiation


def seasonal_cycle(
    dates: pd.DatetimeIndex, latitude: np.ndarray | Sequence[float], vegetation: Sequence[object]
) -> pd.DataFrame:
    """Two harmonics of the day of the year, alone and multiplied with each vegetation type.

    A linear regressor that is fitted inside the fold turns these columns into the mean seasonal cycle of each
    vegetation type over the **training** sites. A type without a training site has constant columns there, hence no
    coefficient: its prediction falls back on the cycle over all types. South of the equator the year is shifted by
    half.

    Parameters
    ----------
    dates : pandas.DatetimeIndex, shape (n,)
    latitude : array-like, shape (n,)
        Degrees north.
    vegetation : sequence, shape (n,)
        IGBP type (or any other classification); missing = no type.

    Returns
    -------
    pandas.DataFrame, shape (n, 4 + 5 k)
        ``cos1, sin1, cos2, sin2`` and, for each of the k types, ``TYPE`` and ``TYPE:cos1`` ...

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2020-01-01", "2020-01-01"])
    >>> seasonal_cycle(days, [50.0, -50.0], ["GRA", None])[["cos1", "GRA", "GRA:cos1"]].round(3).values.tolist()
    [[1.0, 1.0, 1.0], [-1.0, 0.0, -0.0]]
    """
    phase = (dates.day_of_year.to_numpy() - 1) / _YEAR + 0.5 * (np.asarray(latitude, dtype=float) < 0)
    base = {f"{name}{k}": f(2 * np.pi * k * phase) for k in (1, 2) for name, f in (("cos", np.cos), ("sin", np.sin))}
    columns = dict(base)
    types = pd.Series(list(vegetation), dtype=object)
    for kind in sorted({str(t) for t in types.dropna()}):
        columns[kind] = (types == kind).to_numpy(dtype=float)
        columns |= {f"{kind}:{name}": columns[kind] * values for name, values in base.items()}
    return pd.DataFrame(columns, index=range(len(dates)))
