"""Predictions drawn on images, charts and maps, as Pillow images."""
