"""`bev export`: one frame of a model as an ONNX file, the memory as input and output."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bev_perception.errors import ConfigError
from bev_perception.export.compare import largest_difference
from bev_perception.export.example import example_inputs
from bev_perception.export.onnx_file import export_onnx
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import own_family
from bev_perception.model.folder import load_model

OBJECTS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev export`."""
    parser.add_argument('model', type=Path, help='model folder')
    parser.add_argument('--rig', type=Path, required=True, help='rig file with calibrations')
    parser.add_argument('-o', '--out', type=Path, required=True, help='ONNX file to write')
    parser.add_argument(
        '--objects', type=int, default=OBJECTS, help='whose paths a frame asks (default: 64)'
    )


def main(args: argparse.Namespace) -> int:
    """Writes the file and, where ONNX Runtime is installed, compares; returns the exit code."""
    if args.objects < 1:
        raise ConfigError(f'--objects must be at least 1, got {args.objects}')
    loaded = load_model(args.model)
    own_family(loaded.config)
    assert isinstance(loaded.model, BevModel)
    cameras = [entry.camera() for entry in load_rig_file(args.rig).cameras]
    inputs = example_inputs(loaded.model, cameras, args.objects)
    step = export_onnx(loaded.model, inputs, args.out)
    named = inputs.named()
    print(f'{args.out}: one frame of {loaded.model_id} with {len(cameras)} cameras')
    print('  inputs:  ' + ', '.join(named))
    print('  outputs: ' + ', '.join(step.output_names()))
    with torch.inference_mode():
        expected = dict(zip(step.output_names(), step(*named.values()), strict=True))
    difference = largest_difference(args.out, named, expected)
    if difference is not None:
        print(
            f'  ONNX Runtime differs from torch by {difference:.1e} of the largest value at most'
        )
    return 0
