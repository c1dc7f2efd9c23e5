"""Vehicles parked along the streets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bev_trainer.traffic.net_file import NetFile
from bev_trainer.traffic.paint import slots_m
from bev_trainer.traffic.shapes import at
from bev_trainer.world.catalogue import models_of
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.tracks import Track

OCCUPANCY = 0.7
VAN_SHARE = 0.12


def park_vehicles(net: NetFile, rng: np.random.Generator, step_s: float) -> list[Track]:
    """Returns parked cars and vans in about 70 per cent of the parking bays."""
    tracks: list[Track] = []
    for lane in [lane for lane in net.lanes.values() if lane.kind == 'parking']:
        ends = slots_m(lane)
        share = np.clip(rng.normal(OCCUPANCY, 0.15), 0.2, 0.95)
        for start, end in pairwise(ends.tolist()):
            if rng.uniform() < share:
                kind = SemanticClass.VAN if rng.uniform() < VAN_SHARE else SemanticClass.CAR
                models = models_of(kind)
                shares = np.array([model.share for model in models])
                model = models[int(rng.choice(len(models), p=shares / shares.sum()))]
                slack = 0.5 * (end - start - model.length_m) - 0.15
                along = 0.5 * (start + end) + rng.uniform(-slack, slack)
                place, way = at(lane.shape_m, along)
                left = np.array([-way[1], way[0]]) * np.clip(rng.normal(0.0, 0.06), -0.12, 0.12)
                yaw = np.arctan2(way[1], way[0]) + np.clip(rng.normal(0, 0.012), -0.03, 0.03)
                x, y = place + left
                paint = model.paint[int(rng.integers(len(model.paint)))]
                tracks.append(
                    Track(
                        f'parked{len(tracks):03d}', kind, model.name, paint,
                        model.length_m, model.width_m, model.height_m, 0.0, step_s,
                        np.array([x]), np.array([y]), np.array([yaw]), parked=True,
                    )
                )  # fmt: skip
    return tracks
