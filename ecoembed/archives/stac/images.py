"""One scene as a raw raster on the site's grid: its bands, its classification and its metadata, nothing decoded.

A file whose pixels coincide with the site's (same zone, corners on the grid) is copied: a 10 m pixel stays itself, one
of 20 m becomes four. Any other is resampled, bilinearly, classes by the nearest; each band's attribute ``resampled``
says so. The pixels are read by odc-stac.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from ecoembed.archives.stac.access import address, gdal_error, gdal_options
from ecoembed.archives.stac.angles import angles
from ecoembed.archives.stac.place import RESOLUTION, SiteGrid
from ecoembed.archives.stac.providers import Collection, Provider
from ecoembed.archives.stac.scenes import Scene
from ecoembed.archives.stac.transport import PassingError, Patience, UnreachableError, bare, request
from ecoembed.errors import ArchiveError, ProductError
from ecoembed.sensors import get_sensor

if TYPE_CHECKING:
    import rasterio

#: The longest granule metadata that are read (they are half a MiB long).
METADATA_LIMIT = 8 << 20

#: Angles in an item's properties: for where its metadata file cannot be read.
_STATED = {
    "sunZenithAngles": ("s2:mean_solar_zenith",),
    "sunAzimuthAngles": ("s2:mean_solar_azimuth", "view:sun_azimuth"),
    "viewZenithMean": ("view:incidence_angle",),
    "viewAzimuthMean": ("view:azimuth",),
}


@dataclass(frozen=True)
class Layer:
    """One band on the site's grid: (y, x) `values` as delivered, how they came there, and what was read for them."""

    values: np.ndarray
    href: str
    resampled: str
    native: float
    nodata: float
    bytes: int


