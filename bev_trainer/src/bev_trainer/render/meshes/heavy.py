"""Vans, trucks and buses: tall bodies with panes and lamps laid on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import Array, Part, both_sides, box, decal, loft, merge
from bev_trainer.render.meshes.wheels import car_wheel

# x, half width, bottom, top of a cross-section, and whether glass leads on to the next one.
Slice = tuple[float, float, float, float, bool]


def tall_body(slices: tuple[Slice, ...], roof_round_m: float = 0.10, lid: bool = True) -> Part:
    """Returns a tall body lofted along x, from the rear."""
    rings = np.array([_section(x, w, low, top, roof_round_m) for x, w, low, top, _ in slices])
    materials = np.full((len(slices) - 1, rings.shape[1]), Material.PAINT)
    materials[:, -1] = Material.PLASTIC
    materials[[row[4] for row in slices[:-1]], 3] = Material.GLASS
    end = Material.PAINT if lid else None
    return loft(rings, materials, start=end, end=end).smooth(38)


def _section(x: float, half: float, bottom: float, top: float, corner: float) -> Array:
    left = [(half, bottom), (half, bottom + 0.5 * (top - bottom)), (0.98 * half, top - corner),
            (0.98 * half - 0.9 * corner, top)]  # fmt: skip
    right = [(-y, z) for y, z in left]
    return np.array([(x, y, z) for y, z in [*left, *right[::-1]]])


def side_panel(
    x: tuple[float, float], y: float, z: tuple[float, float], material: int, lean_m: float = 0.0
) -> Part:
    """Returns a rectangle on the left side; its upper edge leans in by `lean_m`."""
    (x0, x1), (z0, z1) = x, z
    points = [(x1, y, z0), (x0, y, z0), (x0, y - lean_m, z1), (x1, y - lean_m, z1)]
    return decal(points, material, 0.008)


def end_panel(
    x: float, y: tuple[float, float], z: tuple[float, float], material: int, ahead: int,
    lean_m: float = 0.0,
) -> Part:  # fmt: skip
    """Returns a rectangle on the front (ahead = 1) or the rear (-1)."""
    (y0, y1), (z0, z1) = y, z
    top = x - ahead * lean_m
    points = [(x, y0, z0), (x, y1, z0), (top, y1, z1), (top, y0, z1)]
    return decal(points[::ahead], material, 0.008)


def lamps(x: float, y: tuple[float, float], z: tuple[float, float], front: bool) -> Part:
    """Returns a pair of head or tail lights."""
    material = Material.HEADLIGHT if front else Material.TAILLIGHT
    return both_sides(end_panel(x, y, z, material, 1 if front else -1))


def plate(x: float, z: float, ahead: int) -> Part:
    """Returns a number plate."""
    return end_panel(x + 0.004 * ahead, (-0.26, 0.26), (z, z + 0.11), Material.PLATE, ahead)


def delivery_van() -> Part:
    """Returns a panel van with a short bonnet."""
    body = tall_body(
        (
            (-2.79, 0.94, 0.42, 2.36, False),
            (-2.70, 0.99, 0.34, 2.44, False),
            (1.15, 1.00, 0.32, 2.45, False),
            (1.45, 1.00, 0.32, 2.36, True),
            (2.20, 0.97, 0.32, 1.38, False),
            (2.62, 0.93, 0.33, 1.14, False),
            (2.79, 0.84, 0.38, 1.02, False),
        )
    )  # fmt: skip
    door = [(1.30, 1.0, 1.28), (0.55, 1.0, 1.28), (0.55, 0.985, 2.02), (1.30, 0.985, 2.02)]
    front_door = [(2.02, 0.985, 1.28), (1.30, 1.0, 1.28), (1.30, 0.985, 2.02), (1.52, 0.985, 2.02)]
    sides = both_sides(
        merge(
            car_wheel(-1.70, 1.012, 0.36, 0.42),
            car_wheel(1.75, 1.012, 0.36, 0.42),
            decal(door, Material.GLASS, 0.012),
            decal(front_door, Material.GLASS, 0.012),
            side_panel((-2.60, 0.40), 1.002, (0.62, 0.70), Material.PLASTIC),
            side_panel((-0.62, -0.60), 1.002, (0.72, 2.2), Material.PLASTIC, 0.015),
            box((1.72, 0.96, 1.24), (1.84, 1.06, 1.60), Material.PLASTIC, 'y-'),
        )
    )
    rear = merge(
        both_sides(end_panel(-2.79, (0.10, 0.74), (1.45, 2.10), Material.GLASS, -1)),
        end_panel(-2.79, (-0.008, 0.008), (0.62, 2.2), Material.PLASTIC, -1),
        end_panel(-2.79, (-0.92, 0.92), (0.42, 0.60), Material.PLASTIC, -1),
        lamps(-2.79, (0.78, 0.92), (0.95, 1.45), False),
        plate(-2.79, 0.75, -1),
    )
    front = merge(
        lamps(2.79, (0.50, 0.82), (0.74, 0.98), True),
        end_panel(2.79, (-0.48, 0.48), (0.72, 0.94), Material.PLASTIC, 1),
        end_panel(2.79, (-0.80, 0.80), (0.40, 0.58), Material.PLASTIC, 1),
        plate(2.79, 0.60, 1),
    )
    return merge(body, sides, rear, front)


def minibus() -> Part:
    """Returns a people carrier with windows all round."""
    body = tall_body(
        (
            (-2.54, 0.88, 0.40, 1.88, False),
            (-2.44, 0.94, 0.30, 1.97, False),
            (0.90, 0.95, 0.28, 1.98, False),
            (1.15, 0.95, 0.28, 1.92, True),
            (1.95, 0.92, 0.28, 1.16, False),
            (2.38, 0.86, 0.30, 0.98, False),
            (2.54, 0.76, 0.34, 0.86, False),
        ),
        0.12,
    )  # fmt: skip
    row = [
        side_panel((x0, x1), 0.955, (1.10, 1.66), Material.GLASS, 0.018)
        for x0, x1 in ((-2.30, -1.30), (-1.22, -0.25), (-0.17, 0.92))
    ]
    front_door = [
        (1.82, 0.935, 1.10),
        (1.00, 0.955, 1.10),
        (1.00, 0.937, 1.66),
        (1.26, 0.937, 1.66),
    ]
    sides = both_sides(
        merge(
            car_wheel(-1.54, 0.962, 0.34, 0.40),
            car_wheel(1.56, 0.962, 0.34, 0.40),
            *row,
            decal(front_door, Material.GLASS, 0.012),
            box((1.55, 0.90, 1.08), (1.66, 1.00, 1.30), Material.PAINT, 'y-'),
        )
    )
    rear = merge(
        end_panel(-2.54, (-0.76, 0.76), (1.14, 1.74), Material.GLASS, -1),
        lamps(-2.54, (0.70, 0.86), (0.80, 1.10), False),
        end_panel(-2.54, (-0.86, 0.86), (0.40, 0.54), Material.PLASTIC, -1),
        plate(-2.54, 0.62, -1),
    )
    front = merge(
        lamps(2.54, (0.44, 0.74), (0.62, 0.80), True),
        end_panel(2.54, (-0.42, 0.42), (0.62, 0.78), Material.PLASTIC, 1),
        end_panel(2.54, (-0.70, 0.70), (0.36, 0.46), Material.PLASTIC, 1),
        plate(2.54, 0.48, 1),
    )
    return merge(body, sides, rear, front)


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
        box((rear_x, -0.45, 0.62), (front_x - 1.6, 0.45, 0.98), Material.PLASTIC),
        box((rear_x, -1.12, 0.48), (rear_x + 0.10, 1.12, 0.66), Material.PLASTIC),
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
    guard = box((1.60, -1.05, 2.90), (2.60, 1.05, 2.98), Material.PAINT)
    board = loft(
        [[(x0, -y, z), (x1, -y, z), (x1, y, z), (x0, y, z)]
         for x0, x1, y, z in ((1.50, 1.62, 1.2, 2.5), (1.56, 1.66, 1.1, 2.95))],
        Material.PAINT, end=Material.PAINT,
    )  # fmt: skip
    ribs = [
        loft(
            (((x - 0.05, 1.01, 1.1), (x - 0.05, 0.9, 1.1), (x + 0.05, 0.9, 1.1),
              (x + 0.05, 1.01, 1.1)),
             ((x - 0.05, 1.25, 2.5), (x - 0.05, 1.1, 2.5), (x + 0.05, 1.1, 2.5),
              (x + 0.05, 1.25, 2.5))),
            Material.PAINT,
        )
        for x in (-2.4, -1.0, 0.4)
    ]  # fmt: skip
    wheels = [
        car_wheel(x, 1.20, 0.50, arch) for x, arch in ((-1.90, 0.0), (-0.75, 0.0), (2.15, 0.58))
    ]
    beacon = box((2.2, -0.1, 2.98), (2.4, 0.1, 3.10), Material.LIGHT_YELLOW, 'z-')
    return merge(
        truck_cab(3.69, 1.16, 2.80), truck_frame(-3.69, 3.69), skip, earth, guard, board, beacon,
        both_sides(merge(*ribs, *wheels)),
    )  # fmt: skip


def bus(length_m: float, axles: tuple[float, float], panes: int, doors: tuple[float, ...]) -> Part:
    """Returns a low-floor city bus.

    Args:
        length_m: whole.
        axles: x of rear and front axle.
        panes: side windows.
        doors: x of the middle of each door, on the right side.
    """
    end, half = length_m / 2, 1.25
    body = tall_body(
        (
            (-end + 0.01, half - 0.06, 0.38, 2.92, False),
            (-end + 0.12, half, 0.30, 3.03, False),
            (end - 0.22, half, 0.30, 3.03, False),
            (end - 0.01, half - 0.08, 0.34, 2.90, False),
        ),
        0.16,
    )
    edges = np.linspace(-end + 0.35, end - 0.95, panes + 1)
    left = [side_panel((a + 0.04, b - 0.04), half, (1.25, 2.40), Material.GLASS, 0.016)
            for a, b in pairwise(edges)]  # fmt: skip
    driver = side_panel((end - 0.88, end - 0.28), half, (1.10, 2.40), Material.GLASS, 0.016)
    skirt = side_panel((-end + 0.2, end - 0.3), half, (0.34, 0.44), Material.PLASTIC)
    wheels = [car_wheel(x, half + 0.012, 0.48, 0.57) for x in axles]
    right = []
    for x in doors:
        for leaf in (-0.32, 0.32):
            right.append(
                side_panel((x + leaf - 0.29, x + leaf + 0.29), half + 0.012, (0.42, 2.44),
                           Material.GLASS, 0.012).mirrored()
            )  # fmt: skip
        right.append(
            side_panel((x - 0.70, x + 0.70), half + 0.006, (0.36, 2.50), Material.PLASTIC,
                       0.012).mirrored()
        )  # fmt: skip
    mirrors = box((end - 0.30, half - 0.06, 2.0), (end - 0.16, half + 0.03, 2.5),
                  Material.PLASTIC, 'y-')  # fmt: skip
    return merge(body, both_sides(merge(*left, *wheels, driver, skirt, mirrors)), *right,
                 _bus_ends(end, half), _bus_roof(end))  # fmt: skip


def _bus_ends(end: float, half: float) -> Part:
    front, rear = end - 0.01, -end + 0.01
    sign = [end_panel(front + 0.006, (y - 0.10, y + 0.10), (2.56, 2.76), Material.SIGN_WHITE, 1)
            for y in (-0.66, -0.38, 0.0, 0.28, 0.56)]  # fmt: skip
    return merge(
        end_panel(front, (-half + 0.13, half - 0.13), (1.02, 2.44), Material.GLASS, 1),
        end_panel(front, (-0.95, 0.95), (2.50, 2.82), Material.SIGN_BLACK, 1),
        *sign,
        lamps(front, (0.72, 1.10), (0.58, 0.80), True),
        end_panel(front, (-half + 0.1, half - 0.1), (0.36, 0.50), Material.PLASTIC, 1),
        plate(front, 0.54, 1),
        end_panel(rear, (-0.95, 0.95), (1.55, 2.40), Material.GLASS, -1),
        end_panel(rear, (0.1, 0.6), (2.52, 2.74), Material.SIGN_BLACK, -1),
        end_panel(rear, (-0.75, 0.75), (0.80, 1.30), Material.PLASTIC, -1),
        lamps(rear, (0.98, 1.14), (0.85, 1.45), False),
        plate(rear, 0.60, -1),
    )


def _bus_roof(end: float) -> Part:
    return merge(
        box((-end + 1.0, -0.75, 3.0), (-end + 2.8, 0.75, 3.05), Material.CARGO, 'z-'),
        box((-0.6, -0.75, 3.0), (1.2, 0.75, 3.05), Material.CARGO, 'z-'),
    )
