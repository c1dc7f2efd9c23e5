"""Memory: what past frames add to the BEV features of the present one."""

from bev_perception.model.memory.base import BevMemory, MemoryState
from bev_perception.model.memory.frames import MemoryFrames, MemoryKind
from bev_perception.model.memory.motion import MemoryMotion
from bev_perception.model.memory.recurrent import RecurrentMemory
from bev_perception.model.memory.ring import RingMemory
from bev_perception.model.memory.warp import inside_share, warp

__all__ = [
    'BevMemory',
    'MemoryFrames',
    'MemoryKind',
    'MemoryMotion',
    'MemoryState',
    'RecurrentMemory',
    'RingMemory',
    'inside_share',
    'warp',
]
