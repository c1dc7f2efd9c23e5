"""Published weights of Lift-Splat-Shoot (github.com/nv-tlabs/lift-splat-shoot) for our module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.importers.report import ImportReport, match_weights
from bev_perception.model.published.lift_splat_shoot import LiftSplatShoot, LiftSplatShootSetup
from bev_perception.model.published.lift_splat_shoot_layers import TRUNK
from bev_perception.model.published.state_dict import efficientnet_name

SOURCE = 'Lift-Splat-Shoot'
# Follows from grid and image size.
FRUSTUM = 'frustum'
TRUNK_PREFIX = 'camencode.trunk.'
PREFIXES = {'camencode.': 'camera_encoder.', 'bevencode.': 'bev_encoder.'}


def import_lift_splat_shoot(
    state_dict: Mapping[str, Tensor], setup: LiftSplatShootSetup | None = None
) -> tuple[dict[str, Tensor], ImportReport]:
    """Returns the state dict of `LiftSplatShoot(setup)`, and what became of every weight.

    Published maps are [x, y], ours [y, x]: kernels of the BEV encoder are transposed.

    Args:
        state_dict: published weights, see `read_checkpoint`.
        setup: sizes of the model; default: the published ones.

    Raises:
        ConfigError: a weight is missing or of the wrong shape, or the weights are of another
            grid; one line.
    """
    setup = LiftSplatShootSetup() if setup is None else setup
    grid = _grid_buffers(setup)
    _check_grid(state_dict, grid)
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced at once
        model = LiftSplatShoot(setup).state_dict()
    state, report = match_weights(
        state_dict, model, lambda name: _renamed(name, {*grid, FRUSTUM}), SOURCE
    )
    report.require_complete()
    return {name: _transposed(name, tensor) for name, tensor in state.items()}, report


def _renamed(name: str, buffers: set[str]) -> str | None:
    """Returns our name of a published weight; None for what the model has no use for."""
    if name in buffers:
        return None
    if name.startswith(TRUNK_PREFIX):
        inner = efficientnet_name(name.removeprefix(TRUNK_PREFIX), TRUNK)
        return None if inner is None else f'camera_encoder.trunk.{inner}'
    for prefix, ours in PREFIXES.items():
        if name.startswith(prefix):
            return ours + name.removeprefix(prefix)
    return name


def _transposed(name: str, tensor: Tensor) -> Tensor:
    """Returns a kernel of the BEV encoder with its two directions exchanged, others as is."""
    if name.startswith('bev_encoder.') and tensor.dim() == 4:
        return tensor.transpose(2, 3).contiguous()
    return tensor


def _grid_buffers(setup: LiftSplatShootSetup) -> dict[str, list[float]]:
    """Returns what checkpoints say of the grid along x, y, z: steps, first centres, numbers."""
    grid, height_m = setup.grid(), setup.z_m[1] - setup.z_m[0]
    steps_m = [grid.resolution_m, grid.resolution_m, height_m]
    first_m = [grid.x_min_m, grid.y_min_m, setup.z_m[0]]
    return {
        'dx': steps_m,
        'bx': [low + 0.5 * step for low, step in zip(first_m, steps_m, strict=True)],
        'nx': [grid.size_x, grid.size_y, 1],
    }


def _check_grid(state_dict: Mapping[str, Tensor], expected: dict[str, list[float]]) -> None:
    """Raises ConfigError when the weights were trained on another grid."""
    for name, values in expected.items():
        if name not in state_dict:
            continue
        found = state_dict[name].flatten().tolist()
        if len(found) != len(values) or any(
            abs(a - b) > 1e-4 for a, b in zip(found, values, strict=True)
        ):
            raise ConfigError(
                f'{SOURCE}: the weights are of another grid; {name} is {found}, expected {values}'
            )