def open_scene(
    scene: Scene, place: SiteGrid, provider: Provider, patience: Patience
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Read a scene whole.

    Returns
    -------
    xr.Dataset
        Over (time, y, x), one time; as :func:`ecoembed.archives.satellite.rasters.open_raster` wants it.
    dict
        Its entry in the manifest.

    Raises
    ------
    ArchiveError
        An asset is absent or cannot be read; names it.
    """
    collection = provider.collections[scene.sensor]
    layers = {name: _layer(scene, name, place, provider, patience) for name in collection.assets}
    metadata, repairs = _metadata(scene, collection, place, provider, patience)
    taken = np.array([scene.time.replace(tzinfo=None)], dtype="datetime64[ns]")
    data = xr.Dataset(
        {name: _variable(layer, collection.units) for name, layer in layers.items()},
        coords={"time": taken, "y": place.y, "x": place.x},
    )
    entry: dict[str, Any] = {
        "sensor": scene.sensor,
        "provider": provider.name,
        "collection": scene.item.collection_id,
        "item": scene.id,
        "time": f"{scene.time:%Y-%m-%dT%H:%M:%S.%f}Z",
        "baseline": scene.baseline,
        "assets": {name: layer.href for name, layer in layers.items()},
        "resampled": sorted({layer.resampled for layer in layers.values()}),
        "read": sum(layer.bytes for layer in layers.values()),
        "fetched": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    origin = {key: str(entry[key] or "") for key in ("provider", "collection", "item")}
    data.attrs = metadata | origin | {"site": place.site, "product": collection.product, "epsg": place.epsg}
    data.attrs |= {"repairs": json.dumps(repairs), "fetch": json.dumps(entry | {"grid": place.grid})}
    return data.rio.write_crs(place.epsg), entry


def _variable(layer: Layer, units: str | None) -> xr.DataArray:
    attrs: dict[str, Any] = {"native_resolution": layer.native, "resampled": layer.resampled}
    if units is not None:
        attrs["units"] = units
    attrs["_FillValue"] = layer.values.dtype.type(layer.nodata)
    return xr.DataArray(layer.values[None], dims=("time", "y", "x"), attrs=attrs)


def _layer(scene: Scene, name: str, place: SiteGrid, provider: Provider, patience: Patience) -> Layer:
    """One band, tried again while it fails in a way that may pass.

    Raises
    ------
    ArchiveError
        It is absent or cannot be read.
    """
    keys = provider.collections[scene.sensor].assets[name]
    key = next((key for key in keys if key in scene.item.assets), None)
    if key is None:
        raise ArchiveError(
            f"the item has no asset for {name}",
            where=scene.id,
            found=", ".join(sorted(scene.item.assets)[:20]) or "no assets",
            expected=" or ".join(keys),
        )
    asset = scene.item.assets[key]
    href = str(asset.get_absolute_href() or asset.href)
    tries = count()

    def attempt() -> Layer:
        forget = next(tries) > 0 or patience.retries == 0
        return _read(scene, name, href, place, provider, patience, forget)

    try:
        return patience.ask(attempt, bare(href))
    except ArchiveError as exc:
        exc.where = f"{scene.id}, asset {key}"
        raise


def _read(
    scene: Scene, name: str, href: str, place: SiteGrid, provider: Provider, patience: Patience, forget: bool
) -> Layer:
    import odc.stac
    import rasterio
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import xr_reproject
    from rasterio.errors import RasterioError

    collection, quality = provider.collections[scene.sensor], get_sensor(scene.sensor).quality
    url = address(href, provider, patience)
    path = f"/vsis3/{url.removeprefix('s3://')}" if url.startswith("s3://") else f"/vsicurl/{url}"
    logging.getLogger("odc.loader._rio").setLevel(logging.CRITICAL)  # it would print signed addresses
    driver = (
        "JP2OpenJPEG" if bare(href).lower().endswith((".jp2", ".j2k")) else "GTiff"
    )  # no format that opens other files
    options = gdal_options(provider, forget=forget)
    odc.stac.configure_rio(**options)  # it takes no S3 endpoint from the Env around it, and would ask Amazon
    try:
        with rasterio.Env(**options), rasterio.open(path, driver=driver) as image:
            if image.crs is None:
                raise ArchiveError("the image has no CRS")
            same = _coincides(image, place)
            method = "nearest" if same or name == quality else "bilinear"
            nodata = _nodata(image, 0.0 if name == quality else collection.nodata)
            own = GeoBox.from_rio(image)
            loaded = odc.stac.load(
                [_only(scene, name, path, image)],
                bands=[name],
                geobox=place.geobox()
                if same
                else own.enclosing(place.geobox().extent.to_crs(image.crs.to_wkt())).pad(2),
                dtype=image.dtypes[0],  # as delivered, whatever the catalogue says of it
                nodata=nodata,
                fail_on_error=True,
                stac_cfg={"*": {"warnings": "ignore"}},
            )[name].isel(time=0)
            if not same:  # while loading, odc-stac would mix in the fill value of a file that declares none
                loaded = xr_reproject(loaded, place.geobox(), resampling=method, dst_nodata=nodata, src_nodata=nodata)
            values = loaded.values
            how = "copied" if same else f"{method}, from {image.crs.to_string()}"
            return Layer(values, bare(href), how, abs(image.transform.a), nodata, _bytes(image, place))
    except (RasterioError, OSError) as exc:
        failure = gdal_error(exc)
        if forget or isinstance(failure, PassingError):
            raise failure from None
        raise PassingError(str(failure), wait=0.0) from None  # perhaps GDAL only remembers it: asked for once more


def _only(scene: Scene, name: str, path: str, image: rasterio.DatasetReader) -> Any:
    """The item as odc-stac needs it: this one asset, and the grid that the file itself has, whatever the item says."""
    import pystac

    properties = {
        "proj:code": f"EPSG:{image.crs.to_epsg()}" if image.crs.to_epsg() else None,
        "proj:wkt2": None if image.crs.to_epsg() else image.crs.to_wkt(),
        "proj:shape": list(image.shape),
        "proj:transform": list(image.transform)[:6],
    }
    item = pystac.Item(scene.id, None, None, scene.time, {k: v for k, v in properties.items() if v is not None})
    item.stac_extensions = ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"]
    item.add_asset(name, pystac.Asset(path, media_type="image/tiff; application=geotiff", roles=["data"]))
    return item


def _nodata(image: rasterio.DatasetReader, usual: float) -> float:
    """The file's own fill value, else the usual one if its numbers can be that."""
    if image.nodata is not None:
        return float(image.nodata)
    kind = np.dtype(image.dtypes[0])
    return usual if kind.kind == "f" or np.iinfo(kind).min <= usual <= np.iinfo(kind).max else 0.0


def _coincides(image: rasterio.DatasetReader, place: SiteGrid) -> bool:
    """Whether the pixels of the image are those of the place, or whole blocks of them."""
    transform, epsg = image.transform, image.crs.to_epsg()
    left, _, _, top = place.bounds
    size = transform.a
    fits = transform.b == transform.d == 0 and transform.e == -size and size % RESOLUTION == 0
    return bool(fits and epsg == place.epsg and (left - transform.c) % size == 0 == (transform.f - top) % size)


def _bytes(image: rasterio.DatasetReader, place: SiteGrid) -> int:
    """Bytes of the file's inner tiles under the window, uncompressed; compressed sizes would have to be asked for."""
    from rasterio.warp import transform_bounds
    from rasterio.windows import from_bounds

    height, width = image.block_shapes[0]
    window = from_bounds(*transform_bounds(f"EPSG:{place.epsg}", image.crs, *place.bounds), transform=image.transform)
    top, left = max(0, int(window.row_off // height)), max(0, int(window.col_off // width))
    bottom = min(image.height - 1, int(window.row_off + window.height)) // height
    right = min(image.width - 1, int(window.col_off + window.width)) // width
    tiles = max(0, bottom - top + 1) * max(0, right - left + 1)
    return int(tiles * height * width * np.dtype(image.dtypes[0]).itemsize)


def _metadata(
    scene: Scene, collection: Collection, place: SiteGrid, provider: Provider, patience: Patience
) -> tuple[dict[str, Any], dict[str, int]]:
    """What the readers of a sensor ask of a file (as attributes), and what had to be done without."""
    found: dict[str, Any] = {}
    if scene.orbit is not None:
        found["orbit"] = scene.orbit
    if scene.sensor != "S2_L2A":
        return found, {}
    if scene.baseline is not None:
        found["processing_baseline"] = scene.baseline
    applied = scene.item.properties.get("earthsearch:boa_offset_applied", collection.offset_applied)
    if applied is not None:
        found["boa_offset_applied"] = str(applied).lower()
    stated = _stated_angles(scene)
    key = next((key for key in collection.metadata if key in scene.item.assets), None)
    href = str(scene.item.assets[key].get_absolute_href() or scene.item.assets[key].href) if key else ""
    if not href.startswith(("http://", "https://")):  # Copernicus: on S3, the item states the tile's means
        return found | stated, {} if stated else {"view angles unknown": 1}
    try:
        url = address(href, provider, patience)
        text = patience.ask(lambda: request("GET", url, limit=METADATA_LIMIT), bare(href))
        return found | angles(text, place.latitude, place.longitude), {}
    except UnreachableError:
        raise
    except (ArchiveError, ProductError) as exc:
        return found | stated, {f"angles at the tower unknown ({exc.what})": 1}


def _stated_angles(scene: Scene) -> dict[str, float]:
    said = dict(scene.item.properties)
    if "view:sun_elevation" in said:
        said.setdefault("s2:mean_solar_zenith", 90.0 - float(said["view:sun_elevation"]))
    found = {name: next((said[k] for k in keys if said.get(k) is not None), None) for name, keys in _STATED.items()}
    return {name: float(value) for name, value in found.items() if value is not None}
