"""The numbers that make one passenger car differ from another."""

from __future__ import annotations

from dataclasses import dataclass

from bev_trainer.render.mesh import Material

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
