"""Satellite sensors: band order, wavelengths, units, scale, offset rule and nodata, stated once.

Adding a sensor is one entry here, one reader in :mod:`ecoembed.archives.satellite` and one class of contract tests
(``tests/contracts/test_sensors.py``); ``examples/07_another_sensor.py`` walks through it.

Sources: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD, issue 15: quantification value, radiometric
offset from processing baseline 04.00, scene classes); Sentinel-2 spectral response functions v3.1 (S2A central
wavelengths); Sentinel-1 SAR: 5.405 GHz; Harmonized Landsat Sentinel-2 (HLS) Product User Guide, version 2.0 (band names
of L30 and S30, scale, fill value, bits of Fmask), doi 10.5067/HLS/HLSL30.002 and 10.5067/HLS/HLSS30.002; Barsi et al.
2014, doi 10.3390/rs61010232 (central wavelengths of Landsat 8's OLI, to which S30 is adjusted).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ecoembed import units
from ecoembed.errors import check_name


@dataclass(frozen=True)
class Band:
    """One band: its name in the product, central wavelength in nm, native resolution in m."""

    name: str
    wavelength_nm: float
    resolution_m: float


@dataclass(frozen=True)
class Sensor:
    """What must be known of a product to read it.

    Attributes
    ----------
    bands : tuple of Band
        In the order in which every cube and every weights file holds them.
    unit : str
        Unit of a cube of this sensor.
    valid_range : tuple of float
        Values outside are clipped by the encoder (they are kept in the cube).
    scale : float
        Physical value of one digital number, for files that hold raw integers.
    nodata : int
        Digital number of a missing value.
    offset_from_baseline : tuple of (float, float), optional
        (processing baseline, offset in digital numbers added by the producer from that baseline on).
    quality : str, optional
        Name of the variable that classifies each pixel: scene classes or a bit mask; None for radar.
    clear_classes : tuple of int
        Classes of the scene classification that count as a clear view of the ground.
    cloud_classes : tuple of int
        Classes around which more cloud or shadow is to be expected: those that dilation grows.
    unclear_bits : tuple of int
        Of a quality variable that is a bit mask: the bits (0 the lowest) any of which makes a pixel unclear.
    max_gap_days : float
        The farthest acquisition of this sensor that may be paired with another sensor's date.
    overpass_hours : tuple of float
        Nominal local solar times of the passes, in h, for files that give their dates only: of a descending pass first,
        of an ascending one last.
    products : mapping of str to tuple of str
        Where bands have other names in the product: its short name, and its names of ``bands``, in their order.
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    unit: str
    valid_range: tuple[float, float]
    scale: float
    nodata: int
    offset_from_baseline: tuple[float, float] | None = None
    quality: str | None = None
    clear_classes: tuple[int, ...] = field(default=())
    cloud_classes: tuple[int, ...] = field(default=())
    unclear_bits: tuple[int, ...] = field(default=())
    max_gap_days: float = 6.0
    overpass_hours: tuple[float, ...] = field(default=())
    products: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def band_names(self) -> tuple[str, ...]:
        return tuple(band.name for band in self.bands)

    def product(self, *names: object) -> str | None:
        """Which of ``products`` the names (of a file, a collection, an item) speak of; None if of none.

        Examples
        --------
        >>> HLS.product("HLS.L30.T32UPU.2021123T101530.v2.0.B05.tif"), HLS.product("S2A_MSIL2A_20210503T101021")
        ('HLSL30', None)
        """
        said = [re.sub(r"[^A-Z0-9]", "", str(name).upper()) for name in names]
        return next((product for product in self.products if any(product in name for name in said)), None)


S2_L2A = Sensor(
    name="S2_L2A",
    title="Sentinel-2 L2A surface reflectance",
    bands=(
        Band("B02", 492.4, 10),
        Band("B03", 559.8, 10),
        Band("B04", 664.6, 10),
        Band("B05", 704.1, 20),
        Band("B06", 740.5, 20),
        Band("B07", 782.8, 20),
        Band("B08", 832.8, 10),
        Band("B8A", 864.7, 20),
        Band("B11", 1613.7, 20),
        Band("B12", 2202.4, 20),
    ),
    unit=units.REFLECTANCE,
    valid_range=(0.0, 1.0),
    scale=1e-4,
    nodata=0,
    offset_from_baseline=(4.0, -1000.0),
    quality="SCL",
    clear_classes=(4, 5, 6, 7),  # vegetation, bare, water, unclassified
    cloud_classes=(3, 8, 9, 10),  # cloud shadow, cloud of medium and of high probability, thin cirrus
    overpass_hours=(10.5,),  # descending node
)

S1 = Sensor(
    name="S1",
    title="Sentinel-1 VV and VH backscatter",
    bands=(Band("VV", 55_465_763.0, 10), Band("VH", 55_465_763.0, 10)),
    unit=units.BACKSCATTER,
    valid_range=(-30.0, 5.0),
    scale=1e-4,
    nodata=0,
    overpass_hours=(6.0, 18.0),  # descending and ascending: a dawn-dusk orbit
)

HLS = Sensor(
    name="HLS",
    title="Harmonized Landsat Sentinel-2 surface reflectance",
    bands=(
        Band("BLUE", 482.0, 30),
        Band("GREEN", 561.4, 30),
        Band("RED", 654.6, 30),
        Band("NIR", 864.7, 30),
        Band("SWIR1", 1608.9, 30),
        Band("SWIR2", 2200.7, 30),
    ),
    unit=units.REFLECTANCE,
    valid_range=(0.0, 1.0),
    scale=1e-4,
    nodata=-9999,
    quality="Fmask",
    # cloud, beside cloud or shadow, cloud shadow, snow or ice; the fill value, 255, has them all
    unclear_bits=(1, 2, 3, 4),
    overpass_hours=(10.5,),  # Sentinel-2's; Landsat comes a quarter of an hour before
    products={
        "HLSL30": ("B02", "B03", "B04", "B05", "B06", "B07"),
        "HLSS30": ("B02", "B03", "B04", "B8A", "B11", "B12"),
    },
)

SENSORS: dict[str, Sensor] = {sensor.name: sensor for sensor in (S2_L2A, S1, HLS)}


def get_sensor(name: str) -> Sensor:
    """The sensor called `name`.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    return SENSORS[check_name(name, SENSORS, "sensor")]


def sensors_in(variables: Iterable[object], *names: object) -> list[Sensor]:
    """The sensors of which a file with these variables holds a band or the classification.

    The same name is another band in another product: ``B05`` is near infrared in HLS L30 and red edge in Sentinel-2.
    Where the names of the file, its item or its collection speak of a product, only its sensors count.

    Examples
    --------
    >>> [sensor.name for sensor in sensors_in(["B05", "SCL"])]
    ['S2_L2A']
    >>> [sensor.name for sensor in sensors_in(["B05"], "HLS.L30.T32UPU.2021123T101530.v2.0.B05.tif")]
    ['HLS']
    """
    held = {str(variable) for variable in variables}
    claimed = {
        sensor.name: sensor.products[product] for sensor in SENSORS.values() if (product := sensor.product(*names))
    }
    among = [sensor for sensor in SENSORS.values() if sensor.name in claimed or not claimed]
    return [s for s in among if held & {*s.band_names, s.quality, *claimed.get(s.name, ())}]
