"""Which topics of a recording are one camera, and what it is called."""

from __future__ import annotations

import pytest

from bev_perception.errors import BagError
from bev_perception.replay.bag_reader import Topic
from bev_perception.replay.camera_topics import CameraTopics, find_cameras

RAW = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
INFO = 'sensor_msgs/msg/CameraInfo'


def raw(*names: str) -> list[Topic]:
    return [Topic(name, RAW, 3) for name in names]


def compressed(*names: str) -> list[Topic]:
    return [Topic(name, COMPRESSED, 3) for name in names]


def infos(*names: str) -> list[Topic]:
    return [Topic(name, INFO, 3) for name in names]


def test_every_field() -> None:
    topics = [
        *raw('/front/image_raw'),
        *compressed('/rear/image_rect/compressed'),
        *infos('/front/camera_info', '/rear/camera_info'),
        Topic('/odom', 'nav_msgs/msg/Odometry', 9),
    ]
    assert find_cameras(topics) == (
        CameraTopics('front', '/front/image_raw', False, '/front/camera_info', False),
        CameraTopics('rear', '/rear/image_rect/compressed', True, '/rear/camera_info', True),
    )
    assert find_cameras(topics[::-1]) == find_cameras(topics)


@pytest.mark.parametrize(
    ('topics', 'names'),
    [
        (['/front/image_raw', '/left/image_raw'], ['front', 'left']),
        (['/sense/camera/cam0/image', '/sense/camera/cam1/image'], ['cam0', 'cam1']),
        (['/car/a/front/image', '/car/b/front/image'], ['a_front', 'b_front']),
        (['/v/x/cams/front/wide/image', '/v/x/cams/rear/image'], ['front_wide', 'rear']),
        (['/cams/front/image', '/cams/front/tele/image'], ['front', 'front_tele']),
        (['/axle/cam/image_rect_color', '/roof/cam/image_color'], ['axle_cam', 'roof_cam']),
        (['/left/image_rect_raw', '/right/image_mono'], ['left', 'right']),
        (['/a/image/raw', '/b/image/rect'], ['a', 'b']),
        # One camera: its own part alone, however deep.
        (['/robot/sensors/front/image_raw'], ['front']),
        (['/front/image_raw'], ['front']),
        (['/image_raw'], ['camera']),
        (['/image'], ['camera']),
        (['image_raw'], ['camera']),
        # Parts that merely contain such a word name the camera.
        (['/raw_front/image', '/color/image'], ['color', 'raw_front']),
        (['/cam/front_image', '/cam/rear_image'], ['front_image', 'rear_image']),
    ],
)  # fmt: skip
def test_names(topics: list[str], names: list[str]) -> None:
    assert [c.name for c in find_cameras(raw(*topics))] == names


def test_names_never_clash() -> None:
    cameras = find_cameras(raw('/a/b_c/image', '/a_b/c/image', '/image', '/camera/image'))
    assert [(c.image_topic, c.name) for c in cameras] == [
        ('/image', 'camera'),
        ('/a/b_c/image', 'a_b_c'),
        ('/a_b/c/image', 'a_b_c_2'),
        ('/camera/image', 'camera_2'),
    ]


@pytest.mark.parametrize(
    ('image', 'recorded', 'expected'),
    [
        ('/front/image_raw', ['/front/camera_info'], '/front/camera_info'),
        ('/front/image_raw', ['/rear/camera_info'], ''),
        ('/front/image_raw', [], ''),
        ('/front/image/compressed', ['/front/camera_info'], '/front/camera_info'),
        ('/front/image/compressed', ['/front/image/camera_info'], '/front/image/camera_info'),
        # The nearest one wins.
        (
            '/front/image/compressed',
            ['/camera_info', '/front/camera_info', '/front/image/camera_info'],
            '/front/image/camera_info',
        ),
        ('/car/front/image', ['/car/camera_info'], '/car/camera_info'),
        ('/image_raw', ['/camera_info'], '/camera_info'),
        ('/front/image', ['/front/camera_info_old', '/front/left/camera_info'], ''),
    ],
)
def test_sibling_camera_info(image: str, recorded: list[str], expected: str) -> None:
    (camera,) = find_cameras([*raw(image), *infos(*recorded)])
    assert camera.camera_info_topic == expected


@pytest.mark.parametrize(
    ('topics', 'chosen'),
    [
        ([*compressed('/a/image_raw/compressed'), *raw('/a/image_raw')], '/a/image_raw'),
        # Raw counts more than not being rectified: no second lossy step.
        ([*compressed('/a/image_raw/compressed'), *raw('/a/image_rect')], '/a/image_rect'),
        (raw('/a/image_rect', '/a/image_raw'), '/a/image_raw'),
        (raw('/direct/image_rect', '/direct/image_zero'), '/direct/image_rect'),
        (compressed('/a/image_rect/compressed', '/a/image/compressed'), '/a/image/compressed'),
        (raw('/a/image_mono', '/a/image_color'), '/a/image_color'),
        ([Topic('/a/image_raw', RAW, 0), *raw('/a/image_rect')], '/a/image_rect'),
    ],
)  # fmt: skip
def test_one_topic_per_camera(topics: list[Topic], chosen: str) -> None:
    for order in (topics, topics[::-1]):
        assert find_cameras(order)[0].image_topic == chosen


def test_rectified_is_read_off_the_kind_of_image_alone() -> None:
    cameras = find_cameras(
        raw('/direct/image_raw', '/rect/cam/image', '/b/image_rect_color', '/c/rect/image')
    )
    assert {c.image_topic: c.rectified for c in cameras} == {
        '/direct/image_raw': False,
        '/rect/cam/image': False,
        '/b/image_rect_color': True,
        '/c/rect/image': True,
    }


@pytest.mark.parametrize(
    'topic',
    [
        '/camera/depth/image_rect_raw',
        '/front/image_raw/compressedDepth',
        '/camera/aligned_depth_to_color/image_raw',
        '/stereo/disparity/image',
        '/front/mask/image',
        '/front/labels',
        '/front/Depth/image',
    ],
)
def test_images_that_are_no_photographs_are_skipped(topic: str) -> None:
    (camera,) = find_cameras([*raw('/front/image_raw', topic), *infos('/front/camera_info')])
    assert camera.image_topic == '/front/image_raw'
    with pytest.raises(BagError, match='no camera images'):
        find_cameras(raw(topic))


@pytest.mark.parametrize(
    'topics',
    [[], infos('/front/camera_info'), [Topic('/front/image', RAW, 0)]],
)
def test_no_camera_at_all(topics: list[Topic]) -> None:
    with pytest.raises(BagError, match='holds no camera images'):
        find_cameras(topics)
