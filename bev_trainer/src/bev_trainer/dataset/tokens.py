"""Names that are the same in every export of a data set."""

from __future__ import annotations

import hashlib


def token(*names: object) -> str:
    """Returns 32 hexadecimal digits, the same for the same names and no others."""
    text = '\0'.join(str(name) for name in names)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def instance_token(drive: str, instance: int) -> str:
    """Returns the identity of a road user in one drive."""
    return token('instance', drive, int(instance))
