"""The tables of a report: which columns, in which unit, and why a cell is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ecoembed.validation.report.causes import Causes
from ecoembed.validation.report.groups import GROUPINGS
from ecoembed.validation.report.style import anchor, number, typeset
from ecoembed.validation.report.view import View, in_words, of_model

__all__ = [
    "Cell", "Table", "applicability_table", "comparison_table", "group_table", "named", "score_table", "site_table",
]  # fmt: skip


class Cell(NamedTuple):
    """What a cell shows, by what it sorts, where it leads, what a pointer is told, and whether it is bad news."""

    text: str
    value: str | float = ""
    link: str = ""
    tip: str = ""
    bad: bool = False


class Column(NamedTuple):
    """A score: its column, head and digits (percent where `share`), what it means, and the column of what it is of."""

    key: str
    head: str
    digits: int = 2
    unit: bool = False
    share: bool = False
    tip: str = ""
    of: str = ""


class Head(NamedTuple):
    """The head of a column of a table."""

    text: str
    numeric: bool = False
    unit: str = ""
    tip: str = ""


@dataclass(frozen=True)
class Table:
    """Heads and rows of cells; `ids` are the anchors of the rows."""

    name: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Cell]]
    ids: Sequence[str] = ()


_TIPS = {
    "seasonal": "of the mean seasonal cycles of the sites",
    "anomaly": "of what departs from the mean seasonal cycle of the site",
    "interannual": "of yearly departures, at sites of five years or more",
}
_SCORES = (
    Column("n", "days", 0),
    Column("sites", "sites", 0),
    Column("r2", "r2", 3, tip="1 − SSE/SST about the mean of all observed values: the Nash-Sutcliffe efficiency"),
    Column("median_site_r2", "median r2 of sites"),
    Column("q25_site_r2", "lower quartile of sites"),
    Column("q75_site_r2", "upper quartile of sites"),
    Column("sites_below_zero", "sites with r2 < 0", 0, share=True),
    Column("rmse", "RMSE", unit=True),
    Column("nrmse", "nRMSE", tip="RMSE over the mean of the observed values"),
    Column("mae", "MAE", unit=True),
    Column("bias", "bias", unit=True, tip="predicted minus observed"),
    Column("pearson_r2", "Pearson r2", tip="the squared correlation, which forgives any bias and slope"),
    Column("kge", "KGE", tip="Kling-Gupta efficiency"),
    Column("across_site_r2", "r2 across sites", tip="of the means of the sites"),
    Column("seasonal_cycle_r2", "r2 of the seasonal cycle", tip=_TIPS["seasonal"], of="seasonal_cycle_sites"),
    Column("anomaly_r2", "r2 of anomalies", tip=_TIPS["anomaly"], of="anomaly_days"),
    Column("interannual_r2", "r2 between years", tip=_TIPS["interannual"], of="interannual_sites"),
    Column("annual_sum_rmse", "RMSE of annual sums", 0),
    Column("annual_sum_bias", "bias of annual sums", 0),
    Column("annual_sums", "annual sums", 0),
    Column("coverage", "days within the interval", 0, share=True),
    Column("width", "width of the interval", unit=True),
)
_GROUP = ("n", "sites", "r2", "rmse", "mae", "bias", "coverage", "width")


def score_table(view: View, causes: Causes) -> Table:
    """All pooled scores, of measured and of all days where both are known; the label beside each."""
    table = view.result.scores
    columns = _present(table, _SCORES)
    both = len(set(table["days"])) > 1
    heads = [Head("feature set"), Head("regressor"), Head("scored at")]
    heads += [Head("which days")] if both else []
    rows = []
    for row in table.to_dict("records"):
        tag = str(row.get("label", view.record["label"]))
        tag += ", retrospective" if row["features"] in view.retrospective else ""
        where = {key: row[key] for key in ("features", "regressor", "days")}
        cells = [Cell(str(row["features"])), Cell(str(row["regressor"])), Cell(tag)]
        cells += [Cell(str(row["days"]))] if both else []
        rows.append(cells + [_cell(row, column, causes, where) for column in columns])
    return Table("scores", [*heads, *(_head(column, view) for column in columns)], rows)


def site_table(view: View, panels: set[str], causes: Causes) -> Table:
    """One line for each site, the best first: what is known of it, errors of the best model, r2 of each set."""
    best, places = view.best.sort_values("r2", ascending=False, na_position="last", kind="stable"), view.places
    km = pd.Series(view.record.get("nearest_training_km") or {}, dtype=float)
    errors = _present(best, [c for c in _SCORES if c.key in ("rmse", "bias", "kge", "coverage", "width")])
    tables = [of_model(view.site_scores, model).set_index("site")["r2"] for model in view.sets]
    known = [key for key in ("vegetation", "climate") if places[key].notna().any()]
    heads = [Head("site"), *(Head(key) for key in known), Head("days", True)]
    if km.notna().any():
        heads.append(Head("to training", True, "km", "to the nearest site that its model was trained on"))
    heads += [_head(column, view) for column in errors]
    heads += [Head(f"r2 {features}", True, tip=regressor) for features, regressor in view.sets]
    rows = []
    for site, row in best.iterrows():
        cells = [Cell(str(site), link=f"#{anchor(str(site))}" if site in panels else "")]
        cells += [Cell(str(places.loc[site, key] or "–")) for key in known]
        cells.append(Cell(number(row["n"], 0), row["n"]))
        if km.notna().any():
            distance = km.get(site, np.nan)
            cells.append(Cell(number(distance, 1 if distance < 10 else 0), _sortable(distance)))
        where = {"site": site, "days": view.days}
        model = dict(zip(("features", "regressor"), view.models[0], strict=True))
        cells += [_cell(row, column, causes, where | model) for column in errors]
        for (features, regressor), r2 in zip(view.sets, tables, strict=True):
            line = {"r2": r2.get(site, np.nan)}
            cells.append(_cell(line, _SCORES[2]._replace(digits=2), causes,
                               where | {"features": features, "regressor": regressor}))  # fmt: skip
        rows.append(cells)
    ids = ["" if site in panels else anchor(str(site)) for site in best.index]
    return Table("site_scores", heads, rows, ids)


def group_table(view: View, causes: Causes) -> Table:
    """Scores by group, of each set with its better regressor."""
    table = view.group_scores
    columns = _present(table, [c for c in _SCORES if c.key in _GROUP])
    heads = [Head(text) for text in ("by", "group", "feature set", "regressor")]
    rows = []
    for model in view.sets if len(table) else []:
        for row in of_model(table, model).to_dict("records"):
            where = {key: row[key] for key in ("features", "regressor", "by", "group", "days")}
            first = [
                GROUPINGS.get(row["by"], row["by"]),
                *(str(row[key]) for key in ("group", "features", "regressor")),
            ]
            rows.append([Cell(text) for text in first] + [_cell(row, column, causes, where) for column in columns])
    return Table("group_scores", [*heads, *(_head(column, view) for column in columns)], rows)


def applicability_table(view: View) -> Table:
    """Of each set: the share of its days inside the area of applicability, and the skill inside and outside."""
    table, groups = view.result.applicability, view.group_scores
    heads = [
        Head("feature set"), Head("regressor"), Head("days inside", True, "%"),
        Head("sites with most days inside", True), Head("median dissimilarity", True, tip="of the sites' medians"),
        Head("days outside", True), Head("r2 inside", True), Head("r2 outside", True),
        *(Head(f"RMSE {where}", True, view.units) for where in ("inside", "outside")),
    ]  # fmt: skip
    rows = []
    for features, regressor in view.sets if len(table) else []:
        own = table[table["features"] == features]
        if own.empty:
            continue
        share = float(np.average(own["inside"], weights=own["n"]))
        outside = round((1 - share) * own["n"].sum())
        mostly, median = int((own["inside"] > 0.5).sum()), float(own["dissimilarity"].median())
        cells = [Cell(features), Cell(regressor), Cell(number(100 * share, 0), share),
                 Cell(f"{mostly} of {len(own)}", mostly), Cell(number(median, 3), median),
                 Cell(number(outside, 0), outside)]  # fmt: skip
        scored = of_model(groups, (features, regressor)) if len(groups) else groups
        for score in ("r2", "rmse"):
            for group in ("inside", "outside"):
                here = scored[(scored["by"] == "applicability") & (scored["group"] == group)] if len(scored) else scored
                value = float(here[score].iloc[0]) if len(here) else np.nan
                cells.append(Cell(number(value), _sortable(value), tip="" if len(here) else "no such days"))
        rows.append(cells)
    return Table("applicability", heads, rows)


def effect_table(view: View) -> Table:
    """What the columns of a set do to the target at all sites, by the mixed model."""
    unit = view.units
    heads = [
        Head("feature set"), Head("term"), Head("estimate", True, unit, "per standard deviation of the column"),
        Head("95 % interval", True, tip="of sites, not of days"), Head("p", True),
    ]  # fmt: skip
    rows = []
    for row in view.result.effects.to_dict("records"):
        known = np.isfinite(row["p"])
        interval = f"{number(row['lower'], 2, '+')} to {number(row['upper'], 2, '+')}" if known else ""
        rows.append([
            Cell(row["features"]), Cell(row["term"]), Cell(number(row["estimate"], 3), float(row["estimate"])),
            Cell(interval, _sortable(row["lower"])), Cell(_p(row["p"]) if known else "", _sortable(row["p"])),
        ])  # fmt: skip
    return Table("effects", heads, rows)


def comparison_table(view: View) -> Table:
    """Every pair that was compared, with its interval, its tests and what they say."""
    heads = [
        Head("first"), Head("second"), Head("score"), Head("of the first", True), Head("of the second", True),
        Head("difference", True, tip="the first minus the second"),
        Head("95 % interval", True, tip="cluster bootstrap over sites"),
        Head("better at", True, "sites", tip="at which the first is better"),
        Head("p (Wilcoxon)", True, tip="signed ranks of the sites' differences"),
        Head("p (Holm)", True, tip="the same, corrected for the number of comparisons"), Head("says"),
    ]  # fmt: skip
    rows = []
    for row in view.result.comparisons.to_dict("records"):
        a, b = (in_words((row[f"features_{side}"], row[f"regressor_{side}"])) for side in "ab")
        shown = [Cell(number(row[key], 3), _sortable(row[key])) for key in ("a", "b")]
        shown.append(Cell(number(row["difference"], 3, "+"), _sortable(row["difference"])))
        interval = f"{number(row['lower'], 3, '+')} to {number(row['upper'], 3, '+')}"
        tests = [Cell(_p(row[key]), _sortable(row[key])) for key in ("wilcoxon_p", "holm_p")]
        better = Cell(f"{row['sites_a_better']} of {row['sites']}", row["sites_a_better"])
        rows.append([Cell(a), Cell(b), Cell(str(row["score"])), *shown, Cell(interval, _sortable(row["lower"])), better,
                     *tests, Cell(typeset(str(row["says"])))])  # fmt: skip
    return Table("comparisons", heads, rows)


def named(score: str) -> str:
    """A score as the heads of the tables name it."""
    return {column.key: column.head for column in _SCORES}.get(score, score)


def _present(table: pd.DataFrame, columns: Sequence[Column]) -> list[Column]:
    """The columns that any row has a score of; why the others have none is told under the undefined scores."""
    return [column for column in columns if column.key in table and table[column.key].notna().any()]


def _head(column: Column, view: View) -> Head:
    unit = view.units if column.unit else "%" if column.share else ""
    if column.key in ("annual_sum_rmse", "annual_sum_bias"):
        unit = view.units.replace("d⁻¹", "a⁻¹")
    level = view.record.get("intervals")
    percent = "" if level is None else f"{100 * level:g}\N{NO-BREAK SPACE}% "
    return Head(column.head.replace("interval", f"{percent}interval"), True, unit, column.tip)


def _cell(row: Any, column: Column, causes: Causes, where: dict[str, Any]) -> Cell:
    value = float(row[column.key])
    if not np.isfinite(value):
        return Cell("–", tip=causes.of(column.key, where))
    shown = 100 * value if column.share else value
    bad = round(value, column.digits) < 0 and column.key.endswith(("r2", "kge"))
    tip = f"{column.of.replace('_', ' ')}: {row[column.of]}" if column.of else ""
    return Cell(number(shown, column.digits), value, tip=tip, bad=bad)


def _sortable(value: float) -> str | float:
    return float(value) if np.isfinite(value) else ""


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, 3)
