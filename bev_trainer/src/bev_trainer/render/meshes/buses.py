"""Buses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.panels import end_panel, lamps, plate, side_panel, tall_body
from bev_trainer.render.meshes.shapes import Part, both_sides, box, merge
from bev_trainer.render.meshes.wheels import car_wheel


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
