"""diagnostic_msgs/DiagnosticArray: one entry per camera, one for the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

from bev_perception.frame import BevFrame, CameraReport, CameraState
from bev_perception.inputs.camera_statistics import CameraStatistics
from bev_perception.runtime.latest_wins import WorkerCounts

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)

NO_COUNTS = WorkerCounts(0, 0, 0)


@dataclass(frozen=True)
class Health:
    """What the diagnostics are made from.

    Attributes:
        frame: latest output; None before the first.
        silence_s: time since the latest output, steady clock.
        age_s: age of the latest output on the node's clock when it was published.
        latency_s: from the arrival of its last image to its publication, steady clock.
        cameras: stream figures, in rig order.
        counts: of the worker.
        topic_problems: by topic.
        error: latest failure of the pipeline; empty when none since the latest output.
        idle: frames are not processed because nobody subscribes.
    """

    frame: BevFrame | None = None
    silence_s: float | None = None
    age_s: float | None = None
    latency_s: float | None = None
    cameras: tuple[CameraStatistics, ...] = ()
    counts: WorkerCounts = NO_COUNTS
    topic_problems: dict[str, str] = field(default_factory=dict)
    error: str = ''
    idle: bool = False


def diagnostics_msg(
    node_name: str, stamp: Time, health: Health, max_age_s: float
) -> DiagnosticArray:
    """Returns the diagnostics of the whole node; level names the worst of each part."""
    reports = {r.name: r for r in health.frame.cameras} if health.frame else {}
    array = DiagnosticArray()
    array.header.stamp = stamp.to_msg()
    array.status = [_pipeline_status(node_name, health, max_age_s)]
    for camera in health.cameras:
        array.status.append(_camera_status(node_name, camera, reports.get(camera.name), health))
    return array


def _pipeline_status(node_name: str, health: Health, max_age_s: float) -> DiagnosticStatus:
    frame = health.frame
    used = [] if frame is None else [c for c in frame.cameras if c.state is CameraState.USED]
    level, message = _pipeline_level(health, len(used), max_age_s)
    values = {
        'frames received': health.counts.received,
        'frames processed': health.counts.processed,
        'frames dropped': health.counts.dropped,
        'cameras used': f'{len(used)} of {len(health.cameras)}',
        'latency (s)': _seconds(health.latency_s),
        'age at publication (s)': _seconds(health.age_s),
        'since last output (s)': _seconds(health.silence_s),
    }
    if frame is not None:
        values['model'] = frame.model_id
        values['past dropped'] = frame.past_dropped
        values['observed share'] = f'{frame.observed.mean():.3f}'
        values.update({f'{stage} (s)': _seconds(s) for stage, s in frame.stage_s.items()})
    values.update(health.topic_problems)
    return _status(f'{node_name}: pipeline', node_name, level, message, values)


def _pipeline_level(health: Health, used: int, max_age_s: float) -> tuple[bytes, str]:
    total = len(health.cameras)
    if health.error:
        return ERROR, health.error
    if health.idle:
        return OK, 'idle: nobody subscribes to a result'
    if health.frame is None:
        return WARN, 'no output yet'
    if health.silence_s is not None and health.silence_s > max(1.0, 3 * max_age_s):
        return STALE, f'no output for {health.silence_s:.1f} s'
    if used == 0:
        return ERROR, 'no camera is usable'
    problems = [f'{t}: {p}' for t, p in health.topic_problems.items()]
    if used < total:
        problems.append(f'{used} of {total} cameras used')
    if health.frame.past_dropped:
        problems.append(f'past frames dropped: {health.frame.past_dropped}')
    if health.age_s is not None and health.age_s > max_age_s:
        problems.append(f'results are {health.age_s:.2f} s old when published')
    return (WARN, '; '.join(problems)) if problems else (OK, f'{used} of {total} cameras used')


def _camera_status(
    node_name: str, camera: CameraStatistics, report: CameraReport | None, health: Health
) -> DiagnosticStatus:
    if report is None:
        level = OK if health.idle and camera.received else WARN
        message = 'no image yet' if not camera.received else 'not processed yet'
    elif report.state is CameraState.USED:
        level, message = OK, 'used'
    else:
        level, message = ERROR, f'{report.state.name.lower()}: {report.detail}'
    values = {
        'state': 'unknown' if report is None else report.state.name,
        'rate (Hz)': '' if camera.rate_hz is None else f'{camera.rate_hz:.2f}',
        'age (s)': _seconds(None if report is None else report.age_s),
        'mean offset (s)': _seconds(camera.offset_s),
        'silence (s)': _seconds(camera.silence_s),
        'received': camera.received,
        'used': camera.used,
        'missing': camera.missing,
        'late': camera.late,
    }
    values.update({f'rejected: {reason}': n for reason, n in camera.rejected.items()})
    return _status(f'{node_name}: camera {camera.name}', camera.name, level, message, values)


def _status(
    name: str, hardware: str, level: bytes, message: str, values: dict[str, object]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=hardware,
        values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
    )


def _seconds(value: float | None) -> str:
    return '' if value is None else f'{value:.4f}'
