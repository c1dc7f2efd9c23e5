"""What happens when sensors fail, degrade or are calibrated wrongly: perturbed frame sets."""
