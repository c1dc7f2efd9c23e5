"""Objects that no camera shows well enough to ask a model for them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.frame import TruthObjects

# 'ignore': where they are does not count (Cross-View Transformers, PointBeV). 'drop': they are
# not in the ground truth, whoever finds them is wrong (FIERY, PowerBEV). 'keep': they are objects
# like others (Lift-Splat-Shoot). The same model scores quite differently under the three.
Hidden = Literal['ignore', 'drop', 'keep']

# The lowest of nuScenes' four bins of visibility ends here; published figures leave out what is
# in it.
MIN_VISIBILITY = 0.4


def is_hidden(objects: TruthObjects, min_visibility: float = MIN_VISIBILITY) -> NDArray[np.bool_]:
    """Returns bool [M]: less than a share of it is visible, or no sensor has a point on it.

    Objects of which neither is known are not hidden.
    """
    with np.errstate(invalid='ignore'):
        return np.asarray((objects.visibility < min_visibility) | (objects.points == 0))
