"""What nuScenes' development kit makes of a converted data set, as JSON on stdout.

Runs in an environment with requirements.txt beside this file, not in that of the project:
    python report.py FOLDER > report.json
Every table is loaded, every chain followed, every file opened, every box put into every camera,
and the detection benchmark is run with the ground truth as prediction.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from nuscenes.eval.detection.constants import DETECTION_NAMES
from nuscenes.eval.detection.data_classes import DetectionConfig
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import BoxVisibility, view_points

VERSION = 'v1.0-synth'
_RANGES_M = {'pedestrian': 40, 'motorcycle': 40, 'bicycle': 40, 'traffic_cone': 30, 'barrier': 30}


def report(folder: Path) -> dict[str, Any]:
    """Returns everything; raises where the kit cannot cope."""
    nusc = NuScenes(version=VERSION, dataroot=str(folder), verbose=False)
    splits = json.loads((folder / VERSION / 'splits.json').read_text())
    scenes = {scene['name']: scene for scene in nusc.scene}
    return {
        'counts': {name: len(getattr(nusc, name)) for name in nusc.table_names},
        'chains': {name: _chains(nusc, scene) for name, scene in scenes.items()},
        'boxes': [row for sample in nusc.sample for row in _boxes(nusc, sample)],
        'velocities': [_velocity(nusc, item) for item in nusc.sample_annotation],
        'on_map': {name: _on_map(nusc, scene) for name, scene in scenes.items()},
        'lidar_points': {item['token']: _points(nusc, item) for item in nusc.sample},
        'detection': {name: _detection(nusc, name) for name, found in splits.items() if found},
    }


def _samples(nusc: NuScenes, scene: dict[str, Any]) -> list[dict[str, Any]]:
    samples = [nusc.get('sample', scene['first_sample_token'])]
    while samples[-1]['next']:
        samples.append(nusc.get('sample', samples[-1]['next']))
    return samples


def _chains(nusc: NuScenes, scene: dict[str, Any]) -> dict[str, int]:
    """Returns how many readings of each channel follow each other; all files are opened."""
    counts = {}
    first = nusc.get('sample', scene['first_sample_token'])
    for channel, token in first['data'].items():
        count = 0
        while token:
            reading = nusc.get('sample_data', token)
            path = nusc.get_sample_data_path(token)
            if reading['fileformat'] == 'jpg':
                image = cv2.imread(path)
                assert image is not None, path
                assert image.shape[:2] == (reading['height'], reading['width']), path
            else:
                LidarPointCloud.from_file(path)
            count, token = count + 1, reading['next']
        counts[channel] = count
    return counts


def _boxes(nusc: NuScenes, sample: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns all boxes of a sample in the frame of every camera, with projected corners."""
    rows = []
    for channel, token in sample['data'].items():
        if channel == 'LIDAR_TOP':
            continue
        _, boxes, intrinsic = nusc.get_sample_data(token, box_vis_level=BoxVisibility.NONE)
        visible = nusc.get_sample_data(token, box_vis_level=BoxVisibility.ANY)[1]
        scene = nusc.get('scene', sample['scene_token'])['name']
        for box in boxes:
            item = nusc.get('sample_annotation', box.token)
            uv = view_points(box.corners(), np.array(intrinsic), normalize=True)[:2]
            rows.append(
                {
                    'scene': scene,
                    'stamp_us': sample['timestamp'],
                    'channel': channel,
                    'instance': nusc.get('instance', item['instance_token'])['instance_id'],
                    'center_m': box.center.tolist(),
                    'corners_m': box.corners().T.tolist(),
                    'uv': uv.T.tolist(),
                    'in_image': box.token in {other.token for other in visible},
                }
            )
    return rows


def _velocity(nusc: NuScenes, item: dict[str, Any]) -> dict[str, Any]:
    found = nusc.box_velocity(item['token'])[:2]
    return {
        'kit_mps': None if np.isnan(found).any() else found.tolist(),
        'exact_mps': item['velocity_gt'],
        'neighbours': bool(item['prev']) + bool(item['next']),
    }


def _on_map(nusc: NuScenes, scene: dict[str, Any]) -> list[bool]:
    """Returns for every sample whether the vehicle is on the map's mask."""
    log = nusc.get('log', scene['log_token'])
    mask = nusc.get('map', log['map_token'])['mask']
    found = []
    for sample in _samples(nusc, scene):
        reading = nusc.get('sample_data', sample['data']['LIDAR_TOP'])
        x, y, _ = nusc.get('ego_pose', reading['ego_pose_token'])['translation']
        found.append(bool(mask.is_on_mask(x, y)[0]))
    return found


def _points(nusc: NuScenes, sample: dict[str, Any]) -> int:
    path = nusc.get_sample_data_path(sample['data']['LIDAR_TOP'])
    return LidarPointCloud.from_file(path).nbr_points()


def _detection(nusc: NuScenes, split: str) -> dict[str, Any]:
    """Returns AP and errors by class of the ground truth against itself."""
    config = DetectionConfig(
        class_range={name: _RANGES_M.get(name, 50) for name in DETECTION_NAMES},
        dist_fcn='center_distance',
        dist_ths=[0.5, 1.0, 2.0, 4.0],
        dist_th_tp=2.0,
        min_recall=0.1,
        min_precision=0.1,
        max_boxes_per_sample=500,
        mean_ap_weight=5,
    )
    results = {sample['token']: _predictions(nusc, sample) for sample in nusc.sample}
    meta = {f'use_{name}': False for name in ('camera', 'lidar', 'radar', 'map', 'external')}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / 'results.json'
        path.write_text(json.dumps({'meta': meta, 'results': results}))
        evaluation = DetectionEval(nusc, config, str(path), split, scratch, verbose=False)
        metrics, _ = evaluation.evaluate()
    evaluated = [box for boxes in evaluation.gt_boxes.boxes.values() for box in boxes]
    summary = metrics.serialize()
    return {
        'objects': {
            name: sum(box.detection_name == name for box in evaluated) for name in DETECTION_NAMES
        },
        'ap': summary['mean_dist_aps'],
        'errors': summary['label_tp_errors'],
        'map': summary['mean_ap'],
    }


def _predictions(nusc: NuScenes, sample: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the annotations that the benchmark counts: those with points on them."""
    found = []
    for token in sample['anns']:
        item = nusc.get('sample_annotation', token)
        if item['num_lidar_pts'] == 0:
            continue
        velocity = nusc.box_velocity(token)[:2].tolist()
        found.append(
            {
                'sample_token': sample['token'],
                'translation': item['translation'],
                'size': item['size'],
                'rotation': item['rotation'],
                'velocity': item['velocity_gt'] if math.isnan(velocity[0]) else velocity,
                'detection_name': category_to_detection_name(item['category_name']),
                'detection_score': 1.0,
                'attribute_name': nusc.get('attribute', item['attribute_tokens'][0])['name'],
            }
        )
    return found


if __name__ == '__main__':
    with contextlib.redirect_stdout(sys.stderr):
        content = report(Path(sys.argv[1]))
    json.dump(content, sys.stdout)
