"""Exported models: the graph, the folder that holds it, and its use without torch.

Only :mod:`mobilevision.deploy.graph` and what a format does to write a file need torch; using an artifact takes NumPy,
Pillow and the format's runtime.
"""
