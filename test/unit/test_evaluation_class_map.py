"""One class map for all sources: what their names come to."""

from __future__ import annotations

import pytest

from bev_perception.evaluation.class_map import (
    DETECTION_CLASSES,
    class_group,
    common_class,
    detection_class,
    layer_classes,
    model_class,
)

NUSCENES = {  # devkit, category_to_detection_name
    'movable_object.barrier': 'barrier',
    'vehicle.bicycle': 'bicycle',
    'vehicle.bus.bendy': 'bus',
    'vehicle.bus.rigid': 'bus',
    'vehicle.car': 'car',
    'vehicle.construction': 'construction_vehicle',
    'vehicle.motorcycle': 'motorcycle',
    'human.pedestrian.adult': 'pedestrian',
    'human.pedestrian.child': 'pedestrian',
    'human.pedestrian.construction_worker': 'pedestrian',
    'human.pedestrian.police_officer': 'pedestrian',
    'movable_object.trafficcone': 'traffic_cone',
    'vehicle.trailer': 'trailer',
    'vehicle.truck': 'truck',
    'animal': None,
    'human.pedestrian.personal_mobility': None,
    'human.pedestrian.stroller': None,
    'human.pedestrian.wheelchair': None,
    'movable_object.debris': None,
    'movable_object.pushable_pullable': None,
    'static_object.bicycle_rack': None,
    'vehicle.emergency.ambulance': None,
    'vehicle.emergency.police': None,
}


@pytest.mark.parametrize(('category', 'expected'), NUSCENES.items())
def test_categories_of_nuscenes(category: str, expected: str | None) -> None:
    assert detection_class(category) == expected


@pytest.mark.parametrize('name', DETECTION_CLASSES)
def test_detection_classes_are_themselves(name: str) -> None:
    assert detection_class(name) == name
    assert detection_class(name.upper().replace('_', ' ')) == name


@pytest.mark.parametrize(
    ('name', 'common'),
    [
        ('Car', 'car'),
        ('TRUCK', 'truck'),
        ('Bus/RV/Caravan', 'bus'),
        ('Pedestrian', 'pedestrian'),
        ('Bicyclist', 'bicycle'),
        ('van', 'van'),
        ('trafficCone', 'traffic_cone'),
        ('Animal', None),
        ('UNKNOWN', None),
    ],
)
def test_names_of_other_sources(name: str, common: str | None) -> None:
    assert common_class(name) == common


def test_classes_that_a_model_lacks() -> None:
    assert model_class('van', ('car', 'bus')) == 'car'
    assert model_class('van', ('van', 'car')) == 'van'
    assert model_class('bus', ('vehicle',)) == 'vehicle'
    assert model_class('bicycle', ('car',)) is None
    assert model_class('dog', ('car', 'pedestrian')) is None
    assert model_class('dog', ('car', 'Dog')) == 'Dog'


def test_models_keep_their_spelling() -> None:
    assert model_class('vehicle.car', ('CAR', 'PEDESTRIAN')) == 'CAR'
    assert model_class('Pedestrian', ('human.pedestrian.adult',)) == 'human.pedestrian.adult'
    assert model_class('vehicle.motorcycle', ('car', 'two-wheeler')) == 'two-wheeler'
    # Two names of one class: the own one, else the first.
    assert model_class('person', ('adult', 'person')) == 'person'
    assert model_class('pedestrian', ('adult', 'person')) == 'adult'


def test_detection_knows_no_vans() -> None:
    assert detection_class('van') == 'car'
    assert model_class('vehicle.emergency.police', ('car',)) == 'car'


def test_layers_of_movable_things() -> None:
    vehicles = layer_classes('vehicle')
    assert vehicles is not None
    assert vehicles >= {'car', 'van', 'truck', 'bus', 'trailer', 'construction_vehicle'}
    assert not vehicles & {'motorcycle', 'bicycle', 'pedestrian'}
    two_wheelers = layer_classes('two_wheeler')
    assert two_wheelers is not None and two_wheelers >= {'motorcycle', 'bicycle'}
    assert layer_classes('pedestrian') == {'pedestrian'} and layer_classes('car') == {'car'}
    for layer in ('drivable', 'crossing', 'sidewalk', 'lane_marking', 'occupancy'):
        assert layer_classes(layer) is None


def test_groups_of_road_users() -> None:
    assert class_group('vehicle.bus.bendy') == class_group('van') == 'vehicle'
    assert class_group('Bicycle') == class_group('two_wheeler') == 'two_wheeler'
    assert class_group('human.pedestrian.child') == 'pedestrian'
    assert class_group('barrier') is None and class_group('animal') is None
