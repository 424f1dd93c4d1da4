"""Baselines that a claim must beat: NIRv x radiation, meteorology, and the vegetation type's mean seasonal cycle.

A baseline is a set of features, so that every set meets the same regressors, folds and scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecoembed.errors import TableError

__all__ = ["METEO", "RADIATION", "kndvi_x_radiation", "nirv_x_radiation", "seasonal_cycle"]

#: Daily drivers (FLUXNET): air temperature, short-wave radiation, vapour pressure deficit, precipitation.
METEO = ("TA", "SW_IN", "VPD", "P")
RADIATION = "SW_IN"

#: Of a leap year; south of the equator the season comes half a year later.
DAYS, HALF_A_YEAR = 366, 183


def nirv_x_radiation(nirv: pd.Series, radiation: pd.Series) -> pd.Series:
    """NIRv times incoming short-wave radiation (W m-2): one feature that follows absorbed light.

    Source
    ------
    Dechant et al. 2022, doi 10.1016/j.rse.2021.112763 (NIRvP, here with short-wave radiation for PAR).
    """
    return nirv * radiation


def kndvi_x_radiation(kndvi: pd.Series, radiation: pd.Series) -> pd.Series:
    """kNDVI times incoming short-wave radiation (W m-2): as NIRv x radiation, of an index that saturates later.

    Source
    ------
    Camps-Valls et al. 2021, doi 10.1126/sciadv.abc7447 (kNDVI; here times radiation, as in NIRvP).
    """
    return kndvi * radiation


def seasonal_cycle(
    dates: pd.DatetimeIndex,
    latitude: np.ndarray | Sequence[float],
    vegetation: Sequence[object],
    sites: Sequence[object],
) -> pd.DataFrame:
    """What :class:`ecoembed.gpp.mean_cycle.MeanCycle` asks: the day of the season, and whose cycle it may be.

    Nothing here is learnt: the cycles themselves are fitted inside the fold, on the rows that it trains on.

    Parameters
    ----------
    dates : pandas.DatetimeIndex, shape (n,)
    latitude : array-like, shape (n,)
        Degrees north.
    vegetation : sequence, shape (n,)
        IGBP type (or any other classification); missing = no type.
    sites : sequence, shape (n,)

    Returns
    -------
    pandas.DataFrame of float, shape (n, 3)
        ``day``: 0 to 365 since New Year, south of the equator since the 3rd of July (half a year, to the day);
        ``site``, ``vegetation``: numbers of the names in their order; -1 = no type.

    Raises
    ------
    TableError
        If a latitude is unknown: its season cannot be told.

    Examples
    --------
    >>> days = pd.DatetimeIndex(["2021-01-01", "2021-07-03"])
    >>> seasonal_cycle(days, [50.0, -50.0], ["GRA", None], ["XX-B", "XX-A"]).values.tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]
    """
    degrees = np.asarray(latitude, dtype=float)
    if np.isnan(degrees).any():
        unknown = pd.unique(np.asarray(sites, dtype=object)[np.isnan(degrees)])
        raise TableError(
            "latitude unknown, so that the season cannot be told", where=", ".join(map(str, unknown[:10])),
            found=f"{len(unknown)} site(s) without", expected="degrees north",
            remedy="Give the latitude of each site, or no vegetation: then there is no climatology",
        )  # fmt: skip
    day = (dates.day_of_year.to_numpy() - 1 + HALF_A_YEAR * (degrees < 0)) % DAYS
    kinds = pd.Series(list(vegetation), dtype=object)
    codes = {
        "site": pd.factorize(np.asarray(sites, dtype=object), sort=True)[0],
        "vegetation": pd.factorize(kinds.where(kinds.isna(), kinds.astype(str)), sort=True)[0],
    }
    return pd.DataFrame({"day": day, **codes}).astype(float)
