"""What training changes about data so that models do not depend on it; labels stay right."""
