"""`bev-trainer check`: whether a data set fits, and where not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from bev_trainer.commands import check as check_command
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.manifest import (
    DriveEntry,
    Manifest,
    SpecSection,
    file_sha256,
)
from scipy.spatial.transform import Rotation
from support.drives import SmallDrive, rig_of_lenses
from support.junction import Junction


@pytest.fixture(scope='module')
def drive_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Junction(rig=rig_of_lenses(192, 144), label_frames=(0, 5))
    return small.write(tmp_path_factory.mktemp('look') / 'drives')


def a_dataset(drive_file: Path, root: Path) -> Path:
    """Returns the root of a data set with one drive."""
    (root / 'drives').mkdir(parents=True)
    copy = root / 'drives' / drive_file.name
    copy.write_bytes(drive_file.read_bytes())
    spec = SpecSection(
        scenes=1, seconds=1.0, rigs=(), size=None, supersample=1, seed=0, weather='clear',
        image_hz=10, label_hz=2, scenes_per_network=1,
    )  # fmt: skip
    entry = DriveEntry(
        name=drive_file.stem, split='train', network='net_000000', rig='three_lenses',
        weather='clear', frames=11, images=33, objects=7, gl_version='none',
        sha256=file_sha256(copy), bytes=copy.stat().st_size,
    )  # fmt: skip
    manifest = Manifest(spec=spec, versions={}, drives=(entry,), maps=())
    (root / 'manifest.json').write_text(manifest.model_dump_json())
    return root


def test_check_says_whether_a_data_set_fits(
    drive_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = a_dataset(drive_file, tmp_path / 'set')
    parser = argparse.ArgumentParser()
    check_command.add_arguments(parser)
    arguments = parser.parse_args([str(root), '--frames', '1'])
    assert check_command.main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[:4] == ['drive_000000', 'three_lenses', 'clear', '1']
    assert printed[2].endswith('ok')
    assert printed[-1] == '1 drives fit'

    path = root / 'drives' / drive_file.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert check_command.main(arguments) == 1
    printed = capsys.readouterr().out.splitlines()
    assert 'FAIL' in printed[2] and 'sha256' in printed[2]
    assert printed[-1] == '1 of 1 drives fail'


class WronglyCalibrated(SmallDrive):
    """A drive that says that its front camera looks two degrees further left than it does."""

    def description(self) -> DriveDescription:
        description = super().description()
        front, *others = description.rig.cameras
        assert front.base_T_camera is not None
        turn = Rotation.from_euler('z', 2.0, degrees=True)
        true = Rotation.from_quat(front.base_T_camera.quaternion_xyzw)
        wrong = front.base_T_camera.model_copy(
            update={'quaternion_xyzw': tuple((turn * true).as_quat().tolist())}
        )
        cameras = (front.model_copy(update={'base_T_camera': wrong}), *others)
        rig = description.rig.model_copy(update={'cameras': cameras})
        return description.model_copy(update={'rig': rig})


def test_a_drive_with_a_wrong_calibration_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    check_command.add_arguments(parser)
    for kind, code in ((SmallDrive, 0), (WronglyCalibrated, 1)):
        path = kind(label_frames=(5,), rig=rig_of_lenses(96, 72)).write(tmp_path / kind.__name__)
        assert check_command.main(parser.parse_args([str(path)])) == code
    row = capsys.readouterr().out.splitlines()[-2]
    points = float(row.split()[6])
    assert points < 90.0 and row.split()[7] == '%!' and row.endswith('FAIL')
