"""Bicycles and motorcycles with their riders."""

from __future__ import annotations

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.riders import Pose, cycle_helmet, full_helmet, rider
from bev_trainer.render.meshes.shapes import (
    Part,
    both_sides,
    box,
    decal,
    disc,
    ellipsoid,
    loft,
    merge,
    tube,
)
from bev_trainer.render.meshes.wheels import ring_wheel, solid_wheel, spokes


def bicycle() -> Part:
    """Returns a city bicycle with its rider."""
    rear, front, radius = -0.55, 0.53, 0.345
    hub, crank, saddle = (rear, 0.0, radius), (-0.06, 0.0, 0.29), (-0.24, 0.0, 0.90)
    steer, bar = (0.33, 0.0, 0.86), (0.28, 0.0, 1.05)
    tubes = ((hub, crank), (hub, saddle), (crank, saddle), ((*saddle[:2], 0.84), steer),
             (crank, steer), (bar, (front, 0.0, radius)))  # fmt: skip
    frame = [tube(pair, 0.022, 3, Material.PAINT, lids=False) for pair in tubes]
    grip = tube(((0.30, -0.29, 1.05), (0.30, 0.29, 1.05)), 0.018, 3, Material.PLASTIC)
    seat = box((-0.40, -0.08, 0.89), (-0.14, 0.08, 0.95), Material.PLASTIC, 'z-')
    lamp = box((0.36, -0.04, 0.88), (0.43, 0.04, 0.96), Material.HEADLIGHT, 'x-z-')
    tail = box((-0.62, -0.03, 0.72), (-0.58, 0.03, 0.78), Material.TAILLIGHT, 'x+z-')
    guard = _mudguard(rear, radius)
    pose = Pose(
        seat=(-0.25, 1.02), shoulders=(0.00, 1.43), head=(0.07, 1.625),
        hand=(0.26, 0.25, 1.09), elbow=(0.08, 0.27, 1.16),
        left_knee=(0.14, 0.11, 0.80), left_ankle=(0.05, 0.12, 0.42),
        right_knee=(0.06, -0.11, 0.64), right_ankle=(-0.16, -0.12, 0.26),
    )  # fmt: skip
    return merge(
        ring_wheel(rear, radius, 0.045), ring_wheel(front, radius, 0.045),
        spokes(rear, radius, 2, 0.02), spokes(front, radius, 2, 0.02), *frame, grip, seat, lamp,
        tail, guard, rider(pose, Material.CLOTH, cycle_helmet(Material.SIGN_WHITE), 0.25),
    )  # fmt: skip


def _mudguard(x: float, radius: float) -> Part:
    strip = [(x - 0.33, radius + 0.16), (x - 0.12, radius + 0.37), (x + 0.16, radius + 0.36)]
    left, right = ([(u, y, z) for u, z in strip] for y in (0.03, -0.03))
    return merge(loft((left, right), Material.PAINT, closed=False),
                 loft((right, left), Material.PLASTIC, closed=False))  # fmt: skip


