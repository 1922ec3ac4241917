"""Texts that a model reads and goes on with."""
