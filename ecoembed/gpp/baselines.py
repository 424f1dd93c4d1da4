"""Baselines that a claim must beat: NIRv x radiation, meteorology, and the vegetation type's mean seasonal cycle.

A baseline is a set of features, so that every set meets the same regressors, folds and scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["METEO", "RADIATION", "nirv_x_radiation", "seasonal_cycle"]

#: Daily drivers (FLUXNET): air temperature, short-wave radiation, vapour pressure deficit, precipitation.
METEO = ("TA", "SW_IN", "VPD", "P")
RADIATION = "SW_IN"

_YEAR = 365.2425  # days, Gregorian mean
_PHASES = 24  # of the shared cycle: see the notes of seasonal_cycle


def nirv_x_radiation(nirv: pd.Series, radiation: pd.Series) -> pd.Series:
    """NIRv times incoming short-wave radiation (W m-2): one feature that follows absorbed light.

    Source
    ------
    Dechant et al. 2022, doi 10.1016/j.rse.2021.112763 (NIRvP, here with short-wave radiation for PAR).
    """
    return nirv * radiation


def seasonal_cycle(
    dates: pd.DatetimeIndex,
    latitude: np.ndarray | Sequence[float],
    vegetation: Sequence[object],
    sites: Sequence[object] | np.ndarray | None = None,
) -> pd.DataFrame:
    """The season as cosines of a year and of half a year, shared by all and for each vegetation type.

    A linear regressor that is fitted inside the fold turns these columns into the mean seasonal cycle of each
    vegetation type over the **training** sites. A type without a training site has constant columns there, hence no
    coefficient: its prediction falls back on the cycle shared by all. South of the equator the year is shifted by half.

    Parameters
    ----------
    dates : pandas.DatetimeIndex, shape (n,)
    latitude : array-like, shape (n,)
        Degrees north.
    vegetation : sequence, shape (n,)
        IGBP type (or any other classification); missing = no type.

    Returns
    -------
    pandas.DataFrame, shape (n, 48 + 5 k)
        ``year01`` ... ``year24`` and ``half01`` ... ``half24`` (24 phases of each cosine) and, for each of the k types,
        ``TYPE`` and ``TYPE:cos1``, ``TYPE:sin1``, ``TYPE:cos2``, ``TYPE:sin2``.

    Notes
    -----
    Two phases would span the shared cycle, but the sum over the types spans it too, and ridge then splits what all
    types have in common evenly between both: an unseen type would get half of the cycle. Twenty-four phases make the
    shared cycle twelve times cheaper under the penalty, and an unseen type gets 12/13 of it.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2020-01-01", "2020-01-01"])
    >>> seasonal_cycle(days, [50.0, -50.0], ["GRA", None])[["year01", "GRA", "GRA:cos1"]].round(3).values.tolist()
    [[1.0, 1.0, 1.0], [-1.0, 0.0, -0.0]]
    """
    angle = 2 * np.pi * ((dates.day_of_year.to_numpy() - 1) / _YEAR + 0.5 * (np.asarray(latitude, dtype=float) < 0))
    columns = {
        f"{name}{j + 1:02d}": np.cos(k * angle - 2 * np.pi * j / _PHASES)
        for name, k in (("year", 1), ("half", 2))
        for j in range(_PHASES)
    }
    own = {"cos1": np.cos(angle), "sin1": np.sin(angle), "cos2": np.cos(2 * angle), "sin2": np.sin(2 * angle)}
    types = pd.Series(list(vegetation), dtype=object)
    for kind in sorted({str(t) for t in types.dropna()}):
        columns[kind] = (types == kind).to_numpy(dtype=float)
        columns |= {f"{kind}:{name}": columns[kind] * values for name, values in own.items()}
    return pd.DataFrame(columns, index=range(len(dates)))
