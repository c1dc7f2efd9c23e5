"""What every image backbone is, and the pieces that several of them share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

STRIDES = (4, 8, 16, 32)
# Residual branches start weaker than their shortcuts, which keeps a fresh network close to the
# identity (Goyal et al. 2017, section 5.1, set it to 0; above 0 every weight has a gradient).
BRANCH_GAIN = 0.5


class Backbone(nn.Module, ABC):
    """A classification network without its classifier: a stem, then stages one after the other.

    Stages behind the coarsest stride that is asked for do not exist. The feature map of a stride
    is the output of the last stage at that stride.

    Attributes:
        strides: of the returned feature maps.
        channels: of the returned feature maps, in the order of `strides`.

    Args:
        strides: image pixels per feature pixel, of `STRIDES`.
        stage_strides: of all stages of the whole network, never falling.
        stage_channels: of the same.
    """

    def __init__(
        self,
        strides: Sequence[int],
        stage_strides: Sequence[int],
        stage_channels: Sequence[int],
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.stage_strides = tuple(s for s in stage_strides if s <= max(strides))
        last = dict(zip(stage_strides, stage_channels, strict=True))
        self.channels = tuple(last[stride] for stride in self.strides)

    @abstractmethod
    def _stem(self, images: Tensor) -> Tensor:
        """Returns the input of the first stage, of normalised images [M, 3, H, W]."""

    @abstractmethod
    def _stages(self) -> list[nn.Module]:
        """Returns the stages that exist, in order."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns one [M, C_s, ceil(H / s), ceil(W / s)] per asked stride s.

        Args:
            x: normalised images [M, 3, H, W].
        """
        x = self._stem(x)
        features = {}
        for stage, stride in zip(self._stages(), self.stage_strides, strict=True):
            x = stage(x)
            features[stride] = x
        return [features[stride] for stride in self.strides]


class ConvNorm(nn.Sequential):
    """Convolution ('same' padding at stride 1), batch normalisation, and an activation if given.

    The state-dict names are `conv` and that of the normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        groups: int = 1,
        relu: bool = True,
        norm: str = 'bn',
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        parts: list[tuple[str, nn.Module]] = [('conv', conv), (norm, nn.BatchNorm2d(out_channels))]
        if relu:
            parts.append(('act', nn.ReLU(inplace=True)))
        super().__init__(OrderedDict(parts))


class SqueezeExcite(nn.Module):
    """Scales every channel by a gate computed from the means of all (Hu et al. 2018, eq. 2-4).

    Args:
        channels: of the features.
        reduced: channels between the two projections.
        names: state-dict names of the two projections.
        activation: between them.
    """

    def __init__(
        self,
        channels: int,
        reduced: int,
        names: tuple[str, str],
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.names = names
        self.add_module(names[0], nn.Conv2d(channels, reduced, 1))
        self.act = activation()
        self.add_module(names[1], nn.Conv2d(reduced, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        reduce, expand = (self.get_submodule(name) for name in self.names)
        means = x.mean(dim=(2, 3), keepdim=True)
        gate: Tensor = expand(self.act(reduce(means))).sigmoid()
        return x * gate


def init_convolutions(module: nn.Module, gain: float = 2.0) -> None:
    """Initialises every convolution below `module` so that signals keep their size.

    He et al. 2015, eq. 14 (fan out, per group); biases start at 0.

    Args:
        module: convolutions and what is between them.
        gain: inverse of the mean square that the activation leaves of a unit normal signal; 2 is
            that of a ReLU.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_out = part.out_channels // part.groups * math.prod(part.kernel_size)
            nn.init.normal_(part.weight, std=math.sqrt(gain / fan_out))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
