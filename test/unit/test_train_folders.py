"""The folders of the trainer depend one way, as docs/architecture.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / 'bev_trainer' / 'src' / 'bev_trainer'
# Each may import those before it. Clips themselves are plain data, whoever makes them.
ORDER = (
    'targets',
    'data/clip.py',
    'losses',
    'augment',
    'config',
    'data',
    'averaging',
    'training',
    'study',
    'commands',
)


def place(module: str) -> str:
    """Returns the entry of the order that a module of the trainer belongs to, or its folder."""
    parts = module.split('.')[1:]
    return 'data/clip.py' if parts[:2] == ['data', 'clip'] else parts[0]


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_folders_of_the_trainer_depend_one_way() -> None:
    wrong, seen = [], set()
    for file in sorted(SOURCE.rglob('*.py')):
        module = '.'.join(('bev_trainer', *file.relative_to(SOURCE).with_suffix('').parts))
        own = place(module)
        if own not in ORDER:
            continue
        for other in imports(file):
            if not other.startswith('bev_trainer.') or place(other) not in ORDER:
                continue
            seen.add((own, place(other)))
            if ORDER.index(place(other)) > ORDER.index(own):
                wrong.append(f'{module} imports {other}')
    assert not wrong
    assert ('averaging', 'data') in seen and ('training', 'averaging') in seen
