"""Freeze the folds of every protocol that asks for it; exit with 1 if a committed file differs.

    python evaluation/freeze_splits.py            # compare
    python evaluation/freeze_splits.py --write    # replace the committed files

A protocol under ``evaluation/protocols`` whose ``protocol`` has the key ``frozen`` reads its folds from that file,
under ``evaluation/splits``. Here they are made, with the protocol's own options and seed, from the real inputs, read
from ``ECOEMBED_REAL_DATA`` or ``../shared/real``. Frozen folds outlive another version of a library and another filter
of days; one line a site (or site and year) can be read, cited, and used by other software.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from reproduce import HERE, REAL, inputs_of

from ecoembed.errors import EcoembedError
from ecoembed.files import atomic
from ecoembed.validation.config import read_benchmark_config
from ecoembed.validation.samples import Asked, Samples, make_samples
from ecoembed.validation.samples.columns import read_table
from ecoembed.validation.splits.frozen import fold_table
from ecoembed.validation.splits.protocols import make_folds

#: Keys of a configuration that say which samples there are.
_OF_SAMPLES = ("target", "site", "date", "places", "quality", "variants", "noise", "window_days")


def samples_of(table: Path, config: dict[str, Any]) -> Samples:
    """The samples that a benchmark of this configuration scores."""
    own = {"site": "SITE_ID", "date": "date"} | {key: config[key] for key in _OF_SAMPLES if key in config}
    frame = read_table(table)
    if config.get("sites"):
        frame = frame[frame[own["site"]].isin(config["sites"])]
    return make_samples(frame, Asked(**own, sets=config["features"]))


def freeze(toml: Path, real: Path) -> tuple[Path, pd.DataFrame] | None:
    """The file that a protocol's folds are kept in and what belongs there; None where it freezes none."""
    table, sites = inputs_of(toml, real)
    config = read_benchmark_config(toml, sites)
    protocol = config.get("protocol")
    if not isinstance(protocol, dict) or "frozen" not in protocol:
        return None
    samples = samples_of(table, config)
    options = {key: value for key, value in protocol.items() if key != "frozen"}
    return Path(protocol["frozen"]), fold_table(make_folds(options, samples, config.get("seed", 0)), samples)


def main(arguments: list[str], here: Path = HERE, real: Path = REAL) -> int:
    """0 if every file is as committed (or was written), 1 if one differs, 2 if it could not be computed."""
    if arguments not in ([], ["--write"]):
        print(__doc__)
        return 2
    if not real.is_dir():
        print(f"real inputs absent: {real}; set ECOEMBED_REAL_DATA to their folder", file=sys.stderr)
        return 2
    failed = 0
    for toml in sorted((here / "protocols").glob("*.toml")):
        try:
            frozen = freeze(toml, real)
        except EcoembedError as error:
            print(f"{toml.stem}: {error}", file=sys.stderr)
            return 2
        if frozen is None:
            continue
        path, table = frozen
        text = table.to_csv(index=False, lineterminator="\n")
        if arguments:
            with atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            print(f"{path.name}: written, {len(table)} lines")
            continue
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        print(f"{path.name}: {'the same' if same else 'differs'}")
        failed += not same
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
