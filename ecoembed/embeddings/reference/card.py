"""The card of the reference encoder: what a weights file of ours says, and what is known of the authors' weights."""

from __future__ import annotations

from typing import Any

from ecoembed.embeddings.batches import Normalisation
from ecoembed.embeddings.card import ModelCard, sensor_card
from ecoembed.embeddings.reference.model import CODES, MAX_GAP_DAYS, Axis
from ecoembed.embeddings.reference.patches import SMOOTHING
from ecoembed.sensors import SENSORS

PAPER = (
    "Absolute error and spectral angle of whole patches, weighted by the distance from the centre, and their "
    "structural similarity."
)


def reference_card(
    axis: Axis, *, smoothing: str | None = SMOOTHING, quantity: str | None = None, **facts: Any
) -> ModelCard:
    """The card of a reference encoder.

    Parameters
    ----------
    axis : {"time", "batch"}
    smoothing, quantity : str or None
        How Sentinel-1 was smoothed in training, and what it is, as of :class:`ecoembed.embeddings.card.SensorCard`.
    **facts
        Fields of :class:`ecoembed.embeddings.card.ModelCard`; where they are not given, nothing was trained.

    Returns
    -------
    ModelCard
        Values enter as (value - mean) / std, by which each sensor's valid range becomes 0 to 1.
    """
    sensors = {}
    for name, code in CODES.items():
        low, high = SENSORS[name].valid_range
        bands = len(SENSORS[name].bands)
        norm = Normalisation(low, high, (low,) * bands, (high - low,) * bands)
        card = sensor_card(name, norm, *((smoothing, quantity) if name == "S1" else ()))
        sensors[name] = card.model_copy(update={"code": code, "max_gap_days": float(MAX_GAP_DAYS)})
    untrained: dict[str, Any] = {"places": (), "objective": "paper", "objective_note": PAPER, "steps": {}, "seed": None}
    return ModelCard(
        architecture="reference", axis=axis, sensors=sensors, windows=("centred",), **{**untrained, **facts}
    )


def official_card(axis: Axis) -> ModelCard:
    """The card of the authors' weights: they do not say at which places these were trained."""
    return reference_card(
        axis,
        places_known=False,
        stage2="fine-tuned",
        code_version="public code of Peters et al. (2025)",
        licence="as the authors say",
    )
