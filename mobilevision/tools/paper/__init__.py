"""The tables of arXiv 1704.04861 beside what is counted now: ``mobilevision paper``."""
