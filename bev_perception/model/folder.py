"""Model folders: `model.yaml` beside `weights.safetensors`, saved whole or not at all.

A card for people may lie with them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from bev_perception.errors import ConfigError, ModelError
from bev_perception.model.config import AnyModelConfig, load_model_config
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.network import create_network
from bev_perception.model.network_base import BevNetwork

CONFIG_FILE = 'model.yaml'
WEIGHTS_FILE = 'weights.safetensors'
CARD_FILE = 'CARD.md'
NAMES_SHOWN = 3


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for inference.

    Attributes:
        config: content of `model.yaml`.
        model: float32, in evaluation mode.
        weights_hash: SHA-256 of the weights file, hexadecimal.
        model_id: name, version and the first 12 digits of the SHA-256 over description and
            weights; equal ids mean equal outputs.
    """

    config: AnyModelConfig
    model: BevNetwork
    weights_hash: str
    model_id: str


def load_model(folder: Path) -> LoadedModel:
    """Returns the model of a folder, on the CPU; the global random state is left as it was.

    Raises:
        ModelError: something is missing, unreadable or does not fit; one line that names the
            file, the field or tensor, and what was expected and found.
    """
    if not folder.is_dir():
        raise ModelError(f'{folder}: no such model folder')
    try:
        config = load_model_config(folder / CONFIG_FILE)
    except ConfigError as error:
        raise ModelError(str(error)) from None
    path = folder / WEIGHTS_FILE
    content = _read(path)
    tensors = _parse(path, content)
    with torch.random.fork_rng(devices=[]):  # the initial weights are replaced at once
        model = create_network(config)
    _check_fit(path, tensors, model.state_dict())
    model.load_state_dict(tensors)
    model.eval().requires_grad_(False)
    weights_hash = hashlib.sha256(content).hexdigest()
    return LoadedModel(config, model, weights_hash, model_id(config, content))


def save_model(
    folder: Path,
    config: ModelDescription,
    model: BevNetwork,
    *,
    half: bool = False,
    overwrite: bool = False,
    card: Callable[[str], str] | None = None,
) -> None:
    """Writes a model folder that `load_model` accepts; equal weights give equal bytes.

    Args:
        folder: is created, with those that it lies in.
        config: description to store; must be the one the model was built from, up to `training`.
        model: whose weights are stored.
        half: store convolution weights in float16 (normalisation stays in float32).
        overwrite: replace an existing model folder (one that holds nothing else).
        card: returns what people should know of the model of an id, Markdown, for `CARD.md`.

    Raises:
        ModelError: the folder exists, cannot be written, or a weight is not finite.
    """
    folder = folder.resolve()
    check_target(folder, overwrite)
    weights = {name: _stored(tensor, half) for name, tensor in model.state_dict().items()}
    _check_finite(folder / WEIGHTS_FILE, weights)
    try:
        content = safetensors.torch.save(weights)
        text = '' if card is None else card(model_id(config, content))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{folder.name}-', dir=folder.parent) as scratch:
            new = Path(scratch, 'new')
            new.mkdir()
            (new / CONFIG_FILE).write_text(config.to_yaml(), encoding='utf-8')
            (new / WEIGHTS_FILE).write_bytes(content)
            if text:
                (new / CARD_FILE).write_text(text, encoding='utf-8')
            _replace(folder, new, Path(scratch, 'old'))
    except OSError as error:
        raise ModelError(f'{folder}: cannot write the model: {error.strerror}') from None


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuses a place where `save_model` cannot write; to be asked before anything takes time.

    Args:
        folder: to write.
        overwrite: see `save_model`.

    Raises:
        ModelError: it exists and is not to be replaced, or cannot be made there.
    """
    _check_free(folder, overwrite)
    parent = next(above for above in folder.resolve().parents if above.exists())
    if not parent.is_dir():
        raise ModelError(f'{folder}: cannot write the model: {parent} is no folder')
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ModelError(f'{folder}: cannot write the model: {parent} may not be written to')


def model_id(config: ModelDescription, weights: bytes) -> str:
    """Returns the identity of a model: name, version and content hash."""
    digest = hashlib.sha256(config.canonical() + weights).hexdigest()
    return f'{config.name}-{config.version}-{digest[:12]}'


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f'{path}: cannot read the weights: {error.strerror}') from None


def _parse(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f'{path}: corrupt weights file: {error}') from None


def _check_fit(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Refuses weights whose names, shapes, types or values do not fit the description."""
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    if missing or unexpected:
        problems = [_listed('missing', missing), _listed('unexpected', sorted(unexpected))]
        raise ModelError(
            f'{path}: tensors do not fit {CONFIG_FILE}: ' + '; '.join(filter(None, problems))
        )
    for name, target in expected.items():
        if found[name].shape != target.shape:
            raise ModelError(
                f'{path}: {name} has shape {list(found[name].shape)}, '
                f'{CONFIG_FILE} asks for {list(target.shape)}'
            )
        allowed = _allowed_dtypes(target)
        if found[name].dtype not in allowed:
            raise ModelError(
                f'{path}: {name} is {_name(found[name].dtype)}, '
                f'expected {" or ".join(map(_name, allowed))}'
            )
    _check_finite(path, found)


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ''
    more = f' and {len(names) - NAMES_SHOWN} more' if len(names) > NAMES_SHOWN else ''
    return f'{what} {", ".join(names[:NAMES_SHOWN])}{more}'


def _allowed_dtypes(target: Tensor) -> tuple[torch.dtype, ...]:
    return (torch.float32, torch.float16) if target.is_floating_point() else (target.dtype,)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix('torch.')


def _check_finite(path: Path, weights: dict[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise ModelError(f'{path}: {name} holds {count} values that are not finite')


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """Returns a tensor as it goes into the file; vectors keep their precision."""
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.ndim > 1 else tensor


def _check_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    if not overwrite:
        raise ModelError(f'{folder}: already exists; choose another name or give --force')
    foreign = (
        sorted({entry.name for entry in folder.iterdir()} - {CONFIG_FILE, WEIGHTS_FILE, CARD_FILE})
        if folder.is_dir()
        else [folder.name]
    )
    if foreign:
        raise ModelError(
            f'{folder}: not only a model folder, will not be replaced: {_listed("holds", foreign)}'
        )


def _replace(folder: Path, new: Path, old: Path) -> None:
    """Puts `new` in the place of `folder`; a failure leaves what was there before."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    if old.exists():
        shutil.rmtree(old)
