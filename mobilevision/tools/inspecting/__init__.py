"""``mobilevision inspect``: what an exported file is, what takes it, and what runs where."""
