"""What is known of a drive once its file is written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriveRecord:
    """One finished drive file.

    Attributes:
        name: of the drive; the file is `<name>.zip`.
        frames: reference instants.
        images: camera images of all frames.
        objects: road users that come near at some time.
        sha256: of the file, hexadecimal.
        bytes: size of the file.
        gl_version: of the OpenGL that drew it, as `ctx.info['GL_VERSION']` says.
        stage_s: CPU seconds by stage; not part of any data set, they differ from run to run.
    """

    name: str
    frames: int
    images: int
    objects: int
    sha256: str
    bytes: int
    gl_version: str
    stage_s: dict[str, float]
