"""A model card to be read, in Markdown, from nothing but what a weights file says of itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from ecoembed.embeddings.card import ANCHOR, ModelCard, PlaceCard, one_place
from ecoembed.embeddings.probes.markdown import SIMULATED, error_lines, probe_lines, table

_ROLES = {
    "train": "Trained on",
    "validation": "Held out, to stop the training and to calibrate",
    "test": "Never used in training: for the probes alone",
}


def model_card(card: ModelCard, weights: str, name: str) -> str:
    """The model card of a weights file.

    Parameters
    ----------
    card : ModelCard
    weights : str
        The weights' hash.
    name : str
        What the file is called, without its ending.

    Returns
    -------
    str
        Markdown.
    """
    parts = (
        _about(card, weights, name),
        _inputs(card),
        _places(card),
        probe_lines(card),
        error_lines(card),
        _training(card),
    )
    return "\n\n".join("\n".join(part) for part in (*parts, _limits(card))) + "\n"


def _about(card: ModelCard, weights: str, name: str) -> list[str]:
    kind = {"dense": "dense two-stage encoder", "reference": "reference encoder of Peters et al. (2025)"}
    stage2 = "kept as they were" if card.stage2 == "frozen" else "fine-tuned"
    steps = ", ".join(f"{stage} {n}" for stage, n in card.steps.items()) or "none: not trained"
    lines = [
        f"# Model card: the weights `{name}`",
        "",
        f"- **Weights** `{weights}`, written by ecoembed {card.code_version} in format {card.format}.",
        f"- **What they are**: the {kind[card.architecture]}; {_all(card.sensors)}, each encoded alone, fused into "
        "an embedding of seven dimensions for each pixel of 10 m and date.",
        f"- **Objective**: {card.objective}. {card.objective_note}",
        f"- **Second stage**: the sensors' encoders {stage2} while the fusion was trained.",
        f"- **Steps**: {steps}; seed {'unknown' if card.seed is None else card.seed}; {card.precision}.",
        f"- **Licence**: {card.licence}.",
        f"- **Made with**: `{_command(card, name)}`",
    ]
    if card.kept:
        lines.insert(-2, f"- **Encoders taken over** bit for bit from the weights `{card.kept}`.")
    return lines


def _command(card: ModelCard, name: str) -> str:
    """The command that makes such weights; what the card does not say of its cubes is left to the reader."""
    held, tests = ([place for place in card.places if place.role == role] for role in ("validation", "test"))
    options = {
        "objective": card.objective,
        "encoder": card.architecture,
        "steps": max(card.steps.values(), default=0),
        "validation": _count(held),
        "seed": card.seed,
        "precision": card.precision,
        "licence": shlex.quote(card.licence) if card.licence != "not declared" else None,
        "keep": f"WEIGHTS-{card.kept}" if card.kept else None,
    }
    said = "".join(f" --{key} {value}" for key, value in options.items() if value is not None)
    said += " --finetune" * (card.stage2 == "fine-tuned")
    said += "".join(f" --sensors {sensor}" for sensor in card.sensors)
    return f"ecoembed pretrain CUBES --out {name}.safetensors{said}" + (" --test CUBES" if tests else "")


def _inputs(card: ModelCard) -> list[str]:
    rows = []
    for name, sensor in card.sensors.items():
        low, high = sensor.clip
        bands = f"{', '.join(sensor.bands)}"
        unit = "reflectance 0-1" if sensor.unit == "1" and name == ANCHOR else sensor.unit
        how = "; ".join(filter(None, [sensor.quantity, sensor.smoothing])) or "as it is"
        gap = "its own dates" if name == ANCHOR else f"{sensor.max_gap_days:g} days"
        rows.append((name, bands, unit, f"{low:g} to {high:g}", gap, str(sensor.code), how))
    support = card.support
    head = ("sensor", "bands, in this order", "unit", "clipped to", "paired within", "dimensions alone", "taken")
    return [
        "## What goes in",
        *table(head, rows),
        "",
        f"One embedding sees at most {support.frames} dates of each sensor, {support.pixels} x {support.pixels} px of "
        f"each, none farther than {support.max_offset_days:g} days. Windows: {_all(card.windows)}"
        + ("; a causal one sees nothing of the future." if "causal" in card.windows else "."),
    ]


def _places(card: ModelCard) -> list[str]:
    lines = ["## Places"]
    if not card.places_known:
        return [
            *lines,
            "**Not known**: whoever trained these weights did not say where. No benchmark can rule out leakage.",
        ]
    if not card.places:
        return [*lines, "None: nothing was trained."]
    for role, title in _ROLES.items():
        places = [place for place in card.places if place.role == role]
        real, simulated = _apart(places)
        if not places:
            lines += ["", f"**{title}**: no place."]
            continue
        parts = f" (in {len(real)} cubes)" if len(real) > (n := _count(real)) else ""
        lines += ["", f"**{title}**: {n} real{parts}, {len(simulated)} simulated."]
        learnt = [place for place in card.places if place.role == "train" and role != "train"]
        for place in real:
            near = (
                "; **within 1 km of a place that was trained on**" if any(one_place(place, p) for p in learnt) else ""
            )
            lines.append(f"- real: {_place(place)}{near}")
        lines += [f"- simulated (virtual flux network): {', '.join(p.id for p in simulated)}"] * bool(simulated)
    return lines


def _place(place: PlaceCard) -> str:
    north, east = ("N" if place.latitude >= 0 else "S"), ("E" if place.longitude >= 0 else "W")
    where = f"{abs(place.latitude):.4f} {north}, {abs(place.longitude):.4f} {east}"
    return f"`{place.id}`: {where}, {place.start} to {place.end}, {place.dates} dates"


def _count(places: list[PlaceCard]) -> int:
    """How many places these cubes are of."""
    return sum(not any(one_place(place, other) for other in places[:k]) for k, place in enumerate(places))


def _apart(places: Iterable[PlaceCard]) -> tuple[list[PlaceCard], list[PlaceCard]]:
    places = list(places)
    simulated = [place for place in places if place.id.startswith(SIMULATED)]
    return [place for place in places if place not in simulated], simulated


def _training(card: ModelCard) -> list[str]:
    rows = []
    for stage, curve in card.curves.items():
        measured = [(e, s) for e, s in zip(curve.get("error", []), curve["step"], strict=False) if e is not None]
        best = min(measured, default=None)
        said = f"{best[0]:.4g} at step {best[1]:.0f}" if best else "not measured"
        rows.append((stage, f"{curve['step'][-1]:.0f}" if curve["step"] else "0", said))
    lines = ["## Training", *(table(("stage", "steps", "lowest error at the places held out"), rows) if rows else [])]
    return lines if rows else [*lines, "No curve is recorded."]


def _limits(card: ModelCard) -> list[str]:
    real, simulated = _apart(place for place in card.places if place.role == "train")
    gates = list(card.probes.get("gates", {}).values())
    failed = sum(not gate["passed"] for gate in gates)
    lines = ["## Limits"]
    if card.places_known and card.places and (n := _count(real)) < 20:
        lines.append(
            f"- Of the real world these weights know {n} place{'s' * (n != 1)}: no foundation model. "
            "Train on places of your own region (`ecoembed pretrain`) before you conclude anything about embeddings."
        )
    if simulated:
        lines.append(
            "- Simulated places follow one set of rules and spectra: scores there are no evidence about real places."
        )
    if "probes" in card.probes and all(place.startswith(SIMULATED) for place in card.probes["places"]["unseen"]):
        lines.append("- All places of the probes are simulated.")
    if failed:
        lines.append(f"- {failed} of the {len(gates)} goals above are not reached.")
    lines += [
        "- A centred window sees the future: take the causal one for forecasts, and where GPP must not know it."
        if "causal" in card.windows
        else "- The window sees five dates after its own: not for uses that must not know the future.",
        "- What a sensor's numbers are (bands, unit, smoothing, gamma0 or sigma0) must be as in the table above: other "
        "input is refused where it can be told.",
    ]
    return lines


def _all(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
