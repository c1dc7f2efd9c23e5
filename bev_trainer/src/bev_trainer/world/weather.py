"""Light and weather of a drive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

WeatherName = Literal['clear', 'overcast', 'dusk', 'night', 'rain', 'rain_night', 'fog']
WEATHER_NAMES: tuple[WeatherName, ...] = get_args(WeatherName)
MIXTURE: dict[WeatherName, float] = {
    'clear': 0.30,
    'overcast': 0.20,
    'dusk': 0.12,
    'night': 0.12,
    'rain': 0.12,
    'rain_night': 0.05,
    'fog': 0.09,
}


@dataclass(frozen=True)
class Weather:
    """What the sky does, constant over a drive.

    Attributes:
        name: the kind it was drawn from.
        sun_azimuth_rad: direction towards the sun, about z, world frame.
        sun_elevation_rad: above the horizon; negative at night.
        cloud_cover: 0 clear, 1 overcast: no sun, no shadows.
        rain_mmph: intensity of rain.
        wetness: 0 dry, 1 covered by water.
        visibility_m: meteorological range: contrast falls to 5 per cent.
        lamps: whether street lamps and headlights burn.
    """

    name: WeatherName
    sun_azimuth_rad: float
    sun_elevation_rad: float
    cloud_cover: float
    rain_mmph: float
    wetness: float
    visibility_m: float
    lamps: bool


def draw_weather(name: WeatherName, rng: np.random.Generator) -> Weather:
    """Returns weather of a kind, varied by `rng`."""
    azimuth = rng.uniform(-np.pi, np.pi)
    night = name in ('night', 'rain_night')
    rain = name in ('rain', 'rain_night')
    elevation_deg = {'dusk': rng.uniform(1.0, 8.0)}.get(name, rng.uniform(20.0, 65.0))
    cloud = {
        'clear': rng.uniform(0.0, 0.35),
        'overcast': 1.0,
        'dusk': rng.uniform(0.1, 0.7),
        'night': rng.uniform(0.0, 1.0),
    }.get(name, 1.0)
    visibility_m = {'fog': rng.uniform(45.0, 160.0)}.get(name, rng.uniform(1500.0, 8000.0))
    return Weather(
        name=name,
        sun_azimuth_rad=float(azimuth),
        sun_elevation_rad=float(np.deg2rad(rng.uniform(-30.0, -12.0) if night else elevation_deg)),
        cloud_cover=float(cloud),
        rain_mmph=float(rng.uniform(3.0, 20.0)) if rain else 0.0,
        wetness=float(rng.uniform(0.6, 1.0)) if rain else 0.0,
        visibility_m=float(visibility_m if not rain else rng.uniform(400.0, 1500.0)),
        lamps=bool(night or name == 'dusk' or (name in ('rain', 'fog') and rng.uniform() < 0.5)),
    )


def draw_weather_name(rng: np.random.Generator) -> WeatherName:
    """Returns a kind of weather, as frequent as in `MIXTURE`."""
    names, shares = list(MIXTURE), np.array(list(MIXTURE.values()))
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]
