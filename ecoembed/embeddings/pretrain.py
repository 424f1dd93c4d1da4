"""Training of an embedding model, from the cubes of some places to a weights file and what is to be known of it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ecoembed.embeddings.card import ANCHOR, ModelCard, PlaceCard
from ecoembed.embeddings.encode import Encoder
from ecoembed.embeddings.modelcard import model_card
from ecoembed.embeddings.pictures.figures import curves_figure, probe_figure
from ecoembed.embeddings.probes import calibrate, run_probes
from ecoembed.embeddings.reference.model import CODES
from ecoembed.embeddings.training import unfinished
from ecoembed.embeddings.training.loop import train
from ecoembed.embeddings.training.objectives import OBJECTIVES
from ecoembed.embeddings.training.places import Place, load_places
from ecoembed.embeddings.training.recipes import Dense, Kept, Recipe, Reference
from ecoembed.embeddings.training.roles import check_together, split, with_role
from ecoembed.embeddings.training.stage import Schedule
from ecoembed.embeddings.weights import default_weights, read_weights, save_weights, weights_hash
from ecoembed.errors import ConfigError, FileError, LeakageError, TableError, check_name
from ecoembed.files import atomic
from ecoembed.sensors import get_sensor


def pretrain(
    cubes: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    objective: Literal["paper", "context"] | None = None,
    encoder: Literal["dense", "reference"] = "dense",
    sensors: Sequence[str] = (ANCHOR, "S1"),
    keep: str | Path | None = None,
    finetune: bool = False,
    steps: int = 1500,
    validation: int | None = None,
    test: str | Path | Iterable[str | Path] = (),
    seed: int = 0,
    workers: int = 0,
    precision: Literal["fp32", "bf16"] = "fp32",
    licence: str = "not declared",
) -> Path:
    """Train each sensor's encoder alone, then the fusion, and write one weights file.

    Parameters
    ----------
    cubes : path or iterable of paths
        Zarr stores with a group for each sensor (as ``ecoembed cube`` writes them), one for each place.
    out : path
        The safetensors file to write. Beside it: the model card (``.md``), pictures of the curves and of the probes.
        An unfinished training lies in ``OUT.training/``, where the same call continues it, to the same bits.
    objective : {"paper", "context"}, optional
        By default ``context``; the reference encoder has ``paper`` only.
    encoder : {"dense", "reference"}
        The architecture.
    sensors : sequence of str
        S2_L2A first, then any that :mod:`ecoembed.sensors` knows.
    keep : path, optional
        A weights file (``"default"``: that of the package) whose encoders are taken over bit for bit, normalisation
        included: only sensors that it lacks are trained, and the fusion. So a sensor is added.
    finetune : bool
        Train the encoders further in the second stage.
    steps : int
        Steps of each stage at most; it stops early when the places held out gain no more.
    validation : int, optional
        How many places to hold out, drawn by `seed`; by default one in five. Places are split, never dates: cubes of
        one name, or within 1 km of each other, are one place.
    test : path or iterable of paths
        Stores of further places, for the probes only; without them, the probes look at the places held out.
    seed : int
        From 0 to 2**32 - 1.
    workers : int
        Processes that draw crops; their number does not change the result.
    precision : {"fp32", "bf16"}
        Of the training; weights are always fp32.
    licence : str
        Of the weights, for their card.

    Returns
    -------
    Path
        The file written. Its card holds the curves, the probes and the calibration of the expected error.

    Raises
    ------
    ConfigError
        If the arguments do not go together, no place would be left to train on, a test place overlaps one that is
        learnt from, or another training is unfinished at `out`, or under way.
    FileError
        If a store is absent, `out` is a folder, or what an unfinished training left is damaged.
    TableError
        If a place is under 4 px, never clear, never paired, or has fewer than 11 acquisitions of a sensor.
    VariableError, UnitError, GridError
        If a store lacks a sensor, holds it in another unit, on another grid, or smoothed otherwise.
    WeightsError
        If `keep` cannot be read.
    TrainingError
        If the training diverges; what was at `out` stays.
    """
    cubes, test = ([paths] if isinstance(paths, str | Path) else list(paths) for paths in (cubes, test))
    out, sensors, objective = Path(out), tuple(sensors), objective or ("context" if encoder == "dense" else "paper")
    check_name(objective, OBJECTIVES, "objective")
    check_name(precision, ("fp32", "bf16"), "precision")
    _check(out, cubes, sensors, steps, workers, seed)
    if check_name(encoder, ("dense", "reference"), "encoder") == "reference":
        _check_reference(objective, sensors, keep)
    kept = _kept(keep, objective, sensors, finetune)
    known = kept[1].places if kept else ()
    places = _places(cubes, test, sensors, validation, known, np.random.default_rng(seed))
    facts: dict[str, Any] = {
        "places": (*(own := [place.card for place in places]), *(card for card in known if card not in own)),
        "objective": objective,
        "stage2": "fine-tuned" if finetune else "frozen",
        "kept": weights_hash(*kept) if kept else None,
        "steps": steps,
        "seed": seed,
        "precision": precision,
        "licence": licence,
    }
    recipe = Dense(places, sensors, kept, facts) if encoder == "dense" else Reference(places, facts)
    folder, roles = unfinished.folder_of(out), ("train", "validation", "test")
    with unfinished.alone(folder):
        unfinished.claim(folder, recipe.card.model_dump(mode="json"))
        try:
            curves = _train(recipe, places, steps, seed, workers, precision, folder)
            card = _judged(recipe, curves, {role: _paths(places, role) for role in roles}, seed)
        except KeyboardInterrupt as stop:
            stop.add_note(f"The training so far is kept in {folder}: the same call continues it")
            raise
        _write(recipe, card, out)
    shutil.rmtree(folder, ignore_errors=True)  # the lock must be gone first, and an equal call may have it by then
    return out


def _check(out: Path, cubes: Sequence[Any], sensors: tuple[str, ...], steps: int, workers: int, seed: int) -> None:
    if not cubes or steps < 1 or workers < 0:
        found = f"{len(cubes)} cubes, {steps} steps, {workers} workers"
        raise ConfigError("nothing to train on", found=found, expected="at least 1 cube, 1 step and 0 workers")
    if not 0 <= seed < 2**32:
        raise ConfigError("not a seed", found=seed, expected="a whole number from 0 to 2**32 - 1")
    if out.is_dir():
        raise FileError("the output is a folder", where=out, expected="the name of a safetensors file")
    if out.suffix != ".safetensors":  # the card, out.md, would replace weights of that name
        raise ConfigError("not a weights file", where=out, found=out.suffix or "no ending", expected=".safetensors")
    card = out.with_suffix(".md")
    if card.exists() and not out.exists():
        remedy = "Name other weights, or move that file"
        raise FileError("the model card would replace a file", where=card, found="no weights beside it", remedy=remedy)
    for name in sensors:
        get_sensor(name)
    if sensors[:1] != (ANCHOR,) or len(set(sensors)) < len(sensors):
        expected = f"{ANCHOR}, at whose dates a place is embedded, and then each other sensor once"
        raise ConfigError("these sensors make no model", found=", ".join(sensors), expected=expected)


def _check_reference(objective: str, sensors: tuple[str, ...], keep: object) -> None:
    if objective != "paper" or sensors != tuple(CODES) or keep is not None:
        found = f"objective {objective}, sensors {', '.join(sensors)}" + (f", keep {keep}" if keep else "")
        expected = f"objective paper, sensors {', '.join(CODES)}, nothing kept"
        raise ConfigError("the reference encoder is what the paper describes", found=found, expected=expected)


def _kept(keep: str | Path | None, objective: str, sensors: tuple[str, ...], finetune: bool) -> Kept | None:
    """The model and card whose encoders are taken over."""
    if keep is None:
        return None
    kept = read_weights(default_weights() if str(keep) == "default" else keep)
    if finetune:
        remedy = "Leave out one of keep and finetune"
        raise ConfigError("encoders that are kept bit for bit cannot be fine-tuned", where=keep, remedy=remedy)
    if kept[1].objective != objective:
        what = "the encoders that are kept were trained with another objective"
        raise ConfigError(what, where=keep, found=objective, expected=kept[1].objective)
    if not set(sensors) & set(kept[1].sensors):
        what, expected = "the weights hold no encoder to keep", ", ".join(kept[1].sensors)
        raise ConfigError(what, where=keep, found=", ".join(sensors), expected=expected)
    return kept


def _places(
    cubes: Sequence[str | Path],
    test: Sequence[str | Path],
    sensors: tuple[str, ...],
    validation: int | None,
    known: Sequence[PlaceCard],
    rng: np.random.Generator,
) -> list[Place]:
    """All places with their roles; kept in memory first are those to train on."""
    loaded = load_places([*cubes, *test], sensors)
    places = split(loaded[: len(cubes)], validation, rng, known)
    places += [with_role(place, "test") for place in loaded[len(cubes) :]]
    check_together(places, known)
    if validation is None and not _paths(places, "validation"):
        warnings.warn(
            f"no place is held out (found {len(cubes)}; expected 5 new ones, of which one is): the training does all "
            "its steps, and the expected error will not be calibrated. Bring more places, or --validation 1",
            stacklevel=3,
        )
    return places


def _paths(places: list[Place], role: str) -> list[Path]:
    return [place.path for place in places if place.card.role == role]


def _train(
    recipe: Recipe, places: list[Place], steps: int, seed: int, workers: int, precision: Any, folder: Path
) -> dict[str, Any]:
    """All stages, one after the other; their curves."""
    schedule = Schedule(steps, recipe.learning_rate, precision, workers)
    return {
        stage.name: asdict(train(stage, places, schedule, seed, folder / f"{stage.name}.safetensors"))
        for stage in recipe.stages()
    }


def _judged(recipe: Recipe, curves: dict[str, Any], paths: dict[str, list[Path]], seed: int) -> ModelCard:
    """The card with all that is measured after training: the expected error's calibration, and the probes."""
    found: dict[str, Any] = {"curves": curves}
    encoder = recipe.encoder(recipe.card)
    if isinstance(encoder, Encoder):
        try:
            found["error_calibration"] = calibrate(encoder, paths["validation"], seed=seed)
        except TableError as reason:
            warnings.warn(f"the expected error of the embedding is not calibrated: {reason}", stacklevel=3)
    card = ModelCard.model_validate({**recipe.card.model_dump(), **found})
    try:
        unseen = paths["test"] or paths["validation"]
        probes: Any = run_probes({card.architecture: recipe.encoder(card)}, paths["train"], unseen, seed=seed)
    except LeakageError:
        raise
    except TableError as reason:
        probes = {"not_measured": str(reason)}
    return card.model_copy(update={"probes": dict(probes)})


def _write(recipe: Recipe, card: ModelCard, out: Path) -> None:
    """The weights file, the model card and the pictures, all or none."""
    encoder = recipe.encoder(card)
    beside = {
        out.with_suffix(".md"): model_card(card, encoder.weights, out.stem).encode(),
        out.with_name(f"{out.stem}_curves.png"): curves_figure(card),
    }
    probes = out.with_name(f"{out.stem}_probes.png")
    if "not_measured" not in card.probes:
        beside[probes] = probe_figure(card)
    with ExitStack() as files:
        save_weights(recipe.model, card, files.enter_context(atomic(out)))
        for path, content in beside.items():
            files.enter_context(atomic(path)).write_bytes(content)
    if probes not in beside:
        probes.unlink(missing_ok=True)  # of earlier weights
