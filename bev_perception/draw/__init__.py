"""Pictures of frames, drawn with OpenCV alone."""

from bev_perception.draw.bev import draw_bev
from bev_perception.draw.cameras import draw_camera
from bev_perception.draw.frame import draw_frame
from bev_perception.draw.png import save_png

__all__ = ['draw_bev', 'draw_camera', 'draw_frame', 'save_png']
