"""Drives as nuScenes tables, for tools that read nuScenes."""
