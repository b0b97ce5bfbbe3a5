"""Chat models: the Protocol in `base`, one vendor or source per file."""
