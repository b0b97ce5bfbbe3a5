"""Memscope: MemGPT agents (arXiv:2310.08560) on a local model, with their memory in plain view.

Import what you need from the module that owns it; this package exports nothing itself.
The floors and the rules between them are drawn in `README.md` and `memgpt_core/DESIGN.md`.
"""
