"""A network as readable code."""
