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

# Visible share from which on an object counts as shown, where nobody asks for another: in
# evaluations and in what is trained alike. Published figures on nuScenes leave out the lowest of
# its four bins of visibility, which ends at 0.4.
MIN_VISIBILITY = 0.1


def is_hidden(objects: TruthObjects, min_visibility: float = MIN_VISIBILITY) -> NDArray[np.bool_]:
    """Returns bool [M]: less than a share of it is visible, or no sensor has a point on it.

    Objects of which neither is known are not hidden.
    """
    with np.errstate(invalid='ignore'):
        return np.asarray((objects.visibility < min_visibility) | (objects.points == 0))
