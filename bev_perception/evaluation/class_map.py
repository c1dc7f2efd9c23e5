"""One class map: what the classes of all sources are for a model, a layer, or nuScenes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

# Other names of classes, without case and punctuation: nuScenes' categories, DGP's ontology,
# KITTI's, Autoware's labels.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    'car': ('vehiclecar', 'vehicleemergencypolice', 'passengercar', 'suv', 'sedan'),
    'van': ('vehiclevan', 'minivan'),
    'truck': ('vehicletruck', 'vehicleemergencyambulance', 'ambulance', 'lorry'),
    'bus': ('vehiclebus', 'vehiclebusbendy', 'vehiclebusrigid', 'busrvcaravan', 'coach'),
    'trailer': ('vehicletrailer', 'towedobject', 'caravan'),
    'construction_vehicle': ('vehicleconstruction', 'constructionvehicle'),
    'motorcycle': ('vehiclemotorcycle', 'motorcyclist', 'motorbike', 'scooter'),
    'bicycle': ('vehiclebicycle', 'bicyclist', 'cyclist', 'bike'),
    'pedestrian': (
        'human', 'humanpedestrian', 'humanpedestrianadult', 'humanpedestrianchild',
        'humanpedestrianconstructionworker', 'humanpedestrianpoliceofficer', 'person',
        'personsitting', 'adult', 'child',
    ),
    'barrier': ('movableobjectbarrier', 'temporaryconstructionbarrier'),
    'traffic_cone': ('movableobjecttrafficcone', 'trafficcone', 'cone'),
    'two_wheeler': ('twowheeler', 'cycle'),
    'vehicle': ('othervehicle', 'othervehicleuncommon'),
}  # fmt: skip

# Other names of maps of what never moves, likewise.
_LAYER_ALIASES: Mapping[str, tuple[str, ...]] = {
    'drivable': ('drivablearea', 'drivablesurface', 'road'),
    'crossing': ('pedcrossing', 'pedestriancrossing', 'crosswalk'),
    'sidewalk': ('walkway', 'pavement', 'footpath'),
    'lane_marking': ('lanemarkings', 'marking', 'markings'),
}

# What a model without a class of its own takes a road user for.
NEAREST_CLASS: Mapping[str, tuple[str, ...]] = {
    'van': ('car', 'vehicle'),
    'car': ('vehicle',),
    'truck': ('vehicle',),
    'bus': ('truck', 'vehicle'),
    'trailer': ('truck', 'vehicle'),
    'construction_vehicle': ('truck', 'vehicle'),
    'motorcycle': ('two_wheeler', 'vehicle'),
    'bicycle': ('two_wheeler',),
}

DETECTION_CLASSES = (
    'car', 'truck', 'bus', 'trailer', 'construction_vehicle', 'pedestrian', 'motorcycle',
    'bicycle', 'traffic_cone', 'barrier',
)  # fmt: skip

# nuScenes' detection task leaves these out though a model may well call them cars and trucks
# (devkit, `category_to_detection_name`).
_NOT_DETECTED = ('vehicleemergencypolice', 'vehicleemergencyambulance', 'ambulance')

_VEHICLES = frozenset(('car', 'van', 'truck', 'bus', 'trailer', 'construction_vehicle', 'vehicle'))
_UNIONS: Mapping[str, frozenset[str]] = {
    'vehicle': _VEHICLES,
    'two_wheeler': frozenset(('motorcycle', 'bicycle', 'two_wheeler')),
    'pedestrian': frozenset(('pedestrian',)),
}


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return re.sub(r'[\W_]+', '', name.lower())


_LAYER_OF = {
    _plain(alias): name for name, aliases in _LAYER_ALIASES.items() for alias in (name, *aliases)
}
_CLASS_OF = {
    _plain(alias): name for name, aliases in _ALIASES.items() for alias in (name, *aliases)
}


def common_class(name: str) -> str | None:
    """Returns the one name for a class that all sources' names of it come to; None if unknown.

    Case and punctuation ('.', '_', '-', '/', blanks) do not matter. Unknown are, for example,
    animals, debris, prams and wheelchairs.
    """
    return _CLASS_OF.get(_plain(name))


@lru_cache(maxsize=4096)
def _model_class(name: str, classes: tuple[str, ...]) -> str | None:
    plain = {_plain(own): own for own in reversed(classes)}
    if _plain(name) in plain:
        return plain[_plain(name)]
    found = common_class(name)
    if found is None:
        return None
    common = {common_class(own): own for own in reversed(classes)}
    names = (found, *NEAREST_CLASS.get(found, ()))
    return next((common[item] for item in names if item in common), None)


def model_class(name: str, classes: Sequence[str]) -> str | None:
    """Returns what a model with these classes should call an object; None for nothing.

    Args:
        name: of the object's class, as its source names it: nuScenes' categories and detection
            classes, DGP's, Autoware's and the synthetic world's are known.
        classes: of the model, in its own spelling.
    """
    return _model_class(name, tuple(classes))


def detection_class(name: str) -> str | None:
    """Returns which of nuScenes' ten detection classes an object is of; None for none of them.

    A van, which nuScenes does not tell from cars, is a car.
    """
    if _plain(name) in _NOT_DETECTED:
        return None
    found = common_class(name)
    found = 'car' if found == 'van' else found
    return found if found in DETECTION_CLASSES else None


def layer_classes(layer: str, layers: Sequence[str] | None = None) -> frozenset[str] | None:
    """Returns the classes (see `common_class`) that a layer of movable things is the union of.

    Vehicles are those with more than two wheels. Those with two are vehicles as well for models
    that have no layer for them, as everywhere since Lift-Splat-Shoot (whose vehicles are all
    nuScenes categories with 'vehicle' in their name). None for what never moves.

    Args:
        layer: name of the layer.
        layers: all layers of the model; None when they do not matter.
    """
    found = common_class(layer)
    if found is None:
        return None
    members = _UNIONS.get(found, frozenset((found,)))
    if found == 'vehicle' and layers is not None:
        two_wheelers = _UNIONS['two_wheeler']
        if not any(two_wheelers & (layer_classes(other) or frozenset()) for other in layers):
            members |= two_wheelers
    return members


def source_layer(layer: str, sources: Collection[str]) -> str | None:
    """Returns which of a source's maps shows what a model calls `layer`; None for none.

    Case and punctuation do not matter, and nuScenes' names are known.
    """
    wanted = _LAYER_OF.get(_plain(layer), _plain(layer))
    return next(
        (name for name in sources if _LAYER_OF.get(_plain(name), _plain(name)) == wanted), None
    )


def class_group(name: str) -> str | None:
    """Returns 'vehicle', 'two_wheeler' or 'pedestrian' for a road user's class, else None."""
    found = common_class(name)
    return next((group for group, members in _UNIONS.items() if found in members), None)
