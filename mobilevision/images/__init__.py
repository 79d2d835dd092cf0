"""Image files: found, decoded, framed for a model's input, films cut into frames; no torch."""
