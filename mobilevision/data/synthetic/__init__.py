"""Data sets that draw their own images: embedded, so that every task trains at once."""
