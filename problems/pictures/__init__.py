"""Drawings of pruned things as SVG, for the pages of reports."""
