"""State-dict names of published models, told in the names of ours."""

from __future__ import annotations

import re

from bev_perception.model.backbone.efficientnet import EfficientNetLayout

# Layers of an inverted bottleneck in L. Melas-Kyriazi's EfficientNet, in timm's words; the first
# stage has no expansion, and so one layer and one normalisation less.
BOTTLENECK = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_se_reduce': 'se.conv_reduce',
    '_se_expand': 'se.conv_expand',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}
SEPARABLE = {
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn1',
    '_se_reduce': 'se.conv_reduce',
    '_se_expand': 'se.conv_expand',
    '_project_conv': 'conv_pw',
    '_bn2': 'bn2',
}
STEM = {'_conv_stem': 'conv_stem', '_bn0': 'bn1'}
HEAD = ('_conv_head.', '_bn1.', '_fc.')
BLOCK_NAME = re.compile(r'_blocks\.(\d+)\.(\w+)\.(\w+)')


def efficientnet_name(name: str, layout: EfficientNetLayout) -> str | None:
    """Returns the name in `EfficientNet` of one in L. Melas-Kyriazi's EfficientNet-PyTorch.

    His blocks are numbered through; here they are numbered within their stage.

    Args:
        name: such as '_blocks.0._depthwise_conv.weight', without the network's own prefix.
        layout: of the network.

    Returns:
        None for head and classifier, which a backbone does not have; an unknown name unchanged.
    """
    if name.startswith(HEAD):
        return None
    layer, _, field = name.partition('.')
    if layer in STEM:
        return f'{STEM[layer]}.{field}'
    match = BLOCK_NAME.fullmatch(name)
    if match is None:
        return name
    index, layer, field = int(match[1]), match[2], match[3]
    for number, stage in enumerate(layout.stages()):
        if index < stage.repeats:
            names = SEPARABLE if stage.expansion == 1 else BOTTLENECK
            return f'blocks.{number}.{index}.{names.get(layer, layer)}.{field}'
        index -= stage.repeats
    return name
