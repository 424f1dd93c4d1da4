"""Builds ``ecoembed/virtual/tables/canopy.npz``: what Sentinel-2 sees of canopies, by PROSAIL (see PROVENANCE.md).

    python data/canopy/build.py            # the table, in about half a minute; needs prosail and pvlib
    python data/canopy/build.py PY6S.tar.gz  # first srf_s2a.csv anew, from the source distribution of Py6S 1.9.2

prosail is GPL: it is a dependency of development, run here and in a test, never imported by the package.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "ecoembed" / "virtual" / "tables" / "canopy.npz"
RESPONSES = HERE / "srf_s2a.csv"
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
WAVELENGTHS = np.arange(400.0, 2501.0)  # nm, those of PROSAIL

#: Nodes. The view is given by its zenith angle projected on the principal plane (`along`, > 0 towards the sun) and
#: across it: smooth at nadir, where an azimuth has no meaning. `across` is interpolated in its square, being symmetric.
LEAF_AREA = np.array([0.0, 0.25, 0.5, 0.8, 1.2, 1.7, 2.4, 3.3, 4.6, 6.2, 8.5])
CHLOROPHYLL = np.array([4.0, 8.0, 15.0, 22.0, 30.0, 50.0, 78.0])
SUN = np.array([18.0, 22.0, 28.0, 38.0, 50.0, 60.0, 68.0, 75.0, 81.0])  # not lower: no hot spot cusp in the view
ALONG = np.array([-12.0, -6.0, 0.0, 6.0, 12.0])
ACROSS = np.array([0.0, 12.0])
VIEW = np.array([0.0, 12.0])
SCALE = 4e-5  # of the 16-bit integers in the file


@dataclass(frozen=True)
class Leaf:
    """Leaves and how they are arranged.

    `structure`, `water` (cm), `matter` (g cm-2) and `brown` are PROSPECT's; `angle` is the mean inclination in degrees
    and `hotspot` SAIL's. `clumping` is the share of the leaf area that acts as if spread at random; `recollision` the
    probability that what a leaf scatters meets its own shoot or crown again: single scattering w becomes
    w (1 - p) / (1 - p w) (Smolander and Stenberg 2003, shoots as elements of a canopy).
    """

    structure: float
    water: float
    matter: float
    brown: float
    angle: float
    hotspot: float
    clumping: float
    recollision: float


LEAVES = {
    "broadleaf": Leaf(1.6, 0.012, 0.006, 0.05, 45.0, 0.15, 0.80, 0.30),
    "needle": Leaf(2.0, 0.022, 0.018, 0.25, 57.0, 0.25, 0.60, 0.47),
    "mixed": Leaf(1.8, 0.016, 0.011, 0.15, 50.0, 0.20, 0.70, 0.40),
    "sclerophyll": Leaf(2.0, 0.018, 0.015, 0.15, 60.0, 0.15, 0.75, 0.30),
    "grass": Leaf(1.5, 0.014, 0.0045, 0.05, 65.0, 0.10, 1.00, 0.0),
    "crop": Leaf(1.45, 0.018, 0.0045, 0.0, 57.0, 0.10, 1.00, 0.0),
    "reed": Leaf(1.7, 0.018, 0.007, 0.10, 70.0, 0.10, 0.90, 0.10),
}


def extract_responses(archive: Path) -> None:
    """Write srf_s2a.csv from the numbers that Py6S holds, read as text: nothing of it is run."""
    with tarfile.open(archive) as source:
        member = next(m for m in source.getmembers() if m.name.endswith("Py6S/Params/wavelength.py"))
        tree = ast.parse(source.extractfile(member).read().decode())
    rows = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and str(getattr(node.targets[0], "id", "")).startswith("S2A_MSI_"):
            band = "B" + node.targets[0].id.removeprefix("S2A_MSI_")
            _, first, last, call = node.value.elts
            values = ast.literal_eval(call.args[0])
            nm = np.linspace(1000.0 * first.value, 1000.0 * last.value, len(values))
            rows += [(band, round(float(w), 2), v) for w, v in zip(nm, values, strict=True) if band in BANDS]
    pd.DataFrame(rows, columns=["band", "wavelength_nm", "response"]).to_csv(RESPONSES, index=False)


def band_weights() -> np.ndarray:
    """Weight of each wavelength in each band, (12, 2101), rows summing to 1: response x extraterrestrial irradiance."""
    from pvlib.spectrum import get_reference_spectra

    sun = get_reference_spectra()["extraterrestrial"]
    irradiance = np.interp(WAVELENGTHS, sun.index.to_numpy(), sun.to_numpy())
    table = pd.read_csv(RESPONSES)
    rows = []
    for band in BANDS:
        part = table[table["band"] == band]
        response = np.interp(WAVELENGTHS, part["wavelength_nm"], part["response"], left=0.0, right=0.0)
        rows.append(response * irradiance / (response * irradiance).sum())
    return np.array(rows)


def elements(leaf: Leaf, chlorophyll: float) -> tuple[np.ndarray, np.ndarray]:
    """Reflectance and transmittance (2101,) of the elements of a canopy: leaves, or shoots of them."""
    from prosail import run_prospect

    carotenoids = 2.0 + 0.18 * chlorophyll
    brown = leaf.brown + 0.8 * max(0.0, 1.0 - chlorophyll / 30.0)  # what has little chlorophyll is mostly old
    args = (leaf.structure, chlorophyll, carotenoids, brown, leaf.water, leaf.matter)
    _, reflected, transmitted = run_prospect(*args, prospect_version="D")
    p = leaf.recollision
    escaping = (1.0 - p) / (1.0 - p * (reflected + transmitted))
    return reflected * escaping, transmitted * escaping


def terms(
    leaf: Leaf, optics: tuple[np.ndarray, np.ndarray], leaf_area: float, sun: float, along: float, across: float
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """The four terms by which the top reflectance depends on a Lambertian ground `r`: a + g r + t r / (1 - s r).

    `a` over black ground; `g` what sun and view see of the ground together beyond chance (the hot spot's share); `t`
    down and up through the canopy by any way; `s` the canopy seen from below. Exact at every wavelength (4SAIL).
    """
    from prosail import run_sail

    view, azimuth = np.hypot(along, across), np.degrees(np.arctan2(across, along))
    result = run_sail(
        *optics, leaf_area * leaf.clumping, leaf.angle, leaf.hotspot, sun, view, azimuth,
        rsoil0=np.zeros_like(WAVELENGTHS), factor="ALLALL",
    )  # fmt: skip
    tss, too, tsstoo, rdd, _, _, tsd, _, tdo, rso = (np.asarray(term, dtype=float) for term in result[:10])
    flat = np.ones_like(WAVELENGTHS)
    return rso * flat, float(tsstoo - tss * too), (tss + tsd) * (too + tdo) * flat, rdd * flat


def tabulate(weights: np.ndarray) -> dict[str, np.ndarray]:
    """The four terms at all nodes; `above` (leaf, leaf area, chlorophyll, sun, along, across, band) and so on."""
    kinds, areas, greens, suns = len(LEAVES), len(LEAF_AREA), len(CHLOROPHYLL), len(SUN)
    above = np.zeros((kinds, areas, greens, suns, len(ALONG), len(ACROSS), len(BANDS)))
    gap = np.zeros((kinds, areas, suns, len(ALONG), len(ACROSS)))
    through = np.zeros((kinds, areas, greens, suns, len(VIEW), len(BANDS)))
    below = np.zeros((kinds, areas, greens, len(BANDS)))
    for k, leaf in enumerate(LEAVES.values()):
        for j, green in enumerate(CHLOROPHYLL):
            optics = elements(leaf, green)
            for i, area in enumerate(LEAF_AREA):
                _, _, t, s = terms(leaf, optics, area, 45.0, 0.0, 0.0)
                below[k, i, j] = weights @ (t * s) / np.maximum(weights @ t, 1e-12)
                for n, sun in enumerate(SUN):
                    for v, view in enumerate(VIEW):
                        through[k, i, j, n, v] = weights @ terms(leaf, optics, area, sun, view, 0.0)[2]
                    for a, along in enumerate(ALONG):
                        for c, across in enumerate(ACROSS):
                            over, gap[k, i, n, a, c], _, _ = terms(leaf, optics, area, sun, along, across)
                            above[k, i, j, n, a, c] = weights @ over
    return {"above": above, "gap": gap, "through": through, "below": below}


def main() -> None:
    if len(sys.argv) > 1:
        extract_responses(Path(sys.argv[1]))
    table = {name: np.round(values / SCALE).astype(np.uint16) for name, values in tabulate(band_weights()).items()}
    axes = {"leaf_area": LEAF_AREA, "chlorophyll": CHLOROPHYLL, "sun": SUN, "along": ALONG, "across": ACROSS}
    about = {
        "made by": "data/canopy/build.py of ecoembed",
        "leaves": {name: asdict(leaf) for name, leaf in LEAVES.items()},
        "form": "reflectance = above + gap r + through r / (1 - below r), r = reflectance of a Lambertian ground",
    }
    TABLE.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        TABLE, **table, **axes, view=VIEW, scale=SCALE, leaf=list(LEAVES), band=list(BANDS), about=json.dumps(about)
    )
    print(f"{TABLE.stat().st_size / 1e6:.2f} MB, sha256 {hashlib.sha256(TABLE.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
