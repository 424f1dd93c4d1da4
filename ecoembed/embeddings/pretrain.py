"""Training of both stages: each sensor alone, then the fusion on frozen encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ecoembed._version import __version__
from ecoembed.embeddings import batches, samples
from ecoembed.embeddings.batches import MARGIN, Normalisation, Window, physical, scaled
from ecoembed.embeddings.card import ModelCard, sensor_card
from ecoembed.embeddings.objectives import COEFFICIENTS, context_loss, loss_points
from ecoembed.embeddings.probes import reconstruction
from ecoembed.embeddings.samples import SIDE, CodedPlace, Place
from ecoembed.embeddings.weights import TwoStage, save_weights
from ecoembed.errors import ConfigError, FileError
from ecoembed.files import track

LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 1.5e-4
CLIP = 1.0
#: Stage 1: crops a step, centre dates and pixels sampled of each.
CROPS, CENTRES, PIXELS = 6, 4, 24
#: Stage 2: samples a step.
FUSION_BATCH = 512
#: Loss points drawn at each step, beside the three heaviest.
POINTS = 12
#: Share of stage-2 samples from which S1 is withheld, so that z exists without it.
S1_WITHHELD = 0.1


def pretrain(
    cubes: Sequence[str | Path],
    out: str | Path,
    *,
    steps: int = 1500,
    validation: int | None = None,
    seed: int = 0,
) -> Path:
    """Train both stages on the cubes of some places and write one weights file.

    Parameters
    ----------
    cubes : sequence of path
        Zarr stores with the groups ``S2_L2A`` and ``S1`` (as ``ecoembed cube`` writes them), one for each place.
    out : path
        The safetensors file to write.
    steps : int
        Steps of each of the three trainings (S1 alone, S2 alone, fusion).
    validation : int, optional
        How many places to hold out, drawn by `seed`; by default one in five. Places are split, never dates: cubes of
        one name, or within 1 km of each other, are one place.
    seed : int

    Returns
    -------
    Path
        The file written. Its card holds the centre-pixel error at trained and held-out places, beside the per-band
        mean and a PCA to seven components fitted on the trained places.

    Raises
    ------
    ConfigError
        If no cube is given, or all would be held out.
    TableError
        If a place is under 8 px, never clear, never paired, or has fewer than 11 acquisitions of either sensor.
    VariableError
        If the Sentinel-1 cubes were not smoothed alike.
    """
    if not cubes or steps < 1:
        raise ConfigError(
            "nothing to train on", found=f"{len(cubes)} cubes, {steps} steps", expected="at least 1 of each"
        )
    if Path(out).is_dir():
        raise FileError("the output is a folder", where=out, expected="the name of a safetensors file")
    rng = np.random.default_rng(seed)
    places = samples.split([samples.load_place(path) for path in cubes], validation, rng)
    trained = [place for place in places if place.card.role == "train"]
    norms = {name: batches.fit_normalisation([p.frames[name] for p in trained], name) for name in ("S2_L2A", "S1")}
    cards = {
        name: sensor_card(name, norm, trained[0].smoothing if name == "S1" else None) for name, norm in norms.items()
    }
    with _repeatable(seed):
        model = TwoStage(cards)
        for name in cards:
            _train_sensor(model, name, norms[name], trained, steps, rng)
        _train_fusion(model, norms, trained, steps, rng)
    model.eval()
    card = ModelCard(
        code_version=__version__,
        sensors=cards,
        places=tuple(place.card for place in places),
        objective="paper",
        objective_note="MAE and spectral angle, context-weighted; centred and causal windows",
        steps={"S1": steps, "S2_L2A": steps, "fusion": steps},
        seed=seed,
        scores=reconstruction(model, norms, places),
    )
    return save_weights(model, card, out)


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Torch's generator seeded and its kernels deterministic, within the block only."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def _optimise(parameters: list[nn.Parameter], steps: int, loss_of_step: Callable[[], Tensor], title: str) -> None:
    """AdamW with a short warm-up and a cosine decay."""
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    for _ in track(range(steps), title):
        optimiser.zero_grad(set_to_none=True)
        loss_of_step().backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        schedule.step()


def _train_sensor(
    model: TwoStage, name: str, norm: Normalisation, places: list[Place], steps: int, rng: np.random.Generator
) -> None:
    """Stage 1: the autoencoder of one sensor, on crops whose fronts are shared by all samples in them."""
    encoder, decoder = model.encoder(name), model.decoder(name)
    c = COEFFICIENTS["sensor", name]
    all_points = loss_points(c.centre)

    def step() -> Tensor:
        points = all_points.drawn(POINTS, rng)
        weight, dyx = torch.from_numpy(points.weight).float(), torch.from_numpy(points.dyx).float()
        drawn = [
            samples.draw_sequence(places[int(rng.integers(len(places)))].frames[name], SIDE, CENTRES, rng)
            for _ in range(CROPS)
        ]
        tokens = encoder.tokens(torch.cat([batches.standardise(s.frames, norm) for s in drawn]))
        codes, wanted = [], []
        for s, part in zip(drawn, tokens.split([len(s.frames) for s in drawn]), strict=True):
            pixels = np.sort(rng.choice(SIDE * SIDE, size=PIXELS, replace=False))
            part = part[:, pixels]
            valid = s.frames.valid[:, MARGIN:-MARGIN, MARGIN:-MARGIN].flatten(1)[:, pixels]
            safe = torch.from_numpy(np.maximum(s.index, 0))
            own = torch.from_numpy(s.index == s.centres[:, None])[..., None]
            seen = (valid[safe] | own) & torch.from_numpy(s.index >= 0)[..., None]
            mixed = encoder.mixing(part[s.centres], *encoder.mixing.keys_values(part), seen, safe, s.offset)
            clear = valid[s.centres].flatten()
            yx = np.stack(np.divmod(pixels, SIDE), axis=-1)
            who = np.repeat(s.centres, PIXELS), np.tile(yx, (len(s.centres), 1))
            values, ok, days = samples.targets(s.frames, *who, points, s.window == "causal")
            codes.append(encoder.head(mixed).flatten(0, 1)[clear])
            wanted.append((values[clear], ok[clear], days[clear]))
        values, ok, days = (torch.cat(parts) for parts in zip(*wanted, strict=True))
        code = torch.cat(codes)
        if not len(code):  # every sampled pixel was cloudy
            return sum(p.sum() for p in encoder.parameters()) * 0.0  # type: ignore[return-value]
        return context_loss(physical(decoder(code, days, dyx), norm), scaled(values, norm), ok, weight, c)

    _optimise([*encoder.parameters(), *decoder.parameters()], steps, step, f"stage 1, {name}")


def _train_fusion(
    model: TwoStage, norms: dict[str, Normalisation], places: list[Place], steps: int, rng: np.random.Generator
) -> None:
    """Stage 2: the fusion and the decoders, on codes that the frozen encoders gave once."""
    coded = [CodedPlace(model, norms, place, ("centred", "causal"), rng) for place in places]
    points = {name: loss_points(COEFFICIENTS["fusion", name].centre) for name in model.sensors}
    share = np.array([len(c.clear) for c in coded], dtype=float)
    share /= share.sum()

    def step() -> Tensor:
        home = coded[int(rng.choice(len(coded), p=share))]
        time, pixel = home.clear[rng.integers(len(home.clear), size=FUSION_BATCH)].T
        window: Window = "centred" if rng.random() < 0.5 else "causal"
        (optical, radar), (index, gaps) = home.codes[window], home.pairs[window]
        gap = torch.from_numpy(gaps[time])
        paired = torch.isfinite(gap)[:, None]
        gap[torch.from_numpy(rng.random(len(time)) < S1_WITHHELD)] = torch.nan
        z = model.fusion(optical[time, pixel], radar[time, pixel], gap)
        yx = np.stack(np.divmod(pixel, home.side), axis=-1)
        loss = torch.zeros(())
        for name, centre in (("S2_L2A", time), ("S1", np.maximum(index[time], 0))):
            c, p = COEFFICIENTS["fusion", name], points[name].drawn(POINTS, rng)
            values, ok, days = samples.targets(home.frames[name], centre, yx, p, window == "causal")
            if name == "S1":
                ok = ok & paired
            code = model.fusion.back[name](z)
            predicted = physical(model.decoder(name)(code, days, torch.from_numpy(p.dyx).float()), norms[name])
            weight = torch.from_numpy(p.weight).float()
            loss = loss + 0.5 * context_loss(predicted, scaled(values, norms[name]), ok, weight, c)
        return loss

    trainable = [*model.fusion.parameters(), *model.decoders.parameters()]
    _optimise(trainable, steps, step, "stage 2, fusion")
