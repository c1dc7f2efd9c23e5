from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bev_perception.geometry.pose import make_pose
from bev_perception.inputs.calibration import (
    CalibrationStore,
    CalibrationUnavailable,
    CameraInfo,
    CameraSource,
    camera_from_info,
)
from bev_perception.inputs.state import CameraState
from bev_perception.inputs.transform_tree import TransformTree

K = (800.0, 0.0, 650.0, 0.0, 810.0, 340.0, 0.0, 0.0, 1.0)
R = tuple(Rotation.from_euler('y', 5, degrees=True).as_matrix().ravel())
P = (700.0, 0.0, 640.0, 0.0, 0.0, 700.0, 360.0, 0.0, 0.0, 0.0, 1.0, 0.0)
INFO = CameraInfo(1280, 720, 'plumb_bob', (0.1, -0.05, 0.001, 0.002, 0.01), K, R, P, 'cam')
POSE = make_pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))


def source(**changes):
    return replace(
        CameraSource('front', '/front/image', False, '/front/camera_info', 'cam'), **changes
    )


def test_raw_images_use_k_and_d():
    camera = camera_from_info('front', INFO, 'cam', False, POSE)
    np.testing.assert_array_equal(camera.K.ravel(), K)
    assert camera.distortion.coefficients == INFO.d
    np.testing.assert_array_equal(camera.base_T_camera, POSE)


def test_rectified_images_use_p_and_look_along_r():
    """A point on the rectified optical axis must project onto P's principal point."""
    camera = camera_from_info('front', INFO, 'cam', True, POSE)
    assert camera.distortion.model == 'none'
    axis_in_camera = np.array(R).reshape(3, 3).T @ [0.0, 0.0, 10.0]
    uv, valid = camera.project_base(POSE[:3, :3] @ axis_in_camera + POSE[:3, 3])
    assert valid
    np.testing.assert_allclose(uv, [640.0, 360.0], atol=1e-9)


def test_region_of_interest_and_binning():
    """Pixel (300, 200) of the sensor lies at ((300 - 100 + 0.5) / 2 - 0.5, ...) when binned."""
    info = replace(INFO, d=(), roi=(100, 50, 640, 400), binning=(2, 2))
    full = camera_from_info('front', replace(INFO, d=()), 'cam', False, POSE)
    cut = camera_from_info('front', info, 'cam', False, POSE)
    assert (cut.width, cut.height) == (320, 200)
    point = full.rays(np.array([300.0, 200.0])) * 7.0
    uv, valid = cut.project(point)
    assert valid
    np.testing.assert_allclose(uv, [(300 - 100 + 0.5) / 2 - 0.5, (200 - 50 + 0.5) / 2 - 0.5])


def test_all_zero_means_uncalibrated():
    zero = replace(INFO, k=(0.0,) * 9, p=(0.0,) * 12)
    store = CalibrationStore(
        (source(intrinsics=zero, base_T_camera=POSE),), 'base', TransformTree()
    )
    with pytest.raises(CalibrationUnavailable, match='calibrate the camera') as caught:
        store.camera('front', 0)
    assert caught.value.state is CameraState.BAD_CALIBRATION


def test_states_name_what_is_missing():
    tree = TransformTree()
    store = CalibrationStore((source(),), 'base', tree)
    with pytest.raises(CalibrationUnavailable, match="on '/front/camera_info'") as caught:
        store.camera('front', 0)
    assert caught.value.state is CameraState.NO_CAMERA_INFO
    store.set_info('front', INFO)
    with pytest.raises(
        CalibrationUnavailable, match="'base' and 'cam' are not connected"
    ) as caught:
        store.camera('front', 0)
    assert caught.value.state is CameraState.NO_TRANSFORM
    tree.set_transform('base', 'cam', 0, POSE, True)
    np.testing.assert_array_equal(store.camera('front', 0).base_T_camera, POSE)
    store.set_info('front', replace(INFO, distortion_model='wobbly'))
    with pytest.raises(CalibrationUnavailable, match='wobbly') as caught:
        store.camera('front', 0)
    assert caught.value.state is CameraState.BAD_CALIBRATION


def test_changes_at_run_time_are_picked_up_and_nothing_else_is_rebuilt():
    tree = TransformTree()
    tree.set_transform('base', 'cam', 0, POSE, True)
    store = CalibrationStore((source(),), 'base', tree)
    store.set_info('front', INFO)
    first = store.camera('front', 0)
    store.set_info('front', replace(INFO))
    assert store.camera('front', 1) is first
    store.set_info('front', replace(INFO, k=(900.0, *K[1:])))
    assert store.camera('front', 2).K[0, 0] == 900.0
    moved = make_pose((9.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))
    tree.set_transform('base', 'cam', 0, moved, True)
    assert store.camera('front', 3).base_T_camera[0, 3] == 9.0


def test_a_rig_file_wins_over_camera_info():
    store = CalibrationStore(
        (source(intrinsics=INFO, base_T_camera=POSE),), 'base', TransformTree()
    )
    store.set_info('front', replace(INFO, k=(900.0, *K[1:])))
    assert store.camera('front', 0).K[0, 0] == 800.0


def test_frame_comes_from_camera_info_where_not_given():
    tree = TransformTree()
    tree.set_transform('base', 'cam', 0, POSE, True)
    store = CalibrationStore((source(frame_id=''),), 'base', tree)
    store.set_info('front', INFO)
    assert store.camera('front', 0).frame_id == 'cam'
