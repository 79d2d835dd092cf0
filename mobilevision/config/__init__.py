"""Checking a configuration from its yaml alone, before anything heavy is imported."""
