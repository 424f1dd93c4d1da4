"""Weights files: safetensors with a card that says what the tensors are for and what they were trained on."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from ecoembed.embeddings.batches import Normalisation
from ecoembed.embeddings.dense import Decoder, SensorEncoder
from ecoembed.embeddings.fusion import Fusion
from ecoembed.errors import FileError, WeightsError
from ecoembed.files import atomic
from ecoembed.sensors import SENSORS

#: Dimensions of each sensor's own code, before fusion.
CODES = {"S2_L2A": 9, "S1": 2}


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SensorCard(_Card):
    """How one sensor's values enter: order, unit and normalisation."""

    bands: tuple[str, ...]
    unit: str
    code: int
    clip: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]

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


class TwoStage(nn.Module):
    """Both stages: an encoder and a decoder for each sensor, and the fusion."""

    def __init__(self) -> None:
        super().__init__()
        bands = {name: len(SENSORS[name].bands) for name in CODES}
        self.encoders = nn.ModuleDict({name: SensorEncoder(bands[name], code) for name, code in CODES.items()})
        self.decoders = nn.ModuleDict({name: Decoder(code, bands[name]) for name, code in CODES.items()})
        self.fusion = Fusion(CODES)

    def encoder(self, sensor: str) -> SensorEncoder:
        """The encoder of one sensor."""
        return cast(SensorEncoder, self.encoders[sensor])

    def decoder(self, sensor: str) -> Decoder:
        """The decoder of one sensor."""
        return cast(Decoder, self.decoders[sensor])


def sensor_card(name: str, norm: Normalisation) -> SensorCard:
    """The card of a sensor of :mod:`ecoembed.sensors` with this normalisation."""
    sensor = SENSORS[name]
    clip = (norm.low, norm.high)
    return SensorCard(
        bands=sensor.band_names, unit=sensor.unit, code=CODES[name], clip=clip, mean=norm.mean, std=norm.std
    )


def weights_hash(model: nn.Module) -> str:
    """SHA-256 (first 16 hex digits) of all tensors, in the order of their names."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def save_weights(model: TwoStage, card: ModelCard, path: str | Path) -> Path:
    """Write weights and card as one safetensors file, atomically."""
    path = Path(path)
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic(path) as temporary:
        temporary.write_bytes(save(state, metadata={"ecoembed": card.model_dump_json()}))
    return path


def read_weights(path: str | Path) -> tuple[TwoStage, ModelCard]:
    """The model and card of a weights file.

    Raises
    ------
    FileError
        If the file is absent.
    WeightsError
        If it is no safetensors file, has no card, or was made for other sensors, bands or tensors than this version's.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("no such weights file", where=path, remedy="Make one with: ecoembed pretrain CUBES --out FILE")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as exc:
        raise WeightsError(f"not a readable safetensors file: {exc}", where=path) from None
    card = _card(metadata, path)
    model = empty_model()
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))[0]
        raise WeightsError("tensors of another architecture", where=path, found=odd, expected="those of `dense`")
    model.load_state_dict(state, assign=True)
    return model.eval(), card


def _card(metadata: dict[str, str], path: Path) -> ModelCard:
    if "ecoembed" not in metadata:
        raise WeightsError(
            "no ecoembed card in the metadata", where=path, remedy="Only files written by ecoembed pretrain can be read"
        )
    raw = json.loads(metadata["ecoembed"])
    for name in CODES:
        found = raw.get("sensors", {}).get(name)
        if found is None:
            listed = ", ".join(raw.get("sensors", {})) or "none"
            raise WeightsError("weights of other sensors", where=path, found=listed, expected=", ".join(CODES))
        if tuple(found["bands"]) != SENSORS[name].band_names:
            expected = list(SENSORS[name].band_names)
            raise WeightsError(f"{name}: another band order", where=path, found=found["bands"], expected=expected)
    try:
        return ModelCard.model_validate(raw)
    except ValidationError as exc:
        raise WeightsError(f"the card is damaged: {exc.errors()[0]['msg']}", where=path) from None


def empty_model() -> TwoStage:
    """The architecture without values, and without touching any random generator."""
    with torch.device("meta"):
        return TwoStage()


def random_model(seed: int) -> TwoStage:
    """The same architecture with random weights: the control that every comparison carries.

    Weights and biases are uniform in +-1/sqrt(fan-in), as torch's own; drawn from a generator of this call, so that
    sites that run side by side get the same ones.
    """
    generator = torch.Generator().manual_seed(seed)
    model = empty_model().to_empty(device="cpu")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, (nn.Linear, nn.Conv2d)):
                bound = module.weight[0].numel() ** -0.5
                for parameter in module.parameters(recurse=False):
                    parameter.uniform_(-bound, bound, generator=generator)
    return model.eval()


def default_weights() -> Path:
    """The weights file that ships with the package."""
    return Path(str(resources.files("ecoembed.embeddings") / "weights" / "default.safetensors"))
