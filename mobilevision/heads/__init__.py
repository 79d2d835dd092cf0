"""Heads: what turns a backbone's features into a task's raw outputs."""

from mobilevision.heads.detection import DetectionHead
from mobilevision.heads.faster_rcnn import FasterRCNNFPNHead, FasterRCNNHead
from mobilevision.heads.head import Head
from mobilevision.heads.linear import LinearHead
from mobilevision.heads.picodet import PicoDetHead
from mobilevision.heads.ssd import SSDHead, SSDLiteHead

__all__ = [
    "DetectionHead",
    "FasterRCNNFPNHead",
    "FasterRCNNHead",
    "Head",
    "LinearHead",
    "PicoDetHead",
    "SSDHead",
    "SSDLiteHead",
]
