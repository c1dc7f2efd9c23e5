"""Light of a drive: sun, sky, lamps, haze and exposure that follow from its weather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_trainer.world.weather import Weather

FloatArray = NDArray[np.float64]

_LN_OF_CONTRAST = 3.0  # visibility: contrast falls to exp(-3), 5 per cent


@dataclass(frozen=True, eq=False)
class Light:
    """Linear colours are radiances of a white surface, before exposure.

    Attributes:
        sun: [3] unit direction towards the sun (the moonless night keeps one, without light).
        sun_rgb: [3] of a surface that faces the sun; 0 without shadows.
        sky_rgb: [3] ambient light from above.
        bounce_rgb: [3] ambient light from below.
        zenith_rgb: [3] of the sky.
        horizon_rgb: [3] of the sky, and of haze.
        glow_rgb: [3] of the sky around the sun.
        extinction_per_m: of light on its way to the camera.
        exposure: what radiances are multiplied by before tone mapping.
        cloud: 0 clear, 1 overcast.
        wetness: 0 dry, 1 covered by water.
        lamps: whether street lamps and headlights burn.
        night: how much lamps matter beside daylight, 0..1.
    """

    sun: FloatArray
    sun_rgb: FloatArray
    sky_rgb: FloatArray
    bounce_rgb: FloatArray
    zenith_rgb: FloatArray
    horizon_rgb: FloatArray
    glow_rgb: FloatArray
    extinction_per_m: float
    exposure: float
    cloud: float
    wetness: float
    lamps: bool
    night: float

    @property
    def has_shadows(self) -> bool:
        """Whether the sun casts shadows."""
        return bool(self.sun_rgb.max() > 0.02)

    def block(self) -> bytes:
        """Returns the uniform block `Light` of the shaders (std140)."""
        shear = self.sun[:2] / max(self.sun[2], 0.02)
        rows = [
            (*self.sun, float(self.has_shadows)),
            (*self.sun_rgb, self.cloud),
            (*self.sky_rgb, self.exposure),
            (*self.bounce_rgb, self.wetness),
            (*self.zenith_rgb, float(self.lamps)),
            (*self.horizon_rgb, self.extinction_per_m),
            (*self.glow_rgb, self.night),
            (*shear, 0.0, 0.0),
        ]
        return np.array(rows, '<f4').tobytes()


def light_of(weather: Weather) -> Light:
    """Returns the light of a kind of weather."""
    elevation = max(weather.sun_elevation_rad, np.deg2rad(0.8))
    flat = np.cos(elevation)
    azimuth = weather.sun_azimuth_rad
    sun = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    if weather.sun_elevation_rad < 0:
        colors = _night(weather)
    elif weather.cloud_cover >= 0.95:
        colors = _grey(weather)
    else:
        colors = _fair(weather, float(sun[2]))
    return Light(
        sun=sun,
        extinction_per_m=_LN_OF_CONTRAST / weather.visibility_m,
        cloud=weather.cloud_cover,
        wetness=weather.wetness,
        lamps=weather.lamps,
        **colors,
    )


def _mix(a: FloatArray, b: FloatArray, share: float) -> FloatArray:
    return a * (1.0 - share) + b * share


def _fair(weather: Weather, sine: float) -> dict[str, Any]:
    """Sun and blue sky; warm and dim when the sun is low."""
    high = float(np.clip((sine - 0.02) / 0.40, 0.0, 1.0)) ** 0.6
    cloud = weather.cloud_cover
    sun = _mix(np.array([1.45, 0.62, 0.24]), np.array([3.3, 3.05, 2.65]), high)
    sun = sun * (1.0 - 0.35 * cloud)
    zenith = _mix(np.array([0.10, 0.16, 0.32]), np.array([0.14, 0.31, 0.72]), high)
    horizon = _mix(np.array([0.95, 0.56, 0.34]), np.array([0.66, 0.80, 0.98]), high)
    glow = _mix(np.array([1.7, 0.75, 0.28]), np.array([0.7, 0.6, 0.45]), high)
    sky = _mix(np.array([0.46, 0.46, 0.54]), np.array([0.70, 0.80, 0.98]), high)
    sky = _mix(sky, np.full(3, sky.mean() * 1.15), 0.6 * cloud)
    bounce = 0.16 * (sun * max(sine, 0.1) + sky)
    zenith = _mix(zenith, np.full(3, 0.55 * (0.4 + 0.6 * high)), 0.5 * cloud)
    return {
        'sun_rgb': sun,
        'sky_rgb': sky,
        'bounce_rgb': bounce,
        'zenith_rgb': zenith,
        'horizon_rgb': horizon,
        'glow_rgb': glow,
        'exposure': float(0.52 + 0.50 * (1.0 - high)),
        'night': float(0.30 * (1.0 - high)) if weather.lamps else 0.0,
    }


def _grey(weather: Weather) -> dict[str, Any]:
    """Closed clouds, rain or fog: light from everywhere, most from above."""
    rain = weather.rain_mmph > 0
    fog = weather.visibility_m < 300
    level = 0.62 if rain else (0.95 if fog else 1.0)
    tone = np.array([0.93, 0.97, 1.03])
    return {
        'sun_rgb': np.zeros(3),
        'sky_rgb': 1.45 * level * tone,
        'bounce_rgb': 0.24 * level * tone,
        'zenith_rgb': (0.80 if not fog else 1.0) * level * tone,
        'horizon_rgb': (1.12 if not rain else 0.95) * level * tone,
        'glow_rgb': np.zeros(3),
        'exposure': 0.60 if not rain else 0.82,
        'night': 0.25 if weather.lamps else 0.0,
    }


def _night(weather: Weather) -> dict[str, Any]:
    """No moon; the town lights the haze above it."""
    cloud = weather.cloud_cover
    town = _mix(np.array([0.020, 0.018, 0.022]), np.array([0.050, 0.040, 0.032]), cloud)
    return {
        'sun_rgb': np.zeros(3),
        'sky_rgb': np.array([0.030, 0.032, 0.044]) + 0.5 * town,
        'bounce_rgb': np.array([0.012, 0.011, 0.010]),
        'zenith_rgb': _mix(np.array([0.004, 0.006, 0.014]), 0.5 * town, cloud),
        'horizon_rgb': town,
        'glow_rgb': np.zeros(3),
        'exposure': 2.3,
        'night': 1.0,
    }
