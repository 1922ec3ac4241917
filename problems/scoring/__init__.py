"""Scores that are means over rows, block by block."""
