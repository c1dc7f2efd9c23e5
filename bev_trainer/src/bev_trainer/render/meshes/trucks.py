"""Trucks."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.panels import end_panel, lamps, plate, side_panel, tall_body
from bev_trainer.render.meshes.shapes import Part, both_sides, box, decal, loft, merge
from bev_trainer.render.meshes.wheels import car_wheel


def truck_cab(front_x: float, half: float, top: float) -> Part:
    """Returns the cab of a truck, about 2 m long, nose at `front_x`."""
    back = front_x - 2.0
    body = tall_body(
        (
            (back, half, 0.60, top, False),
            (front_x - 0.42, half, 0.50, top, False),
            (front_x - 0.12, 0.98 * half, 0.48, top - 0.22, True),
            (front_x, 0.97 * half, 0.42, 1.55, False),
            (front_x, 0.96 * half, 0.42, 1.50, False),
        ),
        0.10,
    )  # fmt: skip
    rear, high = back + 0.62, top - 0.42
    window = [(front_x - 0.22, half, 1.62), (rear, half, 1.62), (rear, 0.985 * half, high),
              (front_x - 0.38, 0.985 * half, high)]  # fmt: skip
    sides = both_sides(
        merge(
            decal(window, Material.GLASS, 0.012),
            side_panel((back + 0.62, back + 0.64), half, (0.75, 1.60), Material.PLASTIC),
            box((front_x - 0.30, half - 0.02, 1.65), (front_x - 0.16, half + 0.11, 2.25),
                Material.PLASTIC, 'y-'),
        )
    )  # fmt: skip
    front = merge(
        lamps(front_x, (0.62 * half, 0.92 * half), (0.62, 0.80), True),
        end_panel(front_x, (-0.60 * half, 0.60 * half), (0.88, 1.40), Material.PLASTIC, 1),
        end_panel(front_x, (-0.95 * half, 0.95 * half), (0.42, 0.56), Material.PLASTIC, 1),
        plate(front_x, 0.44, 1),
    )
    return merge(body, sides, front)


def truck_frame(rear_x: float, front_x: float) -> Part:
    """Returns the ladder frame with rear lamps, bumper and underrun bar."""
    return merge(
        box((rear_x, -0.45, 0.62), (front_x - 1.6, 0.45, 0.98), Material.PLASTIC, 'x+z+'),
        box((rear_x, -1.12, 0.48), (rear_x + 0.10, 1.12, 0.66), Material.PLASTIC, 'z-x+'),
        lamps(rear_x, (0.72, 1.08), (0.50, 0.64), False),
        plate(rear_x, 0.50, -1),
    )


def box_truck() -> Part:
    """Returns a truck with a closed box."""
    cargo = box((-4.03, -1.20, 0.98), (1.95, 1.20, 3.40), Material.CARGO)
    doors = merge(
        end_panel(-4.03, (-0.01, 0.01), (1.05, 3.3), Material.PLASTIC, -1),
        end_panel(-4.03, (-1.18, 1.18), (1.0, 1.1), Material.METAL, -1),
    )
    stripe = both_sides(
        merge(
            side_panel((-4.0, 1.9), 1.20, (1.25, 1.75), Material.PAINT),
            side_panel((-3.0, 1.0), 1.20, (2.15, 2.75), Material.PAINT),
            box((-1.0, 1.0, 0.45), (0.9, 1.16, 0.92), Material.PLASTIC, 'y-'),
            car_wheel(-1.83, 1.20, 0.48, 0.0),
            car_wheel(2.57, 1.20, 0.48, 0.56),
        )
    )  # fmt: skip
    return merge(truck_cab(4.04, 1.14, 2.75), truck_frame(-4.04, 4.04), cargo, doors, stripe)


def dump_truck() -> Part:
    """Returns a tipper: an open skip with ribs and a guard over the cab."""
    floor = np.array([(-3.55, -0.95), (1.30, -0.95), (1.30, 0.95), (-3.55, 0.95)])
    rim = np.array([(-3.70, -1.24), (1.62, -1.24), (1.62, 1.24), (-3.70, 1.24)])
    low, high = (np.column_stack((p, np.full(4, z))) for p, z in ((floor, 1.05), (rim, 2.55)))
    inner = np.column_stack((rim * (0.97, 0.93), np.full(4, 2.55)))
    load = np.column_stack((rim * (0.94, 0.90), np.full(4, 2.30)))
    heap = np.column_stack((rim * (0.35, 0.35), np.full(4, 2.62)))
    skip = loft((low, high, inner, load), Material.PAINT, start=Material.PLASTIC)
    earth = loft((load, heap), Material.BARK, end=Material.BARK).smooth(60)
    guard = box((1.60, -1.05, 2.90), (2.60, 1.05, 2.98), Material.PAINT, 'x-')
    board = loft(
        [[(x0, -y, z), (x1, -y, z), (x1, y, z), (x0, y, z)]
         for x0, x1, y, z in ((1.50, 1.62, 1.2, 2.5), (1.56, 1.66, 1.1, 2.95))],
        Material.PAINT, end=Material.PAINT,
    )  # fmt: skip
    ribs = [_rib(x) for x in (-2.4, -1.0, 0.4)]
    wheels = [
        car_wheel(x, 1.20, 0.50, arch) for x, arch in ((-1.90, 0.0), (-0.75, 0.0), (2.15, 0.58))
    ]
    beacon = box((2.2, -0.1, 2.98), (2.4, 0.1, 3.10), Material.LIGHT_YELLOW, 'z-')
    return merge(
        truck_cab(3.69, 1.16, 2.80), truck_frame(-3.69, 3.69), skip, earth, guard, board, beacon,
        both_sides(merge(*ribs, *wheels)),
    )  # fmt: skip


def _rib(x: float) -> Part:
    """Returns a stiffener on the left side of the skip, without the face it is welded to."""
    low, high = (
        ((x + 0.05, y0, z), (x + 0.05, y1, z), (x - 0.05, y1, z), (x - 0.05, y0, z))
        for y0, y1, z in ((0.9, 1.01, 1.1), (1.1, 1.25, 2.5))
    )
    return loft((low, high), Material.PAINT, closed=False)
