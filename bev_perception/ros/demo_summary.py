"""Where the demo writes, and what it measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bev_perception.frame import BevFrame, CameraState
from bev_perception.msg import FrameStatus
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.timing import stage_table


@dataclass(frozen=True)
class DemoPaths:
    """What the demo writes, all below one folder."""

    folder: Path

    @property
    def rig(self) -> Path:
        """Rig file of the bag."""
        return self.folder / 'rig.yaml'

    @property
    def results(self) -> Path:
        """What the node published."""
        return self.folder / 'result_bag'

    @property
    def pictures(self) -> Path:
        """One PNG per frame."""
        return self.folder / 'frames'

    @property
    def summary(self) -> Path:
        """Counts and timing."""
        return self.folder / 'summary.json'

    @property
    def logs(self) -> Path:
        """Output of each process."""
        return self.folder / 'log'

    def clear(self, keep_logs: bool) -> None:
        """Removes what a demo wrote here, and nothing else."""
        for path in (self.results, self.pictures):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.rig, self.summary):
            path.unlink(missing_ok=True)
        if not keep_logs:
            shutil.rmtree(self.logs, ignore_errors=True)


@dataclass(frozen=True)
class DemoSummary:
    """What went through the node.

    Attributes:
        bag: the recording.
        duration_s: of the recording.
        images_in_bag: camera images it holds.
        sets_in: camera sets that reached the pipeline.
        frames_out: frames that were published and recorded.
        dropped: whole sets skipped because a newer one was waiting.
        cameras: frames in which each camera was used.
        objects: in all frames.
        latency_s: arrival of the last image to publication, of the last frame.
        stage_s: seconds per stage, per frame.
    """

    bag: str
    duration_s: float
    images_in_bag: int
    sets_in: int
    frames_out: int
    dropped: int
    cameras: dict[str, int]
    objects: int
    latency_s: float
    stage_s: tuple[dict[str, float], ...]

    @classmethod
    def of(
        cls, bag: Path, reader: BagReader, status: FrameStatus, frames: Sequence[BevFrame]
    ) -> DemoSummary:
        """Returns the summary of recorded frames and the node's last status."""
        cameras = {c.name: 0 for c in status.cameras}
        for frame in frames:
            for report in frame.cameras:
                cameras[report.name] += report.state is CameraState.USED
        images = sum(t.count for t in reader.topics() if t.type.endswith('Image'))
        return cls(
            bag=str(bag),
            duration_s=reader.duration_s(),
            images_in_bag=images,
            sets_in=int(status.sets_received),
            frames_out=len(frames),
            dropped=int(status.sets_dropped),
            cameras=cameras,
            objects=sum(len(frame.objects or ()) for frame in frames),
            latency_s=float(status.latency_s),
            stage_s=tuple(frame.stage_s for frame in frames),
        )

    def to_json(self) -> str:
        """Returns everything as JSON text."""
        return json.dumps(vars(self), indent=1) + '\n'

    def text(self, paths: DemoPaths) -> str:
        """Returns what a person wants to know: what went in and out, and where it is."""
        used = ', '.join(f'{name} {n}/{self.frames_out}' for name, n in self.cameras.items())
        return '\n'.join(
            [
                f'{self.images_in_bag} images in {self.duration_s:.1f} s of {self.bag}',
                f'{self.sets_in} camera sets in, {self.frames_out} frames out, '
                f'{self.dropped} dropped; {self.objects} objects',
                f'cameras used: {used}',
                stage_table(self.stage_s) if self.stage_s else 'no frame was recorded',
                f'rig:        {paths.rig}',
                f'result bag: {paths.results}',
                f'pictures:   {paths.pictures}',
                f'summary:    {paths.summary}',
                f'logs:       {paths.logs}',
            ]
        )
