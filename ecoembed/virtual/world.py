"""One virtual place with all that happens there: weather, landscape, vegetation, carbon, and what its tower sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecoembed.virtual import production, vegetation, weather
from ecoembed.virtual.landscape import Landscape, draw_landscape
from ecoembed.virtual.places import VirtualPlace, draw_place, streams
from ecoembed.virtual.view import View, tower_view

#: W m-2 of shortwave radiation above which a half-hour counts to a month's footprint: daytime, as the stage has it.
DAYTIME = 20.0


@dataclass(frozen=True)
class World:
    """The truth of one place in the years asked for, without the year of spin-up before them.

    Attributes
    ----------
    halfhours, daily : DataFrame
        Weather.
    leaf_area, gpp : ndarray, shape (days, y, x)
        Leaf area index and GPP in gC m-2 d-1 of every pixel; float32.
    tower_gpp, tower_reco : ndarray, shape (n,)
        GPP and respiration in the footprint of each half-hour, umol m-2 s-1.
    view : View
        That footprint.
    """

    place: VirtualPlace
    land: Landscape
    halfhours: pd.DataFrame
    daily: pd.DataFrame
    growth: vegetation.Growth
    leaf_area: np.ndarray
    gpp: np.ndarray
    tower_gpp: np.ndarray
    tower_reco: np.ndarray
    view: View

    @property
    def month(self) -> np.ndarray:
        """Number of each day's month, from 0, (days,)."""
        index = pd.DatetimeIndex(self.daily.index)
        return np.asarray((index.year - index[0].year) * 12 + index.month - 1)

    @property
    def weights(self) -> np.ndarray:
        """Footprint of each month's daylight, (months, y, x), summing to 1 inside the cube."""
        daytime = self.halfhours["SW_IN_F"].to_numpy() > DAYTIME
        return self.view.weights(np.repeat(self.month, weather.HALF_HOURS), daytime, self.land)

    def disc(self, radius: float) -> np.ndarray:
        """Pixels within `radius` m of the tower, (y, x)."""
        east, north = self.land.x - self.place.easting, self.land.y - self.place.northing
        return np.asarray(np.hypot(east[None, :], north[:, None]) <= radius)


def make_world(number: int, years: tuple[int, int], size: int, seed: int, prefix: str = "V") -> World:
    """Simulate the place of this `number` (from 1): the same whatever the number of sites in the network."""
    rng = streams(seed, number)
    place = draw_place(number, rng["place"], prefix)
    days = pd.date_range(f"{years[0] - 1}-01-01", f"{years[1]}-12-31", unit="ns")
    spin_up = int((days.year < years[0]).sum())
    halfhours = weather.halfhours(place, days, rng["weather"])
    daily = weather.daily(halfhours)
    land = draw_landscape(place, size, rng["landscape"])
    growth = vegetation.grow(place, daily, land, rng["landscape"])
    rates = production.field_production(production.response(halfhours), production.limits(growth, daily, land), land)
    growth, daily = growth.since(spin_up), daily.iloc[spin_up:]
    halfhours, rates = (of[spin_up * weather.HALF_HOURS :] for of in (halfhours, rates))
    leaf_area = vegetation.pixel_leaf_area(growth, land)
    absorbed = production.absorbed(growth, land, leaf_area)
    gpp = production.daily_production(rates, absorbed, land)
    released = production.respiration(halfhours, growth, land, gpp)
    view = tower_view(place, land, halfhours)
    tower_gpp, tower_reco = view.mean(rates, land, absorbed), view.mean(released, land)
    return World(place, land, halfhours, daily, growth, leaf_area, gpp, tower_gpp, tower_reco, view)