def cargo_bicycle() -> Part:
    """Returns a two-wheeled cargo bicycle with a box between rider and front wheel."""
    rear, front, radius, small = -0.90, 0.93, 0.32, 0.26
    hub, crank, saddle = (rear, 0.0, radius), (-0.45, 0.0, 0.29), (-0.62, 0.0, 0.90)
    steer, bar = (-0.06, 0.0, 0.60), (-0.12, 0.0, 1.05)
    tubes = ((hub, crank), (hub, saddle), (crank, saddle), ((*saddle[:2], 0.80), steer),
             (crank, (front - 0.18, 0.0, 0.30)), (steer, bar), ((front - 0.2, 0.0, 0.62),
                                                            (front, 0.0, small)))  # fmt: skip
    frame = [tube(pair, 0.025, 3, Material.PLASTIC, lids=False) for pair in tubes]
    grip = tube(((-0.10, -0.29, 1.05), (-0.10, 0.29, 1.05)), 0.018, 3, Material.PLASTIC)
    seat = box((-0.78, -0.08, 0.89), (-0.52, 0.08, 0.95), Material.PLASTIC, 'z-')
    low = [(0.04, -0.26, 0.32), (0.62, -0.22, 0.32), (0.62, 0.22, 0.32), (0.04, 0.26, 0.32)]
    rim = [(-0.02, -0.34, 0.80), (0.80, -0.30, 0.84), (0.80, 0.30, 0.84), (-0.02, 0.34, 0.80)]
    inside = [(0.02, -0.31, 0.80), (0.76, -0.27, 0.84), (0.76, 0.27, 0.84), (0.02, 0.31, 0.80)]
    floor = [(0.08, -0.26, 0.55), (0.60, -0.22, 0.55), (0.60, 0.22, 0.55), (0.08, 0.26, 0.55)]
    tub = loft((low, rim, inside, floor), [[Material.WOOD], [Material.PLASTIC], [Material.WOOD]],
               start=Material.PLASTIC, end=Material.CLOTH_DARK)  # fmt: skip
    band = both_sides(decal([(0.66, 0.305, 0.68), (0.06, 0.345, 0.68), (0.02, 0.345, 0.78),
                             (0.74, 0.305, 0.78)], Material.PAINT, 0.012))  # fmt: skip
    tail = box((-1.0, -0.03, 0.72), (-0.96, 0.03, 0.78), Material.TAILLIGHT, 'x+z-')
    lamp = box((0.80, -0.04, 0.70), (0.84, 0.04, 0.78), Material.HEADLIGHT, 'x-')
    pose = Pose(
        seat=(-0.63, 1.02), shoulders=(-0.40, 1.43), head=(-0.33, 1.625),
        hand=(-0.14, 0.25, 1.09), elbow=(-0.32, 0.28, 1.16),
        left_knee=(-0.24, 0.11, 0.80), left_ankle=(-0.34, 0.12, 0.42),
        right_knee=(-0.32, -0.11, 0.64), right_ankle=(-0.54, -0.12, 0.26),
    )  # fmt: skip
    return merge(
        ring_wheel(rear, radius, 0.05), ring_wheel(front, small, 0.05, 10),
        spokes(rear, radius, 2, 0.02), *frame, grip, seat, tub, band, tail, lamp,
        rider(pose, Material.CLOTH, cycle_helmet(Material.PLASTIC), 0.25),
    )  # fmt: skip


def _flat_mirror(x: float, y: float, z: float) -> Part:
    return box((x, y - 0.06, z - 0.04), (x + 0.03, y + 0.06, z + 0.04), Material.PLASTIC, 'y-y+z-')


def motorcycle() -> Part:
    """Returns a naked road motorcycle with its rider."""
    rear, front, radius = -0.725, 0.735, 0.31
    tank = ellipsoid((0.10, 0.0, 0.80), (0.30, 0.15, 0.15), 6, 3, Material.PAINT)
    seat = box((-0.62, -0.13, 0.76), (-0.10, 0.13, 0.84), Material.PLASTIC, 'z-x+')
    tail = loft(
        (((-0.92, 0.07, 0.84), (-0.92, 0.07, 0.90), (-0.92, -0.07, 0.90), (-0.92, -0.07, 0.84)),
         ((-0.35, 0.13, 0.66), (-0.35, 0.13, 0.80), (-0.35, -0.13, 0.80), (-0.35, -0.13, 0.66))),
        Material.PAINT, start=Material.TAILLIGHT,
    )  # fmt: skip
    engine = box((-0.30, -0.17, 0.26), (0.28, 0.17, 0.64), Material.METAL, 'z-z+')
    fork = both_sides(
        tube(((front, 0.08, 0.31), (0.46, 0.08, 0.96)), 0.03, 3, Material.METAL, lids=False)
    )
    swing = both_sides(
        tube(((rear, 0.08, 0.31), (-0.2, 0.08, 0.40)), 0.035, 3, Material.PLASTIC, lids=False)
    )
    pipe = tube(((-0.05, -0.16, 0.30), (-0.80, -0.18, 0.42)), (0.05, 0.065), 4, Material.METAL)
    bar = tube(((0.34, -0.38, 1.04), (0.34, 0.38, 1.04)), 0.02, 3, Material.PLASTIC, lids=False)
    lamp = tube(
        ((0.42, 0.0, 0.90), (0.62, 0.0, 0.88)), (0.06, 0.11), 6, Material.PLASTIC, lids=False
    )
    glass = disc((0.625, 0.0, 0.88), 0.095, 'x', 6, Material.HEADLIGHT)
    mirrors = both_sides(_flat_mirror(0.38, 0.34, 1.16))
    plate_corners = [(-1.0, -0.09, 0.50), (-1.0, 0.09, 0.50), (-0.95, 0.09, 0.68),
                     (-0.95, -0.09, 0.68)][::-1]  # fmt: skip
    pose = Pose(
        seat=(-0.32, 0.93), shoulders=(-0.04, 1.32), head=(0.05, 1.50),
        hand=(0.28, 0.31, 1.06), elbow=(0.06, 0.33, 1.08),
        left_knee=(0.10, 0.22, 0.78), left_ankle=(-0.24, 0.20, 0.40),
        right_knee=(0.10, -0.22, 0.78), right_ankle=(-0.24, -0.20, 0.40),
    )  # fmt: skip
    return merge(
        solid_wheel(rear, radius, 0.12), solid_wheel(front, radius, 0.10),
        tank, seat, tail, engine, fork, swing,
        pipe, bar, lamp, glass, mirrors, decal(plate_corners, Material.PLATE),
        rider(pose, Material.CLOTH_DARK, full_helmet(Material.PAINT), 0.30),
    )  # fmt: skip


