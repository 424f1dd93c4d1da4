"""The card of a weights file: what its tensors are for, and what they were trained on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat, PositiveFloat, ValidationError

from ecoembed._version import __version__
from ecoembed.embeddings.batches import FRAMES, MAX_OFFSET_DAYS, SUPPORT, Normalisation, Window
from ecoembed.errors import ConfigError, WeightsError
from ecoembed.sensors import S2_L2A, SENSORS, get_sensor

#: The sensor at whose dates a place is embedded; the first of every model.
ANCHOR = S2_L2A.name
#: Weights files are written in this format and read in no other.
FORMAT = 2


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SensorCard(_Card):
    """How one sensor's values enter: order, unit and normalisation; and how far in time from a date it is paired.

    `quantity` is ``gamma0`` or ``sigma0`` where the files of all training places that declared it agree.
    """

    bands: tuple[str, ...]
    unit: str
    code: Annotated[int, Field(ge=1, le=256)]
    clip: tuple[float, float]
    mean: tuple[FiniteFloat, ...]
    std: tuple[PositiveFloat, ...]
    smoothing: str | None = None
    quantity: str | None = None
    max_gap_days: NonNegativeFloat

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(*self.clip, self.mean, self.std)


class PlaceCard(_Card):
    """One place that training knew, so that a benchmark can refuse test towers near it."""

    id: str
    latitude: float
    longitude: float
    start: str
    end: str
    dates: int
    role: Literal["train", "validation", "test"]


def one_place(a: PlaceCard, b: PlaceCard) -> bool:
    """Whether two cubes are of one place: of one name, or with centres nearer than 1 km."""
    from pyproj import Geod

    return a.id == b.id or Geod(ellps="WGS84").inv(a.longitude, a.latitude, b.longitude, b.latitude)[2] < 1000.0


class Support(_Card):
    """What one embedding sees at most."""

    frames: int = FRAMES
    pixels: int = SUPPORT
    max_offset_days: float = MAX_OFFSET_DAYS


class ModelCard(_Card):
    """Everything that is needed to use a weights file, and to judge it.

    Attributes
    ----------
    sensors : dict of SensorCard
        The anchor S2_L2A first; the order is that in which codes enter the fusion.
    axis : {"time", "batch"} or None
        What the reference encoder attends over; None of the dense one, which has no such choice.
    places_known : bool
        False of weights that others trained and did not say where: then `places` is empty, and says nothing.
    objective_note : str
        One sentence on what was minimised.
    seed : int or None
        None of weights that others trained.
    kept : str or None
        Hash of the weights whose encoders were taken over bit for bit.
    curves : dict
        Stage -> step, loss, error at unseen places, learning rate, each a list.
    probes : dict
        What the embedding holds at places never trained on, beside the same of its references.
    error_calibration : tuple of (predicted, measured)
        Knots from the expected error of the model to the mean error measured; empty: as the model says.
    """

    format: Literal[2] = 2
    architecture: Literal["dense", "reference"] = "dense"
    axis: Literal["time", "batch"] | None = None
    code_version: str = __version__
    sensors: dict[str, SensorCard]
    places: tuple[PlaceCard, ...]
    places_known: bool = True
    objective: Literal["paper", "context"]
    objective_note: str
    support: Support = Support()
    windows: tuple[Window, ...] = ("centred", "causal")
    stage2: Literal["frozen", "fine-tuned"] = "frozen"
    kept: str | None = None
    steps: dict[str, int]
    seed: int | None
    precision: Literal["fp32", "bf16"] = "fp32"
    licence: str = "not declared"
    curves: dict[str, dict[str, list[FiniteFloat | None]]] = {}
    probes: dict[str, Any] = {}
    error_calibration: tuple[tuple[FiniteFloat, FiniteFloat], ...] = ()


def code_size(name: str) -> int:
    """Dimensions of a sensor's own code, before fusion."""
    return 9 if name == ANCHOR else 6


