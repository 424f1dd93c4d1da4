"""A self-contained HTML report of a benchmark: it opens from a disk without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ecoembed.files import atomic
from ecoembed.gpp.rows import describe_rows
from ecoembed.validation.report.figures import COLOURS, drawn_sites, map_figure, series_figures, too_dense
from ecoembed.validation.result import NO_UNIT, Result
from ecoembed.validation.splits import UNSEEN

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["answer", "compared", "write_report"]

_BASELINE = "nirv_x_radiation"
_EMBEDDINGS = "embeddings"
#: What the embeddings must beat: what the satellite gives without an encoder, and an encoder without training.
_RIVALS = ("bands", "indices", "embeddings:random")
_CYCLE = "seasonal cycle by vegetation type"

Model = tuple[str, str]


def write_report(
    benchmark: Result,
    path: str | Path,
    sites: gpd.GeoDataFrame | None = None,
    pictures: Sequence[tuple[str, str, Any]] = (),
    title: str | None = None,
) -> Path:
    """Write the report, atomically.

    Parameters
    ----------
    benchmark : Result
    path : str or Path
    sites : geopandas.GeoDataFrame, optional
        `Sites`; with them the report has a map.
    pictures : sequence of (site, caption, picture), optional
        A picture is PNG bytes, or an array of shape (y, x, 3) in [0, 1].
    title : str, optional
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ecoembed.validation.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    html = environment.get_template("report.html").render(**_context(benchmark, sites, pictures, title))
    path = Path(path)
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def compared(scores: pd.DataFrame) -> list[Model]:
    """The best model and the one to hold it against.

    That is the best of NIRv x radiation; or, where that baseline is itself the best or absent, the best of another set.
    """
    best = scores.iloc[0]
    others = scores[scores["features"] != best["features"]]
    baseline = others[others["features"] == _BASELINE]
    second = baseline if len(baseline) else others
    return [
        (str(r["features"]), str(r["regressor"])) for _, r in pd.concat([scores.head(1), second.head(1)]).iterrows()
    ]


def answer(benchmark: Result) -> str:
    """The result in a few sentences: numbers only, for nothing here tests whether a difference is more than chance.

    A set with embeddings is held against the same set with bands, with indices and with a random encoder in their
    place, so that both sides have the same other drivers; the embeddings alone against NIRv x radiation, too. Whether
    training the encoder was worth anything is said in words.
    """
    scores, record = benchmark.scores, benchmark.record
    best = scores.iloc[0]
    where = "that the model never saw" if record["label"] == UNSEEN else "of which the model had seen other days"
    text = (
        f"At {best['sites']} sites {where}, {best['features']} ({best['regressor']}) has the highest r2 of all models: "
        f"{_number(best['r2'])}, with an RMSE of {best['rmse']:.2f} {_unit(record)}."
    )
    if best["r2"] <= 0:
        text += " That is no better than the mean over all sites."
    question, quoted = _question(scores)
    text += f"{question}{_encoders(benchmark)} Whether a difference is more than chance is not tested."
    others = scores[~scores["features"].isin({best["features"], *quoted})].drop_duplicates("features")
    listed = ", ".join(f"{r['features']} {_number(r['r2'])}" for _, r in others.iterrows())
    return f"{text} The other sets, each with its better regressor: {listed}." if listed else text


def _question(scores: pd.DataFrame) -> tuple[str, set[str]]:
    """For each set with embeddings, its r2 against its rivals; and the names of all sets told of."""
    highest = scores.drop_duplicates("features").set_index("features")["r2"].round(2)
    clauses, quoted = [], set()
    for name in (n for n in highest.index if _EMBEDDINGS in n.split("+")):
        rivals = ["+".join(r if part == _EMBEDDINGS else part for part in name.split("+")) for r in _RIVALS]
        met = [rival for rival in (*rivals, *([_BASELINE] if name == _EMBEDDINGS else [])) if rival in highest]
        against = [
            f"{_number(highest[name] - highest[rival], '+')} against {rival} ({_number(highest[rival])})"
            for rival in met
        ]
        if against:
            clauses.append(f"{name} {_number(highest[name])}: {', '.join(against)}")
            quoted |= {name, *met}
    told = f" What the embeddings add to r2, each set with its better regressor: {'; '.join(clauses)}."
    return told if clauses else "", quoted


def _encoders(benchmark: Result) -> str:
    """Of each set with embeddings, whether the trained encoder beats the random one; r2 in the two digits printed."""
    chosen = benchmark.scores.drop_duplicates("features").set_index("features")
    told = []
    for name in (n for n in chosen.index if _EMBEDDINGS in n.split("+")):
        random = "+".join(f"{part}:random" if part == _EMBEDDINGS else part for part in name.split("+"))
        if random not in chosen.index:
            continue
        r2, control = (round(float(chosen.loc[n, "r2"]), 2) for n in (name, random))
        own, other = (
            _of(benchmark.site_scores, (n, chosen.loc[n, "regressor"])).set_index("site")["r2"] for n in (name, random)
        )
        told.append(
            f" The trained encoder {'beats' if r2 > control else 'does not beat'} the random one in {name} "
            f"({_number(r2)} against {_number(control)}; higher at {(own > other).sum()} of {len(own)} sites)."
        )
    return "".join(told)


