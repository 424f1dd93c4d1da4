"""The probes of the shipped weights with the paper's encoder beside them, trained for as long as a laptop allows.

    python evaluation/reference_probes.py [--steps N]

Writes ``evaluation/results/embeddings_reference.json``: of each probe the value and score of the default, of the
reference encoder, raw values, PCA-7 and random weights at unseen places, with intervals. The reference is trained by
the paper's objective on fifteen of the places that the default was trained on; 150 steps a stage, where the paper has
some ten thousands, take about forty minutes of one core: it says what a laptop can train, not what the paper's own
weights are worth (they are not public). Probes patch by patch take some ten minutes more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pretrain_default import ROOT, build_corpus

from ecoembed import load_encoder, pretrain
from ecoembed.embeddings.probes.run import run_probes
from ecoembed.files import write_json

OUT = ROOT / "evaluation" / "results" / "embeddings_reference.json"
#: Virtual places to train on and to probe at, beside the real one.
KNOWN, UNSEEN = 12, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "pretraining", help="the corpus is kept here")
    arguments = parser.parse_args()
    corpus = build_corpus(arguments.work)
    virtual, real = ([p for p in corpus.train if ("XX-P" in p.name) == own] for own in (True, False))
    known, unseen = [*virtual[:KNOWN], *real], [*corpus.test[:UNSEEN], corpus.test[-1]]
    out = arguments.work / "reference.safetensors"
    if not out.is_file():
        pretrain(
            known, out, encoder="reference", objective="paper", steps=arguments.steps, validation=2, seed=0,
        )  # fmt: skip
    table = run_probes({"default": load_encoder(), "reference": load_encoder(out)}, known, unseen)
    write_json(OUT, {"steps": arguments.steps, "weights": load_encoder(out).weights, **table})


if __name__ == "__main__":
    main()