def sensor_card(
    name: str, norm: Normalisation, smoothing: str | None = None, quantity: str | None = None
) -> SensorCard:
    """The card of a sensor of :mod:`ecoembed.sensors` with this normalisation.

    `smoothing` is as in a cube's attrs, `quantity` as :func:`ecoembed.embeddings.checks.quantity_of` reads it there.

    Raises
    ------
    ConfigError
        If no sensor of that name is registered, or its name cannot name tensors.
    """
    sensor = get_sensor(name)
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        expected = "a letter, then letters, digits, _ and -"
        raise ConfigError("the sensor's name cannot name tensors", found=name, expected=expected)
    return SensorCard(
        bands=sensor.band_names,
        unit=sensor.unit,
        code=code_size(name),
        clip=(norm.low, norm.high),
        mean=norm.mean,
        std=norm.std,
        smoothing=smoothing,
        quantity=quantity,
        max_gap_days=sensor.max_gap_days,
    )


def read_card(metadata: dict[str, str], path: Path) -> ModelCard:
    """The card in the metadata of the safetensors file `path`.

    Raises
    ------
    WeightsError
        If there is none, it is damaged or of another format, or its sensors are not those that are registered here:
        of other bands, in another order, in another unit.
    """
    if "ecoembed" not in metadata:
        remedy = "Only files written by ecoembed pretrain can be read"
        raise WeightsError("no ecoembed card in the metadata", where=path, remedy=remedy)
    _refuse_other_format(metadata["ecoembed"], path)
    try:
        card = ModelCard.model_validate_json(metadata["ecoembed"])
    except ValidationError as exc:
        error = exc.errors()[0]
        key = ".".join(map(str, error["loc"]))
        raise WeightsError(f"the card is damaged: {key}: {error['msg']}".rstrip(), where=path) from None
    if next(iter(card.sensors), None) != ANCHOR:
        found = ", ".join(card.sensors) or "none"
        raise WeightsError("weights of other sensors", where=path, found=found, expected=f"{ANCHOR} first")
    if card.support != Support():
        raise WeightsError("another support", where=path, found=_said(card.support), expected=_said(Support()))
    for name, sensor in card.sensors.items():
        _refuse_other_sensor(name, sensor, path)
    return card


def _said(support: Support) -> str:
    return f"{support.frames} frames, {support.pixels} px, {support.max_offset_days:g} days"


def _refuse_other_format(text: str, path: Path) -> None:
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict):
        raise WeightsError("the card is damaged: not a JSON object", where=path)
    found = card.get("format")
    if found != FORMAT:
        version = str(card.get("code_version", "of an unknown version"))[:40]
        newer = isinstance(found, int) and found > FORMAT
        again = "train again with: ecoembed pretrain CUBES --out FILE"
        raise WeightsError(
            "weights file of another version of ecoembed",
            where=path,
            found=f"format {str(found)[:40]}, written by ecoembed {version}",
            expected=f"format {FORMAT}, which ecoembed {__version__} reads",
            remedy="Install the version that wrote it" + (" or a later one" if newer else f", or {again}"),
        )


def _refuse_other_sensor(name: str, card: SensorCard, path: Path) -> None:
    if name not in SENSORS:
        remedy = f"Register it before loading, as examples/07_another_sensor.py does: SENSORS[{name!r}] = Sensor(...)"
        known = ", ".join(SENSORS)
        raise WeightsError(
            "weights of a sensor that is not registered here", where=path, found=name, expected=known, remedy=remedy
        )
    sensor = SENSORS[name]
    if card.bands != sensor.band_names:
        order = {"found": ", ".join(card.bands), "expected": ", ".join(sensor.band_names)}
        what = "another band order" if set(card.bands) == set(sensor.band_names) else "other bands"
        raise WeightsError(f"{name}: {what}", where=path, **order)
    for key, expected in {"unit": sensor.unit, "clip": sensor.valid_range}.items():
        if getattr(card, key) != expected:
            raise WeightsError(f"{name}: another {key}", where=path, found=getattr(card, key), expected=expected)
    for key in ("mean", "std"):
        if len(getattr(card, key)) != len(sensor.bands):
            found = f"{len(getattr(card, key))} values"
            expected = f"{len(sensor.bands)} values"
            raise WeightsError(f"{name}: {key} does not fit its bands", where=path, found=found, expected=expected)
