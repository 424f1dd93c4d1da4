"""The paper's objective against ours: the same corpus, architecture, steps and seed, probed at unseen places (of which
the virtual ones are those that the settings of ``context`` were chosen at).

    python evaluation/ablation.py [--steps N]

Writes ``evaluation/results/embeddings_ablation.json``: of each objective the value and score of every probe with its
interval over places, the sum, and the gates. Two trainings of some ten minutes on one core, and probes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pretrain_default import CONFIG, ROOT, build_corpus

from ecoembed import load_encoder, pretrain
from ecoembed.embeddings.training.objectives import OBJECTIVES
from ecoembed.files import write_json

#: The places at which the objective's settings were chosen; the default weights are judged at others.
NETWORKS = {"P": (48, 2024), "T": (20, 7)}
OUT = ROOT / "evaluation" / "results" / "embeddings_ablation.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "ablation", help="the corpus is kept here")
    arguments = parser.parse_args()
    corpus = build_corpus(arguments.work, NETWORKS)
    config = {key: value for key, value in CONFIG.items() if key != "objective"} | {"steps": arguments.steps}
    found: dict[str, Any] = {"config": config}
    for objective in OBJECTIVES:
        out = arguments.work / f"ablation-{objective}.safetensors"
        pretrain(corpus.train, out, test=corpus.test, objective=objective, **config)
        found[objective] = summary(load_encoder(out).card.probes)
    write_json(OUT, found)


def summary(table: dict[str, Any]) -> dict[str, Any]:
    """Of the judged encoder, what each probe says, and the gates."""
    rows = {table["judged"], "decoded", "interpolation", "last"}
    probes = {
        name: {row: estimate for row, estimate in probe["values"].items() if row in rows}
        for name, probe in table["probes"].items()
    }
    return {"probes": probes, "sum": table["sum"], "gates": table["gates"]}


if __name__ == "__main__":
    main()
