"""Files and text of strangers: read with bounds, written whole or not at all, shown without control characters."""
