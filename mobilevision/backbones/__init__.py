"""Backbones: every timm model behind one face, and the MobileNet V1 family of the paper."""

from mobilevision.backbones.backbone import Backbone
from mobilevision.backbones.loading import Classifier
from mobilevision.backbones.mobilenetv1 import mobilenet_v1
from mobilevision.backbones.presets import PRESETS, Preset
from mobilevision.backbones.report import LoadReport

__all__ = ["PRESETS", "Backbone", "Classifier", "LoadReport", "Preset", "mobilenet_v1"]
