"""Commands over the embedding model: train it, and embed a place with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ecoembed.cli.app import Json, Several, Whole, answer, app, refuse_overwriting
from ecoembed.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

    from ecoembed.embeddings.card import ModelCard


@app.command
def pretrain(
    cubes: list[Path],
    /,
    *,
    out: Path,
    encoder: Literal["dense", "reference"] = "dense",
    objective: Literal["context", "paper"] | None = None,
    sensors: Annotated[list[str] | None, Several] = None,
    keep: Path | None = None,
    finetune: Annotated[bool, Parameter(negative="")] = False,
    steps: Whole = 1500,
    validation: Whole | None = None,
    test: Annotated[list[Path] | None, Several] = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    workers: Whole = 0,
    licence: str = "not declared",
    seed: Whole = 0,
    as_json: Json = False,
) -> None:
    """Train both stages of the embedding model on cubes: weights, model card, loss curves, probes at unseen places.

    A training that was ended goes on where it stood when the same command is given again.

    Example: ecoembed pretrain cubes/*.zarr --out mine.safetensors --steps 3000

    Parameters
    ----------
    cubes
        Zarr stores written by `ecoembed cube`, one for each place.
    out
        The safetensors file to write; beside it the model card (.md) and pictures (.png).
    encoder
        dense (ours), or reference (the paper's: thousands of times slower, for reproduction).
    objective
        context (fill gaps, tell the next and the previous clear date) or paper (rebuild the centre); by default
        context, and paper for the reference encoder.
    sensors
        What to encode, Sentinel-2 first; by default S2_L2A S1. Each is a group of every store.
    keep
        Weights (default, or a file) whose encoders are taken over unchanged: only sensors that they lack, and the
        fusion, are trained.
    finetune
        Let stage 2 change the encoders, too.
    steps
        Steps of each training at most: of each sensor alone, and of the fusion.
    validation
        Places held out, by which training stops and the expected error is calibrated; one in five by default.
    test
        Further stores, for the probes alone; without them the probes are of the places that are held out.
    precision
        fp32, or bf16 (mixed: faster where the processor has it).
    workers
        Processes that read samples; the result does not depend on them.
    licence
        Of the weights, for their card.
    seed
        Seed of every draw.
    """
    from ecoembed.embeddings.pretrain import pretrain as train
    from ecoembed.embeddings.weights import read_tensors

    refuse_overwriting(out, *cubes, *(test or ()), keep)
    asked: dict[str, Any] = {"sensors": tuple(sensors)} if sensors else {}
    path = train(
        cubes, out, encoder=encoder, objective=objective, keep=keep, finetune=finetune, steps=steps,
        validation=validation, test=test or (), precision=precision, workers=workers, licence=licence, seed=seed,
        **asked,
    )  # fmt: skip
    card = read_tensors(path)[1]
    lines = [*_goals(card), f"Model card: {path.with_suffix('.md')}", f"Weights: {path}"]
    answer({"weights": path, "card": card.model_dump()}, as_json, *lines)


def _goals(card: ModelCard) -> list[str]:
    """What the probes at unseen places say, one line a goal."""
    if "gates" not in card.probes:
        return [f"Probes: not measured: {card.probes.get('not_measured', 'never run')}"]
    goals = card.probes["gates"].items()
    return [
        f"{'reached' if goal['passed'] else 'NOT reached'}, {name.replace('_', ' ')}: {goal['says']}"
        for name, goal in goals
    ]


@app.command
def embed(
    cubes: Path,
    /,
    *,
    out: Path,
    weights: str = "default",
    window: Literal["centred", "causal"] = "centred",
    dates: Annotated[list[str] | None, Several] = None,
    every: Whole | None = None,
    picture: Path | None = None,
    as_json: Json = False,
) -> None:
    """Embed every pixel of a place: at every cloud-free Sentinel-2 date, or on any date.

    Example: ecoembed embed cubes/DE-Gri.zarr --out embeddings/DE-Gri.zarr --window causal --picture DE-Gri.png

    Parameters
    ----------
    cubes
        Zarr store with the groups S2_L2A and S1 (where there was no Sentinel-1, S2_L2A alone).
    out
        The Zarr store to write: group embeddings, bands z1..z7.
    weights
        default, random, a weights file, or the authors' checkpoint (.ckpt).
    window
        centred (five acquisitions before and after each date) or causal (ten before, none after).
    dates
        UTC days to embed, cloudy ones too; the band `error` says what error is to be expected of each pixel.
    every
        The same for every so many days, from the first acquisition to the last.
    picture
        A page (.png, .svg or .pdf): true colour above the embedding on several dates, and along a line through time
        (from four dates on).
    """
    from ecoembed.cubes.store import load_cube, save_cubes
    from ecoembed.embeddings.encode import load_encoder

    refuse_overwriting(out, cubes)
    if picture is not None:
        from ecoembed.cubes.pictures import check_picture

        check_picture(picture)
        refuse_overwriting(picture, cubes, out)
    encoder = load_encoder(weights)
    absent = [name for name in encoder.card.sensors if name != "S2_L2A" and not (cubes / name).is_dir()]
    held = {name: load_cube(cubes, name, lazy=True) for name in encoder.card.sensors if name not in absent}
    s2, s1 = held.pop("S2_L2A"), held.pop("S1", None)
    if picture is not None:
        from ecoembed.embeddings.pictures.maps import clear_dates, save_picture

        clear_dates(s2)  # refused before the work
    z = encoder.encode(s2, s1, dates=_dates(s2, dates, every), window=window, more=tuple(held.values()))
    save_cubes({"embeddings": z}, out)
    files = [f"Without {', '.join(absent)}: not in {cubes}"] if absent else []
    if z.attrs.get("dates_without"):
        files.append(f"Dates without an embedding, as no acquisition is in reach: {z.attrs['dates_without']}")
    files.append(f"Embeddings: {out}")
    if picture is not None:
        save_picture(load_cube(out, "embeddings", lazy=True), s2, picture)
        files.append(f"Picture: {picture}")
    value = {
        "store": out,
        "weights": encoder.weights,
        "window": window,
        "without": absent,
        **{str(k): v for k, v in z.sizes.items()},
    }
    days = "1 date" if z.sizes["time"] == 1 else f"{z.sizes['time']} dates"
    shape = f"{days}, {z.sizes['band']} bands, {z.sizes['y']} x {z.sizes['x']} px"
    answer(value, as_json, f"{shape}, {window} window, weights {encoder.weights}", *files)


def _dates(s2: xr.DataArray, dates: list[str] | None, every: int | None) -> Any:
    """The days asked for; None: those of Sentinel-2."""
    import pandas as pd

    if every is None:
        return dates
    if dates is not None or every < 1:
        found = f"--every {every}" + (" and --dates" if dates else "")
        raise ConfigError("which days to embed is not clear", found=found, expected="--dates, or --every 1 or more")
    first, last = (pd.Timestamp(time).floor("D") for time in s2["time"].values[[0, -1]])
    return pd.date_range(first, last, freq=f"{min(every, (last - first).days + 1)}D")
