"""Make ecoembed/validation/tables/land.json from Natural Earth's countries: see PROVENANCE.md.

pip download --no-deps geopandas==0.14.4
python data/land/build.py geopandas-0.14.4-py3-none-any.whl
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import geopandas as gpd
import shapely

SHAPES = "geopandas/datasets/naturalearth_lowres/naturalearth_lowres.shp"
SHA256 = "3bb6473cb59d51e1a7fe2dbc24a1a063fb0ebdeddf3ce08ddbf8c7ddc99689aa"
OUT = Path(__file__).resolve().parents[2] / "ecoembed" / "validation" / "tables" / "land.json"

TOLERANCE = 0.15  # degrees; a page of 1000 px shows 0.36 in one
SMALLEST = 0.5  # square degrees


def main(wheel: Path) -> None:
    """Unite the countries, simplify, and write the rings with one decimal."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"{wheel}: not the file that was used ({digest})")
    countries = gpd.read_file(f"/vsizip/{{{wheel}}}/{SHAPES}")  # braces: a zip of another name
    # borders do not meet to the last digit
    land = shapely.union_all(shapely.buffer(countries.geometry.values, 0.02)).buffer(-0.02)
    land = shapely.simplify(land, TOLERANCE)
    rings = []
    for part in land.geoms:
        rings += [ring for ring in (part.exterior, *part.interiors) if shapely.Polygon(ring).area >= SMALLEST]
    rings.sort(key=lambda ring: -shapely.Polygon(ring).area)
    listed = [[round(float(v), 1) for point in ring.coords[:-1] for v in point[:2]] for ring in rings]
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(listed, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(listed)} rings, {sum(map(len, listed)) // 2} points, {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
