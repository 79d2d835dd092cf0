"""Keypoints with mobilevision: found through the configs in ``conf/``, loaded when one of them is chosen.

Answers are known once the package is imported, by which exported models work without torch.
"""

from mobilevision_keypoints.answer import PointAnswer

__all__ = ["PointAnswer"]
