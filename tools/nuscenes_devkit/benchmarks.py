"""What nuScenes' development kit makes of submissions, as JSON on stdout.

Runs in an environment with requirements_tracking.txt beside this file, not in that of the
project:
    python benchmarks.py FOLDER VERSION SPLIT DETECTION.json TRACKING.json > numbers.json
NaN is written as null.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.eval.tracking.evaluate import TrackingEval
from nuscenes.nuscenes import NuScenes


def detection(folder: Path, version: str, split: str, path: Path) -> dict[str, Any]:
    """Returns all numbers of the detection benchmark."""
    nusc = NuScenes(version=version, dataroot=str(folder), verbose=False)
    config = config_factory('detection_cvpr_2019')
    with tempfile.TemporaryDirectory() as scratch:
        kit = DetectionEval(nusc, config, str(path), split, scratch, verbose=False)
        metrics, curves = kit.evaluate()
    found = metrics.serialize()
    wanted = ('mean_ap', 'nd_score', 'tp_errors', 'label_aps', 'label_tp_errors')
    precision = {name: curves[(name, 2.0)].precision.tolist() for name in config.class_names}
    return {**{name: found[name] for name in wanted}, 'precision': precision}


def tracking(folder: Path, version: str, split: str, path: Path) -> dict[str, Any]:
    """Returns all numbers of the tracking benchmark: over all classes, and by class."""
    config = config_factory('tracking_nips_2019')
    with tempfile.TemporaryDirectory() as scratch:
        kit = TrackingEval(config, str(path), split, scratch, version, str(folder), verbose=False)
        metrics, _ = kit.evaluate()
    return {
        'all': {name: metrics.compute_metric(name) for name in metrics.label_metrics},
        'classes': metrics.label_metrics,
    }


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def main() -> None:
    """Reads the arguments and writes the numbers."""
    folder, version, split, boxes, tracks = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        content = {
            'detection': detection(Path(folder), version, split, Path(boxes)),
            'tracking': tracking(Path(folder), version, split, Path(tracks)),
        }
    json.dump(_plain(content), sys.stdout, allow_nan=False)


if __name__ == '__main__':
    main()
