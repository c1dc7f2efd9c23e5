"""Object head: centre heatmap, box regression and how far to trust the box."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn

from bev_perception.model.layers import (
    CellOutput,
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
)

PRIOR_PROBABILITY = 0.1
PRIOR_CENTER_Z_M = 0.8
PRIOR_SIZE_M = (4.0, 1.8, 1.6)
BOX_CHANNELS = (2, 1, 3, 2, 2)
EXISTENCE_CHANNELS = 1


class ObjectHead(nn.Module):
    """CenterPoint's first stage (Yin et al. 2021, section 4), one task for all classes.

    A heatmap per class whose peaks are object centres, and at every cell the offset of the
    centre within the cell, its height, the logarithm of the size, sine and cosine of the
    heading, and the velocity. Biases start at a rare, car-sized object.

    The existence channel says, regardless of class, whether the box regressed at the cell is
    that of a real object: a heatmap knows where a centre is likely, not what the box there is
    worth. Decoding combines both as the IoU-aware confidence of CIA-SSD (Zheng et al. 2021) and
    AFDetV2 (Hu et al. 2022) does, with a in [0, 1] the model's `existence_power`:

        score = sigmoid(heatmap)^(1 - a) * sigmoid(existence)^a

    Args:
        in_channels: of the BEV features.
        channels: of the trunk.
        classes: K.
        parts: see `CellOutput`.

    Attributes:
        OUTPUTS: names, as in `ModelOutputs`, of what `forward` returns.
    """

    OUTPUTS: ClassVar[tuple[str, ...]] = (
        'heatmap_logits',
        'center_offset',
        'center_z',
        'log_size',
        'yaw_sin_cos',
        'velocity',
        'existence_logits',
    )

    def __init__(self, in_channels: int, channels: int, classes: int, parts: int = 1) -> None:
        super().__init__()
        self.classes = classes
        self.trunk = ConvBnRelu(in_channels, channels)
        outputs = classes + sum(BOX_CHANNELS) + EXISTENCE_CHANNELS
        self.out = CellOutput(channels, outputs, parts)
        init_trunk(self.trunk)
        init_output(self.out)
        self.out.set_bias(0, prior_logit(PRIOR_PROBABILITY), classes)
        self.out.set_bias(classes + 2, PRIOR_CENTER_Z_M)
        self.out.set_bias(classes + 3, [math.log(size) for size in PRIOR_SIZE_M])
        self.out.set_bias(classes + sum(BOX_CHANNELS), prior_logit(PRIOR_PROBABILITY))

    def forward(self, bev: Tensor) -> tuple[Tensor, ...]:
        """Returns `OUTPUTS`, shapes and units as in `ModelOutputs`; all views of one tensor."""
        out = self.out(self.trunk(bev))
        return out.split((self.classes, *BOX_CHANNELS, EXISTENCE_CHANNELS), dim=1)
