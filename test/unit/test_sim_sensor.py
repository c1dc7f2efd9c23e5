"""Faults of lens and sensor, measured on pictures of one colour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bev_trainer.render.sensor import Sensor, SensorLook, draw_sensor_look, ideal_sensor
from bev_trainer.world.weather import draw_weather
from numpy.typing import NDArray

SIZE = (160, 96)
CLEAR = draw_weather('clear', np.random.default_rng(0))
NIGHT = draw_weather('night', np.random.default_rng(0))
RAIN = draw_weather('rain', np.random.default_rng(0))
# An exposure of a millionth of a stop: nothing is changed, but nothing is skipped either.
PLAIN = replace(ideal_sensor(2), exposure_ev=(1e-6, 1e-6))


def grey(value: int = 128) -> NDArray[np.uint8]:
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def exposed(look: SensorLook, camera: int = 0, value: int = 128) -> NDArray[np.float64]:
    return Sensor(look, camera, SIZE, CLEAR).expose(grey(value), 3.0).astype(float)


def test_an_ideal_sensor_changes_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    sensor = Sensor(ideal_sensor(1), 0, SIZE, RAIN)
    assert np.array_equal(sensor.expose(picture, 1.0), picture)
    assert np.array_equal(exposed(PLAIN), grey())


def test_a_stop_doubles_light() -> None:
    brighter = exposed(replace(PLAIN, exposure_ev=(0.5, -0.5)), 0, 100)
    darker = exposed(replace(PLAIN, exposure_ev=(0.5, -0.5)), 1, 100)
    assert np.allclose(brighter, round(100 * 2 ** (0.5 / 2.2)))
    assert np.allclose(darker, round(100 * 2 ** (-0.5 / 2.2)))


def test_vignetting_takes_light_from_corners() -> None:
    picture = exposed(replace(PLAIN, vignetting=0.3), value=200)
    assert picture[0, 0, 1] == pytest.approx(200 * 0.7 ** (1 / 2.2), abs=2)
    assert picture[SIZE[1] // 2, SIZE[0] // 2, 1] == 200
    assert (np.diff(picture[SIZE[1] // 2, : SIZE[0] // 2, 1]) >= 0).all()
    assert np.array_equal(picture, picture[::-1, ::-1])


def test_warm_cameras_see_more_red_than_blue() -> None:
    red, green, blue = exposed(replace(PLAIN, warmth=(0.1, 0.0)))[5, 5]
    assert red == pytest.approx(128 * 1.1 ** (1 / 2.2), abs=1)
    assert green == 128
    assert blue == pytest.approx(128 * 0.9 ** (1 / 2.2), abs=1)


def test_noise_has_the_strength_asked_for_and_grows_in_the_dark() -> None:
    look = replace(PLAIN, noise=3.0, seed=4)
    day = exposed(look)
    # Mid grey is a radiance of 0.22, the display value 128; demosaicing makes it a bit uneven.
    assert day.std() == pytest.approx(3.0, rel=0.25)
    assert abs(day.mean() - 128) < 0.3
    night = Sensor(look, 0, SIZE, NIGHT).expose(grey(), 3.0).astype(float)
    assert night.std() > 2.0 * day.std()


def test_noise_belongs_to_instant_and_camera() -> None:
    look = replace(PLAIN, noise=2.0, seed=9)
    first = Sensor(look, 0, SIZE, CLEAR)
    assert np.array_equal(
        first.expose(grey(), 3.0), Sensor(look, 0, SIZE, CLEAR).expose(grey(), 3.0)
    )
    first.expose(grey(), 7.0)
    assert np.array_equal(
        first.expose(grey(), 3.0), Sensor(look, 0, SIZE, CLEAR).expose(grey(), 3.0)
    )
    assert not np.array_equal(first.expose(grey(), 3.0), first.expose(grey(), 3.1))
    assert not np.array_equal(exposed(look, 0), exposed(look, 1))
    assert not np.array_equal(exposed(look), exposed(replace(look, seed=10)))


def test_blur_softens_an_edge_and_keeps_its_place() -> None:
    picture = grey(40)
    picture[:, 80:] = 200
    soft = Sensor(replace(PLAIN, blur_px=0.5), 0, SIZE, CLEAR).expose(picture, 1.0)
    row = soft[40, :, 0].astype(int)
    assert row[70] == 40 and row[90] == 200
    assert 40 < row[79] < 120 < row[80] < 200
    assert row[79] + row[80] == pytest.approx(240, abs=1)


def test_rain_draws_streaks_that_differ_each_time() -> None:
    dry = replace(PLAIN, drops=False)
    sensor = Sensor(dry, 0, SIZE, RAIN)
    first, second = (sensor.expose(grey(60), time_s).astype(int) for time_s in (1.0, 2.0))
    changed = (first != 60).any(axis=-1)
    assert 0.002 < changed.mean() < 0.5
    assert (first >= 60).all()  # drops gather light
    assert not np.array_equal(first, second)
    assert np.array_equal(Sensor(dry, 0, SIZE, CLEAR).expose(grey(60), 1.0), grey(60))


def test_drops_and_dirt_blur_the_same_places_all_the_time() -> None:
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    dirty = replace(PLAIN, dirt=(0.03, 0.0), seed=5)
    sensor = Sensor(dirty, 0, SIZE, CLEAR)
    first = sensor.expose(picture, 1.0).astype(int)
    changed = np.abs(first - picture).max(axis=-1) > 8
    assert 0.02 < changed.mean() < 0.9
    assert np.array_equal(sensor.expose(picture, 2.0), first)
    assert np.array_equal(Sensor(dirty, 1, SIZE, CLEAR).expose(picture, 1.0), picture)


def test_drawn_looks_are_within_reason_and_repeat() -> None:
    looks = [draw_sensor_look(np.random.default_rng(seed), 5) for seed in range(40)]
    assert looks[7] == draw_sensor_look(np.random.default_rng(7), 5)
    assert len({look.seed for look in looks}) == 40
    for look in looks:
        assert len(look.exposure_ev) == len(look.warmth) == len(look.dirt) == 5
        assert 1.0 <= look.noise <= 3.0 and 0.05 <= look.vignetting <= 0.30
        assert max(np.abs(look.exposure_ev)) < 0.6 and max(look.dirt) <= 0.04
    assert any(max(look.dirt) > 0 for look in looks)
    assert any(max(look.dirt) == 0 for look in looks)
