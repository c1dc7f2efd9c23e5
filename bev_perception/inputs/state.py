"""What became of one camera in one frame."""

from __future__ import annotations

from enum import IntEnum


class CameraState(IntEnum):
    """Why a camera did or did not contribute to a frame; values equal `CameraStatus.msg`."""

    USED = 0
    MISSING = 1
    LATE = 2
    WRONG_ENCODING = 3
    WRONG_SIZE = 4
    DECODE_FAILED = 5
    NO_CAMERA_INFO = 6
    NO_TRANSFORM = 7
    BAD_CALIBRATION = 8
    BAD_STAMP = 9
