"""Policies of a cache that a user would have picked without a search."""
