"""Vocabularies to check counts against: known vectors, and real vocabularies out of installed packages."""
