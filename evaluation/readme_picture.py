"""Draw the README's picture from the demo: ``make demo && python evaluation/readme_picture.py [SITE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from ecoembed import open_study
from ecoembed.files import atomic
from ecoembed.validation.report.pictures import picture_pair

ROOT = Path(__file__).resolve().parents[1]


def main(site: str = "XX-V02") -> None:
    study = open_study(ROOT / "ecoembed-demo")
    row = study.sites.loc[site]
    png = picture_pair(
        study.cube(site), study.embedding(site), study.footprint(site), row["latitude"], row["longitude"]
    )
    with atomic(ROOT / "examples" / "site.png") as path:
        path.write_bytes(png)


if __name__ == "__main__":
    main(*sys.argv[1:])
