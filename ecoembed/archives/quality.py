"""Which QC column, unit and uncertainty belong to a FLUXNET target, and which days pass.

Source: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3) and the FULLSET variable list of fluxnet.org: GPP and
RECO have no QC column of their own; the share of measured and good-quality gap-filled half-hours is that of the NEE
variant they were partitioned from.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed import units
from ecoembed.errors import ConfigError, VariableError

#: USTAR-filtering method of a FLUXNET carbon flux (one threshold for all years, or one for each year).
THRESHOLDS = ("VUT", "CUT")
#: Choice among the versions that differ by USTAR threshold; ``SE`` is an uncertainty, not a choice.
VARIANTS = ("REF", "USTAR50", "MEAN", "05", "16", "25", "50", "75", "84", "95")


@dataclass(frozen=True)
class Target:
    """A daily target's QC column, its unit, and the column with its uncertainty, if the product has one."""

    qc: str
    unit: str
    uncertainty: str | None


def _targets() -> dict[str, Target]:
    table = {}
    for threshold in THRESHOLDS:
        for variant in VARIANTS:
            nee = f"NEE_{threshold}_{variant}"
            randunc = f"{nee}_RANDUNC" if variant in ("REF", "USTAR50") else None
            prefixes = ["NEE", *(f"{flux}_{method}" for flux in ("GPP", "RECO") for method in ("NT", "DT"))]
            for prefix in prefixes:
                spread = f"{prefix}_{threshold}_SE" if variant == "MEAN" else randunc
                table[f"{prefix}_{threshold}_{variant}"] = Target(f"{nee}_QC", units.DAILY_CARBON_FLUX, spread)
    return table


#: Every daily carbon flux that may be a target, with its QC column, unit and uncertainty.
TARGETS: dict[str, Target] = _targets()


def get_target(target: str, columns: Sequence[str], where: str) -> Target:
    """The entry of `target`, once it and its QC column are known to be among `columns`.

    Examples
    --------
    >>> get_target("GPP_DT_CUT_REF", ["GPP_DT_CUT_REF", "NEE_CUT_REF_QC"], "file").qc
    'NEE_CUT_REF_QC'
    """
    entry = TARGETS.get(target)
    if entry is None or target not in columns:
        what = f"target {target} absent" if entry else f"{target} is not a daily carbon flux with a known QC column"
        close = _closest(target, [column for column in columns if column in TARGETS])
        raise VariableError(
            what, where=where, expected="one of the file's targets", remedy=_candidates("targets", close)
        )
    if entry.qc not in columns:
        close = difflib.get_close_matches(entry.qc, [c for c in columns if c.endswith("_QC")], n=5, cutoff=0.0)
        raise VariableError(
            f"QC column of {target} absent", where=where, expected=entry.qc, remedy=_candidates("QC columns", close)
        )
    return entry


def _closest(target: str, present: Sequence[str]) -> list[str]:
    """Of the same flux, the reference versions first, those of one threshold for each year before the others."""
    wanted = target.upper()

    def rank(name: str) -> tuple[bool, bool, float, bool, bool]:
        other = name.split("_")[0] != wanted.split("_")[0]
        likeness = difflib.SequenceMatcher(None, wanted, name).ratio()
        return other, not name.endswith("_REF"), -likeness, "_CUT_" in name, "_DT_" in name

    return sorted(present, key=rank)[:5]


def _candidates(kind: str, close: Sequence[str]) -> str:
    return f"The closest {kind} here: {', '.join(close)}" if close else f"The file has no {kind}"


def filter_days(values: pd.Series, qc: pd.Series, min_qc: float) -> tuple[pd.Series, dict[str, int]]:
    """`values` with NaN on the days that fail, and the count of days by the first reason for which they fail.

    Examples
    --------
    >>> kept, rows = filter_days(pd.Series([1.0, 2.0, np.nan]), pd.Series([0.9, 0.5, 1.0]), 0.75)
    >>> kept.tolist(), rows
    ([1.0, nan, nan], {'missing target': 1, 'missing qc': 0, 'qc below 0.75': 1, 'out': 1})
    """
    if not 0.0 <= min_qc <= 1.0:
        raise ConfigError("min_qc outside its range", found=min_qc, expected="a share of half-hours, 0 to 1")
    absent = values.isna()
    unknown = ~absent & qc.isna()
    low = ~absent & ~unknown & (qc < min_qc)
    kept = values.mask(unknown | low)
    counts = {
        "missing target": int(absent.sum()),
        "missing qc": int(unknown.sum()),
        f"qc below {min_qc:g}": int(low.sum()),
        "out": int(kept.notna().sum()),
    }
    return kept, counts


def warn_outside_bounds(name: str, values: np.ndarray, site: str) -> None:
    """Warn of daily values beyond ``units.DAILY_BOUNDS``, which mostly means another unit."""
    quantity = next((q for q in units.DAILY_BOUNDS if name == q or name.startswith(f"{q}_")), None)
    if quantity is None:
        return
    low, high, unit = units.DAILY_BOUNDS[quantity]
    beyond = values[(values < low) | (values > high)]
    if beyond.size:
        carbon = f": is this {units.CARBON_FLUX}?" if unit == units.DAILY_CARBON_FLUX else ": check its unit"
        warnings.warn(
            f"{site}: {beyond.size} of {values.size} values of {name} lie outside {low:g} to {high:g} {unit} "
            f"(from {beyond.min():g} to {beyond.max():g}){carbon}",
            UserWarning,
            stacklevel=3,
        )
