"""The parts of a report that are told in words: rows, sites, data and their licences, how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ecoembed.gpp.rows import describe_rows
from ecoembed.schema import IGBP
from ecoembed.validation.report.style import number
from ecoembed.validation.report.view import View

__all__ = ["ceiling", "columns", "nested", "provenance", "rows_account", "types_told"]


def rows_account(view: View) -> dict[str, Any]:
    """What became of each row and each site: counts by reason, in the order in which they were looked for."""
    record = view.record
    told = record["feature_table"]
    counted = told if "site_rows" in told else record
    return {
        "kept": [
            describe_rows(rows, what)
            for rows, what in ((told.get("rows"), "acquisitions"), (record["rows"], "rows"))
            if rows
        ],
        "no_rows": {**told.get("sites_without_rows", {}), **record["sites_without_rows"]},
        "left_out": list(told.get("left_out", {}).values()) + list(record.get("models_left_out", {}).values()),
        "what": "rows" if counted is record else "acquisitions",
        "rows": counted["rows"],
        "site_rows": counted["site_rows"],
        "reasons": [r for r, n in counted["rows"].items() if n and r not in ("in", "out")],
        "flux": told.get("flux", {}),
        "flux_reasons": _reasons(told.get("flux", {})),
        "table": {r: n for r, n in record["rows"].items() if n or r in ("in", "out")},
    }


def _reasons(account: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """For what reasons any site lost days of its flux table."""
    lost = [r for about in account.values() for r, n in about["rows"].items() if n and r not in ("in", "out")]
    return list(dict.fromkeys(lost))


def provenance(view: View, sites: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Citation and licence of each scored site, sites of one source together; what is unknown is said to be so."""
    if sites is None:
        return []
    about = sites.reindex(view.best.index)
    told = pd.DataFrame(
        {
            key: about[key] if key in about else pd.Series(index=about.index, dtype=object)
            for key in ("citation", "licence")
        }
    )
    told = told.astype(object).where(told.notna(), None)
    lines: dict[tuple[str | None, ...], list[str]] = {}
    for site, row in told.iterrows():
        source = tuple(None if pd.isna(row[key]) else str(row[key]) for key in ("citation", "licence"))
        lines.setdefault(source, []).append(str(site))
    return [{"sites": names, "citation": citation, "licence": licence} for (citation, licence), names in lines.items()]


def columns(view: View) -> dict[str, list[str]]:
    """The columns of each feature set, without the set's own name before each; of a union the sets that it unites."""
    sets: Mapping[str, Sequence[str]] = view.record["features"]
    told = {}
    for name, listed in sets.items():
        parts = name.split("+")
        united = len(parts) > 1 and set(parts) <= set(sets) and set(listed) == {c for p in parts for c in sets[p]}
        told[name] = [f"those of {' and of '.join(parts)}"] if united else [c.removeprefix(f"{name}.") for c in listed]
    return told


def types_told(view: View) -> str:
    """What the codes of the vegetation types stand for, of those that occur."""
    present = sorted(set(view.places["vegetation"].dropna()) & set(IGBP))
    return ", ".join(f"{code} {IGBP[code]}" for code in present)


def ceiling(view: View) -> str:
    """How far any model could come, in words; or why nobody knows."""
    told = view.record.get("noise_ceiling", {"not_known": "it was not asked for"})
    if view.ceiling is None:
        return f"How far the noise of the target lets any model come is not known: {told['not_known']}."
    known = {name: part for name, part in told["contributions"].items() if "rmse" in part}
    parts = ", ".join(
        f"{name} {number(part['r2_lost'], 3)} ({number(part['rmse'])} {view.unit})" for name, part in known.items()
    )
    unknown = "; ".join(str(part["not_known"]) for part in told["contributions"].values() if "not_known" in part)
    return (
        f"Noise ceiling: a model that knew the true flux would reach an r2 of about {number(told['r2'], 3)} (RMSE "
        f"{number(told['rmse'])} {view.unit}) on these {number(told['n'], 0)} days, for the target "
        f"itself is not known better. What that costs in r2: {parts}."
        + (f" Not known, hence not counted: {unknown}." if unknown else "")
    )


def nested(view: View) -> dict[str, Any] | None:
    """The score of a choice made inside the folds, and what was chosen in how many of them."""
    told = view.record.get("nested")
    if not told:
        return None
    best = told["best_afterwards"]
    text = (
        f"Where each fold chooses feature set and regressor by {told['inner_folds']} inner folds of its own training "
        f"sites, r2 is {number(told['r2'], 3)}. The best pair afterwards, {best['features']} ({best['regressor']}), "
        f"has {number(best['r2'], 3)}: choosing with the test at hand flatters by {number(told['optimism'], 3, '+')}."
    )
    chosen = {f"{c['features']} ({c['regressor']})": f"{c['folds']} of {view.record['folds']}" for c in told["chosen"]}
    return {"text": text, "chosen": chosen}
