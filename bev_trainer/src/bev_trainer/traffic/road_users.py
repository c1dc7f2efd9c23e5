"""Tracks of road users out of SUMO's positions."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry.rig_file import RigFileVehicle
from bev_trainer.traffic.demand import EGO_TYPE
from bev_trainer.traffic.motion import person_motion, vehicle_motion
from bev_trainer.traffic.simulation import STEP_S, RawTrack
from bev_trainer.world.catalogue import MODELS, RoadUserModel
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.tracks import Track


def nearest_model(vehicle: RigFileVehicle) -> RoadUserModel:
    """Returns the vehicle of the catalogue whose size is nearest; a person for the sidewalk."""
    if vehicle.drives_on == 'sidewalk':
        return MODELS['adult']
    size = np.array([vehicle.length_m, vehicle.width_m, vehicle.height_m])
    models = [model for model in MODELS.values() if model.wheelbase_m > 2.0]
    sizes = np.array([[m.length_m, m.width_m, m.height_m] for m in models])
    return models[int(np.argmin(np.abs(np.log(sizes / size)).sum(axis=-1)))]


def road_users(
    raws: list[RawTrack], vehicle: RigFileVehicle, rng: np.random.Generator
) -> list[Track]:
    """Returns everyone's smoothed track, in the order of the names; `rng` draws the colours."""
    return [_track(raw, vehicle, rng) for raw in raws if len(raw.front_m) > 1]


def _track(raw: RawTrack, vehicle: RigFileVehicle, rng: np.random.Generator) -> Track:
    ego = raw.type_name == EGO_TYPE
    model = nearest_model(vehicle) if ego else MODELS[raw.type_name]
    size = (model.length_m, model.width_m, model.height_m)
    overhang = model.rear_overhang_m
    if ego and vehicle.drives_on == 'road':
        size = (vehicle.length_m, vehicle.width_m, vehicle.height_m)
        overhang = vehicle.rear_overhang_m
    if model.object_class == SemanticClass.PEDESTRIAN:
        middle, yaw = person_motion(raw.front_m, float(raw.yaw_rad[0]))
    else:
        middle, yaw = vehicle_motion(raw.front_m, float(raw.yaw_rad[0]), size[0], overhang)
    paint = model.paint[int(rng.integers(len(model.paint)))]
    return Track(
        raw.name, model.object_class, model.name, paint, *size, raw.start_s, STEP_S,
        middle[:, 0], middle[:, 1], yaw,
    )  # fmt: skip
