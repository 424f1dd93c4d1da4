"""What names say: which band a file, layer or variable holds, when it was acquired, by which processing baseline.

Spellings that are known: bands with and without a zero (``B2``, ``B02``, ``s2_B02``, ``B02_10m``), in any case; dates
``20190704``, ``2019-07-04``, ``2019_07_04``, ``20190704T105621``, ``2019-07-04T10:56:21`` and day of year ``2019185``
(``2019185T105621``). Of several dates in a name the first is the acquisition's, as in Sentinel-2 products (then comes
the tile's or the processing's), Landsat products and Earth Engine's image names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import numpy as np

from ecoembed.sensors import SENSORS

#: What a product delivers as its verdict on clouds, the better first; 0 is clear in each. EarthNet2021x: ``s2_dlmask``
#: (learned; 1 cloud, 2 thin cloud, 3 shadow), ``s2_mask`` (older, by rules). DeepExtremes: ``cloudmask_en`` (learned).
CLOUD_MASKS = ("cloudmask", "s2_dlmask", "cloudmask_en", "s2_mask")

#: Earth Search's names of Sentinel-2's layers, which odc-stac and stackstac hand on. Other sensors share some of them;
#: ``rededge1`` and ``scl`` are Sentinel-2's alone.
COLOURS = {
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "swir16": "B11",
    "swir22": "B12",
    "scl": "SCL",
}

#: Layers of products that are named but not needed (true colour, aerosol, water vapour...).
_OTHERS = "TCI|PVI|AOT|WVP|CLD|SNW|HH|HV|QA60|ANGLE|DATAMASK"

_BAND = re.compile(
    rf"(?<![A-Za-z0-9])(?:B(?P<number>\d{{1,2}})(?P<letter>A?)|(?P<mask>{'|'.join(CLOUD_MASKS)})"
    rf"|(?P<word>VV|VH|SCL|FMASK|{_OTHERS}))(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^(?:s[12]|sentinel[-_]?[12])_", re.IGNORECASE)
_CLOCK = (
    r"(?:T?(?P<H>[01]\d|2[0-3])[:-]?(?P<M>[0-5]\d)[:-]?(?P<S>[0-5]\d|60)"
    r"(?:\.\d+)?(?P<zone>[+-]\d\d:[0-5]\d|\+\d{4})?)?(?!\d)"
)
_DAY = re.compile(rf"(?<!\d)(?P<Y>(?:19|20)\d\d)(?P<sep>[-_.]?)(?P<m>\d\d)(?P=sep)(?P<d>\d\d){_CLOCK}")
_DAY_OF_YEAR = re.compile(rf"(?<!\d)(?P<Y>(?:19|20)\d\d)(?P<j>\d\d\d){_CLOCK.replace('T?', 'T')}")
_BASELINE = re.compile(r"(?<![A-Za-z0-9])N(\d\d)(\d\d)(?![A-Za-z0-9])")
_TILE = re.compile(r"(?<![A-Za-z0-9])T?(\d\d[C-X][A-Z]{2})(?![A-Za-z0-9])")


def unscaled_names() -> set[str]:
    """Classifications of all sensors, and the cloud mask: codes, which are never scaled."""
    return {sensor.quality for sensor in SENSORS.values() if sensor.quality} | {"cloudmask"}


def known_names() -> set[str]:
    """Every variable that a reader can use: bands and classifications of all sensors, and the cloud mask."""
    bands = {name for sensor in SENSORS.values() for names in sensor.products.values() for name in names}
    bands |= {name for sensor in SENSORS.values() for name in sensor.band_names}
    return bands | unscaled_names()


def find_band(text: str) -> str | None:
    """The one band, classification or mask that `text` names, as the package spells it; None if it names none.

    Examples
    --------
    >>> [find_band(text) for text in ("B2", "s2_B8A", "T31UFS_20190704T105621_B02_10m", "0_VV", "Gray", "scl")]
    ['B02', 'B8A', 'B02', 'VV', None, 'SCL']
    """
    found = {_spell(match) for match in _BAND.finditer(text)}
    return found.pop() if len(found) == 1 else None


def find_variable(name: str) -> str | None:
    """As `find_band` for the name of a variable, which must be the band's and nothing more.

    Examples
    --------
    >>> [find_variable(name) for name in ("s2_B02", "B02_std", "s2_dlmask", "BLUE", "eobs_tg")]
    ['B02', None, 'cloudmask', 'BLUE', None]
    """
    if name in known_names():
        return name
    match = _BAND.fullmatch(_PREFIX.sub("", name)) or _BAND.fullmatch(name)
    return _spell(match) if match and _spell(match) in known_names() else None


def find_colour(name: str, beside: Iterable[str]) -> str | None:
    """The band of Sentinel-2 that Earth Search calls `name`, if a name among those `beside` is Sentinel-2's alone.

    Examples
    --------
    >>> find_colour("nir08", ["nir08", "scl"]), find_colour("nir08", ["nir08", "swir16"])
    ('B8A', None)
    """
    return COLOURS.get(name) if {"rededge1", "scl"} & set(beside) else None


def _spell(match: re.Match[str]) -> str:
    if match["number"]:
        return f"B{int(match['number']):0{1 if match['letter'] else 2}d}{match['letter'].upper()}"
    if match["mask"]:
        return "cloudmask"
    return "Fmask" if match["word"].upper() == "FMASK" else match["word"].upper()


def find_time(text: str) -> np.datetime64 | None:
    """The first date in `text`, with its time of day (UTC) where it has one; None if there is none.

    A time zone behind the time of day is taken into account; a leap second is the second before.

    Examples
    --------
    >>> str(find_time("S2_20190704T105621_20190705T000000_B2")), str(find_time("x_2019-07-04"))
    ('2019-07-04T10:56:21', '2019-07-04T00:00:00')
    >>> str(find_time("a.2019185.b")), find_time("32631_B2"), str(find_time("2019-07-04T12:56:21.024+02:00"))
    ('2019-07-04T00:00:00', None, '2019-07-04T10:56:21')
    """
    for pattern in (_DAY, _DAY_OF_YEAR):
        for match in pattern.finditer(text):
            parts = match.groupdict()
            day = f"{parts['Y']}{parts['j']}" if "j" in parts else f"{parts['Y']}{parts['m']}{parts['d']}"
            clock = "".join(parts[key] or "00" for key in "HM") + (parts["S"] or "00").replace("60", "59")
            zone = re.fullmatch(r"([+-])(\d\d):?(\d\d)", parts["zone"] or "+0000")
            ahead = int(f"{zone[1]}1") * (int(zone[2]) * 60 + int(zone[3])) if zone else 0
            try:
                moment = datetime.strptime(day + clock, "%Y%j%H%M%S" if "j" in parts else "%Y%m%d%H%M%S")
            except ValueError:  # a number that only looks like a date: it has no month 13
                continue
            return np.datetime64(moment, "s") - np.timedelta64(ahead, "m")
    return None


def find_baseline(text: str) -> str | None:
    """The processing baseline in a Sentinel-2 product's name.

    Examples
    --------
    >>> find_baseline("S2A_MSIL2A_20220704T105621_N0400_R094_T31UFS_20220704T135540_B02")
    '04.00'
    """
    match = _BASELINE.search(text)
    return f"{match[1]}.{match[2]}" if match else None


def find_tile(text: str) -> str | None:
    """The MGRS tile in a name: ``31UFS`` of ``..._T31UFS_...``."""
    match = _TILE.search(text)
    return match[1] if match else None
