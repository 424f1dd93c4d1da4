"""What a site lacks, what that costs, and what to do about it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import xarray as xr

from ecoembed.gpp.baselines import METEO
from ecoembed.gpp.p_model import DRIVERS

__all__ = ["missing", "what_is_missing"]


def missing(what: str, costs: str, remedy: str) -> dict[str, str]:
    """One line of the list."""
    return {"what": what, "costs": costs, "remedy": remedy}


def what_is_missing(row: pd.Series, flux: xr.Dataset, disc: str | None, radius: float) -> list[dict[str, str]]:
    """What a site that can be used lacks all the same.

    Parameters
    ----------
    row : pandas.Series
        Of the study's sites.
    flux : xarray.Dataset
        `FluxTable`: what drivers there are, and the uncertainty of the target.
    disc : str, optional
        Why its footprint is a disc, if it is one for want of data.
    radius : float
        Of that disc, m.

    Returns
    -------
    list of dict
        ``what``, ``costs`` and ``remedy``, in words.
    """
    found = []
    if disc:
        found.append(
            missing(
                f"a footprint: {disc}",
                f"the mean over a disc of {radius:g} m stands for what the tower sees",
                _footprint_remedy(disc, row),
            )
        )
    if pd.isna(row["igbp"]):
        found.append(
            missing(
                "igbp", "its seasonal cycle is taken from all sites, not from its vegetation type; no scores by type, "
                "no rank within it", "--igbp, or a table in sites/ that knows it",
            )
        )  # fmt: skip
    absent = [name for name in METEO if name not in flux or not np.isfinite(flux[name]).any()]
    needs = [name for name in DRIVERS if name in absent] + ["elevation"] * (not math.isfinite(row["elevation"]))
    if absent:
        found.append(
            missing(
                f"the driver{'s' * (len(absent) > 1)} {', '.join(absent)}",
                "a set of features is the same at every site: the study's meteo goes without them"
                + (", and there is no nirv_x_radiation" if "SW_IN" in absent else ""),
                "a flux file that holds them",
            )
        )
    if needs:
        found.append(missing(" and ".join(needs), "the study has no p_model, at any site", _p_model_remedy(needs)))
    if "random_uncertainty" not in flux:
        found.append(missing("the target's random uncertainty", "it is not part of the noise ceiling at this site",
                             "the network's FULLSET file"))  # fmt: skip
    return found


def _footprint_remedy(disc: str, row: pd.Series) -> str:
    names = {"measurement_height": "--zm", "canopy_height": "--canopy-height"}
    unknown = [option for name, option in names.items() if not math.isfinite(row[name])]
    if math.isfinite(row.get("aerodynamic_height", math.nan)):
        unknown = []
    needed = [] if "_height" in disc else ["half-hours with USTAR and wind (FULLSET HH)"]
    return " and ".join([*needed, *unknown]) + (" in m above ground" if unknown else "")


def _p_model_remedy(needs: list[str]) -> str:
    return "--elevation, in m" if needs == ["elevation"] else "a flux file that holds the drivers, and --elevation"
