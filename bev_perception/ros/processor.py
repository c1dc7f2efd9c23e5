"""Runs the pipeline on its own thread and publishes what comes out; keeps the node's health."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rclpy.lifecycle import LifecycleNode

from bev_perception.frame import BevFrame, FrameSet
from bev_perception.model.folder import LoadedModel
from bev_perception.pipeline import BevPipeline
from bev_perception.ros.diagnostics import NO_COUNTS, Health
from bev_perception.ros.markers import MarkerOptions
from bev_perception.ros.messages import FrameStatusData, ModelDescription
from bev_perception.ros.outputs import OutputPublishers
from bev_perception.runtime.latest_wins import LatestWinsWorker, WorkerCounts
from bev_perception.units import NS_PER_S

DEFAULT_LIFETIME_S = 1.0


@dataclass(frozen=True)
class ProcessorSettings:
    """What may change while the node runs; read anew at every frame.

    Attributes:
        always_run: process although nobody subscribes.
        min_score: threshold of objects; None = the model's.
        marker_lifetime_s: 0 = three output periods.
    """

    always_run: bool
    min_score: float | None
    marker_lifetime_s: float


class FrameProcessor:
    """Pipeline, worker thread and publishers of one configured node.

    Args:
        node: owner of the publishers.
        pipeline: run on the worker thread only.
        settings: asked at every frame.
        base_frame: frame of the model description.
    """

    def __init__(
        self,
        node: LifecycleNode,
        pipeline: BevPipeline,
        settings: Callable[[], ProcessorSettings],
        base_frame: str,
    ) -> None:
        self._node = node
        self._pipeline = pipeline
        self._settings = settings
        loaded_ns = node.get_clock().now().nanoseconds
        model = describe_model(pipeline.loaded, loaded_ns, base_frame)
        self._outputs = OutputPublishers(
            node, model, pipeline.loaded.config.heads.names, self._marker_options
        )
        self._worker: LatestWinsWorker[FrameSet] | None = None
        self._period_s: float | None = None
        self._health = Health()
        self._latest_steady_s: float | None = None

    def start(self) -> None:
        """Starts processing with an empty past."""
        self._pipeline.reset()
        self._worker = LatestWinsWorker(self._process, self._failed, 'bev_pipeline')
        self._worker.start()
        self._outputs.publish_model()

    def stop(self) -> None:
        """Ends processing after the frame in hand."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def close(self) -> None:
        """Stops and destroys the publishers."""
        self.stop()
        self._outputs.close()

    def submit(self, sets: list[FrameSet]) -> None:
        """Hands over frame sets; the newest wins where the pipeline is slower."""
        for frames in sets:
            if self._worker is not None:
                self._worker.submit(frames)

    def health(self) -> Health:
        """Returns the latest output with its timing and the worker's counts."""
        silence_s = None
        if self._latest_steady_s is not None:
            silence_s = time.monotonic() - self._latest_steady_s
        return replace(self._health, silence_s=silence_s, counts=self._counts())

    def _counts(self) -> WorkerCounts:
        return NO_COUNTS if self._worker is None else self._worker.counts()

    def _process(self, frames: FrameSet) -> None:
        settings = self._settings()
        heads = self._outputs.wanted_heads(settings.always_run)
        if not heads and not self._outputs.status_heard():
            self._health = replace(self._health, idle=True)
            return
        self._pipeline.min_score = settings.min_score
        frame = self._pipeline.step(frames, heads)
        start_s = time.perf_counter()
        self._note_period(frame)
        self._outputs.publish(frame, heads)
        frame.stage_s['publish'] = time.perf_counter() - start_s
        self._report(frame, frames)

    def _report(self, frame: BevFrame, frames: FrameSet) -> None:
        latency_s = (time.monotonic_ns() - frames.last_arrival_ns) / NS_PER_S
        age_s = (self._node.get_clock().now().nanoseconds - frame.stamp_ns) / NS_PER_S
        counts = self._counts()
        self._latest_steady_s = time.monotonic()
        self._health = Health(frame=frame, age_s=age_s, latency_s=latency_s)
        self._outputs.publish_status(
            FrameStatusData(
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                model_id=frame.model_id,
                reports=frame.cameras,
                past_dropped=frame.past_dropped,
                observed_share=float(frame.observed.mean()),
                stage_s={'wait': frames.wait_s, **frame.stage_s},
                latency_s=latency_s,
                sets_received=counts.received,
                sets_processed=counts.processed + 1,
                sets_dropped=counts.dropped,
            )
        )

    def _failed(self, error: Exception) -> None:
        text = f'pipeline failed: {type(error).__name__}: {error}'
        self._health = replace(self._health, error=text, idle=False)
        self._node.get_logger().error(text, throttle_duration_sec=5.0)

    def _note_period(self, frame: BevFrame) -> None:
        previous = self._health.frame
        if previous is not None and frame.stamp_ns > previous.stamp_ns:
            self._period_s = (frame.stamp_ns - previous.stamp_ns) / NS_PER_S

    def _marker_options(self) -> MarkerOptions:
        lifetime_s = self._settings().marker_lifetime_s
        if not lifetime_s:
            lifetime_s = DEFAULT_LIFETIME_S if self._period_s is None else 3 * self._period_s
        return MarkerOptions(lifetime_s=lifetime_s)


def describe_model(loaded: LoadedModel, stamp_ns: int, frame_id: str) -> ModelDescription:
    """Returns what `ModelInfo` says about a model loaded at `stamp_ns`."""
    config = loaded.config
    objects, semantics = config.heads.objects, config.heads.semantics
    motion = config.heads.motion
    return ModelDescription(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        name=config.name,
        version=config.version,
        licence=config.licence,
        weights_hash=loaded.weights_hash,
        model_id=loaded.model_id,
        trained=config.training.trained,
        training=config.training.description,
        object_classes=objects.classes if objects else (),
        semantic_classes=semantics.classes if semantics else (),
        grid=config.head_grid('occupancy'),
        time_step_s=motion.step_s if motion else 0.0,
        horizon_steps=motion.steps if motion else 0,
        score_is_calibrated=False,
        score_threshold=objects.score_threshold if objects else 0.0,
    )
