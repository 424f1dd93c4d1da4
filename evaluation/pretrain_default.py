"""Regenerate the weights that ship with the package, and their model card.

    python evaluation/pretrain_default.py [--steps N] [--out FOLDER]

Trains on 14 places of the virtual flux network (seed 2024; no site of the demo is among them) and on the one real place
of the real inputs (``ECOEMBED_REAL_DATA`` or ``../shared/real``). About half an hour on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from ecoembed import load_encoder, pretrain
from ecoembed.embeddings.card import ModelCard
from ecoembed.embeddings.weights import default_weights
from ecoembed.files import atomic
from ecoembed.stages import write_cubes
from ecoembed.virtual.network import write_network

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ.get("ECOEMBED_REAL_DATA", HERE.parents[1] / "shared" / "real"))
PLACE, NAME = "belgium_00002806639B424A", "BE-00002806639B424A"
SITES, NETWORK_SEED, VALIDATION, SEED = 14, 2024, 3, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=default_weights().parent)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        network = write_network(work / "network", sites=SITES, seed=NETWORK_SEED, prefix="P")
        places = {p.name: p for p in sorted((network / "satellite").iterdir())} | {NAME: REAL / "cubes" / PLACE}
        for name, folder in places.items():
            write_cubes(folder, work / f"{name}.zarr", name)
        stores = [work / f"{name}.zarr" for name in places]
        out = arguments.out / "default.safetensors"
        pretrain(stores, out, steps=arguments.steps, validation=VALIDATION, seed=SEED)
    encoder = load_encoder(out)
    with atomic(arguments.out / "default.md") as path:
        path.write_text(model_card(encoder.card, encoder.weights), encoding="utf-8")


def model_card(card: ModelCard, weights: str) -> str:
    """The model card, from what the weights file says of itself."""
    virtual = [p for p in card.places if p.id.startswith("XX-")]
    real = [p for p in card.places if not p.id.startswith("XX-")]
    real_rows = "\n".join(
        f"- `{p.id}`: {p.latitude:.4f} N, {p.longitude:.4f} E, {p.start} to {p.end}, {p.dates} dates ({p.role})"
        for p in real
    )
    virtual_rows = ", ".join(p.id + (" (held out)" if p.role == "validation" else "") for p in virtual)
    scores = "\n".join(
        f"| {label} ({score['places']} places) | {name} | {mae['S2']:.4f} | {mae['S1']:.4f} |"
        for label, score in card.scores.items()
        if label.endswith("-place")
        for name, mae in score["centre_mae"].items()
    )
    at_real = ", ".join(
        f"`{name}` ({label}) S2 {mae['S2']:.4f}, S1 {mae['S1']:.4f}"
        for label, score in card.scores.items()
        if label.endswith("-place")
        for name, mae in score["centre_mae_by_place"].items()
        if not name.startswith("XX-")
    )
    ranks = "; ".join(
        f"{label} {score['effective_rank']:.1f}" for label, score in card.scores.items() if label.endswith("-place")
    )
    return f"""# Model card: the weights `default`

- **Weights** `{weights}`, made by ecoembed {card.code_version} with `python evaluation/pretrain_default.py`; seed {card.seed};
  steps {", ".join(f"{k} {v}" for k, v in card.steps.items())}.
- **What it is**: the dense two-stage encoder; Sentinel-2 (10 bands, reflectance 0-1) and Sentinel-1 (VV, VH in dB) encoded
  alone, then fused on frozen encoders into 7 dimensions, 10 m, at each cloud-free Sentinel-2 date.
- **Objective**: {card.objective}. SSIM, 2 % of the paper's loss, is left out.

## Trained on
Real, {len(real)} place (WorldCereal, MIT):
{real_rows}

Simulated, {len(virtual)} places of the virtual flux network, seed {NETWORK_SEED}, 2019-2020; none of them is a site of the demo:
{virtual_rows}

**One real place and a simulation are not a foundation model.** The weights show that the mechanism works. What they know
of the real world is one square of 640 m in Belgium; retrain on your own region with `ecoembed pretrain` before drawing a
conclusion about embeddings. The virtual places share their simulator with the demo's towers (other sites, seed and weather,
the same spectra and rules), so the demo's score is no evidence about real sites.

## How well z rebuilds its own centre pixel
Mean absolute error; {card.scores["unit"]}; {card.scores["window"]} window. `mean` is the per-band mean and `pca7` a PCA to seven
components of the 12 centre values themselves, both fitted on the trained places. Held-out places are all simulated.

| places | | S2 | S1 |
|---|---|---|---|
{scores}

The same error of `fused` at the real place alone: {at_real}.
Effective rank of z (participation ratio, of 7): {ranks}. Reconstruction is not embedding quality: the paper's objective
teaches little about the context (gap filling, the next date), and rebuilding Sentinel-1 to this accuracy means that z
carries its speckle, which pictures of z show as blocks of 20 m. Better objectives are the next step; none is claimed here.
"""


if __name__ == "__main__":
    main()
