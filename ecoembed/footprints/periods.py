"""The footprint of each month, or of each satellite overpass, beside that of all half-hours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ecoembed.footprints.climatology import exclusions, footprint_climatology

PERIODS = ("all", "month", "overpass")
#: A month's footprint takes at least a day's worth of valid half-hours, an overpass's at least an hour's.
LEAST = {"month": 48, "time": 2}
#: Half-hours within this many hours of an overpass belong to it.
OVERPASS_HOURS = 1.5

Rows = NDArray[np.intp]


def months(start: NDArray[np.datetime64]) -> dict[int, Rows]:
    """Rows of half-hours by their local calendar month, 1 to 12, of all years together.

    Parameters
    ----------
    start : array of datetime64, shape (n,)
        Start of the half-hours, local standard time.
    """
    month = np.asarray(pd.DatetimeIndex(start).month)
    return {k: np.flatnonzero(month == k) for k in range(1, 13)}


def overpasses(
    middle: NDArray[np.datetime64], times: NDArray[np.datetime64], utc_offset: float, hours: float = OVERPASS_HOURS
) -> dict[np.datetime64, Rows]:
    """Rows of half-hours whose middle lies within `hours` of each acquisition and on its local day.

    Parameters
    ----------
    middle : array of datetime64, shape (n,)
        Middle of the half-hours, local standard time.
    times : array of datetime64, shape (acquisitions,)
        UTC.
    utc_offset : float
        Local standard time minus UTC, h.
    hours : float
        Half the window, h.

    Examples
    --------
    >>> middle = np.datetime64("2020-06-01T00:15") + np.arange(48) * np.timedelta64(30, "m")
    >>> found = overpasses(middle, np.array(["2020-06-01T10:50"], "datetime64[ns]"), utc_offset=1.0)
    >>> [str(middle[rows[[0, -1]]]) for rows in found.values()]
    ["['2020-06-01T10:45' '2020-06-01T13:15']"]
    """
    middle = middle.astype("datetime64[ns]")
    days = middle.astype("datetime64[D]")
    within = np.timedelta64(round(hours * 3600), "s")
    found = {}
    for time in times:
        local = time.astype("datetime64[ns]") + np.timedelta64(round(utc_offset * 3600), "s")
        near = (np.abs(middle - local) <= within) & (days == local.astype("datetime64[D]"))
        found[time] = np.flatnonzero(near)
    return found


def weights_by(
    kind: str, slices: Mapping[Any, Rows], inputs: Mapping[str, Any], whole: xr.DataArray, **how: Any
) -> xr.DataArray:
    """A footprint for each slice of the half-hours; that of all of them where a slice holds too few.

    Parameters
    ----------
    kind : "month" or "time"
        The leading dimension.
    slices : mapping
        Label -> rows of `inputs` (:func:`months`, :func:`overpasses`).
    inputs : mapping
        What :func:`~ecoembed.footprints.turbulence.turbulence` gives.
    whole : xr.DataArray
        The climatology of all half-hours, which stands in where a slice has fewer than :data:`LEAST` valid ones.
    how
        ``grid``, ``x``, ``y`` and ``model`` of :func:`~ecoembed.footprints.climatology.footprint_climatology`.

    Returns
    -------
    xr.DataArray
        Weights (`kind`, y, x), in memory: slices x pixels x 8 bytes. Coordinates along `kind`: ``n`` half-hours used,
        ``excluded``, ``inside``, and ``stand_in``, true where `whole` stands in. Attributes as those of `whole`, summed
        (``inside``: averaged) over slices, and ``stand_in`` in words.
    """
    notes = inputs["notes"]
    series = {name: values for name, values in inputs.items() if name != "notes"}
    reasons = exclusions(series, model=how["model"])
    valid = np.asarray(reasons.isna())
    used = {label: rows[valid[rows]] for label, rows in slices.items()}
    values = np.empty((len(slices), *whole.shape))
    for weights, rows in zip(values, used.values(), strict=True):
        part = {name: v[rows] if np.ndim(v) else v for name, v in series.items()}
        weights[:] = whole if rows.size < LEAST[kind] else footprint_climatology(**part, **how).values
    n = np.array([rows.size for rows in used.values()], dtype=int)
    few = n < LEAST[kind]
    left_out = reasons[np.concatenate(list(slices.values()))].value_counts()
    about: dict[str, Any] = {
        **whole.attrs,
        "method": f"{whole.attrs['method']}, by {'month' if kind == 'month' else 'overpass'}",
        "inside": float(values.sum(axis=(1, 2)).mean()),
        "n": int(n.sum()),
        "excluded": json.dumps({str(reason): int(k) for reason, k in left_out[left_out > 0].items()}),
        "notes": json.dumps(dict(notes)),
    }
    if few.any():
        about["stand_in"] = _stand_in(kind, list(slices), few)
    along = {
        "n": n,
        "excluded": np.array([rows.size for rows in slices.values()]) - n,
        "inside": values.sum(axis=(1, 2)),
        "stand_in": few,
    }
    coords: dict[Any, Any] = {
        **whole.coords,
        kind: np.array(list(slices)),
        **{name: (kind, v) for name, v in along.items()},
    }
    return xr.DataArray(values, coords, (kind, "y", "x"), name="weights", attrs=about)


def _stand_in(kind: str, labels: list[Any], few: NDArray[np.bool_]) -> str:
    which = [str(label) if kind == "month" else str(label)[:10] for label, one in zip(labels, few, strict=True) if one]
    shown = ", ".join(which[:12]) + (", ..." if len(which) > 12 else "")
    return (
        f"{len(which)} of {len(labels)} {'months' if kind == 'month' else 'overpasses'} have fewer than {LEAST[kind]} "
        f"valid half-hours ({shown}): the climatology of all half-hours stands in"
    )
