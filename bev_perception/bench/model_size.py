"""Parameters and operations of a model, part by part."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bev_perception.bench.surround_rig import surround_rig
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import AnyModelConfig, ModelConfig, load_model_config
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.network import create_network
from bev_perception.model.network_base import BevNetwork

OBJECTS = 50  # for which paths are predicted
_OPERATIONS_PER_MAC = 2


@dataclass(frozen=True)
class PartSize:
    """What one part of a model takes for a frame of six cameras.

    Attributes:
        name: of the part.
        parameters: learned numbers.
        macs: multiplications with addition, of convolutions and matrix products.
    """

    name: str
    parameters: int
    macs: int


def part_sizes(config: AnyModelConfig, cameras: int = 6) -> tuple[PartSize, ...]:
    """Returns the parts of a model in the order in which they run.

    Memory is counted in the middle of a drive, trajectories for 50 objects. Sums over the entries
    of sparse matrices are not counted; they have no dense products.
    """
    with torch.random.fork_rng(devices=[]):
        model = create_network(config).eval()
    parts = _parts(model)
    macs = dict.fromkeys(parts, 0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for name, modules in parts.items():
            _count(modules, name, macs, counter)
        _run(model, cameras)
    return tuple(
        PartSize(name, _parameters(modules), macs[name]) for name, modules in parts.items()
    )


def _parameters(modules: Sequence[nn.Module]) -> int:
    """Returns the number of learned numbers of modules, which may hold one another."""
    return sum({p: p.numel() for module in modules for p in module.parameters()}.values())


def _count(
    modules: Sequence[nn.Module], name: str, macs: dict[str, int], counter: FlopCounterMode
) -> None:
    """Adds what modules compute to the count of their part, once where they call one another."""
    before: list[int] = []

    def enter(*_: Any) -> None:
        before.append(counter.get_total_flops())

    def leave(*_: Any) -> None:
        start = before.pop()
        if not before:
            macs[name] += (counter.get_total_flops() - start) // _OPERATIONS_PER_MAC

    for module in modules:
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)


def _run(model: BevNetwork, cameras: int) -> None:
    """Runs every part once on a frame that has a past."""
    config = model.config
    width, height = config.input.width, config.input.height
    rig = (surround_rig(width, height) * (cameras // 6 + 1))[:cameras]
    matrices = model.view_transform.build(rig)
    images = torch.zeros(1, cameras, 3, height, width, dtype=torch.uint8)
    mask = torch.ones(1, cameras, dtype=torch.bool)
    bev = model.lift(model.encode(images, mask), mask, matrices, _radar(config))
    bev, _ = model.remember(bev, None, None)
    encoded: Tensor = model.bev_encoder(bev)
    model.decode(encoded, model.heads.names)
    if config.heads.trajectories is not None:
        model.forecast(encoded, torch.zeros(1, OBJECTS, 4), torch.zeros(1, OBJECTS, 2))


def _radar(config: ModelDescription) -> Tensor | None:
    """Returns an empty radar raster for a model that takes one."""
    if not isinstance(config, ModelConfig) or config.radar is None:
        return None
    return torch.zeros(1, config.radar.features + 1, *config.bev_grid().shape)


def _parts(model: BevNetwork) -> dict[str, list[nn.Module]]:
    """Returns the modules of each part, by the name that people know it by."""
    if not isinstance(model, BevModel):
        # With all that is inside: some layers are called past the module that they belong to.
        parts = model.get_submodule('published').named_children()
        return {name: list(part.modules()) for name, part in parts if _parameters([part])}
    paths_of = {
        'backbone': ['backbone'],
        'neck and depth': ['neck', 'depth_head'],
        'view transform': ['view_transform', 'radar', 'coverage'],
        'memory': ['memory'],
        'BEV encoder': ['bev_encoder'],
        **{f'{name} head': [f'heads.{name}'] for name in sorted(model.heads.names)},
    }
    modules = dict(model.named_modules())
    return {
        name: [modules[path] for path in paths if path in modules]
        for name, paths in paths_of.items()
    }


def as_table(config: AnyModelConfig, parts: Sequence[PartSize]) -> str:
    """Returns a table of the parts and their sum."""
    rows = [*parts, PartSize('all', sum(p.parameters for p in parts), sum(p.macs for p in parts))]
    head = f'{config.name}: {config.input.width} x {config.input.height} x 6 cameras'
    lines = [f'{head:<34}{"parameters":>12}{"GMAC":>9}']
    lines += [
        f'  {row.name:<32}{row.parameters / 1e6:>10.3f} M{row.macs / 1e9:>9.2f}' for row in rows
    ]
    return '\n'.join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev bench model`."""
    parser.add_argument(
        'model', type=Path, nargs='+', metavar='MODEL', help='model folder or model.yaml'
    )


def main(args: argparse.Namespace) -> int:
    """Prints the size of each model; returns the exit code."""
    for path in args.model:
        config = load_model_config(path / 'model.yaml' if path.is_dir() else path)
        print(as_table(config, part_sizes(config)))
    return 0
