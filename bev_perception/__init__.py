"""Surround cameras in, bird's-eye view out: occupancy, objects and trajectories for any rig."""

from pkgutil import extend_path

# The generated messages (`bev_perception.msg`) live in the installed copy of this package;
# merging the paths keeps them importable when the source folder comes first on sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
