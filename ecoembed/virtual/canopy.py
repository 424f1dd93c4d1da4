"""What a canopy over any ground reflects to Sentinel-2: a table of PROSAIL's, shipped as data and interpolated.

The table is made by ``data/canopy/build.py`` (sources in ``data/canopy/PROVENANCE.md``); PROSAIL itself is not needed.
A Lambertian ground of reflectance r enters exactly, as in 4SAIL (Verhoef et al. 2007, doi 10.1109/TGRS.2007.895844)::

    above + gap r + through r / (1 - below r)

`above`: the canopy over black ground; `gap`: ground that sun and view share beyond chance, the hot spot's part;
`through`: down and up again by any way; `below`: the canopy as the ground sees it. Wet soil, litter, snow and water are
therefore mixed under the leaves, not beside them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np

from ecoembed.errors import FileError

TABLE = Path(__file__).parent / "tables" / "canopy.npz"
#: SHA-256 of the table: it is what its provenance says, or it is not read.
DIGEST = "17a982eb68c4677058309f48102ef7163d7e83715ba2ebdce82fff5ba33177ee"
#: The twelve bands of a Level-2A product, in the order of the table, and its leaf types.
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
LEAVES = ("broadleaf", "needle", "mixed", "sclerophyll", "grass", "crop", "reed")


@dataclass(frozen=True)
class Table:
    """The four terms, float32, and the nodes of their axes.

    Attributes
    ----------
    above : ndarray, shape (leaf, chlorophyll, sun, along, across, leaf area, band)
    gap : ndarray, shape (leaf, sun, along, across, leaf area, 1)
    through : ndarray, shape (leaf, chlorophyll, sun, view, leaf area, band)
    below : ndarray, shape (leaf, chlorophyll, leaf area, band)
    nodes : dict of str to ndarray
        Leaf area index; ``chlorophyll`` in ug cm-2; ``sun`` zenith in degrees; ``along`` and ``across`` the principal
        plane, parts of the view zenith in degrees (along > 0: the satellite stands on the sun's side); ``view`` zenith.
    """

    above: np.ndarray
    gap: np.ndarray
    through: np.ndarray
    below: np.ndarray
    nodes: dict[str, np.ndarray]

    @property
    def leaf_area(self) -> np.ndarray:
        return self.nodes["leaf_area"]


@lru_cache(maxsize=1)
def table() -> Table:
    """The table, read once.

    Raises
    ------
    FileError
        It is absent or not the one that belongs to this version.
    """
    content = TABLE.read_bytes() if TABLE.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    if found != DIGEST:
        raise FileError(
            "the canopy table is absent or another one",
            where=TABLE.name,
            found=f"sha256 {found[:16]}" if content else "no file",
            expected=f"sha256 {DIGEST[:16]}",
            remedy="Install ecoembed again",
        )
    with np.load(BytesIO(content), allow_pickle=False) as file:
        scale = np.float32(file["scale"])
        terms = {name: file[name] * scale for name in ("above", "gap", "through", "below")}
        nodes = {name: file[name] for name in ("leaf_area", "chlorophyll", "sun", "along", "across", "view")}
    return Table(
        above=np.moveaxis(terms["above"], 1, 5).copy(),
        gap=np.moveaxis(terms["gap"], 1, 4)[..., None].copy(),
        through=np.moveaxis(terms["through"], 1, 4).copy(),
        below=np.moveaxis(terms["below"], 1, 2).copy(),
        nodes=nodes,
    )


def interval(nodes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the node below each value and its weight towards the next; values outside stand at the last node."""
    values = np.clip(values, nodes[0], nodes[-1])
    index = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    weight = (values - nodes[index]) / (nodes[index + 1] - nodes[index])
    return index, weight.astype(np.float32)


def _interpolated(values: np.ndarray, leaf: np.ndarray, *places: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Multilinear interpolation of `values` (leaf, axis of each place, leaf area, band) -> (n, leaf area, band)."""
    total = np.zeros((len(leaf), *values.shape[-2:]), np.float32)
    for corner in np.ndindex(*(2,) * len(places)):
        weight: np.ndarray = np.ones(len(leaf), np.float32)
        for (_, w), up in zip(places, corner, strict=True):
            weight = weight * (w if up else 1.0 - w)
        index = tuple(i + up for (i, _), up in zip(places, corner, strict=True))
        total += weight[:, None, None] * values[(leaf, *index)]
    return total


def curves(
    leaf: np.ndarray,
    chlorophyll: np.ndarray,
    sun: np.ndarray,
    view: np.ndarray,
    azimuth: np.ndarray,
    ground: np.ndarray,
) -> np.ndarray:
    """Reflectance of n canopies at each node of the leaf area index.

    Parameters
    ----------
    leaf : ndarray of int, shape (n,)
        Into :data:`LEAVES`.
    chlorophyll : ndarray, shape (n,)
        Of the leaves, ug cm-2.
    sun, view : ndarray, shape (n,)
        Zenith angles in degrees.
    azimuth : ndarray, shape (n,)
        Of the satellite relative to the sun, degrees: 0 where it stands on the sun's side.
    ground : ndarray, shape (n, k, 12)
        Reflectance of k grounds under each canopy.

    Returns
    -------
    ndarray, float32, shape (n, k, leaf area, 12)
        At ``table().leaf_area``.

    Examples
    --------
    >>> one, crop = np.ones(1), np.array([LEAVES.index("crop")])
    >>> seen = curves(crop, 45 * one, 40 * one, 5 * one, 90 * one, np.full((1, 1, 12), 0.2))
    >>> dense = seen[0, 0, list(table().leaf_area).index(4.6)]
    >>> bool(dense[BANDS.index("B04")] < 0.05 < 0.35 < dense[BANDS.index("B08")])
    True
    """
    t = table()
    green, solar = interval(t.nodes["chlorophyll"], chlorophyll), interval(t.nodes["sun"], sun)
    along = interval(t.nodes["along"], view * np.cos(np.radians(azimuth)))
    across = interval(t.nodes["across"] ** 2, (view * np.sin(np.radians(azimuth))) ** 2)
    tilt = interval(t.nodes["view"] ** 2, view**2)
    above = _interpolated(t.above, leaf, green, solar, along, across)[:, None]
    gap = _interpolated(t.gap, leaf, solar, along, across)[:, None]
    through = _interpolated(t.through, leaf, green, solar, tilt)[:, None]
    below = _interpolated(t.below, leaf, green)[:, None]
    under = np.asarray(ground, np.float32)[:, :, None]
    return np.asarray(above + gap * under + through * under / (1.0 - below * under))
