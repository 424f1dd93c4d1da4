"""The uncertainty of each day's carbon flux: random, joint, and the spreads by partitioning and by USTAR threshold.

Source: Pastorello et al. 2020 (doi 10.1038/s41597-020-0534-3): NEE's joint uncertainty is the root of the summed
squares of its random uncertainty and of half the distance between the 16th and the 84th percentile of its USTAR
versions. On the daily FULLSET file of US-Wi7 this reproduces ``NEE_VUT_REF_JOINTUNC`` to 7e-6.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ecoembed.archives.flux.targets import Target

#: Variable -> (long name).
LONG_NAMES = {
    "random_uncertainty": "random uncertainty, one standard deviation",
    "joint_uncertainty": "joint random and USTAR-threshold uncertainty, one standard deviation",
    "ustar_spread": "spread by USTAR threshold, one standard deviation",
    "ntdt_spread": "spread by night-time and day-time partitioning, half of the difference",
}


def uncertainties(
    target: Target, values: np.ndarray, roles: Mapping[str, np.ndarray], averaged: bool
) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    """Every uncertainty that the file's columns allow: name -> (values, attributes).

    Parameters
    ----------
    target : Target
    values : array, shape (n,)
        The flux.
    roles : mapping of role to array (n,)
        In the unit of `values`; see :class:`Target`.
    averaged : bool
        The percentiles are means over half-hours, not percentiles of days.
    """
    found = {}
    names = target.roles
    if "random_uncertainty" in roles:
        origin = "" if target.flux == "NEE" else "; that of the NEE it was partitioned from"
        formula = ("sqrt(sum of squares) / n of the half-hours' " if averaged else "") + names["random_uncertainty"]
        found["random_uncertainty"] = roles["random_uncertainty"], {"formula": formula + origin}
    if {"low", "high"} <= roles.keys():
        bound = ", half-hourly percentiles averaged: an upper bound" if averaged else ""
        spread = np.abs(roles["high"] - roles["low"]) / target.spread
        text = f"|{names['high']} - {names['low']}| / {target.spread:g}"
        found["ustar_spread"] = spread, {"formula": text + bound}
        if "random_uncertainty" in roles:
            joint = np.hypot(roles["random_uncertainty"], spread)
            formula = f"sqrt(random_uncertainty^2 + ustar_spread^2), the formula of ONEFlux for NEE{bound}"
            found["joint_uncertainty"] = joint, {"formula": formula}
    if "joint_uncertainty" in roles:
        found["joint_uncertainty"] = roles["joint_uncertainty"], {"column": names["joint_uncertainty"]}
    if "other" in roles:
        found["ntdt_spread"] = (
            np.abs(values - roles["other"]) / 2,
            {"formula": f"|{target.name} - {names['other']}| / 2"},
        )
    return found
