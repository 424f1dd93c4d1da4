"""What a cube says about its making: what was absent, doubtful, repaired, and where everything came from."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.metadata import ANGLES, ORIGIN, repairs_in
from ecoembed.archives.satellite.names import known_names
from ecoembed.archives.satellite.rasters import Source, files_of, fingerprint
from ecoembed.archives.satellite.sentinel1 import one_quantity
from ecoembed.cubes import masks
from ecoembed.cubes.layers import Layers
from ecoembed.errors import VariableError
from ecoembed.sensors import Sensor

#: Without an offset nearly every place has a darker pixel in some band; with one left in, none has.
_DARKEST = 0.095


def refuse_absent(
    rasters: Mapping[Source, xr.Dataset], bands: list[str], others: list[str], sensor: Sensor, where: str
) -> None:
    """Raise VariableError where a band, the classification or the learned mask is in none of the files."""
    held = {str(name) for raster in rasters.values() for name in raster.data_vars}
    shown = ", ".join(sorted(held & known_names())) or "none"
    files = ", ".join([path.name for path in rasters][:6]) + (", ..." if len(rasters) > 6 else "")
    absent = [name for name in bands if name not in held]
    if absent:
        raise VariableError(
            f"{len(absent)} of {len(sensor.bands)} bands absent ({', '.join(absent)}); {sensor.name} needs them",
            where=where,
            found=f"{shown} in {files}",
            remedy="Give all files of the place (Sentinel-2: the 10 m and the 20 m file), or name the bands you need: "
            "open_cube(..., bands=[...])",
        )
    if sensor.quality in others and sensor.quality not in held:
        raise VariableError(
            f"scene classification ({sensor.quality}) absent; clouds cannot be masked",
            where=where,
            found=shown,
            remedy=f"Give the file that holds {sensor.quality} (Sentinel-2: the 20 m one), or a mask of your own: a "
            "layer cloudmask (0 is clear) with mask='learned', or a function, open_cube(..., mask=...)",
        )
    lacking = [path.name for path, raster in rasters.items() if set(bands) & set(raster) and "cloudmask" not in raster]
    if "cloudmask" in others and "cloudmask" not in held:
        raise VariableError(
            "learned cloud mask (cloudmask) absent",
            where=where,
            found=", ".join(lacking[:3]),
            expected="a variable cloudmask beside the bands, 0 where clear",
            remedy='Mask by the classification: mask="scl"',
        )


def refuse_absent_angles(layers: Layers, rasters: Mapping[Source, xr.Dataset]) -> None:
    """Raise VariableError, naming the file, where an acquisition has no sun or view angle, or an impossible one."""
    zeniths = {"sunZenithAngles": 85.0, "viewZenithMean": 60.0}
    for name in ANGLES:
        values = np.array([np.nan if v is None else v for v in layers.metadata[name]], dtype="float64")
        wrong = ~np.isfinite(values) | (np.abs(values) > zeniths.get(name, 360.0)) | (values < -180.0)
        if not wrong.any():
            continue
        time = layers.time[wrong][0]
        files = [path.name for path, raster in rasters.items() if time in raster["time"].values]
        raise VariableError(
            f"NBAR needs the angle {name} of every acquisition",
            where=", ".join(files),
            found=f"{values[wrong][0]:g} at {str(time)[:19]}; {wrong.sum()} of {wrong.size} acquisitions without it",
            expected=f"{', '.join(ANGLES)} in degrees, over time or as attributes",
            remedy="Leave nbar out, or fetch the files with their granule metadata",
        )


def doubt_offset(cube: xr.DataArray, reasons: list[object], where: str) -> None:
    """Warn where what is clear is nowhere dark though no offset was taken away here."""
    known = ("applied here", "none before", "declared as add_offset")
    doubtful = np.array([reason is not None and not str(reason).startswith(known) for reason in reasons], dtype=bool)
    seen = (masks.valid_share(cube) >= 0.5).values & doubtful if doubtful.any() else doubtful
    darkest = {i: np.fmin.reduce(cube.values[i], axis=0) for i in np.flatnonzero(seen)}
    bright = [i for i, values in darkest.items() if np.nanquantile(values, 0.01) >= _DARKEST]
    if len(bright) > 0.1 * seen.sum():
        said = ", ".join(sorted({str(reasons[i]) for i in bright}))
        warnings.warn(
            f"{where}: no reflectance below {_DARKEST} on {len(bright)} of {seen.sum()} clear dates, the first "
            f"{str(cube['time'].values[bright[0]])[:10]} (offset: {said}): the offset of baseline 04.00 (0.1) may "
            "still be in the values; set the attributes processing_baseline and boa_offset_applied in the files",
            UserWarning,
            stacklevel=4,
        )


def reasons(layers: Layers) -> Counter[str]:
    """How the offset was decided -> for how many tiles and acquisitions."""
    return Counter(str(reason) for reason in layers.metadata["offset"] if reason is not None)


def repairs_of(rasters: Mapping[Source, xr.Dataset]) -> Counter[str]:
    """What the readers repaired, summed over all files: reason -> how often."""
    total: Counter[str] = Counter()
    for raster in rasters.values():
        total.update(repairs_in(raster.attrs))
    return total


def attributes(
    rasters: Mapping[Source, xr.Dataset], repairs: Counter[str], notes: Mapping[str, object]
) -> dict[str, object]:
    """The attributes that tell how a cube was made; names without folders, so that a study can be moved."""
    decided = ("quantity", "scale", "offset", "unit", "time", *ORIGIN)
    files = [
        {
            "file": path.name,
            "digest": fingerprint(path),
            **({} if isinstance(path, Path) else {"files": [file.name for file in files_of(path)]}),
            **{key: raster.attrs[key] for key in decided if key in raster.attrs},
        }
        for path, raster in rasters.items()
    ]
    made: dict[str, object] = {
        "nbar": notes.get("nbar", "none"),
        "mosaicked": json.dumps(notes["mosaicked"]),
        "repairs": json.dumps({reason: count for reason, count in sorted(repairs.items()) if count}),
        "provenance": json.dumps({"files": files}, sort_keys=True),
    }
    quantities = {path.name: raster.attrs["quantity"] for path, raster in rasters.items() if "quantity" in raster.attrs}
    made |= {"quantity": one_quantity(quantities)} if quantities else {}
    return made | ({"offset": json.dumps(notes["offset"], sort_keys=True)} if notes["offset"] else {})


def years_seen(cube: xr.DataArray, inputs: np.ndarray, where: str) -> xr.DataArray:
    """`cube`, whose ``years_without_view`` lists the years of `inputs` (times) of which no date is left; warned of.

    Raises
    ------
    VariableError
        If no date at all is left.
    """
    if cube.sizes["time"] == 0:
        raise VariableError(
            "no date with enough valid pixels",
            where=where,
            found=f"{cube.attrs['dates_in']} dates, all below {masks.MIN_VALID:.0%} valid",
            remedy="Check the scene classification, and whether the files cover the place",
        )
    before, left = (np.unique(times.astype("datetime64[Y]")).astype(str) for times in (inputs, cube["time"].values))
    blind = [str(year) for year in np.setdiff1d(before, left)]
    if blind:
        dates = int(np.isin(inputs.astype("datetime64[Y]").astype(str), blind).sum())
        text = f"{where}: no clear date in {', '.join(blind)}, of {dates} acquisitions"
        warnings.warn(text, UserWarning, stacklevel=3)
    return cube.assign_attrs(years_without_view=json.dumps(blind))
