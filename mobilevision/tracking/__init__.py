r"""A run's folder, its processes and its trackers (W\&B, TensorBoard, CSV)."""
