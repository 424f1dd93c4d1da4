"""Sun and view angles of a Sentinel-2 granule at a tower, from its own metadata (MTD_TL.xml).

The file states them on a grid of 5 km, for the view by band and detector. Taken is the node nearest to the tower; of
the view the mean over the detectors that saw it and over the bands (azimuths as directions, not as numbers). Where
there are no grids, the mean angles of the tile are taken.

Source: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), Level-2A tile metadata, Tile_Angles.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from pyproj import Transformer
from pyproj.exceptions import CRSError

from ecoembed.errors import ProductError

#: Step of the angle grids, in m.
STEP = 5000.0


def angles(metadata: bytes, latitude: float, longitude: float) -> dict[str, float]:
    """Angles in degrees at a place: ``sunZenithAngles``, ``sunAzimuthAngles``, ``viewZenithMean``, ``viewAzimuthMean``.

    Parameters
    ----------
    metadata : bytes
        MTD_TL.xml.
    latitude, longitude : float
        In degrees.

    Raises
    ------
    ProductError
        Not a granule's metadata, without angles, or with a document type, which no product has and strangers abuse.
    """
    root = _parsed(metadata)
    found = root.find(".//Tile_Angles")
    if found is None:
        raise ProductError("not the metadata of a granule", expected="Tile_Angles")
    try:
        node = _node(root, latitude, longitude)
        sun = _at(found.findall("Sun_Angles_Grid"), node) or _means(found.findall("Mean_Sun_Angle"))
        views = found.findall("Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle")
        view = _at(found.findall("Viewing_Incidence_Angles_Grids"), node) or _means(views)
    except (ValueError, TypeError, CRSError) as exc:
        raise ProductError("angles that cannot be read", found=type(exc).__name__) from None
    if not sun or not view:
        raise ProductError("the granule's metadata state no angles", expected="grids or means of sun and view")
    (sun_zenith, sun_azimuth), (view_zenith, view_azimuth) = _mean(sun), _mean(view)
    return {
        "sunZenithAngles": sun_zenith,
        "sunAzimuthAngles": sun_azimuth,
        "viewZenithMean": view_zenith,
        "viewAzimuthMean": view_azimuth,
    }


def _parsed(metadata: bytes) -> ET.Element:
    """The document, if it is UTF-8 and declares no entities: read as text, no other encoding can hide them."""
    try:
        text = metadata.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ProductError("the granule's metadata have a document type", expected="plain XML")
        return ET.fromstring(text)  # noqa: S314 (no document type, hence no entities; its size is limited)
    except (UnicodeDecodeError, ET.ParseError, ValueError) as exc:
        raise ProductError("the granule's metadata are no XML", found=type(exc).__name__) from None


def _node(root: ET.Element, latitude: float, longitude: float) -> tuple[int, int] | None:
    """Row and column of the node nearest to the place; None where the file does not say where its grid lies."""
    corner, code = root.find(".//Tile_Geocoding/Geoposition"), root.findtext(".//Tile_Geocoding/HORIZONTAL_CS_CODE")
    if corner is None or not code:
        return None
    x, y = Transformer.from_crs("EPSG:4326", code.strip(), always_xy=True).transform(longitude, latitude)
    left, top = (float(corner.findtext(name, "nan")) for name in ("ULX", "ULY"))
    return round((top - y) / STEP), round((x - left) / STEP)


def _at(grids: list[ET.Element], node: tuple[int, int] | None) -> list[tuple[float, float]]:
    """(zenith, azimuth) at a node of each band, the mean of the detectors that saw it; empty where none did."""
    if node is None:
        return []
    bands: dict[str, list[tuple[float, float]]] = {}
    for grid in grids:
        zenith, azimuth = (_value(grid.findall(f"{kind}/Values_List/VALUES"), *node) for kind in ("Zenith", "Azimuth"))
        if np.isfinite(zenith) and np.isfinite(azimuth):
            bands.setdefault(grid.get("bandId", ""), []).append((zenith, azimuth))
    return [_mean(detectors) for detectors in bands.values()]


def _value(rows: list[ET.Element], row: int, column: int) -> float:
    values = (rows[row].text or "").split() if 0 <= row < len(rows) else []
    return float(values[column]) if 0 <= column < len(values) else np.nan


def _means(angles: list[ET.Element]) -> list[tuple[float, float]]:
    pairs = [(float(a.findtext("ZENITH_ANGLE", "nan")), float(a.findtext("AZIMUTH_ANGLE", "nan"))) for a in angles]
    return [pair for pair in pairs if np.all(np.isfinite(pair))]


def _mean(angles: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean zenith, and mean azimuth as a direction: of 359 and 1 it is 0."""
    zenith, azimuth = np.array(angles).T
    direction = np.angle(np.exp(1j * np.deg2rad(azimuth)).mean(), deg=True)
    return float(zenith.mean()), float(direction % 360)
