"""The paper's method: score maps, refinement, CRAF, labels of a video."""
