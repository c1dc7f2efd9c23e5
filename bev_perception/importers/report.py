"""Which weights of a published checkpoint fit a model, and what is said about the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from bev_perception.errors import ConfigError

# Counts training steps and has no bearing on the outputs.
COUNTER = 'num_batches_tracked'
NAMES_SHOWN = 3


@dataclass(frozen=True)
class ImportReport:
    """What became of every weight.

    Attributes:
        source: what the weights are of, as the messages say it.
        matched: names in the model that have their weights.
        missing: names in the model for which the checkpoint has none.
        wrong_shape: 'name is [...], expected [...]', names in the model.
        unexpected: names in the checkpoint that the model does not know.
        ignored: names in the checkpoint that the model has no use for, by design.
    """

    source: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    wrong_shape: tuple[str, ...]
    unexpected: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether the model has all of its weights."""
        return not self.missing and not self.wrong_shape

    def require_complete(self) -> None:
        """Raises ConfigError, one line, unless the model has all of its weights."""
        if self.complete:
            return
        problems = [
            f'{len(names)} {what}: {_shown(names)}'
            for what, names in (
                ('missing', self.missing),
                ('of the wrong shape', self.wrong_shape),
                ('unexpected', self.unexpected),
            )
            if names
        ]
        raise ConfigError(f'{self.source}: the weights do not fit; {"; ".join(problems)}')

    def require_exact(self, what: str) -> None:
        """Raises ConfigError, one line, unless the weights are all those of the model, no others.

        Args:
            what: model the weights should be of, as the message says it.
        """
        self.require_complete()
        if self.unexpected:
            raise ConfigError(
                f'{self.source}: {len(self.unexpected)} weights are not of {what}, such as '
                f'{self.unexpected[0]}'
            )

    def table(self) -> str:
        """Returns a few lines for people: how many of which kind, and the first names."""
        rows = (
            ('matched', self.matched, False),
            ('missing', self.missing, True),
            ('wrong shape', self.wrong_shape, True),
            ('unexpected', self.unexpected, True),
            ('ignored', self.ignored, True),
        )
        lines = [f'weights of {self.source}']
        for title, names, listed in rows:
            examples = f'  {_shown(names)}' if listed and names else ''
            lines.append(f'  {title:<12}{len(names):>5}{examples}')
        return '\n'.join(lines)


def match_weights(
    checkpoint: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    rename: Callable[[str], str | None],
    source: str,
) -> tuple[dict[str, Tensor], ImportReport]:
    """Returns a state dict with every name of `model`, and the report.

    Weights that do not match, and the step counters of batch normalisations, are those of
    `model`; all others are converted to its number types.

    Args:
        checkpoint: published weights.
        model: state dict of the model that takes them.
        rename: returns the model's name of a checkpoint's, None for what it has no use for.
        source: what the weights are of.

    Raises:
        ConfigError: two weights have the same name in the model.
    """
    found, ignored = _renamed(checkpoint, rename, source)
    wanted = [name for name in model if not name.endswith(COUNTER)]
    present = [name for name in wanted if name in found]
    fits = {name: checkpoint[found[name]].shape == model[name].shape for name in present}
    state = {
        name: checkpoint[found[name]].to(tensor.dtype) if fits.get(name) else tensor
        for name, tensor in model.items()
    }
    report = ImportReport(
        source=source,
        matched=tuple(name for name in present if fits[name]),
        missing=tuple(name for name in wanted if name not in found),
        wrong_shape=tuple(
            f'{name} is {list(checkpoint[found[name]].shape)}, expected {list(model[name].shape)}'
            for name in present
            if not fits[name]
        ),
        unexpected=tuple(sorted(found[name] for name in found.keys() - set(wanted))),
        ignored=tuple(ignored),
    )
    return state, report


def _renamed(
    checkpoint: Mapping[str, Tensor], rename: Callable[[str], str | None], source: str
) -> tuple[dict[str, str], list[str]]:
    """Returns the checkpoint's name by that in the model, and the names without use."""
    found: dict[str, str] = {}
    ignored = []
    for name in checkpoint:
        new = None if name.endswith(COUNTER) else rename(name)
        if new is None:
            ignored.append(name)
        elif new in found:
            raise ConfigError(f"{source}: both '{found[new]}' and '{name}' are '{new}'")
        else:
            found[new] = name
    return found, ignored


def _shown(names: tuple[str, ...]) -> str:
    more = f' and {len(names) - NAMES_SHOWN} more' if len(names) > NAMES_SHOWN else ''
    return ', '.join(names[:NAMES_SHOWN]) + more
