"""When satellites pass over a place, from where they look at it, and where the sun stands.

Sources: Sentinel-2 repeats its 143 orbits in 10 days from 786 km (Drusch et al. 2012, doi 10.1016/j.rse.2011.11.026);
Sentinel-1 its 175 in 12 days (Torres et al. 2012, doi 10.1016/j.rse.2011.05.028). One satellite of each is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual.places import VirtualPlace

#: Sentinel-2: local solar hour, days of a cycle, orbits of a cycle, and how much later its western neighbour passes.
_HOUR, _CYCLE, _ORBITS, _NEIGHBOUR_DAYS, _NEIGHBOUR_ORBITS = 10.6, 10, 143, 3, 43
#: m: altitude of Sentinel-2 and half its swath; the Earth's radius and circumference.
_ALTITUDE, _HALF_SWATH, _RADIUS, _CIRCUMFERENCE = 786e3, 145e3, 6371e3, 40_075e3
#: Sine of the angle by which its ground track leaves north at the equator (inclination 98.6 degrees).
_TILT = 0.15
#: No scene is taken with the sun lower than this zenith angle, degrees.
_LOWEST_SUN = 82.0
#: Sentinel-1: direction -> local solar hour; days and orbits of a cycle; incidence angles of its swath, degrees.
_RADAR_HOURS = {"A": 17.9, "D": 5.9}
_RADAR_CYCLE, _RADAR_ORBITS, _INCIDENCE = 12, 175, (31.0, 45.0)


@dataclass(frozen=True)
class Passes:
    """Acquisitions in order of time, each array (time,).

    Attributes
    ----------
    day : ndarray of int
        Number of the local day.
    times : DatetimeIndex
        UTC.
    orbit : ndarray of str
        ``A`` or ``D`` (ascending, descending) and the relative orbit's number.
    sun_zenith, sun_azimuth, view_zenith, view_azimuth : ndarray
        Degrees; azimuths from north, of the direction in which the sun or the satellite stands as seen from the ground.
        Of a radar the view zenith is the incidence angle.
    """

    day: np.ndarray
    times: pd.DatetimeIndex
    orbit: np.ndarray
    sun_zenith: np.ndarray
    sun_azimuth: np.ndarray
    view_zenith: np.ndarray
    view_azimuth: np.ndarray

    @property
    def state(self) -> np.ndarray:
        """Number of the day at whose end the fields were as the pass meets them: in the morning, of the day before."""
        return np.maximum(self.day - np.char.startswith(self.orbit, "D"), 0)

    @property
    def relative_azimuth(self) -> np.ndarray:
        """Azimuth of the satellite from the sun's, degrees."""
        return self.view_azimuth - self.sun_azimuth

    def __getitem__(self, keep: np.ndarray) -> Passes:
        return Passes(**{name: values[keep] for name, values in vars(self).items()})


def sun(place: VirtualPlace, times: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Zenith and azimuth of the sun over a place in degrees, at `times` in UTC."""
    from pvlib import solarposition

    position = solarposition.get_solarposition(times.tz_localize("UTC"), place.latitude, place.longitude)
    return position["zenith"].to_numpy(), position["azimuth"].to_numpy()


def optical_passes(place: VirtualPlace, days: pd.DatetimeIndex, rng: np.random.Generator) -> Passes:
    """Sentinel-2 over a place where two swaths overlap: seen from the east, and three days later from the west.

    Scenes are not taken where the sun is too low.
    """
    first, number = int(rng.integers(0, _CYCLE)), int(rng.integers(1, _ORBITS + 1))
    between = _CIRCUMFERENCE / _ORBITS * np.cos(np.radians(place.latitude))  # of the two ground tracks
    near, far = max(10e3, between - _HALF_SWATH), min(_HALF_SWATH, between - 10e3)
    east = rng.uniform(near, far)
    heading = 181.0 + np.degrees(np.arcsin(_TILT / np.cos(np.radians(place.latitude))))
    sides = (
        (first, east, heading - 90.0, -0.09, number),
        (first + _NEIGHBOUR_DAYS, between - east, heading + 90.0, 0.09, (number + _NEIGHBOUR_ORBITS - 1) % _ORBITS + 1),
    )
    both = []
    for start, distance, azimuth, later, orbit in sides:
        day = np.arange(start % _CYCLE, len(days), _CYCLE)
        jitter = rng.standard_normal((2, len(day)))
        zenith = _view_zenith(distance) + 0.02 * jitter[0]
        both.append(_passes(place, days, day, _HOUR + later, f"D{orbit:03d}", zenith, azimuth + 0.05 * jitter[1], rng))
    passes = _merged(both)
    return passes[passes.sun_zenith < _LOWEST_SUN]


def radar_passes(place: VirtualPlace, days: pd.DatetimeIndex, rng: np.random.Generator) -> Passes:
    """Sentinel-1 over a place: one ascending orbit in the evening and one descending in the morning."""
    both = []
    for direction, hour in _RADAR_HOURS.items():
        day = np.arange(int(rng.integers(0, _RADAR_CYCLE)), len(days), _RADAR_CYCLE)
        orbit, incidence = rng.integers(1, _RADAR_ORBITS + 1), rng.uniform(*_INCIDENCE)
        azimuth = 260.0 if direction == "A" else 100.0  # it looks to its right
        angles = np.full(len(day), incidence), np.full(len(day), azimuth)
        both.append(_passes(place, days, day, hour, f"{direction}{orbit:03d}", *angles, rng))
    return _merged(both)


def _view_zenith(distance: float) -> float:
    """Zenith angle in degrees at which Sentinel-2 stands over a place so many m beside its ground track."""
    nadir = np.arctan2(distance, _ALTITUDE)
    return float(np.degrees(np.arcsin((1.0 + _ALTITUDE / _RADIUS) * np.sin(nadir))))


def _passes(
    place: VirtualPlace,
    days: pd.DatetimeIndex,
    day: np.ndarray,
    hour: float,
    orbit: str,
    zenith: np.ndarray,
    azimuth: np.ndarray,
    rng: np.random.Generator,
) -> Passes:
    seconds = np.round((hour - place.longitude / 15.0) * 3600.0 + rng.uniform(-60.0, 60.0, len(day)))
    times = days[day] + pd.to_timedelta(seconds, unit="s")
    return Passes(day, times, np.full(len(day), orbit), *sun(place, times), zenith, azimuth)


def _merged(parts: list[Passes]) -> Passes:
    joined = {name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    order = np.argsort(joined["times"], kind="stable")
    joined["times"] = pd.DatetimeIndex(joined["times"])
    return Passes(**joined)[order]
