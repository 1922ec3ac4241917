"""Policies that a user would have picked without a search: one small file per method."""
