"""The columns of a virtual tower's FULLSET files, under the network's names.

Source: Pastorello et al. 2020, doi 10.1038/s41597-020-0534-3. Percentiles are over the versions by friction-velocity
threshold, at the file's own resolution; MEAN is the versions' mean; USTAR50 is the version of the median threshold and
REF the one that agrees best with the others.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ecoembed.gpp.p_model import carbon_dioxide
from ecoembed.virtual.places import VirtualPlace
from ecoembed.virtual.processing import VERSIONS, Version, blind_days, daily_random_error, reference
from ecoembed.virtual.production import DAILY
from ecoembed.virtual.tower import Record, is_night, random_error
from ecoembed.virtual.weather import HALF_HOURS, daily_means

MISSING = -9999.0
PERCENTILES = ("05", "16", "25", "50", "75", "84", "95")
#: Column -> field of a version.
_FLUXES = {"NEE": "nee", "RECO_NT": "reco_nt", "GPP_NT": "gpp_nt", "RECO_DT": "reco_dt", "GPP_DT": "gpp_dt"}
#: Columns of the weather that no tower knows.
_HIDDEN = ["CLOUD", "DIFFUSE", "DROUGHT"]


def half_hourly_table(
    place: VirtualPlace, record: Record, rows: dict[str, list[Version]], weather: pd.DataFrame
) -> pd.DataFrame:
    """Columns of the half-hourly file: weather and the reference version; what an outage takes is missing.

    Partitioned fluxes are missing on the days on which they are in the daily file.
    """
    table = weather.drop(columns=_HIDDEN)
    best = reference(rows["VUT"])
    table["NEE_VUT_REF"], table["NEE_VUT_REF_QC"] = best.nee, best.quality
    table["NEE_VUT_REF_RANDUNC"] = random_error(place, best.model)
    blind = np.repeat(blind_days(best), HALF_HOURS)
    for flux in ("RECO_NT", "GPP_NT", "RECO_DT", "GPP_DT"):
        table[f"{flux}_VUT_REF"] = np.where(blind, MISSING, getattr(best, _FLUXES[flux]))
    table.loc[record.outage, ["WD", "USTAR", "H_F_MDS"]] = MISSING
    index = pd.DatetimeIndex(table.index)
    stamps = {"TIMESTAMP_START": index, "TIMESTAMP_END": index + pd.Timedelta("30min")}
    for i, (name, stamp) in enumerate(stamps.items()):
        table.insert(i, name, np.asarray(stamp.strftime("%Y%m%d%H%M").astype("int64")))
    return table.reset_index(drop=True)


def daily_table(
    place: VirtualPlace, record: Record, rows: dict[str, list[Version]], weather: pd.DataFrame, daily: pd.DataFrame
) -> pd.DataFrame:
    """Columns of the daily file.

    Days without one measurement keep their weather and their filled NEE; their partitioned fluxes are missing.
    """
    index = pd.DatetimeIndex(daily.index)
    columns: dict[str, np.ndarray] = {"TIMESTAMP": np.asarray(index.strftime("%Y%m%d").astype("int64"))}
    powered = 1.0 - daily_means(record.outage.astype(float))
    for name in ("TA_F", "SW_IN_F", "VPD_F", "PA_F", "P_F", "WS_F"):
        columns[name], columns[f"{name}_QC"] = daily[name].to_numpy(), powered
    columns["SW_IN_POT"], columns["CO2_F_MDS"] = daily["SW_IN_POT"].to_numpy(), carbon_dioxide(index.year)
    for kind, versions in rows.items():
        columns |= _carbon(place, kind, versions, is_night(weather))
    return pd.DataFrame(columns).fillna(MISSING)


def _carbon(place: VirtualPlace, kind: str, rows: list[Version], night: np.ndarray) -> dict[str, np.ndarray]:
    """Carbon fluxes of one kind of threshold in gC m-2 d-1, with their quality and uncertainty."""
    columns: dict[str, np.ndarray] = {}
    chosen = {"REF": reference(rows), "USTAR50": rows[VERSIONS // 2]}
    good = np.stack([daily_means((row.quality <= 1).astype(float)) for row in rows])
    blind = {name: blind_days(row) for name, row in chosen.items()}
    for flux, field in _FLUXES.items():
        every = np.stack([daily_means(getattr(row, field)) for row in rows]) * DAILY
        spread = dict(zip(PERCENTILES, np.percentile(every, [int(p) for p in PERCENTILES], axis=0), strict=True))
        named = {name: daily_means(getattr(row, field)) * DAILY for name, row in chosen.items()}
        for name, values in {**named, **spread, "MEAN": every.mean(0)}.items():
            gone = (flux != "NEE") & blind.get(name, blind["USTAR50"])
            columns[f"{flux}_{kind}_{name}"] = np.where(gone, np.nan, values)
    for name in (*PERCENTILES, "MEAN"):
        columns[f"NEE_{kind}_{name}_QC"] = good.mean(0)
    low, high = columns[f"NEE_{kind}_16"], columns[f"NEE_{kind}_84"]
    for name, row in chosen.items():
        random = daily_random_error(place, row, night) * DAILY
        columns[f"NEE_{kind}_{name}_QC"] = daily_means((row.quality <= 1).astype(float))
        columns[f"NEE_{kind}_{name}_RANDUNC"] = random
        columns[f"NEE_{kind}_{name}_JOINTUNC"] = np.hypot(random, (high - low) / 2.0)
    return columns
