"""How long models take, measured side by side on this machine: ``mobilevision benchmark``."""
