"""What fits a budget: ``mobilevision plan``."""
