"""Backbones: every timm model behind one interface, and the MobileNets."""

from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.loading import Classifier, LoadReport
from mobilevision.backbones.mobilenets import mobilenet_v2, mobilenet_v3, mobilenet_v4
from mobilevision.backbones.mobilenetv1 import mobilenet_v1
from mobilevision.backbones.presets import PRESETS, Preset
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
