"""Reading PyTorch checkpoints of other projects without running anything that they contain."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bev_perception.errors import ConfigError

# Where Lightning, training scripts and exponential averages put the weights.
NESTED = ('state_dict', 'model_state_dict', 'model')
# Put in front of every name by torch's data-parallel wrappers and by torch.compile.
WRAPPERS = ('module.', '_orig_mod.')


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Returns the state dict in a `.pt`, `.pth` or `.ckpt` file, on the CPU.

    Only tensors and plain containers are read (`torch.load(weights_only=True)`): a file that
    needs more is refused, as loading it would run its code.

    Raises:
        ConfigError: the file is missing, unreadable, needs code, or holds no weights.
    """
    if not path.is_file():
        raise ConfigError(f'{path}: no such checkpoint')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigError(
            f'{path}: holds more than weights, or is no checkpoint; loading it would run code of '
            f'its own. Save the state dict alone where you trust it: '
            f'torch.save(model.state_dict(), path)'
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).partition('\n')[0] or 'empty'
        raise ConfigError(f'{path}: no readable PyTorch checkpoint: {reason}') from None
    state = _state_dict(content)
    if state is None:
        raise ConfigError(
            f'{path}: holds no state dict, neither itself nor in {", ".join(NESTED)}'
        )
    return _unwrapped(state)


def _state_dict(content: object) -> dict[str, Tensor] | None:
    """Returns the named tensors of a checkpoint, at its top or one level below."""
    if not isinstance(content, Mapping):
        return None
    for key in NESTED:
        if isinstance(content.get(key), Mapping):
            return _state_dict(content[key])
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    return tensors or None


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in state):
            return _unwrapped({name.removeprefix(prefix): state[name] for name in state})
    return state
