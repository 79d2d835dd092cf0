"""Backbones: every timm model behind one face, and the MobileNet V1 family of the paper."""

from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.loading import Classifier
from mobilevision.backbones.mobilenetv1 import mobilenet_v1
from mobilevision.backbones.mobilenetv2 import mobilenet_v2
from mobilevision.backbones.mobilenetv3 import mobilenet_v3
from mobilevision.backbones.mobilenetv4 import mobilenet_v4
from mobilevision.backbones.presets import PRESETS, Preset
from mobilevision.backbones.report import LoadReport
from mobilevision.backbones.timm_models import timm_backbone

__all__ = [
    "PRESETS",
    "Backbone",
    "Classifier",
    "LoadReport",
    "Preset",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "mobilenet_v4",
    "timm_backbone",
]
