"""True carbon fluxes of a landscape, half-hour by half-hour: the P-model, soil water, and respiration.

What a field fixes is a product of four terms, so that half-hours and days agree by construction: **a day's GPP is the
mean of its half-hours**, for a pixel and for any mixture of pixels.

1. ``response`` (half-hour): what a unit of absorbed light fixes, by the subdaily P-model (Mengoli et al. 2022, doi
   10.1029/2021MS002767, in pyrealm). Its capacity follows the noon light of the past fortnight, so that GPP saturates
   on clear days and acclimates over weeks. C4 for maize. More is fixed of diffuse light (:data:`_DIFFUSE`), which
   reaches the shaded leaves.
2. ``limits`` (day, field): the soil-water stress that Mengoli et al. 2023 fitted for that model (in pyrealm); frost
   hardening of evergreen leaves after Makela et al. 2004; and a factor for each cover and each stand.
3. ``absorbed`` (day, pixel): interception by Beer's law times the leaf's absorptance, which falls with its chlorophyll
   (Evans and Poorter 2001, doi 10.1046/j.1365-3040.2001.00724.x).
4. The photon flux.

So GPP is no function of a vegetation index times radiation: the stands' factors, frost and dry soil under green leaves
do not show in reflectance, diffuse light and acclimation need the weather, chlorophyll needs the red edge. Each is
there because towers show it, with its published size; none was adjusted to what a feature set or a model scores.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ecoembed.gpp.p_model import carbon_dioxide, import_pmodel
from ecoembed.virtual import soil
from ecoembed.virtual.farming import is_maize
from ecoembed.virtual.landscape import Landscape
from ecoembed.virtual.vegetation import COVERS, Growth, running
from ecoembed.virtual.weather import HALF_HOURS

#: umol m-2 s-1 of photons in a W m-2 of shortwave radiation (0.45 of it PAR, 4.6 umol J-1).
PHOTONS = 2.07
#: Molar mass of carbon, ug umol-1, and gC m-2 d-1 in a umol m-2 s-1.
_CARBON, DAILY = 12.011, 12.011e-6 * 86_400.0
#: Light use rises by this share from all-direct to all-diffuse light, around that of a half-clouded sky (Alton et al.
#: 2007, doi 10.1111/j.1365-2486.2007.01316.x: 6-33 %).
_DIFFUSE, _USUAL = 0.25, 0.5
#: Extinction of light, and umol m-2 of chlorophyll at which a leaf absorbs half; ug cm-2 to umol m-2 (893 g mol-1).
_EXTINCTION, _HALF_ABSORBED, _CHLOROPHYLL = 0.5, 76.0, 1e4 / 893.0
#: Days over which evergreens recover from frost.
_RECOVERY = 12.0
#: Respiration at 15 degC in gC m-2 d-1: of old soil, for each unit of recent GPP, and of a ground full of litter.
_BASE, _RECENT, _LITTER = 0.9, 0.75, 0.5


def response(weather: pd.DataFrame) -> np.ndarray:
    """Carbon fixed in umol m-2 s-1 where all light is absorbed and water is plenty, (2, n): by C3 and by C4 leaves.

    Parameters
    ----------
    weather : DataFrame
        Of :func:`ecoembed.virtual.weather.halfhours`.
    """
    pmodel = import_pmodel()
    index, light = pd.DatetimeIndex(weather.index), PHOTONS * weather["SW_IN_F"].to_numpy()
    with warnings.catch_warnings():  # of a default that changed since pyrealm 1, and of humid nights
        warnings.simplefilter("ignore")
        environment = pmodel.PModelEnvironment(
            tc=np.maximum(weather["TA_F"].to_numpy(), -24.0),
            vpd=100.0 * weather["VPD_F"].to_numpy(),
            co2=carbon_dioxide(index.year),
            patm=1000.0 * weather["PA_F"].to_numpy(),
            fapar=np.ones(len(index)),
            ppfd=light,
        )
        memory = pmodel.AcclimationModel(index.to_numpy())
        memory.set_window(window_center=np.timedelta64(12, "h"), half_width=np.timedelta64(1, "h"))
        fitted = [pmodel.SubdailyPModel(environment, memory, method_optchi=how).gpp for how in ("prentice14", "c4")]
    # before the first noon nothing has acclimated, and cold C4 leaves have no quantum yield: neither fixes anything
    fixed = np.maximum(np.nan_to_num(np.stack(fitted)), 0.0) / _CARBON
    return np.asarray(fixed * (1.0 + _DIFFUSE * (weather["DIFFUSE"].to_numpy() - _USUAL)))


def limits(growth: Growth, daily: pd.DataFrame, land: Landscape) -> np.ndarray:
    """Share of the P-model's carbon that each field fixes, (days, F): dry soil, frost, nutrients and cultivar."""
    covers = [COVERS[name] for name in land.cover]
    dry = import_pmodel().calc_soilmstress_mengoli(growth.water, np.full(growth.water.shape, soil.aridity(daily)))
    acclimated = running(daily["TA_F"].to_numpy(), _RECOVERY)
    hardened = np.ones(growth.water.shape)
    for f, cover in enumerate(covers):
        if cover.hardening is not None:
            stopped, recovered = cover.hardening
            hardened[:, f] = np.clip((acclimated - stopped) / (recovered - stopped), 0.0, 1.0)
    return np.asarray(dry * hardened * land.light_use * [cover.light_use for cover in covers])


