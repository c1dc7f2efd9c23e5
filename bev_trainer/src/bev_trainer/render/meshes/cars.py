"""Passenger cars: a body lofted along x, a greenhouse on top, and what hangs on them."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.car_shapes import PICKUP, CarShape, Greenhouse, Station
from bev_trainer.render.meshes.shapes import (
    Array,
    Part,
    both_sides,
    box,
    decal,
    loft,
    merge,
)
from bev_trainer.render.meshes.wheels import car_wheel


def car(shape: CarShape) -> Part:
    """Returns a passenger car."""
    widest = max(station[1] for station in shape.stations)
    wheels = [
        car_wheel(x, widest + 0.012, shape.wheel_m, shape.wheel_m * 1.17) for x in shape.axles
    ]
    return merge(
        body(shape.stations, shape.cladding),
        greenhouse(shape.cabin),
        both_sides(merge(*wheels, mirror(shape.cabin, widest))),
        front_end(shape),
        rear_end(shape),
        both_sides(merge(*(_door(shape, x, widest) for x in shape.cabin.belt_x[2:5:2]))),
    )


def body(stations: tuple[Station, ...], cladding: int) -> Part:
    """Returns the lower body."""
    rings = np.array([_section(*station) for station in stations])
    materials = np.full((len(stations) - 1, rings.shape[1]), Material.PAINT)
    materials[:, (0, -2)] = cladding
    materials[:, -1] = Material.PLASTIC
    lids = Material.PAINT
    return loft(rings, materials, start=lids, end=lids).smooth(38)


def _section(x: float, half: float, bottom: float, shoulder: float, middle: float) -> Array:
    rise = shoulder - bottom
    left = [
        (0.90 * half, bottom),
        (0.985 * half, bottom + 0.22 * rise),
        (half, bottom + 0.62 * rise),
        (0.94 * half, shoulder),
        (0.55 * half, middle),
    ]
    right = [(-y, z) for y, z in left]
    # Counter-clockwise seen from ahead, so that the loft runs towards +x.
    return np.array([(x, y, z) for y, z in [*left, *right[::-1]]])


def greenhouse(cabin: Greenhouse) -> Part:
    """Returns pillars, windows and roof."""
    belt = _plan(cabin.belt_x, cabin.belt_y, cabin.belt_z, cabin.bow_m)
    eaves = _plan(cabin.roof_x, cabin.roof_y, cabin.roof_z - 0.05, 0.7 * cabin.bow_m)
    glass, paint = Material.GLASS, Material.PAINT
    side = [paint, glass, paint, glass, paint]
    walls = [*side, glass, glass, glass, *side[::-1], paint, glass, paint]
    skin = loft((belt, eaves), np.array(walls)[None])
    outline = eaves[[0, 5, 6, 7, 8, 13, 14, 15]]
    crown = outline * (1.0, 0.72, 0.0) + (0.0, 0.0, cabin.roof_z)
    crown[:, 0] = np.clip(crown[:, 0], cabin.roof_x[0] + 0.15, cabin.roof_x[-1] - 0.15)
    return merge(skin, loft((outline, crown), paint, end=paint).smooth(38))


def _plan(xs: tuple[float, ...], half: float, z: float, bow: float) -> Array:
    right = [(x, -half) for x in xs]
    front = [(xs[-1] + bow, -0.62 * half), (xs[-1] + bow, 0.62 * half)]
    left = [(x, half) for x in xs[::-1]]
    rear = [(xs[0] - 0.6 * bow, 0.80 * half), (xs[0] - 0.6 * bow, -0.80 * half)]
    return np.array([(x, y, z) for x, y in [*right, *front, *left, *rear]])


def mirror(cabin: Greenhouse, widest: float) -> Part:
    """Returns the left mirror, at the foot of the front pillar."""
    x, z = cabin.belt_x[-2] - 0.05, cabin.belt_z + 0.02
    return box((x, widest - 0.06, z), (x + 0.10, widest + 0.045, z + 0.13), Material.PAINT, 'y-')


def _door(shape: CarShape, x: float, widest: float) -> Part:
    """Returns the gap ahead of a door and its handle, on the left side."""
    y, bottom, shoulder = widest, shape.stations[3][2], shape.stations[3][3]
    low, high = (bottom + share * (shoulder - bottom) for share in (0.22, 0.62))
    gap = [(x + 0.012, 0.985 * y, low), (x - 0.012, 0.985 * y, low), (x - 0.012, y, high),
           (x + 0.012, y, high)]  # fmt: skip
    handle_x, z = x - 0.72, 0.80 * shape.cabin.belt_z
    handle = [(handle_x + 0.20, y, z), (handle_x, y, z), (handle_x, y, z + 0.035),
              (handle_x + 0.20, y, z + 0.035)]  # fmt: skip
    return merge(decal(gap, Material.PLASTIC), decal(handle, Material.PLASTIC, 0.004))


def front_end(shape: CarShape) -> Part:
    """Returns headlights, grille, air intake and number plate."""
    end, before = shape.stations[-1], shape.stations[-2]
    x, half, bottom, *_ = end
    low, high = shape.head_z
    plate = shape.plate_z[0]
    return merge(
        both_sides(_corner_lamp(end, before, low, high, 0.52, 0.75, Material.HEADLIGHT)),
        _panel(x, 0.50 * half, low, high - 0.01, Material.PLASTIC, 1),
        _panel(x, 0.80 * half, bottom + 0.02, plate - 0.03, Material.PLASTIC, 1),
        _panel(x + 0.004, 0.26, plate, plate + 0.11, Material.PLATE, 1),
    )


def rear_end(shape: CarShape) -> Part:
    """Returns tail lights, number plate and the dark lower bumper."""
    end, after = shape.stations[0], shape.stations[1]
    x, half, bottom, *_ = end
    low, high = shape.tail_z
    plate = shape.plate_z[1]
    lamp = _corner_lamp(end, after, low, high, shape.tail_share, 0.9, Material.TAILLIGHT)
    return merge(
        both_sides(lamp),
        _panel(x, 0.26, plate, plate + 0.11, Material.PLATE, -1),
        _panel(x, 0.88 * half, bottom, bottom + 0.14, Material.PLASTIC, -1),
    )


def _corner_lamp(
    end: Station,
    inner: Station,
    low: float,
    high: float,
    from_share: float,
    wrap: float,
    material: int,
) -> Part:
    """Returns the left lamp: a panel on the lid of the body, and one around the corner."""
    x, ahead = end[0], float(np.sign(end[0] - inner[0]))
    outer = [_half_width_at(end, z) for z in (low, high)]
    around = [_half_width_at(inner, z) for z in (low, high)]
    back = [y + wrap * (b - y) for y, b in zip(outer, around, strict=True)]
    back_x = x + wrap * (inner[0] - x)
    start = from_share * end[1]
    face = [(x, start, low), (x, outer[0], low), (x, outer[1], high), (x, start, high)]
    corner = [(x, outer[0], low), (back_x, back[0], low), (back_x, back[1], high),
              (x, outer[1], high)]  # fmt: skip
    if ahead < 0:
        face, corner = face[::-1], corner[::-1]
    return merge(decal(face, material), decal(corner, material))


def _half_width_at(station: Station, z: float) -> float:
    left = _section(*station)[:5]
    return float(np.interp(z, left[:, 2], left[:, 1]))


def _panel(x: float, half: float, low: float, high: float, material: int, ahead: int) -> Part:
    points = [(x, -half, low), (x, half, low), (x, half, high), (x, -half, high)]
    return decal(points[::ahead], material)


def pickup() -> Part:
    """Returns a pickup: a car with a dark hollow for a bed, between walls of paint."""
    floor = [(-2.50, -0.70, 1.12), (-0.98, -0.70, 1.12), (-0.98, 0.70, 1.12), (-2.50, 0.70, 1.12)]
    wall = box((-1.00, -0.80, 1.10), (-0.94, 0.80, 1.42), Material.PLASTIC, 'z-y-y+')
    return merge(car(PICKUP), decal(floor, Material.PLASTIC, 0.01), wall)
