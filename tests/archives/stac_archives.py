"""How the archives deliver an image: its files under their real names, and its STAC item with the real keys.

Sources: one item of each archive as it was published (Planetary Computer S2B 06VVN 2019-06-29, Earth Search S2A 39QTA
2023-06-28, Copernicus Data Space S2C 33UWP 2025-03-30, Planetary Computer S1 RTC).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shapely.geometry import mapping

from tests.archives.stac_products import BANDS, FINE, Radar, Scene, granule, raster

Json = dict[str, Any]

EARTH_SEARCH = {
    "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3", "B08": "nir",
    "B8A": "nir08", "B11": "swir16", "B12": "swir22", "SCL": "scl",
}  # fmt: skip
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def planetary_computer(scene: Scene, url: str) -> tuple[Json, dict[str, bytes]]:
    """COGs of the SAFE's own names; the offset is never taken away."""
    name = _names(scene)
    folder = f"/sentinel2-l2/{_mgrs(scene)}/{scene.time:%Y/%m/%d}/{name['safe']}/GRANULE/{name['granule']}"
    files, assets = {}, {}
    for band in (*BANDS, "SCL"):
        step = 10 if band in FINE else 20
        path = f"{folder}/IMG_DATA/R{step}m/T{scene.tile.name}_{name['sensed']}_{band}_{step}m.tif"
        files[path] = raster(scene.numbers(band), scene.tile, 0)
        assets[band] = _asset(scene, url + path, step) | {"type": COG, "roles": ["data"], "gsd": step}
    files[f"{folder}/MTD_TL.xml"] = granule(scene)
    assets["granule-metadata"] = {"href": f"{url}{folder}/MTD_TL.xml", "type": "application/xml", "roles": ["metadata"]}
    assets["visual"] = {"href": f"{url}{folder}/absent_TCI_10m.tif", "type": COG, "roles": ["data"]}
    properties = {
        "datetime": f"{scene.time:%Y-%m-%dT%H:%M:%S}.024000Z",
        "platform": "Sentinel-2A",
        "constellation": "Sentinel 2",
        "instruments": ["msi"],
        "proj:epsg": scene.tile.epsg,
        "s2:mgrs_tile": scene.tile.name,
        "s2:granule_id": f"S2A_OPER_MSI_L2A_TL_ESRI_{scene.made}_A021056_T{scene.tile.name}_N{scene.baseline}",
        "s2:product_uri": name["safe"],
        "s2:processing_baseline": scene.baseline,
        "s2:generation_time": f"{datetime.strptime(scene.made, '%Y%m%dT%H%M%S'):%Y-%m-%dT%H:%M:%S}.830Z",
        "s2:mean_solar_zenith": scene.sun[0],
        "s2:mean_solar_azimuth": scene.sun[1],
        "sat:orbit_state": "descending",
        "sat:relative_orbit": scene.orbit,
        "eo:cloud_cover": 0.3,
    }
    item = f"S2A_MSIL2A_{name['sensed']}_R{scene.orbit:03d}_T{scene.tile.name}_{scene.made}"
    return _item(item, "sentinel-2-l2a", scene, properties, assets, url), files


