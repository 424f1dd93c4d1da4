"""The public archives: one table of their addresses, collections, asset names, access, and what they do to the numbers.

==================  ====================================================  ==========================================
provider            Sentinel-2 L2A                                        Sentinel-1, terrain-corrected
==================  ====================================================  ==========================================
planetary-computer  yes; signed by its token service, no account needed   **yes**, alike; an account key in
                                                                          ``PC_SDK_SUBSCRIPTION_KEY`` is used if set
earth-search        yes; open                                             no (GRD in the radar's own geometry)
earth-search-c1     Collection 1 alone (baseline 05.00 and later); open   no
copernicus          yes; S3 keys ``AWS_ACCESS_KEY_ID`` and                no (GRD in the radar's own geometry)
                    ``AWS_SECRET_ACCESS_KEY``, free of charge
==================  ====================================================  ==========================================

The radiometric offset of baseline 04.00 stays in the numbers of the Planetary Computer, of Copernicus and of Collection
1; Earth Search's ``sentinel-2-l2a`` has taken it from some items, which ``earthsearch:boa_offset_applied`` says. That
flag is known to say ``false`` of some items from which it was taken; the reader checks it against the values.

Sources: Planetary Computer, data catalogue and issues 134 (the offset is not removed) and 230 (Sentinel-1 RTC required
an account key in 2023; no longer since the summer of 2024, issue 1 of cordmaur/Sentinel1-Flood-Finder) of
microsoft/PlanetaryComputer; README of Element84/earth-search (assets, requester pays, offset) and
its issues 24, 41, 66, 71 (the flag; Collection 1 keeps the offset) and 36 (Collection 1 has gaps); Copernicus Data
Space, documentation of its S3 interface, issue 197 of opendatacube/odc-stac, and the CloudFerro templates of which its
items are made (``B02_10m``, ``SCL_20m``, ``granule_metadata``; `raster:offset` is -0.1 for every baseline, so it says
nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from ecoembed.archives.satellite.names import COLOURS
from ecoembed.errors import ConfigError, check_name
from ecoembed.sensors import S2_L2A


@dataclass(frozen=True)
class Collection:
    """One sensor's collection in one catalogue.

    Attributes
    ----------
    names : tuple of str
        Its id; of several, the first that the catalogue has.
    assets : mapping of str to tuple of str
        Our name of a band or quality layer -> the keys under which its asset may stand, the best first.
    product : str
        What the numbers are.
    dtype, nodata
        Of the numbers as delivered.
    block : int
        Side of the files' inner tiles, in pixels: what has to be read for one pixel of them.
    units : str, optional
        Of the numbers as delivered, where they need no scale.
    metadata : tuple of str
        Keys under which the granule's own metadata (MTD_TL.xml) may stand.
    offset_applied : bool, optional
        Whether the archive has taken the offset of baseline 04.00 away; None where only the item says so.
    """

    names: tuple[str, ...]
    assets: Mapping[str, tuple[str, ...]]
    product: str
    dtype: str
    nodata: float
    block: int
    units: str | None = None
    metadata: tuple[str, ...] = ()
    offset_applied: bool | None = None


@dataclass(frozen=True)
class Provider:
    """A STAC API.

    Attributes
    ----------
    collections : mapping of str to Collection
        By the name of our sensor.
    signing : {"sas"}, optional
        How an address is made readable: by the Planetary Computer's token.
    credentials : tuple of str
        Variables of the environment without which nothing can be read.
    gdal : mapping of str to str
        Options with which its files are opened; a variable of the environment of the same name comes first.
    """

    name: str
    title: str
    url: str
    collections: Mapping[str, Collection]
    signing: Literal["sas"] | None = None
    credentials: tuple[str, ...] = ()
    gdal: Mapping[str, str] = field(default_factory=dict)


_NATIVE = {band.name: round(band.resolution_m) for band in S2_L2A.bands} | {"SCL": 20}
_ESA = {name: (name,) for name in _NATIVE}
_COPERNICUS = {name: (f"{name}_{resolution}m",) for name, resolution in _NATIVE.items()}
_COLOURS = {ours: (theirs,) for theirs, ours in COLOURS.items()}
_RADAR = {"VV": ("vv", "VV"), "VH": ("vh", "VH")}


def _optical(
    name: str, assets: Mapping[str, tuple[str, ...]], metadata: str, block: int, applied: bool | None
) -> Collection:
    product = "Sentinel-2 L2A, surface reflectance as digital numbers"
    return Collection((name,), assets, product, "uint16", 0, block, None, (metadata,), applied)


_RTC = "Sentinel-1 RTC, gamma0 in linear power, terrain-corrected"
_EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name="planetary-computer",
            title="Microsoft Planetary Computer",
            url="https://planetarycomputer.microsoft.com/api/stac/v1",
            collections={
                "S2_L2A": _optical("sentinel-2-l2a", _ESA, "granule-metadata", 512, False),
                "S1": Collection(("sentinel-1-rtc",), _RADAR, _RTC, "float32", -32768, 512, "1"),
            },
            signing="sas",
        ),
        Provider(
            name="earth-search",
            title="Earth Search by Element 84",
            url=_EARTH_SEARCH,
            collections={"S2_L2A": _optical("sentinel-2-l2a", _COLOURS, "granule_metadata", 1024, None)},
        ),
        Provider(
            name="earth-search-c1",
            title="Earth Search by Element 84, Sentinel-2 Collection 1",
            url=_EARTH_SEARCH,
            collections={"S2_L2A": _optical("sentinel-2-c1-l2a", _COLOURS, "granule_metadata", 1024, False)},
        ),
        Provider(
            name="copernicus",
            title="Copernicus Data Space Ecosystem",
            url="https://stac.dataspace.copernicus.eu/v1",
            collections={"S2_L2A": _optical("sentinel-2-l2a", _COPERNICUS, "granule_metadata", 1024, False)},
            credentials=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            gdal={"AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu", "AWS_VIRTUAL_HOSTING": "FALSE"},
        ),
    )
}


def get_provider(name_or_url: str) -> Provider:
    """The provider of that name, or a plain STAC API at that address.

    Of an address that is not in the table, the collections and the asset keys are looked for under all spellings that
    the table knows.

    Raises
    ------
    ConfigError
        No provider of that name and no http(s) address; lists the names.

    Examples
    --------
    >>> get_provider("planetary-computer").collections["S1"].names
    ('sentinel-1-rtc',)
    >>> get_provider("https://stac.example.org/").collections["S2_L2A"].assets["B08"]
    ('B08', 'nir', 'B08_10m')
    """
    if "://" not in name_or_url:
        return PROVIDERS[check_name(name_or_url, PROVIDERS, "provider", otherwise="Or give the address of a STAC API")]
    url = name_or_url.rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("not the address of a STAC API", found=name_or_url, expected="https://... or http://...")
    known = next((provider for provider in PROVIDERS.values() if provider.url == url), None)
    host = parts.netloc.rpartition("@")[2]
    return known or Provider(host, f"the STAC API of {host}", url, _plain())


def collection_of(provider: Provider, sensor: str) -> Collection:
    """The collection in which `provider` has `sensor`.

    Raises
    ------
    ConfigError
        It has none; says who does.
    """
    if sensor in provider.collections:
        return provider.collections[sensor]
    others = [name for name, other in PROVIDERS.items() if sensor in other.collections]
    raise ConfigError(
        f"this provider has no {'terrain-corrected Sentinel-1' if sensor == 'S1' else sensor}",
        where=provider.name,
        expected=f"one of {', '.join(others)}" if others else f"a sensor of {', '.join(provider.collections)}",
        remedy=f"Fetch {sensor} from {others[0]}, or leave it out" if others else "Bring files of that sensor yourself",
    )


def _plain() -> dict[str, Collection]:
    """What any catalogue may hold: the ids and asset keys of all providers, and nothing said of the offset."""
    found: dict[str, Collection] = {}
    for sensor in ("S2_L2A", "S1"):
        known = [provider.collections[sensor] for provider in PROVIDERS.values() if sensor in provider.collections]
        names = tuple(dict.fromkeys(name for one in known for name in one.names))
        keys = {band: tuple(dict.fromkeys(k for one in known for k in one.assets[band])) for band in known[0].assets}
        metadata = tuple(dict.fromkeys(key for one in known for key in one.metadata))
        first = known[0]
        found[sensor] = Collection(
            names, keys, first.product, first.dtype, first.nodata, first.block, first.units, metadata
        )
    return found
