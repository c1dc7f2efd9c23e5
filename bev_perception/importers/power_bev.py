"""Published weights of PowerBEV into `PowerBev`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.importers.checkpoint import read_checkpoint
from bev_perception.importers.report import ImportReport, match_weights
from bev_perception.model.backbone.efficientnet import EFFICIENTNETS
from bev_perception.model.published.power_bev import FRAMES, PowerBev, PowerBevSetup
from bev_perception.model.published.power_bev_head import PYRAMID_CHANNELS
from bev_perception.model.published.state_dict import efficientnet_name

SOURCE = 'PowerBEV'
LIGHTNING_PREFIX = 'model.'
BACKBONE = 'encoder.backbone.'
# What the published module keeps beside its weights, and the weights of its losses.
GEOMETRY = ('bev_resolution', 'bev_start_position', 'bev_dimension', 'frustum')
LOSS_WEIGHTS = ('segmentation_weight', 'flow_weight')
DEPTH_LAYER = 'encoder.depth_layer.weight'
# Turns the features of the past frames into those of the predicted steps.
TIME_LAYER = 'stconv.segmentation_branch.BEV_predictor.predictor.0.2.layers.0.weight'
METRES_DIGITS = 4


class _CallbackName:
    """Stands for a class of Lightning that old checkpoints use as a key, and for nothing else."""


LIGHTNING_KEYS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (_CallbackName, 'pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint'),
]


def load_power_bev(path: Path) -> tuple[PowerBev, ImportReport]:
    """Returns the model in a checkpoint of PowerBEV (Lightning or state dict), and the report.

    The checkpoint itself says which grid it is for (long or short range) and how far it looks
    ahead.

    Raises:
        ConfigError: the file cannot be read, or its weights are not those of PowerBEV.
    """
    return import_power_bev(read_power_bev(path))


def read_power_bev(path: Path) -> dict[str, Tensor]:
    """Returns the state dict in a checkpoint of PowerBEV (Lightning or state dict).

    Raises:
        ConfigError: the file cannot be read.
    """
    with torch.serialization.safe_globals(LIGHTNING_KEYS):
        return read_checkpoint(path)


def import_power_bev(weights: Mapping[str, Tensor]) -> tuple[PowerBev, ImportReport]:
    """Returns the model, in evaluation mode, with published weights, and what became of each.

    Args:
        weights: the published state dict, with or without Lightning's prefix `model.`.

    Raises:
        ConfigError: the weights are not all those of PowerBEV with EfficientNet-B4.
    """
    prefix = LIGHTNING_PREFIX if any(name.startswith(LIGHTNING_PREFIX) for name in weights) else ''
    model = PowerBev(published_setup({n.removeprefix(prefix): weights[n] for n in weights}))
    state, report = match_weights(weights, model.state_dict(), _renaming(prefix), SOURCE)
    report.require_exact('the model with EfficientNet-B4')
    model.load_state_dict(state)
    return model.eval(), report


def published_setup(weights: Mapping[str, Tensor]) -> PowerBevSetup:
    """Returns the sizes that a published state dict (without prefix) was made for.

    Grid, depths and image size are kept in it beside the weights.

    Raises:
        ConfigError: they are missing, or none that `PowerBev` can have.
    """
    if 'decoder.first_conv.weight' in weights and TIME_LAYER not in weights:
        raise ConfigError(
            f'{SOURCE}: weights of the single-frame model, which predicts no motion; take those '
            f'of a full model'
        )
    missing = [name for name in (*GEOMETRY, DEPTH_LAYER, TIME_LAYER) if name not in weights]
    if missing:
        raise ConfigError(f'{SOURCE}: not its weights, {missing[0]} is missing')
    frustum = weights['frustum'].double()
    if frustum.dim() != 4 or frustum.shape[0] < 2 or frustum.shape[3] != 3:
        raise ConfigError(f'{SOURCE}: frustum is {list(frustum.shape)}, expected [D, h, w, 3]')
    depths_m = frustum[:, 0, 0, 2].tolist()
    extent_m, cells, floor_m, height_m = _grid(weights)
    return PowerBevSetup(
        extent_m=extent_m,
        cells=cells,
        steps_ahead=_steps_ahead(weights[TIME_LAYER]),
        first_depth_m=_metres(depths_m[0]),
        depth_step_m=_metres(depths_m[1] - depths_m[0]),
        depths=len(depths_m),
        floor_m=floor_m,
        height_m=height_m,
        image_height=round(float(frustum[..., 1].max())) + 1,
        image_width=round(float(frustum[..., 0].max())) + 1,
        channels=weights[DEPTH_LAYER].shape[0] - len(depths_m),
    )


def _grid(weights: Mapping[str, Tensor]) -> tuple[float, int, float, float]:
    """Returns (extent_m, cells, floor_m, height_m)."""
    resolution_m, start_m, count = (weights[name].double().tolist() for name in GEOMETRY[:3])
    low_m = [s - r / 2.0 for s, r in zip(start_m, resolution_m, strict=True)]
    extents_m = [r * n / 2.0 for r, n in zip(resolution_m, count, strict=True)]
    square = resolution_m[0] == resolution_m[1] and count[0] == count[1] and count[2] == 1
    centred = all(abs(low_m[axis] + extents_m[axis]) < 1e-3 for axis in (0, 1))
    if not (square and centred):
        raise ConfigError(
            f'{SOURCE}: the grid must be square, about the vehicle and one cell high, got cells '
            f'of {resolution_m} m, {count} of them, from {low_m} m on'
        )
    return _metres(extents_m[0]), int(count[0]), _metres(low_m[2]), _metres(resolution_m[2])


def _steps_ahead(time_layer: Tensor) -> int:
    """Returns T; the model predicts one step before the present and the present as well."""
    steps, frames = (n / PYRAMID_CHANNELS[0] for n in time_layer.shape[:2])
    if frames != FRAMES or steps != int(steps) or steps < 3:
        raise ConfigError(
            f'{SOURCE}: predicts {steps:g} steps from {frames:g} frames, expected 3 or more from '
            f'{FRAMES}'
        )
    return int(steps) - 2


def _metres(value: float) -> float:
    """Returns a length of the published configuration, which went through float32."""
    return round(value, METRES_DIGITS)


def _renaming(prefix: str) -> Callable[[str], str | None]:
    """Returns what names a weight of a state dict with that prefix in `PowerBev`."""
    layout = EFFICIENTNETS['efficientnet_b4']

    def renamed(name: str) -> str | None:
        if not name.startswith(prefix):
            return None
        name = name.removeprefix(prefix)
        if name in GEOMETRY or name in LOSS_WEIGHTS:
            return None
        if not name.startswith(BACKBONE):
            return name
        own = efficientnet_name(name.removeprefix(BACKBONE), layout)
        return None if own is None else BACKBONE + own

    return renamed