def scooter() -> Part:
    """Returns a motor scooter with its rider."""
    rear, front, radius = -0.65, 0.65, 0.24
    hull = loft(
        (((-0.86, 0.10, 0.50), (-0.86, 0.12, 0.72), (-0.86, -0.12, 0.72), (-0.86, -0.10, 0.50)),
         ((-0.60, 0.19, 0.32), (-0.60, 0.18, 0.76), (-0.60, -0.18, 0.76), (-0.60, -0.19, 0.32)),
         ((-0.20, 0.17, 0.20), (-0.20, 0.16, 0.76), (-0.20, -0.16, 0.76), (-0.20, -0.17, 0.20))),
        Material.PAINT, start=Material.TAILLIGHT, end=Material.PAINT,
    ).smooth(50)  # fmt: skip
    seat = box((-0.74, -0.15, 0.76), (-0.12, 0.15, 0.83), Material.PLASTIC, 'z-')
    board = box((-0.22, -0.18, 0.20), (0.34, 0.18, 0.27), Material.PLASTIC)
    shield = loft(
        (((0.30, 0.18, 0.24), (0.42, 0.0, 0.24), (0.30, -0.18, 0.24), (0.26, 0.0, 0.24))[::-1],
         ((0.38, 0.20, 0.62), (0.54, 0.0, 0.62), (0.38, -0.20, 0.62), (0.34, 0.0, 0.62))[::-1],
         ((0.30, 0.15, 0.98), (0.42, 0.0, 0.98), (0.30, -0.15, 0.98), (0.27, 0.0, 0.98))[::-1]),
        Material.PAINT, end=Material.PAINT,
    ).smooth(50)  # fmt: skip
    fender = ellipsoid((front, 0.0, 0.30), (0.26, 0.09, 0.24), 7, 2, Material.PAINT, 0.55)
    fork = tube(((front, 0.0, 0.24), (0.40, 0.0, 0.80)), 0.05, 3, Material.PLASTIC, lids=False)
    bar = tube(((0.30, -0.34, 1.00), (0.30, 0.34, 1.00)), 0.022, 3, Material.PLASTIC)
    lamp = disc((0.50, 0.0, 0.86), 0.08, 'x', 6, Material.HEADLIGHT)
    mirrors = both_sides(_flat_mirror(0.30, 0.30, 1.14))
    plate = [(-0.90, 0.09, 0.40), (-0.90, -0.09, 0.40), (-0.87, -0.09, 0.52),
             (-0.87, 0.09, 0.52)]  # fmt: skip
    pose = Pose(
        seat=(-0.34, 0.93), shoulders=(-0.24, 1.36), head=(-0.19, 1.54),
        hand=(0.24, 0.27, 1.02), elbow=(-0.06, 0.30, 1.08),
        left_knee=(0.12, 0.17, 0.78), left_ankle=(0.10, 0.13, 0.36),
        right_knee=(0.12, -0.17, 0.78), right_ankle=(0.10, -0.13, 0.36),
    )  # fmt: skip
    return merge(
        solid_wheel(rear, radius, 0.10), solid_wheel(front, radius, 0.09),
        hull, seat, board, shield, fender, fork, bar, lamp, mirrors,
        decal(plate, Material.PLATE),
        rider(pose, Material.CLOTH_DARK, full_helmet(Material.PAINT), 0.30),
    )  # fmt: skip
