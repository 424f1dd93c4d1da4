"""Energy-balance closure, as information beside the fluxes: nothing is filtered or corrected by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Closure columns of a file, by our names; ground heat may be absent.
TERMS = ("H", "LE", "NETRAD", "G")
_FEWEST = 20


def energy_balance(terms: Mapping[str, np.ndarray], of: str) -> dict[str, float | str]:
    """Turbulent fluxes H + LE against available energy NETRAD - G.

    Parameters
    ----------
    terms : mapping of name to array (n,)
        H, LE, NETRAD and, where measured, G; W m-2, NaN where not measured.
    of : str
        What the rows are, for example ``half-hours``.

    Returns
    -------
    dict
        ``slope`` and ``intercept`` (W m-2) of the least-squares line, ``ratio`` of the sums, ``n`` rows and ``of``;
        empty where fewer than 20 rows have all terms.

    Source
    ------
    Wilson et al. 2002, doi 10.1016/S0168-1923(02)00109-0.

    Examples
    --------
    >>> available = np.linspace(-50.0, 500.0, 100)
    >>> terms = {"H": 0.3 * available, "LE": 0.5 * available, "NETRAD": available}
    >>> energy_balance(terms, "half-hours")["slope"]
    0.8
    """
    if not {"H", "LE", "NETRAD"} <= terms.keys():
        return {}
    ground = "G" in terms and bool(np.isfinite(terms["G"]).any())
    available = terms["NETRAD"] - terms["G"] if ground else terms["NETRAD"]
    turbulent = terms["H"] + terms["LE"]
    both = np.isfinite(available) & np.isfinite(turbulent)
    n = int(both.sum())
    if n < _FEWEST or np.ptp(available[both]) == 0:
        return {}
    x, y = available[both], turbulent[both]
    slope, intercept = np.polyfit(x, y, 1)
    facts = {"slope": slope, "intercept": intercept, "ratio": y.sum() / x.sum()}
    what = f"(H + LE) / (NETRAD{' - G' if ground else ', no G'}), {of}"
    return {**{name: round(float(value), 4) for name, value in facts.items()}, "n": n, "of": what}