def earth_search(scene: Scene, url: str) -> tuple[Json, dict[str, bytes]]:
    """COGs from which the offset was taken away, which ``earthsearch:boa_offset_applied`` says; `offset` stays -0.1."""
    item = f"S2A_{scene.tile.name}_{scene.time:%Y%m%d}_0_L2A"
    folder = f"/sentinel-s2-l2a-cogs/{_mgrs(scene)}/{scene.time.year}/{scene.time.month}/{item}"
    files, assets = {}, {}
    for band in (*BANDS, "SCL"):
        step = 10 if band in FINE else 20
        files[f"{folder}/{band}.tif"] = raster(scene.numbers(band), scene.tile, 0)
        kind: Json = {"nodata": 0, "data_type": "uint8" if band == "SCL" else "uint16", "spatial_resolution": step}
        if band != "SCL":
            kind |= {"scale": 0.0001, "offset": -0.1 if float(scene.baseline) >= 4 else 0}
        assets[EARTH_SEARCH[band]] = _asset(scene, f"{url}{folder}/{band}.tif", step) | {"type": COG}
        assets[EARTH_SEARCH[band]] |= {"roles": ["data", "reflectance"], "raster:bands": [kind]}
        jp2 = f"s3://sentinel-s2-l2a/tiles/{_mgrs(scene)}/{scene.time.year}/7/4/0/R{step}m/{band}.jp2"
        assets[f"{EARTH_SEARCH[band]}-jp2"] = {"href": jp2, "type": "image/jp2", "roles": ["data", "reflectance"]}
    files[f"{folder}/granule_metadata.xml"] = granule(scene)
    assets["granule_metadata"] = {"href": f"{url}{folder}/granule_metadata.xml", "type": "application/xml"}
    properties = {
        "datetime": f"{scene.time:%Y-%m-%dT%H:%M:%S}.262000Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "proj:epsg": scene.tile.epsg,
        "grid:code": f"MGRS-{scene.tile.name}",
        "view:sun_azimuth": scene.sun[1],
        "view:sun_elevation": 90 - scene.sun[0],
        "s2:processing_baseline": scene.baseline,
        "s2:product_uri": _names(scene)["safe"],
        "s2:datatake_id": f"GS2A_{scene.time:%Y%m%dT%H%M%S}_021056_N{scene.baseline}",
        "earthsearch:boa_offset_applied": scene.applied,
        "eo:cloud_cover": 0.3,
    }
    return _item(item, "sentinel-2-l2a", scene, properties, assets, url), files


def copernicus(scene: Scene, url: str) -> tuple[Json, dict[str, bytes]]:
    """The producer's JPEG 2000 on S3, with a second address by https; `processing:version` is the baseline."""
    name = _names(scene)
    folder = f"/eodata/Sentinel-2/MSI/L2A/{scene.time:%Y/%m/%d}/{name['safe']}/GRANULE/{name['granule']}"
    files, assets = {}, {}
    for band in (*BANDS, "SCL"):
        step = 10 if band in FINE else 20
        path = f"{folder}/IMG_DATA/R{step}m/T{scene.tile.name}_{name['sensed']}_{band}_{step}m.jp2"
        files[path] = raster(scene.numbers(band), scene.tile, None, "JP2OpenJPEG")
        asset = _asset(scene, f"s3:/{path}", step) | {"type": "image/jp2", "proj:code": f"EPSG:{scene.tile.epsg}"}
        asset |= {"alternate": {"https": {"href": f"{url}/zipper{path}", "auth:refs": ["oidc"]}}, "nodata": 0}
        if band != "SCL":
            asset |= {"raster:scale": 0.0001, "raster:offset": -0.1 if float(scene.baseline) >= 4 else 0.0}
            asset |= {"view:azimuth": scene.view[1], "view:incidence_angle": scene.view[0]}
        assets[f"{band}_{step}m"] = asset
        assets[f"{band}_60m"] = asset | {"href": f"s3:/{folder}/absent_{band}_60m.jp2", "gsd": 60}
    files[f"{folder}/MTD_TL.xml"] = granule(scene)
    assets["granule_metadata"] = {"href": f"s3:/{folder}/MTD_TL.xml", "type": "application/xml", "roles": ["metadata"]}
    properties = {
        "datetime": f"{scene.time:%Y-%m-%dT%H:%M:%S}.024Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "grid:code": f"MGRS-{scene.tile.name}",
        "product:type": "S2MSI2A",
        "processing:version": scene.baseline,
        "view:sun_azimuth": scene.sun[1],
        "view:sun_elevation": 90 - scene.sun[0],
        "view:azimuth": scene.view[1],
        "view:incidence_angle": scene.view[0],
        "sat:orbit_state": "descending",
        "sat:relative_orbit": scene.orbit,
        "eo:cloud_cover": 0.3,
    }
    return _item(name["safe"].removesuffix(".SAFE"), "sentinel-2-l2a", scene, properties, assets, url), files


