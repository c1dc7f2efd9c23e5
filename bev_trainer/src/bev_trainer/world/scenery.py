"""What stands beside the road."""

from __future__ import annotations

from dataclasses import dataclass

from bev_trainer.world.catalogue import Rgb
from bev_trainer.world.classes import SemanticClass

# Models that scenery may use, with the class of their pixels.
PROP_CLASSES: dict[str, SemanticClass] = {
    'building_flat': SemanticClass.BUILDING,
    'building_gable': SemanticClass.BUILDING,
    'building_tower': SemanticClass.BUILDING,
    'tree_round': SemanticClass.VEGETATION,
    'tree_conifer': SemanticClass.VEGETATION,
    'bush': SemanticClass.VEGETATION,
    'hedge': SemanticClass.VEGETATION,
    'street_lamp': SemanticClass.STRUCTURE,
    'signal': SemanticClass.STRUCTURE,
    'sign_speed': SemanticClass.STRUCTURE,
    'sign_yield': SemanticClass.STRUCTURE,
    'sign_stop': SemanticClass.STRUCTURE,
    'bollard': SemanticClass.STRUCTURE,
    'bench': SemanticClass.STRUCTURE,
    'bin': SemanticClass.STRUCTURE,
    'fence': SemanticClass.STRUCTURE,
    'bus_shelter': SemanticClass.STRUCTURE,
}


@dataclass(frozen=True)
class Prop:
    """One thing that does not move.

    Attributes:
        model: a key of `PROP_CLASSES`, and of its mesh.
        x_m: centre of its footprint, world frame; it stands on the ground.
        y_m: likewise.
        yaw_rad: turn about z; lamps, signs and traffic lights face along it.
        length_m: size along its own x.
        width_m: along its own y.
        height_m: up.
        color_rgb: linear, 0..1.
        seed: 0..255, for what varies within a model (facade, lit windows).
        signal: for traffic lights, index into `RoadMap.signals`; else -1.
    """

    model: str
    x_m: float
    y_m: float
    yaw_rad: float
    length_m: float
    width_m: float
    height_m: float
    color_rgb: Rgb
    seed: int = 0
    signal: int = -1
