"""Passenger cars: a body lofted along x, a greenhouse on top, and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_trainer.render.mesh import Material
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

# x, half width, bottom, shoulder and middle height of a cross-section of the body.
Station = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Greenhouse:
    """Cabin above the shoulder line.

    Attributes:
        belt_x: side pillars at the shoulder, from the rear: rear edge, front edge of the rear
            pillar, both edges of the middle pillar, rear and front edge of the front pillar.
        roof_x: the same at the roof.
        belt_z: height of the shoulder.
        roof_z: height of the roof's middle.
        belt_y: half width at the shoulder.
        roof_y: half width at the roof's edge.
        bow_m: how far windscreen and rear window bulge at the middle.
    """

    belt_x: tuple[float, ...]
    roof_x: tuple[float, ...]
    belt_z: float
    roof_z: float
    belt_y: float
    roof_y: float
    bow_m: float = 0.10


@dataclass(frozen=True)
class CarShape:
    """Numbers of one car, metres, x from the middle of its box.

    Attributes:
        stations: cross-sections of the body, from the rear.
        cabin: what stands on it.
        axles: x of the rear and of the front axle.
        wheel_m: radius.
        cladding: material of the sill.
        head_z: lower and upper edge of the headlights.
        tail_z: likewise of the tail lights.
        plate_z: lower edge of front and rear number plate.
        tail_share: from which share of the half width tail lights reach outwards.
    """

    stations: tuple[Station, ...]
    cabin: Greenhouse
    axles: tuple[float, float]
    wheel_m: float
    cladding: int = Material.PAINT
    head_z: tuple[float, float] = (0.54, 0.70)
    tail_z: tuple[float, float] = (0.74, 0.90)
    plate_z: tuple[float, float] = (0.36, 0.60)
    tail_share: float = 0.60


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


SEDAN = CarShape(
    stations=(
        (-2.37, 0.76, 0.34, 0.93, 0.98),
        (-2.24, 0.84, 0.27, 0.99, 1.03),
        (-1.60, 0.895, 0.24, 0.99, 1.03),
        (-0.30, 0.905, 0.22, 0.94, 0.96),
        (0.95, 0.905, 0.22, 0.92, 0.98),
        (1.65, 0.895, 0.22, 0.88, 0.94),
        (2.18, 0.845, 0.23, 0.80, 0.86),
        (2.36, 0.735, 0.27, 0.72, 0.76),
    ),
    cabin=Greenhouse(
        belt_x=(-1.72, -1.28, -0.28, -0.18, 0.86, 0.98),
        roof_x=(-1.02, -0.86, -0.30, -0.20, 0.26, 0.34),
        belt_z=0.95, roof_z=1.45, belt_y=0.80, roof_y=0.60,
    ),
    axles=(-1.37, 1.43), wheel_m=0.33,
)  # fmt: skip
HATCHBACK = CarShape(
    stations=(
        (-2.02, 0.74, 0.36, 0.92, 0.96),
        (-1.90, 0.82, 0.28, 0.98, 1.00),
        (-1.30, 0.865, 0.23, 0.97, 1.00),
        (-0.20, 0.87, 0.22, 0.95, 0.98),
        (0.75, 0.87, 0.22, 0.93, 0.98),
        (1.40, 0.855, 0.22, 0.90, 0.96),
        (1.86, 0.80, 0.23, 0.82, 0.88),
        (2.02, 0.70, 0.28, 0.74, 0.78),
    ),
    cabin=Greenhouse(
        belt_x=(-1.90, -1.30, -0.42, -0.32, 0.74, 0.88),
        roof_x=(-1.52, -1.12, -0.42, -0.32, 0.14, 0.22),
        belt_z=0.96, roof_z=1.48, belt_y=0.78, roof_y=0.60,
    ),
    axles=(-1.32, 1.23), wheel_m=0.31, tail_z=(0.66, 0.90), tail_share=0.72, plate_z=(0.36, 0.52),
)  # fmt: skip
SUV = CarShape(
    stations=(
        (-2.32, 0.80, 0.42, 1.04, 1.08),
        (-2.20, 0.88, 0.34, 1.10, 1.12),
        (-1.50, 0.925, 0.29, 1.09, 1.12),
        (-0.20, 0.93, 0.27, 1.07, 1.10),
        (0.85, 0.93, 0.27, 1.06, 1.12),
        (1.60, 0.92, 0.27, 1.03, 1.11),
        (2.16, 0.87, 0.29, 0.97, 1.04),
        (2.32, 0.78, 0.34, 0.88, 0.93),
    ),
    cabin=Greenhouse(
        belt_x=(-2.18, -1.60, -0.50, -0.38, 0.80, 0.95),
        roof_x=(-1.86, -1.40, -0.50, -0.38, 0.22, 0.30),
        belt_z=1.08, roof_z=1.70, belt_y=0.84, roof_y=0.68,
    ),
    axles=(-1.375, 1.375), wheel_m=0.37, cladding=Material.PLASTIC,
    head_z=(0.68, 0.86), tail_z=(0.84, 1.04), plate_z=(0.46, 0.70), tail_share=0.66,
)  # fmt: skip
WAGON = CarShape(
    stations=(
        (-2.37, 0.76, 0.36, 0.92, 0.96),
        (-2.25, 0.84, 0.27, 0.98, 1.00),
        (-1.60, 0.895, 0.24, 0.97, 1.00),
        (-0.30, 0.905, 0.22, 0.94, 0.97),
        (0.95, 0.905, 0.22, 0.92, 0.98),
        (1.65, 0.895, 0.22, 0.88, 0.94),
        (2.18, 0.845, 0.23, 0.80, 0.86),
        (2.36, 0.735, 0.27, 0.72, 0.76),
    ),
    cabin=Greenhouse(
        belt_x=(-2.26, -1.72, -0.40, -0.30, 0.86, 0.98),
        roof_x=(-1.78, -1.45, -0.42, -0.32, 0.26, 0.34),
        belt_z=0.95, roof_z=1.50, belt_y=0.81, roof_y=0.63,
    ),
    axles=(-1.32, 1.48), wheel_m=0.33, tail_z=(0.66, 0.90), tail_share=0.72,
    plate_z=(0.36, 0.55),
)  # fmt: skip
PICKUP = CarShape(
    stations=(
        (-2.67, 0.84, 0.50, 1.02, 1.02),
        (-2.55, 0.91, 0.42, 1.12, 1.12),
        (-0.95, 0.94, 0.38, 1.12, 1.12),
        (-0.20, 0.945, 0.36, 1.12, 1.14),
        (1.00, 0.945, 0.36, 1.10, 1.16),
        (1.80, 0.94, 0.36, 1.08, 1.15),
        (2.45, 0.89, 0.38, 1.02, 1.08),
        (2.66, 0.80, 0.42, 0.94, 0.98),
    ),
    cabin=Greenhouse(
        belt_x=(-0.86, -0.74, 0.10, 0.20, 1.18, 1.32),
        roof_x=(-0.62, -0.52, 0.10, 0.20, 0.66, 0.74),
        belt_z=1.12, roof_z=1.82, belt_y=0.86, roof_y=0.70, bow_m=0.08,
    ),
    axles=(-1.525, 1.725), wheel_m=0.39, cladding=Material.PLASTIC,
    head_z=(0.74, 0.93), tail_z=(0.74, 1.00), plate_z=(0.52, 0.56), tail_share=0.80,
)  # fmt: skip


def pickup() -> Part:
    """Returns a pickup: a car with a dark hollow for a bed, between walls of paint."""
    floor = [(-2.50, -0.70, 1.12), (-0.98, -0.70, 1.12), (-0.98, 0.70, 1.12), (-2.50, 0.70, 1.12)]
    wall = box((-1.00, -0.80, 1.10), (-0.94, 0.80, 1.42), Material.PLASTIC, 'z-y-y+')
    return merge(car(PICKUP), decal(floor, Material.PLASTIC, 0.01), wall)