def _unit(record: dict[str, Any]) -> str:
    """The unit after a number; in brackets where there is none."""
    return f"({NO_UNIT})" if record["units"] == NO_UNIT else str(record["units"])


def _columns(columns: Any) -> list[str]:
    """The columns of a set in words; those of the climatology, which nobody reads one by one, in one."""
    if isinstance(columns, dict):
        return [f"{_CYCLE} ({', '.join(f'{k} = {v}' for k, v in columns.items())})"]
    plain = [c for c in columns if not str(c).startswith("climatology.")]
    count = len(columns) - len(plain)
    return [*plain, f"{_CYCLE} ({count} columns)"] if count else plain


def _number(value: float, sign: str = "") -> str:
    """Two digits, with a minus sign rather than a hyphen; no minus before a zero."""
    return f"{round(value, 2) + 0.0:{sign}.2f}".replace("-", "\N{MINUS SIGN}")


def _context(
    benchmark: Result, sites: pd.DataFrame | None, pictures: Sequence[tuple[str, str, Any]], title: str | None
) -> dict[str, Any]:
    record, scores = benchmark.record, benchmark.scores
    models = compared(scores)
    quantity = f"{record['target']} ({record['units']})"
    best = _of(benchmark.site_scores, models[0]).set_index("site")
    drawn = {s: f"{s}   n = {best.loc[s, 'n']}   r2 = {_number(best.loc[s, 'r2'])}" for s in drawn_sites(best["r2"])}
    counted = record["feature_table"] if "site_rows" in record["feature_table"] else record
    map_png = None if sites is None else map_figure(sites, best["r2"], f"r2 of {models[0][0]}, {models[0][1]}")
    return {
        "title": title or f"{record['target']} at {'unseen' if record['label'] == UNSEEN else 'seen'} sites",
        "answer": answer(benchmark),
        "record": record,
        "scores": _with_sites_below_zero(scores, benchmark.site_scores),
        "columns": {name: _columns(columns) for name, columns in record["features"].items()},
        "colours": COLOURS,
        "series": [_uri(png) for png in series_figures(benchmark.predictions, models, drawn, quantity)],
        "drawn": len(drawn),
        "monthly": too_dense(benchmark.predictions),
        "models": models,
        "site_columns": _best_of_sets(scores),
        "site_rows": _site_rows(benchmark, sites),
        "site_coverage": best["coverage"].quantile([0.0, 0.5, 1.0]).tolist() if "coverage" in best else None,
        "map": map_png and _uri(map_png),
        "pictures": [(site, caption, _uri(_png(image))) for site, caption, image in pictures],
        "kept": [
            describe_rows(rows, what)
            for rows, what in ((record["feature_table"].get("rows"), "acquisitions"), (record["rows"], "rows"))
            if rows
        ],
        "no_rows": {**record["feature_table"].get("sites_without_rows", {}), **record["sites_without_rows"]},
        "counted": counted,
        "counted_what": "rows" if counted is record else "acquisitions",
        "flux_reasons": _reasons(record["feature_table"].get("flux", {})),
        "reasons": [r for r, n in counted["rows"].items() if n and r not in ("in", "out")],
    }


def _reasons(account: dict[str, dict[str, Any]]) -> list[str]:
    """For what reasons any site lost days of its flux table."""
    lost = [r for about in account.values() for r, n in about["rows"].items() if n and r not in ("in", "out")]
    return list(dict.fromkeys(lost))


def _of(site_scores: pd.DataFrame, model: Model) -> pd.DataFrame:
    return site_scores[(site_scores["features"] == model[0]) & (site_scores["regressor"] == model[1])]


def _with_sites_below_zero(scores: pd.DataFrame, site_scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The pooled scores, each with the number of sites whose r2 is below zero."""
    keys = ["features", "regressor"]
    below = site_scores[site_scores["r2"] < 0].groupby(keys).size().rename("below_zero")
    joined = scores.join(below, on=keys).fillna({"below_zero": 0}).astype({"below_zero": int})
    return joined.to_dict("records")


def _best_of_sets(scores: pd.DataFrame) -> list[Model]:
    """Each feature set with the regressor of its higher pooled r2, the best first."""
    first = scores.drop_duplicates("features")
    return list(zip(first["features"], first["regressor"], strict=True))


def _site_rows(benchmark: Result, sites: pd.DataFrame | None) -> list[dict[str, Any]]:
    """One line for each site: type, n, r2 of each set, RMSE and bias of the best model; the best site first."""
    columns = _best_of_sets(benchmark.scores)
    tables = [_of(benchmark.site_scores, model).set_index("site") for model in columns]
    known = {} if sites is None else dict(sites["igbp"])
    lines = [
        {
            "site": site, "type": known.get(site), "n": int(row["n"]), "r2": [float(t.loc[site, "r2"]) for t in tables],
            "rmse": float(row["rmse"]), "bias": float(row["bias"]),
        }
        for site, row in tables[0].iterrows()
    ]  # fmt: skip
    return sorted(lines, key=lambda line: -np.nan_to_num(line["r2"][0], nan=-np.inf))


def _png(image: Any) -> bytes:
    if isinstance(image, bytes):
        return image
    import io

    from matplotlib.image import imsave

    stream = io.BytesIO()
    imsave(stream, np.clip(np.asarray(image, dtype=float), 0, 1), format="png")
    return stream.getvalue()


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
