"""The kinds of road user: sizes, how common they are, and the paint they come in."""

from __future__ import annotations

from dataclasses import dataclass

from bev_trainer.world.classes import SemanticClass

Rgb = tuple[float, float, float]

VEHICLE_PAINT: tuple[Rgb, ...] = (
    (0.82, 0.82, 0.80), (0.55, 0.57, 0.58), (0.30, 0.31, 0.33), (0.05, 0.05, 0.06),
    (0.60, 0.07, 0.06), (0.07, 0.15, 0.38), (0.10, 0.30, 0.20), (0.55, 0.45, 0.30),
    (0.70, 0.35, 0.05), (0.20, 0.36, 0.50),
)  # fmt: skip
FLEET_PAINT: tuple[Rgb, ...] = (
    (0.85, 0.85, 0.83), (0.75, 0.60, 0.05), (0.10, 0.25, 0.55), (0.55, 0.08, 0.06),
    (0.15, 0.40, 0.25),
)  # fmt: skip
CLOTHES: tuple[Rgb, ...] = (
    (0.12, 0.14, 0.20), (0.55, 0.12, 0.12), (0.75, 0.72, 0.65), (0.15, 0.35, 0.22),
    (0.35, 0.28, 0.45), (0.70, 0.55, 0.15), (0.10, 0.30, 0.50), (0.40, 0.40, 0.42),
)  # fmt: skip


@dataclass(frozen=True)
class RoadUserModel:
    """One shape of road user.

    Attributes:
        name: of the model, and of its mesh.
        object_class: what it is labelled as.
        length_m: nominal size along the heading, riders included.
        width_m: across.
        height_m: up.
        wheelbase_m: between axles; 0 for pedestrians.
        rear_overhang_m: from the rear end to the rear axle.
        share: how common it is within its class; the shares of a class sum to 1.
        paint: colours to draw from.
    """

    name: str
    object_class: SemanticClass
    length_m: float
    width_m: float
    height_m: float
    wheelbase_m: float
    rear_overhang_m: float
    share: float
    paint: tuple[Rgb, ...] = VEHICLE_PAINT


_C = SemanticClass

ROAD_USERS: tuple[RoadUserModel, ...] = (
    RoadUserModel('sedan', _C.CAR, 4.75, 1.84, 1.45, 2.80, 1.00, 0.30),
    RoadUserModel('hatchback', _C.CAR, 4.05, 1.77, 1.48, 2.55, 0.70, 0.30),
    RoadUserModel('suv', _C.CAR, 4.65, 1.90, 1.70, 2.75, 0.95, 0.25),
    RoadUserModel('wagon', _C.CAR, 4.75, 1.84, 1.50, 2.80, 1.05, 0.10),
    RoadUserModel('pickup', _C.CAR, 5.35, 1.93, 1.82, 3.25, 1.15, 0.05),
    RoadUserModel('delivery_van', _C.VAN, 5.60, 2.05, 2.45, 3.45, 1.10, 0.6, FLEET_PAINT),
    RoadUserModel('minibus', _C.VAN, 5.10, 1.95, 1.98, 3.10, 1.00, 0.4),
    RoadUserModel('box_truck', _C.TRUCK, 8.10, 2.45, 3.40, 4.40, 2.20, 0.6, FLEET_PAINT),
    RoadUserModel('dump_truck', _C.TRUCK, 7.40, 2.50, 3.10, 4.00, 1.80, 0.4, FLEET_PAINT),
    RoadUserModel('city_bus', _C.BUS, 12.00, 2.55, 3.05, 5.90, 3.35, 0.8, FLEET_PAINT),
    RoadUserModel('midi_bus', _C.BUS, 9.00, 2.45, 3.00, 4.50, 2.40, 0.2, FLEET_PAINT),
    RoadUserModel('motorcycle', _C.MOTORCYCLE, 2.15, 0.80, 1.65, 1.45, 0.35, 0.5),
    RoadUserModel('scooter', _C.MOTORCYCLE, 1.90, 0.72, 1.68, 1.30, 0.30, 0.5),
    RoadUserModel('bicycle', _C.BICYCLE, 1.80, 0.60, 1.75, 1.05, 0.35, 0.7, CLOTHES),
    RoadUserModel('cargo_bicycle', _C.BICYCLE, 2.45, 0.72, 1.75, 1.70, 0.35, 0.3, CLOTHES),
    RoadUserModel('adult', _C.PEDESTRIAN, 0.80, 0.62, 1.76, 0.0, 0.0, 0.5, CLOTHES),
    RoadUserModel('adult_coat', _C.PEDESTRIAN, 0.79, 0.66, 1.70, 0.0, 0.0, 0.3, CLOTHES),
    RoadUserModel('child', _C.PEDESTRIAN, 0.59, 0.48, 1.28, 0.0, 0.0, 0.2, CLOTHES),
)
MODELS: dict[str, RoadUserModel] = {model.name: model for model in ROAD_USERS}


def models_of(object_class: SemanticClass) -> tuple[RoadUserModel, ...]:
    """Returns the models of a class, in a fixed order."""
    return tuple(model for model in ROAD_USERS if model.object_class == object_class)
