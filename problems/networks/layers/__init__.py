"""Weights zeroed or rounded, layer by layer, in a network that keeps its shape."""
