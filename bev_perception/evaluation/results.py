"""All that came out of an evaluation: what reports are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bev_perception.evaluation.figure import Better
from bev_perception.evaluation.metric import Confusion, Curve
from bev_perception.evaluation.scenes.scene import SceneInfo

PictureKind = Literal['worst', 'median', 'best', 'differs']


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: None for n/a.
        low, high: 95 % bootstrap interval over scenes; None with fewer than two scenes, or n/a.
        better: which way is better.
        unit: empty for shares and scores.
    """

    value: float | None
    low: float | None
    high: float | None
    better: Better
    unit: str = ''


@dataclass(frozen=True)
class FrameNote:
    """What is kept of a scored frame to be looked at.

    Attributes:
        stamp_ns: of the prediction.
        cameras: state of each camera (`CameraState` names), in rig order.
        score: what frames are ranked by, in [0, 1]; None when nothing could be scored.
        unknown_share: share of cells that no camera sees.
        past_dropped: see `BevFrame`.
    """

    stamp_ns: int
    cameras: tuple[str, ...]
    score: float | None
    unknown_share: float
    past_dropped: str = ''


@dataclass(frozen=True, eq=False)
class SceneResult:
    """One scene of a run.

    Attributes:
        info: about the scene.
        frames: how many frames the model has made.
        notes: of those that were scored, in order.
        figures: of this scene alone; without intervals.
        problems: what was left out, one line each.
    """

    info: SceneInfo
    frames: int
    notes: tuple[FrameNote, ...]
    figures: Mapping[str, Estimate]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RunResult:
    """One model over one data set (or one set of bags), under one condition.

    Attributes:
        model: name and content hash of the model, or name of the result bag.
        trained_on: what the model says about its training data; empty when untrained.
        data: name of the data.
        condition: 'clean', or the perturbation ('camera front missing').
        figures: by name ('detection/NDS', 'iou/long/vehicle').
        curves: by name.
        confusions: by name.
        scenes: in order.
    """

    model: str
    trained_on: str
    data: str
    condition: str
    figures: Mapping[str, Estimate]
    curves: Mapping[str, Curve]
    confusions: Mapping[str, Confusion]
    scenes: tuple[SceneResult, ...]


@dataclass(frozen=True)
class Difference:
    """A figure of two runs over the same scenes.

    Attributes:
        name: of the figure.
        first, second: values; None for n/a.
        change: second - first; None when one is n/a.
        low, high: 95 % paired bootstrap interval of the change.
        verdict: 'better' or 'worse' (the second) when the interval leaves out 0; else 'same'.
    """

    name: str
    first: float | None
    second: float | None
    change: float | None
    low: float | None
    high: float | None
    verdict: Literal['better', 'worse', 'same', 'n/a']


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs over the same scenes.

    Attributes:
        first, second: titles of the runs.
        differences: by figure.
        frames: (scene, stamp_ns, score of the first, of the second) where they differ most.
    """

    first: str
    second: str
    differences: tuple[Difference, ...]
    frames: tuple[tuple[str, int, float, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Timing:
    """Where the time went; kept apart from the results, which are the same every time.

    Attributes:
        model, data, condition: of the run.
        stages_s: seconds by stage, one number per frame.
        latency_s: from image stamp to result (live), or of the whole step (offline), per frame.
        recording_s: length of what was run.
        wall_s: how long that took.
        live: whether messages went over DDS.
    """

    model: str
    data: str
    condition: str
    stages_s: Mapping[str, tuple[float, ...]]
    latency_s: tuple[float, ...]
    recording_s: float
    wall_s: float
    live: bool = False


@dataclass(frozen=True, eq=False)
class FramePicture:
    """A frame with cameras, labels and predictions.

    Attributes:
        kind: why it is shown.
        run: title of the run.
        scene: name.
        stamp_ns: of the frame.
        score: see `FrameNote`.
        png: the picture.
    """

    kind: PictureKind
    run: str
    scene: str
    stamp_ns: int
    score: float
    png: bytes


@dataclass(frozen=True)
class Refusal:
    """Something that was asked for and could not be evaluated."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything.

    Attributes:
        command: that made it, without paths of outputs.
        runs: clean ones first, then perturbed ones; models in the order given.
        comparisons: between clean runs.
        timings: of all runs.
        pictures: of clean runs.
        refusals: of scenes or bags.
        settings: how it was evaluated, by name, for people.
    """

    command: str
    runs: tuple[RunResult, ...]
    comparisons: tuple[Comparison, ...] = ()
    timings: tuple[Timing, ...] = ()
    pictures: tuple[FramePicture, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
