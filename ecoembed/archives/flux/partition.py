"""GPP and respiration from half-hours that carry neither: u*-filtering and night-time partitioning.

Nothing is gap-filled: day-time GPP exists where net exchange was measured, and nowhere else.

Source: Papale et al. 2006 (doi 10.5194/bg-3-571-2006), u* thresholds; Reichstein et al. 2005 (doi
10.1111/j.1365-2486.2005.001002.x), night-time partitioning; as implemented in fluxdataqaqc 0.7.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ecoembed.archives.flux.columns import find_column
from ecoembed.archives.flux.sun import DARK, Night
from ecoembed.archives.flux.targets import find_nee
from ecoembed.errors import ConfigError, FileError, VariableError


def inputs(columns: Sequence[str], where: str) -> dict[str, str]:
    """The columns that partitioning needs: name -> column. ``SC``, ``SW_IN`` and ``PPFD_IN`` where they are there.

    Raises
    ------
    VariableError
        No net exchange, air temperature or friction velocity.
    """
    nee = find_nee(columns) or (None, None)
    found = {"NEE": nee[0], "SC": nee[1]}
    found |= {name: find_column(name, columns, oneflux=False) for name in ("TA", "USTAR", *DARK)}
    absent = [name for name in ("NEE", "TA", "USTAR") if found[name] is None]
    if absent:
        raise VariableError(f"{', '.join(absent)} absent; night-time partitioning needs it", where=where)
    return {name: column for name, column in found.items() if column is not None}


def partition(frame: pd.DataFrame, night: Night, where: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Partition half-hourly net exchange.

    Parameters
    ----------
    frame : pandas.DataFrame, indexed by the sorted start of each period
        ``NEE`` and, where measured, ``SC`` (umol m-2 s-1), ``TA`` (degC), ``USTAR`` (m s-1).
    night : Night
        Where it is not known, net exchange is not used.
    where : str
        Site, for messages.

    Returns
    -------
    fluxes : dict of arrays, shape (n,)
        ``NEE`` (u*-filtered), ``GPP`` and ``RECO``, umol m-2 s-1.
    notes : dict
        ``nee``, ``night``: what they are made of; ``ustar_threshold`` (m s-1, None if there is none), ``E0`` (K) and
        ``n_night`` by year;
        ``ustar_filtered``: share of the measured night-time half-hours that was removed.

    Raises
    ------
    ConfigError
        fluxdataqaqc is not installed.
    FileError
        Too little night-time data for a fit.
    """
    try:
        from fluxdataqaqc.partition import nighttime_partitioning
    except ImportError:
        raise ConfigError(
            "night-time partitioning needs fluxdataqaqc", where=where, remedy="pip install 'ecoembed[flux]'"
        ) from None
    nee, nee_note = _net_exchange(frame)
    nee = nee.where(night.known)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            fluxes, yearly = nighttime_partitioning(
                nee, frame["TA"], pd.Series(night.dark, frame.index), frame["USTAR"]
            )
    except ValueError as exc:
        raise FileError(
            "net exchange cannot be partitioned", where=where, found=str(exc).removeprefix("ERROR: ").rstrip("."),
            remedy="Give a longer record, or take the flux that the site's team partitioned (GPP_PI)",
        ) from None  # fmt: skip
    for line in filter(None, said.getvalue().splitlines()):
        warnings.warn(f"{where}: {line.removeprefix('WARNING: ')}", UserWarning, stacklevel=4)
    threshold = yearly["ustar_threshold"].reindex(frame.index.year).to_numpy()
    measured = night.dark & nee.notna().to_numpy()
    calm = measured & ~(np.isnan(threshold) | (frame["USTAR"].to_numpy() >= threshold))
    notes = {
        "nee": nee_note,
        "night": night.origin,
        **{name: _by_year(yearly[name]) for name in ("ustar_threshold", "E0", "n_night")},
        "ustar_filtered": round(float(calm.sum() / max(measured.sum(), 1)), 4),
        "source": "fluxdataqaqc: Papale et al. (2006), Reichstein et al. (2005)",
    }
    parts = {"NEE": nee.mask(calm), "GPP": fluxes["gpp"], "RECO": fluxes["reco"]}
    return {name: values.to_numpy(dtype="float64") for name, values in parts.items()}, notes


def _net_exchange(frame: pd.DataFrame) -> tuple[pd.Series, str]:
    nee = frame["NEE"]
    if "SC" not in frame or not frame["SC"].notna().any():
        return nee, "turbulent flux alone: no storage in the file"
    share = float(frame["SC"][nee.notna()].notna().mean())
    return nee + frame["SC"].fillna(0.0), f"turbulent flux, with storage added in {share:.1%} of its half-hours"


def _by_year(values: pd.Series) -> dict[int, float | None]:
    return {int(year): None if np.isnan(value) else round(float(value), 4) for year, value in values.items()}
