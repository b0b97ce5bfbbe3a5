"""Stores: disposable projections of the log, one vendor per file."""
