"""The card of a weights file: what its tensors are for, and what they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveFloat, ValidationError

from ecoembed.embeddings.batches import Normalisation
from ecoembed.errors import WeightsError
from ecoembed.sensors import SENSORS

#: Dimensions of each sensor's own code, before fusion.
CODES = {"S2_L2A": 9, "S1": 2}


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SensorCard(_Card):
    """How one sensor's values enter: order, unit and normalisation."""

    bands: tuple[str, ...]
    unit: str
    code: int
    clip: tuple[float, float]
    mean: tuple[FiniteFloat, ...]
    std: tuple[PositiveFloat, ...]
    smoothing: str | None = None

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(*self.clip, self.mean, self.std)


class PlaceCard(_Card):
    """One training place, so that a benchmark can refuse test towers near it."""

    id: str
    latitude: float
    longitude: float
    start: str
    end: str
    dates: int
    role: Literal["train", "validation"]


class ModelCard(_Card):
    """Everything that is needed to use a weights file, and to judge it."""

    format: Literal[1] = 1
    architecture: Literal["dense"] = "dense"
    code_version: str
    sensors: dict[str, SensorCard]
    places: tuple[PlaceCard, ...]
    objective: str
    steps: dict[str, int]
    seed: int
    scores: dict[str, Any]


def sensor_card(name: str, norm: Normalisation, smoothing: str | None = None) -> SensorCard:
    """The card of a sensor of :mod:`ecoembed.sensors` with this normalisation; `smoothing` as in a cube's attrs."""
    sensor, clip = SENSORS[name], (norm.low, norm.high)
    return SensorCard(
        bands=sensor.band_names,
        unit=sensor.unit,
        code=CODES[name],
        clip=clip,
        mean=norm.mean,
        std=norm.std,
        smoothing=smoothing,
    )


def read_card(metadata: dict[str, str], path: Path) -> ModelCard:
    """The card in the metadata of the safetensors file `path`.

    Raises
    ------
    WeightsError
        If there is none, it is damaged, or it is that of other sensors, bands, units or codes than this version's.
    """
    if "ecoembed" not in metadata:
        remedy = "Only files written by ecoembed pretrain can be read"
        raise WeightsError("no ecoembed card in the metadata", where=path, remedy=remedy)
    try:
        card = ModelCard.model_validate_json(metadata["ecoembed"])
    except ValidationError as exc:
        error = exc.errors()[0]
        key = ".".join(map(str, error["loc"]))
        raise WeightsError(f"the card is damaged: {key}: {error['msg']}".rstrip(), where=path) from None
    if set(card.sensors) != set(CODES):
        raise WeightsError(
            "weights of other sensors", where=path, found=", ".join(card.sensors) or "none", expected=", ".join(CODES)
        )
    for name, sensor in card.sensors.items():
        _refuse_other(name, sensor, path)
    return card


def _refuse_other(name: str, card: SensorCard, path: Path) -> None:
    sensor = SENSORS[name]
    if card.bands != sensor.band_names:
        order = {"found": ", ".join(card.bands), "expected": ", ".join(sensor.band_names)}
        raise WeightsError(f"{name}: another band order", where=path, **order)
    facts = {"unit": sensor.unit, "clip": sensor.valid_range, "code": CODES[name]}
    for key, expected in facts.items():
        if getattr(card, key) != expected:
            raise WeightsError(f"{name}: another {key}", where=path, found=getattr(card, key), expected=expected)
    for key in ("mean", "std"):
        if len(getattr(card, key)) != len(sensor.bands):
            found = f"{len(getattr(card, key))} values"
            raise WeightsError(
                f"{name}: {key} does not fit its bands", where=path, found=found, expected=len(sensor.bands)
            )