def radar(scene: Radar, url: str) -> tuple[Json, dict[str, bytes]]:
    """``sentinel-1-rtc`` of the Planetary Computer."""
    mode = "DV" if "VV" in scene.polarisations else "DH"
    stamp = f"{scene.time:%Y%m%dT%H%M%S}_{scene.time:%Y%m%dT%H%M%S}_033640_03E61B"
    item = f"S1A_IW_GRDH_1S{mode}_{stamp}_rtc"
    day = f"{scene.time.year}/{scene.time.month}/{scene.time.day}"
    folder = f"/sentinel1-grd-rtc/GRD/{day}/IW/{mode}/S1A_IW_GRDH_1S{mode}_{stamp}_60B6/measurement"
    files, assets = {}, {}
    for name in scene.polarisations:
        path = f"{folder}/iw-{name.lower()}.rtc.tiff"
        files[path] = raster(scene.power(name), scene.tile, -32768)
        kind = {"nodata": -32768, "data_type": "float32", "spatial_resolution": 10.0}
        assets[name.lower()] = {"href": url + path, "type": COG, "roles": ["data"], "raster:bands": [kind]}
    size = round(scene.tile.size / 10)
    properties = {
        "datetime": f"{scene.time:%Y-%m-%dT%H:%M:%S}.569Z",
        "start_datetime": f"{scene.time:%Y-%m-%dT%H:%M:%S}.069Z",
        "end_datetime": f"{scene.time:%Y-%m-%dT%H:%M:%S}.999Z",
        "platform": "SENTINEL-1A",
        "constellation": "Sentinel-1",
        "sar:instrument_mode": "IW",
        "sar:product_type": "GRD",
        "sar:polarizations": list(scene.polarisations),
        "sat:orbit_state": scene.state,
        "sat:relative_orbit": scene.orbit,
        "sat:absolute_orbit": 33640,
        "proj:epsg": scene.tile.epsg,
        "proj:shape": [size, size],
        "proj:transform": [10.0, 0.0, scene.tile.left, 0.0, -10.0, scene.tile.top],
    }
    return _item(item, "sentinel-1-rtc", scene, properties, assets, url), files


def _names(scene: Scene) -> dict[str, str]:
    sensed = f"{scene.time:%Y%m%dT%H%M%S}"
    number = scene.baseline.replace(".", "")
    return {
        "sensed": sensed,
        "safe": f"S2A_MSIL2A_{sensed}_N{number}_R{scene.orbit:03d}_T{scene.tile.name}_{scene.made}.SAFE",
        "granule": f"L2A_T{scene.tile.name}_A021056_{sensed}",
    }


def _mgrs(scene: Scene) -> str:
    return f"{scene.tile.name[:2]}/{scene.tile.name[2]}/{scene.tile.name[3:]}"


def _asset(scene: Scene, href: str, step: int) -> Json:
    size = round(scene.tile.size / step)
    corner = [step, 0.0, scene.tile.left, 0.0, -step, scene.tile.top]
    return {"href": href, "gsd": step, "proj:shape": [size, size], "proj:transform": corner}


def _item(name: str, collection: str, scene: Scene | Radar, properties: Json, assets: Json, url: str) -> Json:
    ground = scene.tile.footprint(getattr(scene, "west", -180.0), getattr(scene, "east", 180.0))
    parent = f"{url}/collections/{collection}"
    links = [
        {"rel": "collection", "type": "application/json", "href": parent},
        {"rel": "parent", "type": "application/json", "href": parent},
        {"rel": "root", "type": "application/json", "href": url},
        {"rel": "self", "type": "application/geo+json", "href": f"{parent}/items/{name}"},
    ]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "id": name,
        "collection": collection,
        "geometry": mapping(ground),
        "bbox": list(ground.bounds),
        "properties": properties,
        "links": links,
        "assets": assets,
    }
