"""Procedural meshes of everything that stands or moves in the synthetic world."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from bev_trainer.errors import SimulationError
from bev_trainer.render.mesh import Mesh
from bev_trainer.render.meshes import (
    buildings,
    buses,
    car_shapes,
    cars,
    people,
    plants,
    street,
    trucks,
    two_wheelers,
    vans,
)
from bev_trainer.render.meshes.finish import finished, finished_walker
from bev_trainer.render.meshes.shapes import Part
from bev_trainer.world.catalogue import MODELS
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.prop_sizes import PROP_SIZES_M

_BUILDERS: dict[str, Callable[[], Part]] = {
    'sedan': partial(cars.car, car_shapes.SEDAN),
    'hatchback': partial(cars.car, car_shapes.HATCHBACK),
    'suv': partial(cars.car, car_shapes.SUV),
    'wagon': partial(cars.car, car_shapes.WAGON),
    'pickup': cars.pickup,
    'delivery_van': vans.delivery_van,
    'minibus': vans.minibus,
    'box_truck': trucks.box_truck,
    'dump_truck': trucks.dump_truck,
    'city_bus': partial(buses.bus, 12.0, (-2.65, 3.25), 7, (4.9, 0.5, -4.4)),
    'midi_bus': partial(buses.bus, 9.0, (-2.10, 2.40), 5, (3.6, -0.2)),
    'motorcycle': two_wheelers.motorcycle,
    'scooter': two_wheelers.scooter,
    'bicycle': two_wheelers.bicycle,
    'cargo_bicycle': two_wheelers.cargo_bicycle,
    'adult': partial(people.walker, people.ADULT),
    'adult_coat': partial(people.walker, people.ADULT_COAT),
    'child': partial(people.walker, people.CHILD),
    'building_flat': buildings.building_flat,
    'building_gable': buildings.building_gable,
    'building_tower': buildings.building_tower,
    'tree_round': plants.tree_round,
    'tree_conifer': plants.tree_conifer,
    'bush': plants.bush,
    'hedge': plants.hedge,
    'street_lamp': street.street_lamp,
    'signal': street.signal,
    'sign_speed': street.sign_speed,
    'sign_yield': street.sign_yield,
    'sign_stop': street.sign_stop,
    'bollard': street.bollard,
    'bench': street.bench,
    'bin': street.bin_,
    'fence': street.fence,
    'bus_shelter': street.bus_shelter,
}


@cache
def mesh_of(model: str) -> Mesh:
    """Returns the mesh of a model, in its unit box; its arrays are read-only.

    Args:
        model: a key of `catalogue.MODELS` or of `scenery.PROP_CLASSES`.

    Raises:
        SimulationError: there is no such model.
    """
    if model not in _BUILDERS:
        known = ', '.join(_BUILDERS)
        raise SimulationError(f'no mesh is called {model!r}; use one of {known}')
    part = _BUILDERS[model]()
    road_user = MODELS.get(model)
    if road_user is None:
        return finished(part, *PROP_SIZES_M[model])
    size = road_user.length_m, road_user.width_m, road_user.height_m
    if road_user.object_class == SemanticClass.PEDESTRIAN:
        return finished_walker(part, *size)
    return finished(part, *size)
