"""Columns that cannot be what they are said to be: a flux in another unit, a share that is none."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ecoembed import units
from ecoembed.errors import UnitError
from ecoembed.validation.samples.kept import Reason

__all__ = ["implausible", "refuse_no_share"]

_FLUX = re.compile(r"(?:.*\.)?(GPP|NEE|RECO)(?![A-Z0-9])", re.IGNORECASE)
#: The share of a site's days beyond the bounds from which they are no slips but another unit.
_SLIPS = 0.01
#: A whole table in kg, whose values in g lie within the bounds, lies below this share of them; and the rows it takes
#: to say so. A polar winter lies above.
_TINY, _TINY_ROWS = 0.001, 30


def implausible(frame: pd.DataFrame, site: str, target: str, unit: str | None) -> list[Reason]:
    """Rows whose target no tower reaches, as a reason to drop them; nothing where its quantity or unit is not known.

    Parameters
    ----------
    frame : pandas.DataFrame
    site, target : str
        Columns. What the target is, is told by its name: ``GPP_NT``, ``NEE_VUT_REF``.
    unit : str, optional
        That of the target, as it was stated.

    Raises
    ------
    UnitError
        If they are more than 1 % of a site's rows, or no value of the table comes near what towers reach: then the
        unit is another one.

    Notes
    -----
    A daily mean in umol m-2 s-1 is nearly the number that it is in gC m-2 d-1 (times 1.038): no bound can tell them.
    """
    known = _bounds(target, unit)
    if known is None:
        return []
    low, high = known
    values = frame[target]
    reached = _TINY * max(-low, high)
    if values.notna().sum() >= _TINY_ROWS and values.abs().max() < reached:
        raise UnitError(
            "values far below what towers reach: another unit?", where=target,
            found=f"{values.iloc[values.abs().argmax()]:g} at most, in {values.notna().sum()} rows",
            expected=f"some beyond {reached:g} {unit}", remedy="Convert them, or state the unit that they have",
        )  # fmt: skip
    beyond = (values < low) | (values > high)
    share = beyond.groupby(frame[site]).mean() / values.notna().groupby(frame[site]).mean()
    if (share > _SLIPS).any():
        worst = share.idxmax()
        found = values[beyond & (frame[site] == worst)]
        raise UnitError(
            "values that no tower reaches: another unit?", where=f"{worst}, {target}",
            found=f"{found.iloc[np.argmax(np.abs(found.to_numpy()))]:g}, and {len(found)} of its rows beyond",
            expected=f"{low:g} to {high:g} {unit}", remedy="Convert them, or state the unit that they have",
        )  # fmt: skip
    return [(f"{target} beyond {low:g} to {high:g} {unit}", beyond)]


def _bounds(target: str, unit: str | None) -> tuple[float, float] | None:
    """What the flux of this name stays within, if the unit is one of those of a day, half an hour or a year."""
    named = _FLUX.match(target)
    if named is None or unit is None:
        return None
    for table in (units.DAILY_BOUNDS, units.HALF_HOURLY_BOUNDS, units.YEARLY_BOUNDS):
        low, high, of = table[named[1].upper()]
        if of == units.standard(unit):
            return low, high
    return None


def refuse_no_share(quality: pd.Series, least: float) -> None:
    """Refuse a least share of a column that holds percent, or flags whose 0 is the best: it would keep the worst.

    Raises
    ------
    UnitError
        If the least value lies between 0 and 1, and the column's values beyond.
    """
    beyond = (quality < 0) | (quality > 1 + 1e-6)
    if 0 < least < 1 and beyond.any():
        raise UnitError(
            "not a share, of which a least one was asked", where=quality.name,
            found=f"{quality[beyond].iloc[0]:g} in {int(beyond.sum())} of {len(quality)} rows", expected="0 to 1",
            remedy="Is this %, or a flag whose 0 is best? Give the share of the day that was measured",
        )  # fmt: skip
