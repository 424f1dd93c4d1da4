"""The whole table of the benchmark on a virtual flux network, with the known truth beside.

    python evaluation/virtual_network.py            # compare with the committed result
    python evaluation/virtual_network.py --write    # replace it

Twenty virtual sites of a seed that neither the demo nor the shipped weights have seen, through the chain that a study
of real towers takes: files, cubes, embeddings, footprints, features, leave-site-out. A virtual tower has noise, a bias,
and an error of partitioning; ``truth.csv`` scores the same predictions against the GPP that the world really had in the
footprint. No ranking of feature sets in a made-up world is evidence for the real one. Ten minutes on two cores.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pandas as pd
import xarray as xr
from reproduce import HERE, differences

from ecoembed import open_study
from ecoembed.files import atomic
from ecoembed.validation.save import write_tables
from ecoembed.validation.scores.metrics import bias, r2, rmse
from ecoembed.virtual.network import write_network

COMMITTED = HERE / "results" / "virtual_network"
NETWORK = {"sites": 20, "years": (2019, 2020), "seed": 11, "prefix": "N"}
ASKED = "\n[benchmark]\nnested = true\nexplain = true\n"


def compute(folder: Path) -> None:
    """Run the study and write its tables into `folder`."""
    with tempfile.TemporaryDirectory() as work:
        place = write_network(Path(work) / "network", **NETWORK)
        config = place / "study.toml"
        config.write_text(config.read_text(encoding="utf-8") + ASKED, encoding="utf-8")
        result = open_study(place).run().benchmark
        folder.mkdir(parents=True)
        write_tables(result, folder)
        truth_scores(result.predictions, place / "truth").to_csv(
            folder / "truth.csv", index=False, float_format="%.6g", lineterminator="\n"
        )


def truth_scores(predictions: pd.DataFrame, truth: Path) -> pd.DataFrame:
    """Each model, and the tower itself, against the GPP that there was in the footprint."""
    real = []
    for site in predictions["site"].unique():
        with xr.open_dataset(truth / f"{site}.nc") as known:
            gpp = known["gpp_tower"].to_series().rename("truth").rename_axis("date").reset_index()
        real.append(gpp.assign(site=site))
    rows = predictions.merge(pd.concat(real), on=["site", "date"], validate="many_to_one")
    models = {key: (own["truth"], own["predicted"]) for key, own in rows.groupby(["features", "regressor"], sort=False)}
    first = rows[(rows["features"] == rows["features"].iloc[0]) & (rows["regressor"] == rows["regressor"].iloc[0])]
    models |= {("the tower itself", "measured"): (first["truth"], first["observed"])}
    lines = [
        {"features": f, "regressor": r, "n": len(true), **{s.__name__: s(*(v.to_numpy() for v in (true, said)))
         for s in (r2, rmse, bias)}}
        for (f, r), (true, said) in models.items()
    ]  # fmt: skip
    return pd.DataFrame(lines).sort_values("r2", ascending=False, kind="stable", ignore_index=True)


def main(arguments: list[str]) -> int:
    """0 if the result was regenerated (or written), 1 if it differs, 2 if the arguments are not understood."""
    if arguments not in ([], ["--write"]):
        print(__doc__)
        return 2
    if arguments:
        with atomic(COMMITTED) as temporary:
            compute(temporary)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        compute(Path(folder) / "fresh")
        found = differences(COMMITTED, Path(folder) / "fresh")
    print("virtual_network:", "differs" if found else "the same", *found, sep="\n  ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
