"""Camera sources from a rig file."""

from __future__ import annotations

from bev_perception.geometry.pose import make_pose
from bev_perception.geometry.rig_file import RigFile, RigFileCamera
from bev_perception.inputs.calibration import CameraInfo, CameraSource

IDENTITY_R = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def sources_from_rig_file(rig: RigFile) -> tuple[CameraSource, ...]:
    """Returns one source per camera of the file, in its order."""
    return tuple(_source(camera) for camera in rig.cameras)


def _source(camera: RigFileCamera) -> CameraSource:
    return CameraSource(
        name=camera.name,
        image_topic=camera.image_topic,
        compressed=camera.transport == 'compressed',
        camera_info_topic=camera.camera_info_topic or '',
        frame_id=camera.frame_id,
        trigger_offset_s=camera.trigger_offset_s,
        rectified=camera.rectified,
        intrinsics=_info(camera),
        base_T_camera=None
        if camera.base_T_camera is None
        else make_pose(camera.base_T_camera.translation_m, camera.base_T_camera.quaternion_xyzw),
    )


def _info(camera: RigFileCamera) -> CameraInfo | None:
    """Returns the file's intrinsics as a CameraInfo whose P equals K: they describe the images."""
    given = camera.intrinsics
    if given is None:
        return None
    k = tuple(given.k)
    p = (*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0)
    return CameraInfo(
        given.width,
        given.height,
        given.distortion_model,
        tuple(given.d),
        k,
        IDENTITY_R,
        p,
        camera.frame_id,
    )
