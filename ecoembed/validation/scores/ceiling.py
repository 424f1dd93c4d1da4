"""How good a model can look at best, given how well the target itself is known."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ecoembed.validation.samples import Samples

__all__ = ["noise_ceiling"]

#: FLUXNET's names of estimates that differ in the u* threshold: its percentiles, one threshold for all years (CUT).
_USTAR = re.compile(r"ustar|_cut|_(05|16|25|50|75|84|95)$", re.IGNORECASE)
_PARTITIONING = re.compile(r"(^|[._])(nt|dt|sr)([._]|$)", re.IGNORECASE)


def noise_ceiling(samples: Samples) -> dict[str, Any]:
    """The r2 and RMSE that a model would have which knew the true flux, scored against the target as it is.

    Returns
    -------
    dict
        ``rmse`` (floor, unit of the target), ``r2`` (ceiling), ``n`` (days), ``days`` and ``contributions``: of each of
        ``partitioning``, ``ustar`` and ``random`` either ``rmse``, ``r2_lost``, ``n`` and ``of`` (columns), or
        ``not_known``: why. Only ``not_known`` where nothing is known at all.

    Notes
    -----
    The error variance of a day is the sum of up to three parts, taken as independent: the variance among the target and
    its estimates by other partitionings; the same by other u* thresholds; the square of its random uncertainty. The
    floor is the root of their means, and the ceiling ``1 - floor^2 / variance of the target``. A part that is not
    known counts as zero, and an error that all estimates share is not seen: the truth lies lower than the ceiling.

    Source: after Pastorello et al. (2020), Sci. Data 7:225, on uncertainty from partitioning, u* threshold and noise.
    """
    days, kept = "all", np.ones(len(samples.observed), dtype=bool)
    if samples.measured is not None and samples.measured.any():
        days, kept = "measured", samples.measured
    observed = samples.observed[kept]
    if not samples.variants and samples.noise is None:
        return {"not_known": "the table has no other estimate of the target and no random uncertainty"}
    if np.ptp(observed) == 0:
        return {"not_known": "the target is the same on all days"}
    kinds = {name: _kind(name) for name in samples.variants}
    parts = {}
    for kind in dict.fromkeys(["partitioning", "ustar", *kinds.values()]):
        names = [name for name in kinds if kinds[name] == kind]
        parts[kind] = _spread(observed, {name: samples.variants[name][kept] for name in names}, _NONE.get(kind, ""))
    random = None if samples.noise is None else samples.noise[kept]
    parts["random"] = _random(random)
    total = float(np.var(observed))
    floor = sum(part.get("variance", 0.0) for part in parts.values())
    for part in parts.values():
        if "variance" in part:
            variance = part.pop("variance")
            part |= {"rmse": float(np.sqrt(variance)), "r2_lost": variance / total}
    if not any("rmse" in part for part in parts.values()):
        return {"not_known": "; ".join(str(part["not_known"]) for part in parts.values())}
    return {
        "rmse": float(np.sqrt(floor)), "r2": 1 - floor / total, "n": len(observed), "days": days,
        "contributions": parts,
    }  # fmt: skip


_NONE = {
    "partitioning": "the table has no estimate of the target by another partitioning",
    "ustar": "the table has no estimate of the target by another u* threshold",
}


def _kind(name: str) -> str:
    if _USTAR.search(name):
        return "ustar"
    return "partitioning" if _PARTITIONING.search(name) else "other estimates"


def _spread(observed: np.ndarray, variants: dict[str, np.ndarray], none: str) -> dict[str, Any]:
    """Mean over days of the variance among the target and its variants, on days that have them all."""
    if not variants:
        return {"not_known": none}
    values = np.column_stack([observed, *variants.values()])
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) == 0:
        return {"not_known": f"no day has {', '.join(variants)}"}
    return {"variance": float(values.var(axis=1, ddof=1).mean()), "n": len(values), "of": list(variants)}


def _random(noise: np.ndarray | None) -> dict[str, Any]:
    if noise is None:
        return {"not_known": "the table has no random uncertainty of the target"}
    known = noise[~np.isnan(noise)]
    if len(known) == 0:
        return {"not_known": "no day has a random uncertainty"}
    return {"variance": float(np.mean(known**2)), "n": len(known)}
