"""From what a user asks for to the drives to make."""

from bev_trainer.simulate.job import DriveJob, NetworkJob

__all__ = ['DriveJob', 'NetworkJob']
