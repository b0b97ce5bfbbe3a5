"""Embedders: text in, unit vectors out; one source per file."""
