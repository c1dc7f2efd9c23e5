"""Makes the small world that tests use.

After a change of traffic, scenery or storage:
python -m bev_trainer.traffic.small_world test/data/small_world.json.gz
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bev_perception.errors import BevError
from bev_perception.geometry.rig_file import RigFileVehicle
from bev_trainer.traffic.maker import TrafficSpec, make_world
from bev_trainer.world.storage import save_world

VEHICLE = RigFileVehicle(
    length_m=4.7, width_m=1.85, height_m=1.5, rear_overhang_m=1.0, max_speed_mps=22.0
)
SEED = 13


def small_spec(seed: int = SEED) -> TrafficSpec:
    """Returns what the small world is made of: about 250 m across, two drives of 8 s."""
    return TrafficSpec(seed, VEHICLE, drives=2, drive_s=8.0, radius_m=130.0)


def main() -> int:
    """Writes the file; returns the exit status."""
    parser = argparse.ArgumentParser(description='Makes the small world of the tests.')
    parser.add_argument('file', type=Path)
    file: Path = parser.parse_args().file
    try:
        with tempfile.TemporaryDirectory() as scratch:
            save_world(make_world(small_spec(), Path(scratch)), file)
    except BevError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
