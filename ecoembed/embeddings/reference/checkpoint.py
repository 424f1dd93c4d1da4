"""Weights of the authors: the tensors of their checkpoint under our names."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ecoembed.embeddings.reference.model import Axis, ReferenceModel, empty_reference
from ecoembed.errors import FileError, WeightsError

#: Module of one sensor here -> there; ``{}`` is ``s1`` or ``s2``.
_SENSOR = {
    "down.lift": "enc_{}.dim_reducer.conv0.0",
    "down.scales": "enc_{}.dim_reducer.block1",
    "down.halve": "enc_{}.dim_reducer.conv1.0",
    "down.middle": "enc_{}.dim_reducer.block2",
    "down.quarter": "enc_{}.dim_reducer.conv2.0",
    "down.last": "enc_{}.dim_reducer.block3",
    "position": "enc_{}.positional_embedding_shared.position_embeddings",
    "transformer": "enc_{}.transformer_enc",
    "narrow": "enc_{}.encoder_linear.0",
    "fewer": "enc_{}.token_reducer.0",
    "code": "enc_{}.bottleneck_reducer.0",
    "expand": "dec_{}.bottleneck_expander.0",
    "more": "dec_{}.token_upsampler.0",
    "widen": "dec_{}.decoder_linear.0",
    "up.first": "dec_{}.upscaler.block1",
    "up.grow": "dec_{}.upscaler.conv1.0",
    "up.middle": "dec_{}.upscaler.block2",
    "up.grow_again": "dec_{}.upscaler.upsample2",
    "up.scales": "dec_{}.upscaler.block3",
    "up.bands": "dec_{}.upscaler.final_refinement.0",
    "up.refine": "dec_{}.upscaler.final_refinement.2",
}
_FUSION = {
    "lift.S1": "proj_s1",
    "lift.S2_L2A": "proj_s2",
    "kind": "type_embed",
    "position": "pair_pos_emb.position_embeddings",
    "transformer": "fuser",
    "norm": "norm_out",
    "out": "bottleneck_reducer.0",
    "back.S1": "head_s1",
    "back.S2_L2A": "head_s2",
}
_MODULES = {
    **{f"sensors.S1.{ours}": theirs.format("s1") for ours, theirs in _SENSOR.items()},
    **{f"sensors.S2_L2A.{ours}": theirs.format("s2") for ours, theirs in _SENSOR.items()},
    **{f"fusion.{ours}": theirs for ours, theirs in _FUSION.items()},
}
#: Within a convolution block, here -> there.
_INSIDE = {
    "small.": "convs.0.0.",
    "large.": "convs.1.0.",
    "merge.": "fusion.0.",
    "conv.": "conv.0.",
    "attention.channel.": "attention.ca.se.",
    "attention.spatial.": "attention.sa.conv.",
}
#: Modules that the decoder shares with its encoder: a checkpoint holds their tensors under both names.
_SHARED = {
    f"dec_{s}.{dec}.": f"enc_{s}.{enc}."
    for s in ("s1", "s2")
    for dec, enc in (("positional_embedding_shared",) * 2, ("transformer_dec", "transformer_enc"))
}
#: Tensors that no computation of the public code uses.
_UNUSED = ("bottleneck_expander.",)


def official_name(name: str) -> str:
    """The name in the authors' checkpoint of a tensor of :class:`ReferenceModel`.

    Examples
    --------
    >>> official_name("sensors.S1.down.scales.large.bias")
    'enc_s1.dim_reducer.block1.convs.1.0.bias'
    """
    module = next(m for m in _MODULES if name.startswith(m + "."))
    inside = name[len(module) + 1 :]
    part = next((p for p in _INSIDE if inside.startswith(p)), "")
    return f"{_MODULES[module]}.{_INSIDE.get(part, '')}{inside[len(part) :]}"


def is_official(path: Path) -> bool:
    """Whether a file is to be read as the authors': weights files of ours are no zip archives."""
    return path.suffix == ".ckpt" or zipfile.is_zipfile(path)


def read_official_checkpoint(path: str | Path, axis: Axis = "batch") -> ReferenceModel:
    """The authors' fusion model.

    Parameters
    ----------
    path : str or Path
        Their Lightning checkpoint, a file of its state dict alone, or the same tensors as safetensors (where tensors
        that are shared may stand once, with a JSON object ``alias`` in the metadata: absent name -> name in the file).
    axis : {"time", "batch"}
        What the encoders attend over.

    Returns
    -------
    ReferenceModel
        In float32 and evaluation mode.

    Raises
    ------
    FileError
        If there is no such file.
    WeightsError
        If it is no checkpoint, holds more than tensors and plain values, or a tensor is missing, unknown, of another
        shape or type, not finite, or contradicts the one that it is shared with.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError("no such checkpoint", where=path)
    state = _from_torch(path) if zipfile.is_zipfile(path) else _from_safetensors(path)
    state = _without_copies(state, path)
    model = empty_reference(axis)
    wanted = {official_name(name): tensor for name, tensor in model.state_dict().items()}
    _refuse_names("missing", wanted.keys() - state.keys(), path)
    _refuse_names("unknown", state.keys() - wanted.keys(), path)
    for name, tensor in state.items():
        _check(name, tensor, wanted[name], path)
    ours = {name: state[official_name(name)].to(torch.float32, copy=True) for name in model.state_dict()}
    model.load_state_dict(ours, assign=True)
    return model.eval()


def _from_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # torch raises what zip, pickle or its own reader raise
        said = " ".join(str(exc).split())[:200]
        remedy = "Only tensors and plain values are read. Save its state dict alone, where the file is trusted"
        raise WeightsError(f"cannot be read as a checkpoint: {said}", where=path, remedy=remedy) from None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise WeightsError("no state dict in the checkpoint", where=path, found=type(content).__name__)
    return dict(state)


def _from_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            alias = json.loads((file.metadata() or {}).get("alias", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as exc:
        raise WeightsError("neither a checkpoint nor safetensors, or truncated", where=path, found=str(exc)) from None
    if not isinstance(alias, dict):
        raise WeightsError("its aliases are no JSON object", where=path, found=type(alias).__name__)
    _refuse_names("missing, though another shares it,", {str(a) for a in alias.values()} - state.keys(), path)
    return state | {name: state[there] for name, there in alias.items()}


def _without_copies(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors without those that are unused, and without the decoder's copies of what it shares."""
    kept = {}
    for name, tensor in state.items():
        copy = next((prefix for prefix in _SHARED if name.startswith(prefix)), None)
        original = state.get(_SHARED[copy] + name[len(copy) :]) if copy else None
        if original is not None and not torch.equal(original, tensor):
            raise WeightsError(f"{name} differs from the encoder's, with which the decoder shares it", where=path)
        if original is None and not name.startswith(_UNUSED):
            kept[name] = tensor
    return kept


def _refuse_names(what: str, names: Iterable[str], path: Path) -> None:
    if listed := sorted(names):
        shown = ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
        expected = "the authors' fusion model of S1 (code 2) and S2 (code 9)"
        raise WeightsError(f"{len(listed)} tensors {what}: {shown}", where=path, expected=expected)


def _check(name: str, tensor: Tensor, wanted: Tensor, path: Path) -> None:
    if tensor.shape != wanted.shape:
        found = tuple(tensor.shape)
        raise WeightsError(f"{name} has another shape", where=path, found=found, expected=tuple(wanted.shape))
    if not tensor.is_floating_point():
        raise WeightsError(f"{name} has another type", where=path, found=tensor.dtype, expected="floating point")
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{name} is not finite", where=path, remedy="Copy the checkpoint again, or take another")
