"""MobileNet backbones behind every vision task that runs on a phone: train, compare, ship."""

__version__ = "0.1.0"
