"""Shares of attention that a user would have picked without a search."""
