"""Camera images of a scenario, with exact depth, classes and instances; OpenGL on EGL."""
