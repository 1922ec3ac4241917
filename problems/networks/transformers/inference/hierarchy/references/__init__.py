"""Stages that a user would have picked without a search."""
