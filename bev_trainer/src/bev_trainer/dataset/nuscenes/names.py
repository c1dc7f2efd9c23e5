"""What nuScenes calls things, and its tables that are the same for every data set."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from bev_perception.frame import MOVING_SPEED_MPS
from bev_trainer.dataset.description import ObjectSection
from bev_trainer.dataset.tokens import token
from bev_trainer.errors import DatasetError

LIDAR = 'LIDAR_TOP'
VERSION = 'v1.0-synth'

# nuScenes has no vans: they are cars there.
_CATEGORIES = {
    'car': 'vehicle.car',
    'van': 'vehicle.car',
    'truck': 'vehicle.truck',
    'bus': 'vehicle.bus.rigid',
    'motorcycle': 'vehicle.motorcycle',
    'bicycle': 'vehicle.bicycle',
    'pedestrian': 'human.pedestrian.adult',
}
_CHILD = 'human.pedestrian.child'
CATEGORIES = (*dict.fromkeys(_CATEGORIES.values()), _CHILD)
ATTRIBUTES = {
    'vehicle.moving': 'Vehicle is moving.',
    'vehicle.stopped': 'Vehicle stands, but is on its way.',
    'vehicle.parked': 'Vehicle stands for the whole drive.',
    'cycle.with_rider': 'There is a rider on it.',
    'pedestrian.moving': 'Pedestrian is moving.',
    'pedestrian.standing': 'Pedestrian stands.',
}
# Upper ends of the bins of the visible share.
_VISIBILITY = {
    '1': (0.4, 'v0-40'),
    '2': (0.6, 'v40-60'),
    '3': (0.8, 'v60-80'),
    '4': (1, 'v80-100'),
}


def category_name(item: ObjectSection) -> str:
    """Returns the category of a road user."""
    child = item.class_name == 'pedestrian' and item.model == 'child'
    return _CHILD if child else _CATEGORIES[item.class_name]


def attribute_name(item: ObjectSection, velocity_mps: Sequence[float]) -> str:
    """Returns the one attribute of a road user at some velocity [2]."""
    moves = math.hypot(*velocity_mps) >= MOVING_SPEED_MPS
    if item.class_name == 'pedestrian':
        return 'pedestrian.moving' if moves else 'pedestrian.standing'
    if item.class_name in ('motorcycle', 'bicycle'):
        return 'cycle.with_rider'
    if item.parked:
        return 'vehicle.parked'
    return 'vehicle.moving' if moves else 'vehicle.stopped'


def visibility_token(share: float) -> str:
    """Returns '1' to '4' for a visible share of 0 to 1."""
    return next(name for name, (upper, _) in _VISIBILITY.items() if share <= upper)


def camera_channels(names: Sequence[str]) -> tuple[str, ...]:
    """Returns channels such as CAM_FRONT_LEFT of a rig's camera names.

    Raises:
        DatasetError: two cameras would share a channel.
    """
    channels = tuple('CAM_' + re.sub('[^A-Z0-9]+', '_', name.upper()) for name in names)
    for index, channel in enumerate(channels):
        if channel in channels[:index]:
            twin = names[channels.index(channel)]
            raise DatasetError(
                f"cameras '{twin}' and '{names[index]}' would both be {channel} in nuScenes; "
                'rename one in the rig'
            )
    return channels


def constant_tables() -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of category, attribute and visibility."""
    return {
        'category': [
            {'token': token('category', name), 'name': name, 'description': '', 'index': index}
            for index, name in enumerate(CATEGORIES)
        ],
        'attribute': [
            {'token': token('attribute', name), 'name': name, 'description': text}
            for name, text in ATTRIBUTES.items()
        ],
        'visibility': [
            {
                'token': name,
                'level': level,
                'description': f'visible share of the object over all cameras, up to {upper:.0%}',
            }
            for name, (upper, level) in _VISIBILITY.items()
        ],
    }
