"""What lens and sensor do to a picture: vignetting, blur, colour, dirt, drops, noise, rain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_trainer.world.weather import Weather

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

_TILE_MARGIN = 64  # noise tiles are larger than pictures by this, to start anywhere
_DISPLAY_GAMMA = 2.2
_SOFT_FACTOR = 6  # how much smaller the picture behind drops and dirt is


@dataclass(frozen=True)
class SensorLook:
    """Cameras of one drive.

    Attributes:
        seed: of everything random in its pictures.
        noise: standard deviation at mid grey by day, in values of 255.
        vignetting: loss of light in the corners, 0..1.
        blur_px: sigma of the lens' blur, in pixels of the picture.
        exposure_ev: per camera, error of the exposure in stops.
        warmth: per camera, error of the white balance, relative gain of red over blue.
        dirt: per camera, share of the lens that dirt covers, 0..0.05.
        drops: whether rain leaves drops on the lenses.
    """

    seed: int
    noise: float
    vignetting: float
    blur_px: float
    exposure_ev: tuple[float, ...]
    warmth: tuple[float, ...]
    dirt: tuple[float, ...]
    drops: bool = True


def draw_sensor_look(rng: np.random.Generator, camera_count: int) -> SensorLook:
    """Returns the cameras of a drive, all of one make, each a little different."""
    dirty = rng.uniform(size=camera_count) < 0.2
    return SensorLook(
        seed=int(rng.integers(2**31)),
        noise=float(rng.uniform(1.0, 3.0)),
        vignetting=float(rng.uniform(0.05, 0.30)),
        blur_px=float(rng.uniform(0.25, 0.55)),
        exposure_ev=tuple(rng.normal(0.0, 0.12, camera_count).tolist()),
        warmth=tuple(rng.normal(0.0, 0.025, camera_count).tolist()),
        dirt=tuple(np.where(dirty, rng.uniform(0.005, 0.04, camera_count), 0.0).tolist()),
    )


def ideal_sensor(camera_count: int) -> SensorLook:
    """Returns cameras without any fault: pictures as drawn."""
    zeros = (0.0,) * camera_count
    return SensorLook(0, 0.0, 0.0, 0.0, zeros, zeros, zeros, drops=False)


class Sensor:
    """One camera of a look; tables are made once.

    Args:
        look: of the drive.
        camera: index in the rig.
        size: (width, height) of its pictures.
        weather: of the drive.
    """

    def __init__(
        self, look: SensorLook, camera: int, size: tuple[int, int], weather: Weather
    ) -> None:
        self._look, self._camera, self._size = look, camera, size
        self._is_ideal = look == ideal_sensor(len(look.exposure_ev))
        rng = np.random.default_rng([look.seed, camera])
        night = weather.sun_elevation_rad < 0
        self._gain = self._gains()
        self._soft = self._soft_mask(rng, weather)
        self._rain_mmph = weather.rain_mmph
        self._noise = _noise_table(look.noise * (2.6 if night else 1.0))
        width, height = size
        shape = (height + _TILE_MARGIN, width + _TILE_MARGIN, 3)
        tile = rng.normal(0.0, 1.0, shape).astype(np.float32)
        # Half of the noise is common to the colours, and demosaicing smears it.
        tile = 0.75 * tile + 0.55 * tile[..., 1:2]
        self._tile = cv2.GaussianBlur(tile, (3, 3), 0.55) * 1.35

    def expose(self, rgb: ByteArray, time_s: float) -> ByteArray:
        """Returns the picture [H, W, 3] as the camera delivers it at a world time."""
        if self._is_ideal:
            return rgb
        # Whole nanoseconds key the noise: the same instant gives the same picture.
        key = [self._look.seed, self._camera, round(time_s * 1e9) % 2**63]
        rng = np.random.default_rng(key)
        picture = rgb
        if self._rain_mmph > 0:
            picture = self._with_streaks(picture, rng)
        if self._look.blur_px > 0:
            picture = np.asarray(cv2.GaussianBlur(picture, (3, 3), self._look.blur_px), np.uint8)
        if self._soft is not None:
            picture = self._behind_drops(picture, self._soft)
        x, y = rng.integers(0, _TILE_MARGIN, 2)
        width, height = self._size
        noise = self._tile[y : y + height, x : x + width]
        # Bright pixels carry more noise than dark ones.
        level = cv2.LUT(picture, self._noise)
        values = cv2.multiply(picture, self._gain, dtype=cv2.CV_32F)
        grain = cv2.multiply(noise, level)
        return np.asarray(cv2.add(values, grain, dtype=cv2.CV_8U), np.uint8)

    def _gains(self) -> FloatArray:
        """Returns [H, W, 3]: vignetting, exposure and white balance in display values."""
        width, height = self._size
        x = (np.arange(width) - 0.5 * (width - 1)) / (0.5 * np.hypot(width, height))
        y = (np.arange(height) - 0.5 * (height - 1)) / (0.5 * np.hypot(width, height))
        squared = x[None] ** 2 + y[:, None] ** 2
        light = (1.0 - self._look.vignetting * squared) * 2.0 ** self._look.exposure_ev[
            self._camera
        ]
        warmth = self._look.warmth[self._camera]
        cast = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
        return ((light[..., None] * cast) ** (1.0 / _DISPLAY_GAMMA)).astype(np.float32)

    def _soft_mask(self, rng: np.random.Generator, weather: Weather) -> FloatArray | None:
        """Returns [H, W]: how much drops and dirt hide sharp detail; None if nothing does."""
        width, height = self._size
        mask = np.zeros((height, width), np.float32)
        dirt = self._look.dirt[self._camera]
        scale = height / 128.0
        wet = self._look.drops and weather.rain_mmph > 0
        for kind, count in (('dirt', round(900 * dirt)), ('drop', rng.poisson(14) if wet else 0)):
            for _ in range(count):
                center = (rng.uniform(0, width), rng.uniform(0, height))
                radius = scale * float(np.clip(rng.gamma(2.0, 1.6), 1.0, 9.0))
                spot = np.zeros_like(mask)
                axes = (16 * radius, 16 * radius * rng.uniform(0.8, 1.3))
                cv2.ellipse(
                    spot,
                    [round(16 * value) for value in center],
                    [round(value) for value in axes],
                    0, 0, 360, 0.8 if kind == 'drop' else 0.35, -1, cv2.LINE_AA, 4,
                )  # fmt: skip
                mask = np.maximum(mask, spot)
        if not mask.any():
            return None
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.1 * scale), np.float32)

    def _behind_drops(self, picture: ByteArray, share: FloatArray) -> ByteArray:
        width, height = self._size
        small = (max(width // _SOFT_FACTOR, 1), max(height // _SOFT_FACTOR, 1))
        soft = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        soft = cv2.resize(cv2.flip(soft, 0), (width, height), interpolation=cv2.INTER_LINEAR)
        near = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        near = cv2.resize(near, (width, height), interpolation=cv2.INTER_LINEAR)
        # A drop shows the scene upside down, blurred; its rim what lies behind.
        soft = cv2.addWeighted(soft, 0.4, near, 0.6, 0.0)
        return np.asarray(cv2.blendLinear(picture, soft, 1.0 - share, share), np.uint8)

    def _with_streaks(self, picture: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Returns the picture with falling drops, blurred along their way."""
        width, height = self._size
        count = rng.poisson(2.2 * self._rain_mmph * width / 352.0)
        mask = np.zeros((height, width), np.uint8)
        x, y = rng.uniform(0, width, count), rng.uniform(-0.1 * height, height, count)
        length = height * rng.gamma(2.0, 0.035, count)
        lean = rng.normal(0.03, 0.05) * length
        value = rng.uniform(12, 46, count)
        start = np.rint(16 * np.stack([x, y], axis=1)).astype(int).tolist()
        end = np.rint(16 * np.stack([x + lean, y + length], axis=1)).astype(int).tolist()
        for a, b, bright in zip(start, end, value.tolist(), strict=True):
            cv2.line(mask, a, b, bright, 1, cv2.LINE_AA, 4)
        # Drops collect light from everywhere: they show the mean of the picture, a bit brighter.
        mean = cv2.mean(picture)[:3]
        share = mask.astype(np.float32) * np.float32(1.0 / 255.0)
        drops = np.empty_like(picture)
        drops[:] = np.clip(np.array(mean) * 1.25 + 18.0, 0.0, 255.0)
        return np.asarray(cv2.blendLinear(picture, drops, 1.0 - share, share), np.uint8)


def _noise_table(noise: float) -> FloatArray:
    """Returns [256]: standard deviation of a display value, shot and read noise."""
    value = np.arange(256) / 255.0
    light = value**_DISPLAY_GAMMA
    # d(display) / d(light) grows in the dark; sensors hide that behind a black level.
    slope = np.minimum(np.maximum(light, 1e-4) ** (1.0 / _DISPLAY_GAMMA - 1.0), 3.2)
    mid = np.sqrt(0.22 + 0.05) * 0.22 ** (1.0 / _DISPLAY_GAMMA - 1.0)
    return (noise * np.sqrt(light + 0.05) * slope / mid).astype(np.float32)
