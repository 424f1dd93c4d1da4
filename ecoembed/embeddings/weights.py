"""Weights files: safetensors with a card that says what the tensors are for and what they were trained on."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ecoembed.embeddings.card import ModelCard, SensorCard, read_card
from ecoembed.embeddings.dense import Decoder, SensorEncoder
from ecoembed.embeddings.fusion import Fusion
from ecoembed.errors import FileError, WeightsError
from ecoembed.files import atomic

#: The header of a safetensors file, which holds the card, is at most this long: ours take some 100 kB.
HEADER_BYTES = 8 << 20

Model = TypeVar("Model", bound=nn.Module)


class TwoStage(nn.Module):
    """Both stages: an encoder and a decoder for each sensor, and the fusion.

    Attributes
    ----------
    sensors : tuple of str
        The anchor first; the order is that in which codes enter the fusion.
    cards : dict of str to SensorCard
    """

    def __init__(self, sensors: dict[str, SensorCard]) -> None:
        super().__init__()
        self.sensors, self.cards = tuple(sensors), dict(sensors)
        sizes = {name: (len(card.bands), card.code) for name, card in sensors.items()}
        self.encoders = nn.ModuleDict({name: SensorEncoder(bands, code) for name, (bands, code) in sizes.items()})
        self.decoders = nn.ModuleDict({name: Decoder(code, bands) for name, (bands, code) in sizes.items()})
        self.fusion = Fusion({name: code for name, (_, code) in sizes.items()})

    def encoder(self, sensor: str) -> SensorEncoder:
        """The encoder of one sensor."""
        return cast(SensorEncoder, self.encoders[sensor])

    def decoder(self, sensor: str) -> Decoder:
        """The decoder of one sensor."""
        return cast(Decoder, self.decoders[sensor])


def weights_hash(model: nn.Module, card: ModelCard) -> str:
    """SHA-256 (first 16 hex digits) of all that decides an embedding: how values enter, and the tensors by name."""
    deciding = {"architecture", "axis", "sensors", "support", "error_calibration"}
    return tensor_hash(card.model_dump_json(include=deciding), model)


def tensor_hash(said: str, model: nn.Module) -> str:
    """SHA-256 (first 16 hex digits) of what is `said` of a model, and of its tensors by name."""
    total = hashlib.sha256(said.encode())
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def save_weights(model: nn.Module, card: ModelCard, path: str | Path) -> Path:
    """Write weights and card as one safetensors file, atomically.

    Raises
    ------
    WeightsError
        If a tensor holds a value that is not finite; then nothing is written.
    """
    path = Path(path)
    state = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    _refuse_infinite(state, path)
    with atomic(path) as temporary:
        temporary.write_bytes(save(state, metadata={"ecoembed": card.model_dump_json()}))
    return path


def read_weights(path: str | Path) -> tuple[TwoStage, ModelCard]:
    """The dense model and the card of a weights file; raises as :func:`read_tensors` and :func:`fill`."""
    state, card = read_tensors(path)
    return fill(empty_model(card.sensors), state, path), card


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], ModelCard]:
    """The tensors by name and the card of a weights file of either architecture.

    Raises
    ------
    FileError
        If the file is absent.
    WeightsError
        If it is no safetensors file, has no card, is of another version, or was made for other sensors or bands than
        are registered here.
    """
    path = Path(path)
    if not path.is_file():
        begun = path.with_name(f"{path.name}.training").is_dir()
        remedy = "Make one with: ecoembed pretrain CUBES --out FILE"
        remedy = "Its training is not finished: the same ecoembed pretrain continues it" if begun else remedy
        raise FileError("no such weights file", where=path, remedy=remedy)
    with path.open("rb") as raw:
        header = int.from_bytes(raw.read(8), "little")
    damaged = WeightsError(
        "not a readable safetensors file, or a truncated one",
        where=path,
        remedy="Copy it again, or name a file that ecoembed pretrain wrote",
    )
    if header > HEADER_BYTES:
        raise damaged
    try:
        with safe_open(path, framework="pt") as file:
            card = read_card(file.metadata() or {}, path)
            return {name: file.get_tensor(name) for name in file.keys()}, card  # noqa: SIM118
    except (SafetensorError, OSError):
        raise damaged from None


def fill(model: Model, state: dict[str, Tensor], path: str | Path) -> Model:
    """The `model` with the tensors that the weights file `path` holds, ready for use.

    Raises
    ------
    WeightsError
        If they are of another architecture (a name, shape or type differs), or hold NaN or infinite values.
    """
    expected, found = ({k: (tuple(t.shape), t.dtype) for k, t in d.items()} for d in (model.state_dict(), state))
    if expected != found:
        odd = min(k for k in {*expected, *found} if expected.get(k) != found.get(k))
        facts = {"found": f"{odd}: {_said(found.get(odd))}", "expected": _said(expected.get(odd))}
        remedy = "Use the version of ecoembed that wrote it, or train again with: ecoembed pretrain CUBES --out FILE"
        raise WeightsError("tensors of another architecture", where=path, **facts, remedy=remedy)
    _refuse_infinite(state, path)
    model.load_state_dict(state, assign=True)
    return model.eval()


def _said(tensor: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "absent" if tensor is None else f"{' x '.join(map(str, tensor[0]))}, {str(tensor[1]).removeprefix('torch.')}"


def _refuse_infinite(state: dict[str, Tensor], path: str | Path) -> None:
    bad = {name: int((~torch.isfinite(tensor)).sum()) for name, tensor in state.items()}
    bad = {name: count for name, count in bad.items() if count}
    if bad:
        first = next(iter(bad))
        others = f", and in {len(bad) - 1} more tensors" if len(bad) > 1 else ""
        raise WeightsError(
            "weights that are NaN or infinite",
            where=path,
            found=f"{bad[first]} of {state[first].numel()} in {first}{others}",
            expected="finite values",
            remedy="The training that wrote them diverged, or the file is damaged: copy it again, or train again",
        )


def empty_model(sensors: dict[str, SensorCard]) -> TwoStage:
    """The architecture for these sensors without values, and without touching any random generator."""
    with torch.device("meta"):
        return TwoStage(sensors)


def random_model(seed: int, sensors: dict[str, SensorCard]) -> TwoStage:
    """The same architecture with random weights: the control that every comparison carries.

    Weights and biases are uniform in +-1/sqrt(fan-in), as torch's own; drawn from a generator of this call, so that
    sites that run side by side get the same ones.
    """
    generator = torch.Generator().manual_seed(seed)
    model = empty_model(sensors).to_empty(device="cpu")
    with torch.no_grad():
        for module in model.modules():
            own = list(module.parameters(recurse=False))
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif own:
                fan_in = own[0][0].numel() if own[0].ndim > 1 else own[0].numel()
                for parameter in own:
                    parameter.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
    return model.eval()


def default_weights() -> Path:
    """The weights file that ships with the package."""
    return Path(str(resources.files("ecoembed.embeddings") / "weights" / "default.safetensors"))
