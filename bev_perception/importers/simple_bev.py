"""Published weights of Simple-BEV into `SimpleBev`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.importers.checkpoint import read_checkpoint
from bev_perception.importers.report import ImportReport, match_weights
from bev_perception.model.published.simple_bev import SimpleBev, SimpleBevSetup

SOURCE = 'Simple-BEV'
# The first layers of the ResNet are numbered in the published encoder, its third stage is not
# part of that sequence.
RESNET = {
    'encoder.backbone.0.': 'encoder.backbone.conv1.',
    'encoder.backbone.1.': 'encoder.backbone.bn1.',
    'encoder.backbone.4.': 'encoder.backbone.layer1.',
    'encoder.backbone.5.': 'encoder.backbone.layer2.',
    'encoder.layer3.': 'encoder.backbone.layer3.',
}
LOSS_WEIGHTS = frozenset({'ce_weight', 'center_weight', 'offset_weight'})
COMPRESSOR = 'bev_compressor.0.weight'


def load_simple_bev(
    path: Path, setup: SimpleBevSetup | None = None
) -> tuple[SimpleBev, ImportReport]:
    """Returns the model in a checkpoint `model-000025000.pth` of Simple-BEV, and the report.

    Args:
        path: the checkpoint.
        setup: sizes, and where the reference stands in the base frame; default: as published.

    Raises:
        ConfigError: the file cannot be read, or its weights are not those of the RGB model.
    """
    return import_simple_bev(read_checkpoint(path), setup)


def import_simple_bev(
    weights: Mapping[str, Tensor], setup: SimpleBevSetup | None = None
) -> tuple[SimpleBev, ImportReport]:
    """Returns the model, in evaluation mode, with published weights, and what became of each.

    Args:
        weights: the published state dict.
        setup: see `load_simple_bev`.

    Raises:
        ConfigError: the weights are not all those of the RGB model with ResNet-101.
    """
    setup = SimpleBevSetup() if setup is None else setup
    _check_sensors(weights, setup)
    model = SimpleBev(setup)
    state, report = match_weights(weights, model.state_dict(), _renamed, SOURCE)
    report.require_exact('the RGB model with ResNet-101')
    model.load_state_dict(state)
    return model.eval(), report


def _check_sensors(weights: Mapping[str, Tensor], setup: SimpleBevSetup) -> None:
    """Raises ConfigError for weights that take the height-stacked features of more sensors."""
    stacked = setup.channels * setup.levels
    weight = weights.get(COMPRESSOR)
    if weight is not None and weight.dim() == 4 and weight.shape[1] > stacked:
        raise ConfigError(
            f'{SOURCE}: {COMPRESSOR} takes {weight.shape[1]} channels, not {stacked}: weights of '
            f'a model with radar or lidar, of which there is no import; take the RGB model'
        )


def _renamed(name: str) -> str | None:
    """Returns the name in `SimpleBev` of a published one; None for weights of the losses."""
    if name in LOSS_WEIGHTS:
        return None
    for published, own in RESNET.items():
        if name.startswith(published):
            return own + name.removeprefix(published)
    return name
