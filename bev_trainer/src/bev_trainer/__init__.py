"""Makes and trains the models of `bev_perception`; not needed on a vehicle."""

__version__ = '0.1.0'
