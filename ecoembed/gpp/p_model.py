"""GPP of the P-model from what a satellite and a weather station see; nothing in it is fitted to any tower."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np

from ecoembed import units

__all__ = ["DRIVERS", "carbon_dioxide", "fapar_from_ndvi", "p_model_gpp"]

#: The daily drivers that it needs (FLUXNET's names): W m-2, degC, hPa.
DRIVERS = ("SW_IN", "TA", "VPD")

#: Colder air, which pyrealm refuses, is taken as this cold, degC: below -13 the quantum yield is zero anyway.
_COLDEST = -25.0

#: Mole fraction of CO2 in dry air at Mauna Loa, ppm, means of these years.
_YEARS = (1960, 1970, 1980, *range(1990, 2026))
_CO2 = (
    316.91, 325.68, 338.76,
    354.45, 355.70, 356.54, 357.21, 358.96, 360.97, 362.74, 363.88, 366.84, 368.54,
    369.71, 371.32, 373.45, 375.98, 377.70, 379.98, 382.09, 384.02, 385.83, 387.64,
    390.10, 391.85, 394.06, 396.74, 398.81, 401.01, 404.41, 406.76, 408.72, 411.65,
    414.21, 416.41, 418.53, 421.08, 424.61, 427.35,
)  # fmt: skip


def import_pmodel() -> ModuleType:
    """`pyrealm.pmodel`, whose import would give every warning of the session pyrealm's name."""
    ours = warnings.formatwarning
    from pyrealm import pmodel

    warnings.formatwarning = ours
    return pmodel


def carbon_dioxide(year: Any) -> np.ndarray:
    """CO2 in the air of each `year`, ppm; before 1960 that of 1960, after 2025 that of 2025.

    A year more or less changes it by 0.6 %, and GPP of the P-model by about 0.3 %.

    Source
    ------
    Lan, Tans and Thoning, NOAA Global Monitoring Laboratory, doi 10.15138/yaf1-bk21 (Mauna Loa, annual means).

    Examples
    --------
    >>> carbon_dioxide([1990, 2020, 2040]).tolist()
    [354.45, 414.21, 427.35]
    """
    return np.interp(np.asarray(year, dtype=float), _YEARS, _CO2)


def fapar_from_ndvi(ndvi: Any) -> np.ndarray:
    """Share of photosynthetically active radiation that the canopy absorbs: a line through NDVI, within 0 to 1.

    Source
    ------
    Myneni and Williams 1994, doi 10.1016/0034-4257(94)90016-7: 1.164 NDVI - 0.143 (NDVI at the top of the canopy).

    Examples
    --------
    >>> fapar_from_ndvi([0.1, 0.5, 1.0]).round(3).tolist()
    [0.0, 0.439, 1.0]
    """
    return np.clip(1.164 * np.asarray(ndvi, dtype=float) - 0.143, 0.0, 1.0)


def p_model_gpp(ndvi: Any, sw_in: Any, ta: Any, vpd: Any, elevation: Any, year: Any) -> np.ndarray:
    """GPP of C3 vegetation without water stress, gC m-2 d-1.

    Parameters
    ----------
    ndvi : array-like, shape (n,)
    sw_in, ta, vpd : array-like, shape (n,)
        Daily means: incoming short-wave radiation in W m-2, air temperature in degC, vapour pressure deficit in hPa.
        A negative deficit or radiation, which a sensor may report, counts as none.
    elevation : array-like, shape (n,) or a number
        m above sea level; gives the air pressure of the standard atmosphere.
    year : array-like, shape (n,) or a number

    Returns
    -------
    numpy.ndarray, shape (n,)

    Notes
    -----
    The model takes 2.04 umol of photons for each joule of short-wave radiation (Meek et al. 1984), the temperature
    response of the quantum yield (Bernacchi et al. 2003) and the limitation of Jmax (Wang et al. 2017). It stands for
    plants that are acclimated to the weather of the day itself, by the means of 24 hours: what it lacks in level, the
    regressor's scale gives back. Where it has no solution (hot and dry: above 45 degC) nothing is fixed.

    Source
    ------
    Prentice et al. 2014, doi 10.1111/ele.12211; Wang et al. 2017, doi 10.1038/s41477-017-0006-8; Stocker et al. 2020,
    doi 10.5194/gmd-13-1545-2020; in pyrealm, whose GPP is in ug of carbon m-2 s-1.

    Examples
    --------
    >>> p_model_gpp([0.7, 0.1], sw_in=200.0, ta=18.0, vpd=8.0, elevation=100.0, year=2020).round(1).tolist()
    [9.6, 0.0]
    """
    pmodel = import_pmodel()  # first: any import of pyrealm renames warnings
    from pyrealm.constants import CoreConst
    from pyrealm.core.pressure import calc_patm

    given = (ndvi, sw_in, ta, vpd, elevation, year)
    ndvi, sw_in, ta, vpd, elevation, year = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in given))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyrealm warns whenever it is run
        environment = pmodel.PModelEnvironment(
            tc=np.maximum(ta, _COLDEST),
            vpd=units.convert(np.maximum(vpd, 0.0), units.PRESSURE_DEFICIT, "Pa"),
            co2=carbon_dioxide(year),
            patm=calc_patm(elevation),
            fapar=fapar_from_ndvi(ndvi),
            ppfd=np.maximum(sw_in, 0.0) * CoreConst().swdown_to_ppfd_factor,
        )
        gpp = pmodel.PModel(environment).gpp
    without_solution = np.isnan(gpp) & np.isfinite([ndvi, sw_in, ta, vpd, elevation, year]).all(axis=0)
    return np.asarray(units.convert(np.where(without_solution, 0.0, gpp), "ugC m-2 s-1", units.DAILY_CARBON_FLUX))
