"""A patchwork of fields around a tower: crisp edges, at least two covers, every field with a character of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoembed.virtual.places import VirtualPlace, grid

#: Cover of the tower's field -> the covers that its neighbours may have. BUILT (roads, yards) has no IGBP vegetation.
_NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "DBF": ("GRA", "CRO"),
    "ENF": ("GRA", "DBF"),
    "MF": ("GRA", "CRO", "ENF"),
    "EBF": ("GRA", "SAV"),
    "SAV": ("GRA", "EBF"),
    "GRA": ("CRO", "ENF"),
    "CRO": ("GRA", "CRO", "DBF"),
    "WET": ("GRA", "MF"),
}
#: Mean area of a field in m2, and the share of the fields that have the tower's own cover.
_FIELD_AREA = 12_000.0
_OWN_SHARE = 0.45
#: No other field has its middle within this distance of the tower, m: towers stand inside a field, not on its edge.
_CLEARANCE = 70.0


@dataclass(frozen=True)
class Landscape:
    """Fields (F of them) on a grid of (y, x) 10 m pixels.

    Attributes
    ----------
    x, y : ndarray
        Pixel centres in m.
    field : ndarray of int, shape (y, x)
        Number of each pixel's field; the tower stands in field 0.
    cover : tuple of str, length F
        Cover of each field, a key of :data:`ecoembed.virtual.vegetation.COVERS`.
    vigour, light_use : ndarray, shape (F,)
        Factors around 1 on leaf area and on light use: stand age, nutrients, cultivar.
    nitrogen : ndarray, shape (F,)
        Factor around 1 on leaf chlorophyll.
    delay : ndarray, shape (F,)
        Days by which a field is later than its cover.
    soil : ndarray, shape (F,)
        Factor around 1 on the brightness of the soil.
    character : ndarray, shape (F,)
        Uniform 0-1 number, which decides what is grown or how often a meadow is cut.
    texture : ndarray, shape (y, x)
        Factor around 1 on leaf area within a field.
    """

    x: np.ndarray
    y: np.ndarray
    field: np.ndarray
    cover: tuple[str, ...]
    vigour: np.ndarray
    light_use: np.ndarray
    nitrogen: np.ndarray
    delay: np.ndarray
    soil: np.ndarray
    character: np.ndarray
    texture: np.ndarray


def smooth_noise(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian fields over the last two axes, of zero mean and unit variance, correlated over about `scale` pixels."""
    rows, columns = shape[-2:]
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    spectrum = np.exp(-0.5 * (2.0 * np.pi * frequency * scale) ** 2)
    noise = rng.standard_normal(shape)
    for field in noise.reshape(-1, rows, columns):  # views, one by one: a third of the memory
        field[:] = np.fft.irfft2(np.fft.rfft2(field) * spectrum, s=(rows, columns))
    noise /= noise.std(axis=None)
    return noise.astype(np.float32)


def _polygons(x: np.ndarray, y: np.ndarray, tower: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Voronoi polygons of random seeds in a turned and stretched metric, numbered by their distance from the tower."""
    count = max(4, round(len(x) * len(y) * 100.0 / _FIELD_AREA))
    angle, stretch = rng.uniform(0.0, np.pi), rng.uniform(1.0, 1.8)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * [[stretch], [1.0]]
    half = (x[-1] - x[0]) / 2.0
    seeds = rng.uniform(-half, half, (2, 4 * count))
    seeds = seeds[:, np.hypot(*seeds) > _CLEARANCE][:, : count - 1]
    seeds = turn @ np.concatenate([rng.uniform(-0.2, 0.2, (2, 1)) * _CLEARANCE, seeds], axis=1)
    pixels = np.stack(np.meshgrid(x - tower[0], y - tower[1])).reshape(2, -1)
    distance = ((turn @ pixels)[:, :, None] - seeds[:, None, :]) ** 2
    nearest = distance.sum(0).argmin(1).reshape(len(y), len(x))
    from_tower = np.argsort((seeds**2).sum(0))
    return np.asarray(np.argsort(from_tower)[nearest])


def draw_landscape(place: VirtualPlace, size: int, rng: np.random.Generator) -> Landscape:
    """Fields around the tower of `place`: its own cover, one or two others, the first of them next to the tower.

    About one field in twelve is built up, but none of those close to the tower.
    """
    x, y = grid(place, size)
    field = _polygons(x, y, (place.easting, place.northing), rng)
    while not (field == 1).any():  # a small landscape may lie within the tower's field
        field = _polygons(x, y, (place.easting, place.northing), rng)
    count = int(field.max()) + 1
    others = _NEIGHBOURS[place.igbp]
    cover = [place.igbp if rng.random() < _OWN_SHARE else str(rng.choice(others)) for _ in range(count)]
    cover = ["BUILT" if rng.random() < 1.0 / 12.0 else name for name in cover]
    cover[:4] = [place.igbp, others[0], *(place.igbp if name == "BUILT" else name for name in cover[2:4])]
    return Landscape(
        x=x,
        y=y,
        field=field,
        cover=tuple(cover),
        vigour=np.exp(0.15 * rng.standard_normal(count)),
        light_use=np.exp(0.1 * rng.standard_normal() + 0.08 * rng.standard_normal(count)),
        nitrogen=np.exp(0.12 * rng.standard_normal(count)),
        delay=6.0 * rng.standard_normal(count),
        soil=np.exp(0.12 * rng.standard_normal() + 0.12 * rng.standard_normal(count)),
        character=rng.random(count),
        texture=np.exp(0.1 * smooth_noise((size, size), 1.5, rng)),
    )
