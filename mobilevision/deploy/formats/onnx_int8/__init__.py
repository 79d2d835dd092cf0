"""ONNX in int8: static ranges from real images, weights rounded so that the layers' outputs stay what they were."""
