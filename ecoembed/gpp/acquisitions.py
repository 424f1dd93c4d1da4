"""The acquisitions of a site that all feature sets can use, one for each local day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["local_days", "usable"]


def local_days(times: Any, utc_offset: float) -> pd.DatetimeIndex:
    """The tower's local standard day (at 00:00, datetime64[ns]) of UTC `times`; `utc_offset` in hours.

    Examples
    --------
    >>> str(local_days(["2020-06-01T23:30"], utc_offset=1.0)[0].date())
    '2020-06-02'
    """
    utc = pd.DatetimeIndex(times).as_unit("ns")
    return (utc + pd.Timedelta(hours=float(utc_offset))).floor("D")


def usable(sets: Mapping[str, xr.Dataset], utc_offset: float, min_coverage: float) -> tuple[pd.DataFrame, Counter[str]]:
    """Acquisitions that all sets have, well covered; of two on one local day the one of higher coverage.

    Parameters
    ----------
    sets : mapping of set name to xarray.Dataset
        `SiteSeries` at UTC times.
    utc_offset : float
        Hours.
    min_coverage : float
        Least share of the footprint, in every set.

    Returns
    -------
    table : pandas.DataFrame
        By local day, increasing; columns (set, feature).
    rows : Counter
        ``in``, and the acquisitions dropped, by reason.
    """
    rows: Counter[str] = Counter()
    values = {name: s["value"].transpose("time", "feature").to_pandas() for name, s in sets.items()}
    coverage = pd.DataFrame({name: s["coverage"].to_pandas() for name, s in sets.items()})
    present = pd.DataFrame({name: coverage.index.isin(frame.index) for name, frame in values.items()}).all(axis=1)
    rows["in"] += len(coverage)
    rows["acquisition absent from a feature set"] += int((~present).sum())
    least = coverage[present.to_numpy()].min(axis=1, skipna=False)
    kept = least[least >= min_coverage]
    rows[f"coverage below {min_coverage:g}"] += len(least) - len(kept)
    table = pd.concat({name: frame.reindex(kept.index) for name, frame in values.items()}, axis=1)
    complete = table.notna().all(axis=1)
    rows["feature missing"] += int((~complete).sum())
    table, kept = table[complete], kept[complete]
    table = table.iloc[np.argsort(-kept.to_numpy(), kind="stable")]
    table.index = local_days(table.index, utc_offset)
    second = table.index.duplicated()
    rows["second acquisition on the local day"] += int(second.sum())
    return table[~second].sort_index(), rows
