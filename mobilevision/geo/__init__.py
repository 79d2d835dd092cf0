"""Places on Earth: S2 cells, great-circle distances, coordinates. Pure functions over NumPy arrays."""
