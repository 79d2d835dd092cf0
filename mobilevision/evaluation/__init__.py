"""Measuring a run, an exported model or pretrained weights on data: ``mobilevision evaluate``."""
