"""Regenerate the weights that ship with the package, their model card and its pictures.

    python evaluation/pretrain_default.py [--out FOLDER]

Trains on places of the virtual flux network (seed 2024; no site of the demo is among them) and on the west of the one
real place of the real inputs (``ECOEMBED_REAL_DATA`` or ``../shared/real``). The probes look at virtual places of
another seed and at the east of the real one. Training took 26 minutes of one core, the rest some
minutes more; killed, the same command continues it.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from ecoembed import load_encoder, pretrain
from ecoembed.cubes.store import load_cube, save_cubes, save_series
from ecoembed.embeddings.weights import default_weights
from ecoembed.stages import write_cubes
from ecoembed.virtual.network import write_network

ROOT = Path(__file__).resolve().parents[1]
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", ROOT.parent / "shared" / "real"))
PLACE, NAME = "belgium_00002806639B424A", "BE-00002806639B424A"

#: Virtual places to learn from, and to probe at: prefix -> (sites, seed).
NETWORKS = {"P": (48, 2024), "T": (20, 4711)}
#: Columns of the real place that are trained on (in three parts that overlap, so that it is drawn more often than a
#: virtual place), and those that the probes look at. Between them lies more than half of what an embedding sees.
WEST, EAST, ROWS = slice(0, 44), slice(52, None), (slice(0, 32), slice(16, 48), slice(32, 64))
#: What is passed to :func:`ecoembed.pretrain`.
CONFIG: dict[str, Any] = {
    "objective": "context",
    "steps": 1500,
    "validation": 6,
    "seed": 0,
    "precision": "bf16",
    "licence": "Apache-2.0",
}


@dataclass(frozen=True)
class Corpus:
    """Stores to learn from, and stores that are only probed."""

    train: list[Path]
    test: list[Path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=default_weights().parent)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "pretraining", help="the corpus is kept here")
    arguments = parser.parse_args()
    corpus = build_corpus(arguments.work)
    out = pretrain(corpus.train, arguments.out / "default.safetensors", test=corpus.test, **CONFIG)
    for gate in load_encoder(out).card.probes["gates"].values():
        print("reached" if gate["passed"] else "NOT REACHED", gate["says"], sep=": ")


def build_corpus(work: Path, networks: dict[str, tuple[int, int]] = NETWORKS) -> Corpus:
    """The stores of all places; those that are there already are not built again."""
    stores: dict[str, list[Path]] = {}
    for prefix, (sites, seed) in networks.items():
        stores[prefix] = [work / f"XX-{prefix}{k:02d}.zarr" for k in range(1, sites + 1)]
        if not all(store.is_dir() for store in stores[prefix]):
            network = write_network(work / f"network-{prefix}", sites=sites, seed=seed, prefix=prefix)
            for store in stores[prefix]:
                write_virtual(network, store)
    west, east = write_real(work)
    return Corpus([*stores["P"], *west], [*stores["T"], east])


def write_virtual(network: Path, store: Path) -> None:
    """Cubes of a virtual place, and as its labels what covers each pixel and which field it belongs to."""
    s2, _ = write_cubes(network / "satellite" / store.stem, store, store.stem)
    with xr.open_dataset(network / "truth" / f"{store.stem}.nc") as truth:
        labels = truth[["cover", "field"]].rename(cover="land_cover").load()
    for axis in ("y", "x"):
        if (labels[axis].values != s2[axis].values).any():
            raise ValueError(f"{store.stem}: labels and cubes lie on different grids")
    save_series({"labels": labels.drop_attrs(deep=False)}, store)


def write_real(work: Path) -> tuple[list[Path], Path]:
    """The real place, cut into what is trained on and what is probed."""
    parts = {f"{NAME}-west{k}": (rows, WEST) for k, rows in enumerate(ROWS, 1)} | {f"{NAME}-east": (slice(None), EAST)}
    paths = [work / f"{name}.zarr" for name in parts]
    if not all(path.is_dir() for path in paths):
        whole = work / "real.zarr"
        write_cubes(REAL / "cubes" / PLACE, whole, NAME)
        cubes = {sensor: load_cube(whole, sensor) for sensor in ("S2_L2A", "S1")}
        for (name, (rows, columns)), path in zip(parts.items(), paths, strict=True):
            cut = {k: cube.isel(y=rows, x=columns).assign_attrs(site=name) for k, cube in cubes.items()}
            save_cubes(cut, path)
    return paths[:-1], paths[-1]


if __name__ == "__main__":
    main()
