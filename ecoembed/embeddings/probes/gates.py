"""What a released checkpoint must do, and whether it does: each gate with its figures, failing ones as plainly."""

from __future__ import annotations

from ecoembed.embeddings.probes.table import MIN_PLACES, Estimate, Gate, ProbeTable, Total

#: What "beats raw values" and so on mean, in words.
RIVALS = {"raw": "raw values", "pca7": "PCA-7", "random": "random weights", "reference": "the reference encoder"}
#: Fewest places at which a gate can be passed: of fewer, all lie on one side by chance too often (one in 32 for five),
#: and the interval of a bootstrap with them.
ENOUGH = 6
#: The gap of the gates, days.
GAP = 30


def verdict(table: ProbeTable) -> dict[str, Gate]:
    """The gates: each passes only if its whole 95 % interval over six or more unseen places lies above zero.

    Returns
    -------
    dict of str to Gate
        ``beats_interpolation`` (30 days hidden: skill of what the encoder decodes from z), ``beats_raw``,
        ``beats_pca7``, ``beats_random``, and ``beats_reference`` where one was probed (difference of the sums of
        scores), ``s1_helps`` (30 days of S2 hidden: error of what is decoded without S1 minus with it, reflectance).
    """
    probes = table["probes"]
    gap = probes[f"gap_{GAP}"]["values"]
    gates = {"beats_interpolation": _interpolation(gap.get("decoded"), gap.get("interpolation"))}
    for rival in (r for r in RIVALS if r in table["encoders"] and r != table["judged"]):
        gates[f"beats_{rival}"] = _rival(RIVALS[rival], table["sum"]["differences"].get(rival))
    gain = probes[f"s1_gain_{GAP}"]["values"].get("decoded")
    gates["s1_helps"] = _gate(gain, "S1 takes {value:+.4f} off the error of reflectance, {gap} days of S2 hidden")
    return gates


def _interpolation(own: Estimate | None, other: Estimate | None) -> Gate:
    if own is None or other is None:
        return _gate(None, "")
    low, high, places = own["score_low"], own["score_high"], own["places"]
    skill = Total(value=own["score"] or 0.0, low=low, high=high, places=places, parts=[])
    errors = f"error {own['value']:.4f} against {other['value']:.4f} of linear interpolation"
    return _gate(skill, "{gap} days of S2 hidden: " + errors + ", skill {value:+.3f}")


def _rival(name: str, difference: Total | None) -> Gate:
    parts = len(difference["parts"]) if difference else 0
    return _gate(difference, f"sum of {parts} scores: {{value:+.2f}} against {name}")


def _gate(figure: Estimate | Total | None, says: str) -> Gate:
    if figure is None:
        return Gate(passed=False, says="not measured", value=None, low=None, high=None, places=0)
    low, high, places = figure["low"], figure["high"], figure["places"]
    said = says.format(value=figure["value"], gap=GAP)
    if low is None or high is None:
        said += f"; {places} place{'s' * (places != 1)}, no interval below {MIN_PLACES}"
    else:
        digits = 2 if abs(figure["value"]) >= 0.1 else 4
        said += f" [{low:+.{digits}f}, {high:+.{digits}f}], {places} places"
        said += f", of which it takes {ENOUGH}" if places < ENOUGH else ""
    passed = low is not None and low > 0.0 and places >= ENOUGH
    return Gate(passed=passed, says=said, value=figure["value"], low=low, high=high, places=places)
