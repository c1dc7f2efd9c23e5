"""What goes into the pipeline (`FrameSet`) and what comes out of it (`BevFrame`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState

FloatArray = NDArray[np.floating]

# An object at this speed or faster counts as moving: a slow walk, and above the usual error of
# velocities estimated from cameras.
MOVING_SPEED_MPS = 0.5


@dataclass(frozen=True)
class CameraSample:
    """One camera of the rig in one frame set.

    Attributes:
        name: camera name in the rig.
        state: USED when `image` and `camera` are both present; otherwise why not.
        detail: one line for people; empty when USED.
        stamp_ns: stamp of the newest image known for this frame; None when there is none.
        image: the undecoded image; None unless the sample may be used.
        camera: calibration in base_link; None when unknown.
    """

    name: str
    state: CameraState
    detail: str = ''
    stamp_ns: int | None = None
    image: CameraImage | None = None
    camera: Camera | None = None


@dataclass(frozen=True)
class FrameSet:
    """Images of one instant, one sample per camera of the rig (always all of them, in rig order).

    Attributes:
        stamp_ns: reference stamp; strictly increasing between resets.
        base_frame: frame in which calibrations and outputs are expressed.
        samples: one per camera, in rig order.
        epoch: changes when time jumped; the pipeline then forgets its past.
        odom_T_base: [4, 4] ego pose at `stamp_ns` in a continuous frame; None when unknown.
        last_arrival_ns: when the last image of the set arrived, on the assembler's clock.
        wait_s: time the first image of the set waited for the set to be released.
    """

    stamp_ns: int
    base_frame: str
    samples: tuple[CameraSample, ...]
    epoch: int = 0
    odom_T_base: FloatArray | None = None
    last_arrival_ns: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True)
class CameraReport:
    """What became of one camera in one processed frame (see `CameraSample`).

    Attributes:
        age_s: reference stamp minus image stamp; None when there was no image.
    """

    name: str
    state: CameraState
    detail: str = ''
    stamp_ns: int | None = None
    age_s: float | None = None


@dataclass(frozen=True)
class ClassScore:
    """Probability of one class; `index` counts in the model's list of object classes."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Trajectory:
    """One predicted future of an object, in the base frame of the output stamp.

    Attributes:
        probability: of this mode; the modes of an object sum to at most 1.
        time_step_s: between consecutive poses.
        start_offset_s: time of the first pose after the output stamp (0: the current pose).
        positions_m: [T, 3] box centres.
        yaws_rad: [T].
    """

    probability: float
    time_step_s: float
    start_offset_s: float
    positions_m: FloatArray
    yaws_rad: FloatArray


@dataclass(frozen=True)
class BevObject:
    """One detected object in the base frame of the output stamp.

    Attributes:
        object_id: 16 bytes, kept over frames; all zero means not tracked.
        age_frames: number of frames this identity has been seen, 1 at birth; 0 when not tracked.
        existence_probability: in [0, 1].
        classes: sorted by falling probability, never empty.
        center_m: [3] box centre x, y, z.
        size_m: length (along yaw), width, height.
        yaw_rad: heading in [-pi, pi).
        velocity_mps: [2] over ground, expressed in the base frame; None when not estimated.
        trajectories: sorted by falling probability; may be empty.
        instance: label of this object in `BevFrame.instances`; 0 when it has none.
    """

    object_id: bytes
    age_frames: int
    existence_probability: float
    classes: tuple[ClassScore, ...]
    center_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    yaw_rad: float
    velocity_mps: tuple[float, float] | None = None
    trajectories: tuple[Trajectory, ...] = ()
    instance: int = 0


@dataclass(frozen=True)
class BevFrame:
    """The bird's-eye view of one frame set. Arrays are [..., y, x] as in `BevGrid`.

    All are on `grid` but `instances`, which are on `instance_grid`.

    Attributes:
        stamp_ns: reference stamp of the frame set.
        frame_id: base frame.
        grid: range and resolution of occupancy and semantics.
        observed: bool [Y, X], cell seen by at least one used camera.
        occupancy: float32 [Y, X], probability that the cell is occupied; None if not asked for.
        semantics: float32 [C, Y, X] probabilities, one per `semantic_classes`; None likewise.
        future_occupancy: float32 [T, Y, X], t = 1..T steps ahead: what is static stays, what can
            move is where it is predicted; None likewise.
        instances: int32 [T + 1, Y, X] instance labels now and ahead, 0 = none; None likewise.
        time_step_s: between future grids; 0 for a model that does not look ahead.
        objects: sorted by falling existence probability; None if not asked for.
        cameras: one report per camera, in rig order.
        stage_s: seconds spent per stage, in order of execution.
        model_id: name and content hash of the model.
        instance_grid: range and resolution of `instances`; None without them.
        past_dropped: why the model's memory let go of the past here; empty if it did not.
    """

    stamp_ns: int
    frame_id: str
    grid: BevGrid
    observed: NDArray[np.bool_]
    occupancy: NDArray[np.float32] | None
    semantics: NDArray[np.float32] | None
    semantic_classes: tuple[str, ...]
    future_occupancy: NDArray[np.float32] | None
    instances: NDArray[np.int32] | None
    time_step_s: float
    objects: tuple[BevObject, ...] | None
    cameras: tuple[CameraReport, ...]
    stage_s: dict[str, float] = field(default_factory=dict)
    model_id: str = ''
    instance_grid: BevGrid | None = None
    past_dropped: str = ''


def occupancy_to_int8(
    probability: NDArray[np.float32], observed: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Returns int8 [Y, X] as `nav_msgs/OccupancyGrid` has it: 0..100 per cent, -1 unobserved."""
    percent = np.rint(np.clip(probability, 0.0, 1.0) * 100.0).astype(np.int8)
    return np.where(observed, percent, np.int8(-1))
