"""Boxes of a scene as chains of annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import pose_from_yaw
from bev_trainer.dataset.nuscenes.names import attribute_name, category_name, visibility_token
from bev_trainer.dataset.nuscenes.poses import rotation_wxyz
from bev_trainer.dataset.nuscenes.tables import Tables
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.tokens import instance_token, token
from bev_trainer.labels.boxes import BoxArray

RANGE_M = 80.0


@dataclass(frozen=True)
class Sample:
    """A key frame.

    Attributes:
        token: of its row.
        frame: of the drive.
        boxes: world frame, those within `RANGE_M` of base_link.
        lidar_points: [n] points of the scan inside each.
    """

    token: str
    frame: int
    boxes: BoxArray
    lidar_points: NDArray[np.int64]


def add_annotations(tables: Tables, drive: Drive, samples: Sequence[Sample]) -> None:
    """Adds instances and annotations of a scene.

    Somebody who is out of range or out of the world in between comes back as another instance,
    since the tools take it that annotations follow each other without a gap.
    """
    visibility = drive.objects.visibility()
    for chain in _chains(drive, samples):
        names = [token('annotation', sample.token, chain.instance) for sample in chain.samples]
        item = drive.description.objects[chain.instance - 1]
        tables.add(
            'instance',
            token=chain.token,
            category_token=token('category', category_name(item)),
            nbr_annotations=len(names),
            first_annotation_token=names[0],
            last_annotation_token=names[-1],
            instance_id=chain.instance,
        )
        for index, sample in enumerate(chain.samples):
            tables.add(
                'sample_annotation',
                token=names[index],
                sample_token=sample.token,
                instance_token=chain.token,
                prev=names[index - 1] if index else '',
                next=names[index + 1] if index + 1 < len(names) else '',
                **_content(drive, sample, chain.instance, visibility),
            )


@dataclass(frozen=True)
class _Chain:
    token: str
    instance: int
    samples: list[Sample]


def _chains(drive: Drive, samples: Sequence[Sample]) -> Iterator[_Chain]:
    """Yields runs of samples without a gap, by instance and time."""
    present = drive.objects.present
    for row in range(len(present)):
        instance = row + 1
        runs: list[list[int]] = []
        for index, sample in enumerate(samples):
            if instance not in sample.boxes.instance:
                continue
            last = runs[-1][-1] if runs else -2
            steps = slice(samples[last].frame, sample.frame + 1) if last >= 0 else slice(0)
            if last == index - 1 and present[row, steps].all():
                runs[-1].append(index)
            else:
                runs.append([index])
        for number, run in enumerate(runs):
            first = instance_token(drive.description.name, instance)
            name = token(first, number) if number else first
            yield _Chain(name, instance, [samples[index] for index in run])


def _content(
    drive: Drive, sample: Sample, instance: int, visibility: NDArray[np.float32]
) -> dict[str, Any]:
    boxes = sample.boxes
    row = int(np.flatnonzero(boxes.instance == instance)[0])
    length, width, height = boxes.size_m[row].tolist()
    velocity = boxes.velocity_mps[row].tolist()
    item = drive.description.objects[instance - 1]
    share = float(visibility[instance - 1, sample.frame])
    return {
        'visibility_token': visibility_token(share),
        'attribute_tokens': [token('attribute', attribute_name(item, velocity))],
        'translation': boxes.center_m[row].tolist(),
        'size': [width, length, height],
        'rotation': rotation_wxyz(pose_from_yaw(0.0, 0.0, 0.0, float(boxes.yaw_rad[row]))),
        'num_lidar_pts': int(sample.lidar_points[row]),
        'num_radar_pts': 0,
        'velocity_gt': velocity,
        'acceleration_gt': boxes.acceleration_mps2[row].tolist(),
        'visible_share': share,
    }
