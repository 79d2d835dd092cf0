"""What a composed model costs, counted without data and without weights: ``mobilevision cost``."""
