"""Pure functions: tensors, arrays and pictures in, the same out."""
