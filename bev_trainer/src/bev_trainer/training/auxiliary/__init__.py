"""Tasks that are learned along with a model and are no part of it."""
