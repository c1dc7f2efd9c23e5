"""Too little light: noise where the gain makes up for it, darkness where it does not.

A linear sensor of 12 bits behind the curve of sRGB (IEC 61966-2-1). Of e electrons on average,
e + read noise^2 is the variance (Foi et al., "Practical Poissonian-Gaussian Noise Modeling and
Fitting for Single-Image Raw-Data", IEEE TIP 2008), taken as normal.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import of_strength
from bev_perception.evaluation.robustness.seeds import generator

_MAX_CODE = 4095
_READ_NOISE_E = 2.0
_STOCK_SIZE = 1 << 20

# Electrons of white: dusk, street lights, hardly any light, amplified to the usual brightness.
_WHITE_E = (400.0, 100.0, 30.0)

_STOPS = (1.5, 2.5, 3.5)
_FULL_WELL_E = 6000.0


def noise(rgb: Image, strength: int, view: View) -> Image:
    """Returns the image as of a sensor that gets few photons and amplifies them."""
    rng = generator('noise', view.camera.name, view.stamp_ns)
    return exposed(rgb, 1.0, of_strength(_WHITE_E, strength), rng)


def low_light(rgb: Image, strength: int, view: View) -> Image:
    """Returns the image with less light, by stops (halvings), and no more gain."""
    rng = generator('low_light', view.camera.name, view.stamp_ns)
    return exposed(rgb, 0.5 ** of_strength(_STOPS, strength), _FULL_WELL_E, rng)


def exposed(rgb: Image, light: float, white_e: float, rng: np.random.Generator) -> Image:
    """Returns the image as seen with a share of its light.

    Args:
        rgb: uint8 [H, W, 3], sRGB.
        light: factor of the light.
        white_e: electrons that give the brightest value.
        rng: of the noise, independent from sample to sample.
    """
    mean, deviation = sensor_codes(light, white_e)
    codes = _normal(rgb.shape, rng)
    codes *= np.asarray(cv2.LUT(rgb, deviation), np.float32)
    codes += np.asarray(cv2.LUT(rgb, mean), np.float32)
    np.clip(codes, 0.5, _MAX_CODE + 0.5, out=codes)
    return np.take(_encode_table(), codes.astype(np.uint16))


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns standard normal numbers [H, W, 3]: each row a random stretch of a long stock.

    Drawing every number anew would take several times as long as everything else together.
    """
    row = int(np.prod(shape[1:]))
    starts = rng.integers(0, _STOCK_SIZE, shape[0])
    stretches = np.lib.stride_tricks.sliding_window_view(_stock(row), row)
    return stretches[starts].reshape(shape)


@lru_cache(maxsize=4)
def _stock(row: int) -> NDArray[np.float32]:
    """Returns normal numbers, the same in every process, with room for a row at any start."""
    rng = generator('normal numbers')
    return rng.standard_normal(_STOCK_SIZE + row, np.float32)


@lru_cache(maxsize=16)
def sensor_codes(light: float, white_e: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns mean (plus 0.5, for rounding) and deviation of the code of each value, [256]."""
    linear = light * to_linear(np.arange(256) / 255.0)
    deviation = np.sqrt(linear * white_e + _READ_NOISE_E**2) / white_e * _MAX_CODE
    return np.float32(linear * _MAX_CODE + 0.5), np.float32(deviation)


def to_linear(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns light in 0..1 of sRGB values in 0..1."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def from_linear(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns sRGB values in 0..1 of light in 0..1."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@lru_cache(maxsize=1)
def _encode_table() -> Image:
    """Returns the sRGB value of every code, uint8 [4096]."""
    return np.rint(255.0 * from_linear(np.arange(_MAX_CODE + 1) / _MAX_CODE)).astype(np.uint8)
