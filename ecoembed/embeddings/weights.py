"""Weights files: safetensors with a card that says what the tensors are for and what they were trained on."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from ecoembed.embeddings.card import CODES, ModelCard, SensorCard, read_card
from ecoembed.embeddings.dense import Decoder, SensorEncoder
from ecoembed.embeddings.fusion import Fusion
from ecoembed.errors import FileError, WeightsError
from ecoembed.files import atomic
from ecoembed.sensors import SENSORS


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


def weights_hash(model: TwoStage, sensors: dict[str, SensorCard]) -> str:
    """SHA-256 (first 16 hex digits) of all that decides an embedding: how values enter, and the tensors by name."""
    return tensor_hash("".join(f"{name} {card.model_dump_json()}" for name, card in sorted(sensors.items())), model)


def tensor_hash(said: str, model: nn.Module) -> str:
    """SHA-256 (first 16 hex digits) of what is `said` of a model, and of its tensors by name."""
    total = hashlib.sha256(said.encode())
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
        remedy = "Copy it again, or name a file that ecoembed pretrain wrote"
        raise WeightsError("not a readable safetensors file, or a truncated one", where=path, remedy=remedy) from exc
    card = read_card(metadata, path)
    model = empty_model()
    expected, found = ({k: (tuple(t.shape), t.dtype) for k, t in d.items()} for d in (model.state_dict(), state))
    if expected != found:
        odd = min(k for k in {*expected, *found} if expected.get(k) != found.get(k))
        raise WeightsError(
            "tensors of another architecture", where=path, found=f"{odd} {found.get(odd)}", expected=expected.get(odd)
        )
    model.load_state_dict(state, assign=True)
    return model.eval(), card


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
