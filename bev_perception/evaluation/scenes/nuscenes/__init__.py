"""nuScenes tables (any version folder) as scenes, read without the development kit."""
