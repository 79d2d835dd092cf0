"""Pure functions: tensors, arrays and images in, the same out."""