def absorbed(growth: Growth, land: Landscape, leaf_area: np.ndarray) -> np.ndarray:
    """Share of the light that green leaves absorb, (days, y, x) float32.

    Parameters
    ----------
    growth, land : Growth, Landscape
    leaf_area : ndarray, shape (days, y, x)
    """
    chlorophyll = _CHLOROPHYLL * growth.chlorophyll
    leaf = (chlorophyll / (chlorophyll + _HALF_ABSORBED)).astype(np.float32)
    return np.asarray(-np.expm1(np.float32(-_EXTINCTION) * leaf_area) * leaf[:, land.field])


def field_production(response: np.ndarray, limits: np.ndarray, land: Landscape) -> np.ndarray:
    """GPP of each field where its leaves absorb all light, umol m-2 s-1, (n, F) float32."""
    rates = response.astype(np.float32)[is_maize(land).astype(int)].T
    return np.asarray(rates * np.repeat(limits.astype(np.float32), HALF_HOURS, axis=0))


def daily_production(fields: np.ndarray, absorbed: np.ndarray, land: Landscape) -> np.ndarray:
    """GPP of every pixel and day in gC m-2 d-1, (days, y, x) float32: the mean of the half-hours.

    Parameters
    ----------
    fields : ndarray, shape (n, F)
        Of :func:`field_production`.
    absorbed : ndarray, shape (days, y, x)
    land : Landscape
    """
    means = fields.reshape(len(absorbed), HALF_HOURS, -1).mean(1, dtype=np.float64) * DAILY
    return np.asarray(means.astype(np.float32)[:, land.field] * absorbed)


def respiration(weather: pd.DataFrame, growth: Growth, land: Landscape, gpp: np.ndarray) -> np.ndarray:
    """Ecosystem respiration of each field, umol m-2 s-1, (n, F) float32.

    A base that follows the field's GPP of the past weeks and its litter, less in dry and in flooded soil, and doubles
    every 10 K (Q10 of air temperature).

    Parameters
    ----------
    weather : DataFrame, n rows
    growth, land : Growth, Landscape
    gpp : ndarray, shape (days, y, x)
        gC m-2 d-1.
    """
    pixels = np.bincount(land.field.ravel(), minlength=len(land.cover))
    sums = np.stack([np.bincount(land.field.ravel(), day.ravel(), len(land.cover)) for day in gpp])
    recent = running(sums / np.maximum(pixels, 1), 20.0)
    base = (_BASE + _RECENT * recent + _LITTER * growth.litter) * np.clip(0.4 + growth.water, 0.4, 1.0)
    base = base * (1.0 - 0.5 * growth.flood) / DAILY
    warmth = 2.0 ** ((weather["TA_F"].to_numpy(dtype=np.float32) - 15.0) / 10.0)
    return np.asarray(np.repeat(base.astype(np.float32), HALF_HOURS, axis=0) * warmth[:, None])
