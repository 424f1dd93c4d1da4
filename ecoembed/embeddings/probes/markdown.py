"""What the probes say, in Markdown: part of the model card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ecoembed.embeddings.card import ModelCard
from ecoembed.embeddings.probes.gates import GAP

#: Identifiers of places of the virtual flux network begin so.
SIMULATED = "XX-"
#: Rows of a probe that are no linear model of an encoder's z.
_OTHERS = {
    "decoded": "rebuilt from z",
    "interpolation": "interpolation in time",
    "last": "last clear value",
    "mean": "mean of the band",
}
_ENCODERS = {"pca7": "PCA-7", "raw": "raw values", "reference": "reference encoder"}


def probe_lines(card: ModelCard) -> list[str]:
    """What the embedding holds at places never trained on, beside its rivals; and which goals are not reached."""
    found, title = card.probes, "## What the embedding holds"
    if "probes" not in found:
        return [title, f"**Not measured**: {found.get('not_measured', 'no probe was run').removesuffix('.')}."]
    probes, encoders = list(found["probes"].values()), found["encoders"]
    names = ["these weights" if name == found["judged"] else _ENCODERS.get(name, name) for name in encoders]
    lines = [title, _where(card), "", *map(_goal, found["gates"].values()), *_real_ones(found), ""]
    lines += table(("probe", *names), [*_rows(probes, encoders), *_sums(found)])
    others = [row for row in _OTHERS if any(row in probe["values"] for probe in probes)]
    if others:
        lines += ["", "Gap filling without a linear model between:", ""]
        lines += table(("probe", *(_OTHERS[row] for row in others)), _rows(probes, others))
    reasons = {f"{p['title']}, {row}: {reason}" for p in probes for row, reason in p["not_measured"].items()}
    return [*lines, *["", "Not measured:"] * bool(reasons), *(f"- {reason}" for reason in sorted(reasons))]


def _where(card: ModelCard) -> str:
    unseen = card.probes["places"]["unseen"]
    simulated = sum(place.startswith(SIMULATED) for place in unseen)
    stopped = {place.id for place in card.places if place.role == "validation"} & set(unseen)
    text = (
        f"Probes at {len(unseen)} places not trained on ({len(unseen) - simulated} real, {simulated} simulated), "
        "with 95 % of a bootstrap over places in brackets; no interval where places are fewer than three."
    )
    return text + " They also stopped the training, so they are no complete strangers." * bool(stopped)


def _goal(gate: dict[str, Any]) -> str:
    return f"- {'Reached' if gate['passed'] else '**Not reached**'}: {gate['says']}"


def _real_ones(found: dict[str, Any]) -> Iterable[str]:
    """The gap of the gates at the real places alone, where most are simulated."""
    errors = found["probes"][f"gap_{GAP}"]["by_place"]
    own, other = (errors.get(row, {}) for row in ("decoded", "interpolation"))
    real = [place for place in own if place in other and not place.startswith(SIMULATED)]
    if 0 < len(real) < len(own):
        error, against = (sum(of[place] for place in real) / len(real) for of in (own, other))
        yield (
            f"- {'Reached' if error < against else '**Not reached**'} at the {len(real)} real place"
            f"{'s' * (len(real) > 1)} alone: {GAP} days of S2 hidden: "
            f"error {error:.4f} against {against:.4f} of linear interpolation"
        )


def _rows(probes: list[dict[str, Any]], rows: Sequence[str]) -> Iterable[Sequence[str]]:
    for probe in probes:
        if any(row in probe["values"] for row in rows):
            yield _title(probe), *(_estimate(probe["values"].get(row)) for row in rows)


def _sums(found: dict[str, Any]) -> Iterable[Sequence[str]]:
    sums, encoders = found["sum"], found["encoders"]
    yield "**sum of the scores**", *(_estimate(sums["values"].get(name)) for name in encoders)
    gains = {name: _estimate(sums["differences"].get(name)) for name in encoders}
    yield "these weights minus it", *("" if name == found["judged"] else gains[name] for name in encoders)


def _title(probe: dict[str, Any]) -> str:
    better = {"higher": ", higher is better", "lower": ", lower is better"}.get(probe["better"], "")
    unit = "" if probe["unit"] in ("", "1") else f" ({probe['unit']})"
    return f"{probe['title']}{unit}{better}; {probe['window']}"


def _estimate(found: dict[str, Any] | None) -> str:
    """A number with its interval, to three digits."""
    if found is None or found["value"] is None:
        return "-"
    bounds = "" if found["low"] is None or found["high"] is None else f" [{found['low']:.3g}, {found['high']:.3g}]"
    return f"{found['value']:.3g}{bounds}"


def error_lines(card: ModelCard) -> list[str]:
    """How far the expected error can be believed."""
    lines = ["## Expected error"]
    if card.architecture == "reference":
        return [*lines, "This architecture does not say how far to trust it."]
    knots = card.error_calibration
    if not knots:
        return [*lines, "**Not calibrated**: the band `error` is the model's own guess."]
    lines += [
        "The band `error` is the mean absolute error (reflectance) of the ten Sentinel-2 bands rebuilt from z. It was "
        f"set to what was found at hidden dates of the places held out: {knots[0][1]:.4f} to {knots[-1][1]:.4f} in "
        f"{len(knots)} steps."
    ]
    found = card.probes.get("error", {})
    if "bins" not in found:
        return [*lines, f"Not verified elsewhere: {found.get('not_measured', 'no probe was run')}."]
    figures = {"ratio": "found / stated", "slope": "slope of found on stated", "rank_correlation": "rank correlation"}
    said = "; ".join(f"{title} {_estimate(found[key])}" for key, title in figures.items() if key in found)
    bins = [(f"{b['stated']:.4f}", f"{b['found']:.4f}", str(b["n"])) for b in found["bins"]]
    same = {place.id for place in card.places if place.role == "validation"} & set(card.probes["places"]["unseen"])
    where = "At the places of the probes" + ", which are those that it was set at" * bool(same)
    return [*lines, f"{where}: {said}.", "", *table(("stated", "found", "pixel-dates"), bins)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; a bar within a cell would end it."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines]
