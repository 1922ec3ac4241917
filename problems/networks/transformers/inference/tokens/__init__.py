"""Tokens that a transformer drops between two of its layers: which, how many, and where."""
