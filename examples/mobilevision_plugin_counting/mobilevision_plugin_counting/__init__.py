"""Counting with mobilevision: a data format, a head, a loss and a task, found through their configs in ``conf/``."""
