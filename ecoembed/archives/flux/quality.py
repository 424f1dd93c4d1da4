"""Which rows of a flux table pass, and why the others do not; what is suspicious is said with its unit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ecoembed import units
from ecoembed.errors import ConfigError, FileError, UnitError

#: Half-hourly QC of ONEFlux: 0 measured, 1 filled with good quality, 2 medium, 3 poor.
GOOD_FLAG = 1.0

#: What a value beyond its bounds most likely is, by the unit that it should have.
_SUSPECTS = {
    units.DAILY_CARBON_FLUX: units.CARBON_FLUX,
    units.CARBON_FLUX: "mg m-2 s-1",
    units.YEARLY_CARBON_FLUX: units.DAILY_CARBON_FLUX,
    units.TEMPERATURE: "K",
    units.PRESSURE_DEFICIT: "Pa",
    units.RADIATION: "J m-2 d-1",
}


def keep_rows(values: np.ndarray, filters: Sequence[tuple[str, np.ndarray]]) -> tuple[np.ndarray, dict[str, int]]:
    """`values` with NaN on the rows that fail, and the count of rows by the first reason for which they fail.

    Parameters
    ----------
    values : array, shape (n,)
    filters : sequence of (reason, rows that fail (n,))

    Returns
    -------
    kept : array, shape (n,)
    counts : dict
        ``in`` = the sum of all reasons + ``out``.

    Examples
    --------
    >>> values, qc = np.array([1.0, 2.0, np.nan]), np.array([0.9, 0.5, 0.5])
    >>> keep_rows(values, [("missing target", np.isnan(values)), ("qc below 0.75", qc < 0.75)])
    (array([ 1., nan, nan]), {'in': 3, 'missing target': 1, 'qc below 0.75': 1, 'out': 1})
    """
    left = np.ones(values.size, dtype=bool)
    counts = {"in": int(values.size)}
    for reason, fails in filters:
        counts[reason] = counts.get(reason, 0) + int((left & fails).sum())
        left &= ~fails
    counts["out"] = int(left.sum())
    return np.where(left, values, np.nan), counts


def check_share(name: str, share: float | None) -> None:
    """Refuse what is no share.

    Raises
    ------
    ConfigError
        Outside 0 to 1.
    """
    if share is not None and not 0.0 <= share <= 1.0:
        raise ConfigError(f"{name} outside its range", found=share, expected="a share, 0 to 1")


def check_quality(quality: np.ndarray, flags: bool, where: str) -> None:
    """Refuse what is neither a share nor, with `flags`, ONEFlux's flag of a half-hour: it would let every row pass.

    Raises
    ------
    UnitError
        A value that cannot be.
    """
    known = quality[~np.isnan(quality)]
    wrong = ~np.isin(known, (0, 1, 2, 3)) if flags else (known < 0) | (known > 1 + 1e-6)
    if wrong.any():
        raise UnitError(
            "an impossible quality",
            where=where,
            found=f"{known[wrong][0]:g} in {int(wrong.sum())} of {known.size} rows",
            expected="0 (measured), 1, 2 or 3 for a half-hour" if flags else "a share of half-hours, 0 to 1",
            remedy="Is this a share, of a longer period?"
            if flags
            else "Is this %? An own table may say so: unit = '%'",
        )


def quality_filters(
    values: np.ndarray, quality: np.ndarray, min_qc: float, flags: bool
) -> list[tuple[str, np.ndarray]]:
    """The filters by presence and by QC: a share of half-hours, or ONEFlux's flag of a half-hour (`flags`).

    With ``min_qc=0`` nothing is dropped for its quality.
    """
    missing = [("missing target", np.isnan(values))]
    if min_qc == 0:
        return missing
    low = ("neither measured nor well filled (qc above 1)", quality > GOOD_FLAG)
    return [*missing, ("missing qc", np.isnan(quality)), low if flags else (f"qc below {min_qc:g}", quality < min_qc)]


def agreement_filters(kept: np.ndarray, other: np.ndarray, agreement: float) -> list[tuple[str, np.ndarray]]:
    """The filters by agreement of night-time and day-time partitioning.

    Of the rows that are left, those stay whose difference NT - DT lies within the central share `agreement` of all
    differences at the site. At 0.95 this is the filter of the FLUXCOM training data; a site with perfect agreement
    loses 5 % of its days too, since the bound is the site's own.

    Source
    ------
    Tramontana et al. 2016, doi 10.5194/bg-13-4291-2016, as applied in Stocker et al. 2020, doi
    10.5194/gmd-13-1545-2020: the outer 2.5 % on either side are removed.
    """
    difference = kept - other
    tail = (1.0 - agreement) / 2
    low, high = np.nanquantile(difference, [tail, 1.0 - tail]) if np.isfinite(difference).any() else (0.0, 0.0)
    return [
        ("no value of the other partitioning", ~np.isnan(kept) & np.isnan(difference)),
        (f"NT - DT outside its central {agreement:.0%}", (difference < low) | (difference > high)),
    ]


def warn_outside_bounds(name: str, values: np.ndarray, bounds: tuple[float, float, str], site: str) -> None:
    """Warn of values beyond (low, high, unit), which mostly means another unit."""
    low, high, unit = bounds
    beyond = values[(values < low) | (values > high)]
    if beyond.size:
        worst = beyond[np.argmax(np.maximum(low - beyond, beyond - high))]
        suspect = _SUSPECTS.get(unit)
        question = f"is this {suspect}?" if suspect else "is its unit right?"
        warnings.warn(
            f"{site}: {name} {worst:g} {unit}: {question} {beyond.size} of {values.size} values lie outside {low:g} to "
            f"{high:g} {unit}",
            UserWarning,
            stacklevel=4,
        )


def refuse_missing_codes(values: np.ndarray, bounds: tuple[float, float] | None, where: str) -> None:
    """Refuse a number that stands for a missing value, such as -6999: one of them would shift every mean.

    One is -999, -6999, -99999.9... of any quantity; beyond known `bounds` also 9999 or 99999, and whatever lies farther
    out than they are wide, is repeated five times or more, and makes up half of all that lies beyond them (but not the
    whole column, which rather has another unit).

    Raises
    ------
    FileError
        There is such a number.
    """
    low, high = bounds or (-900.0, np.inf)
    beyond = values[(values < low) | (values > high)]
    if not beyond.size:
        return
    found, counts = np.unique(beyond, return_counts=True)
    whole, rest = np.divmod(np.abs(found), 1.0)
    nines = np.where(found < 0, whole % 1000 == 999, np.isin(whole, (9999, 99_999, 999_999)))
    nines &= (rest < 1e-9) | (rest > 0.9 - 1e-6)
    far = (found < 2 * low - high) | (found > 2 * high - low)
    some = beyond.size < np.isfinite(values).sum()
    code = nines | (some & far & (counts >= 5) & (2 * counts >= beyond.size))
    if code.any():
        worst = int(np.argmax(np.where(code, counts, 0)))
        raise FileError(
            f"{found[worst]:g} looks like a missing code",
            where=where,
            found=f"in {counts[worst]} of {values.size} rows",
            expected="missing values as -9999, or as the description states",
            remedy="Download the file again; for an own table name the code, missing = [-9999, ...]",
        )


def describe_quality(attrs: Mapping[str, Any]) -> list[str]:
    """The account of a flux table as lines: rows in, rows lost by reason, rows out; repairs, coverage, u*, closure.

    Parameters
    ----------
    attrs : mapping
        Those of a `FluxTable`.

    Examples
    --------
    >>> describe_quality({"site": "XX-T01", "target": "NEE", "rows": {"in": 3, "qc below 0.75": 1, "out": 2}})
    ['XX-T01: NEE', '       3  in', '       1  qc below 0.75', '       2  out']
    """
    lines = [f"{attrs['site']}: {attrs['target']}"]
    lines += [f"{count:8d}  {reason}" for reason, count in attrs["rows"].items()]
    if attrs.get("negative") and attrs["target"].startswith(("GPP", "RECO")):
        lines.append(f"{attrs['negative']:8d}  of these below zero, kept")
    if attrs.get("aggregated"):
        lines.append(f"  days: {attrs['aggregated']}")
    for title in ("halfhour_rows", "repairs"):
        if attrs.get(title):
            facts = ", ".join(f"{count} {reason}" for reason, count in attrs[title].items())
            lines.append(f"  {'half-hours' if title == 'halfhour_rows' else 'repaired'}: {facts}")
    if (gaps := attrs.get("gaps")) and gaps["missing"]:
        lines.append(f"  gaps: {gaps['missing']} rows in {gaps['gaps']}, the longest {gaps['longest_days']:g} days")
    if coverage := attrs.get("coverage"):
        lines.append("  mean quality: " + ", ".join(f"{year} {share:.2f}" for year, share in coverage.items()))
    if made := attrs.get("partition"):
        found = made["ustar_threshold"].items()
        years = ", ".join(f"{year} {'none' if value is None else format(value, '.2f')}" for year, value in found)
        lines.append(f"  u* thresholds, m s-1: {years}; below: {made['ustar_filtered']:.0%} of the measured nights")
        lines.append(f"  net exchange: {made['nee']}; night: {made['night']}")
    lines += [f"  note: {note}" for note in attrs.get("notes", ())]
    if "noon_error" in (sun := attrs.get("sun", {})):
        lines.append(f"  centre of the radiation {sun['noon_error']:+.0f} minutes from solar noon")
    if closure := attrs.get("closure"):
        facts = " ".join(f"{name} {value:g}" for name, value in closure.items() if name != "of")
        lines.append(f"  energy-balance closure {closure['of']}: {facts}")
    return lines
