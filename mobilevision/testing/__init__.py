"""The conformance test: what every task, backbone and data set has to pass, ours and a plugin's."""

from mobilevision.testing.conformance import Outcome, check, conform

__all__ = ["Outcome", "check", "conform"]
