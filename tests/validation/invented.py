"""An invented result with every table that a benchmark can give; the report is tested on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ecoembed.validation.result import Result
from tests.validation import formulas

SETS = ("embeddings+meteo", "bands+meteo", "nirv_x_radiation", "meteo")
REGRESSORS = ("ridge", "lightgbm")
_KEYS = ["features", "regressor"]
_ERROR = {"embeddings+meteo": 1.5, "bands+meteo": 1.6, "nirv_x_radiation": 1.9, "meteo": 2.6}


def invented(sites: int = 6, days: int = 60, seed: int = 0, **record: Any) -> Result:
    """A result of `sites` sites, with all tables; `record` replaces or adds entries of the record."""
    rng = np.random.default_rng(seed)
    names = [f"XX-T{i:02d}" for i in range(sites)]
    places = pd.DataFrame(
        {
            "latitude": rng.uniform(-40, 65, sites), "longitude": rng.uniform(-120, 150, sites),
            "vegetation": [("GRA", "ENF", "CRO")[i % 3] for i in range(sites)],
            "climate": [("Cfb", "Dfc")[i % 2] for i in range(sites)],
        },
        index=pd.Index(names, name="site"),
    )  # fmt: skip
    predictions = _predictions(names, days, rng)
    predictions.loc[predictions["site"] == names[-1], "observed"] = 2.0  # a constant target: no r2
    site_scores = _scores(predictions, [*_KEYS, "site"])
    scores = _pooled(predictions, site_scores)
    undefined = [
        {"table": "site_scores", "features": f, "regressor": r, "where": f"{names[-1]}, all days", "score": "r2",
         "cause": "the observed values are all the same"} for f in SETS for r in REGRESSORS
    ]  # fmt: skip
    about: dict[str, Any] = {
        "target": "GPP", "units": "gC m-2 d-1", "protocol": "leave-site-out", "label": "unseen-site", "folds": sites,
        "seed": 0, "features": {name: [f"{part}.x" for part in name.split("+")] for name in SETS}, "quality": None,
        "rows": {"in": sites * days + 3, "target missing": 3, "out": sites * days}, "site_rows": {},
        "sites_without_rows": {}, "feature_table": {}, "samples": "0" * 16, "versions": {"ecoembed": "0"},
        "leakage": {"checks": {"the same row in training and in the test": "nothing found"}, "findings": []},
        "intervals": 0.9, "undefined": undefined, "retrospective": False,
        "noise_ceiling": {
            "r2": 0.9, "rmse": 0.7, "n": 100, "days": "all",
            "contributions": {"partitioning": {"rmse": 0.7, "r2_lost": 0.1, "n": 100, "of": ["GPP_DT"]},
                              "random": {"not_known": "the table has no random uncertainty of the target"}},
        },
        "nested": {
            "inner_folds": 5, "r2": 0.5, "optimism": 0.02,
            "chosen": [{"features": "meteo", "regressor": "ridge", "folds": 6}],
            "best_afterwards": {"features": "embeddings+meteo", "regressor": "ridge", "r2": 0.52},
        },
        "nearest_training_km": dict(zip(names, rng.uniform(1, 900, sites).tolist(), strict=True)),
    }  # fmt: skip
    return Result(
        predictions=predictions, scores=scores.assign(protocol="leave-site-out", label="unseen-site"),
        site_scores=site_scores, group_scores=_groups(predictions, places), comparisons=_comparisons(scores, sites),
        applicability=_applicability(names, days, rng), importance=_importance(rng), partial=_partial(),
        effects=_effects(), choices=_choices(names),
        folds=pd.DataFrame({"site": names, "fold": range(sites)}), places=places, record={**about, **record},
    )  # fmt: skip


def _choices(names: list[str]) -> pd.DataFrame:
    pair = {"features": "meteo", "regressor": "ridge", "inner_r2": 0.5, "inner_sites": len(names) - 1}
    return pd.DataFrame([{"fold": k, "held_out": name, **pair} for k, name in enumerate(names)])


def _effects() -> pd.DataFrame:
    line = {"features": "meteo", "term": "meteo.x", "estimate": 1.5, "standard error": 0.2, "n": 360}
    none = {"features": "meteo", "term": "ICC", "estimate": 0.3, "n": 360}
    return pd.DataFrame([line | {"lower": 1.1, "upper": 1.9, "p": 0.0001}, none])


def bare(result: Result) -> Result:
    """The same with nothing that must be asked for."""
    from dataclasses import replace

    none = pd.DataFrame()
    kept = {
        k: v
        for k, v in result.record.items()
        if k not in ("intervals", "nearest_training_km", "undefined", "noise_ceiling", "nested")
    }
    unknown = result.places.assign(latitude=np.nan, longitude=np.nan, vegetation=None, climate=None)
    drop = {"columns": ["coverage", "width"]}
    return replace(
        result, group_scores=none, comparisons=none, applicability=none, importance=none, partial=none,
        effects=none, choices=none, folds=none, places=unknown, record=kept,
        scores=result.scores.drop(**drop), site_scores=result.site_scores.drop(**drop),
        predictions=result.predictions.assign(lower=np.nan, upper=np.nan),
    )  # fmt: skip


def _predictions(names: list[str], days: int, rng: np.random.Generator) -> pd.DataFrame:
    date = pd.date_range("2020-01-03", periods=days, freq=f"{max(1, 700 // days)}D")
    season = 6 - 5 * np.cos(2 * np.pi * date.dayofyear / 365.25)
    parts = []
    for i, site in enumerate(names):
        observed = np.asarray(season) * rng.uniform(0.6, 1.2) + rng.normal(0, 0.8, days)
        for features in SETS:
            for regressor in REGRESSORS:
                predicted = observed + rng.normal(0.1 * i, _ERROR[features], days)
                parts.append(
                    pd.DataFrame(
                        {
                            "site": site, "date": date, "fold": i, "protocol": "leave-site-out", "features": features,
                            "regressor": regressor, "observed": observed, "predicted": predicted,
                            "lower": predicted - 3, "upper": predicted + 3,
                        }
                    )
                )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _line(rows: pd.DataFrame) -> dict[str, float]:
    y, p, low, high = (rows[k].to_numpy() for k in ("observed", "predicted", "lower", "upper"))
    scores = {s: getattr(formulas, s)(y, p) for s in ("r2", "pearson_r2", "rmse", "nrmse", "mae", "bias", "kge")}
    return {"n": len(rows), **scores, "coverage": formulas.coverage(y, low, high), "width": formulas.width(low, high)}


def _scores(predictions: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    groups = predictions.groupby(keys, sort=False)
    return pd.DataFrame([{**dict(zip(keys, key, strict=True)), "days": "all", **_line(rows)} for key, rows in groups])


def _pooled(predictions: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    table = _scores(predictions, _KEYS).assign(sites=predictions["site"].nunique())
    r2 = sites.groupby(_KEYS)["r2"]
    for name, values in (("median", r2.median()), ("q25", r2.quantile(0.25)), ("q75", r2.quantile(0.75))):
        table[f"{name}_site_r2"] = values.loc[pd.MultiIndex.from_frame(table[_KEYS])].to_numpy()
    table["sites_below_zero"] = 0.1
    for name in ("across_site_r2", "seasonal_cycle_r2", "anomaly_r2", "interannual_r2"):
        table[name] = table["r2"] - 0.1
    table = table.assign(
        annual_sum_rmse=120.0,
        annual_sum_bias=-30.0,
        annual_sums=12,
        seasonal_cycle_sites=5,
        anomaly_days=300,
        interannual_sites=4,
    )
    return table.sort_values("r2", ascending=False, ignore_index=True)


def _groups(predictions: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    high = predictions["observed"] > predictions["observed"].quantile(0.9)
    by = {
        "vegetation": predictions["site"].map(places["vegetation"]),
        "climate": predictions["site"].map(places["climate"]),
        "season": predictions["date"].dt.month.map(lambda m: ("DJF", "MAM", "JJA", "SON")[m % 12 // 3]),
        "tail": pd.Series(np.where(high, "highest tenth", "the others"), index=predictions.index),
        "applicability": pd.Series(np.where(predictions.index % 4, "inside", "outside"), index=predictions.index),
    }
    parts = []
    for name, group in by.items():
        table = predictions.assign(group=group)
        counts = table.groupby([*_KEYS, "group"], sort=False)["site"].nunique()
        lines = _scores(table, [*_KEYS, "group"])
        sites = counts.loc[pd.MultiIndex.from_frame(lines[[*_KEYS, "group"]])].to_numpy()
        parts.append(lines.assign(by=name, sites=sites))
    return pd.concat(parts, ignore_index=True)


def _comparisons(scores: pd.DataFrame, sites: int) -> pd.DataFrame:
    r2 = scores[scores["regressor"] == "ridge"].set_index("features")["r2"]
    pairs = [("embeddings+meteo", "bands+meteo"), ("embeddings+meteo", "meteo"), ("bands+meteo", "nirv_x_radiation")]
    lines = []
    for i, (a, b) in enumerate(pairs):
        difference, half = r2[a] - r2[b], (0.2, 0.001, 0.001)[i]
        numbers = f"r2 {r2[a]:.3f} against {r2[b]:.3f}, difference {difference:+.3f}"
        who = f"{a} (ridge) beats {b} (ridge)" if half < difference else f"no difference shown between {a} and {b}"
        lines.append(
            {
                "features_a": a, "regressor_a": "ridge", "features_b": b, "regressor_b": "ridge", "score": "r2",
                "a": r2[a], "b": r2[b], "difference": difference, "lower": difference - half,
                "upper": difference + half, "sites": sites, "sites_a_better": sites - 1, "wilcoxon_p": 0.01,
                "holm_p": 0.03, "says": f"{who}: {numbers} (95 % interval {difference - half:+.3f} to ...).",
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _applicability(names: list[str], days: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"features": f, "site": s, "n": days, "inside": rng.uniform(0.4, 1), "dissimilarity": rng.uniform(0.1, 0.9)}
            for f in SETS
            for s in names
        ]
    )


def _importance(rng: np.random.Generator) -> pd.DataFrame:
    lines = [
        {"features": "embeddings+meteo", "regressor": "lightgbm", "group": group, "kind": kind, "value": v,
         "lower": v - 0.05, "upper": v + 0.05}
        for kind in ("mse", "r2", "contribution") for group, v in (("embeddings", rng.uniform()), ("meteo", 0.2))
    ]  # fmt: skip
    return pd.DataFrame(lines)


def _partial() -> pd.DataFrame:
    at = np.linspace(0, 1, 19)
    parts = [
        pd.DataFrame(
            {
                "features": "nirv_x_radiation", "regressor": "ridge", "column": name, "quantile": at, "at": at,
                "value": 3 * at, "lower": 3 * at - 0.3, "upper": 3 * at + 0.3,
            }
        ) for name in ("light", "warmth")
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)
