"""Vans."""

from __future__ import annotations

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.panels import end_panel, lamps, plate, side_panel, tall_body
from bev_trainer.render.meshes.shapes import Part, both_sides, box, decal, merge
from bev_trainer.render.meshes.wheels import car_wheel


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
