"""The version of mobilevision, which packaging, model.json and the command read here."""

__version__ = "0.1.0"
