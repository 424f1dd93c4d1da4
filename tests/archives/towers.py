"""Half-hourly flux files of a tower whose truth is known, in the columns of ONEFlux and of AmeriFlux BASE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

LATITUDE, LONGITUDE, OFFSET = 51.1, 10.9, 1.0
_VERSIONS = ("REF", "USTAR50", "MEAN", "05", "16", "25", "50", "75", "84", "95")


def sunshine(time: pd.DatetimeIndex, minutes: int = 30, shift: float = 0.0) -> np.ndarray:
    """Clear-sky radiation, W m-2, of the fake place; `shift` hours late."""
    middle = time + pd.Timedelta(minutes=minutes / 2)
    day = middle.day_of_year.to_numpy()
    hour = middle.hour.to_numpy() + middle.minute.to_numpy() / 60 - shift - OFFSET + LONGITUDE / 15
    tilt, place = np.radians(-23.44 * np.cos(2 * np.pi * (day + 10) / 365.25)), np.radians(LATITUDE)
    angle = np.radians(15 * (hour - 12))
    return 1000 * np.maximum(np.sin(place) * np.sin(tilt) + np.cos(place) * np.cos(tilt) * np.cos(angle), 0.0)


def exchange(time: pd.DatetimeIndex, minutes: int = 30, seed: int = 0) -> pd.DataFrame:
    """Drivers and fluxes without a gap: NEE = RECO - GPP, umol m-2 s-1; RECO after Lloyd and Taylor."""
    rng = np.random.default_rng(seed)
    light = sunshine(time, minutes)
    season = -np.cos(2 * np.pi * (time.day_of_year.to_numpy() - 20) / 365.25)
    air = 10 + 9 * season + light / 150 + rng.normal(0, 1.5, len(time))
    table = pd.DataFrame({"TA": air, "SW_IN": light, "VPD": light / 60, "P": rng.gamma(0.05, 0.5, len(time))}, time)
    table["USTAR"] = 0.05 + rng.gamma(2.0, 0.15, len(time))
    table["GPP"] = (0.5 + 0.5 * np.maximum(season, 0)) * 25 * light / (light + 400)
    table["RECO"] = 3.0 * np.exp(200.0 * (1 / 61.02 - 1 / (air + 46.02)))
    table["NEE"] = table["RECO"] - table["GPP"]
    return table


def oneflux(truth: pd.DataFrame, minutes: int = 30, seed: int = 1) -> pd.DataFrame:
    """The FULLSET half-hourly table: every version of every flux differs, each NEE has its own QC."""
    rng, n = np.random.default_rng(seed), len(truth)
    table = stamps(truth.index, minutes)
    table |= {"TA_F": truth["TA"], "SW_IN_F": truth["SW_IN"], "VPD_F": truth["VPD"], "P_F": truth["P"]}
    table |= {"H_F_MDS": truth["SW_IN"] * 0.2 - 10, "LE_F_MDS": truth["SW_IN"] * 0.4}
    table |= {"NETRAD": truth["SW_IN"] * 0.75 - 12.5, "G_F_MDS": truth["SW_IN"] * 0.0}
    table |= {"H_F_MDS_QC": rng.integers(0, 2, n), "LE_F_MDS_QC": rng.integers(0, 2, n)}
    for threshold in ("VUT", "CUT"):
        for i, version in enumerate(_VERSIONS):
            shift = 0.1 * i + (0.05 if threshold == "CUT" else 0.0)
            table[f"NEE_{threshold}_{version}"] = truth["NEE"] - shift
            table[f"NEE_{threshold}_{version}_QC"] = rng.choice(4, n, p=[0.6, 0.25, 0.1, 0.05])
            for method, more in (("NT", 0.0), ("DT", 0.3)):
                table[f"GPP_{method}_{threshold}_{version}"] = truth["GPP"] + shift + more
                table[f"RECO_{method}_{threshold}_{version}"] = truth["RECO"] + more
            if version in ("REF", "USTAR50"):
                measured = table[f"NEE_{threshold}_{version}_QC"] == 0
                table[f"NEE_{threshold}_{version}_RANDUNC"] = np.where(measured, rng.uniform(0.5, 2, n), np.nan)
                table[f"NEE_{threshold}_{version}_JOINTUNC"] = np.full(n, 9.0)
    return pd.DataFrame({name: np.asarray(values) for name, values in table.items()})


def base(truth: pd.DataFrame, minutes: int = 30, position: str = "") -> pd.DataFrame:
    """AmeriFlux BASE: net exchange and drivers, no partitioned flux."""
    table = stamps(truth.index, minutes)
    table["FC"] = truth["NEE"].to_numpy()
    for name in ("TA", "SW_IN", "VPD", "P", "USTAR"):
        table[name + position] = truth[name].to_numpy()
    return pd.DataFrame(table)


def stamps(time: pd.DatetimeIndex, minutes: int = 30) -> dict[str, object]:
    end = time + pd.Timedelta(minutes=minutes)
    return {"TIMESTAMP_START": time.strftime("%Y%m%d%H%M"), "TIMESTAMP_END": end.strftime("%Y%m%d%H%M")}


def write(folder: Path, table: pd.DataFrame, name: str = "FLX_XX-T01_FLUXNET2015_FULLSET_HH_2019-2019_1-4.csv") -> Path:
    table.fillna(-9999).to_csv(folder / name, index=False, float_format="%.10g")
    return folder / name


def write_base(folder: Path, table: pd.DataFrame, name: str = "AMF_XX-T01_BASE_HH_1-5.csv") -> Path:
    text = table.fillna(-9999).to_csv(index=False, float_format="%.10g")
    (folder / name).write_text("# Site: XX-T01\n# Version: 1-5\n" + text)
    return folder / name


def halfhours(first: str = "2019-05-01", days: int = 30, minutes: int = 30) -> pd.DatetimeIndex:
    return pd.date_range(first, periods=days * 1440 // minutes, freq=f"{minutes}min").astype("datetime64[ns]")
