"""ONNX in int8: static ranges from real images, weights rounded so that the layers' outputs stay what they were.

``writing.quantise`` is the way from a float32 file to an int8 one: ``layers`` says which nodes become integers,
``ranges``
watches their values on calibration images, ``gptq`` rounds the weights, ONNX Runtime's quantiser writes the file.
``prerounded_graph`` rounds a graph in torch, for the other formats; ``layer_sensitivity`` tells which layers suffer.
"""
